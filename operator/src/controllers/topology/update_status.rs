//! A topology's status.

use banyan_api::validate::Refusal;
use banyan_api::{ContentServer, StreamTopology, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use crate::apply::Error;
use crate::build::names;
use crate::conditions::topology::{Facts, Seen, status};
use crate::conditions::{Failure, Sight, Workload};
use crate::context::Context;
use crate::events::{Happening, transitions};

/// What the steps before found.
pub(super) struct Outcome<'a> {
    pub(super) refusals: &'a [Refusal],
    pub(super) failures: &'a [Failure],
    pub(super) updates: &'a [String],
    pub(super) seen: Sight<&'a Seen>,
}

/// Writes the status, if it says something new.
pub(super) async fn update(
    object: &StreamTopology,
    outcome: &Outcome<'_>,
    context: &Context,
) -> Result<(), Error> {
    let (namespace, name) = crate::controllers::key(object);
    let stored = context
        .topology_statuses
        .stored(object, object.status.as_ref());
    let object = StreamTopology {
        status: stored.clone(),
        ..object.clone()
    };
    let servers = context.caches.feeding(&namespace, &name);
    let servers: Vec<&ContentServer> = servers.iter().collect();
    let service = context
        .caches
        .child::<Service>(&namespace, &names::viewers(&name));
    let fresh = status(&Facts {
        object: &object,
        refusals: outcome.refusals,
        failures: outcome.failures,
        servers: &servers,
        tiers: &tiers(&object, &namespace, &name, context),
        service: service.as_deref(),
        seen: outcome.seen,
        updates: outcome.updates,
        now: Timestamp::now(),
    });
    if stored.as_ref() == Some(&fresh) {
        return Ok(());
    }
    context
        .topology_statuses
        .write(&context.client, &context.writes, &object, &fresh)
        .await?;
    let stored = stored.unwrap_or_default();
    let mut happenings = transitions(&stored.conditions, &fresh.conditions);
    for stream in &fresh.streams {
        let before = stored.streams.iter().find(|old| old.name == stream.name);
        if let (Some(Some(from)), Some(to)) = (before.map(|old| &old.origin), &stream.origin)
            && from != to
        {
            context.metrics.reselected();
            happenings.push(Happening {
                warning: false,
                reason: banyan_api::reasons::ORIGIN_RESELECTED.to_owned(),
                note: format!(
                    "stream {:?} comes from {to:?} now, before from {from:?}",
                    stream.name
                ),
                action: "SelectOrigin",
            });
        }
    }
    context
        .events
        .tell(&object.object_ref(&()), happenings)
        .await;
    Ok(())
}

/// How far the pods of each tier are.
fn tiers(object: &StreamTopology, namespace: &str, name: &str, context: &Context) -> Vec<Workload> {
    let spec = &object.spec;
    let inner = spec
        .relays
        .iter()
        .map(|tier| (tier.name.as_str(), tier.replicas));
    let all = std::iter::once((banyan_api::names::ROOT, spec.rendezvous.replicas))
        .chain(inner)
        .chain(std::iter::once((
            banyan_api::names::EDGE,
            spec.edge.replicas,
        )));
    all.map(|(tier, wanted)| {
        let deployment = context
            .caches
            .child::<Deployment>(namespace, &names::tier(name, tier));
        let pods = context
            .caches
            .pods(namespace, &[(labels::TOPOLOGY, name), (labels::TIER, tier)]);
        let pods = pods.iter().map(|pod| -> &Pod { pod });
        Workload::of(tier, wanted, deployment.as_deref(), pods)
    })
    .collect()
}
