//! A content server's children to the API server.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;

use super::Found;
use crate::apply::{Error, revision};
use crate::build::ServerChildren;
use crate::context::Context;

/// Applies all children, each though another failed, then deletes what is not one any longer; every error is told.
pub(super) async fn apply(
    found: &Found<'_>,
    children: &ServerChildren,
    context: &Context,
) -> Vec<Error> {
    let ServerChildren {
        config,
        account,
        deployment,
        policy,
        revisions,
        update_available: _,
        updates: _,
    } = children;
    let (applier, owner) = (&context.applier, &found.owner);
    let results = [
        applier.apply_all(owner, std::slice::from_ref(config)).await,
        applier.apply_all(owner, account.as_slice()).await,
        applier.apply_all(owner, policy.as_slice()).await,
        workload(found, deployment, revisions, context).await,
    ];
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

/// The Deployment, after what it needs.
async fn workload(
    found: &Found<'_>,
    deployment: &Deployment,
    revisions: &[ControllerRevision],
    context: &Context,
) -> Result<(), Error> {
    let (applier, owner) = (&context.applier, &found.owner);
    for stored in revisions {
        revision::store(applier, owner, deployment, stored).await?;
    }
    applier.apply(owner, deployment).await?;
    Ok(())
}

/// Deletes what is not a child any longer.
async fn prune(
    found: &Found<'_>,
    children: &ServerChildren,
    context: &Context,
) -> Result<(), Error> {
    let (applier, owner) = (&context.applier, &found.owner);
    applier
        .prune::<Deployment>(owner, &[children.deployment.name_any()])
        .await?;
    applier
        .prune::<NetworkPolicy>(owner, &names(children.policy.as_slice()))
        .await?;
    applier
        .prune::<ServiceAccount>(owner, &names(children.account.as_slice()))
        .await?;
    applier
        .prune::<ConfigMap>(owner, &[children.config.name_any()])
        .await?;
    applier
        .prune::<ControllerRevision>(owner, &names(&children.revisions))
        .await
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
