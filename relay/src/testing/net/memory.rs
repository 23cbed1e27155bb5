//! Calls between members: what a connector dials for them.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use banyan_proto::client::incoming;
use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::v1;
use futures::StreamExt;
use futures::future::BoxFuture;
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::way::{Arrived, Inbox, State, Way};
use super::{Crossed, Health, Net, Served, until};
use crate::clock::Instant;
use crate::connector::{CatalogSource, Connector, Incoming, Link, MediaSource};
use crate::core::lock;

/// What a call may have under way: the window of an HTTP/2 stream.
const WINDOW: u64 = 4 * 1024 * 1024;

/// Of a request, an answer or an end, compressed.
const HEADERS: u64 = 100;

pub(crate) struct MemoryConnector {
    pub(super) net: Net,
    pub(super) me: String,
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
        request: usize,
        fetched: bool,
        call: impl FnOnce(Arc<dyn Served>) -> F,
    ) -> Result<MemorySource, Status>
    where
        F: Future<Output = Result<FrameStream, Status>>,
    {
        let (service, mut health) = self.net.reach(&self.peer)?;
        let number = self.net.inner.calls.fetch_add(1, Ordering::Relaxed);
        let asking = self.net.way(&self.me, &self.peer);
        let answering = self.net.way(&self.peer, &self.me);
        let state = answering.state();
        let resets = state.borrow().resets;
        asking.carry(number, request as u64 + HEADERS).await;
        alive(&mut health, &state).await?;
        let opened = async {
            match call(service).await {
                Ok(frames) => Ok(frames),
                Err(refused) => {
                    answering.carry(number, HEADERS).await;
                    Err(refused)
                }
            }
        };
        let frames = tokio::select! {
            biased;
            error = broken(health.clone(), state.clone(), resets) => return Err(error),
            frames = opened => frames?,
        };
        Ok(MemorySource {
            link: self,
            call: number,
            broken: Box::pin(broken(health.clone(), state, resets)),
            sender: Sender {
                frames,
                health,
                freezing: None,
            },
            way: answering,
            fetched,
            inbox: Arc::default(),
            under_way: 0,
            said_all: false,
            over: false,
        })
    }
}

/// Until the direction carries.
async fn open(way: &mut watch::Receiver<State>) {
    until(way, |way| way.up).await;
}

/// Until the member is not frozen; its death is told when word of it can arrive.
async fn alive(
    health: &mut watch::Receiver<Health>,
    way: &watch::Receiver<State>,
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
    way: watch::Receiver<State>,
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
        let (link, length) = (self.clone(), request.encoded_len());
        Box::pin(async move {
            let source = link.call(length, false, |s| s.subscribe(request)).await?;
            Ok(Box::new(source) as Box<dyn MediaSource>)
        })
    }

    fn fetch(
        &self,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        let (link, length) = (self.clone(), request.encoded_len());
        Box::pin(async move {
            lock(&link.net.inner.fetches).push((
                link.me.clone(),
                link.peer.clone(),
                request.clone(),
            ));
            let source = link.call(length, true, |s| s.fetch(request)).await?;
            Ok(Box::new(source) as Box<dyn MediaSource>)
        })
    }

    fn catalog(
        &self,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<Box<dyn CatalogSource>, Status>> {
        let (link, length) = (self.clone(), request.encoded_len());
        Box::pin(async move {
            let source = link.call(length, false, |s| s.catalog(request)).await?;
            Ok(Box::new(source) as Box<dyn CatalogSource>)
        })
    }
}

struct MemorySource {
    link: MemoryLink,
    call: u64,
    broken: BoxFuture<'static, Status>,
    sender: Sender,
    way: Arc<Way>,
    fetched: bool,
    inbox: Arc<Inbox>,
    /// Bytes sent and not read.
    under_way: u64,
    /// The sender says no more.
    said_all: bool,
    /// And all of it was read.
    over: bool,
}

impl MemorySource {
    async fn frame(&mut self) -> Result<Option<Frame>, Status> {
        if self.over {
            return Ok(None);
        }
        loop {
            let room = !self.said_all && self.under_way < WINDOW;
            tokio::select! {
                biased;
                error = &mut self.broken => {
                    self.broken = Box::pin(ready(error.clone()));
                    return Err(error);
                }
                arrived = self.way.receive(&self.inbox, self.under_way > 0) => {
                    self.under_way -= size(&arrived);
                    self.over = !matches!(arrived, Ok(Some(_)));
                    return arrived;
                }
                said = self.sender.next(), if room => {
                    let said = said.transpose();
                    self.said_all = !matches!(said, Ok(Some(_)));
                    let bytes = size(&said);
                    self.under_way += bytes;
                    self.way.send(self.call, bytes, &self.inbox, said);
                }
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

/// The other end's side of a call.
struct Sender {
    frames: FrameStream,
    health: watch::Receiver<Health>,
    /// Until it is frozen; none while it is.
    freezing: Option<BoxFuture<'static, ()>>,
}

impl Sender {
    /// What it says next: nothing while it is frozen. Cancel-safe.
    async fn next(&mut self) -> Option<Result<Frame, Status>> {
        loop {
            let Some(freezing) = &mut self.freezing else {
                until(&mut self.health, |health| *health != Health::Frozen).await;
                let mut health = self.health.clone();
                self.freezing = Some(Box::pin(async move {
                    until(&mut health, |health| *health == Health::Frozen).await;
                }));
                continue;
            };
            tokio::select! {
                biased;
                () = freezing => self.freezing = None,
                frame = self.frames.next() => return frame,
            }
        }
    }
}

fn size(content: &Arrived) -> u64 {
    match content {
        Ok(Some(frame)) => frame.len() as u64,
        Ok(None) | Err(_) => HEADERS,
    }
}

/// Whoever reads no more has told the sender.
impl Drop for MemorySource {
    fn drop(&mut self) {
        self.way.cancel(self.call);
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
