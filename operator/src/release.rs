//! The release of the operator that builds: what no custom resource says.

/// One installation of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its name, which is also the name of its Service.
    pub name: String,
    /// Where it runs.
    pub namespace: String,
    /// Version of the code.
    pub version: String,
    /// Default images.
    pub images: Images,
}

/// Images of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Of roots, relays and edges.
    pub relay: String,
    /// Of content servers.
    pub origin: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
}

impl Release {
    /// URI by which members reach the control plane.
    pub fn control(&self) -> String {
        format!("http://{}.{}.svc:{GRPC_PORT}", self.name, self.namespace)
    }
}

/// Port of gRPC, of members and of the operator.
pub const GRPC_PORT: u16 = 7400;
/// Port of HTTP, of members and of the operator's page and API.
pub const HTTP_PORT: u16 = 8080;
/// Port of the operator's health, readiness and metrics.
pub const HEALTH_PORT: u16 = 8081;
