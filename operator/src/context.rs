//! What every reconcile shares: one client, one applier, one recorder, one memory of failures.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use banyan_api::content_server::ContentServerStatus;
use banyan_api::stream_topology::StreamTopologyStatus;

use crate::apply::Applier;
use crate::apply::run_secret::Asked;
use crate::apply::writes::Writes;
use crate::controllers::backoff::Backoff;
use crate::controllers::caches::Caches;
use crate::controllers::watch::{Concerned, Key};
use crate::events::Events;
use crate::lease::fence::Fence;
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
    /// Whether this process leads.
    pub fence: Fence,
    /// The way of every write.
    pub writes: Writes,
    /// The way of children.
    pub applier: Applier,
    /// Run secrets that exist.
    pub asked: Asked,
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
    /// Who is told of changes that no watch tells of.
    pub concerned: Concerned,
    /// Counters.
    pub metrics: Metrics,
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
        fence: Fence,
        events: Events,
        metrics: Metrics,
    ) -> Self {
        let writes = Writes::new(fence.clone(), metrics.clone());
        Self {
            applier: Applier::new(client.clone(), caches.clone(), writes.clone()),
            asked: Asked::default(),
            topologies: Backoff::default(),
            servers: Backoff::default(),
            topology_statuses: Statuses::default(),
            server_statuses: Statuses::default(),
            updates: Updates::default(),
            events,
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

/// How often an object is looked at although nothing changed: what no watch tells of is found in the end. Nothing is
/// written by a look that finds nothing.
pub const RESYNC: Duration = Duration::from_secs(600);
