//! Reports of members and facts of pods in, what status shows out.

use std::collections::BTreeMap;

use banyan_control::topology::{Limits, Topology};
use banyan_proto::v1;

use super::*;
use crate::members::place::tests::{desired, server};
use crate::members::place::{place, roster};
use crate::members::pod::tests::pod;

fn at(seconds: u64) -> Now {
    Now {
        at: Duration::from_secs(seconds),
        unix_ms: 0,
    }
}

struct World {
    desired: Desired,
    pods: Vec<Pod>,
    topology: Topology,
    sequences: BTreeMap<String, u64>,
}

impl World {
    fn new() -> Self {
        let desired = desired();
        let pods = vec![
            pod("r0", "root", "10.0.0.1", Some(0)),
            pod("m0", "mid", "10.0.1.1", Some(0)),
            pod("e0", "edge", "10.0.2.1", Some(0)),
            server("dock", "10.0.3.1"),
        ];
        let all: Vec<&Pod> = pods.iter().collect();
        let roster = roster(&desired, &place(&desired, &all)).unwrap();
        let topology = Topology::new(roster, 7, Limits::default(), at(0));
        Self {
            desired,
            pods,
            topology,
            sequences: BTreeMap::new(),
        }
    }

    fn report(&mut self, member: &str, role: &str, report: v1::Report) {
        let hello = v1::Hello::default();
        let attached = self.topology.handle_hello(member, &hello, at(1)).unwrap();
        let sequence = self.sequences.entry(member.to_owned()).or_default();
        *sequence += 1;
        let report = v1::Report {
            sequence: *sequence,
            role: role.to_owned(),
            ..report
        };
        self.topology
            .handle_report(attached.session, report, at(1))
            .unwrap();
    }

    fn all_report(&mut self) {
        self.report("root-0", "root", v1::Report::default());
        self.report("mid-0", "relay", v1::Report::default());
        self.report("edge-0", "edge", v1::Report::default());
        self.report("dock", "origin", v1::Report::default());
    }

    fn observed(&self) -> Observed {
        let pods: Vec<&Pod> = self.pods.iter().collect();
        let placed = place(&self.desired, &pods);
        observe(&self.desired, &placed, &pods, Some((&self.topology, at(2))))
    }
}

fn beat(metric: u32, permille: u32) -> v1::OriginReport {
    v1::OriginReport {
        source: "dock".to_owned(),
        metric,
        state: "Standby".to_owned(),
        preparing: vec![v1::Preparation {
            content: "ferry".to_owned(),
            permille,
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn heard(world: &mut World, origin: v1::OriginReport) {
    let report = v1::Report {
        origins: vec![origin],
        ..Default::default()
    };
    world.report("root-0", "root", report);
}

#[test]
fn nothing_is_known_until_every_ready_pod_has_been_heard_or_half_a_minute_has_passed() {
    let mut world = World::new();
    assert!(!world.observed().known);
    world.report("root-0", "root", v1::Report::default());
    assert!(!world.observed().known);
    world.all_report();
    let observed = world.observed();
    assert!(observed.known);
    let edge = Tier {
        pods: 1,
        ready: 1,
        heard: 1,
    };
    assert_eq!(observed.tiers["edge"], edge);
    assert_eq!(observed.tiers.len(), 3);

    let mut silent = World::new();
    silent.topology.handle_tick(at(31));
    assert!(silent.observed().known);
    // A pod that is not ready is waited for by nobody.
    let mut starting = World::new();
    for pod in &mut starting.pods {
        pod.ready = false;
    }
    assert!(starting.observed().known);
}

#[test]
fn without_a_control_plane_here_only_pods_are_told() {
    let world = World::new();
    let pods: Vec<&Pod> = world.pods.iter().collect();
    let observed = observe(&world.desired, &place(&world.desired, &pods), &pods, None);
    assert!(!observed.known && observed.streams.is_empty() && observed.edges.is_empty());
    assert_eq!(observed.tiers["root"].ready, 1);
    assert!(!observed.origins["dock"].reachable);
}

#[test]
fn a_content_server_is_told_by_its_own_word_and_by_what_roots_hear() {
    let mut world = World::new();
    world.all_report();
    heard(&mut world, beat(12, 250));
    let origin = world.observed().origins["dock"].clone();
    assert!(origin.reachable && origin.attached && origin.ready);
    assert_eq!(origin.metric, Some(12));
    let content = &origin.contents[0];
    assert_eq!(
        (&*content.name, content.prepared, content.permille),
        ("ferry", false, 250)
    );
    let offer = v1::Offer {
        stream: "ferry".to_owned(),
        run: "abc".to_owned(),
        ..Default::default()
    };
    let report = v1::Report {
        offers: vec![offer],
        ..Default::default()
    };
    world.report("dock", "origin", report);
    let content = world.observed().origins["dock"].contents[0].clone();
    assert!(content.prepared);
    assert_eq!(
        (content.permille, content.digest.as_deref()),
        (1000, Some("abc"))
    );
}

#[test]
fn a_change_of_origin_is_told_once_for_all_tracks_of_a_stream() {
    let mut world = World::new();
    let mut second = world.desired.servers[0].clone();
    second.name = "pier".to_owned();
    world.desired.servers.push(second);
    let switch = |sequence, track: &str, from: &str| v1::Switch {
        sequence,
        at_unix_ms: 1000 + sequence,
        stream: "ferry".to_owned(),
        track: track.to_owned(),
        from: from.to_owned(),
        to: "dock".to_owned(),
        cause: "Silent".to_owned(),
        origin: true,
        ..Default::default()
    };
    let report = v1::Report {
        switches: vec![
            switch(1, "720p", ""),
            switch(2, "720p", "pier"),
            switch(3, "audio", "pier"),
        ],
        ..Default::default()
    };
    world.report("root-0", "root", report);
    let told = world.observed().reselections;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (&*told[0].from, &*told[0].to, &*told[0].cause),
        ("pier", "dock", "Silent")
    );
}

#[test]
fn states_are_news_at_once_and_figures_seldom() {
    let mut world = World::new();
    world.all_report();
    heard(&mut world, beat(100, 100));
    let mut transitions = Transitions::default();
    let seconds = Duration::from_secs;
    assert!(transitions.is_news(&world.observed(), seconds(0)));
    assert!(!transitions.is_news(&world.observed(), seconds(1)));
    // 20 % and no more, then more, then more than half a minute later.
    for (metric, at, news) in [
        (120, 31, false),
        (121, 20, false),
        (121, 32, true),
        (150, 33, false),
    ] {
        heard(&mut world, beat(metric, 100));
        assert_eq!(
            transitions.is_news(&world.observed(), seconds(at)),
            news,
            "{metric} at {at}"
        );
    }
    world.pods[2].ready = false;
    assert!(transitions.is_news(&world.observed(), seconds(34)));
    assert!(!transitions.is_news(&world.observed(), seconds(34)));
}
