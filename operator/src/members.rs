//! Members in Kubernetes: which pods there are, who each of them is, and the control plane they attach to.
//!
//! Every replica of the operator watches the members' pods and answers on the control plane's address; the one that
//! leads gives slots ([`slots`]), makes each topology's roster of the pods that have one ([`place`]), serves Attach for
//! all topologies, and tells what it observes ([`observed`]). The others name the leader. A caller is the pod that its
//! token is bound to ([`review`]), and of the topology and tier that this pod stands in ([`directory`]).
//!
//! What is written: the slot annotation of a pod, once in its life, and the eviction of a pod that somebody asks to
//! drain ([`work`]). All else lives in memory and is rebuilt by whoever leads next.

mod directory;
mod http;
pub mod observed;
mod place;
mod pod;
mod review;
mod slots;
mod state;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context;
use banyan_api::{labels, model};
use banyan_control::service;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1 as core;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub use self::observed::Observed;
use self::review::Reviews;
use self::state::{Key, State};
use crate::apply::writes::Writes;
use crate::autoscale;
use crate::controllers::watch::patient;

/// The members of all topologies; cheap to clone.
#[derive(Clone)]
pub struct Members(Arc<Inner>);

/// Where members find this replica, and where it looks for them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address for Attach.
    pub grpc: SocketAddr,
    /// Address of the page and the API.
    pub http: SocketAddr,
    /// The only namespace to watch; `None` = all.
    pub watch_namespace: Option<String>,
}

/// What a topology is to be, from its manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The tree.
    pub topology: model::Topology,
    /// The content servers that feed it.
    pub servers: Vec<model::Server>,
    /// Whole Unix seconds: the creation of the StreamTopology.
    pub epoch: u64,
    /// Service accounts by tier or content server, where they are not `<topology>-<tier>` and `<server>-origin`.
    pub accounts: BTreeMap<String, String>,
    /// Where viewers outside the cluster reach the edges; no trailing path.
    pub public_url: Option<String>,
    /// How the number of edges follows their viewers; `None` = it does not.
    pub autoscale: Option<autoscale::Rule>,
}

/// Who leads.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Orders the plans of successive leaders; `Some` while this replica leads.
    pub term: watch::Receiver<Option<u64>>,
    /// URI at which members attach to the replica that leads.
    pub leader: watch::Receiver<Option<String>>,
}

struct Inner {
    settings: Settings,
    state: Mutex<State>,
    /// Grows with every change of the state.
    changed: watch::Sender<u64>,
    synced: watch::Sender<bool>,
    news: Mutex<Vec<Weak<News>>>,
}

/// Topologies whose status shows something new, for one listener.
#[derive(Default)]
struct News {
    topologies: Mutex<BTreeSet<Key>>,
    woken: Notify,
}

impl Members {
    /// Nobody is known yet.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            settings,
            state: Mutex::default(),
            changed: watch::Sender::new(0),
            synced: watch::Sender::new(false),
            news: Mutex::default(),
        }))
    }

    /// A topology is to be this from now on; `None` = it is deleted.
    pub fn set_topology(&self, namespace: &str, name: &str, desired: Option<Desired>) {
        let key = (namespace.to_owned(), name.to_owned());
        self.change(|state| state.set_topology(key, desired));
    }

    /// Until the pods that there are have been listed. What is told before is not the truth.
    pub async fn synced(&self) {
        let mut synced = self.0.synced.subscribe();
        // The sender lives as long as this.
        let _ = synced.wait_for(|synced| *synced).await;
    }

    /// Files that the members of a topology fall back to, by name; the same while nothing changed.
    pub fn configs(&self, namespace: &str, topology: &str) -> BTreeMap<String, String> {
        let fallback = self
            .state()
            .fallback(&(namespace.to_owned(), topology.to_owned()));
        let tiers = fallback.tiers.iter();
        tiers
            .map(|(tier, config)| (format!("{tier}.json"), text(config)))
            .collect()
    }

    /// The same for a content server that feeds the topology.
    pub fn server_configs(
        &self,
        namespace: &str,
        topology: &str,
        server: &str,
    ) -> BTreeMap<String, String> {
        let fallback = self
            .state()
            .fallback(&(namespace.to_owned(), topology.to_owned()));
        let config = fallback.servers.get(server);
        config
            .map(|config| ("origin.json".to_owned(), text(config)))
            .into_iter()
            .collect()
    }

    /// What is known of a topology's members now.
    pub fn observed(&self, namespace: &str, topology: &str) -> Observed {
        self.state()
            .observed(&(namespace.to_owned(), topology.to_owned()))
    }

    /// Topologies (namespace, name) of which [`Members::observed`] shows something new, each once however often.
    pub fn changes(&self) -> impl Stream<Item = (String, String)> + Send + use<> {
        let news = Arc::new(News::default());
        lock(&self.0.news).push(Arc::downgrade(&news));
        stream::unfold(news, |news| async move {
            loop {
                let next = lock(&news.topologies).pop_first();
                if let Some(key) = next {
                    return Some((key, news));
                }
                // Who was woken since finds a permit.
                news.woken.notified().await;
            }
        })
    }

    /// Watches pods and serves members until shutdown; an earlier end is an error.
    pub async fn run(
        &self,
        client: Client,
        writes: Writes,
        leadership: Leadership,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let settings = &self.0.settings;
        let grpc = bind("gRPC", settings.grpc).await?;
        let http = bind("HTTP", settings.http).await?;
        let directory = directory::Directory {
            members: self.clone(),
            reviews: Reviews::new(client.clone()),
        };
        let router = http::router(self.clone());
        let serving = service::serve(Arc::new(directory), grpc, router, http, shutdown.clone());
        let ended = tokio::select! {
            served = serving => served.context("the control plane's service"),
            () = self.watch_pods(client.clone()) => Err(anyhow::anyhow!("the watch of pods ended")),
            () = self.follow(leadership) => Err(anyhow::anyhow!("nobody tells who leads")),
            () = work::run(self, client.clone(), writes.clone()) => Ok(()),
            () = autoscale::run(self, client, writes) => Ok(()),
            () = self.tell_news() => Ok(()),
        };
        self.change(|state| state.lead(None, None));
        ended
    }

    /// Topologies that are served here and scaled by their viewers: the rule, and how many edges are wanted.
    pub(crate) fn scaled(&self) -> Vec<(Key, autoscale::Rule, u32)> {
        self.state().scaled()
    }

    async fn watch_pods(&self, client: Client) {
        let api: Api<core::Pod> = match &self.0.settings.watch_namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let ours = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
        let config = watcher::Config::default().labels(&ours);
        let mut events = std::pin::pin!(patient(watcher(api, config)));
        let mut listed = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.see(event, &mut listed),
                // The controllers watch the same pods, and complain for both.
                Err(error) => tracing::debug!(%error, "pods cannot be watched; trying again"),
            }
        }
    }

    fn see(&self, event: watcher::Event<core::Pod>, listed: &mut Vec<pod::Pod>) {
        match event {
            watcher::Event::Init => listed.clear(),
            watcher::Event::InitApply(pod) => listed.extend(pod::Pod::read(&pod)),
            watcher::Event::InitDone => {
                let pods = std::mem::take(listed);
                self.change(|state| state.set_pods(pods));
                self.0.synced.send_replace(true);
            }
            watcher::Event::Apply(pod) => self.change(|state| state.see_pod(&pod)),
            watcher::Event::Delete(pod) => self.change(|state| state.forget_pod(&pod)),
        }
    }

    async fn follow(&self, mut leadership: Leadership) {
        loop {
            let term = *leadership.term.borrow_and_update();
            let leader = leadership.leader.borrow_and_update().clone();
            self.change(|state| state.lead(term, leader));
            let ended = tokio::select! {
                changed = leadership.term.changed() => changed.is_err(),
                changed = leadership.leader.changed() => changed.is_err(),
            };
            if ended {
                return;
            }
        }
    }

    /// Looks at every topology once a second, and tells listeners of what is new.
    async fn tell_news(&self) {
        let began = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let news = self.state().news(began.elapsed());
            if news.is_empty() {
                continue;
            }
            lock(&self.0.news).retain(|listener| {
                let Some(listener) = listener.upgrade() else {
                    return false;
                };
                lock(&listener.topologies).extend(news.iter().cloned());
                listener.woken.notify_one();
                true
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0.state)
    }

    /// Every change goes this way, so that who waits for one looks again.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.changed.send_modify(|count| *count += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(config: &banyan_proto::v1::Config) -> String {
    // A message of plain fields is always written.
    serde_json::to_string_pretty(config).unwrap_or_default() + "\n"
}

async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{what} address {address} cannot be listened on"))
}

/// As fast as status needs to follow.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
