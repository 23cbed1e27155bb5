//! Status to the API server: under a field manager of its own, and only when it says something new.
//!
//! A watch tells of a write after a while; until then what was written last counts as stored, so that a reconcile in
//! between does not write it again.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::apply::Error;
use crate::apply::writes::{Target, Writes};

/// Field manager of status.
const MANAGER: &str = "banyan-operator/status";

/// The statuses of one kind that were written lately, by UID.
#[derive(Debug)]
pub struct Statuses<S>(Mutex<HashMap<String, Written<S>>>);

#[derive(Clone, Debug)]
struct Written<S> {
    status: S,
    /// The object's version after the write.
    version: u64,
    at: Instant,
}

impl<S> Default for Statuses<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Since a write that nobody remembers.
const LONG_AGO: Duration = Duration::from_secs(3600);

impl<S: Clone + PartialEq + Serialize + Debug> Statuses<S> {
    /// What is stored, as far as is known: what the watch told, or what was written since.
    pub fn stored<K: ResourceExt>(&self, object: &K, told: Option<&S>) -> Option<S> {
        let statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = statuses.get(&object.uid().unwrap_or_default());
        match written.filter(|written| version(object) < written.version) {
            Some(newer) => Some(newer.status.clone()),
            None => told.cloned(),
        }
    }

    /// Since the status of an object was written, as far as this process knows.
    pub fn since_written(&self, uid: &str) -> Duration {
        let statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statuses
            .get(uid)
            .map_or(LONG_AGO, |written| written.at.elapsed())
    }

    /// Writes a status that differs from the stored one.
    pub async fn write<K>(
        &self,
        client: &kube::Client,
        writes: &Writes,
        object: &K,
        status: &S,
    ) -> Result<(), Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let uid = object.uid().unwrap_or_default();
        let patch = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            // The UID: not the status of another object of this name.
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        });
        let kind = format!("{}/status", K::kind(&()));
        let target = Target {
            verb: "patch",
            kind: &kind,
            name: &name,
        };
        let api: Api<K> = Api::namespaced(client.clone(), &namespace);
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&patch);
        match writes
            .send(target, api.patch_status(&name, &params, &patch))
            .await?
        {
            Ok(written) => {
                let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                statuses.insert(
                    uid,
                    Written {
                        status: status.clone(),
                        version: version(&written),
                        at: Instant::now(),
                    },
                );
                Ok(())
            }
            // Deleted, or made anew, in between.
            Err(kube::Error::Api(answer)) if matches!(answer.code, 404 | 409) => Ok(()),
            Err(error) => Err(Error::of("patch", &kind, &name, &error)),
        }
    }

    /// Forgets objects that are gone.
    pub fn retain(&self, there: impl Fn(&str) -> bool) {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.retain(|uid, _| there(uid));
    }
}

/// An object's version; they grow, since Kubernetes 1.35 by promise and before in fact.
fn version<K: ResourceExt>(object: &K) -> u64 {
    let version = object.resource_version();
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}
