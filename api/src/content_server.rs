//! The ContentServer resource: one logical content server, the contents it offers and where it runs.
//!
//! Redundancy is a second ContentServer with the same content name. Unions are structs of optional members of which
//! CEL demands exactly one; rules that compare with the old object stand on the parent of what may be added or removed.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

mod source;
mod status;
mod workload;

pub use source::{
    Content, FileMode, FileSource, Pattern, Rendition, Source, TestSource, UrlSource,
};
pub use status::{ContentServerState, ContentServerStatus, ContentStatus};
pub use workload::{Cache, External, Managed, MediaVolume, PodTemplate, Sidecar, Workload};

/// One logical content server: the contents it offers to a topology and how its origin runs.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "banyan.media",
    version = "v1alpha1",
    kind = "ContentServer",
    namespaced,
    status = "ContentServerStatus",
    shortname = "csrv",
    category = "banyan",
    doc = "One logical content server: the contents it offers to a StreamTopology and how its origin runs.",
    derive = "PartialEq",
    selectable = ".spec.topology",
    printcolumn(
        name = "TOPOLOGY",
        type_ = "string",
        json_path = ".spec.topology",
        description = "StreamTopology it feeds"
    ),
    printcolumn(
        name = "METRIC",
        type_ = "integer",
        json_path = ".status.metric",
        description = "Selection metric, lower is better"
    ),
    printcolumn(
        name = "CONTENTS",
        type_ = "string",
        json_path = ".status.contentNames",
        description = "Contents it offers"
    ),
    printcolumn(
        name = "STATE",
        type_ = "string",
        json_path = ".status.state",
        description = "Derived from the conditions"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Why it is or is not ready"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("metadata.name must have at most 40 characters"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be a DNS label: lower-case letters, digits and inner dashes"),
    validation = Rule::new("self.metadata.name != 'control' && !self.metadata.name.matches('^(root|edge)-[0-9]+$')")
        .message("metadata.name must not be control, root-<n> or edge-<n>: members of a topology have these names"),
    cel
)]
#[serde(rename_all = "camelCase")]
pub struct ContentServerSpec {
    /// Name of the StreamTopology in the same namespace that this server feeds.
    #[schemars(
        length(min = 1, max = 40),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub topology: String,

    /// What this server offers. A content's name is the name of its stream; another server offering the same name is
    /// its redundancy.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub contents: Vec<Content>,

    /// Where the origin runs: in a workload of its own or beside the user's media server.
    #[serde(default)]
    pub workload: Workload,
}
