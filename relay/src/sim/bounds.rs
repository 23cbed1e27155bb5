//! Bounds: bytes held, slow readers, damaged bytes.

use std::time::Duration;

use banyan_media::position::{Ledger, Position};
use banyan_proto::v1::{self, media_message::Body, subscribe_request::From};

use crate::connector::{Connector, Incoming, MediaSource};
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{STREAM, VIDEO, WINDOW, peer, secret};

const KIB: usize = 1024;

fn heavy() -> Content {
    Content {
        payload: 16 * KIB,
        ..Content::default()
    }
}

fn small(seed: u64, content: Content) -> Overlay {
    Overlay::test(seed)
        .with_origin("lisbon", content)
        .with_roots(&["root-0"])
        .with_edge("edge-0", &["root-0"])
}

/// A child that reads when it likes.
async fn subscribe(overlay: &Overlay, to: &str, from: From) -> Box<dyn MediaSource> {
    let link = overlay.net.connector("reader-0").link(&peer(to)).unwrap();
    let request = v1::SubscribeRequest {
        hello: Some(secret().hello("reader-0", "boot")),
        stream: STREAM.into(),
        track: VIDEO.into(),
        from: Some(from),
    };
    link.subscribe(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn memory_stays_within_the_budget_and_what_was_evicted_is_fetched_again() {
    let budget = 4 * 6 * 16 * KIB + 20 * KIB; // four segments
    let overlay = small(200, heavy()).with_budget("edge-0", budget);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    let core = overlay.members["edge-0"].clone();
    for _ in 0..120 {
        pass(Duration::from_millis(333)).await;
        assert!(core.held_bytes() <= budget, "{}", core.held_bytes());
    }
    assert!(core.counters.evictions.value() > 10);
    assert!(overlay.net.fetches().is_empty());
    let view = watching.handle.view().borrow().clone();
    let oldest = view.segments[0].clone();
    for _ in 0..2 {
        let parts = watching
            .handle
            .segment(&oldest.run, oldest.number)
            .await
            .unwrap();
        assert_eq!(parts.len(), 6);
        assert!(core.held_bytes() <= budget);
    }
    assert!(!overlay.net.fetches().is_empty());
    assert_eq!(overlay.counts("edge-0").lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_track_holds_two_windows_and_two_segments_at_most() {
    let overlay = small(201, heavy());
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(90)).await;
    let segment = 6 * (16 * KIB + 200);
    let bound = (2 * WINDOW as usize + 2) * segment;
    let held = overlay.members["edge-0"].held_bytes();
    assert!(held <= bound && held > bound / 2, "{held} of {bound}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_every_chunk_inside_retention() {
    let overlay = small(202, Content::default());
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(4)).await;
    let mut reader = subscribe(&overlay, "edge-0", From::Live(v1::Live {})).await;
    let mut ledger = Ledger::new();
    let mut gaps = 0;
    for round in 0..500 {
        if round % 120 == 10 {
            pass(Duration::from_secs(20)).await; // asleep for ten of fourteen segments
        }
        match reader.next().await.unwrap().unwrap() {
            Incoming::Chunk { head, .. } => {
                ledger.record(
                    &head.run,
                    Position::new(head.number, head.part),
                    head.last_in_segment,
                );
            }
            Incoming::Message(Body::Gap(_)) => gaps += 1,
            Incoming::Message(_) => {}
        }
    }
    let counts = ledger.counts();
    assert!(counts.chunks > 60);
    assert_eq!(
        (counts.lost, counts.repeated, gaps),
        (0, 0, 0),
        "{counts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn beyond_retention_a_reader_is_told_the_gap_and_goes_on_behind_it() {
    let overlay = small(203, Content::default());
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(4)).await;
    let mut reader = subscribe(&overlay, "edge-0", From::Live(v1::Live {})).await;
    let mut newest = (0, 0);
    for _ in 0..8 {
        if let Incoming::Chunk { head, .. } = reader.next().await.unwrap().unwrap() {
            newest = (head.number, head.part);
        }
    }
    assert!(newest.0 > 0);
    pass(Duration::from_secs(60)).await;
    let gap = loop {
        match reader.next().await.unwrap().unwrap() {
            Incoming::Message(Body::Gap(gap)) => break gap,
            Incoming::Chunk { head, .. } => newest = (head.number, head.part),
            Incoming::Message(_) => {}
        }
    };
    assert_eq!((gap.from_number, gap.from_part), (newest.0, newest.1 + 1));
    let listed = loop {
        match reader.next().await.unwrap().unwrap() {
            Incoming::Message(Body::Index(index)) => break index,
            other => assert!(!matches!(other, Incoming::Chunk { .. })),
        }
    };
    assert!(listed.segments.iter().any(|s| s.number == gap.to_number));
    let next = loop {
        if let Incoming::Chunk { head, .. } = reader.next().await.unwrap().unwrap() {
            break (head.number, head.part);
        }
    };
    assert_eq!(next, (gap.to_number, gap.to_part));
}

#[tokio::test(start_paused = true)]
async fn a_child_behind_a_gap_fetches_what_the_window_lists() {
    // edge-1 hangs on edge-0 and is frozen out for longer than its memory of positions.
    let overlay = small(204, Content::default()).with_edge("edge-1", &["edge-0"]);
    overlay.offered("edge-1").await;
    let _upper = overlay.watch("edge-0").await;
    let lower = overlay.watch("edge-1").await;
    pass(Duration::from_secs(5)).await;
    overlay.freeze("edge-0");
    pass(Duration::from_secs(60)).await;
    overlay.thaw("edge-0");
    pass(Duration::from_secs(30)).await;
    assert_eq!(overlay.events("edge-1", "gap").len(), 1);
    let view = lower.handle.view().borrow().clone();
    let upper = _upper.handle.view().borrow().clone();
    assert_eq!(view, upper);
}

#[tokio::test(start_paused = true)]
async fn damaged_bytes_are_noticed_counted_and_fetched_again() {
    let number = crate::testing::NOW - 15 + 3;
    let number = number - (number - crate::testing::EPOCH);
    let number = number + 18; // a segment that plays a few seconds after the start
    let content = Content {
        damaged: Some((number, 2)),
        ..Content::default()
    };
    let overlay = small(205, content);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(12)).await;
    let root = &overlay.members["root-0"];
    assert_eq!(root.counters.hash_mismatches.value(), 1);
    let parts = watching.handle.segment("aaaaaaaaaa", number).await.unwrap();
    assert_eq!(
        parts[2],
        overlay.origins["lisbon"].payload(VIDEO, number, 2)
    );
    assert_eq!(overlay.counts("edge-0").lost, 0);
}
