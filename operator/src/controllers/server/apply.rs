//! A content server's children to the API server.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt;

use super::Found;
use crate::apply::{Error, revision};
use crate::build::ServerChildren;
use crate::context::Context;

/// Applies all children, then deletes what is not one any longer.
pub(super) async fn apply(
    found: &Found<'_>,
    children: &ServerChildren,
    context: &Context,
) -> Result<(), Error> {
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
    applier.apply(owner, config).await?;
    applier.apply_all(owner, account.as_slice()).await?;
    applier.apply_all(owner, policy.as_slice()).await?;
    for stored in revisions {
        revision::store(applier, owner, deployment, stored).await?;
    }
    applier.apply(owner, deployment).await?;
    applier
        .prune::<Deployment>(owner, &[deployment.name_any()])
        .await?;
    applier
        .prune::<NetworkPolicy>(owner, &names(policy.as_slice()))
        .await?;
    applier
        .prune::<ServiceAccount>(owner, &names(account.as_slice()))
        .await?;
    applier
        .prune::<ConfigMap>(owner, &[config.name_any()])
        .await?;
    applier
        .prune::<ControllerRevision>(owner, &names(revisions))
        .await
}

fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    objects.iter().map(ResourceExt::name_any).collect()
}
