//! What a member starts from while nobody can tell it more: one configuration per tier and per content server.
//!
//! A world that names its members late (Kubernetes) cannot write a file for each of them beforehand. These are the same
//! for all members of a tier; each ranks the parents in an order of its own.

use std::collections::BTreeMap;

use banyan_api::model::{Server, Topology};
use banyan_proto::v1;

use super::Facts;
use super::config::Configs;

/// Configurations by name of the tier and of the content server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fallback {
    /// Of relays.
    pub tiers: BTreeMap<String, v1::Config>,
    /// Of content servers, whether they run yet or not.
    pub servers: BTreeMap<String, v1::Config>,
}

/// What members are to know when the control plane is away: all roots, all members above.
pub fn fallback(topology: &Topology, servers: &[Server], facts: &Facts<'_>) -> Fallback {
    let tiers: Vec<Vec<String>> = topology
        .tiers
        .iter()
        .map(|t| t.members().collect())
        .collect();
    let parents = topology.tiers.iter().enumerate().map(|(index, tier)| {
        let above = tiers[..index].iter().rev().flatten();
        (tier.name.clone(), above.take(MOST).cloned().collect())
    });
    let configs = Configs::new(topology, facts, parents.collect());
    let relays = topology.tiers.iter();
    Fallback {
        tiers: relays
            .map(|tier| (tier.name.clone(), configs.of_relay(&tier.name, tier.kind)))
            .collect(),
        servers: servers
            .iter()
            .map(|server| (server.name.clone(), configs.of_server(server)))
            .collect(),
    }
}

/// As many as a member can lose before it must be told of others.
const MOST: usize = 16;
