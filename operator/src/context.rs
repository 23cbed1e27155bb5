//! What every reconcile shares: one client, one applier, one recorder, one memory of failures.

use std::time::Duration;

use crate::apply::Applier;
use crate::apply::run_secret::Asked;
use crate::apply::writes::Writes;
use crate::controllers::backoff::Backoff;
use crate::controllers::caches::Caches;
use crate::lease::fence::Fence;
use crate::metrics::Metrics;
use crate::release::Release;

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
    /// Counters.
    pub metrics: Metrics,
}

impl Context {
    /// A context with nothing failed yet.
    pub fn new(
        client: kube::Client,
        release: Release,
        caches: Caches,
        fence: Fence,
        metrics: Metrics,
    ) -> Self {
        let writes = Writes::new(fence.clone(), metrics.clone());
        Self {
            applier: Applier::new(client.clone(), caches.clone(), writes.clone()),
            asked: Asked::default(),
            topologies: Backoff::default(),
            servers: Backoff::default(),
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
