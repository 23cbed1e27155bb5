//! The StreamTopology resource: the tree of roots, relays and edges, and the rules it runs by.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod edge;
mod policy;
mod status;
mod tiers;
mod underlay;

pub use edge::{Autoscale, Edge, ExternalTrafficPolicy, IpFamilyPolicy, Service, ServiceType};
pub use policy::{OriginSelection, Packaging, Weights};
pub use status::{ActiveOrigin, EdgeStatus, StreamTopologyStatus, TierStatus};
pub use tiers::{RelayTier, Rendezvous};
pub use underlay::{NodeKind, Position, Underlay, UnderlayLink, UnderlayNode};

/// A distribution tree: roots that meet content servers, relays between, edges that serve viewers.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "banyan.media",
    version = "v1alpha1",
    kind = "StreamTopology",
    plural = "streamtopologies",
    namespaced,
    status = "StreamTopologyStatus",
    shortname = "stopo",
    category = "banyan",
    doc = "A distribution tree: roots that meet content servers, relays between, edges that serve viewers.",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.edge.replicas",
        status_replicas_path = ".status.edge.replicas",
        label_selector_path = ".status.edge.selector"
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether viewers are served"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is or is not ready"
    ),
    printcolumn(
        name = "RELAYS",
        type_ = "string",
        json_path = ".status.relays",
        description = "Ready members of all tiers"
    ),
    printcolumn(
        name = "ORIGIN",
        type_ = "string",
        json_path = ".status.origin",
        description = "Origins in use"
    ),
    printcolumn(
        name = "ADDRESS",
        type_ = "string",
        json_path = ".status.address",
        description = "Address viewers use"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name must have at most 40 characters"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label: lower-case letters, digits and inner dashes"),
    cel
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.packaging == oldSelf.packaging")
        .message("packaging is immutable: delete the StreamTopology and make a new one")
        .field_path(".packaging"),
    validation = Rule::new("self.relays.all(r, self.relays.exists_one(o, o.name == r.name))")
        .message("relays must have names of their own")
        .field_path(".relays"),
    validation = Rule::new("self.rendezvous.replicas * self.rendezvous.fanOut >= (size(self.relays) > 0 ? self.relays[0].replicas : self.edge.replicas)")
        .message("rendezvous.replicas x rendezvous.fanOut must be at least the replicas of the next tier")
        .field_path(".rendezvous.fanOut"),
    validation = Rule::new("size(self.relays) == 0 || self.relays[size(self.relays) - 1].replicas * self.relays[size(self.relays) - 1].fanOut >= self.edge.replicas")
        .message("replicas x fanOut of the last relay tier must be at least edge.replicas")
        .field_path(".relays")
)]
pub struct StreamTopologySpec {
    /// How the carrier root of a stream selects among the origins that offer it.
    #[serde(default)]
    pub origin_selection: OriginSelection,
    /// How streams are cut into segments and parts. Immutable.
    #[serde(default)]
    pub packaging: Packaging,
    /// The roots: content servers beat to them, and one of them carries each stream into the tree.
    #[serde(default)]
    pub rendezvous: Rendezvous,
    /// Interior tiers, top down; may be empty.
    #[serde(default)]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub relays: Vec<RelayTier>,
    /// The edges, which serve viewers.
    #[serde(default)]
    pub edge: Edge,
    /// How relays find their parents.
    #[serde(default)]
    pub overlay: Overlay,
    /// The network below, for testbeds; Kubernetes ignores it, the planner uses it as a first guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underlay: Option<Underlay>,
    /// What rolls pods: only a change of this spec, or also a new operator.
    #[serde(default)]
    pub upgrade_policy: UpgradePolicy,
    /// Stops the operator from changing anything but status.
    #[serde(default)]
    pub paused: bool,
}

/// What rolls pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradePolicy {
    #[default]
    /// Only a change of the spec; a newer default image shows as UpdateAvailable.
    OnSpecChange,
    /// Also a new version of the operator.
    WithOperator,
}

/// How relays find their parents.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.strategy == 'Neighbors' ? size(self.neighbors) > 0 : size(self.neighbors) == 0")
        .message("neighbors must be listed for strategy Neighbors and only for it")
        .field_path(".neighbors")
)]
pub struct Overlay {
    /// Automatic: the planner works over measurements. Neighbors: only listed pairs may connect.
    #[serde(default)]
    pub strategy: OverlayStrategy,
    /// Who may connect to whom, by slots; only for strategy Neighbors.
    #[serde(default)]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["member".into()]))]
    pub neighbors: Vec<Neighborhood>,
}

/// How relays find their parents.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlayStrategy {
    #[default]
    /// The planner works over measurements.
    Automatic,
    /// Only listed pairs may connect.
    Neighbors,
}

/// The neighbours of one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Neighborhood {
    /// Slot of the member, such as edge-0.
    #[schemars(length(min = 1, max = 63))]
    pub member: String,
    /// Slots it may connect to.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub peers: Vec<String>,
}
