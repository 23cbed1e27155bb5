//! A schedule: what is done when. A function of the experiment, the network and a seed.

mod events;
mod viewers;

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::model::{Server, TierKind, Topology};
use serde::Serialize;

use super::chance::Chance;
use super::file::Experiment;
use super::problem::Problem;
use super::world::{Action, Flow};
use crate::model::Network;

/// What the experiment happens on.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The network of the manifests.
    pub network: &'a Network,
    /// The overlay on it.
    pub topology: &'a Topology,
    /// Content servers of the manifests.
    pub servers: &'a [Server],
}

/// What is done when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// In order.
    pub steps: Vec<Step>,
    /// Members that are not there from the beginning.
    pub absent: Vec<String>,
    /// Length of the run in milliseconds.
    pub duration_ms: u64,
}

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Milliseconds after zero.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// Whether viewers may suffer from it: figures of detection and resume begin here.
    pub hurts: bool,
}

/// Seed of a repetition, from 1; all variants share it, so that they meet the same chance.
pub fn seed(experiment: &Experiment, repetition: u32) -> u64 {
    // A manifest's numbers are 53 bits in many a reader.
    Chance::of(experiment.seed, &format!("repetition {repetition}")).next() >> 11
}

/// Compiles one variant for one seed.
pub fn compile(
    experiment: &Experiment,
    scene: Scene<'_>,
    seed: u64,
) -> Result<Schedule, Vec<Problem>> {
    let mut compiler = Compiler {
        experiment,
        scene,
        seed,
        steps: Vec::new(),
        problems: Vec::new(),
    };
    compiler.captures();
    let absent = compiler.events();
    compiler.viewers();
    compiler.traffic();
    compiler.finish(absent)
}

struct Compiler<'a> {
    experiment: &'a Experiment,
    scene: Scene<'a>,
    seed: u64,
    steps: Vec<Step>,
    problems: Vec<Problem>,
}

impl Compiler<'_> {
    fn push(&mut self, at_ms: u64, action: Action, hurts: bool) {
        // What would come after the end is not done.
        if at_ms <= self.experiment.duration.0 {
            self.steps.push(Step {
                at_ms,
                action,
                hurts,
            });
        }
    }

    fn captures(&mut self) {
        let capture = &self.experiment.capture;
        for (index, name) in capture.iter().enumerate() {
            self.link(&format!("capture[{index}]"), name);
        }
    }

    fn traffic(&mut self) {
        let experiment = self.experiment;
        for (index, flow) in experiment.traffic.iter().enumerate() {
            let what = |field: &str| format!("traffic[{index}].{field}");
            self.host(&what("from"), &flow.from);
            self.host(&what("to"), &flow.to);
            let until = flow.until.unwrap_or(experiment.duration);
            if until <= flow.at {
                let accepted = format!("after {}", flow.at);
                self.problems
                    .push(Problem::value(&what("until"), until, &accepted));
            }
            let name = format!("traffic-{}", index + 1);
            let start = Action::StartTraffic(Flow {
                name: name.clone(),
                from: flow.from.clone(),
                to: flow.to.clone(),
                rate_bps: flow.rate.0.unwrap_or(0),
            });
            self.push(flow.at.0, start, false);
            self.push(until.0, Action::StopTraffic { name }, false);
        }
    }

    fn finish(mut self, absent: BTreeSet<String>) -> Result<Schedule, Vec<Problem>> {
        // Stable: what is written first is done first.
        self.steps.sort_by_key(|step| step.at_ms);
        if self.problems.is_empty() {
            self.judge(&absent);
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Schedule {
            steps: self.steps,
            absent: absent.into_iter().collect(),
            duration_ms: self.experiment.duration.0,
        })
    }

    /// Whether everything that happens to members can happen to them then.
    fn judge(&mut self, absent: &BTreeSet<String>) {
        let mut states: BTreeMap<&str, Life> = BTreeMap::new();
        states.extend(absent.iter().map(|member| (member.as_str(), Life::Away)));
        for step in &self.steps {
            let (verb, from, to): (&'static str, &[Life], Life) = match &step.action {
                Action::Kill { .. } => ("killed", &[Life::Runs, Life::Frozen], Life::Away),
                Action::Freeze { .. } => ("frozen", &[Life::Runs], Life::Frozen),
                Action::Thaw { .. } => ("thawed", &[Life::Frozen], Life::Runs),
                Action::Start { .. } => ("started", &[Life::Away], Life::Runs),
                _ => continue,
            };
            let member = step.action.target();
            let state = states.entry(member).or_insert(Life::Runs);
            if !from.contains(state) {
                self.problems.push(Problem::State {
                    member: member.to_owned(),
                    verb,
                    at_ms: step.at_ms,
                    state: state.words(),
                    accepted: from.first().map_or("", |life| life.words()),
                });
            }
            *state = to;
        }
    }

    fn link(&mut self, what: &str, name: &str) -> bool {
        let network = self.scene.network;
        let known = network.link(name).is_some();
        if !known {
            let names = network.links.iter().map(|link| link.name.as_str());
            self.problems
                .push(Problem::unknown(what, name, "link", names));
        }
        known
    }

    fn member(&mut self, what: &str, name: &str) -> bool {
        let members = &self.scene.network.members;
        let known = members.contains_key(name);
        if !known {
            let names = members.keys().map(String::as_str);
            self.problems
                .push(Problem::unknown(what, name, "member", names));
        }
        known
    }

    /// A node that has addresses.
    fn host(&mut self, what: &str, name: &str) -> bool {
        let network = self.scene.network;
        let hosts = || {
            let nodes = network.nodes.iter();
            nodes.filter(|node| node.addresses().next().is_some())
        };
        let known = hosts().any(|node| node.name == name);
        if !known {
            let names = hosts().map(|node| node.name.as_str());
            self.problems
                .push(Problem::unknown(what, name, "node with an address", names));
        }
        known
    }
}

impl Scene<'_> {
    /// Slots of the edge tier.
    fn edges(&self) -> Vec<String> {
        let tiers = self.topology.tiers.iter();
        tiers
            .filter(|tier| tier.kind == TierKind::Edge)
            .flat_map(|tier| tier.members().collect::<Vec<_>>())
            .collect()
    }

    /// Content servers that offer a stream.
    fn offering(&self, stream: &str) -> Vec<String> {
        let servers = self.servers.iter();
        servers
            .filter(|server| server.contents.iter().any(|content| content.name == stream))
            .map(|server| server.name.clone())
            .collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Runs,
    Frozen,
    Away,
}

impl Life {
    fn words(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Frozen => "is frozen",
            Self::Away => "is not there",
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
