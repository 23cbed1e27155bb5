//! A parent that lies: what it says is refused and counted, and the next parent is taken.

use std::time::Duration;

use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::v1::{self, catalog_message, media_message::Body};
use bytes::Bytes;
use futures::{StreamExt, stream};
use tonic::Status;

use crate::clock::Instant;
use crate::testing::origin::Origin;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{EPOCH, STREAM, VIDEO};

/// Answers every subscription with the same frames, and then with keep-alives for ever.
struct Rogue {
    origin: Origin,
    frames: Vec<Frame>,
}

impl MediaService for Rogue {
    async fn subscribe(&self, _: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let alive = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let alive = v1::KeepAlive {
                path: vec!["rogue-0".into()],
                ..Default::default()
            };
            Some((Frame::media(Body::KeepAlive(alive)), ()))
        });
        let frames = stream::iter(self.frames.clone()).chain(alive);
        Ok(Box::pin(frames.map(Ok)))
    }

    async fn fetch(&self, _: v1::FetchRequest) -> Result<FrameStream, Status> {
        Err(Status::internal("no"))
    }

    async fn catalog(&self, _: v1::CatalogRequest) -> Result<FrameStream, Status> {
        let snapshot = catalog_message::Body::Snapshot(v1::CatalogSnapshot {
            version: 1,
            offers: vec![self.origin.offer()],
        });
        Ok(Box::pin(
            stream::iter([Ok(Frame::catalog(snapshot))]).chain(stream::pending()),
        ))
    }
}

fn description() -> v1::Description {
    v1::Description {
        stream: STREAM.into(),
        run: "aaaaaaaaaa".into(),
        epoch: EPOCH,
        track: Some(v1::Track {
            name: VIDEO.into(),
            timescale: 25,
            ..Default::default()
        }),
        window_segments: 6,
        ..Default::default()
    }
}

fn described(change: impl FnOnce(&mut v1::Description)) -> Vec<Frame> {
    let mut description = description();
    change(&mut description);
    vec![Frame::media(Body::Description(description))]
}

fn then(body: Body) -> Vec<Frame> {
    let mut frames = described(|_| {});
    frames.push(Frame::media(body));
    frames
}

fn chunk(head: v1::ChunkHead) -> Vec<Frame> {
    let mut frames = described(|_| {});
    frames.push(Frame::Chunk(FramedChunk::new(
        head,
        Bytes::from_static(b"x"),
    )));
    frames
}

fn head(number: u64, part: u32) -> v1::ChunkHead {
    v1::ChunkHead {
        run: "aaaaaaaaaa".into(),
        track: VIDEO.into(),
        number,
        part,
        duration: 8,
        ..Default::default()
    }
}

fn lies() -> Vec<(&'static str, Vec<Frame>)> {
    let mut jump = chunk(head(EPOCH + 15, 0));
    jump.extend(chunk(head(EPOCH + 15, 2)).pop());
    vec![
        ("nothing at all", Vec::new()),
        ("another stream", described(|d| d.stream = "other".into())),
        ("no window", described(|d| d.window_segments = 0)),
        ("an endless window", described(|d| d.window_segments = 1001)),
        ("no timescale", described(|d| d.track = None)),
        ("a run that is a path", described(|d| d.run = "../x".into())),
        (
            "an endless index",
            then(Body::Index(v1::Index {
                segments: vec![v1::SegmentInfo::default(); 4001],
                ..Default::default()
            })),
        ),
        (
            "a huge init",
            then(Body::Init(v1::Init {
                run: "aaaaaaaaaa".into(),
                data: vec![0; (1 << 20) + 1].into(),
            })),
        ),
        (
            "another track's chunk",
            chunk(v1::ChunkHead {
                track: "audio".into(),
                ..head(EPOCH + 15, 0)
            }),
        ),
        ("a part of no segment", chunk(head(EPOCH + 15, 4096))),
        ("the last number there is", chunk(head(u64::MAX, 0))),
        ("a jump", jump),
        (
            "an endless path",
            then(Body::KeepAlive(v1::KeepAlive {
                path: vec!["x".into(); 65],
                ..Default::default()
            })),
        ),
        (
            "repairing for ever",
            then(Body::KeepAlive(v1::KeepAlive {
                path: vec!["rogue-0".into()],
                state: v1::FlowState::Repairing.into(),
                repairing_ms: u32::MAX,
                ..Default::default()
            })),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_a_parent_says_the_next_one_feeds_soon() {
    for (seed, (what, frames)) in (400..).zip(lies()) {
        let overlay = Overlay::minimal(seed);
        let rogue = Rogue {
            origin: overlay.origins["lisbon"].clone(),
            frames,
        };
        overlay.net.join("rogue-0", rogue);
        let overlay = overlay.with_edge("edge-9", &["rogue-0", "root-0"]);
        overlay.offered("edge-9").await;
        pass(Duration::from_secs(2)).await;
        let asked = Instant::now();
        let library = overlay.library("edge-9");
        let handle = library.track(STREAM, VIDEO).await.unwrap();
        let _demand = handle.demand();
        let flowing = async {
            while overlay.parent("edge-9") != "root-0" || overlay.received("edge-9").len() < 12 {
                pass(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(8), flowing)
            .await
            .unwrap_or_else(|_| panic!("{what}: never fed, {:?}", library.status().tracks));
        let received = overlay.received("edge-9");
        let honest = received.iter().find(|c| c.from == "root-0").unwrap();
        assert!(
            honest.at - asked < Duration::from_secs(4),
            "{what}: {:?}",
            honest.at - asked
        );
        let view = handle.view().borrow().clone();
        let head = view.head.clone().unwrap();
        let part = handle.part(&head.run, head.number, head.part).await;
        let exact = overlay.origins["lisbon"].payload(VIDEO, head.number, head.part);
        assert_eq!(part.unwrap(), exact, "{what}");
    }
}
