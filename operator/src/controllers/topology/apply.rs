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

/// Applies all children. What one tier's trouble does not concern is applied all the same; the first error is told.
pub(super) async fn apply(
    found: &Found<'_>,
    children: &TopologyChildren,
    context: &Context,
) -> Result<(), Error> {
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
    let mut first = None;
    let mut note = |result: Result<(), Error>| {
        if let Err(error) = result {
            first.get_or_insert(error);
        }
    };
    note(run_secret::ensure(found.object, owner, context).await);
    note(applier.apply_all(owner, std::slice::from_ref(config)).await);
    note(applier.apply_all(owner, accounts).await);
    note(applier.apply_all(owner, services).await);
    note(applier.apply_all(owner, policies).await);
    for (deployment, revision) in deployments.iter().zip(revisions) {
        note(tier(found, deployment, revision, context).await);
    }
    note(applier.apply_all(owner, budgets).await);
    if let Some(error) = first {
        // What is not understood is not cleaned up.
        return Err(error);
    }
    applier
        .prune::<Deployment>(owner, &names(deployments))
        .await?;
    applier
        .prune::<PodDisruptionBudget>(owner, &names(budgets))
        .await?;
    applier
        .prune::<NetworkPolicy>(owner, &names(policies))
        .await?;
    applier.prune::<Service>(owner, &names(services)).await?;
    applier
        .prune::<ServiceAccount>(owner, &names(accounts))
        .await?;
    applier
        .prune::<ConfigMap>(owner, &names(std::slice::from_ref(config)))
        .await?;
    applier
        .prune::<ControllerRevision>(owner, &names(revisions))
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
            &BTreeMap::new(),
        )
        .await?;
    }
    context.applier.apply(&found.owner, deployment).await?;
    Ok(())
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
