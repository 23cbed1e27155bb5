//! Metric names shared by members, dashboards and rules. Prefix `banyan_`, units in the name.

/// Bytes a member received from parents.
pub const RECEIVED_BYTES: &str = "banyan_received_bytes_total";
/// Bytes a member sent to children and viewers.
pub const SENT_BYTES: &str = "banyan_sent_bytes_total";
/// Chunks a member received from parents.
pub const RECEIVED_CHUNKS: &str = "banyan_received_chunks_total";
/// Chunks that never came.
pub const LOST_CHUNKS: &str = "banyan_lost_chunks_total";
/// Changes of parent, by cause.
pub const PARENT_SWITCHES: &str = "banyan_parent_switches_total";
/// Changes of origin, by cause.
pub const ORIGIN_SWITCHES: &str = "banyan_origin_switches_total";
/// Viewer sessions of an edge.
pub const SESSIONS: &str = "banyan_sessions";
/// Bytes the store holds.
pub const STORE_BYTES: &str = "banyan_store_bytes";
