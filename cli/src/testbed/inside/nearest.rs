//! Edges as a viewer's list: the nearest first, by the delay of the links on the way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use banyan_api::names::{EDGE, parse_slot};
use banyan_control::layout::Addresses;
use banyan_testbed::model::{Listen, Network};

/// URLs of all edges: by distance from a node, or by name.
pub(in crate::testbed) fn edges(network: &Network, from: Option<&str>) -> Vec<String> {
    let distances = from
        .map(|from| distances(network, from))
        .unwrap_or_default();
    let members = network.members.iter();
    let is_edge = |name: &str| parse_slot(name).is_some_and(|(tier, _)| tier == EDGE);
    let mut edges: Vec<_> = members
        .filter(|(name, _)| is_edge(name))
        .map(|(name, place)| (distances.get(place.node.as_str()).copied(), name))
        .collect();
    // Names in order of their numbers; what cannot be reached comes last.
    edges.sort_by_key(|(distance, name)| {
        (
            distance.unwrap_or(u64::MAX),
            parse_slot(name).map(|slot| slot.1),
        )
    });
    let listen = Listen(network);
    edges
        .into_iter()
        .map(|(_, name)| listen.url(name))
        .collect()
}

/// Microseconds to every node that can be reached; a link costs one more, so that fewer are better.
fn distances<'a>(network: &'a Network, from: &'a str) -> BTreeMap<&'a str, u64> {
    let mut reached = BTreeMap::new();
    let mut next = BinaryHeap::from([Reverse((0, from))]);
    while let Some(Reverse((distance, node))) = next.pop() {
        if reached.contains_key(node) {
            continue;
        }
        reached.insert(node, distance);
        for link in &network.links {
            let [one, other] = &link.ends;
            let to = match node {
                node if node == one.node => &other.node,
                node if node == other.node => &one.node,
                _ => continue,
            };
            next.push(Reverse((distance + link.parameters.delay_us + 1, to)));
        }
    }
    reached
}
