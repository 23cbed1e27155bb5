//! Schedules: the same for the same seed, another for another; names that do not exist; restored links.

use banyan_api::manifest;

use super::*;
use crate::experiment::file;
use crate::link::Change;
use crate::model::{self, Lock};

/// A manifest and the network of it.
pub(in crate::experiment) struct Stage {
    topology: Topology,
    servers: Vec<Server>,
    network: Network,
}

impl Stage {
    pub(in crate::experiment) fn new() -> Self {
        Self::of(ORCHARD)
    }

    fn of(text: &str) -> Self {
        let mut valid = manifest::load(&[("orchard.yaml", text)]).unwrap();
        let topology = valid.topologies.remove(0);
        let built = model::build(&topology, &valid.servers, &Lock::default());
        let (network, _) = built.unwrap();
        Self {
            topology,
            servers: valid.servers,
            network,
        }
    }

    pub(in crate::experiment) fn scene(&self) -> Scene<'_> {
        Scene {
            network: &self.network,
            topology: &self.topology,
            servers: &self.servers,
        }
    }
}

pub(in crate::experiment) fn experiment(rest: &str) -> Experiment {
    let text = format!("name: pears\nmanifest: orchard.yaml\nduration: 60s\n{rest}\n");
    file::parse(&text, "pears.yaml", None).unwrap()
}

fn compiled(rest: &str, seed: u64) -> Schedule {
    compile(&experiment(rest), Stage::new().scene(), seed).unwrap()
}

fn sentences(rest: &str) -> Vec<String> {
    let problems = compile(&experiment(rest), Stage::new().scene(), 1).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn lines(schedule: &Schedule) -> Vec<String> {
    let line = |step: &Step| {
        let action = &step.action;
        format!(
            "{} {} {} {}",
            step.at_ms,
            action.verb(),
            action.target(),
            action.detail()
        )
        .trim()
        .to_owned()
    };
    schedule.steps.iter().map(line).collect()
}

const RANDOM: &str = "viewers: [{poisson: 2s, until: 50s, stay: 10s}]
events: [{do: churn, at: 5s, until: 50s, members: [twig-0, twig-1], every: 4s, down: 2s}]";

#[test]
fn a_seed_is_a_schedule() {
    assert_eq!(compiled(RANDOM, 7), compiled(RANDOM, 7));
    assert_ne!(compiled(RANDOM, 7), compiled(RANDOM, 8));
    let schedule = compiled(RANDOM, 7);
    let sorted = schedule
        .steps
        .windows(2)
        .all(|two| two[0].at_ms <= two[1].at_ms);
    assert!(sorted, "{schedule:?}");
    let kills = schedule
        .steps
        .iter()
        .filter(|step| step.action.verb() == "kill");
    assert!((5..20).contains(&kills.count()), "{:?}", lines(&schedule));
}

#[test]
fn a_seed_means_the_same_in_every_version() {
    let schedule = compiled("viewers: [{poisson: 2s, count: 3}]", 7);
    let arrivals: Vec<u64> = schedule
        .steps
        .iter()
        .filter(|step| step.action.verb() == "watch")
        .map(|step| step.at_ms)
        .collect();
    assert_eq!(arrivals, POISSON);
}

#[test]
fn repetitions_have_seeds_of_their_own() {
    let experiment = experiment("viewers: [{}]");
    let seeds: BTreeSet<u64> = (1..=100).map(|turn| seed(&experiment, turn)).collect();
    assert_eq!(seeds.len(), 100);
    assert!(seeds.iter().all(|seed| *seed < 1 << 53));
}

#[test]
fn what_was_changed_is_the_manifests_again() {
    let schedule = compiled(
        "viewers: [{nodes: [screen-1]}]
events:
  - {do: set, at: 10s, link: barn--trunk, delay: 80ms, bandwidth: 1M, for: 5s}
  - {do: degrade, at: 20s, member: shed, loss: 2%, for: 1s}",
        1,
    );
    assert_eq!(
        lines(&schedule),
        [
            "0 watch viewer-1 cider at screen-1",
            "10000 set barn--trunk rate 1000000 bit/s delay 80000 us",
            "15000 set barn--trunk rate 20000000 bit/s delay 50000 us",
            "20000 set shed--trunk loss 2%",
            "21000 set shed--trunk loss 1%",
            "60000 leave viewer-1",
        ]
    );
    let hurts: Vec<bool> = schedule.steps.iter().map(|step| step.hurts).collect();
    assert_eq!(hurts, [false, true, false, true, false, false]);
}

#[test]
fn ramps_and_patterns_are_steps() {
    let schedule = compiled(
        "viewers: [{nodes: [screen-1], stay: 1s}]
events:
  - {do: loss-ramp, at: 10s, until: 20s, link: barn--trunk, from: 0%, to: 5%, steps: 2}
  - {do: bandwidth, at: 30s, until: 38s, link: barn--trunk, pattern: [{rate: 1M, for: 3s}, {rate: unlimited, for: 2s}]}",
        1,
    );
    let rest: Vec<String> = lines(&schedule).split_off(2);
    assert_eq!(
        rest,
        [
            "10000 set barn--trunk loss 0%",
            "15000 set barn--trunk loss 2.5%",
            "20000 set barn--trunk loss 5%",
            "30000 set barn--trunk rate 1000000 bit/s",
            "33000 set barn--trunk rate unlimited",
            "35000 set barn--trunk rate 1000000 bit/s",
        ]
    );
}

#[test]
fn a_partition_cuts_every_link_around_it() {
    let rest = "viewers: [{nodes: [screen-1]}]
events: [{do: partition, at: 10s, nodes: [barn, shed], for: 2s}]";
    let schedule = compiled(rest, 1);
    let cuts: Vec<String> = lines(&schedule);
    assert_eq!(
        cuts[1..5],
        [
            "10000 down barn--trunk",
            "10000 down shed--trunk",
            "12000 up barn--trunk",
            "12000 up shed--trunk"
        ]
    );
    let Action::Link { change, .. } = &schedule.steps[1].action else {
        panic!("{schedule:?}");
    };
    assert_eq!(
        *change,
        Change {
            up: Some(false),
            ..Change::default()
        }
    );
}

#[test]
fn viewers_take_turns_and_know_the_nearest_first() {
    let schedule = compiled("viewers: [{count: 3, every: 1s, stream: cider}]", 1);
    let watches: Vec<(String, String, Vec<String>)> = schedule
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::StartViewer(watch) => Some((
                watch.viewer.clone(),
                watch.node.clone(),
                watch.sources.clone(),
            )),
            _ => None,
        })
        .collect();
    let of = |viewer: &str, node: &str, sources: [&str; 2]| {
        (
            viewer.to_owned(),
            node.to_owned(),
            sources.map(str::to_owned).to_vec(),
        )
    };
    assert_eq!(
        watches,
        [
            of("viewer-1", "screen-1", ["edge-0", "edge-1"]),
            of("viewer-2", "screen-2", ["edge-1", "edge-0"]),
            of("viewer-3", "screen-1", ["edge-0", "edge-1"]),
        ]
    );
    let schedule = compiled(
        "viewers: [{from: servers, over: grpc, nodes: [screen-2]}]",
        1,
    );
    let Action::StartViewer(watch) = &schedule.steps[0].action else {
        panic!("{schedule:?}");
    };
    assert_eq!(watch.sources, ["shed", "barn"]);
}

#[test]
fn who_joins_is_not_there_before() {
    let rest = "viewers: [{nodes: [screen-1]}]\nevents: [{do: join, at: 9s, member: shed}]";
    let schedule = compiled(rest, 1);
    assert_eq!(schedule.absent, ["shed"]);
    assert_eq!(lines(&schedule)[1], "9000 start shed");
}

#[test]
fn names_that_do_not_exist_are_told_with_the_nearest() {
    for (rest, sentence) in [
        (
            "viewers: [{}]\nevents: [{do: down, at: 1s, link: bran--trunk}]",
            "events[0].link names \"bran--trunk\", which is no link of this network; nearest are barn--trunk, shed--trunk, fork-0--trunk",
        ),
        (
            "viewers: [{}]\nevents: [{do: kill, at: 1s, member: twig-7}]",
            "events[0].member names \"twig-7\", which is no member of this network; nearest are twig-0, twig-1, edge-0",
        ),
        (
            "viewers: [{nodes: [scren-1]}]",
            "viewers[0].nodes[0] names \"scren-1\", which is no node with an address of this network; nearest are screen-1, screen-2, edge-1",
        ),
        (
            "viewers: [{stream: perry}]",
            "viewers[0].stream names \"perry\", which is no stream of this network; nearest are cider",
        ),
        (
            "viewers: [{rendition: adaptiv}]",
            "viewers[0].rendition names \"adaptiv\", which is no rendition of this network; nearest are adaptive, 240p, highest",
        ),
        (
            "viewers: [{rendition: adaptive, over: grpc}]",
            "viewers[0].rendition is adaptive; accepted is a rendition's name, lowest or highest over gRPC; adaptive over HLS",
        ),
        (
            "viewers: [{}]\ncapture: [barn]",
            "capture[0] names \"barn\", which is no link of this network; nearest are barn--trunk, shed--trunk, fork-0--trunk",
        ),
        (
            "viewers: [{}]\nevents: [{do: thaw, at: 1s, member: twig-0}]",
            "member \"twig-0\" is to be thawed at 1000 ms, when it runs; accepted is an instant when it is frozen",
        ),
        (
            "viewers: [{}]\nevents: [{do: kill, at: 1s, member: shed}, {do: join, at: 5s, member: shed}]",
            "member \"shed\" is to be killed at 1000 ms, when it is not there; accepted is an instant when it runs",
        ),
        (
            "viewers: [{count: 9, every: 10s}]",
            "viewers[0].count is 9, of whom 6 come before 60000 ms; accepted is as many as have time to come",
        ),
    ] {
        let told = sentences(rest);
        assert_eq!(told.first().map(String::as_str), Some(sentence), "{told:?}");
    }
}

/// Golden: a change of these moves every experiment of the past.
const POISSON: [u64; 3] = [0, 9_277, 9_714];

const ORCHARD: &str = r#"
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: orchard}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  relays: [{name: twig, replicas: 2, fanOut: 4}]
  edge: {replicas: 2}
  underlay:
    nodes:
      - {name: barn, kind: Host, member: barn}
      - {name: shed, kind: Host, member: shed}
      - {name: trunk, kind: Host, member: root-0}
      - {name: fork-0, kind: Host, member: twig-0}
      - {name: fork-1, kind: Host, member: twig-1}
      - {name: edge-0, kind: Host, member: edge-0}
      - {name: edge-1, kind: Host, member: edge-1}
      - {name: screen-1, kind: Client, watches: [cider]}
      - {name: screen-2, kind: Client, watches: [cider]}
    links:
      - {ends: [barn, trunk], bandwidth: 20M, delay: 50ms}
      - {ends: [shed, trunk], bandwidth: 20M, delay: 20ms, loss: 1%}
      - {ends: [trunk, fork-0], delay: 5ms}
      - {ends: [trunk, fork-1], delay: 5ms}
      - {ends: [fork-0, edge-0], delay: 5ms}
      - {ends: [fork-1, edge-1], delay: 5ms}
      - {ends: [edge-0, screen-1]}
      - {ends: [edge-1, screen-2]}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: barn}
spec:
  topology: orchard
  contents:
    - name: cider
      title: Cider
      source: {test: {pattern: bars, duration: 12s}}
      renditions: [{name: 240p, height: 240, videoBitrate: 300k, audioBitrate: 64k}]
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: shed}
spec:
  topology: orchard
  contents:
    - name: cider
      title: Cider
      source: {test: {pattern: bars, duration: 12s}}
      renditions: [{name: 240p, height: 240, videoBitrate: 300k, audioBitrate: 64k}]
"#;
