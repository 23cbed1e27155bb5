//! What makes each condition of a topology.

use banyan_api::conditions::{
    ACCEPTED, DEGRADED, ORIGIN_REACHABLE, PROGRESSING, READY, RELAYS_AVAILABLE, UPDATE_AVAILABLE,
};
use banyan_api::reasons;
use banyan_api::validate::Refusal;

use super::facts::{World, find, healthy, is};
use crate::conditions::workload::Problem;
use crate::conditions::{Failure, Sight};

#[test]
fn a_healthy_topology_is_ready_and_nothing_else() {
    let status = healthy().judge();
    let conditions = &status.conditions;
    for (type_, expected) in [
        (ACCEPTED, ("True", "Valid")),
        (RELAYS_AVAILABLE, ("True", "AsExpected")),
        (ORIGIN_REACHABLE, ("True", "AsExpected")),
        (PROGRESSING, ("False", "AsExpected")),
        (DEGRADED, ("False", "AsExpected")),
        (READY, ("True", "AsExpected")),
        (UPDATE_AVAILABLE, ("False", "AsExpected")),
    ] {
        assert_eq!(is(conditions, type_), expected, "{type_}");
        assert_eq!(find(conditions, type_).observed_generation, Some(1));
    }
    assert_eq!(conditions.len(), 7);
    assert_eq!(status.relays.as_deref(), Some("3/3"));
    assert_eq!(status.streams_total, Some(2));
    assert_eq!(status.origin, None, "nobody watches");
    let edge = status.edge.unwrap();
    assert_eq!(edge.replicas, 2);
    assert_eq!(
        edge.selector.as_deref(),
        Some("banyan.media/tier=edge,banyan.media/topology=grove")
    );
}

/// What is changed, the condition looked at, and what it says then.
type Case = (fn(&mut World), &'static str, (&'static str, &'static str));

#[test]
fn each_trouble_shows_in_its_condition() {
    let cases: [Case; 17] = [
        (
            |w| w.refusals.push(refusal(reasons::FAN_OUT_TOO_SMALL)),
            ACCEPTED,
            ("False", "FanOutTooSmall"),
        ),
        (
            |w| w.failures.push(failure(reasons::NAME_CONFLICT)),
            READY,
            ("False", "NameConflict"),
        ),
        (
            |w| w.failures.push(failure(reasons::FORBIDDEN)),
            PROGRESSING,
            ("False", "Forbidden"),
        ),
        (
            |w| w.failures.push(failure(reasons::FORBIDDEN)),
            DEGRADED,
            ("True", "Forbidden"),
        ),
        (
            |w| w.failures.push(failure(reasons::FORBIDDEN)),
            ACCEPTED,
            ("True", "Valid"),
        ),
        (
            |w| w.servers = 0,
            ORIGIN_REACHABLE,
            ("False", "NoContentServers"),
        ),
        (|w| w.servers = 0, READY, ("False", "NoContentServers")),
        (
            |w| w.tier("root").ready = 0,
            READY,
            ("False", "TierUnavailable"),
        ),
        (
            |w| w.known().streams.clear(),
            ORIGIN_REACHABLE,
            ("False", "NoOrigin"),
        ),
        (
            |w| w.seen = Sight::Lost,
            ORIGIN_REACHABLE,
            ("Unknown", "MembersUnknown"),
        ),
        (
            |w| w.seen = Sight::Lost,
            READY,
            ("Unknown", "MembersUnknown"),
        ),
        (
            |w| w.tier("edge").rolling = true,
            PROGRESSING,
            ("True", "RollingOut"),
        ),
        (
            |w| w.topology.spec.paused = true,
            PROGRESSING,
            ("False", "Paused"),
        ),
        (
            |w| {
                w.known().silent.insert("oak".to_owned());
            },
            DEGRADED,
            ("True", "Silent"),
        ),
        (
            |w| {
                let digests =
                    [("oak", "a"), ("elm", "b")].map(|(s, d)| (s.to_owned(), d.to_owned()));
                w.known()
                    .digests
                    .insert("leaves".to_owned(), digests.into());
            },
            DEGRADED,
            ("True", "DigestMismatch"),
        ),
        (
            |w| w.updates.push("tier \"edge\": runs image \"x\"".to_owned()),
            UPDATE_AVAILABLE,
            ("True", "UpdateAvailable"),
        ),
        (
            |w| w.updates.push("tier \"edge\": runs image \"x\"".to_owned()),
            READY,
            ("True", "AsExpected"),
        ),
    ];
    for (number, (change, type_, expected)) in cases.into_iter().enumerate() {
        let mut world = healthy();
        world.judge();
        change(&mut world);
        let status = world.judge();
        assert_eq!(is(&status.conditions, type_), expected, "case {number}");
    }
}

#[test]
fn pods_in_trouble_are_quoted_and_their_changing_words_write_nothing() {
    let mut world = healthy();
    world.judge();
    world.topology.metadata.generation = Some(2);
    let problem = |words: &str| Problem {
        reason: reasons::IMAGE_PULL_FAILED,
        what: "edge: container \"relay\" cannot pull its image".to_owned(),
        words: words.to_owned(),
    };
    world.tier("edge").ready = 0;
    world.tier("edge").problems = vec![problem("not found")];
    let first = world.judge();
    for type_ in [RELAYS_AVAILABLE, PROGRESSING, DEGRADED, READY] {
        let condition = find(&first.conditions, type_);
        assert_eq!(condition.reason, "ImagePullFailed", "{type_}");
        assert_eq!(
            condition.message, "edge: container \"relay\" cannot pull its image: not found",
            "{type_}"
        );
    }
    world.tier("edge").problems = vec![problem("back-off")];
    assert_eq!(world.judge(), first);
}

#[test]
fn a_change_progresses_until_it_is_complete_and_a_lost_pod_is_no_change() {
    let mut world = healthy();
    world.judge();
    world.topology.metadata.generation = Some(2);
    world.tier("edge").wanted = 4;
    for ready in [2, 3] {
        world.tier("edge").ready = ready;
        let status = world.judge();
        assert_eq!(is(&status.conditions, PROGRESSING), ("True", "RollingOut"));
        assert_eq!(is(&status.conditions, DEGRADED).0, "False");
        assert_eq!(is(&status.conditions, READY).0, "True");
    }
    world.tier("edge").ready = 4;
    assert_eq!(is(&world.judge().conditions, PROGRESSING).0, "False");
    world.tier("edge").ready = 3;
    let status = world.judge();
    assert_eq!(is(&status.conditions, PROGRESSING).0, "False");
    assert_eq!(is(&status.conditions, DEGRADED), ("True", "MembersMissing"));
    assert_eq!(status.relays.as_deref(), Some("4/5"));
}

#[test]
fn a_roll_beside_a_lost_pod_is_told_the_same_twice() {
    let mut world = healthy();
    world.judge();
    world.tier("root").ready = 0;
    world.judge();
    world.tier("edge").rolling = true;
    let first = world.judge();
    assert!(
        find(&first.conditions, PROGRESSING)
            .message
            .contains("edge")
    );
    assert_eq!(world.judge(), first);
}

#[test]
fn after_a_change_of_leader_what_members_told_stands() {
    let mut world = healthy();
    world.known().silent.insert("oak".to_owned());
    let stream = world.known().streams.get_mut("leaves").unwrap();
    stream.origin = Some("oak".to_owned());
    let before = world.judge();
    assert_eq!(before.origin.as_deref(), Some("oak"));
    world.seen = Sight::Waiting;
    assert_eq!(world.judge(), before);
    world.seen = Sight::Lost;
    let after = world.judge();
    assert_eq!(is(&after.conditions, ORIGIN_REACHABLE).0, "Unknown");
    assert_eq!(
        is(&after.conditions, RELAYS_AVAILABLE).0,
        "True",
        "the kubelet knows"
    );
    assert_eq!(after.origin, None);
}

#[test]
fn a_new_topology_is_unknown_before_anything_is_there() {
    let mut world = healthy();
    world.tiers.clear();
    world.seen = Sight::Waiting;
    let status = world.judge();
    assert_eq!(
        is(&status.conditions, RELAYS_AVAILABLE),
        ("Unknown", "Pending")
    );
    assert_eq!(is(&status.conditions, READY).0, "Unknown");
    assert_eq!(status.relays, None);
}

#[test]
fn no_edges_are_wanted_and_none_are_missed() {
    let mut world = healthy();
    *world.tier("edge") = crate::conditions::Workload {
        name: "edge".to_owned(),
        ..Default::default()
    };
    let status = world.judge();
    assert_eq!(is(&status.conditions, READY).0, "True");
    assert_eq!(status.relays.as_deref(), Some("1/1"));
}

fn refusal(reason: &'static str) -> Refusal {
    Refusal {
        reason,
        field: "spec.relays[0].fanOut".to_owned(),
        message: "is 1; accepted is 3 or more".to_owned(),
    }
}

fn failure(reason: &'static str) -> Failure {
    Failure {
        reason,
        message: "Deployment \"grove-edge\": said no".to_owned(),
    }
}
