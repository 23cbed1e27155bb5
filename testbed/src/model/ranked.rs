//! Who is near to whom.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Network;

/// The members from the nearest one to a node: by delay, then by links, then by name. Unknown ones are left out.
pub fn ranked(network: &Network, from: &str, members: &[&str]) -> Vec<String> {
    let mut distances: BTreeMap<&str, (u64, u32)> = BTreeMap::from([(from, (0, 0))]);
    let mut next = BinaryHeap::from([Reverse((0, 0, from))]);
    while let Some(Reverse((delay, links, at))) = next.pop() {
        if distances.get(at) != Some(&(delay, links)) {
            continue;
        }
        for link in &network.links {
            let [one, other] = &link.ends;
            let to = match at {
                node if node == one.node => &other.node,
                node if node == other.node => &one.node,
                _ => continue,
            };
            let on = (delay + link.parameters.delay_us, links + 1);
            if distances.get(to.as_str()).is_none_or(|known| on < *known) {
                distances.insert(to, on);
                next.push(Reverse((on.0, on.1, to)));
            }
        }
    }
    let mut known: Vec<(&(u64, u32), &str)> = members
        .iter()
        .filter_map(|member| {
            let place = network.members.get(*member)?;
            Some((distances.get(place.node.as_str())?, *member))
        })
        .collect();
    known.sort_unstable();
    known
        .into_iter()
        .map(|(_, member)| member.to_owned())
        .collect()
}
