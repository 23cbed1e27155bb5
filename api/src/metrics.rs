//! Names of the metrics that dashboards and rules rely on. Prefix `banyan_`, units in the name.

/// Payload bytes a relay received from parents.
pub const BYTES_IN: &str = "banyan_bytes_in_total";
/// Bytes a member sent to children.
pub const BYTES_OUT: &str = "banyan_bytes_out_total";
/// Chunks a relay received from parents.
pub const CHUNKS_IN: &str = "banyan_chunks_in_total";
/// Gaps that parents told of.
pub const GAPS: &str = "banyan_gaps_total";
/// Moves of a track to another parent.
pub const PARENT_SWITCHES: &str = "banyan_parent_switches_total";
/// Segments whose bytes disagreed with their hash.
pub const HASH_MISMATCHES: &str = "banyan_hash_mismatches_total";
/// Media bytes a relay holds.
pub const HELD_BYTES: &str = "banyan_held_bytes";
/// Viewer sessions of an edge.
pub const HTTP_SESSIONS: &str = "banyan_http_sessions";
/// Body bytes an edge handed to viewers.
pub const HTTP_SENT_BYTES: &str = "banyan_http_sent_bytes_total";
/// Share of a content that an origin has prepared.
pub const CONTENT_PREPARED_PERMILLE: &str = "banyan_content_prepared_permille";
/// Round-trip time of an origin's beats.
pub const BEAT_RTT_SECONDS: &str = "banyan_beat_rtt_seconds";
