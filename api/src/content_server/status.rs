//! What the operator observed about a content server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was observed; only the ContentServer controller writes it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContentServerStatus {
    /// Accepted, Prepared, Reachable and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Derived from the conditions, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ContentServerState>,
    /// Selection metric, lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub metric: Option<i32>,
    /// Contents it offers, separated by commas, for display.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub content_names: Option<String>,
    /// What is known of each content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub contents: Vec<ContentStatus>,
    /// Generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
}

/// A content server in one word.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentServerState {
    #[default]
    /// Nothing was heard from it yet, or reports are stale.
    Unknown,
    /// It offers all its contents.
    Active,
    /// It offers some of its contents.
    Degraded,
    /// No root hears it.
    Unreachable,
}

/// What is known of one content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ContentStatus {
    /// Name of the content.
    #[schemars(length(min = 1, max = 50))]
    pub name: String,
    /// Digest of the content's bytes, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub digest: Option<String>,
    /// Whether enough of it is prepared to be offered.
    #[serde(default)]
    pub prepared: bool,
    /// Share that is prepared, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub progress_percent: Option<i32>,
    /// Why it is not offered, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
