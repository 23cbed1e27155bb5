//! A pod template is stored before it is used, and tried before it is stored.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use kube::ResourceExt;

use super::{Applier, Error, Owner};

/// Stores the template of `deployment`, if it is a new one that the API server takes.
pub async fn store(
    applier: &Applier,
    owner: &Owner,
    deployment: &Deployment,
    revision: &ControllerRevision,
) -> Result<(), Error> {
    let known = applier.knows::<ControllerRevision>(owner, &revision.name_any());
    if !known {
        applier.rehearse(owner, deployment).await?;
    }
    applier.apply(owner, revision).await?;
    Ok(())
}
