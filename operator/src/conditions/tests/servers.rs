//! What makes each condition of a content server, and when figures are written.

use std::time::Duration;

use banyan_api::conditions::{ACCEPTED, PREPARED, REACHABLE, READY};
use banyan_api::content_server::ContentServerState::{Active, Degraded, Unknown, Unreachable};
use banyan_api::reasons;
use banyan_api::validate::Refusal;

use super::facts::{World, find, healthy, is};
use crate::conditions::Sight;
use crate::conditions::workload::Problem;

#[test]
fn a_healthy_server_is_active_and_its_columns_say_what_it_offers() {
    let status = healthy().judge_server().status;
    for type_ in [ACCEPTED, PREPARED, REACHABLE, READY] {
        assert_eq!(is(&status.conditions, type_).0, "True", "{type_}");
    }
    assert_eq!(status.state, Some(Active));
    assert_eq!(status.content_names.as_deref(), Some("leaves,acorns"));
    assert_eq!(status.metric, Some(1200));
    assert_eq!(status.contents[0].digest.as_deref(), Some("d1"));
    assert_eq!(status.contents[0].progress_percent, Some(100));
}

#[test]
fn each_trouble_shows_in_its_condition_and_state() {
    type Change = fn(&mut World);
    let cases: [(Change, &str, (&str, &str), _); 8] = [
        (
            |w| {
                w.refusals.push(Refusal {
                    reason: reasons::UNSUPPORTED_SOURCE,
                    field: "spec.contents[0].source.rtsp".to_owned(),
                    message: "is not supported yet".to_owned(),
                });
            },
            READY,
            ("False", "UnsupportedSource"),
            Degraded,
        ),
        (
            |w| content(w).offered = false,
            PREPARED,
            ("False", "Preparing"),
            Degraded,
        ),
        (
            |w| {
                content(w).offered = false;
                content(w).error = Some("no such file".to_owned());
            },
            READY,
            ("False", "PreparationFailed"),
            Degraded,
        ),
        (
            |w| w.known_origin().obstacle = "ClockSkew".to_owned(),
            REACHABLE,
            ("False", "ClockSkew"),
            Unreachable,
        ),
        (
            |w| w.known_origin().reachable = false,
            REACHABLE,
            ("False", "Silent"),
            Unreachable,
        ),
        (
            |w| w.known_origin().reachable = false,
            PREPARED,
            ("Unknown", "Silent"),
            Unreachable,
        ),
        (
            |w| w.origin = Sight::Lost,
            READY,
            ("Unknown", "MembersUnknown"),
            Unknown,
        ),
        (
            |w| w.origin = Sight::Waiting,
            READY,
            ("True", "AsExpected"),
            Active,
        ),
    ];
    for (number, (change, type_, expected, state)) in cases.into_iter().enumerate() {
        let mut world = healthy();
        world.judge_server();
        change(&mut world);
        let status = world.judge_server().status;
        assert_eq!(is(&status.conditions, type_), expected, "case {number}");
        assert_eq!(status.state, Some(state), "case {number}");
    }
}

#[test]
fn a_pod_that_cannot_start_says_why_nobody_hears_it() {
    let mut world = healthy();
    world.known_origin().reachable = false;
    world.tiers[0].problems = vec![Problem {
        reason: reasons::UNSCHEDULABLE,
        what: "oak: a pod cannot be scheduled".to_owned(),
        words: "persistentvolumeclaim \"films\" not found".to_owned(),
    }];
    let status = world.judge_server().status;
    let reachable = find(&status.conditions, REACHABLE);
    assert_eq!(reachable.reason, "Unschedulable");
    assert!(
        reachable.message.ends_with("\"films\" not found"),
        "{}",
        reachable.message
    );
}

#[test]
fn figures_wait_for_a_transition_or_for_their_time() {
    let mut world = healthy();
    world.judge_server();
    world.since_written = Duration::from_secs(5);
    world.known_origin().metric = Some(2000);
    content(&mut world).permille = Some(999);
    let judged = world.judge_server();
    assert_eq!(judged.status.metric, Some(1200), "held back");
    assert_eq!(judged.revisit, Some(Duration::from_secs(25)));
    world.known_origin().obstacle = "Draining".to_owned();
    let judged = world.judge_server();
    assert_eq!((judged.status.metric, judged.revisit), (Some(2000), None));
    world.known_origin().metric = Some(4000);
    world.since_written = Duration::from_secs(30);
    assert_eq!(world.judge_server().status.metric, Some(4000));
}

#[test]
fn the_end_of_preparation_is_told_at_once() {
    let mut world = healthy();
    content(&mut world).permille = Some(950);
    world.judge_server();
    world.since_written = Duration::ZERO;
    content(&mut world).permille = Some(1000);
    let status = world.judge_server().status;
    assert_eq!(status.contents[0].progress_percent, Some(100));
}

fn content(world: &mut World) -> &mut crate::conditions::server::ContentSeen {
    world.known_origin().contents.get_mut("leaves").unwrap()
}
