//! What the members' side is told of a topology.

use std::collections::BTreeMap;

use banyan_api::{ContentServer, StreamTopology};
use kube::ResourceExt;

use super::Found;
use super::validate::Valid;
use crate::autoscale;
use crate::members::Desired;

/// What members are to make of this topology and its servers.
pub(super) fn desired(found: &Found<'_>, valid: &Valid) -> Desired {
    let created = found.object.metadata.creation_timestamp.as_ref();
    Desired {
        topology: valid.model.clone(),
        servers: valid.servers.clone(),
        epoch: created.map_or(0, |time| u64::try_from(time.0.as_second()).unwrap_or(0)),
        accounts: tiers(found.object)
            .chain(found.servers.iter().filter_map(server))
            .collect::<BTreeMap<String, String>>(),
        public_url: found.object.spec.edge.public_url.clone(),
        autoscale: autoscale::Rule::of(found.object),
    }
}

/// Service accounts that users named, by tier.
fn tiers(object: &StreamTopology) -> impl Iterator<Item = (String, String)> + '_ {
    let spec = &object.spec;
    let inner = spec
        .relays
        .iter()
        .map(|tier| (tier.name.as_str(), &tier.pod));
    std::iter::once((banyan_api::names::ROOT, &spec.rendezvous.pod))
        .chain(inner)
        .chain(std::iter::once((banyan_api::names::EDGE, &spec.edge.pod)))
        .filter_map(|(tier, pod)| {
            let account = pod.as_ref()?.service_account_name.clone()?;
            Some((tier.to_owned(), account))
        })
}

/// The service account that the user named for a server.
fn server(server: &ContentServer) -> Option<(String, String)> {
    let workload = &server.spec.workload;
    let managed = workload.managed.as_ref().and_then(|managed| {
        let pod = managed.pod.as_ref()?;
        pod.service_account_name.clone()
    });
    let sidecar = workload.sidecar.as_ref().and_then(|sidecar| {
        let template = &sidecar.pod_template.0;
        let account = template.pointer("/spec/serviceAccountName")?.as_str()?;
        Some(account.to_owned())
    });
    Some((server.name_any(), managed.or(sidecar)?))
}
