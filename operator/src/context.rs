//! What every reconcile shares: one client, one applier, one recorder, one memory of failures.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use banyan_api::content_server::ContentServerStatus;
use banyan_api::stream_topology::StreamTopologyStatus;
use kube::ResourceExt;

use crate::apply::Applier;
use crate::apply::run_secret::Asked;
use crate::apply::writes::Writes;
use crate::controllers::backoff::Backoff;
use crate::controllers::caches::Caches;
use crate::controllers::seen::Sights;
use crate::controllers::waiting::Waiting;
use crate::controllers::watch::{Concerned, Key};
use crate::controllers::{key, server, topology};
use crate::events::Events;
use crate::lease::fence::Fence;
use crate::members::Members;
use crate::metrics::Metrics;
use crate::release::Release;
use crate::status::Statuses;

/// Shared by both controllers.
pub struct Context {
    /// Client.
    pub client: kube::Client,
    /// What was installed.
    pub release: Release,
    /// What was read.
    pub caches: Caches,
    /// The members of all topologies.
    pub members: Members,
    /// When they were known last.
    pub sights: Sights,
    /// Since when this process leads.
    pub led: Led,
    /// Whether this process leads.
    pub fence: Fence,
    /// The way of every write.
    pub writes: Writes,
    /// The way of children.
    pub applier: Applier,
    /// Run secrets that exist.
    pub asked: Asked,
    /// Topologies that are about to be looked at.
    pub waiting_topologies: Arc<Waiting>,
    /// Servers that are about to be looked at.
    pub waiting_servers: Arc<Waiting>,
    /// Failures of topologies.
    pub topologies: Backoff,
    /// Failures of servers.
    pub servers: Backoff,
    /// Statuses of topologies.
    pub topology_statuses: Statuses<StreamTopologyStatus>,
    /// Statuses of servers.
    pub server_statuses: Statuses<ContentServerStatus>,
    /// Newer pod templates of servers that wait.
    pub updates: Updates,
    /// The way of events.
    pub events: Events,
    /// Topologies that members were told of, by UID.
    told: Mutex<HashSet<String>>,
    /// Who is told of changes that no watch tells of.
    pub concerned: Concerned,
    /// Counters.
    pub metrics: Metrics,
}

/// Since when this process leads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Led(Arc<Mutex<Option<Instant>>>);

impl Led {
    /// It leads from now on, or no longer.
    pub fn set(&self, leads: bool) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *since = leads.then(|| since.unwrap_or_else(Instant::now));
    }

    /// For how long it has led.
    pub fn time(&self) -> Duration {
        let since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Newer pod templates that wait, by content server.
#[derive(Debug, Default)]
pub struct Updates(Mutex<HashMap<Key, Vec<String>>>);

impl Updates {
    /// Notes what waits for a server; whether that is new.
    pub fn set(&self, server: &Key, updates: Vec<String>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match updates.is_empty() {
            true => all.remove(server),
            false => all.insert(server.clone(), updates.clone()),
        };
        before.unwrap_or_default() != updates
    }

    /// Forgets servers that are gone.
    fn retain(&self, there: impl Fn(&Key) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, _| there(key));
    }

    /// What waits for a server.
    pub fn of(&self, server: &Key) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(server).cloned().unwrap_or_default()
    }
}

impl Context {
    /// A context with nothing failed yet.
    pub fn new(
        client: kube::Client,
        release: Release,
        (caches, concerned): (Caches, Concerned),
        members: Members,
        (fence, led): (Fence, Led),
        events: Events,
        metrics: Metrics,
    ) -> Self {
        let writes = Writes::new(fence.clone(), metrics.clone());
        Self {
            applier: Applier::new(client.clone(), caches.clone(), writes.clone()),
            asked: Asked::default(),
            waiting_topologies: Arc::new(Waiting::new(topology::CONTROLLER, metrics.clone())),
            waiting_servers: Arc::new(Waiting::new(server::CONTROLLER, metrics.clone())),
            topologies: Backoff::default(),
            servers: Backoff::default(),
            topology_statuses: Statuses::default(),
            server_statuses: Statuses::default(),
            updates: Updates::default(),
            members,
            sights: Sights::default(),
            led,
            events,
            told: Mutex::default(),
            concerned,
            client,
            release,
            caches,
            fence,
            writes,
            metrics,
        }
    }
}

impl Context {
    /// Forgets what concerns objects that are gone. Memory is bounded by what the cluster holds.
    pub fn sweep(&self) {
        if self.caches.missing().is_some() {
            return;
        }
        let topologies = self.caches.topologies.state();
        let servers = self.caches.servers.state();
        let keys = |all: &mut dyn Iterator<Item = Key>| all.collect::<HashSet<Key>>();
        let topology_keys = keys(&mut topologies.iter().map(|one| key(&**one)));
        let server_keys = keys(&mut servers.iter().map(|one| key(&**one)));
        let mut uids: HashSet<String> = topologies.iter().filter_map(|one| one.uid()).collect();
        uids.extend(servers.iter().filter_map(|one| one.uid()));
        let children = self.caches.child_uids();
        self.applier.retain(|uid| children.contains(uid));
        self.asked.retain(|uid| uids.contains(uid));
        self.topology_statuses.retain(|uid| uids.contains(uid));
        self.server_statuses.retain(|uid| uids.contains(uid));
        self.topologies.retain(|key| topology_keys.contains(key));
        self.servers.retain(|key| server_keys.contains(key));
        self.updates.retain(|key| server_keys.contains(key));
        self.sights.retain(|key| topology_keys.contains(key));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|uid| uids.contains(uid));
    }

    /// Whether members were never told of this topology; they are after this.
    pub fn first_told(&self, uid: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(uid.to_owned())
    }
}

/// How often an object is looked at although nothing changed: what no watch tells of is found in the end. Nothing is
/// written by a look that finds nothing.
pub const RESYNC: Duration = Duration::from_secs(600);
