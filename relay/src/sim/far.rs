//! Links over which a round trip takes longer than who is near is waited for.
//!
//! `BANYAN_SEED=x` plays one seed of each again, `BANYAN_SEEDS=n` more of them; a seed sets the links' jitter and the
//! moment at which they become long.

use std::time::Duration;

use banyan_testbed::link::Change;

use super::seeds;
use crate::clock::Instant;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, pass};

const LINKS: [(&str, &str); 5] = [
    ("lisbon", "root-0"),
    ("root-0", "mid-0"),
    ("root-0", "mid-1"),
    ("mid-0", "edge-0"),
    ("mid-1", "edge-0"),
];

/// Two relays to choose from; every link takes `delay_ms` each way.
fn fork(seed: u64, delay_ms: u64) -> Overlay {
    let overlay = Overlay::test(seed)
        .with_origin("lisbon", Content::default())
        .with_roots(&["root-0"])
        .with_relay("mid-0", &["root-0"])
        .with_relay("mid-1", &["root-0"])
        .with_edge("edge-0", &["mid-0", "mid-1"]);
    delay(&overlay, delay_ms);
    overlay
}

fn delay(overlay: &Overlay, delay_ms: u64) {
    let change = Change {
        delay_us: Some(delay_ms * 1000),
        ..Change::default()
    };
    for (from, to) in LINKS {
        overlay.net.change(from, to, &change);
        overlay.net.change(to, from, &change);
    }
}

fn assert_unbroken(overlay: &Overlay, what: &str) {
    let counts = overlay.counts("edge-0");
    assert_eq!((counts.lost, counts.repeated), (0, 0), "{what}: {counts:?}");
    assert!(overlay.events("edge-0", "gap").is_empty(), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_tree_of_long_links_is_joined_and_stays() {
    for ms in [100, 300, 500] {
        for seed in seeds(920, 2) {
            let what = format!("{ms} ms, seed {seed}");
            let overlay = fork(seed, ms);
            overlay.offered("edge-0").await;
            let asked = Instant::now();
            let _watching = overlay.watch("edge-0").await;
            println!("{what}: joined in {:?}", asked.elapsed());
            pass(Duration::from_secs(30)).await;
            assert!(overlay.counts("edge-0").chunks >= 88, "{what}");
            assert_unbroken(&overlay, &what);
            assert!(
                overlay.events("edge-0", "repairing").is_empty(),
                "{what}: left a parent"
            );
        }
    }
}

/// What a relay learns of its parents outlives the children that leave it meanwhile.
#[tokio::test(start_paused = true)]
async fn a_tree_whose_links_become_long_at_once_costs_seconds_and_no_chunk() {
    for ms in [100, 200, 300, 500, 700] {
        for seed in seeds(910, 3) {
            let what = format!("{ms} ms, seed {seed}");
            let overlay = fork(seed, 10);
            overlay.offered("edge-0").await;
            let _watching = overlay.watch("edge-0").await;
            pass(Duration::from_millis(10_000 + seed * 37 % 2000)).await;
            delay(&overlay, ms);
            let since = Instant::now();
            let (mut had, mut last) = (overlay.received("edge-0").len(), since);
            let mut longest = Duration::ZERO;
            while since.elapsed() < Duration::from_secs(60) {
                pass(Duration::from_millis(20)).await;
                let have = overlay.received("edge-0").len();
                if have > had {
                    longest = longest.max(last.elapsed());
                    (had, last) = (have, Instant::now());
                }
            }
            longest = longest.max(last.elapsed());
            println!("{what}: {longest:?} without media");
            assert!(longest < Duration::from_secs(10), "{what}: {longest:?}");
            assert!(overlay.events("edge-0", "repairing").len() <= 1, "{what}");
            assert_unbroken(&overlay, &what);
        }
    }
}
