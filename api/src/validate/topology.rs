//! References inside one StreamTopology: fan-out between tiers, neighbours, the underlay.

use std::collections::{HashMap, HashSet};

use crate::manifest::structure::Finding;
use crate::names::{CONTROL, EDGE, ROOT, parse_slot, slot};
use crate::stream_topology::{
    NodeKind, OverlayStrategy, StreamTopology, StreamTopologySpec, Underlay,
};

/// Checks one topology by itself.
pub(crate) fn stream_topology(topology: &StreamTopology) -> Vec<Finding> {
    let spec = &topology.spec;
    let mut findings = fan_out(spec);
    findings.extend(neighbors(spec));
    findings.extend(super::pods::of_topology(spec));
    findings.extend(
        spec.underlay
            .iter()
            .flat_map(|underlay| self::underlay(spec, underlay)),
    );
    findings
}

/// Between interior tiers; the first and last step are CEL rules.
fn fan_out(spec: &StreamTopologySpec) -> Vec<Finding> {
    let pairs = spec.relays.windows(2).enumerate();
    pairs
        .filter_map(|(index, pair)| {
            let [upper, lower] = pair else { return None };
            let (replicas, fan_out) = (i64::from(upper.replicas), i64::from(upper.fan_out));
            let (feeds, needed) = (replicas * fan_out, i64::from(lower.replicas));
            // A tier of none is the schema's to refuse; no fan-out would mend it.
            (replicas > 0 && feeds < needed).then(|| {
                let least = (needed + replicas - 1) / replicas;
                Finding::new(
                    format!("spec.relays[{index}].fanOut"),
                    format!(
                        "is {fan_out}: {replicas} relays feed {feeds}, but tier \"{}\" has {needed}; accepted is {least} or more",
                        lower.name
                    ),
                )
            })
        })
        .collect()
}

/// Number of members of a tier, if the topology has it.
pub(super) fn tier_size(spec: &StreamTopologySpec, tier: &str) -> Option<i32> {
    match tier {
        ROOT => Some(spec.rendezvous.replicas),
        EDGE => Some(spec.edge.replicas),
        _ => spec
            .relays
            .iter()
            .find(|relay| relay.name == tier)
            .map(|relay| relay.replicas),
    }
}

/// What a member name is in this topology.
pub(super) enum Member {
    /// A slot of one of its tiers, or control.
    Known,
    /// A slot of one of its tiers with a number too high: the sentence about it.
    TooHigh(String),
    /// Nothing of the topology; it may be a content server.
    Other,
}

pub(super) fn member(spec: &StreamTopologySpec, name: &str) -> Member {
    if name == CONTROL {
        return Member::Known;
    }
    let Some((tier, index)) = parse_slot(name) else {
        return Member::Other;
    };
    match tier_size(spec, tier) {
        None => Member::Other,
        Some(size) if i64::from(index) < i64::from(size) => Member::Known,
        Some(..=0) => Member::TooHigh(format!("is \"{name}\", but tier \"{tier}\" has no members")),
        Some(size) => Member::TooHigh(format!(
            "is \"{name}\", but tier \"{tier}\" has {size} members; accepted are {tier}-0 to {tier}-{}",
            size - 1
        )),
    }
}

fn neighbors(spec: &StreamTopologySpec) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, entry) in spec.overlay.neighbors.iter().enumerate() {
        let at = format!("spec.overlay.neighbors[{index}]");
        if let Member::TooHigh(message) = member(spec, &entry.member) {
            findings.push(Finding::new(format!("{at}.member"), message));
        }
        for (number, peer) in entry.peers.iter().enumerate() {
            let at = format!("{at}.peers[{number}]");
            match member(spec, peer) {
                Member::TooHigh(message) => findings.push(Finding::new(at, message)),
                _ if *peer == entry.member => {
                    findings.push(Finding::new(
                        at,
                        format!("is \"{peer}\", the member itself; accepted are others"),
                    ));
                }
                _ => {}
            }
        }
    }
    if findings.is_empty() && spec.overlay.strategy == OverlayStrategy::Neighbors {
        findings.extend(alone(spec));
    }
    findings
}

/// Relays that no listed pair connects to a higher tier.
fn alone(spec: &StreamTopologySpec) -> Vec<Finding> {
    let tiers: Vec<&str> = std::iter::once(ROOT)
        .chain(spec.relays.iter().map(|tier| tier.name.as_str()))
        .chain(std::iter::once(EDGE))
        .collect();
    let rank = |slot: &str| {
        let (tier, _) = parse_slot(slot)?;
        tiers.iter().position(|name| *name == tier)
    };
    let mut placed: HashSet<&str> = HashSet::new();
    for entry in &spec.overlay.neighbors {
        for peer in &entry.peers {
            match (rank(&entry.member), rank(peer)) {
                (Some(one), Some(other)) if one < other => placed.insert(peer),
                (Some(one), Some(other)) if one > other => placed.insert(&entry.member),
                _ => false,
            };
        }
    }
    let below = tiers.iter().enumerate().skip(1);
    let slots = below.flat_map(|(rank, tier)| {
        let size = tier_size(spec, tier).unwrap_or(0).max(0) as u32;
        (0..size).map(move |index| (rank, slot(tier, index)))
    });
    slots
        .filter(|(_, slot)| !placed.contains(slot.as_str()))
        .take(MOST_ALONE)
        .map(|(rank, slot)| {
            let above = tiers[..rank].join(" or ");
            Finding::new(
                "spec.overlay.neighbors".to_owned(),
                format!("leaves \"{slot}\" without a parent; accepted is a pair of it and a slot of tier {above}"),
            )
        })
        .collect()
}

fn underlay(spec: &StreamTopologySpec, underlay: &Underlay) -> Vec<Finding> {
    let mut findings = Vec::new();
    let names: HashSet<&str> = underlay
        .nodes
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    let mut placed: HashMap<&str, &str> = HashMap::new();
    for (index, node) in underlay.nodes.iter().enumerate() {
        let at = format!("spec.underlay.nodes[{index}]");
        if let Some(name) = &node.member {
            if node.kind != NodeKind::Host {
                let message = format!(
                    "is \"{name}\" on a node of kind {:?}; accepted only on kind Host",
                    node.kind
                );
                findings.push(Finding::new(format!("{at}.member"), message));
            } else if let Member::TooHigh(message) = member(spec, name) {
                findings.push(Finding::new(format!("{at}.member"), message));
            } else if let Some(other) = placed.insert(name, &node.name) {
                let message = format!(
                    "is \"{name}\", which node \"{other}\" has already; accepted is each member once"
                );
                findings.push(Finding::new(format!("{at}.member"), message));
            }
        }
        if !node.watches.is_empty() && node.kind != NodeKind::Client {
            let message = format!(
                "is set on a node of kind {:?}; accepted only on kind Client",
                node.kind
            );
            findings.push(Finding::new(format!("{at}.watches"), message));
        }
    }
    for (index, link) in underlay.links.iter().enumerate() {
        for (end, name) in link
            .ends
            .iter()
            .enumerate()
            .filter(|(_, name)| !names.contains(name.as_str()))
        {
            let at = format!("spec.underlay.links[{index}].ends[{end}]");
            findings.push(Finding::new(
                at,
                format!("is \"{name}\"; accepted are names in spec.underlay.nodes"),
            ));
        }
        if let [one, other] = link.ends.as_slice()
            && one == other
        {
            let message = format!("is \"{one}\" twice; accepted are two nodes");
            findings.push(Finding::new(
                format!("spec.underlay.links[{index}].ends"),
                message,
            ));
        }
    }
    if findings.is_empty() {
        findings.extend(apart(underlay));
    }
    findings
}

/// Members that no way leads to from the first one.
fn apart(underlay: &Underlay) -> Vec<Finding> {
    let mut ways: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in &underlay.links {
        if let [one, other] = link.ends.as_slice() {
            ways.entry(one).or_default().push(other);
            ways.entry(other).or_default().push(one);
        }
    }
    let nodes = || underlay.nodes.iter().enumerate();
    let mut members =
        nodes().filter_map(|(index, node)| Some((index, node, node.member.as_ref()?)));
    let Some((_, first, first_member)) = members.next() else {
        return Vec::new();
    };
    let mut reached = HashSet::from([first.name.as_str()]);
    let mut next = vec![first.name.as_str()];
    while let Some(at) = next.pop() {
        let ways = ways.get(at).into_iter().flatten();
        next.extend(ways.filter(|node| reached.insert(node)));
    }
    members
        .filter(|(_, node, _)| !reached.contains(node.name.as_str()))
        .map(|(index, node, member)| {
            Finding::new(
                format!("spec.underlay.nodes[{index}].member"),
                format!(
                    "is \"{member}\" on node \"{}\", to which no link leads from \"{first_member}\" on \"{}\"; accepted are members that reach each other",
                    node.name, first.name
                ),
            )
        })
        .collect()
}

/// More sentences of one kind help nobody.
const MOST_ALONE: usize = 8;
