//! One watch per kind: it fills a cache and tells the controllers whom a change concerns.
//!
//! Deletions count as changes, and what a new listing no longer holds counts as deleted; neither is told by streams that
//! several controllers share.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use banyan_api::labels;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use super::caches::{AWAY, Child, Troubles};
use crate::metrics::Metrics;

/// An object of either kind: namespace and name.
pub type Key = (String, String);

/// Changes that wait for a controller. A full queue makes watches wait, which loses nothing.
const QUEUE: usize = 1024;

/// Where changes go.
#[derive(Clone)]
pub struct Concerned {
    topologies: mpsc::Sender<Key>,
    servers: mpsc::Sender<Key>,
}

/// Both queues.
pub struct Queues {
    /// Topologies to reconcile.
    pub topologies: mpsc::Receiver<Key>,
    /// Servers to reconcile.
    pub servers: mpsc::Receiver<Key>,
}

/// Makes both queues.
pub fn queues() -> (Concerned, Queues) {
    let (topologies, wanted_topologies) = mpsc::channel(QUEUE);
    let (servers, wanted_servers) = mpsc::channel(QUEUE);
    (
        Concerned {
            topologies,
            servers,
        },
        Queues {
            topologies: wanted_topologies,
            servers: wanted_servers,
        },
    )
}

impl Concerned {
    /// This topology shall be looked at.
    pub async fn topology(&self, key: Key) {
        // Without a receiver the process is on its way out.
        let _ = self.topologies.send(key).await;
    }

    /// This server shall be looked at.
    pub async fn server(&self, key: Key) {
        let _ = self.servers.send(key).await;
    }

    /// The owner of this child shall be looked at.
    pub async fn owner(&self, child: &impl ResourceExt) {
        let namespace = child.namespace().unwrap_or_default();
        for owner in child.owner_references() {
            if owner.controller != Some(true) || !owner.api_version.starts_with(banyan_api::GROUP) {
                continue;
            }
            let key = (namespace.clone(), owner.name.clone());
            match owner.kind.as_str() {
                "StreamTopology" => self.topology(key).await,
                "ContentServer" => self.server(key).await,
                _ => {}
            }
        }
    }
}

/// Everything a watch shares with others.
#[derive(Clone)]
pub struct Watches {
    /// Client.
    pub client: kube::Client,
    /// The only namespace to watch.
    pub namespace: Option<String>,
    /// Counters.
    pub metrics: Metrics,
    /// Complaints.
    pub troubles: Troubles,
    /// Who is told.
    pub concerned: Concerned,
}

impl Watches {
    /// An API of every namespace that is watched.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Watches children with our label; tells their owners.
    pub fn children<K: Child>(&self) -> Store<K> {
        let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
        let config = watcher::Config::default().labels(&selector);
        self.spawn(
            config,
            |child: Arc<K>, _, concerned: Concerned| async move {
                concerned.owner(&*child).await;
            },
        )
    }

    /// Watches pods of members; tells the topology or server whose label they carry.
    pub fn pods(&self) -> Store<Pod> {
        let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
        let config = watcher::Config::default().labels(&selector);
        self.spawn(
            config,
            |pod: Arc<Pod>, _, concerned: Concerned| async move {
                let namespace = pod.namespace().unwrap_or_default();
                let of = |label| pod.labels().get(label).cloned();
                if let Some(server) = of(labels::CONTENT_SERVER) {
                    concerned.server((namespace, server)).await;
                } else if let Some(topology) = of(labels::TOPOLOGY) {
                    concerned.topology((namespace, topology)).await;
                }
            },
        )
    }

    /// Watches a kind and tells `touched` of every change: the object, whether it is there, and whom to tell.
    pub fn spawn<K, F, Told>(&self, config: watcher::Config, touched: F) -> Store<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
        F: Fn(Arc<K>, bool, Concerned) -> Told + Send + 'static,
        Told: Future<Output = ()> + Send,
        (): Eq + Hash,
    {
        let kind = K::kind(&()).into_owned();
        let (store, writer) = reflector::store();
        let mut events = Box::pin(
            watcher(self.api::<K>(), config)
                .default_backoff()
                .modify(slim)
                .reflect(writer),
        );
        let (watches, reader) = (self.clone(), store.clone());
        tokio::spawn(async move {
            let mut before: Vec<Arc<K>> = Vec::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(Event::Apply(object) | Event::Delete(object)) => {
                        let there = reader.get(&ObjectRef::from_obj(&object)).is_some();
                        touched(Arc::new(object), there, watches.concerned.clone()).await;
                    }
                    Ok(Event::Init) => before = reader.state(),
                    // The cache changes at the end of the listing, so nobody need look before.
                    Ok(Event::InitApply(_)) => {}
                    Ok(Event::InitDone) => {
                        watches.well(&kind);
                        let now = reader.state();
                        for object in before.drain(..).chain(now) {
                            let there = reader.get(&ObjectRef::from_obj(&*object)).is_some();
                            touched(object, there, watches.concerned.clone()).await;
                        }
                    }
                    Err(error) => watches.complain(&kind, &error),
                }
            }
        });
        store
    }

    fn well(&self, kind: &str) {
        if self.troubles.clear(kind) {
            tracing::info!(kind, "everything is watched again");
        }
    }

    fn complain(&self, kind: &str, error: &watcher::Error) {
        self.metrics.watch_error(kind);
        let (trouble, passing) = match error {
            watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
                let sentence = crate::apply::error::sentence(error);
                match error {
                    kube::Error::Api(_) => (sentence, false),
                    _ => (format!("{AWAY}: {sentence}"), false),
                }
            }
            watcher::Error::WatchError(status) => (status.message.clone(), status.code == 410),
            watcher::Error::WatchFailed(error) => (crate::apply::error::sentence(error), true),
            watcher::Error::NoResourceVersion => (error.to_string(), false),
        };
        // The end of a watch that is opened again at once is no trouble.
        if !passing && self.troubles.set(kind, trouble.clone()) {
            tracing::warn!(kind, "cannot be watched: {trouble}");
        }
    }
}

/// Drops what nobody here reads and every object has a lot of.
fn slim<K: Resource + 'static>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    if let Some(pod) = (object as &mut dyn std::any::Any).downcast_mut::<Pod>() {
        pod.spec = None;
    }
}
