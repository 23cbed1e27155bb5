//! The interleavings that matter, one by one, and then many that nobody thought of.

use rand::Rng;

use super::sim::World;
use super::*;

const OURS: &str = "media/banyan";
const THEIRS: &str = "other/banyan";

fn world(candidates: usize) -> World {
    let mut world = World::new(7);
    for _ in 0..candidates {
        world.start(OURS);
    }
    world.run_until_led(2.0);
    world
}

fn leader(world: &World) -> usize {
    world.leaders()[0]
}

#[test]
fn of_two_and_of_three_that_start_together_one_leads_at_once() {
    for candidates in [1, 2, 3] {
        let mut world = world(candidates);
        let first = leader(&world);
        world.run(120.0);
        assert_eq!(world.leaders(), [first], "a leader that renews stays");
    }
}

#[test]
fn a_leader_that_is_cut_off_stops_before_another_starts() {
    let mut world = world(3);
    let old = leader(&world);
    world.peers[old].cut = true;
    let gap = {
        while world.leaders() == [old] {
            world.run(0.05);
        }
        world.run_until_led(30.0)
    };
    assert_ne!(leader(&world), old);
    assert!(
        matches!(world.peers[old].ended, Some(End::Expired(_))),
        "it ends"
    );
    assert!(gap < 15.0, "nobody led for {gap} s");
}

#[test]
fn a_killed_leader_is_replaced_once_its_lease_has_been_silent() {
    let mut world = world(2);
    let old = leader(&world);
    world.kill(old);
    let gap = world.run_until_led(30.0);
    assert!((9.0..24.0).contains(&gap), "{gap} s");
}

#[test]
fn a_leader_that_resigns_hands_over_within_a_look() {
    let mut world = world(2);
    let old = leader(&world);
    world.resign(old);
    assert!(
        world.leaders().is_empty(),
        "it leads no longer before it gives the Lease back"
    );
    let gap = world.run_until_led(30.0);
    assert!(gap < 4.0, "{gap} s");
    assert_eq!(world.peers[old].ended, Some(End::Resigned));
    assert_ne!(leader(&world), old);
}

#[test]
fn a_process_that_comes_back_within_its_lease_is_somebody_new() {
    let mut world = world(1);
    let terms = world.peers[0].terms.clone();
    world.kill(0);
    world.restart(0, OURS);
    world.run(5.0);
    assert!(world.leaders().is_empty(), "its old self might still write");
    world.run_until_led(30.0);
    assert!(world.peers[0].terms[1] > terms[0], "the term grows");
}

#[test]
fn a_write_whose_answer_was_lost_is_found_and_kept() {
    let mut world = World::new(3);
    let only = world.start(OURS);
    world.peers[only].deaf = true;
    world.run(4.0);
    assert!(world.leaders().is_empty(), "nobody leads on a guess");
    world.peers[only].deaf = false;
    let gap = world.run_until_led(8.0);
    assert!(gap < 8.0, "{gap} s");
    // Renewals whose answers are lost for a while do no harm either.
    world.peers[only].deaf = true;
    world.run(5.0);
    world.peers[only].deaf = false;
    world.run(30.0);
    assert_eq!(world.leaders(), [only]);
    assert_eq!(world.peers[only].terms.len(), 1, "the same leadership");
}

#[test]
fn a_deleted_lease_ends_the_leader_and_the_term_still_grows() {
    let mut world = world(2);
    world.run(10.0);
    let old = leader(&world);
    world.lease = None;
    world.run(5.0);
    assert_eq!(world.peers[old].ended, Some(End::Deleted));
    world.run_until_led(30.0);
    assert_ne!(leader(&world), old);
}

#[test]
fn an_api_server_that_is_slow_elects_and_one_that_is_too_slow_elects_nobody() {
    let mut world = World::new(11);
    world.latency = 1.4;
    world.start(OURS);
    world.start(OURS);
    world.run_until_led(30.0);
    let first = leader(&world);
    world.run(120.0);
    assert_eq!(world.leaders(), [first]);
    world.latency = 60.0;
    world.run(120.0);
}

#[test]
fn another_release_is_refused_and_told_even_while_this_one_is_upgraded() {
    let mut world = world(1);
    let stranger = world.start(THEIRS);
    world.run(30.0);
    assert_eq!(world.leaders(), [0]);
    let place = world.peers[stranger].election.place(Duration::from_secs(1));
    assert_eq!(
        place,
        Place::Refused {
            release: OURS.to_owned()
        }
    );
    // An upgrade: the old process resigns, the new one starts ten seconds later.
    world.resign(0);
    world.run(10.0);
    assert!(world.leaders().is_empty(), "nobody else steps in");
    let new = world.start(OURS);
    world.run(10.0);
    assert_eq!(world.leaders(), [new]);
    // Uninstalled: after a minute the scope is free.
    world.resign(new);
    let gap = world.run_until_led(90.0);
    assert!(gap > 50.0, "{gap} s");
    assert_eq!(world.leaders(), [stranger]);
}

#[test]
fn a_standby_tells_where_the_leader_is() {
    let mut world = world(2);
    world.run(5.0);
    let leader = leader(&world);
    let standby = 1 - leader;
    let place = world.peers[standby].election.place(Duration::ZERO);
    let told = format!("http://192.0.2.{leader}:7400");
    assert_eq!(place, Place::Standby { leader: Some(told) });
}

/// Candidates that start, die, come back, resign, lose their way to the API server, or only its answers, while it is
/// quick or slow: after every event at most one leads ([`World::run`] checks), terms grow, and once all is well
/// somebody leads.
#[test]
fn whatever_happens_two_never_lead_and_somebody_does_in_the_end() {
    let schedules = 400;
    for seed in 0..schedules {
        let outcome = std::panic::catch_unwind(|| schedule(seed));
        if let Err(panic) = outcome {
            eprintln!("seed {seed} of {schedules}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn schedule(seed: u64) {
    let mut world = World::new(seed);
    let candidates = world.random.random_range(2..=4);
    for _ in 0..candidates {
        world.start(OURS);
        let pause = world.random.random_range(0.0..3.0);
        world.run(pause);
    }
    for _ in 0..25 {
        let index = world.random.random_range(0..candidates);
        match world.random.random_range(0..9) {
            0 => world.kill(index),
            1 => world.peers[index].cut = true,
            2 => world.peers[index].deaf = true,
            3 => world.resign(index),
            4 => world.latency = world.random.random_range(0.01..4.0),
            5 => {
                world.peers[index].cut = false;
                world.peers[index].deaf = false;
            }
            // Aim at whoever leads.
            6 => {
                for leader in world.leaders() {
                    world.peers[leader].cut = true;
                }
            }
            _ => {
                world.peers[index].cut = false;
                world.kill(index);
                world.restart(index, OURS);
            }
        }
        let pause = world.random.random_range(0.0..20.0);
        world.run(pause);
    }
    world.latency = 0.05;
    for index in 0..candidates {
        world.kill(index);
        world.peers[index].cut = false;
        world.peers[index].deaf = false;
        world.restart(index, OURS);
    }
    world.run_until_led(40.0);
    world.run(60.0);
    assert_eq!(world.leaders().len(), 1);
}
