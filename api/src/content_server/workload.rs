//! Where a content server's origin runs.

use std::borrow::Cow;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::pod::PodSettings;
use crate::quantity::{ByteSize, TimeSpan};

/// Where the origin runs: exactly one member is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.managed), has(self.sidecar), has(self.external)].filter(x, x).size() == 1")
        .message("workload must have exactly one of managed, sidecar or external")
)]
pub struct Workload {
    /// A pod that the operator builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,
    /// The user's own media-server pod, which the origin joins as a native sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar: Option<Sidecar>,
    /// A server outside the cluster, which dials in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            managed: Some(Managed::default()),
            sidecar: None,
            external: None,
        }
    }
}

/// A pod that the operator builds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Managed {
    /// Volume with the media files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaVolume>,
    /// Where prepared assets are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Settings of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
    /// How long a leaving origin keeps serving, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("drainTimeout must be at most 1h"))]
    pub drain_timeout: Option<TimeSpan>,
}

/// A volume with media files, mounted read-only.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MediaVolume {
    /// Name of a PersistentVolumeClaim in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub persistent_volume_claim: String,
}

/// Where prepared assets are kept: exactly one member is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.size) != has(self.persistentVolumeClaim)")
        .message("cache must have exactly one of size or persistentVolumeClaim")
)]
pub struct Cache {
    /// Size of an emptyDir, such as 20Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// Name of a PersistentVolumeClaim in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub persistent_volume_claim: Option<String>,
}

/// The user's own media-server pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// The pod, as in a Deployment's `spec.template`; checked by a server dry run.
    pub pod_template: PodTemplate,
    /// Name of the volume in that template which holds the media files.
    #[schemars(length(min = 1, max = 63))]
    pub media_volume: String,
    /// Where prepared assets are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
}

/// A server outside the cluster, which dials in.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct External {}

/// A pod template kept as it was written.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(transparent)]
pub struct PodTemplate(pub serde_json::Value);

impl JsonSchema for PodTemplate {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
    }
}
