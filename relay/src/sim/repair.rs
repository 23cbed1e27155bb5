//! Something dies or freezes: nothing is lost, nothing repeats, and the cause is told.

use std::time::Duration;

use banyan_media::position::Counts;

use crate::clock::Instant;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, Watching, pass};
use crate::testing::{STREAM, VIDEO};

const EDGES: [&str; 4] = ["edge-0", "edge-1", "edge-2", "edge-3"];

/// A campus with a viewer at every edge, `ms` after five seconds of play.
async fn playing(seed: u64, ms: u64) -> (Overlay, Vec<Watching>) {
    let overlay = Overlay::campus(seed);
    let mut watching = Vec::new();
    for edge in EDGES {
        overlay.offered(edge).await;
        watching.push(overlay.watch(edge).await);
    }
    pass(Duration::from_millis(5000 + ms)).await;
    (overlay, watching)
}

/// Every edge got every chunk once, in order, up to now.
fn assert_unbroken(overlay: &Overlay, edges: &[&str]) {
    let (number, _) = overlay.origins["lisbon"].position();
    for edge in edges {
        let counts = overlay.counts(edge);
        let Counts {
            lost,
            repeated,
            out_of_order,
            run_changes,
            ..
        } = counts;
        assert_eq!(
            (lost, repeated, out_of_order, run_changes),
            (0, 0, 0, 0),
            "{edge}: {counts:?}"
        );
        let newest = overlay.received(edge).last().map(|c| c.number).unwrap();
        assert!(
            newest + 1 >= number,
            "{edge} is at {newest}, the clock at {number}"
        );
    }
}

/// The longest time without a chunk at a member since `fault`.
fn longest_pause(overlay: &Overlay, edge: &str, fault: Instant) -> Duration {
    let times: Vec<_> = overlay.received(edge).iter().map(|c| c.at).collect();
    times
        .windows(2)
        .filter(|pair| pair[1] > fault)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_killed_parent_costs_nothing() {
    for seed in 0..20 {
        let (overlay, _watching) = playing(seed, seed * 101).await;
        let fault = Instant::now();
        overlay.kill("mid-0");
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay, &EDGES);
        let switches = overlay.events("edge-0", "parent_switched");
        assert_eq!(switches.len(), 1);
        assert_eq!(switches[0]["cause"], "ConnectionLost");
        assert_eq!(overlay.parent("edge-0"), "mid-1");
        assert!(longest_pause(&overlay, "edge-0", fault) < Duration::from_millis(600));
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_parent_is_left_for_its_silence() {
    for seed in 20..40 {
        let (overlay, _watching) = playing(seed, seed * 101).await;
        let fault = Instant::now();
        overlay.freeze("mid-0");
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay, &EDGES);
        let switches = overlay.events("edge-0", "parent_switched");
        assert_eq!(switches.len(), 1, "{switches:?}");
        assert_eq!(switches[0]["cause"], "HopSilent");
        let ms = |field: &str| switches[0][field].as_u64().unwrap();
        assert!(ms("budget_ms") >= 300 && ms("gap_ms") >= ms("budget_ms"));
        let reported = overlay.members["edge-0"].report(1).switches;
        assert_eq!(reported.len(), 1);
        assert_eq!(
            (reported[0].from.as_str(), reported[0].cause.as_str()),
            ("mid-0", "HopSilent")
        );
        assert!(longest_pause(&overlay, "edge-0", fault) < Duration::from_millis(900));
    }
}

#[tokio::test(start_paused = true)]
async fn the_carrier_roots_death_is_taken_over_by_the_other() {
    for seed in 40..60 {
        let (overlay, _watching) = playing(seed, seed * 101).await;
        let roots = overlay.roots_in_order();
        assert_eq!(overlay.parent(&roots[1]), roots[0]);
        overlay.kill(&roots[0]);
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay, &EDGES);
        assert!(["lisbon", "porto"].contains(&overlay.parent(&roots[1]).as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_returned_carrier_is_joined_again_once_it_is_stable() {
    let (mut overlay, _watching) = playing(60, 0).await;
    let roots = overlay.roots_in_order();
    overlay.kill(&roots[0]);
    pass(Duration::from_secs(5)).await;
    overlay.boot(&roots[0]);
    pass(Duration::from_secs(8)).await;
    assert!(["lisbon", "porto"].contains(&overlay.parent(&roots[1]).as_str()));
    pass(Duration::from_secs(12)).await;
    assert_eq!(overlay.parent(&roots[1]), roots[0]);
    let switches = overlay.events(&roots[1], "parent_switched");
    assert_eq!(switches.last().unwrap()["cause"], "CarrierReturned");
    assert_unbroken(&overlay, &EDGES);
}

#[tokio::test(start_paused = true)]
async fn a_content_servers_death_moves_the_carrier_to_the_next() {
    for (seed, frozen) in (60..80).zip([false, true].into_iter().cycle()) {
        let (overlay, _watching) = playing(seed, seed * 101).await;
        let carrier = overlay.roots_in_order()[0].clone();
        let active = overlay.parent(&carrier);
        if frozen {
            overlay.freeze(&active);
        } else {
            overlay.kill(&active);
        }
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay, &EDGES);
        assert_ne!(overlay.parent(&carrier), active);
        assert_eq!(overlay.events(&carrier, "origin_switched").len(), 1);
        // Nobody below moved.
        for member in EDGES.iter().chain(&["mid-0", "mid-1", "mid-2"]) {
            assert!(
                overlay.events(member, "parent_switched").is_empty(),
                "{member}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_deaths_at_once_cost_nothing() {
    for seed in 80..90 {
        let (overlay, _watching) = playing(seed, seed * 101).await;
        let roots = overlay.roots_in_order();
        overlay.kill(&roots[0]);
        overlay.kill("mid-1");
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay, &EDGES);
    }
}

#[tokio::test(start_paused = true)]
async fn a_draining_parent_is_left_before_it_goes() {
    let (overlay, _watching) = playing(90, 40).await;
    overlay.members["mid-0"].drain();
    pass(Duration::from_millis(500)).await;
    assert_eq!(overlay.parent("edge-0"), "mid-1");
    let switches = overlay.events("edge-0", "parent_switched");
    assert_eq!(switches[0]["cause"], "GoAway");
    overlay.kill("mid-0");
    pass(Duration::from_secs(5)).await;
    // The new link may carry what the old one carried too; the store refuses it.
    assert_eq!(overlay.counts("edge-0").lost, 0);
    assert_eq!(overlay.parent("edge-0"), "mid-1");
}

#[tokio::test(start_paused = true)]
async fn another_run_is_joined_at_a_segment_boundary_as_a_discontinuity() {
    let other = Content {
        run: "bbbbbbbbbb".into(),
        salt: 9,
        ..Content::default()
    };
    unequal(other, 91).await;
}

#[tokio::test(start_paused = true)]
async fn other_bytes_under_the_same_names_are_joined_as_another_run() {
    let other = Content {
        salt: 9,
        ..Content::default()
    };
    unequal(other, 92).await;
}

async fn unequal(other: Content, seed: u64) {
    let overlay = Overlay::test(seed)
        .with_origin("lisbon", Content::default())
        .with_origin("porto", other)
        .with_roots(&["root-0"])
        .with_edge("edge-0", &["root-0"]);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_millis(6500)).await;
    assert_eq!(overlay.parent("root-0"), "lisbon");
    overlay.kill("lisbon");
    pass(Duration::from_secs(8)).await;
    assert_eq!(overlay.parent("root-0"), "porto");
    let view = watching.handle.view().borrow().clone();
    let first = view
        .segments
        .iter()
        .find(|s| s.discontinuity_sequence == 1)
        .unwrap();
    let before = view.segments.iter().find(|s| s.number + 1 == first.number);
    assert!(
        before.unwrap().gap,
        "the unfinished segment is a gap: {before:?}"
    );
    let numbers: Vec<_> = view.segments.iter().map(|s| s.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    let bytes = watching
        .handle
        .segment(&first.run, first.number)
        .await
        .unwrap();
    let porto = &overlay.origins["porto"];
    for (part, payload) in bytes.iter().enumerate() {
        assert_eq!(*payload, porto.payload(VIDEO, first.number, part as u32));
    }
    let crossed = overlay.received("edge-0");
    assert!(
        crossed
            .iter()
            .any(|c| c.number == first.number && c.part == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_parents_is_refused_and_not_waited_for() {
    let overlay = Overlay::test(93)
        .with_origin("lisbon", Content::default())
        .with_roots(&["root-0"])
        .with_relay("mid-0", &["mid-1", "root-0"])
        .with_relay("mid-1", &["mid-0"])
        .with_edge("edge-0", &["mid-1"]);
    overlay.offered("edge-0").await;
    // Who asks while the circle is found out may be told that nobody answers.
    let _watching = overlay.watch_patiently("edge-0").await;
    pass(Duration::from_secs(5)).await;
    assert_eq!(overlay.parent("mid-0"), "root-0");
    assert_eq!(overlay.parent("mid-1"), "mid-0");
    assert_eq!(overlay.counts("edge-0").lost, 0);
    let path = &overlay.library("edge-0").status().tracks[0].path;
    assert_eq!(path, &["lisbon", "root-0", "mid-0", "mid-1", "edge-0"]);
}

#[tokio::test(start_paused = true)]
async fn without_a_live_path_the_answer_is_unavailable() {
    let overlay = Overlay::minimal(94);
    overlay.offered("edge-0").await;
    overlay.kill("lisbon");
    let asked = Instant::now();
    let answer = overlay.library("edge-0").track(STREAM, VIDEO).await;
    assert!(matches!(
        answer.err(),
        Some(crate::library::LibraryError::Unavailable(_))
    ));
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_everything_is_resumed_where_it_broke() {
    let overlay = Overlay::minimal(95);
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(5)).await;
    overlay.freeze("lisbon");
    pass(Duration::from_secs(4)).await;
    overlay.thaw("lisbon");
    pass(Duration::from_secs(12)).await;
    assert_unbroken(&overlay, &["edge-0"]);
}
