//! A topology's children to the API server.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;

use super::Found;
use crate::apply::{Error, revision, run_secret, scale_in};
use crate::build::TopologyChildren;
use crate::context::Context;

/// Applies all children. What one tier's trouble does not concern is applied all the same; every error is told.
pub(super) async fn apply(
    found: &Found<'_>,
    children: &TopologyChildren,
    context: &Context,
) -> Vec<Error> {
    let TopologyChildren {
        config,
        accounts,
        services,
        deployments,
        budgets,
        policies,
        revisions,
        update_available: _,
        updates: _,
    } = children;
    let (applier, owner) = (&context.applier, &found.owner);
    let secret = run_secret::ensure(found.object, owner, context).await;
    if let Err(taken @ Error::NameConflict { .. }) = secret {
        // Members would show each other what a stranger knows; and what exists would make it look like ours.
        return vec![taken];
    }
    let mut results = vec![
        secret,
        applier.apply_all(owner, std::slice::from_ref(config)).await,
        applier.apply_all(owner, accounts).await,
        applier.apply_all(owner, services).await,
        applier.apply_all(owner, policies).await,
    ];
    for (deployment, revision) in deployments.iter().zip(revisions) {
        results.push(tier(found, deployment, revision, context).await);
    }
    results.push(applier.apply_all(owner, budgets).await);
    let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
    if !errors.is_empty() {
        // What is not understood is not cleaned up.
        return errors;
    }
    prune(found, children, context)
        .await
        .err()
        .into_iter()
        .collect()
}

/// Deletes what is not a child any longer.
async fn prune(
    found: &Found<'_>,
    children: &TopologyChildren,
    context: &Context,
) -> Result<(), Error> {
    let (applier, owner) = (&context.applier, &found.owner);
    let config = std::slice::from_ref(&children.config);
    applier
        .prune::<Deployment>(owner, &names(&children.deployments))
        .await?;
    applier
        .prune::<PodDisruptionBudget>(owner, &names(&children.budgets))
        .await?;
    applier
        .prune::<NetworkPolicy>(owner, &names(&children.policies))
        .await?;
    applier
        .prune::<Service>(owner, &names(&children.services))
        .await?;
    applier
        .prune::<ServiceAccount>(owner, &names(&children.accounts))
        .await?;
    applier.prune::<ConfigMap>(owner, &names(config)).await?;
    applier
        .prune::<ControllerRevision>(owner, &names(&children.revisions))
        .await
}

/// One tier's Deployment, after what it needs.
async fn tier(
    found: &Found<'_>,
    deployment: &Deployment,
    stored: &ControllerRevision,
    context: &Context,
) -> Result<(), Error> {
    revision::store(&context.applier, &found.owner, deployment, stored).await?;
    let live = context
        .caches
        .child::<Deployment>(&found.owner.namespace, &deployment.name_any());
    let replicas = |deployment: &Deployment| deployment.spec.as_ref()?.replicas;
    let wanted = replicas(deployment).unwrap_or(0);
    if live
        .as_deref()
        .and_then(replicas)
        .is_some_and(|live| live > wanted)
    {
        let tier = deployment
            .labels()
            .get(banyan_api::labels::TIER)
            .map_or("", String::as_str);
        scale_in::mark(
            &context.client,
            &context.writes,
            &found.owner.namespace,
            (&found.name, tier),
            usize::try_from(wanted).unwrap_or(0),
            &viewers(found, context),
        )
        .await?;
    }
    context.applier.apply(&found.owner, deployment).await?;
    Ok(())
}

/// Viewers of each edge, by slot.
fn viewers(found: &Found<'_>, context: &Context) -> BTreeMap<u32, u64> {
    let observed = context
        .members
        .observed(&found.owner.namespace, &found.name);
    let edges = observed.edges.into_iter();
    edges
        .filter_map(|edge| {
            let (_, slot) = banyan_api::names::parse_slot(&edge.name)?;
            Some((slot, u64::from(edge.sessions)))
        })
        .collect()
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
