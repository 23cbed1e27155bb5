//! The release of the operator that builds: what no custom resource says.

use k8s_openapi::api::core::v1::PodTemplateSpec;

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
    /// Labels that this build gives every member's pod, beside those that find it. The product's own build has none;
    /// `examples/later.rs` is one that has.
    pub pod_labels: &'static [(&'static str, &'static str)],
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

    /// A member's pod template with this build's labels.
    pub(crate) fn labelled(&self, mut template: PodTemplateSpec) -> PodTemplateSpec {
        if !self.pod_labels.is_empty() {
            let metadata = template.metadata.get_or_insert_default();
            let labels = metadata.labels.get_or_insert_default();
            for (key, value) in self.pod_labels {
                labels.insert((*key).to_owned(), (*value).to_owned());
            }
        }
        template
    }
}

/// Port of gRPC, of members and of the operator.
pub const GRPC_PORT: u16 = 7400;
/// Port of HTTP, of members and of the operator's page and API.
pub const HTTP_PORT: u16 = 8080;
/// Port of the operator's health, readiness and metrics.
pub const HEALTH_PORT: u16 = 8081;
