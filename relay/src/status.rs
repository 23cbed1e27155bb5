//! What a member tells of itself at `/api/member` and `/api/origins`, in the shape of the JSON.

use banyan_proto::v1;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberStatus {
    pub member: String,
    pub role: String,
    pub topology: String,
    pub pid: u32,
    pub boot_id: String,
    pub uptime_ms: u64,
    pub ready: bool,
    pub draining: bool,
    pub load: v1::Load,
    pub parents: Vec<ParentStatus>,
    pub tracks: Vec<TrackStatus>,
    /// Content servers only; here always empty.
    pub contents: Vec<ContentStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentStatus {
    pub name: String,
    pub uri: String,
    /// `connected`, `connecting` or `down`.
    pub state: String,
    /// Feeds at least one track now.
    pub active: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackStatus {
    pub stream: String,
    pub track: String,
    pub run: String,
    pub parent: String,
    pub path: Vec<String>,
    /// `flowing`, `repairing`, `stalled` or `idle`.
    pub state: String,
    pub head: Option<HeadStatus>,
    pub chunks_in: u64,
    pub bytes_in: u64,
    pub chunks_out: u64,
    pub bytes_out: u64,
    pub children: Vec<String>,
    pub viewers: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadStatus {
    pub number: u64,
    pub part: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentStatus {
    pub name: String,
    pub state: String,
    pub permille: u32,
    pub remaining_ms: u64,
    pub error: String,
}

/// A content server as a root hears it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStatus {
    pub source: String,
    /// Lower is better.
    pub metric: u32,
    pub contents: Vec<String>,
    /// `Active`, `Standby`, `Silent` or `Ineligible`.
    pub state: String,
    /// Why no stream would be pulled from it now: `Silent`, `ClockSkew`, `Draining` or
    /// `NotPrepared`; empty = eligible.
    pub reason: String,
    /// What the metric is made of: medians of the last beats.
    pub rtt_us: u32,
    pub late_permille: u32,
    pub load_permille: u32,
    /// Its clock behind this root's.
    pub clock_offset_us: i64,
    /// Streams this root pulls from it now.
    pub feeds: Vec<String>,
    pub preparing: Vec<Preparing>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparing {
    pub content: String,
    pub permille: u32,
    pub remaining_ms: u64,
    pub error: String,
}
