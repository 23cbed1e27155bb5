//! Links in memory between members of one process: the testbed's model of a link in each direction, seeded,
//! with death and freezing of whoever is at its ends, and a log of every chunk that crossed.
//!
//! A message goes through the [`pipe`] of its direction, whatever call it is of; both are changed with
//! [`Net::change`], in the same words as an emulated network's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::v1;
use banyan_testbed::link::{Change, Counters, Settings};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tonic::Status;

use crate::clock::{Clock, Instant};
use crate::core::lock;

pub(crate) mod memory;
pub(crate) mod pipe;
mod way;

use memory::MemoryConnector;
use way::Way;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Alive,
    /// Accepts calls and says nothing, like a stopped process.
    Frozen,
    /// Every connection fails.
    Dead,
}

/// Every link at first, in each direction: half a millisecond to five.
const USUAL: Settings = Settings {
    rate_bps: None,
    delay_us: 2_750,
    jitter_us: 2_250,
    loss_per_100k: 0,
    queue_bytes: 256 * 1024,
    up: true,
};

/// A chunk that crossed a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crossed {
    pub(crate) at: Instant,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) track: String,
    pub(crate) run: String,
    pub(crate) number: u64,
    pub(crate) part: u32,
    pub(crate) last: bool,
    pub(crate) fetched: bool,
    /// Which call carried it.
    pub(crate) call: u64,
}

#[derive(Clone)]
pub(crate) struct Net {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    start: Instant,
    seed: u64,
    members: Mutex<HashMap<String, Member>>,
    /// By (from, to).
    ways: Mutex<HashMap<(String, String), Arc<Way>>>,
    frozen: Mutex<HashMap<String, watch::Sender<bool>>>,
    calls: AtomicU64,
    crossed: Mutex<Vec<Crossed>>,
    fetches: Mutex<Vec<(String, String, v1::FetchRequest)>>,
}

struct Member {
    service: Arc<dyn Served>,
    health: watch::Sender<Health>,
}

/// A [`MediaService`] behind a pointer.
trait Served: Send + Sync {
    fn subscribe(
        self: Arc<Self>,
        request: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>>;
    fn fetch(
        self: Arc<Self>,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>>;
    fn catalog(
        self: Arc<Self>,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>>;
}

impl<T: MediaService> Served for T {
    fn subscribe(
        self: Arc<Self>,
        request: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>> {
        Box::pin(async move { MediaService::subscribe(&*self, request).await })
    }

    fn fetch(
        self: Arc<Self>,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>> {
        Box::pin(async move { MediaService::fetch(&*self, request).await })
    }

    fn catalog(
        self: Arc<Self>,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<FrameStream, Status>> {
        Box::pin(async move { MediaService::catalog(&*self, request).await })
    }
}

impl Net {
    pub(crate) fn new(clock: Clock, seed: u64) -> Net {
        Net {
            inner: Arc::new(Inner {
                clock,
                start: Instant::now(),
                seed,
                members: Mutex::default(),
                ways: Mutex::default(),
                frozen: Mutex::default(),
                calls: AtomicU64::new(0),
                crossed: Mutex::default(),
                fetches: Mutex::default(),
            }),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.inner.clock
    }

    pub(crate) fn join(&self, name: &str, service: impl MediaService) {
        let member = Member {
            service: Arc::new(service),
            health: watch::Sender::new(Health::Alive),
        };
        lock(&self.inner.members).insert(name.to_owned(), member);
        self.set_frozen(name, false);
    }

    pub(crate) fn set_health(&self, name: &str, health: Health) {
        if let Some(member) = lock(&self.inner.members).get(name) {
            member.health.send_replace(health);
        }
        self.set_frozen(name, health == Health::Frozen);
    }

    fn set_frozen(&self, name: &str, now: bool) {
        let mut frozen = lock(&self.inner.frozen);
        frozen.entry(name.to_owned()).or_default().send_replace(now);
    }

    /// True while a member is frozen: its own tasks stand still too, see [`thawed`].
    pub(crate) fn frozen(&self, name: &str) -> watch::Receiver<bool> {
        let mut frozen = lock(&self.inner.frozen);
        frozen.entry(name.to_owned()).or_default().subscribe()
    }

    // ---- directions of links ------------------------------------------------------------------

    fn way(&self, from: &str, to: &str) -> Arc<Way> {
        let mut ways = lock(&self.inner.ways);
        let way = ways.entry((from.to_owned(), to.to_owned()));
        let way = way.or_insert_with(|| {
            // A seed per direction, so that what happens elsewhere changes nothing.
            let name = format!("{from} {}", self.inner.seed);
            let seed = banyan_proto::carrier::weight(&name, to);
            Way::new(USUAL, seed, self.inner.start)
        });
        way.clone()
    }

    /// Changes how what `from` sends reaches `to`, also what is under way.
    pub(crate) fn change(&self, from: &str, to: &str, change: &Change) {
        self.way(from, to).change(change);
        if let Some(us) = change.delay_us {
            self.way(to, from).set_back(us);
        }
    }

    /// Nothing that `from` sends reaches `to` any more, or it does again.
    pub(crate) fn block(&self, from: &str, to: &str, blocked: bool) {
        let change = Change {
            up: Some(!blocked),
            ..Change::default()
        };
        self.change(from, to, &change);
    }

    /// Both directions.
    pub(crate) fn cut(&self, a: &str, b: &str, blocked: bool) {
        self.block(a, b, blocked);
        self.block(b, a, blocked);
    }

    /// Every call between the two fails, once.
    pub(crate) fn reset(&self, a: &str, b: &str) {
        self.way(a, b).reset();
        self.way(b, a).reset();
    }

    /// As links are at first, and still up or not.
    pub(crate) fn usual(&self, from: &str, to: &str) {
        let usual = Change {
            rate_bps: Some(0),
            delay_us: Some(USUAL.delay_us),
            jitter_us: Some(USUAL.jitter_us),
            loss_per_100k: Some(USUAL.loss_per_100k),
            queue_bytes: Some(USUAL.queue_bytes),
            up: None,
        };
        self.change(from, to, &usual);
    }

    /// Until a message of so many bytes has come from one to the other.
    pub(crate) async fn carry(&self, from: &str, to: &str, bytes: u64) {
        let call = self.inner.calls.fetch_add(1, Ordering::Relaxed);
        self.way(from, to).carry(call, bytes).await;
    }

    /// What became of frames of one direction so far.
    pub(crate) fn counters(&self, from: &str, to: &str) -> Counters {
        self.way(from, to).counters()
    }

    pub(crate) fn health(&self, name: &str) -> Option<Health> {
        let members = lock(&self.inner.members);
        members.get(name).map(|member| *member.health.borrow())
    }

    pub(crate) fn connector(&self, me: &str) -> MemoryConnector {
        MemoryConnector {
            net: self.clone(),
            me: me.to_owned(),
        }
    }

    pub(crate) fn crossed(&self) -> Vec<Crossed> {
        lock(&self.inner.crossed).clone()
    }

    /// What crossed since the first `known`.
    pub(crate) fn crossed_since(&self, known: usize) -> Vec<Crossed> {
        lock(&self.inner.crossed)[known..].to_vec()
    }

    /// Fetch requests as (from the asking member, to the asked one, request).
    pub(crate) fn fetches(&self) -> Vec<(String, String, v1::FetchRequest)> {
        lock(&self.inner.fetches).clone()
    }

    fn reach(&self, name: &str) -> Result<(Arc<dyn Served>, watch::Receiver<Health>), Status> {
        let members = lock(&self.inner.members);
        let member = members
            .get(name)
            .ok_or_else(|| Status::unavailable(format!("{name} is nowhere")))?;
        Ok((member.service.clone(), member.health.subscribe()))
    }
}

/// Until what is watched is so, or nobody is there to change it.
async fn until<T>(watched: &mut watch::Receiver<T>, so: impl FnMut(&T) -> bool) {
    let _ = watched.wait_for(so).await;
}

/// Runs a task of a member that may be frozen: it stands still then, and finds its timers late.
pub(crate) async fn thawed(frozen: Option<watch::Receiver<bool>>, task: impl Future<Output = ()>) {
    let Some(mut frozen) = frozen else {
        return task.await;
    };
    let mut freezing = frozen.clone();
    let mut task = std::pin::pin!(task);
    loop {
        until(&mut frozen, |frozen| !frozen).await;
        tokio::select! {
            biased;
            () = until(&mut freezing, |frozen| *frozen) => {}
            () = &mut task => return,
        }
    }
}
