//! Who belongs to a topology: the control plane's own configuration, and the only source of roles
//! and addresses. What members say of themselves is never believed over it.

use std::collections::BTreeMap;
use std::fmt;

use banyan_proto::v1;
use serde::{Deserialize, Serialize};

/// What a member does in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The control plane itself.
    Control,
    /// A content server.
    Origin,
    /// A relay of the rendezvous tier.
    Root,
    /// A relay of an interior tier.
    Relay,
    /// A relay that serves viewers.
    Edge,
}

impl Role {
    /// The word used in arguments, reports and views.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Origin => "origin",
            Self::Root => "root",
            Self::Relay => "relay",
            Self::Edge => "edge",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The members of one topology, as the world placed them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Name of the StreamTopology.
    pub topology: String,
    /// Whole Unix seconds; part of the configuration of every stream.
    pub epoch: u64,
    /// In the order of the layout: origins, roots, interior tiers top down, edges.
    pub members: Vec<Entry>,
    /// What the planner starts from; none where everyone's parents are fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<banyan_planner::Input>,
}

/// One member and what it is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Slot, or the content server's name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Name of its tier; empty for content servers.
    #[serde(default)]
    pub tier: String,
    /// Where its gRPC is reached, as a URI.
    pub grpc: String,
    /// Where its HTTP is reached, as a URL without a path.
    pub http: String,
    /// URIs by which it reaches others, where they differ from those that everybody uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dials: BTreeMap<String, String>,
    /// Its dynamic configuration; sent in Welcome and Plan.
    pub config: v1::Config,
}

impl Roster {
    /// The entry called `name`.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.members.iter().find(|entry| entry.name == name)
    }

    /// All members of one role, in order.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Entry> {
        self.members.iter().filter(move |entry| entry.role == role)
    }
}
