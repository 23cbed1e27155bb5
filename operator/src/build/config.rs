//! ConfigMaps of fallback configurations: what a member boots with when the control plane does not answer.
//!
//! Mounted as a whole folder, so that the kubelet keeps them fresh, and in no hash: a change rolls nothing.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::owner::Owner;
use super::{ServerInput, TopologyInput, labels, names};

pub(super) fn topology(owner: &Owner, input: &TopologyInput<'_>) -> ConfigMap {
    config(
        owner,
        names::config(&owner.name),
        labels::of_topology(&owner.name, input.release),
        input.configs,
    )
}

pub(super) fn server(owner: &Owner, input: &ServerInput<'_>) -> ConfigMap {
    config(
        owner,
        names::server(&owner.name),
        labels::of_server(&owner.name, &input.object.spec.topology, input.release),
        input.configs,
    )
}

fn config(
    owner: &Owner,
    name: String,
    labels: BTreeMap<String, String>,
    data: &BTreeMap<String, String>,
) -> ConfigMap {
    ConfigMap {
        metadata: owner.child(name, labels),
        data: Some(data.clone()),
        ..ConfigMap::default()
    }
}
