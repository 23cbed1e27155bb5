//! Arguments and environment of the `banyan-operator` executable.

use std::net::SocketAddr;

use clap::Parser;

use crate::release::{Images, Release};

/// Runs content servers and relay trees in a Kubernetes cluster.
#[derive(Clone, Debug, Parser)]
#[command(name = "banyan-operator", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Namespace the operator runs in
    #[arg(long, env = "BANYAN_NAMESPACE")]
    pub namespace: String,
    /// Name of the release, which is also the name of its Service
    #[arg(long, env = "BANYAN_RELEASE", default_value = "banyan")]
    pub release: String,
    /// This replica's own name, for leader election and standbys' answers
    #[arg(long, env = "BANYAN_POD_NAME")]
    pub pod_name: String,
    /// This replica's own address, told to members by standbys
    #[arg(long, env = "BANYAN_POD_IP")]
    pub pod_ip: std::net::IpAddr,
    /// The only namespace to watch [default: all]
    #[arg(long, env = "BANYAN_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,
    /// Namespace of the Lease in which operators of one scope meet [default: the watched namespace, or kube-system]
    #[arg(long, env = "BANYAN_LEASE_NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Image of relays
    #[arg(long, env = "BANYAN_RELAY_IMAGE")]
    pub relay_image: String,
    /// Image of content servers
    #[arg(long, env = "BANYAN_ORIGIN_IMAGE")]
    pub origin_image: String,
    /// When images are pulled: Always, IfNotPresent or Never
    #[arg(long, env = "BANYAN_IMAGE_PULL_POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,
    /// Address for members
    #[arg(long, env = "BANYAN_GRPC", default_value = "0.0.0.0:7400")]
    pub grpc: SocketAddr,
    /// Address of the page and the API
    #[arg(long, env = "BANYAN_HTTP", default_value = "0.0.0.0:8080")]
    pub http: SocketAddr,
    /// Address of health, readiness and metrics
    #[arg(long, env = "BANYAN_HEALTH", default_value = "0.0.0.0:8081")]
    pub health: SocketAddr,
}

const EXAMPLES: &str = "Example:
  banyan-operator --namespace banyan-system --pod-name banyan-0 --pod-ip 10.0.0.7 \\
    --relay-image registry.example.org/banyan-relay:0.1.0 --origin-image registry.example.org/banyan-origin:0.1.0";

/// Where operators that watch all namespaces meet.
const CLUSTER_LEASE_NAMESPACE: &str = "kube-system";

impl Arguments {
    /// Namespace of the Lease.
    pub fn lease_namespace(&self) -> &str {
        let namespace = self
            .lease_namespace
            .as_ref()
            .or(self.watch_namespace.as_ref());
        namespace.map_or(CLUSTER_LEASE_NAMESPACE, String::as_str)
    }

    /// Namespace of the Lease of releases that watch all namespaces, for one that watches a single one.
    pub fn wider_lease_namespace(&self) -> Option<&'static str> {
        let single = self.watch_namespace.is_some();
        (single && self.lease_namespace() != CLUSTER_LEASE_NAMESPACE)
            .then_some(CLUSTER_LEASE_NAMESPACE)
    }

    /// What builders need to know of the release; `pod_labels` are the build's own.
    pub fn release(&self, pod_labels: &'static [(&'static str, &'static str)]) -> Release {
        Release {
            name: self.release.clone(),
            namespace: self.namespace.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            images: Images {
                relay: self.relay_image.clone(),
                origin: self.origin_image.clone(),
                pull_policy: self.image_pull_policy.clone(),
            },
            pod_labels,
        }
    }
}
