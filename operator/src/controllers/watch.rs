//! One watch per kind: it fills a cache and tells the controllers whom a change concerns.
//!
//! Deletions count as changes, and what a new listing no longer holds counts as deleted; neither is told by streams that
//! several controllers share.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use banyan_api::labels;
use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
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
            patient(watcher(self.api::<K>(), config))
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

/// Waits longer after each error until something was heard.
pub(crate) fn patient<K: Send + 'static>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let heard = Arc::new(AtomicBool::new(false));
    let patience = Patience {
        heard: heard.clone(),
        waits: DefaultBackoff::default(),
    };
    events
        .inspect_ok(move |event| {
            // Told before the first question is even asked.
            if !matches!(event, Event::Init) {
                heard.store(true, Ordering::Relaxed);
            }
        })
        .backoff(patience)
}

/// The usual waits, from 0.8 s to half a minute. The runtime begins anew with every event, also with the one that only
/// says that a listing is about to be tried: an API server that is away would be asked about once a second by each watch.
struct Patience {
    heard: Arc<AtomicBool>,
    waits: DefaultBackoff,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.waits.next()
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        if self.heard.swap(false, Ordering::Relaxed) {
            self.waits.reset();
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

#[cfg(test)]
mod tests {
    use futures::stream;
    use tokio::time::Instant;

    use super::*;

    type Told = watcher::Result<Event<Pod>>;

    fn away() -> [Told; 2] {
        [Ok(Event::Init), Err(watcher::Error::NoResourceVersion)]
    }

    /// Virtual time at each error.
    async fn errors(events: Vec<Told>) -> Vec<Duration> {
        let began = Instant::now();
        let events = patient(stream::iter(events));
        let at =
            events.filter_map(|event| std::future::ready(event.err().map(|_| began.elapsed())));
        at.collect().await
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_asked_less_and_less_often() {
        let at = errors((0..8).flat_map(|_| away()).collect()).await;
        let waits: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), 7);
        for (number, wait) in waits.iter().enumerate() {
            let least = Duration::from_millis(800) * 2_u32.pow(number as u32);
            assert!(*wait >= least.min(Duration::from_secs(30)), "{waits:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_makes_the_next_wait_short() {
        let mut events: Vec<Told> = (0..8).flat_map(|_| away()).collect();
        events.extend([Ok(Event::Init), Ok(Event::InitDone)]);
        events.extend(away().into_iter().chain(away()));
        let at = errors(events).await;
        let last = at[9] - at[8];
        assert!(last < Duration::from_secs(2), "{at:?}");
    }
}
