//! The secret that members of a topology show each other: made once, never read, never changed.
//!
//! The operator may only create secrets, so it learns from the answer whether there is one. It asks once while it
//! leads, and again while a tier misses pods: they cannot start without it. Whose it is cannot be asked: one that was
//! there before the topology had any child is somebody else's, and nothing is started with it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use banyan_api::StreamTopology;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, PostParams};
use rand::RngCore;

use super::writes::Target;
use super::{Error, Owner};
use crate::build;
use crate::context::Context;

/// Not asked again within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// When each topology's secret was asked for, by UID.
#[derive(Debug, Default)]
pub struct Asked(Mutex<HashMap<String, Instant>>);

impl Asked {
    fn recently(&self, uid: &str, whole: bool) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            .get(uid)
            .is_some_and(|at| whole || at.elapsed() < PATIENCE)
    }

    /// Forgets topologies that are gone.
    pub fn retain(&self, there: impl Fn(&str) -> bool) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|uid, _| there(uid));
    }

    fn note(&self, uid: &str) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert(uid.to_owned(), Instant::now());
    }
}

/// Makes the secret unless there is one.
pub async fn ensure(
    object: &StreamTopology,
    owner: &Owner,
    context: &Context,
) -> Result<(), Error> {
    let deployments = context
        .caches
        .controlled::<Deployment>(&owner.namespace, &owner.uid);
    if context
        .asked
        .recently(&owner.uid, deployments.iter().all(|one| whole(one)))
    {
        return Ok(());
    }
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let Ok(secret) = build::run_secret(object, hex) else {
        // Building the other children says the same.
        return Ok(());
    };
    let name = secret.metadata.name.clone().unwrap_or_default();
    let target = Target {
        verb: "create",
        kind: "Secret",
        name: &name,
    };
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &owner.namespace);
    let params = PostParams {
        field_manager: Some(owner.manager.to_owned()),
        ..PostParams::default()
    };
    match context
        .writes
        .send(target, api.create(&params, &secret))
        .await?
    {
        Ok(_) => {
            tracing::info!(namespace = owner.namespace, name, "made the run secret");
        }
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let begun = context
                .caches
                .controlled::<ConfigMap>(&owner.namespace, &owner.uid);
            if begun.is_empty() && deployments.is_empty() {
                return Err(Error::NameConflict {
                    kind: "Secret".to_owned(),
                    name,
                    holder: "somebody else, since it is older than this topology's other objects"
                        .to_owned(),
                });
            }
        }
        Err(error) => return Err(Error::of("create", "Secret", &name, &error)),
    }
    context.asked.note(&owner.uid);
    Ok(())
}

/// Whether all pods of a Deployment are there.
fn whole(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    let available = deployment
        .status
        .as_ref()
        .and_then(|status| status.available_replicas);
    available.unwrap_or(0) >= wanted.unwrap_or(1)
}
