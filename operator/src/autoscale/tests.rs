//! Edges and viewers in simulated time.

use proptest::prelude::*;

use super::*;
use crate::members::observed::Edge;

const RULE: Rule = Rule {
    min: 2,
    max: 10,
    target: Target::Sessions(100),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Edges with these sessions; `None` = not heard.
fn edges(sessions: &[Option<u32>]) -> Observed {
    let edge = |(index, sessions): (usize, &Option<u32>)| Edge {
        name: format!("edge-{index}"),
        pod: format!("quay-edge-{index}"),
        ready: sessions.is_some(),
        sessions: sessions.unwrap_or(0),
        egress_bps: u64::from(sessions.unwrap_or(0)) * 1_000_000,
    };
    Observed {
        known: true,
        edges: sessions.iter().enumerate().map(edge).collect(),
        ..Observed::default()
    }
}

/// A topology that follows what its scaler says, at once and ideally balanced.
struct World {
    scaler: Scaler,
    replicas: u32,
    now: u64,
}

impl World {
    fn of(replicas: u32) -> Self {
        Self {
            scaler: Scaler::default(),
            replicas,
            now: 0,
        }
    }

    fn even(&self, sessions: u32) -> Observed {
        let each = |index| sessions / self.replicas + u32::from(index < sessions % self.replicas);
        edges(&(0..self.replicas).map(each).map(Some).collect::<Vec<_>>())
    }

    fn look(&mut self, observed: &Observed) -> Option<u32> {
        let decided = self
            .scaler
            .decide(RULE, self.replicas, observed, seconds(self.now));
        self.replicas = decided.unwrap_or(self.replicas);
        self.now += 15;
        decided
    }

    fn for_seconds(&mut self, span: u64, sessions: u32) {
        let end = self.now + span;
        while self.now < end {
            let observed = self.even(sessions);
            self.look(&observed);
        }
    }
}

#[test]
fn edges_grow_at_once_in_bounded_steps_and_shrink_after_five_quiet_minutes() {
    let mut world = World::of(2);
    world.for_seconds(30, 150);
    assert_eq!(world.replicas, 2);
    world.for_seconds(15, 900);
    assert_eq!(world.replicas, 6, "not more than four at a time, or double");
    world.for_seconds(30, 900);
    assert_eq!(world.replicas, 9);
    world.for_seconds(30, 5000);
    assert_eq!(world.replicas, 10, "never above the most");
    world.for_seconds(285, 300);
    assert_eq!(world.replicas, 10, "a short break takes nothing away");
    world.for_seconds(30, 300);
    assert_eq!(world.replicas, 3);
    world.for_seconds(600, 0);
    assert_eq!(world.replicas, 2, "never below the fewest");
}

#[test]
fn the_highest_call_of_the_window_stays() {
    let mut world = World::of(8);
    world.for_seconds(150, 800);
    world.for_seconds(150, 300);
    world.for_seconds(15, 600);
    world.for_seconds(150, 300);
    assert_eq!(
        world.replicas, 6,
        "the eight were asked for more than five minutes ago"
    );
    world.for_seconds(165, 300);
    assert_eq!(world.replicas, 3);
}

#[test]
fn a_tenth_more_or_less_changes_nothing() {
    for sessions in [540, 600, 660] {
        let mut world = World::of(6);
        world.for_seconds(900, sessions);
        assert_eq!(world.replicas, 6, "{sessions}");
    }
    let mut world = World::of(6);
    world.for_seconds(15, 661);
    assert_eq!(world.replicas, 7);
}

#[test]
fn what_is_not_known_takes_nothing_away() {
    let unknown = Observed {
        known: false,
        ..edges(&[Some(0), Some(0), Some(0), Some(0)])
    };
    let unheard = edges(&[Some(0), Some(0), Some(0), None]);
    let missing = edges(&[Some(0), Some(0), Some(0)]);
    let none = edges(&[]);
    for observed in [unknown, unheard, missing, none] {
        let mut world = World::of(4);
        for _ in 0..60 {
            assert_eq!(world.look(&observed), None, "{observed:?}");
        }
    }
    // A window with a hole in it is not a quiet one.
    let mut world = World::of(4);
    world.for_seconds(285, 0);
    world.look(&edges(&[Some(0), None, Some(0), Some(0)]));
    world.for_seconds(285, 0);
    assert_eq!(world.replicas, 4);
    world.for_seconds(30, 0);
    assert_eq!(world.replicas, 2);
}

#[test]
fn who_is_seen_may_call_for_more_without_the_others() {
    let mut world = World::of(4);
    assert_eq!(
        world.look(&edges(&[Some(250), Some(250), Some(250), None])),
        Some(8)
    );
    // The new ones are on their way: nothing is added while they may take their share.
    let mut scaler = Scaler::default();
    let busy = edges(&[Some(500), Some(500)]);
    assert_eq!(scaler.decide(RULE, 2, &busy, seconds(0)), Some(6));
    assert_eq!(scaler.decide(RULE, 6, &busy, seconds(5)), None);
    assert_eq!(scaler.decide(RULE, 6, &busy, seconds(15)), Some(10));
}

#[test]
fn bounds_of_the_spec_hold_without_any_data_and_egress_counts_as_sessions_do() {
    let mut scaler = Scaler::default();
    let nothing = Observed::default();
    assert_eq!(scaler.decide(RULE, 1, &nothing, seconds(0)), Some(2));
    assert_eq!(scaler.decide(RULE, 11, &nothing, seconds(0)), Some(10));
    assert_eq!(scaler.decide(RULE, 5, &nothing, seconds(0)), None);
    let rule = Rule {
        target: Target::Egress(50_000_000),
        ..RULE
    };
    assert_eq!(
        scaler.decide(rule, 2, &edges(&[Some(100), Some(100)]), seconds(0)),
        Some(4)
    );
}

proptest! {
    /// Whatever viewers do: within bounds, no step down before a whole window, and calm in the end.
    #[test]
    fn any_demand_is_followed_within_bounds(demand in prop::collection::vec((0u32..3000, 1u64..400), 1..12)) {
        let mut world = World::of(2);
        let mut last_call = 0;
        for (sessions, span) in demand {
            let end = world.now + span;
            while world.now < end {
                let (before, at) = (world.replicas, world.now);
                let observed = world.even(sessions);
                if wish(RULE, before, &observed) >= Some(before) {
                    last_call = at;
                }
                world.look(&observed);
                prop_assert!((RULE.min..=RULE.max).contains(&world.replicas));
                if world.replicas < before {
                    prop_assert!(at - last_call >= WINDOW.as_secs(), "{before} to {} at {at}", world.replicas);
                }
            }
        }
        world.for_seconds(700, 450);
        let settled = world.replicas;
        world.for_seconds(700, 450);
        prop_assert_eq!(world.replicas, settled, "no oscillation");
        prop_assert_eq!(settled, 5);
    }
}
