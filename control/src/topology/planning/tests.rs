//! Whole topologies in virtual time: relays that repair by themselves and do as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_planner as planner;
use banyan_proto::v1;

use super::most_moves;
use crate::roster::{Entry, Role, Roster};
use crate::topology::{Limits, Now, Session, Topology};

mod restart;

/// A control plane that moves members as soon as it has heard all of them.
const AT_ONCE: fn() -> Limits = || Limits {
    settling: Duration::ZERO,
    ..Limits::default()
};

/// Tier name, members, fan-out.
type Tiers<'a> = &'a [(&'a str, u32, u32)];

/// Two roots, three halls, nine edges; a hall can be missed.
const CAMPUS: Tiers<'_> = &[("root", 2, 8), ("hall", 3, 6), ("edge", 9, 0)];

fn roster(tiers: Tiers<'_>) -> Roster {
    let mut input = planner::Input::default();
    for (tier, (name, count, fan_out)) in (0..).zip(tiers) {
        input.relays.extend((0..*count).map(|n| planner::Relay {
            name: format!("{name}-{n}"),
            tier,
            zone: String::new(),
            host: String::new(),
            fan_out: *fan_out,
        }));
    }
    let plan = planner::plan(&input, None).unwrap();
    let members = input.relays.iter().map(|relay| {
        let parents = plan.ranked_parents(&relay.name);
        let peers = parents.into_iter().map(|parent| v1::Peer {
            name: parent.to_string(),
            uri: format!("http://{parent}:1"),
        });
        Entry {
            dials: Default::default(),
            name: relay.name.clone(),
            role: match relay.tier as usize {
                0 => Role::Root,
                tier if tier + 1 == tiers.len() => Role::Edge,
                _ => Role::Relay,
            },
            tier: relay.name.split('-').next().unwrap().to_owned(),
            grpc: format!("http://{}:1", relay.name),
            http: format!("http://{}:2", relay.name),
            config: v1::Config {
                generation: 1,
                parents: peers.collect(),
                ..Default::default()
            },
        }
    });
    Roster {
        topology: "orchard".to_owned(),
        epoch: 100,
        members: members.collect(),
        plan: Some(input),
    }
}

/// A relay process.
struct Process {
    role: Role,
    boot: u64,
    parents: Vec<String>,
    feeder: String,
    session: Option<Session>,
    sequence: u64,
    plan: (u64, u64),
    draining: bool,
    refusing: bool,
    /// Parents given by hand.
    fixed: bool,
}

struct World {
    roster: Roster,
    control: Topology,
    term: u64,
    at: u64,
    running: BTreeMap<String, Process>,
    boots: u64,
    /// Relays that left a parent that still served, since last asked.
    moved: Vec<String>,
    /// Control hears nothing from these.
    unheard: BTreeSet<String>,
    /// Child and parent that cannot reach each other.
    cut: BTreeSet<(String, String)>,
}

impl World {
    fn new(tiers: Tiers<'_>) -> World {
        let roster = roster(tiers);
        let now = Now {
            at: Duration::ZERO,
            unix_ms: 0,
        };
        let mut world = World {
            control: Topology::new(roster.clone(), 1, AT_ONCE(), now),
            roster,
            term: 1,
            at: 0,
            running: BTreeMap::new(),
            boots: 0,
            moved: Vec::new(),
            unheard: BTreeSet::new(),
            cut: BTreeSet::new(),
        };
        let names: Vec<String> = world
            .roster
            .members
            .iter()
            .map(|m| m.name.clone())
            .collect();
        names.iter().for_each(|name| world.start(name));
        world
    }

    fn now(&self) -> Now {
        Now {
            at: Duration::from_millis(self.at),
            unix_ms: self.at,
        }
    }

    fn start(&mut self, name: &str) {
        self.boots += 1;
        let entry = self.roster.entry(name).unwrap();
        let parents: Vec<String> = entry
            .config
            .parents
            .iter()
            .map(|p| p.name.clone())
            .collect();
        let process = Process {
            role: entry.role,
            boot: self.boots,
            feeder: parents.first().cloned().unwrap_or_default(),
            parents,
            session: None,
            sequence: 0,
            plan: (0, 0),
            draining: false,
            refusing: false,
            fixed: false,
        };
        self.running.insert(name.to_owned(), process);
    }

    fn kill(&mut self, name: &str) {
        let process = self.running.remove(name).unwrap();
        if let Some(session) = process.session {
            self.control.handle_disconnect(session, self.now());
        }
    }

    fn restart_control(&mut self, limits: Limits) {
        self.term += 1;
        self.control = Topology::new(self.roster.clone(), self.term, limits, self.now());
        self.running.values_mut().for_each(|p| p.session = None);
    }

    /// What relays do without control: whoever is not fed takes the next who is there.
    fn repair(&mut self) {
        let alive: BTreeSet<String> = self.running.keys().cloned().collect();
        for (name, process) in &mut self.running {
            if process.role == Role::Root {
                continue;
            }
            let serves = |parent: &String| {
                alive.contains(parent) && !self.cut.contains(&(name.clone(), parent.clone()))
            };
            if !serves(&process.feeder)
                && let Some(next) = process.parents.iter().find(|parent| serves(parent))
            {
                process.feeder.clone_from(next);
            }
        }
    }

    /// A second: repair, report, plan, carry out.
    fn second(&mut self) {
        self.at += 1_000;
        self.repair();
        let now = self.now();
        let reach = Reach {
            alive: self.running.keys().cloned().collect(),
            cut: self.cut.clone(),
        };
        for (name, process) in &mut self.running {
            if self.unheard.contains(name) {
                if let Some(session) = process.session.take() {
                    self.control.handle_disconnect(session, now);
                }
                continue;
            }
            if process.session.is_none() {
                let hello = v1::Hello {
                    boot_id: process.boot.to_string(),
                    ..Default::default()
                };
                let attached = self.control.handle_hello(name, &hello, now).unwrap();
                process.session = Some(attached.session);
                process.sequence = 0;
                if let Some(config) = attached.welcome.config {
                    take(name, process, config, &mut self.moved, &reach);
                }
            }
            let session = process.session.unwrap();
            process.sequence += 1;
            let tracks = (process.role != Role::Root).then(|| v1::TrackReport {
                stream: "harvest".to_owned(),
                track: "tall".to_owned(),
                parent: process.feeder.clone(),
                state: v1::FlowState::Flowing.into(),
                ..Default::default()
            });
            let report = v1::Report {
                sequence: process.sequence,
                role: process.role.to_string(),
                tracks: tracks.into_iter().collect(),
                parents: process.parents.clone(),
                draining: process.draining,
                refusing: process.refusing,
                parents_fixed: process.fixed,
                ..Default::default()
            };
            self.control.handle_report(session, report, now).unwrap();
        }
        self.control.handle_tick(now);
        for (name, process) in &mut self.running {
            let Some(session) = process.session else {
                continue;
            };
            while let Some(plan) = self.control.poll_plan(session) {
                let version = (plan.term, plan.version);
                assert!(version >= process.plan, "{name} is told an old plan");
                process.plan = version;
                take(name, process, plan.config.unwrap(), &mut self.moved, &reach);
                let ack = v1::PlanAck {
                    term: version.0,
                    version: version.1,
                    accepted: true,
                    ..Default::default()
                };
                self.control.handle_ack(session, &ack).unwrap();
            }
        }
    }

    /// Runs; nobody may move in more than bounded groups. Returns how many moved.
    fn run(&mut self, seconds: u32) -> usize {
        let relays = self.roster.members.iter().filter(|m| m.role != Role::Root);
        let most = most_moves(relays.count());
        let mut moved = 0;
        for _ in 0..seconds {
            self.second();
            let now = std::mem::take(&mut self.moved);
            assert!(now.len() <= most, "{now:?} moved in one second of {most}");
            moved += now.len();
            self.check();
        }
        moved
    }

    fn tier(&self, name: &str) -> u32 {
        let input = self.roster.plan.as_ref().unwrap();
        let relay = input.relays.iter().find(|relay| relay.name == name);
        relay.unwrap().tier
    }

    /// What must hold at any time: first parents stand above, so there is no circle.
    fn check(&self) {
        for (name, process) in &self.running {
            if let Some(first) = process.parents.first() {
                assert!(self.tier(first) < self.tier(name), "{name} below {first}");
                assert!(!process.parents.contains(name));
            }
        }
    }

    fn children(&self, parent: &str) -> usize {
        let fed = self.running.values().filter(|p| p.feeder == parent);
        fed.count()
    }

    /// Nobody feeds more than it may.
    fn is_within_fan_out(&self) -> bool {
        let input = self.roster.plan.as_ref().unwrap();
        input
            .relays
            .iter()
            .all(|relay| self.children(&relay.name) <= relay.fan_out as usize)
    }

    fn feeders(&self) -> BTreeMap<String, String> {
        let fed = self.running.iter();
        fed.map(|(name, p)| (name.clone(), p.feeder.clone()))
            .collect()
    }

    fn problem(&self) -> Option<String> {
        self.control.view(self.now()).plan.problem
    }
}

struct Reach {
    alive: BTreeSet<String>,
    cut: BTreeSet<(String, String)>,
}

impl Reach {
    fn serves(&self, child: &str, parent: &str) -> bool {
        self.alive.contains(parent) && !self.cut.contains(&(child.to_owned(), parent.to_owned()))
    }
}

/// A relay goes to its first parent when it is told another one, if it can reach it.
fn take(
    name: &str,
    process: &mut Process,
    config: v1::Config,
    moved: &mut Vec<String>,
    reach: &Reach,
) {
    if process.fixed {
        return;
    }
    let before = process.parents.first().cloned();
    process.parents = config.parents.into_iter().map(|peer| peer.name).collect();
    if let Some(first) = process.parents.first()
        && process.feeder != *first
        && before.as_ref() != Some(first)
        && reach.serves(name, first)
    {
        // Who leaves the dead has not been moved, and who has just started carries nothing.
        if reach.serves(name, &process.feeder) && process.plan != (0, 0) {
            moved.push(name.to_owned());
        }
        process.feeder.clone_from(first);
    }
}

#[test]
fn a_quiet_tree_is_told_its_static_parents_and_nothing_more() {
    let mut world = World::new(CAMPUS);
    assert_eq!(world.run(60), 0);
    for (name, process) in &world.running {
        assert_eq!(process.plan, (1, 1), "{name}");
    }
}

#[test]
fn a_dead_relays_children_stay_where_they_fled_and_its_return_brings_some_back_gently() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    let orphans = world.children("hall-1");
    assert_eq!(orphans, 3);
    world.kill("hall-1");
    assert_eq!(world.run(60), 0, "orphans have moved already");
    let told_dead = |world: &World| {
        let mut firsts = world.running.values().filter_map(|p| p.parents.first());
        firsts.any(|first| first == "hall-1")
    };
    assert!(!told_dead(&world), "planned around");
    assert!(world.is_within_fan_out());
    world.start("hall-1");
    let back = world.run(60);
    assert_eq!(world.children("hall-1"), back);
    assert!((2..=4).contains(&back), "{back} came");
    assert_eq!(world.run(60), 0, "it is settled");
}

#[test]
fn a_short_absence_changes_no_plan() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    let version = world.control.view(world.now()).plan.version;
    world.unheard.insert("hall-0".to_owned());
    world.run(8);
    world.unheard.clear();
    assert_eq!(world.run(20), 0);
    assert_eq!(world.control.view(world.now()).plan.version, version);
}

#[test]
fn a_relay_that_only_control_cannot_hear_is_not_planned_around_while_it_feeds() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    let before = world.feeders();
    world.unheard.insert("hall-0".to_owned());
    assert_eq!(world.run(120), 0);
    world.unheard.clear();
    assert_eq!(world.run(30), 0);
    assert_eq!(world.feeders(), before);
}

#[test]
fn a_draining_relay_is_planned_away_from_and_gets_no_child() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    world.running.get_mut("hall-2").unwrap().draining = true;
    // Its children are urgent: its own go-away would move them at once.
    for _ in 0..10 {
        world.second();
    }
    assert_eq!(world.children("hall-2"), 0);
    world.moved.clear();
    world.running.get_mut("hall-2").unwrap().draining = false;
    assert!(world.run(60) > 0);
    assert!(world.children("hall-2") > 0);
}

#[test]
fn a_refusing_relay_is_given_nobody() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    world.kill("hall-1");
    world.run(40);
    world.start("hall-1");
    world.running.get_mut("hall-1").unwrap().refusing = true;
    assert_eq!(world.run(60), 0);
    world.running.get_mut("hall-1").unwrap().refusing = false;
    assert!(world.run(60) > 0);
}

#[test]
fn no_tree_keeps_the_last_plan_and_says_why() {
    let mut world = World::new(&[("root", 2, 3), ("edge", 6, 0)]);
    world.run(5);
    world.kill("root-0");
    assert_eq!(world.run(40), 0);
    let problem = world.problem().unwrap();
    assert!(problem.contains("no free slot"), "{problem}");
    for process in world.running.values() {
        assert_eq!(process.plan, (1, 1));
    }
    world.start("root-0");
    world.run(60);
    assert_eq!(world.problem(), None);
    assert!(world.is_within_fan_out());
}

#[test]
fn a_move_that_cannot_be_made_is_not_asked_for_again_at_once() {
    let mut world = World::new(CAMPUS);
    world.run(5);
    world.kill("hall-1");
    world.run(40);
    let edges: Vec<String> = world.running.keys().cloned().collect();
    for edge in edges {
        world.cut.insert((edge, "hall-1".to_owned()));
    }
    world.start("hall-1");
    let rounds = |world: &World| world.control.view(world.now()).plan.rounds;
    let before = rounds(&world);
    assert_eq!(world.run(60), 0, "nobody reaches it");
    // One relay a round, each asked once and then told to stay.
    assert!(rounds(&world) - before <= 10, "{}", rounds(&world) - before);
}

/// Numbers from a seed: SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn two_hundred_joins_and_leaves_never_move_more_than_a_round_allows() {
    let seed = std::env::var("BANYAN_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(4_242);
    println!("BANYAN_SEED={seed}");
    let mut dice = Dice(seed);
    let mut world = World::new(&[
        ("root", 3, 12),
        ("core", 8, 8),
        ("metro", 14, 8),
        ("edge", 40, 0),
    ]);
    world.run(5);
    let all: Vec<String> = world
        .roster
        .members
        .iter()
        .map(|m| m.name.clone())
        .collect();
    let mut restarts = 0;
    for _ in 0..200 {
        let name = all[dice.below(all.len() as u64) as usize].clone();
        if !world.running.contains_key(&name) {
            world.start(&name);
        } else if name != "root-0" {
            world.kill(&name);
        }
        // A quarter away at most, so that a tree exists.
        let away: Vec<&String> = all
            .iter()
            .filter(|n| !world.running.contains_key(*n))
            .collect();
        if away.len() > all.len() / 4 {
            let back = away[dice.below(away.len() as u64) as usize].clone();
            world.start(&back);
        }
        if dice.below(40) == 0 {
            world.restart_control(AT_ONCE());
            restarts += 1;
        }
        world.run(1 + dice.below(20) as u32);
    }
    for name in &all {
        if !world.running.contains_key(name) {
            world.start(name);
        }
    }
    world.run(400);
    assert!(
        world.is_within_fan_out(),
        "seed {seed}: settled over a fan-out"
    );
    assert_eq!(world.run(60), 0, "seed {seed}: not settled");
    assert!(restarts > 0, "seed {seed} restarts control never");
    assert_eq!(world.problem(), None);
}

#[test]
fn each_member_is_told_uris_of_its_own() {
    let mut world = World::new(CAMPUS);
    for entry in &mut world.roster.members {
        let detours = (0..3).map(|n| {
            let name = format!("hall-{n}");
            let uri = format!("http://{}.{name}:9", entry.name);
            (name, uri)
        });
        entry.dials = detours.collect();
    }
    world.restart_control(AT_ONCE());
    let name = "edge-4";
    let hello = v1::Hello::default();
    let session = world
        .control
        .handle_hello(name, &hello, world.now())
        .unwrap()
        .session;
    assert_eq!(world.control.poll_plan(session), None, "not heard yet");
    let report = v1::Report {
        sequence: 1,
        role: "edge".to_owned(),
        parents: vec!["hall-2".to_owned(), "hall-0".to_owned()],
        ..Default::default()
    };
    world
        .control
        .handle_report(session, report, world.now())
        .unwrap();
    let plan = world.control.poll_plan(session).unwrap();
    let uris: Vec<_> = plan
        .config
        .unwrap()
        .parents
        .into_iter()
        .map(|p| p.uri)
        .collect();
    assert_eq!(uris, ["http://edge-4.hall-2:9", "http://edge-4.hall-0:9"]);
}
