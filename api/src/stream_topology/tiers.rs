//! Roots and interior tiers.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::pod::PodSettings;
use crate::quantity::TimeSpan;

/// The roots.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rendezvous {
    /// Number of roots.
    #[serde(default = "Rendezvous::default_replicas")]
    #[schemars(range(min = 1, max = 16))]
    pub replicas: i32,
    /// Child relays one root may feed.
    #[serde(default = "default_fan_out")]
    #[schemars(range(min = 1, max = 1024))]
    pub fan_out: i32,
    /// Settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
    /// How long a leaving root keeps serving, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("drainTimeout must be at most 1h"))]
    pub drain_timeout: Option<TimeSpan>,
}

impl Rendezvous {
    fn default_replicas() -> i32 {
        2
    }
}

impl Default for Rendezvous {
    fn default() -> Self {
        Self {
            replicas: Self::default_replicas(),
            fan_out: default_fan_out(),
            pod: None,
            drain_timeout: None,
        }
    }
}

/// One interior tier.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['root', 'edge', 'control', 'origin'])")
        .message("name must not be root, edge, control or origin: other members have these names").field_path(".name")
)]
pub struct RelayTier {
    /// Name of the tier; its members are `<name>-<n>`.
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Number of relays.
    #[schemars(range(min = 1, max = 10000))]
    pub replicas: i32,
    /// Child relays one relay may feed.
    #[serde(default = "default_fan_out")]
    #[schemars(range(min = 1, max = 1024))]
    pub fan_out: i32,
    /// Settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
    /// How long a leaving relay keeps serving, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("drainTimeout must be at most 1h"))]
    pub drain_timeout: Option<TimeSpan>,
}

fn default_fan_out() -> i32 {
    16
}
