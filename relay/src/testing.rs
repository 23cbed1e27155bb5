//! Fixtures for simulations: links in memory, a looped content server of synthetic bytes, overlays.
//!
//! Everything runs under tokio's paused clock in one thread, so a minute of stream takes a moment
//! and every run of a seed is the same.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::trust::RunSecret;
use banyan_proto::v1;

use crate::clock::Clock;
use crate::core::{Core, Options, Role};
use crate::record::Recorder;
use crate::upstream::Tuning;

pub(crate) mod net;
pub(crate) mod origin;
pub(crate) mod overlay;

/// Unix time at which simulations begin, and the epoch of their streams, half a minute before.
pub(crate) const NOW: u64 = 1_900_000_030;
pub(crate) const EPOCH: u64 = NOW - 30;

pub(crate) const WINDOW: u32 = 6;

/// The one stream of these tests, and its tracks.
pub(crate) const STREAM: &str = "harbour";
pub(crate) const VIDEO: &str = "720p";

pub(crate) fn peer(name: &str) -> v1::Peer {
    v1::Peer {
        name: name.to_owned(),
        uri: format!("http://{name}:1"),
    }
}

pub(crate) fn config(roots: &[&str], parents: &[&str]) -> v1::Config {
    v1::Config {
        generation: 1,
        topology: "quay".into(),
        epoch: EPOCH,
        segment_duration_ms: 2000,
        part_duration_ms: 333,
        window_segments: WINDOW,
        heartbeat_interval_ms: 1000,
        missed_heartbeats: 3,
        roots: roots.iter().map(|name| peer(name)).collect(),
        parents: parents.iter().map(|name| peer(name)).collect(),
        ..Default::default()
    }
}

pub(crate) fn secret() -> RunSecret {
    RunSecret::new([7; 32])
}

pub(crate) fn clock() -> Clock {
    Clock::starting_at(Duration::from_secs(NOW))
}

/// What a core is made of in tests.
pub(crate) fn options(member: &str, role: Role, config: v1::Config, net: &net::Net) -> Options {
    let name = member.to_owned();
    Options {
        member: member.to_owned(),
        role,
        topology: "quay".into(),
        boot_id: "boot".into(),
        grpc: format!("http://{member}:1"),
        http: format!("http://{member}:2"),
        config,
        tuning: Tuning::default(),
        memory_budget: 1 << 30,
        max_egress: None,
        connector: Arc::new(net.connector(member)),
        authenticator: Arc::new(secret()),
        hello: Arc::new(move || secret().hello(&name, "boot")),
        recorder: Arc::new(Recorder::memory(member)),
        clock: net.clock(),
        frozen: Some(net.frozen(member)),
    }
}

/// A core with nobody around it.
pub(crate) fn lone_core(member: &str) -> Arc<Core> {
    let net = net::Net::new(clock(), 0);
    Core::new(options(member, Role::Edge, config(&[], &["mid-0"]), &net))
}

/// A root with nobody around it.
pub(crate) fn lone_root(member: &str) -> Arc<Core> {
    let net = net::Net::new(clock(), 0);
    Core::new(options(member, Role::Root, config(&[member], &[]), &net))
}
