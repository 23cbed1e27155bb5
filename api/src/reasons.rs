//! Reasons, used alike in conditions, events, metrics and logs. PascalCase, never changed in meaning.

/// The spec is accepted.
pub const VALID: &str = "Valid";
/// The spec breaks a rule; the message says which.
pub const INVALID: &str = "Invalid";
/// A field whose behaviour does not exist yet.
pub const UNSUPPORTED_FIELD: &str = "UnsupportedField";
/// A source that this version cannot take.
pub const UNSUPPORTED_SOURCE: &str = "UnsupportedSource";
/// A ContentServer names a StreamTopology that does not exist.
pub const TOPOLOGY_NOT_FOUND: &str = "TopologyNotFound";
/// A StreamTopology that no ContentServer feeds.
pub const NO_CONTENT_SERVERS: &str = "NoContentServers";
/// The same content twice within one server.
pub const DUPLICATE_CONTENT: &str = "DuplicateContent";
/// A tier can feed fewer relays than the next tier has.
pub const FAN_OUT_TOO_SMALL: &str = "FanOutTooSmall";
/// A name is taken by something that is not ours.
pub const NAME_CONFLICT: &str = "NameConflict";
/// Two servers offer different bytes under one name.
pub const DIGEST_MISMATCH: &str = "DigestMismatch";
/// A pod template was refused.
pub const INVALID_TEMPLATE: &str = "InvalidTemplate";
/// An origin's clock is more than two seconds off.
pub const CLOCK_SKEW: &str = "ClockSkew";
/// Preparation of a content runs.
pub const PREPARING: &str = "Preparing";
/// Preparation of a content failed.
pub const PREPARATION_FAILED: &str = "PreparationFailed";
/// Another origin was selected.
pub const ORIGIN_RESELECTED: &str = "OriginReselected";
/// Everything is as it should be.
pub const AS_EXPECTED: &str = "AsExpected";
