//! Services: a headless one for the roots, one for viewers.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::Owner;
use super::{TopologyInput, labels, names};
use crate::release::{GRPC_PORT, Release};

/// Content servers dial every root, also one that is not ready: a root becomes ready through them.
pub(super) fn roots(owner: &Owner, release: &Release) -> Service {
    let mut all = labels::of_topology(&owner.name, release);
    all.insert(banyan_api::labels::COMPONENT.to_owned(), "root".to_owned());
    Service {
        metadata: owner.child(names::roots(&owner.name), all),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::tier_selector(&owner.name, banyan_api::names::ROOT)),
            ports: Some(vec![ServicePort {
                name: Some("grpc".to_owned()),
                port: i32::from(GRPC_PORT),
                target_port: Some(IntOrString::String("grpc".to_owned())),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("kubernetes.io/h2c".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

pub(super) fn viewers(owner: &Owner, input: &TopologyInput<'_>) -> Service {
    let wanted = &input.object.spec.edge.service;
    let mut all = labels::of_topology(&owner.name, input.release);
    all.insert(banyan_api::labels::COMPONENT.to_owned(), "edge".to_owned());
    let mut metadata = owner.child(names::viewers(&owner.name), all);
    if !wanted.annotations.is_empty() {
        metadata.annotations = Some(wanted.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(word(wanted.type_)),
            selector: Some(labels::tier_selector(&owner.name, banyan_api::names::EDGE)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: wanted.port,
                target_port: Some(IntOrString::String("http".to_owned())),
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("http".to_owned()),
                ..ServicePort::default()
            }]),
            load_balancer_class: wanted.load_balancer_class.clone(),
            external_traffic_policy: wanted.external_traffic_policy.map(word),
            ip_family_policy: wanted.ip_family_policy.map(word),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// An enumeration as Kubernetes writes it, which is as the manifest writes it.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("an enumeration of words must be a text, not {other:?}"),
    }
}
