//! This member as others see it: `/api/member`, `/metrics` and reports to control are views of the same state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use banyan_proto::trust::RunSecret;
use banyan_proto::{load, v1};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::beat::{Beats, Link};
use crate::catalog::Catalog;
use crate::content::{Contents, State, Status};
use crate::peer::Peers;
use crate::serve::{TrackTraffic, Traffic};
use crate::time::Clock;

/// Everything there is to tell.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) topology: String,
    pub(crate) boot_id: String,
    pub(crate) grpc: String,
    pub(crate) http: String,
    pub(crate) secret: RunSecret,
    pub(crate) clock: Arc<Clock>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) beats: Arc<Beats>,
    pub(crate) load: watch::Receiver<v1::Load>,
    /// Raised when this server is told to leave, by control or by its process.
    pub(crate) draining: CancellationToken,
}

impl Member {
    pub(crate) fn topology(&self) -> &str {
        &self.topology
    }

    pub(crate) fn hello(&self) -> v1::Hello {
        self.secret.hello(&self.name, &self.boot_id)
    }

    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Listening and configured, which it is from the start, and not draining. Never others' state.
    pub(crate) fn ready(&self) -> bool {
        !self.draining.is_cancelled()
    }

    pub(crate) fn report(&self, sequence: u64) -> v1::Report {
        let tracks = self
            .traffic
            .all()
            .into_iter()
            .map(|track| self.track_report(track))
            .collect();
        v1::Report {
            sequence,
            role: "origin".to_owned(),
            grpc: self.grpc.clone(),
            http: self.http.clone(),
            pid: std::process::id(),
            load: Some(*self.load.borrow()),
            tracks,
            origins: Vec::new(),
            offers: self.catalog.snapshot().message().offers,
            draining: !self.ready(),
            ..Default::default()
        }
    }

    fn track_report(&self, track: TrackTraffic) -> v1::TrackReport {
        let (number, part) = self.head(&track);
        let state = if track.children.is_empty() {
            v1::FlowState::Unspecified
        } else {
            v1::FlowState::Flowing
        };
        v1::TrackReport {
            path: vec![self.name.clone()],
            state: state.into(),
            head_number: number,
            head_part: part,
            chunks_out: track.chunks,
            bytes_out: track.bytes,
            children: track.children,
            stream: track.stream,
            track: track.track,
            run: track.run,
            ..Default::default()
        }
    }

    fn head(&self, track: &TrackTraffic) -> (u64, u32) {
        let channel = self.catalog.channel(&track.stream);
        let head = channel.as_ref().and_then(|channel| {
            let kind = channel.track(&track.track)?.kind;
            channel.head(kind, self.clock.now())
        });
        let (n, part) = head.unwrap_or((0, 0));
        (channel.map_or(0, |channel| channel.epoch + n), part)
    }

    /// `/api/member`.
    pub(crate) fn json(&self) -> Value {
        let load = *self.load.borrow();
        let parents: Vec<Value> = self
            .beats
            .links()
            .into_iter()
            .map(|(root, link)| parent(&root, link))
            .collect();
        let tracks: Vec<Value> = self
            .traffic
            .all()
            .into_iter()
            .map(|track| self.track_json(&track))
            .collect();
        let contents: Vec<Status> = self
            .contents
            .statuses()
            .borrow()
            .values()
            .cloned()
            .collect();
        json!({
            "member": self.name,
            "role": "origin",
            "topology": self.topology,
            "pid": std::process::id(),
            "boot_id": self.boot_id,
            "uptime_ms": u64::try_from(self.clock.uptime().as_millis()).unwrap_or(u64::MAX),
            "ready": self.ready(),
            "draining": !self.ready(),
            "load": load,
            "parents": parents,
            "tracks": tracks,
            "contents": contents,
        })
    }

    fn track_json(&self, track: &TrackTraffic) -> Value {
        let (number, part) = self.head(track);
        json!({
            "stream": track.stream,
            "track": track.track,
            "run": track.run,
            "parent": "",
            "path": [self.name],
            "state": if track.children.is_empty() { "idle" } else { "flowing" },
            "head": {"number": number, "part": part},
            "chunks_in": 0,
            "bytes_in": 0,
            "chunks_out": track.chunks,
            "bytes_out": track.bytes,
            "children": track.children,
            "viewers": 0,
        })
    }

    /// `/metrics`: Prometheus text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = Metrics::default();
        let load = *self.load.borrow();
        text.family("banyan_uptime_seconds", "gauge", "Time since start");
        text.value(
            "banyan_uptime_seconds",
            &[],
            &format!("{:.3}", self.clock.uptime().as_secs_f64()),
        );
        let version = load::Gauge {
            name: "banyan_catalog_version",
            help: "Changes of the catalogue",
            value: self.catalog.snapshot().version,
        };
        for gauge in load::gauges(&load).into_iter().chain([version]) {
            text.family(gauge.name, "gauge", gauge.help);
            text.value(gauge.name, &[], &gauge.value.to_string());
        }
        text.family(
            "banyan_content_prepared_permille",
            "gauge",
            "Share of a content that is prepared",
        );
        let contents = self.contents.statuses();
        for status in contents.borrow().values() {
            let state = match status.state {
                State::Preparing => "preparing",
                State::Offered => "offered",
                State::Failed => "failed",
            };
            let labels = [("content", status.name.as_str()), ("state", state)];
            text.value(
                "banyan_content_prepared_permille",
                &labels,
                &status.permille.to_string(),
            );
        }
        let made: [(&str, &str, &AtomicU64); 2] = [
            (
                "banyan_origin_segments_encoded_total",
                "Video segments encoded here",
                &self.peers.encoded,
            ),
            (
                "banyan_origin_segments_copied_total",
                "Video segments copied from a peer",
                &self.peers.copied,
            ),
        ];
        for (name, help, count) in made {
            text.family(name, "counter", help);
            text.value(name, &[], &count.load(Ordering::Relaxed).to_string());
        }
        let tracks = self.traffic.all();
        type Field = fn(&TrackTraffic) -> u64;
        let families: [(&str, &str, &str, Field); 3] = [
            ("banyan_chunks_out_total", "counter", "Chunks sent", |t| {
                t.chunks
            }),
            (
                "banyan_bytes_out_total",
                "counter",
                "Payload bytes sent",
                |t| t.bytes,
            ),
            ("banyan_children", "gauge", "Members subscribed", |t| {
                t.children.len() as u64
            }),
        ];
        for (name, kind, help, field) in families {
            text.family(name, kind, help);
            for track in &tracks {
                let labels = [
                    ("stream", track.stream.as_str()),
                    ("track", track.track.as_str()),
                ];
                text.value(name, &labels, &field(track).to_string());
            }
        }
        text.family(
            "banyan_beat_rtt_seconds",
            "gauge",
            "Round trip of beats, smallest of the window",
        );
        for (root, link) in self.beats.links() {
            let seconds = format!("{:.6}", f64::from(link.rtt_min_us) / 1e6);
            text.value(
                "banyan_beat_rtt_seconds",
                &[("root", root.name.as_str())],
                &seconds,
            );
        }
        text.0
    }
}

fn parent(root: &v1::Peer, link: Link) -> Value {
    json!({
        "name": root.name,
        "uri": root.uri,
        "state": if link.connected { "connected" } else { "connecting" },
        "active": link.connected,
    })
}

impl Status {
    /// As a beat tells it.
    pub(crate) fn preparation(&self) -> v1::Preparation {
        v1::Preparation {
            content: self.name.clone(),
            permille: self.permille,
            remaining_ms: self.remaining_ms,
            error: self.error.clone(),
        }
    }
}

#[derive(Default)]
struct Metrics(String);

impl Metrics {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Label values here are names of streams, tracks and members: nothing in them needs escaping.
    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        self.0.push_str(&format!("{name}{labels} {value}\n"));
    }
}
