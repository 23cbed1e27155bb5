//! What the manifests mean: resolved values with units. Code after validation sees only this.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A StreamTopology, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Object name.
    pub name: String,
    /// Namespace; `default` when the manifest names none.
    pub namespace: String,
    /// How streams are cut.
    pub packaging: Packaging,
    /// How the carrier root selects among origins.
    pub selection: Selection,
    /// All tiers from the roots (first) to the edges (last); never fewer than these two.
    pub tiers: Vec<Tier>,
    /// Most viewer sessions per edge; `None` means no limit.
    pub max_sessions: Option<u32>,
    /// Who may be connected to whom, by slot and both ways; `None` = everybody (strategy Automatic).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbors: Option<BTreeMap<String, BTreeSet<String>>>,
    /// The network below, where the manifest tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underlay: Option<Underlay>,
}

/// The network below the overlay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underlay {
    /// In manifest order, names unique.
    pub nodes: Vec<Node>,
    /// Between them, in manifest order.
    pub links: Vec<UnderlayLink>,
}

/// One node of the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is drawn: pixels from the left, from the top.
    pub position: Option<(u32, u32)>,
    /// Region it lies in.
    pub region: Option<String>,
    /// Slot, ContentServer or `control` that runs here.
    pub member: Option<String>,
    /// Streams that viewers here watch.
    pub watches: Vec<String>,
}

/// A link between two nodes; its properties hold in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderlayLink {
    /// Names of the nodes at its ends.
    pub ends: (String, String),
    /// Rate in bit/s; `None` = not limited.
    pub bandwidth_bps: Option<u64>,
    /// One-way delay in microseconds.
    pub delay_us: u64,
    /// Variation of the delay in microseconds.
    pub jitter_us: u64,
    /// Packets lost of a hundred thousand.
    pub loss_per_100k: u32,
    /// Queue in bytes; `None` = as the testbed has it.
    pub buffer_bytes: Option<u64>,
}

pub use crate::stream_topology::NodeKind;

/// How streams are cut, in integer units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packaging {
    /// Nominal segment duration in milliseconds.
    pub segment_ms: u32,
    /// Nominal part duration in milliseconds.
    pub part_ms: u32,
    /// Segments a playlist lists.
    pub window_segments: u32,
}

/// How origins are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Shares of the score; they sum to 100.
    pub weights: Weights,
    /// Time between two beats of an origin in milliseconds.
    pub heartbeat_interval_ms: u32,
    /// Beats that may be missed before an idle origin counts as silent.
    pub missed_heartbeats: u32,
    /// How much better, in percent, a challenger must be.
    pub hysteresis_percent: u32,
    /// For how long it must be better, in milliseconds.
    pub minimum_dwell_ms: u32,
}

/// Shares of the origin score, in percent, summing to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Share of latency.
    pub latency: u32,
    /// Share of loss.
    pub loss: u32,
    /// Share of load.
    pub load: u32,
}

/// What the members of a tier do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TierKind {
    /// Rendezvous members: origins beat to them, carriers are chosen among them.
    Root,
    /// Relays between roots and edges.
    Interior,
    /// Relays that serve viewers.
    Edge,
}

/// One tier of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// `root`, the interior tier's name, or `edge`.
    pub name: String,
    /// What its members do.
    pub kind: TierKind,
    /// Number of members wanted.
    pub replicas: u32,
    /// Child relays one member may feed; 0 for edges.
    pub fan_out: u32,
    /// The slots of the members that exist, where a world knows them, ascending; `None` means all of `0..replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<Vec<u32>>,
}

impl Tier {
    /// The members' slot names in order.
    pub fn members(&self) -> impl Iterator<Item = String> + '_ {
        let all = match &self.slots {
            None => 0..self.replicas,
            Some(_) => 0..0,
        };
        let listed = self.slots.iter().flatten().copied();
        all.chain(listed)
            .map(|index| crate::names::slot(&self.name, index))
    }
}

impl Topology {
    /// The roots' tier.
    pub fn roots(&self) -> &Tier {
        &self.tiers[0]
    }

    /// The edges' tier.
    pub fn edges(&self) -> &Tier {
        &self.tiers[self.tiers.len() - 1]
    }

    /// Interior tiers, top down.
    pub fn interior(&self) -> &[Tier] {
        &self.tiers[1..self.tiers.len() - 1]
    }
}

/// A ContentServer, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Object name, which is also the member's name.
    pub name: String,
    /// Namespace; `default` when the manifest names none.
    pub namespace: String,
    /// The StreamTopology it feeds.
    pub topology: String,
    /// What it offers, in manifest order.
    pub contents: Vec<Content>,
}

/// One content of a server; its name is the stream's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Stream name.
    pub name: String,
    /// What viewers read; the name when the manifest gives no title.
    pub title: String,
    /// Where the media comes from.
    pub source: Source,
    /// Encoded variants; empty means one at the source's size.
    pub renditions: Vec<Rendition>,
}

/// Where media comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A file below the server's media root, played as a live loop.
    File {
        /// Relative path with forward slashes, without `..`.
        path: String,
    },
    /// A generated picture and tone.
    Test {
        /// What the picture shows.
        pattern: Pattern,
        /// Length of one loop in milliseconds.
        duration_ms: u64,
    },
}

pub use crate::content_server::Pattern;

/// One encoded variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendition {
    /// Track name.
    pub name: String,
    /// Picture height in lines; the width follows the source's shape.
    pub height: u32,
    /// Video bit rate in bit/s.
    pub video_bitrate_bps: u64,
    /// Audio bit rate in bit/s.
    pub audio_bitrate_bps: u64,
}
