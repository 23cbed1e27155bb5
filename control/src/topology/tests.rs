//! The state machine under orderly, late, false and hostile inputs, on a clock of its own.

mod offers;
mod refusals;

use super::*;
use crate::roster::Entry;

/// Two servers, two roots, one relay, two edges; nothing named as the product's examples.
fn roster() -> Roster {
    let entry = |name: &str, role, tier: &str| Entry {
        dials: Default::default(),
        name: name.to_owned(),
        role,
        tier: tier.to_owned(),
        grpc: format!("http://{name}:1"),
        http: format!("http://{name}:2"),
        config: v1::Config {
            generation: 1,
            topology: "orchard".to_owned(),
            ..Default::default()
        },
    };
    Roster {
        topology: "orchard".to_owned(),
        epoch: 100,
        members: vec![
            entry("pear", Role::Origin, ""),
            entry("quince", Role::Origin, ""),
            entry("root-0", Role::Root, "root"),
            entry("root-1", Role::Root, "root"),
            entry("mid-0", Role::Relay, "mid"),
            entry("edge-0", Role::Edge, "edge"),
            entry("edge-1", Role::Edge, "edge"),
        ],
        plan: None,
    }
}

pub(super) fn at(ms: u64) -> Now {
    Now {
        at: Duration::from_millis(ms),
        unix_ms: 1_000_000 + ms,
    }
}

pub(super) fn topology() -> Topology {
    Topology::new(roster(), 7, Limits::default(), at(0))
}

fn attach(topology: &mut Topology, member: &str, now: Now) -> Session {
    let hello = v1::Hello {
        boot_id: format!("{member}-boot"),
        ..Default::default()
    };
    topology.handle_hello(member, &hello, now).unwrap().session
}

fn report(sequence: u64, role: &str) -> v1::Report {
    v1::Report {
        sequence,
        role: role.to_owned(),
        ..Default::default()
    }
}

fn track(stream: &str, track: &str, parent: &str) -> v1::TrackReport {
    v1::TrackReport {
        stream: stream.to_owned(),
        track: track.to_owned(),
        parent: parent.to_owned(),
        state: v1::FlowState::Flowing.into(),
        ..Default::default()
    }
}

fn offer(stream: &str) -> v1::Offer {
    v1::Offer {
        stream: stream.to_owned(),
        title: format!("The {stream}"),
        source: "pear".to_owned(),
        poster: bytes::Bytes::from_static(b"jpeg"),
        tracks: vec![
            v1::Track {
                name: "tall".to_owned(),
                kind: v1::TrackKind::Video.into(),
                ..Default::default()
            },
            v1::Track {
                name: "audio".to_owned(),
                kind: v1::TrackKind::Audio.into(),
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

fn state(topology: &Topology, member: &str) -> &'static str {
    topology.state(member).unwrap().as_str()
}

/// root-0 carries `harvest` from pear to mid-0 to edge-0; quince stands by.
fn flowing() -> (Topology, BTreeMap<&'static str, Session>) {
    let mut t = topology();
    let mut sessions = BTreeMap::new();
    for name in ["root-0", "mid-0", "edge-0"] {
        sessions.insert(name, attach(&mut t, name, at(10)));
    }
    let origin = |source: &str, metric, state: &str| v1::OriginReport {
        source: source.to_owned(),
        metric,
        contents: vec!["harvest".to_owned()],
        state: state.to_owned(),
        feeds: if state == "Active" {
            vec!["harvest".to_owned()]
        } else {
            Vec::new()
        },
        ..Default::default()
    };
    let root = v1::Report {
        tracks: vec![v1::TrackReport {
            children: vec!["mid-0".to_owned()],
            ..track("harvest", "tall", "pear")
        }],
        origins: vec![
            origin("quince", 40, "Standby"),
            origin("pear", 20, "Active"),
        ],
        offers: vec![offer("harvest")],
        ..report(1, "root")
    };
    t.handle_report(sessions["root-0"], root, at(20)).unwrap();
    let mid = v1::Report {
        tracks: vec![v1::TrackReport {
            children: vec!["edge-0".to_owned()],
            ..track("harvest", "tall", "root-0")
        }],
        ..report(1, "relay")
    };
    t.handle_report(sessions["mid-0"], mid, at(20)).unwrap();
    let edge = v1::Report {
        tracks: vec![
            v1::TrackReport {
                viewers: 3,
                ..track("harvest", "tall", "mid-0")
            },
            v1::TrackReport {
                viewers: 4,
                ..track("harvest", "audio", "mid-0")
            },
        ],
        ..report(1, "edge")
    };
    t.handle_report(sessions["edge-0"], edge, at(20)).unwrap();
    (t, sessions)
}

#[test]
fn the_view_joins_what_members_say() {
    let (t, _) = flowing();
    let view = t.view(at(30));
    let stream = &view.streams[0];
    assert_eq!(stream.name, "harvest");
    assert_eq!(stream.title, "The harvest");
    assert_eq!(stream.carrier.as_deref(), Some("root-0"));
    assert_eq!(stream.origin.as_deref(), Some("pear"));
    assert_eq!(stream.candidates, ["pear", "quince"]);
    assert_eq!(stream.viewers, 4);
    assert!(stream.poster);
    let links: Vec<_> = view
        .links
        .iter()
        .map(|l| (l.from.as_str(), l.to.as_str(), l.track.as_str(), l.state))
        .collect();
    assert_eq!(
        links,
        [
            ("pear", "root-0", "tall", "flowing"),
            ("root-0", "mid-0", "tall", "flowing"),
            ("mid-0", "edge-0", "tall", "flowing"),
            ("mid-0", "edge-0", "audio", "flowing"),
        ]
    );
    let origins: Vec<_> = view
        .origins
        .iter()
        .map(|o| (o.source.as_str(), o.state.as_str(), o.feeds.len()))
        .collect();
    assert_eq!(origins, [("pear", "Active", 1), ("quince", "Standby", 0)]);
    assert_eq!(view.edges.len(), 2);
}

#[test]
fn a_content_server_that_may_not_feed_is_no_candidate_and_says_why() {
    let (mut t, sessions) = flowing();
    let row = |source: &str, state: &str, reason: &str| v1::OriginReport {
        source: source.to_owned(),
        contents: vec!["harvest".to_owned()],
        state: state.to_owned(),
        reason: reason.to_owned(),
        clock_offset_us: -3_000_000,
        ..Default::default()
    };
    let root = v1::Report {
        origins: vec![
            row("quince", "Ineligible", "ClockSkew"),
            row("pear", "Standby", ""),
        ],
        offers: vec![offer("harvest")],
        ..report(2, "root")
    };
    t.handle_report(sessions["root-0"], root, at(1020)).unwrap();
    let view = t.view(at(1020));
    assert_eq!(view.streams[0].candidates, ["pear"]);
    let quince = view.origins.iter().find(|o| o.source == "quince").unwrap();
    let told = (quince.state.as_str(), quince.reason.as_str());
    assert_eq!(told, ("Ineligible", "ClockSkew"));
    assert_eq!(quince.clock_offset_us, -3_000_000);
}

#[test]
fn streams_list_a_playlist_per_edge_and_skip_lost_edges() {
    let (mut t, sessions) = flowing();
    let stream = t.streams().remove(0);
    assert_eq!(
        stream.playlists,
        [
            "http://edge-0:2/harvest/index.m3u8",
            "http://edge-1:2/harvest/index.m3u8"
        ]
    );
    assert_eq!(stream.poster.as_deref(), Some("/harvest/poster.jpg"));
    assert_eq!(stream.source, "pear");
    t.handle_disconnect(sessions["edge-0"], at(30));
    t.handle_tick(at(4_000));
    assert_eq!(
        t.streams()[0].playlists,
        ["http://edge-1:2/harvest/index.m3u8"]
    );
}

#[test]
fn silence_makes_a_member_lost_after_a_grace_and_its_return_makes_it_ready() {
    let (mut t, sessions) = flowing();
    assert_eq!(state(&t, "edge-1"), "starting");
    assert_eq!(state(&t, "mid-0"), "ready");
    t.handle_disconnect(sessions["mid-0"], at(1_000));
    t.handle_tick(at(3_000));
    assert_eq!(state(&t, "mid-0"), "ready", "the grace is two seconds");
    let before = t.revision();
    t.handle_tick(at(3_001));
    assert_eq!(state(&t, "mid-0"), "lost");
    assert!(t.revision() > before);
    let again = attach(&mut t, "mid-0", at(4_000));
    t.handle_tick(at(4_010));
    assert_eq!(
        state(&t, "mid-0"),
        "ready",
        "its last report is still young"
    );
    t.handle_tick(at(5_100));
    assert_eq!(state(&t, "mid-0"), "starting", "attached, report due");
    t.handle_report(again, report(1, "relay"), at(5_200))
        .unwrap();
    assert_eq!(state(&t, "mid-0"), "ready");
}

#[test]
fn a_connected_member_without_reports_is_lost_after_five_seconds() {
    let (mut t, _) = flowing();
    t.handle_tick(at(5_020));
    assert_eq!(state(&t, "edge-0"), "ready");
    t.handle_tick(at(5_021));
    assert_eq!(state(&t, "edge-0"), "lost");
}

#[test]
fn a_link_of_a_lost_child_stands_while_its_parent_vouches_for_it() {
    let (mut t, sessions) = flowing();
    t.handle_disconnect(sessions["edge-0"], at(30));
    t.handle_tick(at(2_031));
    assert_eq!(state(&t, "edge-0"), "lost");
    let to_edge = |t: &Topology| -> Vec<_> {
        let links = t.view(at(0)).links.into_iter();
        links
            .filter(|l| l.to == "edge-0")
            .map(|l| (l.track, l.state))
            .collect()
    };
    // The parent lists the child under the video only.
    assert_eq!(to_edge(&t), [("tall".to_owned(), "unknown")]);
    let left = v1::Report {
        tracks: vec![track("harvest", "tall", "root-0")],
        ..report(2, "relay")
    };
    t.handle_report(sessions["mid-0"], left, at(2_100)).unwrap();
    assert_eq!(to_edge(&t), []);
}

#[test]
fn rates_come_from_differences_and_survive_a_parents_change_and_a_restart() {
    let mut t = topology();
    let session = attach(&mut t, "mid-0", at(0));
    let send = |t: &mut Topology, session, n: u64, ms, parent: &str, bytes_in| {
        let report = v1::Report {
            tracks: vec![v1::TrackReport {
                bytes_in,
                ..track("harvest", "tall", parent)
            }],
            ..report(n, "relay")
        };
        t.handle_report(session, report, at(ms)).unwrap();
        t.view(at(ms)).links[0].bytes_per_second
    };
    assert_eq!(send(&mut t, session, 1, 1_000, "root-0", 5_000), 0);
    assert_eq!(send(&mut t, session, 2, 2_000, "root-0", 6_000), 1_000);
    assert_eq!(send(&mut t, session, 3, 3_000, "root-0", 9_000), 2_000);
    // Another parent: what came before does not count for the new link.
    assert_eq!(send(&mut t, session, 4, 4_000, "root-1", 9_500), 0);
    assert_eq!(send(&mut t, session, 5, 5_000, "root-1", 10_500), 1_000);
    // A counter that fell: the process is new.
    assert_eq!(send(&mut t, session, 6, 6_000, "root-1", 10), 0);
    // Only the last seconds count.
    for second in 7..20 {
        send(&mut t, session, second, second * 1_000, "root-1", 10);
    }
    assert_eq!(send(&mut t, session, 20, 20_000, "root-1", 10), 0);
}

#[test]
fn each_call_is_given_its_plan_once_and_again_when_its_configuration_changes() {
    let mut t = topology();
    let session = attach(&mut t, "edge-0", at(0));
    let plan = t.poll_plan(session).unwrap();
    assert_eq!((plan.term, plan.version), (7, 1));
    assert_eq!(
        plan.config,
        Some(roster().entry("edge-0").unwrap().config.clone())
    );
    assert_eq!(t.poll_plan(session), None);
    let mut changed = roster();
    changed.members.retain(|entry| entry.name != "edge-1");
    t.handle_roster(changed.clone());
    assert_eq!(t.state("edge-1"), None);
    assert_eq!(t.poll_plan(session), None, "nothing changed for edge-0");
    changed.members[5].config.max_sessions = 9;
    t.handle_roster(changed.clone());
    let plan = t.poll_plan(session).unwrap();
    assert_eq!((plan.term, plan.version), (7, 2));
    assert_eq!(plan.config.unwrap().max_sessions, 9);
    t.handle_roster(changed);
    assert_eq!(t.poll_plan(session), None, "an equal roster is no change");
}

#[test]
fn a_member_taken_off_the_roster_loses_its_call() {
    let (mut t, sessions) = flowing();
    let mut changed = roster();
    changed.members.retain(|entry| entry.name != "edge-0");
    t.handle_roster(changed);
    assert!(!t.is_current(sessions["edge-0"]));
    assert_eq!(t.poll_plan(sessions["edge-0"]), None);
    assert!(t.view(at(30)).links.iter().all(|link| link.to != "edge-0"));
}

#[test]
fn a_refused_plan_shows_in_the_view() {
    let (mut t, sessions) = flowing();
    let ack = v1::PlanAck {
        term: 7,
        version: 1,
        accepted: false,
        reason: "epoch moved".to_owned(),
    };
    t.handle_ack(sessions["mid-0"], &ack).unwrap();
    let mid = |t: &Topology| {
        let members = t.view(at(30)).members.into_iter();
        members
            .filter(|m| m.name == "mid-0")
            .find_map(|m| m.plan_error)
    };
    assert_eq!(mid(&t).as_deref(), Some("epoch moved"));
    let ack = v1::PlanAck {
        accepted: true,
        ..ack
    };
    t.handle_ack(sessions["mid-0"], &ack).unwrap();
    assert_eq!(mid(&t), None);
}

#[test]
fn a_restarted_control_plane_rebuilds_the_same_view_and_moves_nobody() {
    let (before, _) = flowing();
    let (mut after, sessions) = flowing();
    assert_eq!(after.view(at(30)), before.view(at(30)));
    // What it tells the members is what they were told before: a plan may differ in term only.
    for (name, session) in sessions {
        let plan = after.poll_plan(session).unwrap();
        assert_eq!(
            plan.config,
            Some(roster().entry(name).unwrap().config.clone())
        );
    }
    // Members that have not come back yet are not lost before the startup grace is over.
    after.handle_tick(at(30_000));
    assert_eq!(state(&after, "edge-1"), "starting");
    after.handle_tick(at(30_001));
    assert_eq!(state(&after, "edge-1"), "lost");
}

#[test]
fn a_stream_that_nobody_watches_is_offered_without_a_carrier() {
    let (mut t, sessions) = flowing();
    let idle = v1::Report {
        offers: vec![offer("harvest")],
        ..report(2, "root")
    };
    t.handle_report(sessions["root-0"], idle, at(50)).unwrap();
    let stream = t.view(at(60)).streams.remove(0);
    assert_eq!((stream.carrier, stream.origin), (None, None));
    assert_eq!(t.streams()[0].source, "pear");
}

#[test]
fn switches_of_all_members_are_told_newest_first_and_bounded() {
    let mut topology = topology();
    for (member, since) in [("edge-0", 10), ("mid-0", 30)] {
        let session = attach(&mut topology, member, at(0));
        let switches = (0..20).map(|n| v1::Switch {
            sequence: n,
            at_unix_ms: since + n,
            cause: "HopSilent".into(),
            ..Default::default()
        });
        let report = v1::Report {
            switches: switches.collect(),
            ..report(1, if member == "mid-0" { "relay" } else { "edge" })
        };
        topology.handle_report(session, report, at(1)).unwrap();
    }
    let told = topology.view(at(2)).switches;
    assert_eq!(told.len(), 32);
    assert!(told.is_sorted_by_key(|switch| std::cmp::Reverse(switch.at_unix_ms)));
    assert_eq!((told[0].member.as_str(), told[0].at_unix_ms), ("mid-0", 49));
}

#[test]
fn a_member_that_joins_later_is_starting_for_as_long_as_those_that_were_there_first() {
    let mut topology = topology();
    topology.handle_tick(at(100_000));
    assert_eq!(topology.state("edge-0"), Some(State::Lost));
    let mut roster = topology.roster().clone();
    let mut newcomer = roster.entry("edge-0").unwrap().clone();
    newcomer.name = "edge-9".to_owned();
    roster.members.push(newcomer);
    topology.handle_roster(roster);
    for (second, state) in [
        (101, State::Starting),
        (130, State::Starting),
        (131, State::Lost),
    ] {
        topology.handle_tick(at(second * 1000));
        assert_eq!(topology.state("edge-9"), Some(state), "{second}");
    }
}
