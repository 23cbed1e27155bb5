//! Links in memory between members of one process: seeded delay, death, freezing, and a log of
//! every chunk that crossed.

use std::collections::HashMap;
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
}

#[derive(Clone)]
pub(crate) struct Net {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    rng: Mutex<StdRng>,
    members: Mutex<HashMap<String, Member>>,
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
                rng: Mutex::new(StdRng::seed_from_u64(seed)),
                members: Mutex::default(),
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
    }

    pub(crate) fn set_health(&self, name: &str, health: Health) {
        if let Some(member) = lock(&self.inner.members).get(name) {
            member.health.send_replace(health);
        }
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

    fn delay(&self) -> Duration {
        Duration::from_micros(lock(&self.inner.rng).random_range(500..5000))
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
        tokio::time::sleep(self.net.delay()).await;
        alive(&mut health).await?;
        let mut dying = health.clone();
        let frames = tokio::select! {
            biased;
            error = dead(&mut dying) => return Err(error),
            frames = call(service) => frames?,
        };
        Ok(MemorySource {
            link: self,
            frames,
            health,
            fetched,
            under_way: None,
        })
    }
}

async fn alive(health: &mut watch::Receiver<Health>) -> Result<(), Status> {
    let now = health
        .wait_for(|health| *health != Health::Frozen)
        .await
        .map(|health| *health);
    match now {
        Ok(Health::Alive) => Ok(()),
        _ => Err(Status::unavailable("connection refused")),
    }
}

async fn dead(health: &mut watch::Receiver<Health>) -> Status {
    // A member that is replaced is dead as well.
    let _ = health.wait_for(|health| *health == Health::Dead).await;
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
    frames: FrameStream,
    health: watch::Receiver<Health>,
    fetched: bool,
    /// A frame on its way, and when it arrives.
    under_way: Option<(Instant, Frame)>,
}

impl MemorySource {
    async fn frame(&mut self) -> Result<Option<Frame>, Status> {
        alive(&mut self.health).await?;
        let mut health = self.health.clone();
        tokio::select! {
            biased;
            error = dead(&mut health) => Err(error),
            frame = self.arrive() => frame,
        }
    }

    async fn arrive(&mut self) -> Result<Option<Frame>, Status> {
        if self.under_way.is_none() {
            match self.frames.next().await {
                None => return Ok(None),
                Some(frame) => {
                    let at = Instant::now() + self.link.net.delay();
                    self.under_way = Some((at, frame?));
                }
            }
        }
        if let Some((at, _)) = &self.under_way {
            tokio::time::sleep_until(*at).await;
        }
        // Frozen meanwhile: it is still in the sender's socket.
        alive(&mut self.health).await?;
        Ok(self.under_way.take().map(|(_, frame)| frame))
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
