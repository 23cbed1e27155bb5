//! What must hold of every plan.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};

use banyan_planner::{BackupKind, Input, Join, Name, Plan, Relay, Rules};

/// What the planner's documentation says of costs, written once more and more slowly.
pub struct Costs<'a> {
    input: &'a Input,
    relays: BTreeMap<&'a str, &'a Relay>,
}

impl<'a> Costs<'a> {
    pub fn of(input: &'a Input) -> Self {
        Self {
            input,
            relays: input
                .relays
                .iter()
                .map(|relay| (relay.name.as_str(), relay))
                .collect(),
        }
    }

    pub fn relay(&self, name: &str) -> &'a Relay {
        self.relays[name]
    }

    fn tier_index(&self, tier: u32) -> u64 {
        let tiers: BTreeSet<u32> = self.input.relays.iter().map(|relay| relay.tier).collect();
        tiers.into_iter().take_while(|other| *other < tier).count() as u64
    }

    /// `None` when the link is down.
    pub fn cost(&self, relay: &str, parent: &str) -> Option<u64> {
        let (child, above) = (self.relay(relay), self.relay(parent));
        let listed = |from: &str, to: &str| {
            self.input
                .links
                .iter()
                .find(|link| link.from == from && link.to == to)
        };
        let link = listed(parent, relay).or_else(|| listed(relay, parent));
        let own_host = |relay: &Relay| {
            if relay.host.is_empty() {
                relay.name.clone()
            } else {
                format!("h{}", relay.host)
            }
        };
        let cost = match link {
            Some(link) if link.loss_permille >= 1000 => return None,
            Some(link) => u64::from(link.rtt_us) + 2_000 * u64::from(link.loss_permille),
            None if own_host(child) == own_host(above) => 100,
            None if child.zone == above.zone => 1_000,
            None => 10_000,
        };
        let skipped = self
            .tier_index(child.tier)
            .saturating_sub(self.tier_index(above.tier))
            .saturating_sub(1);
        Some(cost + skipped * 100_000)
    }

    pub fn above(&self, relay: &str) -> Vec<&'a Relay> {
        let tier = self.relay(relay).tier;
        self.input
            .relays
            .iter()
            .filter(|other| other.tier < tier)
            .collect()
    }
}

/// Child relays per member.
pub type Children<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Children per member by homes, and over the union of homes and all streams.
pub fn loads(plan: &Plan) -> (Children<'_>, Children<'_>) {
    let mut homes = Children::new();
    for (relay, home) in &plan.homes {
        homes
            .entry(home.parent.as_str())
            .or_default()
            .insert(relay.as_str());
    }
    let mut union = homes.clone();
    for (member, join) in plan.trees.values().flat_map(|tree| &tree.joins) {
        if !matches!(join, Join::Root(_)) {
            union
                .entry(join.parent().as_str())
                .or_default()
                .insert(member.as_str());
        }
    }
    (homes, union)
}

/// All guarantees that need no second plan.
pub fn assert_sound(input: &Input, plan: &Plan) {
    let costs = Costs::of(input);
    let (homes, union) = loads(plan);
    let top = input.relays.iter().map(|relay| relay.tier).min().unwrap();
    for relay in &input.relays {
        let load = union.get(relay.name.as_str()).map_or(0, BTreeSet::len);
        assert!(
            load <= relay.fan_out as usize,
            "{} feeds {load} of {}",
            relay.name,
            relay.fan_out
        );
        let Some(home) = plan.homes.get(relay.name.as_str()) else {
            assert_eq!(relay.tier, top, "{} has no home", relay.name);
            continue;
        };
        let parent = costs.relay(home.parent.as_str());
        assert!(parent.tier < relay.tier);
        let cost = costs
            .cost(&relay.name, &parent.name)
            .expect("a home must be reachable");
        assert_eq!(home.cost_us, cost);
        assert_nearest(&costs, &homes, relay, cost, &input.rules);
        assert_backups(&costs, plan, relay, parent);
    }
    assert_trees(input, plan);
}

fn assert_nearest(
    costs: &Costs<'_>,
    homes: &Children<'_>,
    relay: &Relay,
    cost: u64,
    rules: &Rules,
) {
    for other in costs.above(&relay.name) {
        let free = homes.get(other.name.as_str()).map_or(0, BTreeSet::len) < other.fan_out as usize;
        if let Some(nearer) = costs.cost(&relay.name, &other.name).filter(|_| free) {
            let by_far = nearer * u64::from(100 + rules.hysteresis_percent) < cost * 100
                && cost.saturating_sub(nearer) > u64::from(rules.minimum_gain_us);
            assert!(
                !by_far,
                "{} is at {cost}, but {} is free at {nearer}",
                relay.name, other.name
            );
        }
    }
}

fn assert_backups(costs: &Costs<'_>, plan: &Plan, relay: &Relay, parent: &Relay) {
    let home = &plan.homes[relay.name.as_str()];
    let kind = |other: &Relay| {
        let same_host = !other.host.is_empty() && other.host == parent.host;
        match (same_host, other.zone == parent.zone) {
            (true, _) => BackupKind::SameHost,
            (false, true) => BackupKind::OtherHost,
            (false, false) => BackupKind::OtherZone,
        }
    };
    let mut seen = BTreeSet::from([relay.name.as_str(), parent.name.as_str()]);
    for backup in &home.backups {
        let other = costs.relay(backup.member.as_str());
        assert!(
            seen.insert(&other.name),
            "{} has backup {} twice",
            relay.name,
            other.name
        );
        assert_eq!(
            Some(backup.cost_us),
            costs.cost(&relay.name, &other.name),
            "{} -> {}",
            relay.name,
            other.name
        );
        assert!(
            !descends(plan, &other.name, &relay.name),
            "backup {} descends from {}",
            other.name,
            relay.name
        );
        if backup.kind == BackupKind::Sibling {
            assert_eq!(other.tier, relay.tier);
            assert_ne!(plan.homes[other.name.as_str()].parent.as_str(), parent.name);
        } else {
            assert!(other.tier < relay.tier);
            assert_eq!(backup.kind, kind(other), "{} -> {}", relay.name, other.name);
        }
    }
    let mut possible: Vec<BackupKind> = costs
        .above(&relay.name)
        .into_iter()
        .filter(|other| {
            other.name != parent.name
                && other.fan_out > 0
                && costs.cost(&relay.name, &other.name).is_some()
        })
        .map(kind)
        .collect();
    possible.sort();
    possible.truncate(2);
    let got: Vec<BackupKind> = home
        .backups
        .iter()
        .map(|b| b.kind)
        .filter(|kind| *kind != BackupKind::Sibling)
        .collect();
    assert_eq!(
        got, possible,
        "backups of {} under {}",
        relay.name, parent.name
    );
}

/// Whether `member` hangs below `ancestor`, by homes or in any stream's tree.
fn descends(plan: &Plan, member: &str, ancestor: &str) -> bool {
    let climb = |parent_of: &dyn Fn(&str) -> Option<Name>| {
        let mut current = Name::from(member);
        for _ in 0..=plan.homes.len()
            + plan
                .trees
                .values()
                .map(|tree| tree.joins.len())
                .sum::<usize>()
        {
            let Some(parent) = parent_of(current.as_str()) else {
                return false;
            };
            if parent.as_str() == ancestor {
                return true;
            }
            current = parent;
        }
        panic!("a cycle above {member}");
    };
    climb(&|name| plan.homes.get(name).map(|home| home.parent.clone()))
        || plan
            .trees
            .keys()
            .any(|stream| climb(&|name| plan.parent(stream.as_str(), name).cloned()))
}

fn assert_trees(input: &Input, plan: &Plan) {
    let costs = Costs::of(input);
    let names: Vec<&str> = plan.trees.keys().map(Name::as_str).collect();
    let mut wanted: Vec<&str> = input
        .streams
        .iter()
        .map(|stream| stream.name.as_str())
        .collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (stream, tree) in &plan.trees {
        assert!(!tree.joins.contains_key(tree.carrier.as_str()));
        for (member, join) in &tree.joins {
            let mut current = member;
            let mut hops = 0;
            while *current != tree.carrier {
                let parent = tree.joins[current.as_str()].parent();
                assert!(
                    costs.cost(current.as_str(), parent.as_str()).is_some(),
                    "{current} cannot reach {parent}"
                );
                current = parent;
                hops += 1;
                assert!(
                    hops <= input.relays.len(),
                    "{stream}: {member} does not reach {}",
                    tree.carrier
                );
            }
            let asked = input.demand.iter().any(|d| {
                d.relay == member.as_str() && d.streams.iter().any(|s| s == stream.as_str())
            });
            let feeds = tree.joins.values().any(|join| join.parent() == member);
            assert!(asked || feeds, "{member} takes {stream} for nobody");
            let ranked = plan.ranked_parents_of(stream.as_str(), member.as_str());
            assert_eq!(ranked[0], join.parent());
        }
        for demand in input
            .demand
            .iter()
            .filter(|demand| demand.streams.iter().any(|s| s == stream.as_str()))
        {
            let carries = demand.relay == tree.carrier.as_str()
                || tree.joins.contains_key(demand.relay.as_str());
            assert!(carries, "{} wants {stream}", demand.relay);
        }
    }
}
