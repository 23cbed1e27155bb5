//! How far members are from a node: delay first, then links. Only to rank them; packets go where routes lead.

use std::collections::BTreeMap;

use crate::model::Network;

/// Nearest members first: those of `wanted` that stand somewhere.
pub(super) fn ranked(network: &Network, from: &str, wanted: &[String]) -> Vec<String> {
    let reached = reached(network, from);
    let mut ranked: Vec<((u64, u32), &String)> = wanted
        .iter()
        .filter_map(|member| {
            let place = network.members.get(member)?;
            Some((*reached.get(place.node.as_str())?, member))
        })
        .collect();
    ranked.sort();
    ranked
        .into_iter()
        .map(|(_, member)| member.clone())
        .collect()
}

/// Microseconds and links to every node, by the shortest paths (Dijkstra).
fn reached<'a>(network: &'a Network, from: &'a str) -> BTreeMap<&'a str, (u64, u32)> {
    let mut reached: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    let mut open = BTreeMap::from([(from, (0, 0))]);
    while let Some((node, at)) = open
        .iter()
        .min_by_key(|(_, at)| **at)
        .map(|(node, at)| (*node, *at))
    {
        open.remove(node);
        reached.insert(node, at);
        for link in &network.links {
            let [one, other] = link.ends.each_ref().map(|end| end.node.as_str());
            let next = match node {
                _ if node == one => other,
                _ if node == other => one,
                _ => continue,
            };
            if reached.contains_key(next) {
                continue;
            }
            let way = (at.0 + link.parameters.delay_us, at.1 + 1);
            let best = open.entry(next).or_insert(way);
            *best = way.min(*best);
        }
    }
    reached
}
