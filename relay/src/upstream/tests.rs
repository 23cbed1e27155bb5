//! The machine alone, on instants made up here.

use std::time::Duration;

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn machine(parents: &[&str], now: Instant) -> Upstream {
    let mut machine = Upstream::new("edge-7", Tuning::default(), now);
    machine.rank(parents.iter().map(|p| (*p).to_owned()), [], []);
    machine.start(now);
    machine
}

fn subscribe(parent: &str) -> Order {
    Order::Subscribe {
        parent: parent.into(),
        fresh: false,
    }
}

fn left(parent: &str, cause: Cause) -> Order {
    Order::Leave {
        parent: parent.into(),
        cause,
    }
}

/// Flowing from `parents[0]` since `now`.
fn flowing(parents: &[&str], now: Instant) -> Upstream {
    let mut machine = machine(parents, now);
    assert_eq!(machine.poll(now), subscribe(parents[0]));
    machine.on_message(now);
    machine.on_flowing(now);
    machine
}

#[test]
fn a_silent_hop_is_left_at_its_budget_and_not_before() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    assert_eq!(machine.poll(start + MS(299)), Order::Wait(start + MS(300)));
    assert_eq!(
        machine.poll(start + MS(300)),
        left("mid-0", Cause::HopSilent)
    );
    assert_eq!(machine.poll(start + MS(300)), subscribe("mid-1"));
}

#[test]
fn any_message_moves_the_deadline() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0"], start);
    machine.on_message(start + MS(100));
    assert_eq!(machine.poll(start + MS(350)), Order::Wait(start + MS(400)));
}

#[test]
fn a_late_timer_extends_the_deadline_by_its_lateness_once() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    // This process slept until 450: the parent may have sent all the while.
    assert_eq!(machine.poll(start + MS(450)), Order::Wait(start + MS(600)));
    assert_eq!(
        machine.poll(start + MS(600)),
        left("mid-0", Cause::HopSilent)
    );
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    machine.poll(start + MS(450));
    machine.on_message(start + MS(451));
    // And what came after so long shows that messages come late here.
    assert_eq!(
        machine.poll(start + MS(1000)),
        Order::Wait(start + MS(451 + 300 + 2 * 351))
    );
}

#[test]
fn the_first_message_may_take_longer_than_the_others() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0", "mid-1"], start);
    assert_eq!(machine.poll(start), subscribe("mid-0"));
    assert_eq!(machine.poll(start + MS(499)), Order::Wait(start + MS(500)));
    assert_eq!(
        machine.poll(start + MS(500)),
        left("mid-0", Cause::HopSilent)
    );
}

#[test]
fn over_a_connection_that_is_open_the_first_message_comes_soon_and_once_only_that_is_believed() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0"], start);
    assert_eq!(machine.poll(start), subscribe("mid-0"));
    machine.expect_answer(MS(20));
    let until = start + MS(190);
    assert_eq!(machine.poll(start), Order::Wait(until));
    assert_eq!(machine.poll(until), left("mid-0", Cause::HopSilent));
    assert_eq!(machine.poll(until), Order::Exhausted);
    let again = until + MS(1000);
    assert!(matches!(machine.poll(until), Order::Wait(_)));
    assert_eq!(machine.poll(again), subscribe("mid-0"));
    machine.expect_answer(MS(20));
    assert_eq!(machine.poll(again), Order::Wait(again + MS(1000)));
    // A far one is never hurried.
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    machine.on_failure(Cause::ConnectionLost);
    machine.poll(start);
    assert_eq!(machine.poll(start), subscribe("mid-1"));
    machine.expect_answer(MS(180));
    assert_eq!(machine.poll(start), Order::Wait(start + MS(500)));
}

#[test]
fn who_is_known_to_be_far_is_waited_for_at_once() {
    let start = Instant::now();
    for (reached_in, patience) in [(500, 500), (501, 1152), (900, 1950), (3000, 2000)] {
        let mut machine = machine(&["mid-0"], start);
        assert_eq!(machine.poll(start), subscribe("mid-0"));
        machine.expect_answer(MS(reached_in));
        assert_eq!(machine.poll(start), Order::Wait(start + MS(patience)));
    }
}

#[test]
fn after_a_parent_that_answered_late_the_next_is_waited_for_as_long() {
    let start = Instant::now();
    for (answers_after, next) in [(499, 500), (900, 1000)] {
        let mut machine = machine(&["mid-0"], start);
        machine.poll(start);
        assert_eq!(
            machine.poll(start + MS(500)),
            left("mid-0", Cause::HopSilent)
        );
        assert_eq!(machine.poll(start + MS(500)), Order::Exhausted);
        machine.poll(start + MS(500));
        let again = start + MS(10_000);
        assert_eq!(machine.poll(again), subscribe("mid-0"));
        machine.on_message(again + MS(answers_after));
        machine.on_flowing(again + MS(answers_after));
        assert_eq!(machine.patient(MS(500)), MS(next));
    }
}

#[test]
fn the_silence_of_one_parent_is_not_the_jitter_of_the_next() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    let now = start + MS(300);
    assert_eq!(machine.poll(now), left("mid-0", Cause::HopSilent));
    assert_eq!(machine.poll(now), subscribe("mid-1"));
    machine.on_message(now + MS(10));
    machine.on_flowing(now + MS(10));
    assert_eq!(machine.poll(now + MS(10)), Order::Wait(now + MS(310)));
}

#[test]
fn every_round_without_success_waits_twice_as_long_until_one_succeeds() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0"], start);
    let mut now = start;
    for (first, join) in [(500, 3000), (1000, 6000), (2000, 12_000), (2000, 12_000)] {
        assert_eq!(machine.poll(now), subscribe("mid-0"));
        assert_eq!(machine.poll(now), Order::Wait(now + MS(first)));
        // It answers, and does not get any further.
        machine.on_message(now);
        machine.deadline = now + MS(60_000);
        assert_eq!(machine.poll(now), Order::Wait(now + MS(join)));
        now += MS(join);
        assert_eq!(machine.poll(now), left("mid-0", Cause::Unready));
        if machine.poll(now) == Order::Exhausted {
            machine.poll(now);
        }
        now += MS(10_000);
    }
    assert_eq!(machine.poll(now), subscribe("mid-0"));
    machine.on_flowing(now);
    machine.on_failure(Cause::ConnectionLost);
    machine.poll(now);
    now += MS(10_000);
    assert!(matches!(
        machine.poll(now),
        Order::Subscribe { .. } | Order::Exhausted
    ));
    assert_eq!(machine.patient(MS(500)), MS(500));
}

#[test]
fn our_own_name_in_the_path_is_left_at_once() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    let told = |path: &[&str], flow| Told {
        path: path.iter().map(|p| (*p).to_owned()).collect(),
        flow,
    };
    assert!(machine.on_told(told(&["lisbon", "mid-0"], Flow::Flowing)));
    assert_eq!(machine.told(start).path, ["lisbon", "mid-0", "edge-7"]);
    assert!(!machine.on_told(told(&["lisbon", "mid-0"], Flow::Flowing)));
    machine.on_told(told(&["lisbon", "edge-7", "mid-0"], Flow::Flowing));
    assert_eq!(machine.poll(start), left("mid-0", Cause::PathLoop));
}

#[test]
fn a_parent_that_repairs_too_long_is_left_and_a_stalled_one_is_told_on() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    let told = |flow| Told {
        path: vec!["mid-0".into()],
        flow,
    };
    machine.on_told(told(Flow::Repairing { since: MS(1500) }));
    assert!(matches!(machine.poll(start), Order::Wait(_)));
    // Our children wait longer than we do, and theirs longer again.
    assert_eq!(
        machine.told(start).flow,
        Flow::Repairing { since: MS(1000) }
    );
    machine.on_told(told(Flow::Stalled));
    assert!(matches!(machine.poll(start), Order::Wait(_)));
    assert_eq!(machine.told(start).flow, Flow::Stalled);
    machine.on_told(told(Flow::Repairing { since: MS(1501) }));
    assert_eq!(machine.poll(start), left("mid-0", Cause::ParentRepairing));
}

#[test]
fn a_failed_round_is_said_once_and_the_next_waits_for_the_backoff() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0", "mid-1"], start);
    for parent in ["mid-0", "mid-1"] {
        assert_eq!(machine.poll(start), subscribe(parent));
        machine.on_failure(Cause::ConnectionLost);
        assert_eq!(machine.poll(start), left(parent, Cause::ConnectionLost));
    }
    assert_eq!(machine.poll(start), Order::Exhausted);
    let Order::Wait(until) = machine.poll(start) else {
        panic!("the machine waits")
    };
    assert!((start + MS(100)..start + MS(151)).contains(&until));
    assert!(matches!(machine.poll(until), Order::Subscribe { .. }));
}

#[test]
fn backoff_grows_to_its_bound_and_success_forgets_it() {
    let mut now = Instant::now();
    let mut machine = machine(&["mid-0"], now);
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(machine.poll(now), subscribe("mid-0"));
        machine.on_failure(Cause::ConnectionLost);
        loop {
            match machine.poll(now) {
                Order::Wait(until) => {
                    waits.push(until - now);
                    now = until;
                    break;
                }
                Order::Leave { .. } | Order::Exhausted => {}
                Order::Subscribe { .. } => panic!("no parent may be tried now"),
            }
        }
    }
    assert!(waits[0] < MS(151) && waits[9] >= MS(5000) && waits[9] <= MS(7500));
    assert_eq!(machine.poll(now), subscribe("mid-0"));
    machine.on_flowing(now);
    machine.on_failure(Cause::ConnectionLost);
    assert!(matches!(machine.poll(now), Order::Leave { .. }));
    assert_eq!(machine.poll(now), Order::Exhausted);
    let Order::Wait(until) = machine.poll(now) else {
        panic!("the machine waits")
    };
    assert!(until - now < MS(151));
}

#[test]
fn one_that_disagrees_is_joined_afresh_only_when_nobody_agrees() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1", "mid-2"], start);
    machine.on_failure(Cause::ConnectionLost);
    machine.poll(start);
    for parent in ["mid-1", "mid-2"] {
        assert_eq!(machine.poll(start), subscribe(parent));
        machine.on_failure(if parent == "mid-1" {
            Cause::Disagreement
        } else {
            Cause::ConnectionLost
        });
        machine.poll(start);
    }
    assert_eq!(
        machine.poll(start),
        Order::Subscribe {
            parent: "mid-1".into(),
            fresh: true
        }
    );
}

#[test]
fn a_new_ranking_keeps_what_is_known_of_a_parent() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    machine.on_failure(Cause::ConnectionLost);
    machine.poll(start);
    machine.rank(["mid-0".to_owned(), "mid-2".to_owned()], [], []);
    assert_eq!(machine.poll(start), subscribe("mid-2"));
}

#[test]
fn a_hop_that_stutters_is_given_more_time_and_earns_it_back() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    machine.on_message(start + MS(280)); // 180 ms late
    let Order::Wait(deadline) = machine.poll(start + MS(281)) else {
        panic!("the machine waits")
    };
    assert_eq!(deadline, start + MS(280 + 300 + 360));
    let mut now = start + MS(280);
    for _ in 0..600 {
        now += MS(100);
        machine.on_message(now);
    }
    let Order::Wait(deadline) = machine.poll(now) else {
        panic!("the machine waits")
    };
    assert!(deadline - now < MS(310), "{:?}", deadline - now);
}

#[test]
fn a_hop_left_for_its_silence_stuttered_only_if_it_was_heard_of_after_all() {
    let start = Instant::now();
    for (late, budget) in [(None, MS(300)), (Some(MS(380)), MS(300 + 2 * 280))] {
        let mut machine = flowing(&["mid-0", "mid-1"], start);
        let at = start + MS(300);
        assert_eq!(machine.poll(at), left("mid-0", Cause::HopSilent));
        if let Some(gap) = late {
            machine.on_late("mid-0", gap, at);
        }
        assert_eq!(machine.poll(at), subscribe("mid-1"));
        machine.on_swapped("mid-0", Cause::Planned, MS(3), at);
        assert_eq!(machine.budget(), budget);
    }
}

#[test]
fn after_a_swap_the_new_parent_is_judged_by_its_own_answer() {
    let start = Instant::now();
    let at = start + MS(280);
    for (answered_in, budget) in [(3, 300), (150, 300), (650, 300 + 2 * 500)] {
        let mut machine = flowing(&["mid-0", "mid-1"], start);
        machine.on_swapped("mid-1", Cause::Planned, MS(answered_in), at);
        assert_eq!(machine.poll(at), Order::Wait(at + MS(budget)));
    }
}

#[test]
fn a_parent_that_failed_is_not_returned_to_before_it_has_settled() {
    let start = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], start);
    assert!(machine.is_settled("mid-0", start));
    machine.on_failure(Cause::ConnectionLost);
    machine.poll(start);
    assert!(!machine.is_settled("mid-0", start + MS(9_999)));
    assert!(machine.is_settled("mid-0", start + MS(10_000)));
}

/// Fails `parent` and obeys until somebody else is subscribed to; who that is.
fn fail(machine: &mut Upstream, cause: Cause, mut now: Instant) -> (Order, Instant) {
    machine.on_failure(cause);
    loop {
        match machine.poll(now) {
            Order::Wait(until) => now = until,
            Order::Leave { .. } | Order::Exhausted => {}
            order @ Order::Subscribe { .. } => {
                machine.on_flowing(now);
                return (order, now);
            }
        }
    }
}

#[test]
fn a_parent_that_flaps_comes_last_and_is_still_taken_when_alone() {
    let mut now = Instant::now();
    let mut machine = flowing(&["mid-0", "mid-1"], now);
    for _ in 0..2 {
        // The other one fails later, so the first is back in turn.
        for expected in ["mid-1", "mid-0"] {
            let (order, at) = fail(&mut machine, Cause::ConnectionLost, now + MS(6000));
            assert_eq!(order, subscribe(expected));
            now = at;
        }
    }
    machine.rank(["mid-0", "mid-1", "mid-2"].map(str::to_owned), [], []);
    let (order, at) = fail(&mut machine, Cause::HopSilent, now + MS(6000));
    assert_eq!(order, subscribe("mid-1"));
    assert!(!machine.is_settled("mid-0", at + MS(29_000)));
    // The third failure of this one too: the newcomer leads now, whatever its rank.
    let (order, at) = fail(&mut machine, Cause::HopSilent, at + MS(6000));
    assert_eq!(order, subscribe("mid-2"));
    // Alone in its plan it is taken before those who take orphans in.
    machine.rank(["mid-0".to_owned()], ["root-0".to_owned()], []);
    let (order, _) = fail(&mut machine, Cause::HopSilent, at + MS(6000));
    assert_eq!(order, subscribe("mid-0"));
}

#[test]
fn an_orphan_asks_who_takes_it_in_only_after_its_own_and_not_at_once() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0", "mid-1"], start);
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    machine.rank(names(&["mid-0", "mid-1"]), names(&["root-0", "root-1"]), []);
    for parent in ["mid-0", "mid-1"] {
        assert_eq!(machine.poll(start), subscribe(parent));
        machine.on_failure(Cause::ConnectionLost);
        assert_eq!(machine.poll(start), left(parent, Cause::ConnectionLost));
    }
    let Order::Wait(until) = machine.poll(start) else {
        panic!("an orphan waits")
    };
    assert!(until > start && until <= start + MS(100));
    assert_eq!(machine.poll(until), subscribe("root-0"));
}

#[test]
fn a_parent_without_room_is_not_asked_again_at_once() {
    let start = Instant::now();
    let mut machine = machine(&["mid-0"], start);
    assert_eq!(machine.poll(start), subscribe("mid-0"));
    machine.on_full();
    assert_eq!(machine.poll(start), left("mid-0", Cause::ConnectionLost));
    assert_eq!(machine.poll(start), Order::Exhausted);
    let Order::Wait(until) = machine.poll(start) else {
        panic!("the machine waits")
    };
    assert!(until >= start + MS(5000) && until <= start + MS(7500));
}
