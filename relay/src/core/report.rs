//! What the core tells of itself: `/api/member`, `/api/origins`, metrics, and control's reports.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use banyan_proto::{load, v1};

use super::{Core, Role, lock};
use crate::clock::Instant;
use crate::status::{MemberStatus, OriginStatus, ParentStatus, TrackStatus};
use crate::track::Track;

impl Core {
    pub(crate) fn report_viewers(&self, stream: &str, track: &str, viewers: u32) {
        if let Some(track) = self.find_track(stream, track) {
            track.lock().viewers = viewers;
        }
    }

    pub(crate) fn report_sessions(&self, sessions: u32) {
        self.sessions.store(sessions, Ordering::Relaxed);
    }

    pub(crate) fn report_egress(&self, bytes: u64) {
        self.counters.bytes_out.add(bytes);
    }

    pub(crate) fn load(&self) -> v1::Load {
        let running = self
            .tracks()
            .iter()
            .filter(|track| track.lock().running)
            .count();
        v1::Load {
            storage_used_bytes: self.held_bytes() as u64,
            storage_limit_bytes: self.options.memory_budget as u64,
            active_workers: running as u32,
            sessions: self.sessions.load(Ordering::Relaxed),
            ..self.meter.read(
                self.counters.bytes_in.value(),
                self.counters.bytes_out.value(),
            )
        }
    }

    fn carried(&self) -> Vec<TrackStatus> {
        let mut tracks: Vec<_> = self
            .tracks()
            .iter()
            .filter(|track| track.lock().running)
            .map(|track: &Arc<Track>| track.status())
            .collect();
        tracks.sort_by(|a, b| (&a.stream, &a.track).cmp(&(&b.stream, &b.track)));
        tracks
    }

    pub(crate) fn status(&self) -> MemberStatus {
        let tracks = self.carried();
        let parents = self
            .catalog_peers()
            .into_iter()
            .map(|peer| ParentStatus {
                state: if self.is_connected(&peer.name) {
                    "connected".to_owned()
                } else if self.is_down(&peer.name) {
                    "down".to_owned()
                } else {
                    "connecting".to_owned()
                },
                active: tracks.iter().any(|track| track.parent == peer.name),
                name: peer.name,
                uri: peer.uri,
            })
            .collect();
        MemberStatus {
            member: self.options.member.clone(),
            role: self.options.role.name().to_owned(),
            topology: self.options.topology.clone(),
            pid: std::process::id(),
            boot_id: self.options.boot_id.clone(),
            uptime_ms: self.clock.uptime().as_millis() as u64,
            ready: self.ready(),
            draining: self.is_leaving(),
            load: self.load(),
            parents,
            tracks,
            contents: Vec::new(),
        }
    }

    pub(crate) fn origin_status(&self) -> Vec<OriginStatus> {
        if self.options.role != Role::Root {
            return Vec::new();
        }
        let mut feeds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for track in self.carried() {
            let streams = feeds.entry(track.parent).or_default();
            if !streams.contains(&track.stream) {
                streams.push(track.stream);
            }
        }
        lock(&self.origins).status(&feeds, Instant::now())
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        self.counters.write(&mut text);
        lock(&self.switches).write(&mut text);
        let mut gauge = |name: &str, help: &str, value: u64| {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}\n"
            );
        };
        let load = self.load();
        for figure in load::gauges(&load) {
            gauge(figure.name, figure.help, figure.value);
        }
        let table = [
            ("held_bytes", "Media bytes held", self.held_bytes() as u64),
            (
                "held_limit_bytes",
                "Media bytes that may be held",
                self.options.memory_budget as u64,
            ),
            ("tracks", "Tracks carried", u64::from(load.active_workers)),
            ("ready", "Ready for viewers", u64::from(self.ready())),
        ];
        for (name, help, value) in table {
            gauge(&format!("banyan_{name}"), help, value);
        }
        self.write_origins(&mut text);
        text
    }

    /// A root's view of each content server.
    fn write_origins(&self, text: &mut String) {
        let rows = self.origin_status();
        type Figure = fn(&OriginStatus) -> f64;
        let families: [(&str, &str, Figure); 6] = [
            ("metric", "Lower is better", |o| f64::from(o.metric)),
            ("eligible", "May be given streams", |o| {
                f64::from(u8::from(o.reason.is_empty()))
            }),
            ("rtt_seconds", "Round trip of its beats", |o| {
                f64::from(o.rtt_us) / 1e6
            }),
            ("late_permille", "Share of its beats echoed late", |o| {
                f64::from(o.late_permille)
            }),
            ("load_permille", "The greater of CPU and memory", |o| {
                f64::from(o.load_permille)
            }),
            (
                "clock_offset_seconds",
                "Its clock behind this root's",
                |o| o.clock_offset_us as f64 / 1e6,
            ),
        ];
        for (name, help, figure) in families.into_iter().filter(|_| !rows.is_empty()) {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "# HELP banyan_origin_{name} {help}.\n# TYPE banyan_origin_{name} gauge\n"
            );
            for row in &rows {
                let (source, value) = (&row.source, figure(row));
                let _ = writeln!(text, "banyan_origin_{name}{{source=\"{source}\"}} {value}");
            }
        }
    }

    pub(crate) fn report(&self, sequence: u64) -> v1::Report {
        let status = self.status();
        let offers = match self.options.role {
            Role::Root => self
                .catalog
                .borrow()
                .offers
                .values()
                .map(|offer| v1::Offer::clone(offer))
                .collect(),
            Role::Relay | Role::Edge => Vec::new(),
        };
        v1::Report {
            sequence,
            role: status.role,
            grpc: self.options.grpc.clone(),
            http: self.options.http.clone(),
            pid: status.pid,
            load: Some(status.load),
            tracks: status.tracks.into_iter().map(track_report).collect(),
            origins: self
                .origin_status()
                .into_iter()
                .map(origin_report)
                .collect(),
            offers,
            draining: status.draining,
            refusing: lock(&self.room).take_turned_away(),
            switches: lock(&self.switches).newest(),
            probes: lock(&self.probes).reports(),
            parents: self
                .config()
                .parents
                .iter()
                .map(|peer| peer.name.clone())
                .collect(),
            parents_fixed: self.has_fixed_parents(),
            // Of a call: what was said in it before.
            offers_version: 0,
            offers_unchanged: false,
        }
    }
}

fn track_report(track: TrackStatus) -> v1::TrackReport {
    let state = match track.state.as_str() {
        "repairing" => v1::FlowState::Repairing,
        "stalled" => v1::FlowState::Stalled,
        _ => v1::FlowState::Flowing,
    };
    let head = track.head.unwrap_or_default();
    v1::TrackReport {
        stream: track.stream,
        track: track.track,
        run: track.run,
        parent: track.parent,
        path: track.path,
        state: state.into(),
        head_number: head.number,
        head_part: head.part,
        chunks_in: track.chunks_in,
        bytes_in: track.bytes_in,
        chunks_out: track.chunks_out,
        bytes_out: track.bytes_out,
        children: track.children,
        viewers: track.viewers,
    }
}

fn origin_report(origin: OriginStatus) -> v1::OriginReport {
    v1::OriginReport {
        source: origin.source,
        metric: origin.metric,
        contents: origin.contents,
        state: origin.state,
        rtt_us: origin.rtt_us,
        late_permille: origin.late_permille,
        load_permille: origin.load_permille,
        feeds: origin.feeds,
        reason: origin.reason,
        clock_offset_us: origin.clock_offset_us,
        preparing: origin
            .preparing
            .into_iter()
            .map(|p| v1::Preparation {
                content: p.content,
                permille: p.permille,
                remaining_ms: p.remaining_ms,
                error: p.error,
            })
            .collect(),
    }
}
