//! What the network below says of the way between two members: prior costs, until they measure.
//!
//! The way is the one of least delay, loss weighed as the planner weighs it; equal ways are told
//! apart by their nodes' order in the manifest, so that the same manifest gives the same plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use banyan_api::model;

/// Between two members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// There and back, in microseconds.
    pub(super) rtt_us: u32,
    /// Lost share in permille.
    pub(super) loss_permille: u16,
}

/// Ways between all members of an underlay that have one.
#[derive(Debug, Default)]
pub(super) struct Ways(BTreeMap<String, BTreeMap<String, Way>>);

/// A way as far as it is known: weight, round trip in microseconds, kept share in billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    weight: u64,
    rtt_us: u64,
    kept: u64,
}

impl Ways {
    pub(super) fn of(underlay: &model::Underlay) -> Self {
        let index: BTreeMap<&str, usize> = (0..)
            .zip(&underlay.nodes)
            .map(|(index, node)| (node.name.as_str(), index))
            .collect();
        let mut edges: Vec<Vec<(usize, &model::UnderlayLink)>> =
            vec![Vec::new(); underlay.nodes.len()];
        for link in &underlay.links {
            let ends = (index.get(&*link.ends.0), index.get(&*link.ends.1));
            if let (Some(&one), Some(&other)) = ends
                && link.loss_per_100k < ALL
            {
                edges[one].push((other, link));
                edges[other].push((one, link));
            }
        }
        let members = || {
            let nodes = underlay.nodes.iter().enumerate();
            nodes.filter_map(|(at, node)| Some((at, node.member.as_ref()?)))
        };
        let ways = members().map(|(start, from)| {
            let reached = reach(&edges, start);
            let others = members().filter(|(_, to)| *to != from);
            let ways = others.filter_map(|(at, to)| Some((to.clone(), reached[at]?.way())));
            (from.clone(), ways.collect())
        });
        Self(ways.collect())
    }

    /// The way between two members, if both stand in the underlay.
    pub(super) fn between(&self, one: &str, other: &str) -> Option<Way> {
        self.0.get(one)?.get(other).copied()
    }
}

/// Dijkstra's, from one node to all.
fn reach(edges: &[Vec<(usize, &model::UnderlayLink)>], start: usize) -> Vec<Option<Reached>> {
    let mut reached: Vec<Option<Reached>> = vec![None; edges.len()];
    let mut next = BinaryHeap::new();
    let here = Reached {
        weight: 0,
        rtt_us: 0,
        kept: WHOLE,
    };
    reached[start] = Some(here);
    next.push(Reverse((0, start)));
    while let Some(Reverse((weight, at))) = next.pop() {
        let Some(so_far) = reached[at].filter(|known| known.weight == weight) else {
            continue;
        };
        for (to, link) in &edges[at] {
            let on = so_far.over(link);
            if reached[*to].is_none_or(|known| on.weight < known.weight) {
                reached[*to] = Some(on);
                next.push(Reverse((on.weight, *to)));
            }
        }
    }
    reached
}

impl Reached {
    fn over(self, link: &model::UnderlayLink) -> Self {
        let loss = u64::from(link.loss_per_100k);
        let rtt = 2 * link.delay_us;
        Self {
            // Of two ways without any delay, the one of fewer links.
            weight: self.weight + rtt + loss * LOSS_US + 1,
            rtt_us: self.rtt_us + rtt,
            kept: self.kept * (u64::from(ALL) - loss) / u64::from(ALL),
        }
    }

    fn way(self) -> Way {
        let lost = (WHOLE - self.kept + PERMILLE / 2) / PERMILLE;
        Way {
            rtt_us: u32::try_from(self.rtt_us).unwrap_or(u32::MAX),
            // A thousand would mean that there is no way.
            loss_permille: lost.min(999) as u16,
        }
    }
}

/// A link that loses all is none.
const ALL: u32 = 100_000;
/// What one lost packet of a hundred thousand weighs, in microseconds: two milliseconds per permille,
/// as the planner counts.
const LOSS_US: u64 = 20;
const WHOLE: u64 = 1_000_000_000;
const PERMILLE: u64 = WHOLE / 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn underlay(links: &[(&str, &str, u64, u32)]) -> model::Underlay {
        let mut names: Vec<&str> = links.iter().flat_map(|(a, b, ..)| [*a, *b]).collect();
        names.sort_unstable();
        names.dedup();
        let node = |name: &&str| model::Node {
            name: (*name).to_owned(),
            kind: model::NodeKind::Host,
            position: None,
            region: None,
            member: name.contains('-').then(|| (*name).to_owned()),
            watches: Vec::new(),
        };
        let link =
            |(one, other, delay_us, loss_per_100k): &(&str, &str, u64, u32)| model::UnderlayLink {
                ends: ((*one).to_owned(), (*other).to_owned()),
                bandwidth_bps: None,
                delay_us: *delay_us,
                jitter_us: 0,
                loss_per_100k: *loss_per_100k,
                buffer_bytes: None,
            };
        model::Underlay {
            nodes: names.iter().map(node).collect(),
            links: links.iter().map(link).collect(),
        }
    }

    fn way(rtt_us: u32, loss_permille: u16) -> Option<Way> {
        Some(Way {
            rtt_us,
            loss_permille,
        })
    }

    #[test]
    fn the_way_of_least_delay_is_taken_and_loss_is_a_detour_worth() {
        let ways = Ways::of(&underlay(&[
            ("root-0", "r", 4_000, 0),
            ("r", "edge-0", 6_000, 0),
            ("root-0", "edge-0", 50_000, 0),
            // Two percent weigh forty milliseconds; the way round costs thirty more.
            ("root-0", "edge-1", 1_000, 2_000),
            ("r", "edge-1", 12_000, 0),
        ]));
        assert_eq!(ways.between("root-0", "edge-0"), way(20_000, 0));
        assert_eq!(ways.between("edge-0", "root-0"), way(20_000, 0));
        assert_eq!(ways.between("root-0", "edge-1"), way(32_000, 0));
        assert_eq!(ways.between("root-0", "edge-7"), None);
    }

    #[test]
    fn losses_of_a_way_multiply_and_a_link_that_loses_all_is_none() {
        let ways = Ways::of(&underlay(&[
            ("root-0", "r", 0, 10_000),
            ("r", "edge-0", 0, 10_000),
            ("root-0", "edge-1", 0, 100_000),
        ]));
        assert_eq!(ways.between("root-0", "edge-0"), way(0, 190));
        assert_eq!(ways.between("root-0", "edge-1"), None);
    }
}
