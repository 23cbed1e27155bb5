//! Ranked parents at boot: the planner's homes and backups at prior costs.

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::model::{Server, Tier, TierKind, Topology};
use banyan_api::names::{ROOT, parse_slot, slot};
use banyan_planner as planner;
use banyan_proto::carrier;

use super::underlay::Ways;
use super::{Addresses, Error};

/// Parents of every relay below the roots, best first.
///
/// Where a world knows which members exist there may be no tree at the moment (no root has an address yet, say): then
/// everyone is given what there is above, and nothing where there is nothing.
pub(super) fn rank(
    topology: &Topology,
    addresses: &dyn Addresses,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let plan = match planner::plan(&relays(topology, addresses), None) {
        Ok(plan) => plan,
        Err(_) if is_known(topology) => return Ok(above(topology)),
        Err(error) => {
            return Err(Error::Plan {
                topology: topology.name.clone(),
                reason: error.to_string(),
            });
        }
    };
    let names = |names: Vec<&planner::Name>| names.iter().map(ToString::to_string).collect();
    Ok(plan
        .homes
        .keys()
        .map(|relay| {
            (
                relay.to_string(),
                names(plan.ranked_parents(relay.as_str())),
            )
        })
        .collect())
}

/// Members of the tiers above, nearest tier first, for every relay below the roots; in an order of its own, so that
/// not all choose the same.
fn above(topology: &Topology) -> BTreeMap<String, Vec<String>> {
    let tiers: Vec<Vec<String>> = topology
        .tiers
        .iter()
        .map(|t| t.members().collect())
        .collect();
    let mut parents = BTreeMap::new();
    for (index, members) in tiers.iter().enumerate().skip(1) {
        for member in members {
            let ranked = tiers[..index].iter().rev().flat_map(|tier| {
                let names = tier.iter().map(String::as_str);
                let names = names.filter(|name| may_connect(topology, member, name));
                carrier::rank(names, member).into_iter().map(str::to_owned)
            });
            parents.insert(member.clone(), ranked.take(MOST).collect());
        }
    }
    parents
}

/// Whether the world says which members exist.
fn is_known(topology: &Topology) -> bool {
    topology.tiers.iter().any(|tier| tier.slots.is_some())
}

/// What the planner knows from manifests alone: the relays, every stream with the servers that
/// offer it, and edges that want all of them.
pub fn planner_input(topology: &Topology, servers: &[Server]) -> planner::Input {
    let mut streams: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for server in servers {
        for content in &server.contents {
            let origins = streams.entry(&content.name).or_default();
            origins.push(server.name.clone());
        }
    }
    let wanted: BTreeSet<String> = streams.keys().map(ToString::to_string).collect();
    let edges = topology.tiers.iter().filter(|t| t.kind == TierKind::Edge);
    let demand = edges
        .flat_map(|tier| tier.members())
        .map(|relay| planner::Demand {
            relay,
            streams: wanted.iter().cloned().collect(),
        });
    let roots: Vec<String> = topology.roots().members().collect();
    planner::Input {
        demand: demand.collect(),
        streams: streams
            .into_iter()
            .map(|(name, origins)| planner::Stream {
                name: name.to_owned(),
                // The order that the roots themselves compute.
                carriers: carrier::rank(roots.iter().map(String::as_str), name)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                origins,
            })
            .collect(),
        ..relays(topology, &Nowhere)
    }
}

/// The tree alone: what homes are planned from.
pub(super) fn relays(topology: &Topology, addresses: &dyn Addresses) -> planner::Input {
    let tiers = topology.tiers.iter().enumerate();
    let relays = tiers.flat_map(|(index, tier)| {
        let fan_out = fan_out(topology, index);
        tier.members().map(move |name| planner::Relay {
            tier: index as u32,
            zone: region(topology, &name),
            host: addresses.host(&name),
            name,
            fan_out,
        })
    });
    planner::Input {
        relays: relays.collect(),
        links: links(topology),
        rules: planner::Rules {
            closed: topology.neighbors.is_some(),
            ..Default::default()
        },
        ..Default::default()
    }
}

/// Links whose costs a manifest tells, or that alone it allows.
fn links(topology: &Topology) -> Vec<planner::Link> {
    let ways = topology.underlay.as_ref().map(Ways::of);
    if ways.is_none() && topology.neighbors.is_none() {
        return Vec::new();
    }
    let ways = ways.unwrap_or_default();
    let mut above: Vec<String> = Vec::new();
    let mut links = Vec::new();
    for tier in &topology.tiers {
        for name in tier.members() {
            for from in &above {
                let (rtt_us, loss_permille) = match ways.between(from, &name) {
                    _ if !may_connect(topology, &name, from) => continue,
                    Some(way) => (way.rtt_us, way.loss_permille),
                    None if topology.neighbors.is_none() => continue,
                    None => (planner::PRIOR_SAME_ZONE as u32, 0),
                };
                links.push(planner::Link {
                    from: from.clone(),
                    to: name.clone(),
                    rtt_us,
                    loss_permille,
                    assumed: true,
                });
            }
            above.push(name);
        }
    }
    links
}

/// Whether a manifest allows the link between two relays. A member beyond the replicas, which a roll
/// brings for a while, stands in for one within them.
pub(super) fn may_connect(topology: &Topology, one: &str, other: &str) -> bool {
    let Some(neighbors) = &topology.neighbors else {
        return true;
    };
    let (one, other) = (stood_in(topology, one), stood_in(topology, other));
    let is_root = |name: &str| parse_slot(name).is_some_and(|(tier, _)| tier == ROOT);
    let listed = neighbors
        .get(&one)
        .is_some_and(|peers| peers.contains(&other));
    listed || is_root(&one) && is_root(&other)
}

fn stood_in(topology: &Topology, name: &str) -> String {
    let tiers = &topology.tiers;
    let known = parse_slot(name).and_then(|(tier, index)| {
        let tier = tiers.iter().find(|known| known.name == tier)?;
        Some(slot(&tier.name, index % tier.replicas.max(1)))
    });
    known.unwrap_or_else(|| name.to_owned())
}

/// The region that a member's node lies in.
fn region(topology: &Topology, name: &str) -> String {
    let nodes = topology
        .underlay
        .iter()
        .flat_map(|underlay| &underlay.nodes);
    let mut of = nodes.filter(|node| node.member.as_deref() == Some(name));
    of.next()
        .and_then(|node| node.region.clone())
        .unwrap_or_default()
}

/// Children per member of a tier: as wanted, or as many as there must be while a roll has more members below, or a
/// failure fewer here, than wanted.
fn fan_out(topology: &Topology, index: usize) -> u32 {
    let tier = &topology.tiers[index];
    let count = |tier: &Tier| tier.members().count() as u32;
    let mut below = topology.tiers[index + 1..].iter().map(count);
    match (is_known(topology), below.find(|n| *n > 0), count(tier)) {
        (true, Some(below), members @ 1..) => tier.fan_out.max(below.div_ceil(members)),
        _ => tier.fan_out,
    }
}

/// Where no member is anywhere yet.
struct Nowhere;

impl Addresses for Nowhere {
    fn grpc(&self, _: &str) -> String {
        String::new()
    }

    fn http(&self, _: &str) -> String {
        String::new()
    }
}

/// Ranked parents beyond this number are never asked.
const MOST: usize = 8;
