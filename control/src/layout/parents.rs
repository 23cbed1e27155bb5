//! Ranked parents at boot: the planner's homes and backups at prior costs.

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::model::{Server, TierKind, Topology};
use banyan_planner as planner;
use banyan_proto::carrier;

use super::Error;

/// Parents of every relay below the roots, best first.
pub(super) fn rank(topology: &Topology) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let plan = planner::plan(&relays(topology), None).map_err(|error| Error::Plan {
        topology: topology.name.clone(),
        reason: error.to_string(),
    })?;
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
        ..relays(topology)
    }
}

/// The tree alone: what homes are planned from.
pub(super) fn relays(topology: &Topology) -> planner::Input {
    let tiers = topology.tiers.iter().enumerate();
    let relays = tiers.flat_map(|(index, tier)| {
        tier.members().map(move |name| planner::Relay {
            name,
            tier: index as u32,
            zone: String::new(),
            host: String::new(),
            fan_out: tier.fan_out,
        })
    });
    planner::Input {
        relays: relays.collect(),
        ..Default::default()
    }
}
