//! What the operator observed about a topology. The live tree is served by the control plane, never stored here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What was observed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StreamTopologyStatus {
    /// Accepted, RelaysAvailable, OriginReachable, Progressing, Degraded and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Ready members per tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub tiers: Vec<TierStatus>,
    /// Streams and the origin each is carried from, the first 64 by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub streams: Vec<ActiveOrigin>,
    /// Number of all streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub streams_total: Option<i32>,
    /// Ready and wanted members of all tiers, such as 7/9, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub relays: Option<String>,
    /// Origins in use, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub origin: Option<String>,
    /// Address viewers use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub address: Option<String>,
    /// What the scale subresource reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeStatus>,
    /// Generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// Members of one tier.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TierStatus {
    /// Name of the tier.
    #[schemars(length(min = 1, max = 20))]
    pub name: String,
    /// Members wanted.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Members ready.
    #[schemars(range(min = 0))]
    pub ready: i32,
}

/// A stream and the origin it is carried from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ActiveOrigin {
    /// Name of the stream.
    #[schemars(length(min = 1, max = 50))]
    pub name: String,
    /// Root that carries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub carrier: Option<String>,
    /// ContentServer it is carried from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub origin: Option<String>,
}

/// What the scale subresource reads.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EdgeStatus {
    /// Number of edges that exist.
    #[schemars(range(min = 0))]
    pub replicas: i32,
    /// Labels of the edges' pods, as a selector string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
}
