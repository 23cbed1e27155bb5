//! Children to the API server: server-side apply under one named manager per controller, and only what differs.
//!
//! * What exists and is not controlled by our owner's UID is never touched ([`Error::NameConflict`]).
//! * What was applied is remembered on the object, as a hash in an annotation: a change of the hash, or a live object
//!   that does not [hold](compare::holds) what is wanted, is applied; anything else costs no request.
//! * Updates name the UID they mean, so a stranger's object under a freed name is refused by the API server. The first
//!   apply of a name is made without force, so there a stranger's fields win.
//! * Orphans, children of ours that are not wanted any longer, are deleted.

pub mod compare;
pub mod error;
pub mod revision;
pub mod run_secret;
pub mod scale_in;
pub mod writes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use banyan_api::annotations::APPLIED_HASH;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::Value;

use crate::controllers::caches::{Caches, Child, controller};

pub use self::error::Error;
use self::writes::{Target, Writes};

/// Whose children are applied, and by whom.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Namespace of the owner and its children.
    pub namespace: String,
    /// UID of the owner.
    pub uid: String,
    /// Field manager.
    pub manager: &'static str,
}

/// What was done to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to be.
    Unchanged,
    /// It did not exist.
    Created,
    /// It said something else.
    Changed,
    /// It is on its way out; what follows it is applied later.
    Leaving,
}

/// Applies children. Cheap to clone.
#[derive(Clone)]
pub struct Applier {
    client: kube::Client,
    caches: Caches,
    writes: Writes,
    /// What an API server made of what we applied, where it says it in other words: by UID, hash of both.
    settled: Arc<Mutex<HashMap<String, (String, String)>>>,
}

impl Applier {
    /// Applies where these caches look.
    pub fn new(client: kube::Client, caches: Caches, writes: Writes) -> Self {
        Self {
            client,
            caches,
            writes,
            settled: Arc::default(),
        }
    }

    /// Makes one child say what it should.
    pub async fn apply<K: Child>(&self, owner: &Owner, wanted: &K) -> Result<Outcome, Error> {
        let name = wanted.name_any();
        let mut patch = serde_json::to_value(wanted).unwrap_or_default();
        let hash = hash(&patch);
        patch["metadata"]["annotations"][APPLIED_HASH] = Value::from(hash.clone());
        let live = self.caches.child::<K>(&owner.namespace, &name);
        let live = match live {
            Some(live) => Some(live),
            // Not ours by label, or so new that the watch has not told yet.
            None => self.look::<K>(owner, &name).await?.map(Arc::new),
        };
        match live {
            None => self.create::<K>(owner, &name, &patch).await,
            Some(live) => {
                claimed(owner, &*live)?;
                self.update(owner, &*live, patch, hash).await
            }
        }
    }

    /// Makes several children say what they should, each though another failed.
    pub async fn apply_all<K: Child>(&self, owner: &Owner, wanted: &[K]) -> Result<(), Error> {
        let mut first = Ok(());
        for child in wanted {
            if let Err(error) = self.apply(owner, child).await {
                first = first.and(Err(error));
            }
        }
        first
    }

    /// Whether a child of ours has this name, as far as watches told.
    pub fn knows<K: Child>(&self, owner: &Owner, name: &str) -> bool {
        let live = self.caches.child::<K>(&owner.namespace, name);
        live.is_some_and(|live| claimed(owner, &*live).is_ok())
    }

    /// Asks the API server whether it would take a child; changes nothing.
    pub async fn rehearse<K: Child>(&self, owner: &Owner, wanted: &K) -> Result<(), Error> {
        let name = wanted.name_any();
        let params = PatchParams::apply(owner.manager).force().dry_run();
        let result = self
            .api::<K>(owner)
            .patch(&name, &params, &Patch::Apply(wanted))
            .await;
        match result {
            Ok(_) => Ok(()),
            Err(error) => Err(match Error::of("patch", &K::kind(&()), &name, &error) {
                Error::Refused {
                    kind,
                    name,
                    message,
                } => Error::Template {
                    kind,
                    name,
                    message,
                },
                other => other,
            }),
        }
    }

    /// Deletes children of ours that are not in `wanted`.
    pub async fn prune<K: Child>(&self, owner: &Owner, wanted: &[String]) -> Result<(), Error> {
        for child in self.caches.controlled::<K>(&owner.namespace, &owner.uid) {
            let name = child.name_any();
            if wanted.contains(&name) || child.meta().deletion_timestamp.is_some() {
                continue;
            }
            let kind = K::kind(&()).into_owned();
            let target = Target {
                verb: "delete",
                kind: &kind,
                name: &name,
            };
            let params = DeleteParams::background().preconditions(Preconditions {
                uid: child.uid(),
                resource_version: None,
            });
            tracing::info!(
                kind,
                namespace = owner.namespace,
                name,
                "deleting an orphan"
            );
            let api = self.api::<K>(owner);
            match self.writes.send(target, api.delete(&name, &params)).await? {
                Ok(_) => {}
                // Gone already, or another object has the name by now.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(Error::of("delete", &kind, &name, &error)),
            }
        }
        Ok(())
    }

    async fn look<K: Child>(&self, owner: &Owner, name: &str) -> Result<Option<K>, Error> {
        let api = self.api::<K>(owner);
        let found = api.get_opt(name).await;
        found.map_err(|error| Error::of("get", &K::kind(&()), name, &error))
    }

    async fn create<K: Child>(
        &self,
        owner: &Owner,
        name: &str,
        patch: &Value,
    ) -> Result<Outcome, Error> {
        let kind = K::kind(&()).into_owned();
        let target = Target {
            verb: "patch",
            kind: &kind,
            name,
        };
        let api = self.api::<K>(owner);
        let params = PatchParams::apply(owner.manager);
        tracing::info!(kind, namespace = owner.namespace, name, "creating");
        let patch = Patch::Apply(patch);
        match self
            .writes
            .send(target, api.patch(name, &params, &patch))
            .await?
        {
            Ok(_) => Ok(Outcome::Created),
            // Somebody made one in between.
            Err(kube::Error::Api(status)) if status.code == 409 => {
                match self.look::<K>(owner, name).await? {
                    Some(live) => claimed(owner, &live).map(|()| Outcome::Changed),
                    None => Err(Error::of("patch", &kind, name, &kube::Error::Api(status))),
                }
            }
            Err(error) => Err(Error::of("patch", &kind, name, &error)),
        }
    }

    async fn update<K: Child>(
        &self,
        owner: &Owner,
        live: &K,
        mut patch: Value,
        hash: String,
    ) -> Result<Outcome, Error> {
        if live.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Leaving);
        }
        let (name, uid) = (live.name_any(), live.uid().unwrap_or_default());
        let now = serde_json::to_value(live).unwrap_or_default();
        let applied = live.annotations().get(APPLIED_HASH) == Some(&hash);
        if applied && (compare::holds(&now, &patch) || self.is_settled(&uid, &hash, &now)) {
            return Ok(Outcome::Unchanged);
        }
        patch["metadata"]["uid"] = Value::from(uid.clone());
        let kind = K::kind(&()).into_owned();
        let target = Target {
            verb: "patch",
            kind: &kind,
            name: &name,
        };
        let api = self.api::<K>(owner);
        let params = PatchParams::apply(owner.manager).force();
        tracing::info!(kind, namespace = owner.namespace, name, "applying");
        let result = self
            .writes
            .must(target, api.patch(&name, &params, &Patch::Apply(&patch)))
            .await?;
        self.settle(uid, hash, &serde_json::to_value(result).unwrap_or_default());
        Ok(Outcome::Changed)
    }

    fn is_settled(&self, uid: &str, hash: &str, live: &Value) -> bool {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled
            .get(uid)
            .is_some_and(|(wanted, made)| wanted == hash && *made == substance(live))
    }

    fn settle(&self, uid: String, hash: String, live: &Value) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert(uid, (hash, substance(live)));
    }

    /// Forgets children that are gone.
    pub fn retain(&self, there: impl Fn(&str) -> bool) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.retain(|uid, _| there(uid));
    }

    fn api<K: Child>(&self, owner: &Owner) -> Api<K> {
        Api::namespaced(self.client.clone(), &owner.namespace)
    }
}

/// Whether a live child is ours.
fn claimed<K: Child>(owner: &Owner, live: &K) -> Result<(), Error> {
    match controller(live.meta()) {
        Some(uid) if uid == owner.uid => Ok(()),
        _ => Err(Error::NameConflict {
            kind: K::kind(&()).into_owned(),
            name: live.name_any(),
            holder: holder(live),
        }),
    }
}

fn holder<K: Child>(live: &K) -> String {
    let owners = live.owner_references();
    match owners.iter().find(|owner| owner.controller == Some(true)) {
        Some(owner) => format!("{} {:?}", owner.kind, owner.name),
        None => "nobody the operator knows".to_owned(),
    }
}

/// Hash of what an object says, apart from what changes by itself.
fn substance(live: &Value) -> String {
    let mut live = live.clone();
    if let Some(object) = live.as_object_mut() {
        object.remove("status");
    }
    if let Some(meta) = live["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            meta.remove(field);
        }
    }
    hash(&live)
}

/// A short hash of a value.
fn hash(value: &Value) -> String {
    let text = value.to_string();
    blake3::hash(text.as_bytes()).to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests;
