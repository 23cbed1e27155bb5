//! Every parent of the plan is gone: roots take orphans in, then members that might have been their
//! parents; descendants wait, and nobody goes round in a circle.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Instant;
use crate::core::Role;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{VIDEO, config, peer};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const ROOTS: [&str; 2] = ["root-0", "root-1"];

fn base(seed: u64) -> Overlay {
    Overlay::test(seed)
        .with_origin("lisbon", Content::default())
        .with_origin("porto", Content::default())
        .with_roots(&ROOTS)
}

#[tokio::test(start_paused = true)]
async fn orphans_are_taken_in_by_roots_and_go_home_once_it_has_settled() {
    let names: Vec<String> = (0..8).map(|n| format!("edge-{n}")).collect();
    let mut overlay = base(0)
        .with_relay("mid-0", &ROOTS)
        .with_relay("mid-1", &ROOTS);
    for name in &names {
        overlay = overlay.with_member(name, Role::Edge, config(&ROOTS, &["mid-0", "mid-1"]));
    }
    let mut watching = Vec::new();
    for name in &names {
        overlay.offered(name).await;
        watching.push(overlay.watch(name).await);
    }
    pass(SECONDS(5)).await;
    let fault = Instant::now();
    overlay.kill("mid-0");
    overlay.kill("mid-1");
    pass(SECONDS(20)).await;
    let (mut adopters, mut moments) = (BTreeSet::new(), BTreeSet::new());
    for name in &names {
        overlay.assert_whole(name);
        assert!(overlay.longest_pause(name, fault) < Duration::from_millis(800));
        let moves = overlay.events(name, "parent_switched");
        assert_eq!(moves.len(), 1, "{name}: {moves:?}");
        adopters.insert(overlay.parent(name));
        moments.insert(moves[0]["unix_ms"].as_u64().unwrap() / 10);
    }
    assert_eq!(adopters, ROOTS.map(str::to_owned).into(), "both roots help");
    assert!(moments.len() >= 4, "they come one by one: {moments:?}");

    overlay.boot("mid-1");
    pass(SECONDS(8)).await;
    assert!(
        names
            .iter()
            .all(|name| overlay.parent(name).starts_with("root-"))
    );
    let home = Instant::now();
    pass(SECONDS(12)).await;
    for name in &names {
        assert_eq!(overlay.parent(name), "mid-1");
        assert_eq!(
            overlay.events(name, "parent_switched")[1]["cause"],
            "Planned"
        );
        assert!(overlay.longest_pause(name, home) < Duration::from_millis(400));
        overlay.assert_whole(name);
    }
}

#[tokio::test(start_paused = true)]
async fn siblings_help_when_roots_do_not_and_never_in_a_circle() {
    for seed in 0..10 {
        let relay = |sibling: &str| {
            let mut config = config(&ROOTS, &["root-0"]);
            config.candidates = vec![peer(sibling)];
            config
        };
        let overlay = base(seed)
            .with_member("mid-0", Role::Relay, relay("mid-1"))
            .with_member("mid-1", Role::Relay, relay("mid-0"))
            .with_edge("edge-0", &["mid-0"])
            .with_edge("edge-1", &["mid-1"]);
        let mut watching = Vec::new();
        for edge in ["edge-0", "edge-1"] {
            overlay.offered(edge).await;
            watching.push(overlay.watch(edge).await);
        }
        pass(Duration::from_millis(5000 + 77 * seed)).await;
        // One relay alone is cut off from the roots: the other feeds it.
        for root in ROOTS {
            overlay.net.cut("mid-0", root, true);
        }
        watch_for_circles(&overlay, SECONDS(12)).await;
        assert_eq!(overlay.parent("mid-0"), "mid-1");
        overlay.assert_whole("edge-0");
        // Both are: each has only the other, and neither believes it.
        for root in ROOTS {
            overlay.net.cut("mid-1", root, true);
        }
        watch_for_circles(&overlay, SECONDS(8)).await;
        for (relay, root) in [("mid-0", "root-0"), ("mid-1", "root-0")] {
            overlay.net.cut(relay, root, false);
        }
        watch_for_circles(&overlay, SECONDS(30)).await;
        for edge in ["edge-0", "edge-1"] {
            overlay.assert_whole(edge);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_that_is_asked_while_the_carrier_stands_still_does_not_wait_for_it_long() {
    for seed in 0..10 {
        let overlay = base(seed);
        let roots = overlay.roots_in_order();
        let overlay = overlay.with_edge("edge-0", &[&roots[0], &roots[1]]);
        overlay.offered("edge-0").await;
        let _watching = overlay.watch("edge-0").await;
        pass(Duration::from_millis(8000 + 77 * seed)).await;
        assert_eq!(overlay.parent(&roots[1]), "", "nobody wants it there");
        let fault = Instant::now();
        overlay.freeze(&roots[0]);
        pass(SECONDS(5)).await;
        assert_eq!(overlay.parent("edge-0"), roots[1]);
        // A part of 333 ms was due; silence, an answer that does not come, two joins.
        let pause = overlay.longest_pause("edge-0", fault);
        assert!(pause < Duration::from_millis(950), "seed {seed}: {pause:?}");
        overlay.assert_whole("edge-0");
    }
}

/// The member's feeder fails so often in turns that both of two flap, and feeds again.
async fn flap(overlay: &Overlay, member: &str, feeders: [&str; 2], times: usize) {
    for feeder in feeders.iter().cycle().take(times) {
        assert_eq!(overlay.parent(member), *feeder);
        overlay.net.reset(member, feeder);
        pass(SECONDS(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sibling_is_asked_after_every_root_whoever_ranks_it() {
    for seed in 0..10 {
        let mut overlay = base(seed);
        for (relay, sibling) in [("mid-0", "mid-1"), ("mid-1", "mid-0")] {
            // The plan does, or the member itself when its plan has failed.
            let mut planned = config(&ROOTS, &[ROOTS[0], ROOTS[1], sibling]);
            if seed % 2 == 1 {
                planned.candidates = vec![peer(sibling)];
                planned.parents.truncate(1);
            }
            overlay = overlay.with_member(relay, Role::Relay, planned);
        }
        let overlay = overlay
            .with_edge("edge-0", &["mid-0"])
            .with_edge("edge-1", &["mid-1"]);
        let mut watching = Vec::new();
        for edge in ["edge-0", "edge-1"] {
            overlay.offered(edge).await;
            watching.push(overlay.watch(edge).await);
        }
        pass(Duration::from_millis(5000 + 77 * seed)).await;
        flap(&overlay, "mid-0", ROOTS, 6).await;
        // Both roots flap and one stands still: the other is asked all the same.
        let fault = Instant::now();
        overlay.freeze("root-0");
        pass(SECONDS(4)).await;
        assert_eq!(overlay.parent("mid-0"), "root-1", "seed {seed}");
        assert_eq!(overlay.events("mid-0", "parent_switched").len(), 7);
        assert!(overlay.longest_pause("edge-0", fault) < Duration::from_millis(1200));
        // No root answers it: now the sibling, whom one of them feeds.
        overlay.net.cut("mid-0", "root-1", true);
        watch_for_circles(&overlay, SECONDS(6)).await;
        assert_eq!(overlay.parent("mid-0"), "mid-1", "seed {seed}");
        overlay.net.cut("mid-0", "root-1", false);
        overlay.thaw("root-0");
        watch_for_circles(&overlay, SECONDS(60)).await;
        assert!(ROOTS.contains(&overlay.parent("mid-0").as_str()));
        let moves = overlay.events("mid-0", "parent_switched");
        assert_eq!(moves.last().unwrap()["cause"], "Planned");
        for edge in ["edge-0", "edge-1"] {
            overlay.assert_whole(edge);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_orphan_whose_first_parent_flaps_goes_home_to_the_second() {
    let parents = ["mid-0", "mid-1"];
    let overlay = base(30)
        .with_relay("mid-0", &ROOTS)
        .with_relay("mid-1", &ROOTS)
        .with_member("edge-0", Role::Edge, config(&ROOTS, &parents));
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(SECONDS(5)).await;
    flap(&overlay, "edge-0", parents, 4).await;
    for parent in parents {
        overlay.net.cut("edge-0", parent, true);
    }
    pass(SECONDS(4)).await;
    assert!(overlay.parent("edge-0").starts_with("root-"));
    for parent in parents {
        overlay.net.cut("edge-0", parent, false);
    }
    pass(SECONDS(16)).await;
    assert_eq!(overlay.parent("edge-0"), "mid-1");
    overlay.assert_whole("edge-0");
}

/// No two members feed each other, at any moment.
async fn watch_for_circles(overlay: &Overlay, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        pass(Duration::from_millis(50)).await;
        let fed_by = |member: &str, parent: &str| {
            let tracks = overlay.library(member).status().tracks;
            tracks
                .iter()
                .any(|track| track.state == "flowing" && track.parent == parent)
        };
        assert!(!(fed_by("mid-0", "mid-1") && fed_by("mid-1", "mid-0")));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_branch_only_the_child_of_the_member_in_trouble_moves() {
    for seed in 0..20 {
        let overlay = base(seed)
            .with_relay("mid-0", &["root-0"])
            .with_relay("mid-1", &["mid-0", "root-1"])
            .with_relay("mid-2", &["mid-1", "root-1"])
            .with_edge("edge-0", &["mid-2", "root-1"])
            .with_edge("edge-1", &["mid-2", "root-1"]);
        let mut watching = Vec::new();
        for edge in ["edge-0", "edge-1"] {
            overlay.offered(edge).await;
            watching.push(overlay.watch(edge).await);
        }
        pass(Duration::from_millis(5000 + 77 * seed)).await;
        overlay.net.cut("root-0", "mid-0", true);
        pass(SECONDS(10)).await;
        let moves = overlay.events("mid-1", "parent_switched");
        assert_eq!(moves.len(), 1, "{moves:?}");
        assert_eq!(moves[0]["cause"], "ParentRepairing");
        for member in ["mid-2", "edge-0", "edge-1"] {
            let moves = overlay.events(member, "parent_switched");
            assert!(moves.is_empty(), "{member}: {moves:?}");
            overlay.assert_whole(member);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_the_root_that_ranks_lower_yields_at_a_segments_end() {
    for seed in 0..10 {
        // Another run, or other bytes under the names of the same one.
        let run = ["aaaaaaaaaa", "bbbbbbbbbb"][seed as usize % 2];
        let other = Content {
            run: run.into(),
            salt: 9,
            ..Content::default()
        };
        let overlay = Overlay::test(seed)
            .with_origin("lisbon", Content::default())
            .with_origin("porto", other)
            .with_roots(&ROOTS);
        let roots = overlay.roots_in_order();
        let (carrier, yielding) = (roots[0].as_str(), roots[1].as_str());
        let overlay = overlay
            .with_edge("edge-0", &[yielding])
            .with_edge("edge-1", &[carrier]);
        let mut watching = Vec::new();
        for edge in ["edge-0", "edge-1"] {
            overlay.offered(edge).await;
            watching.push(overlay.watch(edge).await);
        }
        pass(Duration::from_millis(5000 + 177 * seed)).await;
        assert_eq!(overlay.parent(carrier), "lisbon");
        assert_eq!(overlay.parent(yielding), carrier);
        let across = [
            (carrier, yielding),
            (carrier, "porto"),
            (yielding, "lisbon"),
        ];
        for (a, b) in across {
            overlay.net.cut(a, b, true);
        }
        pass(SECONDS(15)).await;
        assert_eq!(overlay.parent(yielding), "porto");
        let healed = Instant::now();
        for (a, b) in across {
            overlay.net.cut(a, b, false);
        }
        pass(SECONDS(30)).await;
        assert_eq!(overlay.parent(yielding), carrier);
        let moves = overlay.events(yielding, "parent_switched");
        assert_eq!(moves.last().unwrap()["cause"], "CarrierReturned");
        // At the edge: every number after the heal whole and once, from one run or the other.
        let received = overlay.received("edge-0");
        let (head, _) = overlay.origins["lisbon"].position();
        let first = received.iter().find(|c| c.at > healed).unwrap().number + 1;
        let parts: Vec<_> = received
            .iter()
            .filter(|c| (first..head).contains(&c.number))
            .map(|c| (c.number, c.part))
            .collect();
        let expected: Vec<_> = (first..head)
            .flat_map(|number| (0..6).map(move |part| (number, part)))
            .collect();
        assert_eq!(parts, expected);
        for number in first..head {
            let runs: BTreeSet<_> = received
                .iter()
                .filter(|c| c.number == number)
                .map(|c| &c.run)
                .collect();
            assert_eq!(runs.len(), 1, "{number}");
        }
        // Away and back are two discontinuities, and what is held now is the carrier's.
        let view = watching[0].handle.view().borrow().clone();
        let whole = &view.segments[view.segments.len() - 2];
        assert_eq!(whole.discontinuity_sequence, 2);
        let bytes = watching[0].handle.segment(&whole.run, whole.number);
        let expected = overlay.origins["lisbon"].payload(VIDEO, whole.number, 0);
        assert_eq!(bytes.await.unwrap()[0], expected);
        assert!(overlay.longest_pause("edge-0", healed) < Duration::from_millis(500));
    }
}
