//! What was read of the cluster, kept by watches: both kinds, and all children that carry our label.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use banyan_api::{ContentServer, StreamTopology};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};

/// A kind of child: cached, applied, pruned.
pub trait Child:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
    /// Its cache.
    fn store(caches: &Caches) -> &Store<Self>;
}

macro_rules! children {
    ($($kind:ty => $field:ident),* $(,)?) => {
        $(impl Child for $kind {
            fn store(caches: &Caches) -> &Store<Self> {
                &caches.$field
            }
        })*

        /// What was read. Cheap to clone.
        #[derive(Clone)]
        pub struct Caches {
            /// All StreamTopologies, also those that cannot be read.
            pub topologies: Store<DeserializeGuard<StreamTopology>>,
            /// All ContentServers, also those that cannot be read.
            pub servers: Store<DeserializeGuard<ContentServer>>,
            $(#[doc = concat!("Every ", stringify!($kind), " with our label.")]
            pub $field: Store<$kind>,)*
            /// Pods of members, without their spec.
            pub pods: Store<Pod>,
            /// What each watch complains about, by kind.
            pub troubles: Troubles,
        }

        impl Caches {
            /// Nothing but ConfigMaps.
            #[cfg(test)]
            pub(crate) fn of_config_maps(config_maps: Store<ConfigMap>) -> Self {
                use kube::runtime::reflector::store;
                let none = Self {
                    $($field: store().0,)*
                    topologies: store().0,
                    servers: store().0,
                    pods: store().0,
                    troubles: Troubles::default(),
                };
                Self {
                    config_maps,
                    ..none
                }
            }

            /// UIDs of all children.
            pub fn child_uids(&self) -> HashSet<String> {
                let mut uids = HashSet::new();
                $(uids.extend(self.$field.state().iter().filter_map(|child| child.uid()));)*
                uids
            }

            /// Kinds that were not read to the end yet.
            fn unread(&self) -> Vec<&'static str> {
                let mut kinds = Vec::new();
                if !ready(&self.topologies) {
                    kinds.push("StreamTopology");
                }
                if !ready(&self.servers) {
                    kinds.push("ContentServer");
                }
                if !ready(&self.pods) {
                    kinds.push("Pod");
                }
                $(if !ready(&self.$field) {
                    kinds.push(stringify!($kind));
                })*
                kinds
            }
        }
    };
}

children! {
    ConfigMap => config_maps,
    ServiceAccount => accounts,
    Service => services,
    Deployment => deployments,
    PodDisruptionBudget => budgets,
    NetworkPolicy => policies,
    ControllerRevision => revisions,
}

impl Caches {
    /// What is not read yet, and why, as one sentence; `None` when everything is.
    pub fn missing(&self) -> Option<String> {
        let kinds = self.unread();
        let first = kinds.first()?;
        let trouble = kinds.iter().find_map(|kind| self.troubles.of(kind));
        Some(trouble.unwrap_or_else(|| format!("{first} objects were not read yet")))
    }

    /// A watch that is not allowed, as one sentence.
    pub fn forbidden(&self) -> Option<String> {
        let kinds = self.unread();
        let troubles = kinds.iter().filter_map(|kind| self.troubles.of(kind));
        troubles
            .into_iter()
            .find(|trouble| trouble.contains("forbidden"))
    }

    /// The child of this name, if it is known.
    pub fn child<K: Child>(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        K::store(self).get(&ObjectRef::new(name).within(namespace))
    }

    /// Children of this kind that `uid` controls.
    pub fn controlled<K: Child>(&self, namespace: &str, uid: &str) -> Vec<Arc<K>> {
        K::store(self).state_filter(|child| {
            child.meta().namespace.as_deref() == Some(namespace)
                && controller(child.meta()) == Some(uid)
        })
    }

    /// Pods in a namespace that carry these labels.
    pub fn pods(&self, namespace: &str, labels: &[(&str, &str)]) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| {
            let has = |(key, value): &(&str, &str)| {
                pod.labels().get(*key).is_some_and(|found| found == value)
            };
            pod.metadata.namespace.as_deref() == Some(namespace) && labels.iter().all(has)
        })
    }

    /// The topology of this name, if it can be read.
    pub fn topology(&self, namespace: &str, name: &str) -> Option<StreamTopology> {
        let found = self
            .topologies
            .get(&ObjectRef::new(name).within(namespace))?;
        found.0.as_ref().ok().cloned()
    }

    /// Servers that feed this topology, by name.
    pub fn feeding(&self, namespace: &str, topology: &str) -> Vec<ContentServer> {
        let mut servers: Vec<ContentServer> = self
            .servers
            .state_filter(|server| {
                server.meta().namespace.as_deref() == Some(namespace)
                    && server.0.as_ref().is_ok_and(|server| {
                        server.spec.topology == topology
                            && server.metadata.deletion_timestamp.is_none()
                    })
            })
            .iter()
            .filter_map(|server| server.0.as_ref().ok().cloned())
            .collect();
        servers.sort_by_key(|server| server.name_any());
        servers
    }
}

/// UID of the controller of an object.
pub fn controller(
    meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
) -> Option<&str> {
    let owners = meta.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(&owner.uid)
}

fn ready<K>(store: &Store<K>) -> bool
where
    K: Resource + Clone + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    use futures::FutureExt;
    // Ready at the first poll, or not yet.
    store.wait_until_ready().now_or_never().is_some()
}

/// How every trouble begins that is about the way to the API server, in whatever words the network has for it.
pub(super) const AWAY: &str = "the API server cannot be heard";

/// What each watch complains about.
#[derive(Clone, Debug, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<String, String>>>);

impl Troubles {
    /// Sets what a kind's watch complains about; whether nobody complained of the same. An API server that is away is
    /// one trouble, not one of each kind.
    pub fn set(&self, kind: &str, trouble: String) -> bool {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &String| {
            *other == trouble || (other.starts_with(AWAY) && trouble.starts_with(AWAY))
        };
        let known = troubles.values().any(same);
        troubles.insert(kind.to_owned(), trouble);
        !known
    }

    /// A kind is watched; whether that ends the last trouble.
    pub fn clear(&self, kind: &str) -> bool {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.remove(kind).is_some() && troubles.is_empty()
    }

    fn of(&self, kind: &str) -> Option<String> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.get(kind).cloned()
    }
}
