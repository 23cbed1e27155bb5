//! Links in memory between members of one process: seeded delay, death, freezing, lost and slow
//! directions, and a log of every chunk that crossed.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banyan_proto::client::incoming;
use banyan_proto::frame::Frame;
use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::v1;
use futures::StreamExt;
use futures::future::BoxFuture;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tonic::Status;

use crate::clock::{Clock, Instant};
use crate::connector::{CatalogSource, Connector, Incoming, Link, MediaSource};
use crate::core::lock;

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Alive,
    /// Accepts calls and says nothing, like a stopped process.
    Frozen,
    /// Every connection fails.
    Dead,
}

/// How what one member sends reaches another: one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Nothing arrives, not even that the other end died; it waits in the sender's socket.
    pub(crate) blocked: bool,
    /// Every frame takes `delay` and up to `jitter` more; order is kept.
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    /// Calls open when it grew are reset.
    resets: u64,
}

impl Default for Way {
    fn default() -> Way {
        Way {
            blocked: false,
            delay: Duration::from_micros(500),
            jitter: Duration::from_micros(4500),
            resets: 0,
        }
    }
}

/// What a sender's socket holds of frames that do not arrive.
const SOCKET: usize = 64;

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
    seed: u64,
    members: Mutex<HashMap<String, Member>>,
    /// By (from, to).
    ways: Mutex<HashMap<(String, String), watch::Sender<Way>>>,
    draws: Mutex<HashMap<(String, String), StdRng>>,
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
                seed,
                members: Mutex::default(),
                ways: Mutex::default(),
                draws: Mutex::default(),
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

    fn change(&self, from: &str, to: &str, change: impl FnOnce(&mut Way)) {
        let mut ways = lock(&self.inner.ways);
        let way = ways.entry((from.to_owned(), to.to_owned())).or_default();
        way.send_modify(change);
    }

    fn way(&self, from: &str, to: &str) -> watch::Receiver<Way> {
        let mut ways = lock(&self.inner.ways);
        let way = ways.entry((from.to_owned(), to.to_owned())).or_default();
        way.subscribe()
    }

    /// Nothing that `from` sends reaches `to` any more, or it does again.
    pub(crate) fn block(&self, from: &str, to: &str, blocked: bool) {
        self.change(from, to, |way| way.blocked = blocked);
    }

    /// Both directions.
    pub(crate) fn cut(&self, a: &str, b: &str, blocked: bool) {
        self.block(a, b, blocked);
        self.block(b, a, blocked);
    }

    /// Every call between the two fails, once.
    pub(crate) fn reset(&self, a: &str, b: &str) {
        self.change(a, b, |way| way.resets += 1);
        self.change(b, a, |way| way.resets += 1);
    }

    /// What `from` sends takes `delay`, and up to `jitter` more.
    pub(crate) fn slow(&self, from: &str, to: &str, delay: Duration, jitter: Duration) {
        self.change(from, to, |way| (way.delay, way.jitter) = (delay, jitter));
    }

    /// As links are at first.
    pub(crate) fn usual(&self, from: &str, to: &str) {
        let Way { delay, jitter, .. } = Way::default();
        self.slow(from, to, delay, jitter);
    }

    /// What `from` sends would reach `to` now.
    pub(crate) fn carries(&self, from: &str, to: &str) -> bool {
        !self.way(from, to).borrow().blocked
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

    /// What the next frame takes: drawn per direction, so that what happens elsewhere changes nothing.
    fn delay(&self, from: &str, to: &str) -> Duration {
        let way = *self.way(from, to).borrow();
        let mut draws = lock(&self.inner.draws);
        let rng = draws
            .entry((from.to_owned(), to.to_owned()))
            .or_insert_with(|| {
                let name = format!("{from} {}", self.inner.seed);
                StdRng::seed_from_u64(banyan_proto::carrier::weight(&name, to))
            });
        let jitter = (way.jitter.as_micros() as u64).max(1);
        way.delay + Duration::from_micros(rng.random_range(0..jitter))
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

pub(crate) struct MemoryConnector {
    net: Net,
    me: String,
}

impl Connector for MemoryConnector {
    fn link(&self, peer: &v1::Peer) -> Result<Arc<dyn Link>, Status> {
        Ok(Arc::new(MemoryLink {
            net: self.net.clone(),
            me: self.me.clone(),
            peer: peer.name.clone(),
        }))
    }
}

#[derive(Clone)]
struct MemoryLink {
    net: Net,
    me: String,
    peer: String,
}

impl MemoryLink {
    /// Calls the peer when it is well; a frozen one never answers, a dead one fails.
    async fn call<F>(
        self,
        fetched: bool,
        call: impl FnOnce(Arc<dyn Served>) -> F,
    ) -> Result<MemorySource, Status>
    where
        F: Future<Output = Result<FrameStream, Status>>,
    {
        let (service, mut health) = self.net.reach(&self.peer)?;
        let mut asking = self.net.way(&self.me, &self.peer);
        let answering = self.net.way(&self.peer, &self.me);
        let resets = answering.borrow().resets;
        tokio::time::sleep(self.net.delay(&self.me, &self.peer)).await;
        open(&mut asking).await;
        alive(&mut health, &answering).await?;
        let frames = tokio::select! {
            biased;
            error = broken(health.clone(), answering.clone(), resets) => return Err(error),
            frames = call(service) => frames?,
        };
        let call = self.net.inner.calls.fetch_add(1, Ordering::Relaxed);
        Ok(MemorySource {
            link: self,
            call,
            frames,
            health,
            way: answering,
            resets,
            fetched,
            under_way: VecDeque::new(),
            over: false,
        })
    }
}

/// Until the direction carries.
async fn open(way: &mut watch::Receiver<Way>) {
    until(way, |way| !way.blocked).await;
}

/// Until the member is not frozen; its death is told when word of it can arrive.
async fn alive(
    health: &mut watch::Receiver<Health>,
    way: &watch::Receiver<Way>,
) -> Result<(), Status> {
    let now = health
        .wait_for(|health| *health != Health::Frozen)
        .await
        .map(|health| *health);
    match now {
        Ok(Health::Alive) => Ok(()),
        _ => {
            open(&mut way.clone()).await;
            Err(Status::unavailable("connection refused"))
        }
    }
}

/// Until the call is broken by the other end's death or a reset.
async fn broken(
    mut health: watch::Receiver<Health>,
    way: watch::Receiver<Way>,
    resets: u64,
) -> Status {
    let mut resetting = way.clone();
    tokio::select! {
        // A member that is replaced is dead as well.
        () = until(&mut health, |health| *health == Health::Dead) => {
            open(&mut way.clone()).await;
        }
        () = until(&mut resetting, |way| way.resets != resets) => {}
    }
    Status::unavailable("connection reset")
}

impl Link for MemoryLink {
    fn subscribe(
        &self,
        request: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        let link = self.clone();
        Box::pin(async move {
            let source = link.call(false, |s| s.subscribe(request)).await?;
            Ok(Box::new(source) as Box<dyn MediaSource>)
        })
    }

    fn fetch(
        &self,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        let link = self.clone();
        Box::pin(async move {
            lock(&link.net.inner.fetches).push((
                link.me.clone(),
                link.peer.clone(),
                request.clone(),
            ));
            let source = link.call(true, |s| s.fetch(request)).await?;
            Ok(Box::new(source) as Box<dyn MediaSource>)
        })
    }

    fn catalog(
        &self,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<Box<dyn CatalogSource>, Status>> {
        let link = self.clone();
        Box::pin(async move {
            let source = link.call(false, |s| s.catalog(request)).await?;
            Ok(Box::new(source) as Box<dyn CatalogSource>)
        })
    }
}

pub(crate) struct MemorySource {
    link: MemoryLink,
    call: u64,
    frames: FrameStream,
    health: watch::Receiver<Health>,
    way: watch::Receiver<Way>,
    resets: u64,
    fetched: bool,
    /// Frames on their way, and when they arrive.
    under_way: VecDeque<(Instant, Result<Frame, Status>)>,
    /// The sender says no more.
    over: bool,
}

impl MemorySource {
    async fn frame(&mut self) -> Result<Option<Frame>, Status> {
        let broken = broken(self.health.clone(), self.way.clone(), self.resets);
        tokio::select! {
            biased;
            error = broken => Err(error),
            frame = self.arrive() => frame,
        }
    }

    async fn arrive(&mut self) -> Result<Option<Frame>, Status> {
        loop {
            // Frozen meanwhile: it is still in the sender's socket.
            alive(&mut self.health, &self.way).await?;
            let due = self.under_way.front().map(|(at, _)| *at);
            if due.is_none() && self.over {
                return Ok(None);
            }
            let room = !self.over && self.under_way.len() < SOCKET;
            let arriving = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
                open(&mut self.way).await;
            };
            tokio::select! {
                biased;
                () = arriving => {
                    // Frozen at the very moment: next time round.
                    if *self.health.borrow() == Health::Alive
                        && let Some((_, frame)) = self.under_way.pop_front()
                    {
                        return frame.map(Some);
                    }
                }
                frame = self.frames.next(), if room => match frame {
                    None => self.over = true,
                    Some(frame) => {
                        let MemoryLink { net, me, peer } = &self.link;
                        let at = Instant::now() + net.delay(peer, me);
                        let last = self.under_way.back().map_or(at, |(last, _)| *last);
                        self.under_way.push_back((at.max(last), frame));
                    }
                },
            }
        }
    }

    fn log(&self, frame: &Frame) {
        if let Frame::Chunk(chunk) = frame {
            lock(&self.link.net.inner.crossed).push(Crossed {
                at: Instant::now(),
                from: self.link.peer.clone(),
                to: self.link.me.clone(),
                track: chunk.head.track.clone(),
                run: chunk.head.run.clone(),
                number: chunk.head.number,
                part: chunk.head.part,
                last: chunk.head.last_in_segment,
                fetched: self.fetched,
                call: self.call,
            });
        }
    }
}

impl MediaSource for MemorySource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Incoming>, Status>> {
        Box::pin(async move {
            let Some(frame) = self.frame().await? else {
                return Ok(None);
            };
            self.log(&frame);
            incoming(&frame).map(Some)
        })
    }
}

impl CatalogSource for MemorySource {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<v1::catalog_message::Body>, Status>> {
        Box::pin(async move {
            let Some(Frame::Message(bytes)) = self.frame().await? else {
                return Ok(None);
            };
            let message = v1::CatalogMessage::decode(&bytes[5..])
                .map_err(|error| Status::internal(error.to_string()))?;
            Ok(message.body)
        })
    }
}
