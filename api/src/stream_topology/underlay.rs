//! The network below the overlay, as testbeds build it.
//!
//! Cross-references (a link's ends, a node's member) are checked by code, not by CEL: the cost of a pairwise rule over
//! hundreds of entries would exceed what an API server allows.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{BitRate, ByteSize, LinkDelay, Percentage};

/// The network below.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Underlay {
    /// Hosts, routers, switches and clients.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub nodes: Vec<UnderlayNode>,
    /// Links between them.
    #[serde(default)]
    #[schemars(length(max = 512))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub links: Vec<UnderlayLink>,
}

/// One node of the network.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UnderlayNode {
    /// Name of the node.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Where it is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Region it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// Member that runs here: a slot such as edge-0, a ContentServer's name, or control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub member: Option<String>,
    /// Streams that viewers here watch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 50)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub watches: Vec<String>,
}

/// What a node is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Runs a member.
    Host,
    /// Forwards packets.
    Router,
    /// Forwards frames.
    Switch,
    /// Runs viewers.
    Client,
}

/// Where a node is drawn.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Pixels from the left.
    #[schemars(range(min = 1, max = 100_000))]
    pub x: i32,
    /// Pixels from the top. Write the key as "y", in quotes: kubectl and helm read a bare y as the boolean true.
    #[schemars(range(min = 1, max = 100_000))]
    pub y: i32,
}

/// A link between two nodes; its properties hold in both directions.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UnderlayLink {
    /// Names of the two nodes.
    #[schemars(length(min = 2, max = 2), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ends: Vec<String>,
    /// Rate, such as 10M; unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<BitRate>,
    /// One-way delay, such as 12ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<LinkDelay>,
    /// Variation of the delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<LinkDelay>,
    /// Share of packets lost, such as 0.5%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Percentage>,
    /// Size of the queue in bytes, such as 64Ki.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<ByteSize>,
}
