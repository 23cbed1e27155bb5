//! Random worlds under random faults: what must hold, holds after every step.
//!
//! A seed makes a tree, its viewers and a schedule of faults, and plays them in virtual time.
//! Faults leave every edge a path, so that nothing excuses a lost chunk. Checked every quarter of a
//! second: no circle, one copy per call, positions that neither skip nor go back at any member or
//! viewer, no switch without a real cause, and few of them. `BANYAN_SEEDS=n` widens the search,
//! `BANYAN_SEED=x` plays one seed again and tells what happens in it.

use std::fmt::Write;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::number;
use crate::clock::Instant;
use crate::testing::overlay::pass;

mod check;
mod fault;
mod viewer;
mod world;

use check::Checks;
use fault::{Faults, Touch};
use world::World;

/// How often the invariants are looked at.
const STEP: Duration = Duration::from_millis(250);

/// Seeds of an ordinary run: what fits into half a minute of a slow machine.
const SEEDS: u64 = 160;

/// The stream settles in this time before the first fault.
const CALM: Duration = Duration::from_secs(5);

/// Everything has recovered this long after the last fault: backoff, a return to the carrier.
const RECOVERY: Duration = Duration::from_secs(24);

/// What a run was made of, for the summary.
#[derive(Clone, Debug, Default)]
struct Tally {
    members: usize,
    faults: usize,
    switches: usize,
    segments: u64,
    chunks: usize,
}

/// Plays a seed; `Err` says what broke, and when.
fn play(seed: u64, told: bool) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::random(&mut rng, seed);
        if told {
            println!("{}", world.describe());
        }
        let mut faults = Faults::random(&mut rng);
        let mut checks = Checks::default();
        world.begin(&mut rng).await;
        let start = Instant::now();
        let until = start + CALM + faults.length() + RECOVERY;
        while Instant::now() < until {
            pass(STEP).await;
            let at = Instant::now() - start;
            let after = at.checked_sub(CALM);
            if let Some(after) = after {
                for touch in faults.step(&mut rng, after, &mut world) {
                    if told {
                        println!("{:7.3} s {touch}", at.as_secs_f64());
                    }
                    checks.fault(touch, &world);
                }
            }
            world.come_and_go(&mut rng);
            for switch in checks.switches(&world) {
                if told {
                    println!("{:7.3} s {switch}", at.as_secs_f64());
                }
            }
            checks
                .step(&world)
                .map_err(|broken| format!("{:.3} s: {broken}", at.as_secs_f64()))?;
        }
        checks.end(&world)?;
        Ok(Tally {
            members: world.members().count(),
            faults: faults.count,
            switches: checks.switched.len(),
            segments: world.segments_seen(),
            chunks: world.overlay.net.crossed().len(),
        })
    })
}

fn replay(seed: u64) -> String {
    format!(
        "BANYAN_SEED={seed} cargo test --locked -p banyan-relay --lib sim::chaos::every_seed -- --nocapture"
    )
}

/// Seeds `first..first + count` on all processors; the failures, in order.
fn play_all(first: u64, count: u64) -> (Tally, Vec<(u64, String)>) {
    let next = std::sync::atomic::AtomicU64::new(first);
    let work = || {
        let mut sum = Tally::default();
        let mut failures = Vec::new();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= first + count {
                return (sum, failures);
            }
            match play(seed, false) {
                Ok(tally) => {
                    sum.members += tally.members;
                    sum.faults += tally.faults;
                    sum.switches += tally.switches;
                    sum.segments += tally.segments;
                    sum.chunks += tally.chunks;
                }
                Err(broken) => failures.push((seed, broken)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let mut sum = Tally::default();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (tally, failed) = worker.join().unwrap();
            sum.members += tally.members;
            sum.faults += tally.faults;
            sum.switches += tally.switches;
            sum.segments += tally.segments;
            sum.chunks += tally.chunks;
            failures.extend(failed);
        }
    });
    failures.sort();
    (sum, failures)
}

#[test]
fn every_seed_keeps_the_invariants() {
    if let Some(seed) = number("BANYAN_SEED") {
        let played = play(seed, true);
        println!("{played:?}");
        assert!(played.is_ok(), "seed {seed}: {played:?}");
        return;
    }
    let count = number("BANYAN_SEEDS").unwrap_or(SEEDS);
    let (sum, failures) = play_all(1, count);
    println!("{count} seeds: {sum:?}");
    let mut text = String::new();
    for (seed, broken) in &failures {
        let _ = write!(text, "\nseed {seed}: {broken}\n    {}", replay(*seed));
    }
    assert!(
        failures.is_empty(),
        "{} of {count} seeds{text}",
        failures.len()
    );
    assert!(sum.faults as u64 > count && sum.switches as u64 > count / 2);
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    let twice = [7, 7].map(|seed| format!("{:?}", play(seed, false)));
    assert_eq!(twice[0], twice[1]);
}

/// The checks can fail: a member that loses what it holds is noticed.
#[test]
fn a_chunk_that_is_lost_is_noticed() {
    let mut noticed = 0;
    for seed in 1..4 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        noticed += runtime.block_on(async {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut world = World::random(&mut rng, seed);
            let mut checks = Checks::default();
            world.begin(&mut rng).await;
            pass(CALM).await;
            checks.step(&world).unwrap();
            let edge = world.viewers[0].edge.clone();
            world.skip_one(&edge);
            pass(Duration::from_secs(4)).await;
            u32::from(checks.step(&world).is_err())
        });
    }
    assert_eq!(noticed, 3);
}

#[test]
fn a_switch_without_a_cause_is_noticed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let noticed = runtime.block_on(async {
        let mut rng = StdRng::seed_from_u64(3);
        let mut world = World::random(&mut rng, 3);
        let mut checks = Checks::default();
        world.begin(&mut rng).await;
        pass(CALM).await;
        let child = world.edges[0].clone();
        let parent = world.overlay.parent(&child);
        // A fault that the checks are not told of.
        world.overlay.net.reset(&parent, &child);
        pass(Duration::from_secs(2)).await;
        checks.switches(&world);
        checks.step(&world).is_err()
    });
    assert!(noticed);
}

impl std::fmt::Display for Touch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {:?}",
            if self.over { "over:" } else { "fault:" },
            self.fault
        )
    }
}
