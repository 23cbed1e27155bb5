//! What the planner is told.

use serde::{Deserialize, Serialize};

/// Everything the planner works on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// All members of the tree.
    pub relays: Vec<Relay>,
    /// What is known of links between them; all others have prior costs.
    #[serde(default)]
    pub links: Vec<Link>,
    /// All streams.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// Which relays want which streams.
    #[serde(default)]
    pub demand: Vec<Demand>,
    /// How eager the planner is.
    #[serde(default)]
    pub rules: Rules,
}

/// One member of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Slot name.
    pub name: String,
    /// 0 for roots, growing towards the edges.
    pub tier: u32,
    /// Failure zone; empty means unknown, and unknown zones are one zone.
    #[serde(default)]
    pub zone: String,
    /// Machine; empty means a machine of its own.
    #[serde(default)]
    pub host: String,
    /// Child relays it may feed.
    pub fan_out: u32,
}

/// What is known of the link between two members; the other direction is taken as equal unless listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The member nearer to the origin, or either.
    pub from: String,
    /// The other member.
    pub to: String,
    /// Round-trip time in microseconds.
    pub rtt_us: u32,
    /// Lost share in permille; 1000 means unreachable.
    #[serde(default)]
    pub loss_permille: u16,
    /// Taken from a description of the network, not measured.
    #[serde(default)]
    pub assumed: bool,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Name.
    pub name: String,
    /// Roots that may carry it, best first; empty means all roots ordered by name. Members rank roots by a hash of their
    /// own (`banyan_proto::carrier::rank`), so a caller who wants the plan to match them fills this.
    #[serde(default)]
    pub carriers: Vec<String>,
    /// Content servers that offer it, best first; passed through to the plan.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// What one relay wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// The relay.
    pub relay: String,
    /// The streams.
    pub streams: Vec<String>,
}

/// How eager the planner is to change what works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A relay moves only when its link gets better by more than this share ...
    pub hysteresis_percent: u32,
    /// ... and by more than this cost.
    pub minimum_gain_us: u32,
    /// Backups from higher tiers per relay; one sibling comes on top as the last resort.
    pub backups: usize,
    /// Whether members of a tier share out their children: who joins or returns is given some. Less than double is even.
    pub balance: bool,
    /// Whether only links of the input exist; those between roots always do.
    pub closed: bool,
}

impl Default for Rules {
    fn default() -> Self {
        // Below 20 % and half a millisecond, differences between measurements are noise; two backups survive the loss
        // of a parent and of one more member before repair needs the control plane.
        Self {
            hysteresis_percent: 20,
            minimum_gain_us: 500,
            backups: 2,
            balance: false,
            closed: false,
        }
    }
}
