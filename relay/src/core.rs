//! The middle of a member: its tracks, its parents, its catalogue, its bounds.
//!
//! Everything here is reached through `Arc<Core>`: the gRPC service, the egresses (through
//! [`Library`]), the drivers of tracks, and the reports. Work that outlives a call is spawned in one
//! place, [`Core::spawn`], and ends with the core's token.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use banyan_proto::trust::Authenticator;
use banyan_proto::v1;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use crate::catalog::{Kind, Sources};
use crate::clock::{Clock, Instant};
use crate::connector::{Connector, Link};
use crate::counters::Counters;
use crate::library::{CatalogView, Library};
use crate::load::Meter;
use crate::origins::Origins;
use crate::probe::Probes;
use crate::record::Recorder;
use crate::room::{Room, Seats};
use crate::track::{Key, Track};
use crate::upstream::Tuning;

use switches::Switches;

mod origins;
mod plan;
mod report;
mod switches;
mod tree;
mod viewers;

/// More tracks than this are carried by no member; names beyond it are somebody's mistake.
const MAX_TRACKS: usize = 4096;

/// What a relay is in its tree: configuration, not code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Root,
    Relay,
    Edge,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Root => "root",
            Role::Relay => "relay",
            Role::Edge => "edge",
        }
    }
}

/// Everything a core is made of; the rim chooses, simulations choose otherwise.
pub struct Options {
    pub member: String,
    pub role: Role,
    pub topology: String,
    pub boot_id: String,
    /// Where this member's own gRPC and HTTP are reached, for reports.
    pub grpc: String,
    pub http: String,
    pub config: v1::Config,
    pub tuning: Tuning,
    /// Bytes of media held, over all tracks.
    pub memory_budget: usize,
    /// Bits per second sent at most; `None` = as configured.
    pub max_egress: Option<u64>,
    pub connector: Arc<dyn Connector>,
    pub authenticator: Arc<dyn Authenticator>,
    /// The first message of every call this member makes.
    pub hello: Arc<dyn Fn() -> v1::Hello + Send + Sync>,
    pub recorder: Arc<Recorder>,
    pub clock: Clock,
    /// True while the process of a simulation stands still.
    #[cfg(test)]
    pub(crate) frozen: Option<tokio::sync::watch::Receiver<bool>>,
}

pub struct Core {
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) counters: Counters,
    pub(crate) shutdown: CancellationToken,
    pub(crate) meter: Meter,
    config: Mutex<Arc<v1::Config>>,
    config_changed: watch::Sender<u64>,
    /// Given by hand: no configuration names others.
    fixed_parents: OnceLock<Vec<v1::Peer>>,
    tracks: Mutex<HashMap<Key, Arc<Track>>>,
    catalog: watch::Sender<Arc<CatalogView>>,
    sources: Mutex<Sources>,
    /// When each source's catalogue was last connected, for a root's return to a better one.
    pub(crate) connected_since: Mutex<BTreeMap<String, Instant>>,
    /// How soon the first word of each came: no less than a round trip.
    reached_in: Mutex<BTreeMap<String, Duration>>,
    /// Peers whose catalogue could not be had at the last attempt.
    down: Mutex<BTreeSet<String>>,
    origins: Mutex<Origins>,
    switches: Mutex<Switches>,
    pub(crate) probes: Mutex<Probes>,
    /// Counts the rankings of parents taken so far.
    plan: Mutex<u64>,
    links: Mutex<HashMap<(String, String), Arc<dyn Link>>>,
    tasks: TaskTracker,
    held: AtomicUsize,
    stamps: AtomicU64,
    sessions: AtomicU32,
    draining: watch::Sender<bool>,
    /// Bits per second that may be sent, over what the configuration says.
    pub(crate) max_egress: Option<u64>,
    pub(crate) room: Mutex<Room>,
    pub(crate) seats: Mutex<Seats>,
    /// The steps of leaving that [`crate::leave`] takes.
    pub(crate) asked_to_leave: CancellationToken,
    pub(crate) unready: CancellationToken,
    pub(crate) calls_closed: CancellationToken,
    configured: watch::Sender<bool>,
}

impl Core {
    pub fn new(options: Options) -> Arc<Core> {
        let kind = match options.role {
            Role::Root => Kind::Origins,
            Role::Relay | Role::Edge => Kind::Parents,
        };
        Arc::new(Core {
            clock: options.clock,
            counters: Counters::default(),
            shutdown: CancellationToken::new(),
            meter: Meter::new(options.clock),
            config: Mutex::new(Arc::new(options.config.clone())),
            config_changed: watch::Sender::new(0),
            fixed_parents: OnceLock::new(),
            tracks: Mutex::default(),
            catalog: watch::Sender::default(),
            sources: Mutex::new(Sources::new(kind)),
            connected_since: Mutex::default(),
            reached_in: Mutex::default(),
            down: Mutex::default(),
            origins: Mutex::new(Origins::new(&options.config)),
            switches: Mutex::default(),
            probes: Mutex::default(),
            plan: Mutex::default(),
            links: Mutex::default(),
            tasks: TaskTracker::new(),
            held: AtomicUsize::new(0),
            stamps: AtomicU64::new(0),
            sessions: AtomicU32::new(0),
            draining: watch::Sender::new(false),
            max_egress: options.max_egress,
            room: Mutex::default(),
            seats: Mutex::default(),
            asked_to_leave: CancellationToken::new(),
            unready: CancellationToken::new(),
            calls_closed: CancellationToken::new(),
            configured: watch::Sender::new(true),
            options,
        })
    }

    pub fn library(self: &Arc<Self>) -> Library {
        Library::new(self.clone())
    }

    pub fn member(&self) -> &str {
        &self.options.member
    }

    pub fn recorder(&self) -> &Recorder {
        &self.options.recorder
    }

    /// Stops every task of the core and waits for them.
    pub async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The one place that spawns; tasks end with the core.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        #[cfg(test)]
        let task = crate::testing::net::thawed(self.options.frozen.clone(), task);
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }

    pub(crate) fn hello(&self) -> v1::Hello {
        (self.options.hello)()
    }

    pub(crate) fn authenticator(&self) -> &dyn Authenticator {
        &*self.options.authenticator
    }

    // ---- configuration ------------------------------------------------------------------------

    pub(crate) fn config(&self) -> Arc<v1::Config> {
        lock(&self.config).clone()
    }

    /// Takes a newer configuration. Choices to come follow it, and where it ranks parents anew the
    /// drivers move gently to the first of them.
    pub(crate) fn configure(&self, config: v1::Config) {
        let config = self.as_fixed(config);
        lock(&self.origins).configure(&config);
        let config = Arc::new(config);
        let old = std::mem::replace(&mut *lock(&self.config), config.clone());
        self.note_plan(&old, &config);
        self.config_changed.send_modify(|n| *n += 1);
    }

    pub(crate) fn config_changes(&self) -> watch::Receiver<u64> {
        self.config_changed.subscribe()
    }

    // ---- life ---------------------------------------------------------------------------------

    pub(crate) fn ready(&self) -> bool {
        *self.configured.borrow() && !self.is_leaving()
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Unready from now on; children are told to go.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    // ---- tracks -------------------------------------------------------------------------------

    pub(crate) fn find_track(&self, stream: &str, track: &str) -> Option<Arc<Track>> {
        let key = Key {
            stream: stream.to_owned(),
            track: track.to_owned(),
        };
        lock(&self.tracks).get(&key).cloned()
    }

    /// The track by name, carried or not.
    pub(crate) fn track(&self, stream: &str, track: &str) -> Result<Arc<Track>, Status> {
        let key = Key {
            stream: stream.to_owned(),
            track: track.to_owned(),
        };
        let mut tracks = lock(&self.tracks);
        if let Some(track) = tracks.get(&key) {
            return Ok(track.clone());
        }
        if tracks.len() >= MAX_TRACKS {
            return Err(Status::resource_exhausted(format!(
                "this member knows {MAX_TRACKS} tracks already"
            )));
        }
        let track = Arc::new(Track::new(key.clone()));
        tracks.insert(key, track.clone());
        Ok(track)
    }

    pub(crate) fn tracks(&self) -> Vec<Arc<Track>> {
        lock(&self.tracks).values().cloned().collect()
    }

    // ---- peers --------------------------------------------------------------------------------

    pub(crate) fn link(&self, peer: &v1::Peer) -> Result<Arc<dyn Link>, Status> {
        let key = (peer.name.clone(), peer.uri.clone());
        if let Some(link) = lock(&self.links).get(&key) {
            return Ok(link.clone());
        }
        let link = self.options.connector.link(peer)?;
        let mut links = lock(&self.links);
        // A peer that moved leaves its old link behind.
        links.retain(|(name, _), _| *name != peer.name);
        links.insert(key, link.clone());
        Ok(link)
    }

    /// The next call to `name` opens a new connection.
    pub(crate) fn forget_link(&self, name: &str) {
        lock(&self.links).retain(|(known, _), _| known != name);
    }

    // ---- memory -------------------------------------------------------------------------------

    /// Order of arrival, for eviction.
    pub(crate) fn stamp(&self) -> u64 {
        self.stamps.fetch_add(1, Ordering::Relaxed)
    }

    /// A track's store changed its size.
    pub(crate) fn account(&self, before: usize, after: usize) {
        if after >= before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Evicts the oldest segments of all tracks until the budget holds; live edges stay.
    pub(crate) fn enforce_budget(&self) {
        if self.held_bytes() <= self.options.memory_budget {
            return;
        }
        let tracks = self.tracks();
        while self.held_bytes() > self.options.memory_budget {
            let oldest = tracks
                .iter()
                .filter_map(|track| Some((track.lock().store.oldest_stamp()?, track)))
                .min_by_key(|(stamp, _)| *stamp);
            let Some((_, track)) = oldest else { return };
            let freed = track.lock().store.evict();
            if freed == 0 {
                return;
            }
            self.counters.evictions.inc();
            self.account(freed, 0);
        }
    }

    // ---- records ------------------------------------------------------------------------------

    pub(crate) fn arrived(
        &self,
        from: &str,
        key: &Key,
        head: Option<&v1::ChunkHead>,
        bytes: usize,
        kind: &str,
    ) {
        self.counters.chunks_in.inc();
        self.counters.bytes_in.add(bytes as u64);
        if let Some(head) = head {
            self.options
                .recorder
                .link(&self.clock, from, key, head, bytes, kind);
        }
    }

    /// A copy of a head, where there is a file that it will be written to.
    pub(crate) fn to_record(&self, head: &v1::ChunkHead) -> Option<v1::ChunkHead> {
        self.options.recorder.is_filed().then(|| head.clone())
    }

    pub(crate) fn event(&self, event: &str, key: &Key, facts: serde_json::Value) {
        self.options.recorder.event(&self.clock, event, key, facts);
    }
}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
