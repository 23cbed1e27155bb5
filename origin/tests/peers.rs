//! A late content server: what another one has prepared is copied through a root, checked, and never waited for.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use banyan_proto::client::{Incoming, MediaClient};
use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaServer, MediaService};
use banyan_proto::v1::{self, catalog_message, media_message::Body};
use bytes::Bytes;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

const SEGMENTS: u64 = 60;
const RENDITIONS: u64 = 2;

/// What a root does with what the first server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// One bit of each segment is another.
    Damaged,
    /// The catalogue has the stream in another run.
    OtherRun,
    /// The catalogue has our run, the chunks are of another.
    FalseRun,
    /// The track's parameter sets are others.
    OtherInit,
    /// Breaks the third answer off in its middle, and all later ones before their beginning.
    Dying,
    /// Stays silent in the middle of every answer.
    Silent,
}

/// As much of a root as a content server copies through.
struct Root {
    origin: MediaClient,
    manner: Manner,
    catalogs: AtomicUsize,
    fetches: AtomicUsize,
}

impl MediaService for Root {
    async fn subscribe(&self, _: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        Err(Status::unimplemented("nobody follows this root"))
    }

    async fn catalog(&self, request: v1::CatalogRequest) -> Result<FrameStream, Status> {
        self.catalogs.fetch_add(1, Ordering::SeqCst);
        let mut reader = self.origin.catalog(request).await?;
        let mut frames = Vec::new();
        while let Some(mut body) = reader.next().await? {
            let whole = matches!(body, catalog_message::Body::Snapshot(_));
            if let (catalog_message::Body::Snapshot(snapshot), Manner::OtherRun) =
                (&mut body, self.manner)
            {
                snapshot.offers[0].run = "aaaaaaaaaa".into();
            }
            frames.push(Ok(Frame::catalog(body)));
            if whole {
                break;
            }
        }
        Ok(Box::pin(tokio_stream::iter(frames)))
    }

    async fn fetch(&self, request: v1::FetchRequest) -> Result<FrameStream, Status> {
        let before = self.fetches.fetch_add(1, Ordering::SeqCst);
        let dead = || Status::unavailable("the root is gone");
        if self.manner == Manner::Dying && before > 2 {
            return Err(dead());
        }
        let mut reader = self.origin.fetch(request).await?;
        let mut frames = Vec::new();
        while let Some(incoming) = reader.next().await? {
            frames.push(Ok(match incoming {
                Incoming::Message(Body::Init(mut init)) if self.manner == Manner::OtherInit => {
                    init.data = damaged(&init.data);
                    Frame::media(Body::Init(init))
                }
                Incoming::Message(body) => Frame::media(body),
                Incoming::Chunk { mut head, payload } => {
                    let payload = match self.manner {
                        Manner::Damaged => damaged(&payload),
                        _ => payload,
                    };
                    if self.manner == Manner::FalseRun {
                        head.run = "aaaaaaaaaa".into();
                    }
                    Frame::Chunk(FramedChunk::new(head, payload))
                }
            }));
        }
        let middle = frames.len() - 1;
        match self.manner {
            Manner::Dying if before == 2 => {
                frames.truncate(middle);
                frames.push(Err(dead()));
            }
            Manner::Silent => {
                frames.truncate(middle);
                let rest = tokio_stream::pending();
                return Ok(Box::pin(futures::StreamExt::chain(
                    tokio_stream::iter(frames),
                    rest,
                )));
            }
            _ => {}
        }
        Ok(Box::pin(tokio_stream::iter(frames)))
    }
}

fn damaged(data: &Bytes) -> Bytes {
    let mut data = data.to_vec();
    *data.last_mut().unwrap() ^= 1;
    data.into()
}

/// Serves a root in front of `origin`.
async fn root(origin: &Running, manner: Manner) -> (Arc<Root>, v1::Peer) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = v1::Peer {
        name: "root-0".into(),
        uri: format!("http://{}", listener.local_addr().unwrap()),
    };
    let root = Arc::new(Root {
        origin: origin.client.clone(),
        manner,
        catalogs: AtomicUsize::new(0),
        fetches: AtomicUsize::new(0),
    });
    let router = banyan_proto::transport::server().add_service(MediaServer::new(Arc::clone(&root)));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    (root, peer)
}

fn world(member: &str) -> World {
    let mut world = World::new().with_test("garden", SEGMENTS * 1000);
    world.member = member.into();
    let smaller = v1::Rendition {
        name: "60p".into(),
        height: 60,
        ..world.config.contents[0].renditions[0].clone()
    };
    world.config.contents[0].renditions.push(smaller);
    world
}

/// A late server on one core: its files, and how many video segments it copied and encoded.
async fn late(roots: Vec<v1::Peer>) -> (BTreeMap<String, Vec<u8>>, u64, u64) {
    let mut late = world("porto");
    (late.workers, late.config.roots) = (Some(1), roots);
    let running = late.start().await;
    running.complete("garden").await;
    let metrics = metrics(&running).await;
    let count = |name: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    };
    let copied = count("banyan_origin_segments_copied_total ");
    let encoded = count("banyan_origin_segments_encoded_total ");
    running.server.stop().await;
    (files(&late.asset_folder()), copied, encoded)
}

async fn metrics(running: &Running) -> String {
    let mut stream = tokio::net::TcpStream::connect(running.server.http())
        .await
        .unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_late_server_copies_what_a_peer_has_and_ends_with_the_same_bytes() {
    let first = world("lisbon");
    let running = first.start().await;
    running.complete("garden").await;
    let reference = files(&first.asset_folder());
    assert_eq!(reference.len() as u64, SEGMENTS * 3 + 6);
    let (honest, peer) = root(&running, Manner::Honest).await;
    // A root that nobody listens at costs nothing, first in the list or not.
    let gone = v1::Peer {
        name: "root-1".into(),
        uri: "http://127.0.0.1:1".into(),
    };
    let (files, copied, encoded) = late(vec![gone, peer]).await;
    assert_eq!(files, reference);
    assert!(copied > 0, "{encoded} were encoded");
    // What was copied was not encoded as well.
    assert_eq!(copied + encoded, SEGMENTS * RENDITIONS);
    // The last one may have been taken over while it was on its way.
    let fetches = honest.fetches.load(Ordering::SeqCst) as u64;
    assert!((copied..=copied + 1).contains(&fetches), "{fetches} asked");
    assert_eq!(honest.catalogs.load(Ordering::SeqCst), 1);
    running.server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_encoded_to_the_same_bytes() {
    let first = world("lisbon");
    let running = first.start().await;
    running.complete("garden").await;
    let reference = files(&first.asset_folder());
    for (manner, fetches) in [
        (Manner::Damaged, 3),
        (Manner::OtherRun, 0),
        (Manner::FalseRun, 3),
        (Manner::OtherInit, 1),
    ] {
        let (root, peer) = root(&running, manner).await;
        let (files, copied, encoded) = late(vec![peer]).await;
        assert!(files == reference, "{manner:?}: other bytes");
        assert_eq!((copied, encoded), (0, SEGMENTS * RENDITIONS), "{manner:?}");
        assert_eq!(root.catalogs.load(Ordering::SeqCst), 1, "{manner:?}");
        assert_eq!(root.fetches.load(Ordering::SeqCst), fetches, "{manner:?}");
    }
    running.server.stop().await;
}

#[tokio::test]
async fn a_peer_that_dies_or_falls_silent_midway_changes_nothing() {
    let first = world("lisbon");
    let running = first.start().await;
    running.complete("garden").await;
    let reference = files(&first.asset_folder());
    for (manner, expected) in [(Manner::Dying, 2), (Manner::Silent, 0)] {
        let (_root, peer) = root(&running, manner).await;
        let (files, copied, encoded) = late(vec![peer]).await;
        assert!(files == reference, "{manner:?}: other bytes");
        let all = SEGMENTS * RENDITIONS;
        assert_eq!((copied, encoded), (expected, all - expected), "{manner:?}");
    }
    running.server.stop().await;
}
