//! Why an input cannot be planned.

/// Why an input cannot be planned. Each is one sentence with the thing, the value and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No member stands in tier 0.
    #[error("no relay has tier 0; a tree needs at least one root")]
    NoRoots,
    /// Two relays have one name.
    #[error("relay \"{name}\" is listed twice; accepted is each name once")]
    DuplicateRelay {
        /// The name.
        name: String,
    },
    /// Two streams have one name.
    #[error("stream \"{name}\" is listed twice; accepted is each name once")]
    DuplicateStream {
        /// The name.
        name: String,
    },
    /// One link is listed twice.
    #[error(
        "the link from \"{from}\" to \"{to}\" is listed twice; accepted is each direction once"
    )]
    DuplicateLink {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
    },
    /// A link leads from a relay to itself.
    #[error("a link leads from \"{name}\" to itself; accepted are links between two relays")]
    SelfLink {
        /// The name.
        name: String,
    },
    /// A relay name that is not listed.
    #[error("{place} names relay \"{name}\", which is not listed; accepted are names in relays")]
    UnknownRelay {
        /// What names it.
        place: String,
        /// The name.
        name: String,
    },
    /// A stream name that is not listed.
    #[error("{place} names stream \"{name}\", which is not listed; accepted are names in streams")]
    UnknownStream {
        /// What names it.
        place: String,
        /// The name.
        name: String,
    },
    /// A carrier that is not a root.
    #[error(
        "stream \"{stream}\" has carrier \"{carrier}\", which is in tier {tier}; accepted are roots, in tier 0"
    )]
    CarrierNotRoot {
        /// The stream.
        stream: String,
        /// The relay.
        carrier: String,
        /// Its tier.
        tier: u32,
    },
    /// Loss above everything.
    #[error(
        "the link from \"{from}\" to \"{to}\" has a loss of {loss} permille; accepted is 0 to 1000"
    )]
    Loss {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
        /// What was given.
        loss: u16,
    },
    /// All slots above a relay are taken.
    #[error(
        "relay \"{relay}\" in tier {tier} finds no free slot: the tiers above feed {slots} child relays and {wanted} want one; accepted is a fan-out that is large enough"
    )]
    FanOutTooSmall {
        /// The relay.
        relay: String,
        /// Its tier.
        tier: u32,
        /// Slots of all higher tiers.
        slots: u64,
        /// Relays that want one of them.
        wanted: u64,
    },
    /// Every link to a higher tier loses everything.
    #[error(
        "relay \"{relay}\" in tier {tier} reaches no member of a higher tier with a slot for it; accepted is at least one link with a loss below 1000 permille"
    )]
    Unreachable {
        /// The relay.
        relay: String,
        /// Its tier.
        tier: u32,
    },
    /// A root has no way to a carrier.
    #[error(
        "root \"{root}\" has no link to \"{carrier}\", which carries stream \"{stream}\"; accepted is at least one path over roots"
    )]
    RootUnreachable {
        /// The stream.
        stream: String,
        /// The root.
        root: String,
        /// The carrier.
        carrier: String,
    },
}
