//! What holds for all facts: judging twice writes once, time never runs back, a summary never says more than its parts.

use std::time::Duration;

use banyan_api::conditions::{
    ACCEPTED, ORIGIN_REACHABLE, PREPARED, REACHABLE, READY, RELAYS_AVAILABLE,
};
use banyan_api::reasons;
use banyan_api::validate::Refusal;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use proptest::prelude::*;

use super::facts::{World, find, healthy};
use crate::conditions::workload::Problem;
use crate::conditions::{Failure, Sight};

/// One thing that may change between two judgements.
#[derive(Clone, Debug)]
enum Change {
    Generation,
    Paused(bool),
    Refused(bool),
    Failed(usize),
    Servers(usize),
    Ready(usize, i32),
    Rolling(usize, bool),
    Trouble(usize, usize),
    Members(usize),
    Streams(bool),
    Silent(bool),
    Origin(usize),
    Reachable(bool),
    Offered(bool),
    Metric(Option<u32>),
    Permille(u32),
    Updates(bool),
    Written(u64),
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    prop_oneof![
        Just(Generation),
        any::<bool>().prop_map(Paused),
        any::<bool>().prop_map(Refused),
        (0..4_usize).prop_map(Failed),
        (0..2_usize).prop_map(Servers),
        (0..2_usize, 0..3_i32).prop_map(|(tier, ready)| Ready(tier, ready)),
        (0..2_usize, any::<bool>()).prop_map(|(tier, rolling)| Rolling(tier, rolling)),
        (0..2_usize, 0..4_usize).prop_map(|(tier, words)| Trouble(tier, words)),
        (0..3_usize).prop_map(Members),
        any::<bool>().prop_map(Streams),
        any::<bool>().prop_map(Silent),
        (0..3_usize).prop_map(Origin),
        any::<bool>().prop_map(Reachable),
        any::<bool>().prop_map(Offered),
        proptest::option::of(0..100_000_u32).prop_map(Metric),
        (0..1001_u32).prop_map(Permille),
        any::<bool>().prop_map(Updates),
        (0..60_u64).prop_map(Written),
    ]
}

fn sight<T: Default>(kind: usize) -> Sight<T> {
    match kind {
        0 => Sight::Known(T::default()),
        1 => Sight::Waiting,
        _ => Sight::Lost,
    }
}

fn apply(world: &mut World, change: Change) {
    match change {
        Change::Generation => {
            let next = world.topology.metadata.generation.map(|g| g + 1);
            world.topology.metadata.generation = next;
            world.server.metadata.generation = next;
        }
        Change::Paused(paused) => world.topology.spec.paused = paused,
        Change::Refused(refused) => {
            world.refusals = Vec::from_iter(refused.then(|| Refusal {
                reason: reasons::INVALID,
                field: "spec".to_owned(),
                message: "is odd".to_owned(),
            }));
        }
        Change::Failed(kind) => {
            let reason = [
                reasons::NAME_CONFLICT,
                reasons::FORBIDDEN,
                reasons::APPLY_FAILED,
            ];
            world.failures = Vec::from_iter(reason.get(kind).map(|reason| Failure {
                reason,
                message: format!("no {kind}"),
            }));
        }
        Change::Servers(servers) => world.servers = servers,
        Change::Ready(tier, ready) => world.tiers[tier].ready = ready,
        Change::Rolling(tier, rolling) => world.tiers[tier].rolling = rolling,
        Change::Trouble(tier, words) => {
            let problem = (words > 0).then(|| Problem {
                reason: reasons::IMAGE_PULL_FAILED,
                what: format!("tier {tier}"),
                words: format!("words {words}"),
            });
            world.tiers[tier].problems = Vec::from_iter(problem);
        }
        Change::Members(kind) => world.seen = sight(kind),
        Change::Streams(all) => {
            if let Sight::Known(seen) = &mut world.seen {
                let Sight::Known(full) = healthy().seen else {
                    return;
                };
                seen.streams = if all {
                    full.streams
                } else {
                    Default::default()
                };
            }
        }
        Change::Silent(silent) => {
            if let Sight::Known(seen) = &mut world.seen {
                seen.silent = silent.then(|| "oak".to_owned()).into_iter().collect();
            }
        }
        Change::Origin(kind) => world.origin = sight(kind),
        Change::Reachable(reachable) => {
            if let Sight::Known(seen) = &mut world.origin {
                seen.reachable = reachable;
            }
        }
        Change::Offered(offered) => {
            if let Sight::Known(seen) = &mut world.origin {
                for name in ["leaves", "acorns"] {
                    seen.contents.entry(name.to_owned()).or_default().offered = offered;
                }
            }
        }
        Change::Metric(metric) => {
            if let Sight::Known(seen) = &mut world.origin {
                seen.metric = metric;
            }
        }
        Change::Permille(permille) => {
            if let Sight::Known(seen) = &mut world.origin {
                let content = seen.contents.entry("leaves".to_owned()).or_default();
                content.permille = Some(permille);
            }
        }
        Change::Updates(some) => {
            world.updates = some
                .then(|| "tier \"edge\"".to_owned())
                .into_iter()
                .collect();
        }
        Change::Written(seconds) => world.since_written = Duration::from_secs(seconds),
    }
}

fn holds(before: &[Condition], now: &[Condition], parts: &[&str]) {
    let status = |type_: &str| find(now, type_).status.as_str();
    let all = parts.iter().all(|part| status(part) == "True");
    assert_eq!(status(READY) == "True", all, "Ready is its parts");
    let none = parts.iter().any(|part| status(part) == "False");
    assert_eq!(status(READY) == "False", none, "Ready is its parts");
    for condition in now {
        assert!(!condition.message.is_empty(), "{condition:?}");
        let known = reasons::ALL
            .iter()
            .any(|(reason, _)| *reason == condition.reason);
        assert!(known, "{} is not documented", condition.reason);
        let Some(old) = before.iter().find(|old| old.type_ == condition.type_) else {
            continue;
        };
        let moved = condition.last_transition_time.0 != old.last_transition_time.0;
        assert_eq!(
            moved,
            old.status != condition.status,
            "{old:?} -> {condition:?}"
        );
        assert!(condition.last_transition_time.0 >= old.last_transition_time.0);
        assert!(condition.observed_generation >= old.observed_generation);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_history_of_facts_keeps_the_rules(
        changes in proptest::collection::vec(proptest::collection::vec(change(), 0..4), 1..12)
    ) {
        let mut world = healthy();
        let mut before = Vec::new();
        let mut before_server = Vec::new();
        for step in changes {
            for change in step {
                apply(&mut world, change);
            }
            let status = world.judge();
            prop_assert_eq!(&world.judge(), &status, "a second judgement writes nothing");
            holds(&before, &status.conditions, &[ACCEPTED, RELAYS_AVAILABLE, ORIGIN_REACHABLE]);
            before = status.conditions;

            let judged = world.judge_server();
            prop_assert_eq!(&world.judge_server().status, &judged.status);
            holds(&before_server, &judged.status.conditions, &[ACCEPTED, PREPARED, REACHABLE]);
            before_server = judged.status.conditions;
        }
    }
}
