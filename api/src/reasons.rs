//! Reasons, used alike in conditions, events, metrics and logs. PascalCase, never changed in meaning.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $text;)+

        /// Every reason and what it means, in the order of this file.
        pub const ALL: &[(&str, &str)] = &[$(($text, concat!($($doc),+))),+];
    };
}

reasons! {
    /// The spec is accepted.
    VALID = "Valid";
    /// The spec breaks a rule; the message says which.
    INVALID = "Invalid";
    /// A field whose behaviour does not exist yet.
    UNSUPPORTED_FIELD = "UnsupportedField";
    /// A source that this version cannot take.
    UNSUPPORTED_SOURCE = "UnsupportedSource";
    /// A ContentServer names a StreamTopology that does not exist.
    TOPOLOGY_NOT_FOUND = "TopologyNotFound";
    /// A StreamTopology that no ContentServer feeds.
    NO_CONTENT_SERVERS = "NoContentServers";
    /// The same content twice within one server.
    DUPLICATE_CONTENT = "DuplicateContent";
    /// A tier can feed fewer relays than the next tier has.
    FAN_OUT_TOO_SMALL = "FanOutTooSmall";
    /// A name is taken by something that is not ours.
    NAME_CONFLICT = "NameConflict";
    /// Two servers offer different bytes under one name.
    DIGEST_MISMATCH = "DigestMismatch";
    /// A pod template was refused.
    INVALID_TEMPLATE = "InvalidTemplate";
    /// An origin's clock is more than two seconds off.
    CLOCK_SKEW = "ClockSkew";
    /// Preparation of a content runs.
    PREPARING = "Preparing";
    /// Preparation of a content failed.
    PREPARATION_FAILED = "PreparationFailed";
    /// Another origin was selected.
    ORIGIN_RESELECTED = "OriginReselected";
    /// Everything is as it should be.
    AS_EXPECTED = "AsExpected";
    /// The object is new or changed, and nothing is known of the result yet.
    PENDING = "Pending";
    /// Members have not reported since this operator took over.
    MEMBERS_UNKNOWN = "MembersUnknown";
    /// A tier that should have members has no ready one.
    TIER_UNAVAILABLE = "TierUnavailable";
    /// Fewer members are ready than wanted, and no change is the cause.
    MEMBERS_MISSING = "MembersMissing";
    /// Pods are being brought to their spec.
    ROLLING_OUT = "RollingOut";
    /// A roll has made no progress for too long.
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded";
    /// `spec.paused` holds the operator back.
    PAUSED = "Paused";
    /// A stream that no reachable content server offers.
    NO_ORIGIN = "NoOrigin";
    /// No root hears the content server.
    SILENT = "Silent";
    /// A content server is leaving.
    DRAINING = "Draining";
    /// An image cannot be pulled.
    IMAGE_PULL_FAILED = "ImagePullFailed";
    /// No Node can take a pod, or a volume of it is missing.
    UNSCHEDULABLE = "Unschedulable";
    /// The API server refuses pods, mostly for a quota.
    PODS_REFUSED = "PodsRefused";
    /// A container cannot be started.
    CONTAINER_NOT_STARTED = "ContainerNotStarted";
    /// A container keeps ending.
    CONTAINER_FAILING = "ContainerFailing";
    /// The operator lacks a right; the message names the verb and the resource.
    FORBIDDEN = "Forbidden";
    /// The API server did not take a change; it is tried again.
    APPLY_FAILED = "ApplyFailed";
    /// A newer pod template waits for a change of the spec.
    UPDATE_AVAILABLE = "UpdateAvailable";
    /// Another release of the operator holds the namespace.
    OTHER_RELEASE = "OtherRelease";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn reasons_are_pascal_case_unique_and_explained() {
        let mut seen = std::collections::BTreeSet::new();
        for (reason, meaning) in ALL {
            assert!(seen.insert(reason), "{reason} twice");
            assert!(
                reason.starts_with(|c: char| c.is_ascii_uppercase()),
                "{reason}"
            );
            assert!(
                reason.chars().all(|c| c.is_ascii_alphanumeric()),
                "{reason}"
            );
            let meaning = meaning.trim();
            assert!(
                meaning.ends_with('.') && meaning.len() > 10,
                "{reason}: {meaning}"
            );
        }
    }
}
