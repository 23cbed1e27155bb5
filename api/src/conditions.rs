//! Condition types of both kinds.

/// The spec is valid and its references exist.
pub const ACCEPTED: &str = "Accepted";
/// Everything the kind promises is there.
pub const READY: &str = "Ready";
/// ContentServer: enough of every content is prepared.
pub const PREPARED: &str = "Prepared";
/// ContentServer: a root hears its beats.
pub const REACHABLE: &str = "Reachable";
/// StreamTopology: every tier has ready members.
pub const RELAYS_AVAILABLE: &str = "RelaysAvailable";
/// StreamTopology: every stream has an origin in use.
pub const ORIGIN_REACHABLE: &str = "OriginReachable";
/// StreamTopology: a change is being carried out.
pub const PROGRESSING: &str = "Progressing";
/// StreamTopology: something is missing that does not stop viewers.
pub const DEGRADED: &str = "Degraded";
/// StreamTopology: a newer default image exists.
pub const UPDATE_AVAILABLE: &str = "UpdateAvailable";

/// Conditions of a ContentServer.
pub const CONTENT_SERVER: [&str; 4] = [ACCEPTED, PREPARED, REACHABLE, READY];
/// Conditions of a StreamTopology.
pub const STREAM_TOPOLOGY: [&str; 6] = [
    ACCEPTED,
    RELAYS_AVAILABLE,
    ORIGIN_REACHABLE,
    PROGRESSING,
    DEGRADED,
    READY,
];
