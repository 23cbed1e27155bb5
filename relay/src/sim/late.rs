//! Whoever comes late sees what the others see; what is missing is fetched once.

use std::time::Duration;

use futures::future::join_all;

use crate::library::LibraryError;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{VIDEO, WINDOW};

#[tokio::test(start_paused = true)]
async fn edges_started_twenty_seconds_apart_have_equal_windows() {
    let overlay = Overlay::campus(100);
    overlay.offered("edge-0").await;
    let early = overlay.watch("edge-0").await;
    pass(Duration::from_secs(20)).await;
    let late = overlay.watch("edge-1").await;
    // From the second segment boundary on.
    pass(Duration::from_millis(4100)).await;
    for _ in 0..20 {
        let (a, b) = (early.handle.view(), late.handle.view());
        let (a, b) = (a.borrow().clone(), b.borrow().clone());
        assert_eq!(a, b);
        let whole = a.segments.len() - usize::from(!a.head.as_ref().unwrap().segment_complete);
        assert_eq!(whole, WINDOW as usize);
        pass(Duration::from_millis(333)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_segment_that_was_never_received_is_fetched_with_its_exact_bytes() {
    let overlay = Overlay::campus(101);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_millis(1000)).await;
    let view = watching.handle.view().borrow().clone();
    assert!(view.segments.len() >= WINDOW as usize);
    let origin = &overlay.origins["lisbon"];
    for segment in view.segments.iter().take(WINDOW as usize) {
        let parts = watching
            .handle
            .segment(&segment.run, segment.number)
            .await
            .unwrap();
        let expected: Vec<_> = (0..6)
            .map(|part| origin.payload(VIDEO, segment.number, part))
            .collect();
        assert_eq!(parts, expected, "segment {}", segment.number);
    }
    let oldest = &view.segments[0];
    let part = watching.handle.part(&oldest.run, oldest.number, 3).await;
    assert_eq!(part.unwrap(), origin.payload(VIDEO, oldest.number, 3));
}

#[tokio::test(start_paused = true)]
async fn twenty_waiters_for_one_missing_segment_are_one_request_upstream() {
    let overlay = Overlay::campus(102);
    for edge in ["edge-0", "edge-3"] {
        overlay.offered(edge).await;
    }
    let first = overlay.watch("edge-0").await;
    let second = overlay.watch("edge-3").await;
    pass(Duration::from_millis(1000)).await;
    let oldest = first.handle.view().borrow().segments[0].clone();
    let waiters = (0..20).map(|n| {
        let handle = if n % 2 == 0 {
            &first.handle
        } else {
            &second.handle
        };
        handle.segment(&oldest.run, oldest.number)
    });
    for parts in join_all(waiters).await {
        assert_eq!(parts.unwrap().len(), 6);
    }
    let mut asked: Vec<_> = overlay
        .net
        .fetches()
        .into_iter()
        .filter(|(_, _, request)| request.from_number == oldest.number)
        .map(|(from, to, _)| (from, to))
        .collect();
    let all = asked.len();
    asked.sort();
    asked.dedup();
    assert_eq!(
        asked.len(),
        all,
        "a link carried the same request twice: {asked:?}"
    );
    // Both edges hang below mid-0: one request each, one from mid-0, one per root on the way.
    assert_eq!(asked.iter().filter(|(from, _)| from == "mid-0").count(), 1);
    assert!(all <= 5, "{asked:?}");
    let again = first.handle.segment(&oldest.run, oldest.number).await;
    assert_eq!(again.unwrap().len(), 6);
    assert_eq!(
        overlay
            .net
            .fetches()
            .iter()
            .filter(|(from, ..)| from == "edge-0")
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_next_segment_and_part_are_waited_for_and_farther_ones_are_refused() {
    let overlay = Overlay::minimal(103);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(3)).await;
    let head = watching.handle.view().borrow().head.clone().unwrap();
    let handle = &watching.handle;
    let (run, number) = (head.run.as_str(), head.number);
    let next = number + u64::from(!head.segment_complete);
    let far = handle.segment(run, next + 2).await;
    assert_eq!(far, Err(LibraryError::Future));
    assert_eq!(handle.segment(run, number + 1).await.unwrap().len(), 6);
    let head = handle.view().borrow().head.clone().unwrap();
    let part = handle.part(run, head.number + 1, 2).await.unwrap();
    assert_eq!(
        part,
        overlay.origins["lisbon"].payload(VIDEO, head.number + 1, 2)
    );
    let gone = handle.segment(run, number - 40).await;
    assert_eq!(gone, Err(LibraryError::Evicted));
    let other = handle.segment("zzzzzzzzzz", number).await;
    assert_eq!(other, Err(LibraryError::Evicted));
    let beyond = handle.part(run, number, 6).await;
    assert_eq!(beyond, Err(LibraryError::Evicted));
    assert_eq!(handle.init(run).await.unwrap(), "init");
}

#[tokio::test(start_paused = true)]
async fn a_cold_parent_begins_where_its_orphan_stands() {
    // mid-2 carries nothing until edge-1 comes to it from mid-1, in the middle of a segment.
    let overlay = Overlay::campus(104);
    overlay.offered("edge-1").await;
    let _watching = overlay.watch("edge-1").await;
    pass(Duration::from_millis(5700)).await;
    assert!(overlay.library("mid-2").status().tracks.is_empty());
    overlay.kill("mid-1");
    pass(Duration::from_secs(1)).await;
    assert_eq!(overlay.parent("edge-1"), "mid-2");
    // Another one joins live beside the orphan and gets whole segments only.
    let beside = overlay.watch("edge-2").await;
    pass(Duration::from_secs(6)).await;
    let counts = overlay.counts("edge-1");
    assert_eq!((counts.lost, counts.repeated), (0, 0), "{counts:?}");
    let first = overlay.received("edge-2")[0].clone();
    assert_eq!(first.part, 0);
    assert_eq!(overlay.counts("edge-2").lost, 0);
    let view = beside.handle.view().borrow().clone();
    assert!(view.segments.iter().all(|segment| !segment.gap));
}
