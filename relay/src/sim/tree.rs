//! One copy per link, and nothing that nobody watches.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::testing::net::Crossed;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{STREAM, VIDEO};

/// How often each (from, to, number, part) crossed live, for numbers in [a, b).
fn copies(crossed: &[Crossed], a: u64, b: u64) -> BTreeMap<(String, String, u64, u32), u32> {
    let mut copies = BTreeMap::new();
    for c in crossed {
        if (a..b).contains(&c.number) && !c.fetched {
            *copies
                .entry((c.from.clone(), c.to.clone(), c.number, c.part))
                .or_insert(0) += 1;
        }
    }
    copies
}

async fn links_with_viewers(viewers: usize) -> (usize, Vec<(String, String)>) {
    let overlay = Overlay::campus(1);
    overlay.offered("edge-0").await;
    let mut watching = Vec::new();
    for n in 0..viewers {
        watching.push(overlay.watch(&format!("edge-{}", n % 4)).await);
    }
    pass(Duration::from_secs(5)).await;
    let (a, _) = overlay.origins["lisbon"].position();
    let (a, b) = (a + 1, a + 6);
    pass(Duration::from_secs(14)).await;
    let copies = copies(&overlay.net.crossed(), a, b);
    assert!(
        copies.values().all(|n| *n == 1),
        "a position crossed a link more than once"
    );
    let mut links: Vec<_> = copies.keys().map(|k| (k.0.clone(), k.1.clone())).collect();
    links.dedup();
    for link in &links {
        let count = copies
            .keys()
            .filter(|k| (&k.0, &k.1) == (&link.0, &link.1))
            .count();
        assert_eq!(count, 5 * 6, "{link:?} carried every part of five segments");
    }
    (copies.len(), links)
}

#[tokio::test(start_paused = true)]
async fn every_link_carries_each_chunk_once_for_one_viewer() {
    let (chunks, links) = links_with_viewers(1).await;
    // edge-0 ← mid-0 ← root-0 [← root-1] ← a content server.
    assert!((3..=4).contains(&links.len()), "{links:?}");
    assert_eq!(chunks, links.len() * 30);
}

#[tokio::test(start_paused = true)]
async fn every_link_carries_each_chunk_once_for_twenty_viewers() {
    let (_, links) = links_with_viewers(20).await;
    let members: std::collections::BTreeSet<_> = links.iter().map(|l| &l.1).collect();
    assert_eq!(links.len(), members.len(), "one parent each: {links:?}");
    for edge in ["edge-0", "edge-1", "edge-2", "edge-3"] {
        assert!(links.iter().any(|link| link.1 == edge));
    }
    let from_origins = links
        .iter()
        .filter(|link| ["lisbon", "porto"].contains(&link.0.as_str()));
    assert_eq!(from_origins.count(), 1, "{links:?}");
}

#[tokio::test(start_paused = true)]
async fn after_the_last_leave_nothing_flows_and_not_before() {
    let overlay = Overlay::campus(2);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(5)).await;
    drop(watching);
    let left = crate::clock::Instant::now();
    pass(Duration::from_secs(30)).await;
    let crossed = overlay.net.crossed();
    let last = crossed.iter().map(|c| c.at).max().unwrap();
    // Ten idle seconds at the edge, then one second at each hop above it.
    assert!(last > left + Duration::from_secs(9), "pruned too early");
    let edge_stopped = crossed.iter().filter(|c| c.to == "edge-0").map(|c| c.at);
    assert!(edge_stopped.max().unwrap() <= left + Duration::from_millis(10_010));
    assert!(last <= left + Duration::from_millis(13_050));
    for member in ["edge-0", "mid-0"] {
        assert_eq!(overlay.events(member, "unsubscribed").len(), 1);
        assert!(overlay.library(member).status().tracks.is_empty());
    }
    assert_eq!(overlay.members["edge-0"].held_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_of_one_track_moves_nothing_of_another() {
    let content = || Content {
        tracks: vec![VIDEO.into(), "360p".into()],
        ..Content::default()
    };
    let overlay = Overlay::test(3)
        .with_origin("lisbon", content())
        .with_roots(&["root-0"])
        .with_edge("edge-0", &["root-0"]);
    overlay.offered("edge-0").await;
    let library = overlay.library("edge-0");
    let handle = library.track(STREAM, "360p").await.unwrap();
    let _demand = handle.demand();
    pass(Duration::from_secs(10)).await;
    let crossed = overlay.net.crossed();
    assert!(crossed.len() > 30);
    assert!(crossed.iter().all(|c| c.track == "360p"));
}
