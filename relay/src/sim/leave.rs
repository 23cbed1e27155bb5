//! Members leave in order: everybody below moves first, nothing is lost, and the leaver ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::Instant;
use crate::core::Core;
use crate::leave::{Manner, Orders, Steps, leave};
use crate::testing::net::Health;
use crate::testing::overlay::{Overlay, Watching, pass};
use crate::upstream::Cause;

const EDGES: [&str; 4] = ["edge-0", "edge-1", "edge-2", "edge-3"];

/// What a process does when told to leave, without its sockets; gives the time that it took.
fn leaves(overlay: &Overlay, name: &str, orders: &Orders) -> JoinHandle<Duration> {
    let core: Arc<Core> = overlay.members[name].clone();
    let (net, name, orders) = (overlay.net.clone(), name.to_owned(), orders.clone());
    tokio::spawn(async move {
        let began = Instant::now();
        let steps = Steps::default();
        let closed = steps.grpc.clone();
        let ended = async move { closed.cancelled().await };
        leave(&core, &steps, Manner::default(), &orders, ended).await;
        core.stop().await;
        net.set_health(&name, Health::Dead);
        began.elapsed()
    })
}

async fn playing(seed: u64) -> (Overlay, Vec<Watching>) {
    let overlay = Overlay::campus(seed);
    let mut watching = Vec::new();
    for edge in EDGES {
        overlay.offered(edge).await;
        watching.push(overlay.watch(edge).await);
    }
    pass(Duration::from_millis(5000 + seed * 101)).await;
    (overlay, watching)
}

/// Every edge got every chunk up to now, and never waited longer than between two parts.
fn assert_whole(overlay: &Overlay, edges: &[&str], since: Instant) {
    let (number, _) = overlay.origins["lisbon"].position();
    for edge in edges {
        let counts = overlay.counts(edge);
        // Where two parents overlap, the store refuses what came twice.
        assert_eq!((counts.lost, counts.run_changes), (0, 0), "{edge}");
        let received = overlay.received(edge);
        let newest = received.last().map(|c| c.number).unwrap();
        assert!(newest + 1 >= number, "{edge} is at {newest}, not {number}");
        let times: Vec<_> = received
            .iter()
            .map(|c| c.at)
            .filter(|at| *at > since)
            .collect();
        let pause = times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap();
        assert!(pause < Duration::from_millis(600), "{edge}: {pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaving_relay_is_empty_before_it_goes() {
    for seed in 0..20 {
        let (overlay, _watching) = playing(seed).await;
        let began = Instant::now();
        let left = leaves(&overlay, "mid-0", &Orders::default());
        pass(Duration::from_millis(900)).await;
        assert!(!overlay.library("mid-0").ready(), "unready at once");
        assert_eq!(overlay.parent("edge-0"), "mid-0", "serving on");
        let took = left.await.unwrap();
        assert!(took < Duration::from_millis(2500), "{took:?}");
        pass(Duration::from_secs(6)).await;
        assert_whole(&overlay, &EDGES, began);
        for edge in ["edge-0", "edge-3"] {
            let switches = overlay.events(edge, "parent_switched");
            assert_eq!(switches.len(), 1, "{edge}: {switches:?}");
            assert_eq!(switches[0]["cause"], Cause::GoAway.label());
        }
        assert!(overlay.events("edge-1", "parent_switched").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leaving_carrier_root_hands_over() {
    for seed in 20..40 {
        let (overlay, _watching) = playing(seed).await;
        let roots = overlay.roots_in_order();
        let began = Instant::now();
        let took = leaves(&overlay, &roots[0], &Orders::default())
            .await
            .unwrap();
        assert!(took < Duration::from_millis(3500), "{took:?}");
        pass(Duration::from_secs(8)).await;
        assert_whole(&overlay, &EDGES, began);
        assert!(["lisbon", "porto"].contains(&overlay.parent(&roots[1]).as_str()));
    }
}

#[tokio::test(start_paused = true)]
async fn every_relay_and_root_leaves_and_returns_in_turn() {
    let (mut overlay, _watching) = playing(41).await;
    let began = Instant::now();
    for name in ["mid-0", "mid-1", "mid-2", "root-0", "root-1"] {
        leaves(&overlay, name, &Orders::default()).await.unwrap();
        pass(Duration::from_secs(2)).await;
        overlay.boot(name);
        overlay.thaw(name);
        pass(Duration::from_secs(8)).await;
        assert_whole(&overlay, &EDGES, began);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_without_another_parent_is_served_to_the_deadline() {
    let mut overlay = Overlay::minimal(42);
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(5)).await;
    let began = Instant::now();
    let left = leaves(&overlay, "root-0", &Orders::default());
    pass(Duration::from_secs(10)).await;
    assert_whole(&overlay, &["edge-0"], began);
    assert!(!left.is_finished());
    let took = left.await.unwrap();
    let manner = Manner::default();
    let deadline = manner.lame_duck + manner.drain;
    assert!(
        took >= deadline && took < deadline + Duration::from_secs(2),
        "{took:?}"
    );
    overlay.boot("root-0");
    overlay.thaw("root-0");
    pass(Duration::from_secs(8)).await;
    assert_eq!(overlay.counts("edge-0").lost, 0);
    assert_eq!(overlay.parent("edge-0"), "root-0");
}

#[tokio::test(start_paused = true)]
async fn all_parents_leaving_at_once_do_not_toss_their_children_about() {
    let (overlay, _watching) = playing(43).await;
    let left: Vec<_> = ["mid-0", "mid-1"]
        .map(|name| leaves(&overlay, name, &Orders::default()))
        .into();
    pass(Duration::from_secs(9)).await;
    // edge-0 knows only those two.
    assert!(overlay.events("edge-0", "parent_switched").is_empty());
    assert_eq!(overlay.counts("edge-0").lost, 0);
    for member in left {
        member.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_order_hurries() {
    let mut overlay = Overlay::minimal(44);
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(3)).await;
    let orders = Orders::default();
    let left = leaves(&overlay, "root-0", &orders);
    pass(Duration::from_secs(3)).await;
    orders.hurry.cancel();
    assert!(left.await.unwrap() < Duration::from_secs(5));
    overlay.boot("root-0");
    overlay.thaw("root-0");
    pass(Duration::from_secs(8)).await;
    assert_eq!(overlay.counts("edge-0").lost, 0);
}
