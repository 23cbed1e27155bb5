//! Every hop lives and no media comes: the carrier finds it out and acts, everybody else tells it on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::testing::NOW;
use crate::testing::origin::{Content, Origin};
use crate::testing::overlay::{Overlay, Watching, pass};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const BELOW: [&str; 4] = ["edge-0", "edge-1", "mid-0", "mid-1"];

async fn playing(seed: u64) -> (Overlay, Vec<Watching>, String) {
    let overlay = Overlay::campus(seed);
    let mut watching = Vec::new();
    for edge in ["edge-0", "edge-1"] {
        overlay.offered(edge).await;
        watching.push(overlay.watch(edge).await);
    }
    pass(Duration::from_millis(5000 + 61 * seed)).await;
    let carrier = overlay.roots_in_order()[0].clone();
    (overlay, watching, carrier)
}

fn assert_unbroken(overlay: &Overlay, member: &str) {
    let counts = overlay.counts(member);
    let told = (counts.lost, counts.repeated, counts.run_changes);
    assert_eq!(told, (0, 0, 0), "{member}: {counts:?}");
    let (number, _) = overlay.origins["lisbon"].position();
    let newest = overlay.received(member).last().unwrap().number;
    assert!(
        newest + 1 >= number,
        "{member} is at {newest}, not {number}"
    );
}

fn state(overlay: &Overlay, member: &str) -> String {
    overlay.library(member).status().tracks[0].state.clone()
}

fn switches(overlay: &Overlay, member: &str) -> Vec<serde_json::Value> {
    overlay.events(member, "parent_switched")
}

#[tokio::test(start_paused = true)]
async fn a_content_server_that_sends_nothing_is_replaced_by_the_carrier_alone() {
    for seed in 0..20 {
        let (overlay, _watching, carrier) = playing(seed).await;
        let active = overlay.parent(&carrier);
        let fault = Instant::now();
        overlay.origins[&active].held.send_replace(true);
        pass(SECONDS(12)).await;
        let moves = switches(&overlay, &carrier);
        assert_eq!(moves.len(), 1, "{moves:?}");
        assert_eq!(moves[0]["cause"], "MediaStalled");
        assert_eq!(moves[0]["from"], active.as_str());
        let ms = |field: &str| moves[0][field].as_u64().unwrap();
        assert!(ms("gap_ms") > ms("budget_ms"), "{}", moves[0]);
        assert_eq!(overlay.events(&carrier, "origin_switched").len(), 1);
        for member in BELOW {
            assert!(switches(&overlay, member).is_empty(), "{member}");
            assert_unbroken(&overlay, member);
        }
        let times: Vec<_> = overlay.received("edge-0").iter().map(|c| c.at).collect();
        let pauses = times.windows(2).filter(|pair| pair[1] > fault);
        let longest = pauses.map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(longest < Duration::from_millis(1600), "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_every_content_server_stalls_nobody_spins_and_all_are_told() {
    let (overlay, _watching, carrier) = playing(30).await;
    let asked = || {
        let asked = |o: &Origin| o.subscriptions.load(Ordering::Relaxed);
        overlay.origins.values().map(asked).sum::<usize>()
    };
    let before = asked();
    for origin in overlay.origins.values() {
        origin.held.send_replace(true);
    }
    pass(SECONDS(5)).await;
    for member in BELOW.iter().copied().chain([carrier.as_str()]) {
        assert_eq!(state(&overlay, member), "stalled", "{member}");
    }
    pass(SECONDS(25)).await;
    let tries = asked() - before;
    assert!((1..=12).contains(&tries), "{tries} subscriptions in 30 s");
    for member in BELOW.iter().copied().chain([carrier.as_str()]) {
        let moves = switches(&overlay, member);
        assert!(moves.is_empty(), "{member}: {moves:?}");
        assert_eq!(state(&overlay, member), "stalled", "{member}");
    }
    for origin in overlay.origins.values() {
        origin.held.send_replace(false);
    }
    pass(SECONDS(8)).await;
    for member in BELOW.iter().copied().chain([carrier.as_str()]) {
        assert_eq!(state(&overlay, member), "flowing", "{member}");
        assert!(overlay.counts(member).lost == 0, "{member}");
    }
    assert_unbroken(&overlay, "edge-0");
}

#[tokio::test(start_paused = true)]
async fn a_content_server_that_is_behind_does_not_stall() {
    for behind in [500, 1500, 1900] {
        let mut overlay = Overlay::test(31).with_origin("lisbon", Content::default());
        let clock = Clock::starting_at(SECONDS(NOW) - Duration::from_millis(behind));
        let porto = Origin::new("porto", clock, Content::default());
        overlay.net.join("porto", porto.clone());
        overlay.origins.insert("porto".into(), porto);
        let overlay = overlay
            .with_roots(&["root-0"])
            .with_edge("edge-0", &["root-0"]);
        overlay.offered("edge-0").await;
        let _watching = overlay.watch("edge-0").await;
        pass(SECONDS(6)).await;
        assert_eq!(overlay.parent("root-0"), "lisbon");
        overlay.kill("lisbon");
        pass(SECONDS(20)).await;
        assert_eq!(overlay.parent("root-0"), "porto");
        let moves = switches(&overlay, "root-0");
        assert_eq!(moves.len(), 1, "{moves:?}");
        assert!(overlay.events("root-0", "stalled").is_empty());
        assert_eq!(overlay.counts("edge-0").lost, 0);
    }
}
