//! The plan: what the planner answers.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::graph::Graph;
use crate::{Cost, Input, PlanError, backups, homes, streams};

/// A member's or stream's name, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Parents for everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Home parent and backups of every relay below the roots.
    pub homes: BTreeMap<Name, Home>,
    /// The tree of every stream.
    pub trees: BTreeMap<Name, Tree>,
}

/// Where a relay belongs, whatever it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The parent; its slot is reserved.
    pub parent: Name,
    /// Cost of the link.
    pub cost_us: Cost,
    /// What that cost is made of.
    pub basis: Basis,
    /// Why this parent.
    pub choice: Choice,
    /// Who comes next, best first.
    pub backups: Vec<Backup>,
}

/// What a cost is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Whether the link was measured; else the cost is assumed from places.
    pub measured: bool,
    /// Tiers between the two, each of which adds to the cost.
    pub skipped_tiers: u32,
}

/// Why a relay has its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// Nobody is nearer.
    Nearest,
    /// Somebody is nearer but has no free slot.
    NearestFree {
        /// The nearer member.
        nearer: Name,
        /// Cost of its link.
        nearer_us: Cost,
    },
    /// Somebody is nearer, but not by enough to move.
    Kept {
        /// The nearer member.
        nearer: Name,
        /// Cost of its link.
        nearer_us: Cost,
    },
}

/// A parent to fall back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The member.
    pub member: Name,
    /// Cost of the link.
    pub cost_us: Cost,
    /// What that cost is made of.
    pub basis: Basis,
    /// What it shares with the parent.
    pub kind: BackupKind,
}

/// What a backup shares with the parent it stands in for. Better kinds come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BackupKind {
    /// Neither zone nor host.
    OtherZone,
    /// The zone.
    OtherHost,
    /// The host.
    SameHost,
    /// A relay of the same tier, for an orphan with nobody else.
    Sibling,
}

/// The tree of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The root that pulls the stream from an origin.
    pub carrier: Name,
    /// Roots that take over, best first.
    pub successors: Vec<Name>,
    /// Content servers that offer it, best first.
    pub origins: Vec<String>,
    /// Parents of all members that carry it, but for the carrier.
    pub joins: BTreeMap<Name, Join>,
}

/// How a member joins a stream's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Join {
    /// At its home parent.
    Home(Name),
    /// At the carrier, past another root that is its home.
    Carrier(Name),
    /// A root, at the carrier or at a root that reaches it.
    Root(Name),
}

impl Join {
    /// The parent.
    pub fn parent(&self) -> &Name {
        match self {
            Self::Home(parent) | Self::Carrier(parent) | Self::Root(parent) => parent,
        }
    }
}

/// Plans everything anew, staying close to the previous plan.
pub fn plan(input: &Input, previous: Option<&Plan>) -> Result<Plan, PlanError> {
    let graph = Graph::new(input)?;
    let mut before: Vec<Option<&Home>> = vec![None; graph.len() as usize];
    for (relay, home) in previous.iter().flat_map(|previous| &previous.homes) {
        if let Some(id) = graph.find(relay.as_str()) {
            before[id as usize] = Some(home);
        }
    }
    let slots = homes::assign(&graph, &input.rules, &before)?;
    let trees = streams::trees(&graph, &slots, input, previous)?;
    let mut ranked = backups::rank(&graph, &slots, &input.rules, &before);
    let homes = graph
        .below_roots()
        .map(|relay| {
            let parent = slots
                .parent(relay)
                .ok_or_else(|| graph.unreachable(relay))?;
            let home = Home {
                parent: graph.name(parent).clone(),
                cost_us: graph.cost(relay, parent).unwrap_or(Cost::MAX),
                basis: graph.basis(relay, parent),
                choice: homes::choice(&graph, &slots, relay, parent),
                backups: std::mem::take(&mut ranked[relay as usize]),
            };
            Ok((graph.name(relay).clone(), home))
        })
        .collect::<Result<_, PlanError>>()?;
    Ok(Plan { homes, trees })
}

impl Plan {
    /// The parent of a member in a stream's tree; `None` for the carrier and for members that do not carry it.
    pub fn parent(&self, stream: &str, member: &str) -> Option<&Name> {
        self.trees.get(stream)?.joins.get(member).map(Join::parent)
    }

    /// Parents of a relay whatever it carries, best first: home, then backups.
    pub fn ranked_parents(&self, member: &str) -> Vec<&Name> {
        let Some(home) = self.homes.get(member) else {
            return Vec::new();
        };
        std::iter::once(&home.parent)
            .chain(home.backups.iter().map(|backup| &backup.member))
            .collect()
    }

    /// Parents of a member for one stream, best first; empty when it does not carry it or is its carrier.
    pub fn ranked_parents_of(&self, stream: &str, member: &str) -> Vec<&Name> {
        let Some(tree) = self.trees.get(stream) else {
            return Vec::new();
        };
        let Some(join) = tree.joins.get(member) else {
            return Vec::new();
        };
        let mut ranked = vec![join.parent()];
        let others = match join {
            Join::Root(_) => tree
                .successors
                .iter()
                .filter(|root| root.as_str() != member)
                .collect(),
            Join::Home(_) | Join::Carrier(_) => self.ranked_parents(member),
        };
        ranked.extend(others.into_iter().filter(|other| *other != join.parent()));
        ranked
    }

    /// How many relays have another home than in `before`; relays that are only in one of the plans do not count.
    pub fn moved_since(&self, before: &Plan) -> usize {
        let moved = |(name, home): &(&Name, &Home)| {
            before
                .homes
                .get(*name)
                .is_some_and(|old| old.parent != home.parent)
        };
        self.homes.iter().filter(moved).count()
    }
}

// === impl Name ===

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(String::deserialize(deserializer)?.into()))
    }
}
