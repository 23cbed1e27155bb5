//! What members and viewers wrote down, line by line. A line that is not understood, such as the last one of a member
//! that was killed, is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::world::{MemberRecord, ViewerRecord};

/// What `banyan play --json` says, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Viewers of the process that played something.
    pub playing: u64,
    /// From its beginning to media of every track.
    pub startup_ms: Option<u64>,
    /// Received.
    pub bytes: u64,
    /// Positions received.
    pub chunks: u64,
    /// Positions missing.
    pub lost: u64,
    /// Positions received twice.
    pub repeated: u64,
    /// Positions after a later one.
    pub out_of_order: u64,
    /// Times it went on elsewhere.
    pub switches: u64,
    /// Times its model player ran dry.
    pub stalls: u64,
    /// For how long together.
    pub stalled_ms: u64,
    /// Media played.
    pub played_ms: u64,
    /// Of what was released while it watched.
    pub latency_ms: Latency,
    /// Whole segments of video, by rendition.
    pub renditions: BTreeMap<String, u64>,
    /// Times it went on with another rendition.
    pub rendition_changes: u64,
    /// Bits of video for each second of it.
    pub mean_bitrate_bps: Option<u64>,
    /// Things that should not be.
    pub fault_count: u64,
}

/// Milliseconds behind the media's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Median.
    pub p50: Option<u64>,
    /// 95 of a hundred were less.
    pub p95: Option<u64>,
}

/// A chunk that reached a viewer.
pub(super) struct Arrival {
    pub(super) unix_ms: u64,
    pub(super) viewer: String,
    pub(super) track: String,
    pub(super) number: u64,
    pub(super) part: u32,
}

/// Something that a member said of itself, or a viewer that went on elsewhere.
pub(super) struct Event {
    pub(super) unix_ms: u64,
    pub(super) member: String,
    pub(super) name: String,
    fields: Value,
}

impl Event {
    pub(super) fn text(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or("")
    }
}

/// All events, members' first.
pub(super) fn events(
    members: &BTreeMap<String, MemberRecord>,
    viewers: &BTreeMap<String, ViewerRecord>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (member, record) in members {
        let lines = record.events_jsonl.lines();
        events.extend(lines.filter_map(|line| event(member, line)));
    }
    for (viewer, record) in viewers {
        let rows = rows(&record.trace).filter(|cells| cells[2] == "switch");
        events.extend(rows.filter_map(|cells| {
            Some(Event {
                unix_ms: cells[0].parse().ok()?,
                member: viewer.clone(),
                name: VIEWER_SWITCHED.to_owned(),
                fields: serde_json::json!({ "from": cells[3], "to": cells[4] }),
            })
        }));
    }
    events
}

fn event(member: &str, line: &str) -> Option<Event> {
    let fields: Value = serde_json::from_str(line).ok()?;
    Some(Event {
        unix_ms: fields.get("unix_ms")?.as_u64()?,
        member: member.to_owned(),
        name: fields.get("event")?.as_str()?.to_owned(),
        fields,
    })
}

/// All chunks of all viewers.
pub(super) fn arrivals(viewers: &BTreeMap<String, ViewerRecord>) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for (viewer, record) in viewers {
        let rows = rows(&record.trace).filter(|cells| cells[2] == "chunk");
        arrivals.extend(rows.filter_map(|cells| {
            Some(Arrival {
                unix_ms: cells[0].parse().ok()?,
                viewer: viewer.clone(),
                track: cells[4].to_owned(),
                number: cells[5].parse().ok()?,
                part: cells[6].parse().ok()?,
            })
        }));
    }
    arrivals
}

/// Whole rows of a trace: unix_ms, viewer, event, source, track, number, part, last.
fn rows(trace: &str) -> impl Iterator<Item = [&str; 8]> {
    trace.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        <[&str; 8]>::try_from(cells).ok()
    })
}

/// Name of the event that a viewer's change of edge becomes.
pub(super) const VIEWER_SWITCHED: &str = "viewer_switched";
