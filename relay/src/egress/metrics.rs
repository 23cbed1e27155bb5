//! What the egress counts, beside the core's own metrics: one text for `/metrics`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::library::{MemberStatus, ParentStatus, TrackStatus};

/// The egress's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    sent: Family<Of, Counter>,
    sessions: Gauge,
    /// Playlists written, as text; viewers share one per head.
    pub(crate) renders: Counter,
    /// Connections open now.
    pub(crate) connections: Gauge,
    /// Connections closed because the client took nothing.
    pub(crate) stalled: Counter,
}

/// Counts bytes handed to the connection for one kind of resource.
#[derive(Clone)]
pub(crate) struct Sent(Counter);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    kind: &'static str,
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    kind: &'static str,
}

// === impl Metrics ===

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("banyan_http");
        let requests = Family::default();
        let sent = Family::default();
        let sessions = Gauge::default();
        let renders = Counter::default();
        let connections = Gauge::default();
        let stalled = Counter::default();
        registry.register("requests", "HTTP requests answered", requests.clone());
        registry.register(
            "sent_bytes",
            "Body bytes handed to connections",
            sent.clone(),
        );
        registry.register("sessions", "Viewer sessions now", sessions.clone());
        registry.register(
            "playlist_renders",
            "Playlists written as text",
            renders.clone(),
        );
        registry.register("connections", "HTTP connections now", connections.clone());
        registry.register(
            "stalled_connections",
            "HTTP connections closed because the client took nothing",
            stalled.clone(),
        );
        Self {
            registry,
            requests,
            sent,
            sessions,
            renders,
            connections,
            stalled,
        }
    }

    pub(crate) fn answered(&self, kind: &'static str, status: u16) {
        self.requests
            .get_or_create(&Request {
                kind,
                status: status.into(),
            })
            .inc();
    }

    pub(crate) fn sent(&self, kind: &'static str) -> Sent {
        Sent(self.sent.get_or_create(&Of { kind }).clone())
    }

    /// The core's lines, those of its tracks and parents, then ours, in the Prometheus text format.
    pub(crate) fn text(&self, core: &str, status: &MemberStatus, sessions: u32) -> String {
        self.sessions.set(sessions.into());
        let mut text = String::with_capacity(core.len() + 4096);
        text.push_str(core);
        if !core.is_empty() && !core.ends_with('\n') {
            text.push('\n');
        }
        tracks(&status.tracks, &mut text);
        parents(&status.parents, &mut text);
        let mut ours = String::new();
        if let Err(error) = encode(&mut ours, &self.registry) {
            tracing::error!(%error, "metrics could not be written");
        }
        classic(&ours, &mut text);
        text
    }
}

/// One family per number that a track has; counters begin anew when a track is subscribed anew.
fn tracks(tracks: &[TrackStatus], out: &mut String) {
    type Value = fn(&TrackStatus) -> u64;
    let families: [(&str, &str, &str, Value); 6] = [
        ("chunks_in_total", "counter", "Chunks received", |track| {
            track.chunks_in
        }),
        (
            "bytes_in_total",
            "counter",
            "Payload bytes received",
            |track| track.bytes_in,
        ),
        (
            "chunks_out_total",
            "counter",
            "Chunks sent to children",
            |track| track.chunks_out,
        ),
        (
            "bytes_out_total",
            "counter",
            "Payload bytes sent to children",
            |track| track.bytes_out,
        ),
        ("viewers", "gauge", "Viewers over HTTP", |track| {
            track.viewers.into()
        }),
        ("head", "gauge", "Newest segment number", |track| {
            track.head.map_or(0, |head| head.number)
        }),
    ];
    for (name, kind, help, value) in families {
        out.push_str(&format!(
            "# HELP banyan_track_{name} {help}.\n# TYPE banyan_track_{name} {kind}\n"
        ));
        for track in tracks {
            let labels = format!(
                "stream=\"{}\",track=\"{}\"",
                escape(&track.stream),
                escape(&track.track)
            );
            out.push_str(&format!(
                "banyan_track_{name}{{{labels}}} {}\n",
                value(track)
            ));
        }
    }
    out.push_str("# HELP banyan_track_state Whether a track is in this state.\n# TYPE banyan_track_state gauge\n");
    for track in tracks {
        for state in ["flowing", "repairing", "stalled", "idle"] {
            out.push_str(&format!(
                "banyan_track_state{{stream=\"{}\",track=\"{}\",state=\"{state}\"}} {}\n",
                escape(&track.stream),
                escape(&track.track),
                u8::from(track.state == state)
            ));
        }
    }
}

fn parents(parents: &[ParentStatus], out: &mut String) {
    out.push_str("# HELP banyan_parent_connected Whether a parent is connected.\n# TYPE banyan_parent_connected gauge\n");
    for parent in parents {
        out.push_str(&format!(
            "banyan_parent_connected{{parent=\"{}\",active=\"{}\"}} {}\n",
            escape(&parent.name),
            parent.active,
            u8::from(parent.state == "connected")
        ));
    }
}

/// Names come from the network: a label holds no quote, backslash or line end.
fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '"' | '\\') && !c.is_control())
        .collect()
}

/// OpenMetrics names a counter without the `_total` of its samples; the Prometheus text format, in
/// which the core writes, names it with.
fn classic(open_metrics: &str, out: &mut String) {
    let mut counters = Vec::new();
    for line in open_metrics.lines() {
        if let Some(name) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.strip_suffix(" counter"))
        {
            counters.push(name);
        }
    }
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let head = (words.next(), words.next(), words.next(), words.next());
        let (Some("#"), Some(kind), Some(name), Some(rest)) = head else {
            if line != END {
                out.push_str(line);
                out.push('\n');
            }
            continue;
        };
        let total = if counters.contains(&name) {
            "_total"
        } else {
            ""
        };
        out.push_str(&format!("# {kind} {name}{total} {rest}\n"));
    }
}

// === impl Sent ===

impl Sent {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.inc_by(bytes);
    }
}

/// How an OpenMetrics text ends.
const END: &str = "# EOF";

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::library::{MemberStatus, ParentStatus, TrackStatus};

    #[test]
    fn the_text_holds_the_cores_lines_and_ours_in_one_format() {
        let metrics = Metrics::new();
        metrics.answered("segment", 200);
        metrics.sent("segment").add(1500);
        let status = MemberStatus {
            tracks: vec![TrackStatus {
                stream: "kites".into(),
                track: "360p\"}\n".into(),
                chunks_in: 7,
                state: "flowing".into(),
                ..Default::default()
            }],
            parents: vec![ParentStatus {
                name: "root-0".into(),
                state: "connected".into(),
                active: true,
                ..Default::default()
            }],
            ..Default::default()
        };
        let text = metrics.text("banyan_fetches_total 5", &status, 3);
        for line in [
            "banyan_fetches_total 5",
            "banyan_track_chunks_in_total{stream=\"kites\",track=\"360p}\"} 7",
            "banyan_track_state{stream=\"kites\",track=\"360p}\",state=\"flowing\"} 1",
            "banyan_track_state{stream=\"kites\",track=\"360p}\",state=\"stalled\"} 0",
            "banyan_parent_connected{parent=\"root-0\",active=\"true\"} 1",
            "# TYPE banyan_http_requests_total counter",
            "# HELP banyan_http_sent_bytes_total Body bytes handed to connections.",
            "banyan_http_requests_total{kind=\"segment\",status=\"200\"} 1",
            "banyan_http_sent_bytes_total{kind=\"segment\"} 1500",
            "# TYPE banyan_http_sessions gauge",
            "banyan_http_sessions 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("EOF"));
    }
}
