//! Limits of egress: newcomers go elsewhere, the newest child makes room, nobody is tossed about.

use std::time::Duration;

use banyan_proto::v1;

use crate::core::Role;
use crate::testing::config;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, Watching, pass};
use crate::upstream::Cause;

/// Under a track of about 1 Mbit/s and its peak: room for one child.
const ONE: u64 = 1_500_000;

fn limited(bps: u64) -> v1::Config {
    v1::Config {
        max_egress_bps: bps,
        ..config(&[], &["root-0"])
    }
}

/// One root, two relays, the first with a limit, and two edges that prefer it.
fn quay(seed: u64, limit: u64) -> Overlay {
    let content = Content {
        payload: 40_000,
        ..Content::default()
    };
    Overlay::test(seed)
        .with_origin("lisbon", content)
        .with_roots(&["root-0"])
        .with_member("mid-0", Role::Relay, limited(limit))
        .with_relay("mid-1", &["root-0"])
        .with_edge("edge-0", &["mid-0", "mid-1"])
        .with_edge("edge-1", &["mid-0", "mid-1"])
}

async fn watch(overlay: &Overlay, edge: &str) -> Watching {
    overlay.offered(edge).await;
    let watching = overlay.watch(edge).await;
    pass(Duration::from_secs(6)).await;
    watching
}

fn assert_whole(overlay: &Overlay) {
    for edge in ["edge-0", "edge-1"] {
        assert_eq!(overlay.counts(edge).lost, 0, "{edge}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_that_does_not_fit_is_fed_elsewhere() {
    for seed in 0..5 {
        let overlay = quay(seed, ONE);
        let _first = watch(&overlay, "edge-0").await;
        assert!(!overlay.members["mid-0"].report(1).refusing);
        let _second = watch(&overlay, "edge-1").await;
        assert_eq!(overlay.parent("edge-0"), "mid-0");
        assert_eq!(overlay.parent("edge-1"), "mid-1");
        assert!(overlay.members["mid-0"].report(2).refusing, "told once");
        pass(Duration::from_secs(60)).await;
        assert!(!overlay.members["mid-0"].report(3).refusing);
        for edge in ["edge-0", "edge-1"] {
            assert!(overlay.events(edge, "parent_switched").is_empty());
        }
        assert_whole(&overlay);
    }
}

#[tokio::test(start_paused = true)]
async fn when_too_much_is_sent_the_newest_child_makes_room_once() {
    for seed in 5..10 {
        let overlay = quay(seed, 0);
        let _first = watch(&overlay, "edge-0").await;
        let _second = watch(&overlay, "edge-1").await;
        assert_eq!(overlay.parent("edge-1"), "mid-0");
        overlay.members["mid-0"].configure(limited(ONE));
        pass(Duration::from_secs(60)).await;
        assert_eq!(overlay.parent("edge-0"), "mid-0");
        assert_eq!(overlay.parent("edge-1"), "mid-1");
        let switches = overlay.events("edge-1", "parent_switched");
        assert_eq!(switches.len(), 1, "{switches:?}");
        assert_eq!(switches[0]["cause"], Cause::GoAway.label());
        assert!(overlay.events("edge-0", "parent_switched").is_empty());
        assert_whole(&overlay);
    }
}

#[tokio::test(start_paused = true)]
async fn children_with_nowhere_to_go_are_served_on() {
    let overlay = quay(10, ONE);
    let _first = watch(&overlay, "edge-0").await;
    overlay.kill("mid-1");
    overlay.members["mid-0"].configure(limited(ONE / 3));
    pass(Duration::from_secs(60)).await;
    assert_eq!(overlay.parent("edge-0"), "mid-0");
    assert!(overlay.events("edge-0", "parent_switched").is_empty());
    assert_eq!(overlay.counts("edge-0").lost, 0);
}
