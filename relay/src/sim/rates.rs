//! Links that become too slow for a while, and queues in front of them: members fall behind and catch up, nothing is
//! lost or repeated, and only who has a better way leaves.
//!
//! `BANYAN_SEED=x` plays one seed of each again, `BANYAN_SEEDS=n` more of them; a seed sets the links' jitter and the
//! moment at which a rate changes.

use std::time::Duration;

use banyan_media::position::Counts;
use banyan_testbed::experiment::patterns::{Named, Pattern};
use banyan_testbed::link::Change;

use super::seeds;
use crate::clock::Instant;
use crate::testing::net::Net;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, Watching, pass};

/// Three parts a second: half a megabit, or 525 kbit/s in frames with what goes with it.
const PART: usize = 20_000;

fn content() -> Content {
    Content {
        payload: PART,
        ..Content::default()
    }
}

fn rate(kbps: u64) -> Change {
    Change {
        rate_bps: Some(kbps * 1000),
        ..Change::default()
    }
}

/// One way from the content server to the edge.
fn lane(seed: u64) -> Overlay {
    Overlay::test(seed)
        .with_origin("lisbon", content())
        .with_roots(&["root-0"])
        .with_relay("mid-0", &["root-0"])
        .with_edge("edge-0", &["mid-0"])
}

/// Two relays to choose from.
fn fork(seed: u64) -> Overlay {
    Overlay::test(seed)
        .with_origin("lisbon", content())
        .with_roots(&["root-0"])
        .with_relay("mid-0", &["root-0"])
        .with_relay("mid-1", &["root-0"])
        .with_edge("edge-0", &["mid-0", "mid-1"])
}

async fn watched(overlay: &Overlay, seed: u64) -> Watching {
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_millis(8000 + seed * 37 % 2000)).await;
    watching
}

/// How many parts the edge is behind the content server.
fn behind(overlay: &Overlay) -> u64 {
    behind_at(overlay, "edge-0")
}

fn behind_at(overlay: &Overlay, member: &str) -> u64 {
    let (number, part) = overlay.origins["lisbon"].position();
    let newest = overlay.received(member);
    let newest = newest.iter().map(|c| (c.number, c.part)).max().unwrap();
    (number * 6 + u64::from(part)) - (newest.0 * 6 + u64::from(newest.1))
}

/// Nothing is missing, and nothing came twice but what a hop that was left in vain still brought: one message
/// each, which is looked at and not taken.
fn assert_unbroken(overlay: &Overlay, seed: u64) {
    let counts = overlay.counts("edge-0");
    let left = overlay.events("edge-0", "repairing").len() as u64;
    let Counts { lost, repeated, .. } = counts;
    assert_eq!(lost, 0, "seed {seed}: {counts:?}");
    assert!(
        repeated <= left,
        "seed {seed}: {counts:?}, left {left} times"
    );
    assert!(overlay.events("edge-0", "gap").is_empty(), "seed {seed}");
}

fn switches(overlay: &Overlay) -> Vec<(String, String)> {
    super::moves(overlay, "edge-0", "parent_switched")
}

#[tokio::test(start_paused = true)]
async fn a_rate_below_the_streams_is_fallen_behind_on_and_caught_up_without_a_switch() {
    for seed in seeds(840, 6) {
        let overlay = lane(seed);
        overlay.net.change("mid-0", "edge-0", &rate(800));
        let _watching = watched(&overlay, seed).await;
        let usual = behind(&overlay);
        assert!(usual <= 1, "seed {seed}: {usual} parts behind");
        overlay.net.change("mid-0", "edge-0", &rate(400));
        pass(Duration::from_secs(10)).await;
        let slow = behind(&overlay);
        // A quarter of ten seconds' parts and what else crosses.
        assert!((5..12).contains(&slow), "seed {seed}: {slow} parts behind");
        assert!(behind_at(&overlay, "mid-0") <= 1, "seed {seed}");
        overlay.net.change("mid-0", "edge-0", &rate(2000));
        pass(Duration::from_secs(4)).await;
        assert!(behind(&overlay) <= 1, "seed {seed}");
        assert_unbroken(&overlay, seed);
        assert_eq!(switches(&overlay), [], "seed {seed}");
        assert_eq!(overlay.events("edge-0", "repairing").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_a_better_parent_leaves_a_link_that_became_too_slow() {
    for seed in seeds(850, 6) {
        let overlay = fork(seed);
        let _watching = watched(&overlay, seed).await;
        overlay.net.change("mid-0", "edge-0", &rate(100));
        pass(Duration::from_secs(12)).await;
        assert!(behind(&overlay) <= 1, "seed {seed}");
        overlay.net.usual("mid-0", "edge-0");
        pass(Duration::from_secs(12)).await;
        assert_unbroken(&overlay, seed);
        let expected = [("HopSilent".to_owned(), "mid-1".to_owned())];
        assert_eq!(switches(&overlay), expected, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_falls_at_once_on_every_way_costs_time_and_no_chunk() {
    for seed in seeds(860, 6) {
        let overlay = fork(seed);
        let both = |change: &Change| {
            overlay.net.change("mid-0", "edge-0", change);
            overlay.net.change("mid-1", "edge-0", change);
        };
        let _watching = watched(&overlay, seed).await;
        both(&rate(300));
        pass(Duration::from_secs(10)).await;
        both(&rate(0));
        pass(Duration::from_secs(10)).await;
        println!("seed {seed}: {:?}", switches(&overlay));
        assert!(behind(&overlay) <= 1, "seed {seed}");
        assert_unbroken(&overlay, seed);
    }
}

#[tokio::test(start_paused = true)]
async fn loss_costs_time_and_no_chunk() {
    for seed in seeds(870, 4) {
        let overlay = fork(seed);
        let lossy = Change {
            loss_per_100k: Some(1_000),
            delay_us: Some(20_000),
            ..Change::default()
        };
        for (from, to) in [
            ("lisbon", "root-0"),
            ("root-0", "mid-0"),
            ("mid-0", "edge-0"),
        ] {
            overlay.net.change(from, to, &lossy);
            overlay.net.change(to, from, &lossy);
        }
        let _watching = watched(&overlay, seed).await;
        pass(Duration::from_secs(60)).await;
        println!("seed {seed}: {:?}", switches(&overlay));
        assert!(overlay.net.counters("mid-0", "edge-0").lost_frames > 10);
        assert!(behind(&overlay) <= 1, "seed {seed}");
        assert_unbroken(&overlay, seed);
    }
}

/// The five public patterns on the last hop.
#[tokio::test(start_paused = true)]
async fn under_a_bandwidth_pattern_members_fall_behind_and_catch_up() {
    for seed in seeds(880, 1) {
        for named in Named::ALL {
            let overlay = lane(seed);
            let _watching = watched(&overlay, seed).await;
            let mut most = 0;
            for (bps, ms) in Pattern::Named(named).steps() {
                let change = rate(bps.unwrap_or(0) / 1000);
                overlay.net.change("mid-0", "edge-0", &change);
                let until = Instant::now() + Duration::from_millis(ms);
                while Instant::now() < until {
                    pass(Duration::from_secs(1).min(until - Instant::now())).await;
                    most = most.max(behind(&overlay));
                }
            }
            let name = named.name();
            println!("seed {seed}: {name}: {most} parts behind at most");
            // Quarters of a second at a rate just below the stream's are hardly seen.
            assert!(most >= 3 || named == Named::FastJitters, "{name}");
            overlay.net.usual("mid-0", "edge-0");
            pass(Duration::from_secs(5)).await;
            assert!(behind(&overlay) <= 1, "seed {seed}: {name}");
            assert_unbroken(&overlay, seed);
            assert_eq!(switches(&overlay), [], "seed {seed}: {name}");
        }
    }
}

/// Two content servers, one root that chooses.
fn choice(seed: u64) -> Overlay {
    Overlay::test(seed)
        .with_origin("lisbon", content())
        .with_origin("porto", content())
        .with_roots(&["root-0"])
        .with_edge("edge-0", &["root-0"])
}

/// Somebody else's media on the way from one to the other, as much as it takes.
async fn traffic(net: Net, from: String, to: &str) {
    loop {
        net.carry(&from, to, PART as u64).await;
    }
}

/// The root's moves between content servers.
fn moves(overlay: &Overlay) -> Vec<(String, String)> {
    super::moves(overlay, "root-0", "origin_switched")
}

#[tokio::test(start_paused = true)]
async fn the_content_server_behind_a_queue_is_left_for_the_other_and_not_returned_to() {
    for seed in seeds(890, 3) {
        for on_active in [true, false] {
            let overlay = choice(seed);
            let _watching = watched(&overlay, seed).await;
            let active = overlay.parent("root-0");
            let other = if active == "lisbon" {
                "porto"
            } else {
                "lisbon"
            };
            let loaded = if on_active { active.as_str() } else { other };
            overlay.net.change(loaded, "root-0", &rate(1000));
            let traffic = tokio::spawn(traffic(overlay.net.clone(), loaded.to_owned(), "root-0"));
            pass(Duration::from_secs(120)).await;
            let expected = on_active.then(|| ("BetterMetric".to_owned(), other.to_owned()));
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(moves(&overlay), expected, "seed {seed}, {loaded} loaded");
            assert_ne!(overlay.parent("root-0"), loaded, "seed {seed}");
            assert!(behind(&overlay) <= 1, "seed {seed}");
            assert_unbroken(&overlay, seed);
            traffic.abort();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_the_streams_own_making_moves_it_seldom() {
    for seed in seeds(900, 2) {
        let overlay = choice(seed);
        for origin in ["lisbon", "porto"] {
            overlay.net.change(origin, "root-0", &rate(1000));
        }
        let _watching = watched(&overlay, seed).await;
        pass(Duration::from_secs(300)).await;
        println!("seed {seed}: {:?}", moves(&overlay));
        assert!(moves(&overlay).len() <= 4, "seed {seed}");
        assert_unbroken(&overlay, seed);
    }
}
