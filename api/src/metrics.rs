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
/// Reconciles of the operator by controller and outcome.
pub const OPERATOR_RECONCILES: &str = "banyan_operator_reconciles_total";
/// Time a reconcile of the operator took.
pub const OPERATOR_RECONCILE_SECONDS: &str = "banyan_operator_reconcile_seconds";
/// Objects whose reconcile was asked for and has not begun.
pub const OPERATOR_QUEUE_DEPTH: &str = "banyan_operator_queue_depth_objects";
/// Objects whose last reconcile failed.
pub const OPERATOR_BACKING_OFF: &str = "banyan_operator_backing_off_objects";
/// Errors of the operator's watches by kind.
pub const OPERATOR_WATCH_ERRORS: &str = "banyan_operator_watch_errors_total";
/// Writes the operator sent to the API server by verb and kind.
pub const OPERATOR_API_WRITES: &str = "banyan_operator_api_writes_total";
/// 1 while this operator leads.
pub const OPERATOR_LEADING: &str = "banyan_operator_leading";
/// Number of this operator's leadership.
pub const OPERATOR_TERM: &str = "banyan_operator_term";
/// Changes of the origin of a stream, as the operator saw them.
pub const ORIGIN_RESELECTIONS: &str = "banyan_operator_origin_reselections_total";
