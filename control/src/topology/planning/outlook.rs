//! The world as the planner is to see it: who may feed whom, at what cost, as members report it.

use std::collections::{BTreeMap, BTreeSet};

use banyan_planner as planner;

use super::{Planning, Seen};

/// What a plan is made from.
#[derive(Debug, PartialEq)]
pub(super) struct Outlook {
    pub(super) input: planner::Input,
    pub(super) homes: BTreeMap<String, String>,
    pub(super) absent: BTreeSet<String>,
}

impl Planning {
    /// The world as the planner is to see it.
    pub(super) fn look(
        &self,
        seen: &BTreeMap<String, Seen>,
        links: &[planner::Link],
    ) -> Option<Outlook> {
        let mut input = self.base.clone()?;
        let homes = self.homes.clone();
        let mut loads: BTreeMap<&str, u32> = BTreeMap::new();
        for home in homes.values() {
            *loads.entry(home).or_default() += 1;
        }
        let mut absent = BTreeSet::new();
        for relay in &mut input.relays {
            let Some(seen) = seen.get(&relay.name) else {
                continue;
            };
            if !seen.serves {
                relay.fan_out = 0;
                if !seen.ready {
                    absent.insert(relay.name.clone());
                }
            } else if seen.refusing || self.left.contains_key(&relay.name) {
                let load = loads.get(relay.name.as_str()).copied().unwrap_or(0);
                relay.fan_out = relay.fan_out.min(load);
            }
        }
        let down = self.failed.keys().map(|(relay, parent)| planner::Link {
            from: parent.clone(),
            to: relay.clone(),
            rtt_us: 0,
            loss_permille: 1000,
            assumed: false,
        });
        let closed = self.closed_to(&input, seen);
        let mut known: BTreeMap<(String, String), planner::Link> = BTreeMap::new();
        let prior = std::mem::take(&mut input.links);
        let listed: BTreeSet<(&str, &str)> = prior
            .iter()
            .flat_map(|link| [(&*link.from, &*link.to), (&*link.to, &*link.from)])
            .collect();
        let may_be = |link: &&planner::Link| {
            !input.rules.closed || listed.contains(&(&*link.from, &*link.to))
        };
        let measured: Vec<planner::Link> = links.iter().filter(may_be).cloned().collect();
        for link in prior.into_iter().chain(measured).chain(down).chain(closed) {
            known.insert((link.from.clone(), link.to.clone()), link);
        }
        input.links = known.into_values().collect();
        Some(Outlook {
            input,
            homes,
            absent,
        })
    }

    /// Links that members whose parents are given by hand will not have.
    fn closed_to(
        &self,
        input: &planner::Input,
        seen: &BTreeMap<String, Seen>,
    ) -> Vec<planner::Link> {
        let fixed = input.relays.iter().filter_map(|relay| {
            let parents = seen.get(&relay.name)?.fixed.as_ref()?;
            Some((relay, parents))
        });
        let closed = fixed.flat_map(|(relay, parents)| {
            let home = self.homes.get(&relay.name);
            let others = input.relays.iter().filter(move |other| {
                let name = &other.name;
                other.tier < relay.tier && !parents.contains(name) && home != Some(name)
            });
            others.map(|other| planner::Link {
                from: other.name.clone(),
                to: relay.name.clone(),
                rtt_us: 0,
                loss_permille: 1000,
                assumed: false,
            })
        });
        closed.collect()
    }
}
