//! Plans one can check by eye, errors, explanations, and scale.
#![allow(clippy::unwrap_used)]

#[path = "support/checks.rs"]
mod checks;
#[path = "support/worlds.rs"]
mod worlds;

use banyan_planner::{BackupKind, Input, Join, Measurements, Plan, plan};
use checks::assert_sound;
use worlds::{demand, link, relay, stream};

/// Two roots, three relays, four edges, no places.
fn campus() -> Input {
    let mut relays = Vec::new();
    for (tier, name, count, fan_out) in [(0, "root", 2, 4), (1, "hall", 3, 4), (2, "edge", 4, 0)] {
        relays.extend((0..count).map(|n| relay(&format!("{name}-{n}"), tier, "", "", fan_out)));
    }
    let streams = vec![
        stream("bars", &["root-1", "root-0"]),
        stream("clock", &["root-0", "root-1"]),
    ];
    Input {
        relays,
        streams,
        ..Input::default()
    }
}

fn parents(plan: &Plan) -> Vec<String> {
    plan.homes
        .iter()
        .map(|(relay, home)| format!("{relay}<{}", home.parent))
        .collect()
}

#[test]
fn an_unmeasured_tree_is_balanced_and_follows_its_tiers() {
    let plan = plan(&campus(), None).unwrap();
    let expected = [
        "edge-0<hall-0",
        "edge-1<hall-1",
        "edge-2<hall-2",
        "edge-3<hall-0",
        "hall-0<root-0",
        "hall-1<root-1",
        "hall-2<root-0",
    ];
    assert_eq!(parents(&plan), expected);
}

#[test]
fn who_returns_is_given_children_only_on_request() {
    let mut input = campus();
    let hall = input
        .relays
        .iter()
        .position(|relay| relay.name == "hall-2")
        .unwrap();
    input
        .relays
        .extend((4..9).map(|n| relay(&format!("edge-{n}"), 2, "", "", 0)));
    input.relays[2].fan_out = 9;
    input.relays[3].fan_out = 9;
    let gone = input.relays.remove(hall);
    let without = plan(&input, None).unwrap();
    input.relays.push(gone);
    let kept = plan(&input, Some(&without)).unwrap();
    assert_eq!(kept.moved_since(&without), 0);
    input.rules.balance = true;
    let shared = plan(&input, Some(&without)).unwrap();
    let under = |hall: &str| {
        let homes = shared.homes.values();
        homes.filter(|home| home.parent.as_str() == hall).count()
    };
    assert_eq!(
        (under("hall-0"), under("hall-1"), under("hall-2")),
        (4, 3, 2)
    );
    assert_eq!(shared.moved_since(&without), 2);
    assert_eq!(plan(&input, Some(&shared)).unwrap(), shared);
}

#[test]
fn a_stream_reaches_only_those_who_want_it_and_skips_a_root_that_does_not_carry_it() {
    let mut input = campus();
    input.demand = vec![
        demand("edge-1", &["clock"]),
        demand("edge-0", &["bars", "clock"]),
    ];
    let planned = plan(&input, None).unwrap();
    assert_sound(&input, &planned);
    let clock: Vec<_> = planned.trees["clock"]
        .joins
        .iter()
        .map(|(member, join)| format!("{member}<{}", join.parent()))
        .collect();
    assert_eq!(
        clock,
        [
            "edge-0<hall-0",
            "edge-1<hall-1",
            "hall-0<root-0",
            "hall-1<root-0"
        ]
    );
    assert_eq!(
        planned.trees["clock"].joins["hall-1"],
        Join::Carrier("root-0".into())
    );
    // No slot left at root-0: the way leads through the home root.
    input
        .relays
        .iter_mut()
        .filter(|relay| relay.name == "root-0")
        .for_each(|root| root.fan_out = 2);
    let tight = plan(&input, None).unwrap();
    assert_sound(&input, &tight);
    assert_eq!(tight.parent("clock", "hall-1").unwrap().as_str(), "root-1");
    assert_eq!(
        tight.trees["clock"].joins["root-1"],
        Join::Root("root-0".into())
    );
}

#[test]
fn the_nearest_wins_loss_counts_and_a_full_member_gives_its_slot_to_who_needs_it_most() {
    let mut input = campus();
    input.relays.retain(|relay| relay.tier < 2);
    input
        .relays
        .iter_mut()
        .filter(|relay| relay.tier == 0)
        .for_each(|root| root.fan_out = 2);
    // hall-0 is at home with either; hall-1 and hall-2 would suffer at root-1.
    input.links = vec![
        link("root-0", "hall-0", 100, 0),
        link("root-1", "hall-0", 200, 0),
        link("root-0", "hall-1", 300, 0),
        link("root-1", "hall-1", 50_000, 0),
        link("root-0", "hall-2", 900, 0),
        link("root-1", "hall-2", 300, 20),
    ];
    let plan = plan(&input, None).unwrap();
    assert_eq!(
        parents(&plan),
        ["hall-0<root-1", "hall-1<root-0", "hall-2<root-0"]
    );
    assert_sound(&input, &plan);
}

#[test]
fn a_relay_moves_only_for_a_gain_beyond_the_hysteresis() {
    let mut input = campus();
    input.links = vec![
        link("hall-0", "edge-0", 5_000, 0),
        link("hall-1", "edge-0", 10_000, 0),
        link("hall-2", "edge-0", 10_000, 0),
    ];
    let first = plan(&input, None).unwrap();
    assert_eq!(first.homes["edge-0"].parent.as_str(), "hall-0");
    input.links[1].rtt_us = 4_500;
    let second = plan(&input, Some(&first)).unwrap();
    assert_eq!(second.homes["edge-0"].parent.as_str(), "hall-0");
    assert!(
        second
            .explain("edge-0")
            .unwrap()
            .contains("kept, for hall-1 (4.5 ms) is not better by enough to move")
    );
    input.links[1].rtt_us = 3_500;
    let third = plan(&input, Some(&second)).unwrap();
    assert_eq!(third.homes["edge-0"].parent.as_str(), "hall-1");
    assert_eq!(third.moved_since(&second), 1);
}

#[test]
fn backups_avoid_the_parents_zone_and_host_and_the_last_is_a_sibling() {
    let mut input = campus();
    let places = [
        ("root-0", "a", "1"),
        ("root-1", "b", "2"),
        ("hall-0", "a", "1"),
        ("hall-1", "a", "3"),
        ("hall-2", "b", "4"),
        ("edge-0", "a", "5"),
        ("edge-1", "a", "6"),
        ("edge-2", "b", "7"),
        ("edge-3", "b", "8"),
    ];
    for (name, zone, host) in places {
        let relay = input
            .relays
            .iter_mut()
            .find(|relay| relay.name == name)
            .unwrap();
        (relay.zone, relay.host) = (zone.to_owned(), host.to_owned());
    }
    let plan = plan(&input, None).unwrap();
    assert_sound(&input, &plan);
    let home = &plan.homes["edge-0"];
    assert_eq!(home.parent.as_str(), "hall-0");
    let backups: Vec<_> = home
        .backups
        .iter()
        .map(|backup| (backup.member.as_str(), backup.kind))
        .collect();
    assert_eq!(
        backups,
        [
            ("hall-2", BackupKind::OtherZone),
            ("root-1", BackupKind::OtherZone),
            ("edge-1", BackupKind::Sibling)
        ]
    );
}

#[test]
fn the_committed_measurements_are_explained() {
    let text = include_str!("../../examples/measurements.json");
    let mut input = campus();
    input
        .apply(&serde_json::from_str::<Measurements>(text).unwrap())
        .unwrap();
    let plan = plan(&input, None).unwrap();
    assert_sound(&input, &plan);
    let told = plan.explain("edge-2").unwrap();
    let expected = "\
edge-2 <- hall-2 at 1.4 ms measured: nobody above is nearer
  backup 1: hall-0 at 10.0 ms assumed: shares neither host nor zone with hall-2
  backup 2: root-0 at 10.0 ms assumed, past a tier: shares neither host nor zone with hall-2
  backup 3: edge-3 at 1.0 ms assumed: a sibling under another parent, as the last resort
  clock: from its home hall-2
";
    assert_eq!(told, expected);
    assert!(plan.explain_all().starts_with(
        "root-0 takes bars from its carrier root-1\nroot-0 carries clock; then root-1\n"
    ));
    assert_eq!(plan.explain("nobody"), None);
}

#[test]
fn bad_input_is_refused_with_a_sentence() {
    let broken = |change: &dyn Fn(&mut Input)| {
        let mut input = campus();
        change(&mut input);
        plan(&input, None).unwrap_err().to_string()
    };
    type Row<'a> = (&'a dyn Fn(&mut Input), &'a str);
    let rows: [Row<'_>; 12] = [
        (
            &|i| i.relays.clear(),
            "no relay has tier 0; a tree needs at least one root",
        ),
        (
            &|i| i.relays.retain(|r| r.tier > 0),
            "no relay has tier 0; a tree needs at least one root",
        ),
        (
            &|i| i.relays.push(relay("hall-1", 1, "", "", 1)),
            "relay \"hall-1\" is listed twice; accepted is each name once",
        ),
        (
            &|i| i.streams.push(stream("bars", &[])),
            "stream \"bars\" is listed twice; accepted is each name once",
        ),
        (
            &|i| i.links = vec![link("root-0", "x", 1, 0)],
            "the link from \"root-0\" to \"x\" names relay \"x\", which is not listed; accepted are names in relays",
        ),
        (
            &|i| {
                i.links = vec![
                    link("root-0", "edge-0", 1, 0),
                    link("root-0", "edge-0", 2, 0),
                ]
            },
            "the link from \"root-0\" to \"edge-0\" is listed twice; accepted is each direction once",
        ),
        (
            &|i| i.links = vec![link("edge-0", "edge-0", 1, 0)],
            "a link leads from \"edge-0\" to itself; accepted are links between two relays",
        ),
        (
            &|i| i.links = vec![link("root-0", "edge-0", 1, 1001)],
            "the link from \"root-0\" to \"edge-0\" has a loss of 1001 permille; accepted is 0 to 1000",
        ),
        (
            &|i| i.demand = vec![demand("edge-0", &["news"])],
            "the demand of relay \"edge-0\" names stream \"news\", which is not listed; accepted are names in streams",
        ),
        (
            &|i| i.streams = vec![stream("news", &["hall-0"])],
            "stream \"news\" has carrier \"hall-0\", which is in tier 1; accepted are roots, in tier 0",
        ),
        (
            &|i| {
                i.relays
                    .iter_mut()
                    .for_each(|r| r.fan_out = u32::from(r.tier == 0))
            },
            "relay \"hall-2\" in tier 1 finds no free slot: the tiers above feed 2 child relays and 3 want one; accepted is a fan-out that is large enough",
        ),
        (
            &|i| {
                i.links = vec![
                    link("root-0", "hall-1", 1, 1000),
                    link("root-1", "hall-1", 1, 1000),
                ]
            },
            "relay \"hall-1\" in tier 1 reaches no member of a higher tier with a slot for it; accepted is at least one link with a loss below 1000 permille",
        ),
    ];
    for (change, sentence) in rows {
        assert_eq!(broken(change), sentence);
    }
}

#[test]
fn one_change_among_ten_thousand_relays_moves_few() {
    let mut input = Input::default();
    for (tier, name, count, fan_out) in [
        (0, "root", 4, 64),
        (1, "core", 96, 24),
        (2, "metro", 900, 16),
        (3, "edge", 9_000, 0),
    ] {
        input.relays.extend((0..count).map(|n| {
            let zone = format!("zone-{}", n % 12);
            relay(&format!("{name}-{n}"), tier, &zone, "", fan_out)
        }));
    }
    input.streams = (0..4).map(|n| stream(&format!("s{n}"), &[])).collect();
    input.demand = (0..9_000)
        .map(|n| demand(&format!("edge-{n}"), &["s0", "s1", "s2", "s3"]))
        .collect();
    let first = plan(&input, None).unwrap();
    let lost = input
        .relays
        .iter()
        .position(|relay| relay.name == "metro-17")
        .unwrap();
    input.relays.remove(lost);
    let children = first
        .homes
        .values()
        .filter(|home| home.parent.as_str() == "metro-17")
        .count();
    let second = plan(&input, Some(&first)).unwrap();
    assert_eq!(second.moved_since(&first), children);
    input.relays.push(relay("edge-new", 3, "zone-3", "", 0));
    let third = plan(&input, Some(&second)).unwrap();
    assert_eq!(third.moved_since(&second), 0);
}

/// Only listed links exist: nobody is given another parent or backup, and who has none is named.
#[test]
fn where_only_listed_links_exist_no_other_is_planned() {
    let mut input = Input {
        relays: vec![
            relay("root-0", 0, "", "", 4),
            relay("root-1", 0, "", "", 4),
            relay("hall-0", 1, "", "", 4),
            relay("hall-1", 1, "", "", 4),
            relay("edge-0", 2, "", "", 0),
            relay("edge-1", 2, "", "", 0),
        ],
        links: vec![
            link("root-0", "hall-0", 9_000, 0),
            link("root-1", "hall-1", 9_000, 0),
            link("hall-0", "edge-0", 9_000, 0),
            link("hall-1", "edge-1", 9_000, 0),
            link("root-1", "edge-1", 9_000, 0),
        ],
        ..Input::default()
    };
    input.rules.closed = true;
    let plan = plan(&input, None).unwrap();
    let ranked = |relay: &str| -> Vec<String> {
        let names = plan.ranked_parents(relay);
        names.into_iter().map(ToString::to_string).collect()
    };
    assert_eq!(ranked("edge-0"), ["hall-0"]);
    assert_eq!(ranked("edge-1"), ["hall-1", "root-1"]);
    assert_eq!(ranked("hall-1"), ["root-1"]);
    input.links.retain(|link| link.to != "edge-0");
    let error = banyan_planner::plan(&input, None).unwrap_err().to_string();
    assert!(error.contains("edge-0"), "{error}");
}
