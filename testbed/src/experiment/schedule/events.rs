//! Events of a file as actions.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compiler, Life};
use crate::experiment::chance::Chance;
use crate::experiment::file::{Condition, Event, Leave, Millis};
use crate::experiment::patterns::Pattern;
use crate::experiment::problem::Problem;
use crate::experiment::world::Action;
use crate::link::Change;
use crate::model::Parameters;

impl Compiler<'_> {
    /// All events; who is not there from the beginning.
    pub(super) fn events(&mut self) -> BTreeSet<String> {
        let mut absent = BTreeSet::new();
        let experiment = self.experiment;
        for (index, event) in experiment.events.iter().enumerate() {
            let what = |field: &str| format!("events[{index}].{field}");
            match event {
                Event::Down { at, link, length } => {
                    if self.link(&what("link"), link) {
                        self.change(at.0, link, down(), true);
                        self.later(*at, *length, |this, then| {
                            this.change(then, link, up(), false);
                        });
                    }
                }
                Event::Up { at, link } => {
                    if self.link(&what("link"), link) {
                        self.change(at.0, link, up(), false);
                    }
                }
                Event::Set {
                    at,
                    link,
                    change,
                    length,
                } => {
                    if self.link(&what("link"), link) {
                        self.condition(*at, link, change, *length);
                    }
                }
                Event::LossRamp {
                    at,
                    until,
                    link,
                    from,
                    to,
                    steps,
                } => {
                    if self.link(&what("link"), link) {
                        self.ramp((*at, *until), link, (from.0, to.0), *steps);
                    }
                }
                Event::Bandwidth {
                    at,
                    link,
                    pattern,
                    until,
                } => {
                    if self.link(&what("link"), link) {
                        self.pattern(*at, link, pattern, *until);
                    }
                }
                Event::Kill { at, member, length } => {
                    if self.member(&what("member"), member) {
                        self.leave(at.0, member, Leave::Kill, *length);
                    }
                }
                Event::Freeze { at, member, length } => {
                    if self.member(&what("member"), member) {
                        self.leave(at.0, member, Leave::Freeze, *length);
                    }
                }
                Event::Thaw { at, member } => {
                    if self.member(&what("member"), member) {
                        let member = member.clone();
                        self.push(at.0, Action::Thaw { member }, false);
                    }
                }
                Event::Start { at, member } | Event::Join { at, member } => {
                    if self.member(&what("member"), member) {
                        if matches!(event, Event::Join { .. }) {
                            absent.insert(member.clone());
                        }
                        let member = member.clone();
                        self.push(at.0, Action::Start { member }, false);
                    }
                }
                Event::Partition { at, nodes, length } => {
                    self.partition(index, *at, nodes, *length);
                }
                Event::Degrade {
                    at,
                    member,
                    change,
                    length,
                } => {
                    if self.member(&what("member"), member) {
                        for link in self.links_of(member) {
                            self.condition(*at, &link, change, *length);
                        }
                    }
                }
                Event::Churn { .. } => self.churn(index, event),
            }
        }
        absent
    }

    fn change(&mut self, at_ms: u64, link: &str, change: Change, hurts: bool) {
        let link = link.to_owned();
        self.push(at_ms, Action::Link { link, change }, hurts);
    }

    fn later(&mut self, at: Millis, length: Option<Millis>, then: impl FnOnce(&mut Self, u64)) {
        if let Some(length) = length {
            then(self, at.0.saturating_add(length.0));
        }
    }

    /// New properties, and the manifest's own again.
    fn condition(&mut self, at: Millis, link: &str, wanted: &Condition, length: Option<Millis>) {
        let Some(parameters) = self.scene.network.link(link).map(|link| link.parameters) else {
            return;
        };
        let change = Change {
            rate_bps: wanted.bandwidth.map(|rate| rate.0.unwrap_or(0)),
            delay_us: wanted.delay.map(|delay| delay.0),
            jitter_us: wanted.jitter.map(|jitter| jitter.0),
            loss_per_100k: wanted.loss.map(|loss| loss.0),
            ..Change::default()
        };
        let worse = is_worse(&change, &parameters);
        self.change(at.0, link, change, worse);
        self.later(at, length, |this, then| {
            this.change(then, link, restored(&change, &parameters), false);
        });
    }

    fn ramp(&mut self, span: (Millis, Millis), link: &str, shares: (u32, u32), steps: u32) {
        let (from, to) = (i64::from(shares.0), i64::from(shares.1));
        let length = span.1.0.saturating_sub(span.0.0);
        for step in 0..=steps.max(1) {
            let of = |whole: i64| whole * i64::from(step) / i64::from(steps.max(1));
            let at_ms = span.0.0 + length * u64::from(step) / u64::from(steps.max(1));
            let loss = u32::try_from(from + of(to - from)).unwrap_or(0);
            let change = Change {
                loss_per_100k: Some(loss),
                ..Change::default()
            };
            self.change(at_ms, link, change, step == 0);
        }
    }

    fn pattern(&mut self, at: Millis, link: &str, pattern: &Pattern, until: Option<Millis>) {
        let steps = pattern.steps();
        let length: u64 = steps.iter().map(|(_, ms)| ms).sum();
        let end = until.unwrap_or(Millis(at.0.saturating_add(length)));
        let end = end.min(self.experiment.duration).0;
        let mut now = at.0;
        // Every step takes time: the file has been checked.
        for (rate, ms) in steps.iter().cycle().filter(|(_, ms)| *ms > 0) {
            if now >= end || length == 0 {
                break;
            }
            let change = Change {
                rate_bps: Some(rate.unwrap_or(0)),
                ..Change::default()
            };
            self.change(now, link, change, false);
            now += ms;
        }
    }

    fn leave(&mut self, at_ms: u64, member: &str, how: Leave, length: Option<Millis>) {
        let name = || member.to_owned();
        let (leaves, returns) = match how {
            Leave::Kill => (
                Action::Kill { member: name() },
                Action::Start { member: name() },
            ),
            Leave::Freeze => (
                Action::Freeze { member: name() },
                Action::Thaw { member: name() },
            ),
        };
        self.push(at_ms, leaves, true);
        self.later(Millis(at_ms), length, |this, then| {
            this.push(then, returns, false)
        });
    }

    /// Every link with one end among the nodes.
    fn partition(&mut self, index: usize, at: Millis, nodes: &[String], length: Option<Millis>) {
        let what = format!("events[{index}].nodes");
        let network = self.scene.network;
        for name in nodes {
            if network.node(name).is_none() {
                let names = network.nodes.iter().map(|node| node.name.as_str());
                let problem = Problem::unknown(&what, name, "node", names);
                self.problems.push(problem);
                return;
            }
        }
        let cut: Vec<String> = network
            .links
            .iter()
            .filter(|link| {
                let within = link.ends.iter().filter(|end| nodes.contains(&end.node));
                within.count() == 1
            })
            .map(|link| link.name.clone())
            .collect();
        if cut.is_empty() {
            let accepted = "some of the nodes, with a link to one of the others";
            let value = format!("{nodes:?}");
            self.problems.push(Problem::value(&what, value, accepted));
        }
        for link in cut {
            self.change(at.0, &link, down(), true);
            self.later(at, length, |this, then| {
                this.change(then, &link, up(), false)
            });
        }
    }

    fn links_of(&self, member: &str) -> Vec<String> {
        let network = self.scene.network;
        let Some(place) = network.members.get(member) else {
            return Vec::new();
        };
        let touches = |ends: &[crate::model::End; 2]| ends.iter().any(|end| end.node == place.node);
        let links = network.links.iter();
        links
            .filter(|link| touches(&link.ends))
            .map(|link| link.name.clone())
            .collect()
    }

    fn churn(&mut self, index: usize, event: &Event) {
        let Event::Churn {
            at,
            until,
            members,
            every,
            down,
            how,
        } = event
        else {
            return;
        };
        let known = members.iter().enumerate().all(|(place, member)| {
            self.member(&format!("events[{index}].members[{place}]"), member)
        });
        if !known {
            return;
        }
        let mut chance = Chance::of(self.seed, &format!("churn {index}"));
        let mut back: BTreeMap<&str, (Life, u64)> = BTreeMap::new();
        let mut now = at.0 + chance.wait(every.0);
        while now < until.0 {
            let here: Vec<&str> = members
                .iter()
                .map(String::as_str)
                .filter(|member| back.get(member).is_none_or(|(_, back)| *back < now))
                .collect();
            if let Some(member) = here.get(chance.below(here.len())) {
                back.insert(member, (Life::Away, now + down.0));
                // Back in any case: who has left in the end is not there to be measured.
                self.leave(now, member, *how, Some(*down));
            }
            now += chance.wait(every.0);
        }
    }
}

fn down() -> Change {
    Change {
        up: Some(false),
        ..Change::default()
    }
}

fn up() -> Change {
    Change {
        up: Some(true),
        ..Change::default()
    }
}

fn is_worse(change: &Change, parameters: &Parameters) -> bool {
    let rate = change
        .rate_bps
        .is_some_and(|rate| rate > 0 && parameters.rate_bps.is_none_or(|before| rate < before));
    rate || change
        .delay_us
        .is_some_and(|delay| delay > parameters.delay_us)
        || change
            .loss_per_100k
            .is_some_and(|loss| loss > parameters.loss_per_100k)
}

/// The manifest's values of what was changed.
fn restored(change: &Change, parameters: &Parameters) -> Change {
    Change {
        rate_bps: change.rate_bps.map(|_| parameters.rate_bps.unwrap_or(0)),
        delay_us: change.delay_us.map(|_| parameters.delay_us),
        jitter_us: change.jitter_us.map(|_| parameters.jitter_us),
        loss_per_100k: change.loss_per_100k.map(|_| parameters.loss_per_100k),
        ..Change::default()
    }
}
