//! The edges: how many, how viewers reach them, how they scale.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pod::PodSettings;
use crate::quantity::{BitRate, TimeSpan};

/// The edges.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Number of edges; the scale subresource points here.
    #[serde(default = "Edge::default_replicas")]
    #[schemars(range(min = 0, max = 10000))]
    pub replicas: i32,
    /// Most viewer sessions per edge; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_sessions: Option<i32>,
    /// The Service viewers use.
    #[serde(default)]
    pub service: Service,
    /// Address that viewers use instead of the Service's own, such as https://live.example.org.
    #[serde(default, rename = "publicURL", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
    )]
    pub public_url: Option<String>,
    /// Scaling by load; absent means replicas stay as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// Settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,
    /// How long a leaving edge keeps serving, at most 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("drainTimeout must be at most 1h"))]
    pub drain_timeout: Option<TimeSpan>,
}

impl Edge {
    fn default_replicas() -> i32 {
        2
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            replicas: Self::default_replicas(),
            max_sessions: None,
            service: Service::default(),
            public_url: None,
            autoscale: None,
            pod: None,
            drain_timeout: None,
        }
    }
}

/// The Service viewers use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("loadBalancerClass is accepted only with type LoadBalancer").field_path(".loadBalancerClass"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("externalTrafficPolicy is accepted only with type NodePort or LoadBalancer")
        .field_path(".externalTrafficPolicy")
)]
pub struct Service {
    /// Kind of Service.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Port of the Service.
    #[serde(default = "Service::default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Annotations of the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::annotation_map")]
    pub annotations: BTreeMap<String, String>,
    /// Which load balancer implementation serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 316))]
    pub load_balancer_class: Option<String>,
    /// Whether traffic may cross Nodes on its way in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Which IP families it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
}

impl Service {
    fn default_port() -> i32 {
        80
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            type_: ServiceType::default(),
            port: Self::default_port(),
            annotations: BTreeMap::new(),
            load_balancer_class: None,
            external_traffic_policy: None,
            ip_family_policy: None,
        }
    }
}

/// Kind of Service.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    #[default]
    /// Reachable inside the cluster.
    ClusterIP,
    /// Reachable at a port of every Node.
    NodePort,
    /// Reachable through a load balancer.
    LoadBalancer,
}

/// Whether traffic may cross Nodes on its way in.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalTrafficPolicy {
    /// Any Node passes it on.
    Cluster,
    /// Only Nodes with an edge take it; the viewer's address stays visible.
    Local,
}

/// Which IP families a Service has.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamilyPolicy {
    /// One family.
    SingleStack,
    /// Two where the cluster has them.
    PreferDualStack,
    /// Two.
    RequireDualStack,
}

/// Scaling of the edges by load.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas must not exceed maxReplicas").field_path(".minReplicas"),
    validation = Rule::new("has(self.targetSessions) != has(self.targetEgress)")
        .message("autoscale must have exactly one of targetSessions or targetEgress")
)]
pub struct Autoscale {
    /// Fewest edges.
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
    /// Most edges.
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: i32,
    /// Viewer sessions one edge should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_sessions: Option<i32>,
    /// Egress one edge should have, such as 400M.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_egress: Option<BitRate>,
}
