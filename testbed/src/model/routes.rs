//! Static routes: from every node with addresses to every subnet, by the least delay, then the fewest links, then the
//! lowest identifiers; so a network always has the same ones, and they never lead in a circle: each hop is strictly
//! nearer to the subnet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::segments::{Edge, Segment};

/// The way from one node to one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// Edge it leaves by.
    pub(super) out: usize,
    /// The next node.
    pub(super) next: usize,
    /// Edge by which that one is attached.
    pub(super) at: usize,
}

/// For every node, for every segment: the next hop; none where the node is attached, or no way leads.
pub(super) fn of(nodes: usize, edges: &[Edge], segments: &[Segment]) -> Vec<Vec<Option<Hop>>> {
    let neighbours = neighbours(nodes, edges, segments);
    let mut routes = vec![vec![None; segments.len()]; nodes];
    for (number, segment) in segments.iter().enumerate() {
        let distances = distances(&neighbours, segment);
        for (node, ways) in neighbours.iter().enumerate() {
            if distances[node] == Some(0) {
                continue;
            }
            let onward = ways.iter().filter_map(|way| {
                let rest = distances[way.hop.next]?;
                Some((way.cost + rest, way.hop.next, way.hop.out, way.hop))
            });
            let best = onward.min_by_key(|(cost, next, out, _)| (*cost, *next, *out));
            routes[node][number] = best.map(|(.., hop)| hop);
        }
    }
    routes
}

struct Way {
    cost: u64,
    hop: Hop,
}

/// Who is one hop away, over which segment.
fn neighbours(nodes: usize, edges: &[Edge], segments: &[Segment]) -> Vec<Vec<Way>> {
    let mut neighbours: Vec<Vec<Way>> = (0..nodes).map(|_| Vec::new()).collect();
    for segment in segments {
        for (node, out) in &segment.attached {
            let costs = segment.costs(edges, *node);
            let others = segment.attached.iter().filter(|(other, _)| other != node);
            let ways = others.filter_map(|(next, at)| {
                let hop = Hop {
                    out: *out,
                    next: *next,
                    at: *at,
                };
                Some(Way {
                    cost: *costs.get(next)?,
                    hop,
                })
            });
            neighbours[*node].extend(ways);
        }
    }
    neighbours
}

/// Dijkstra's, from all nodes attached to the segment.
fn distances(neighbours: &[Vec<Way>], segment: &Segment) -> Vec<Option<u64>> {
    let mut distances = vec![None; neighbours.len()];
    let mut next = BinaryHeap::new();
    for (node, _) in &segment.attached {
        distances[*node] = Some(0);
        next.push(Reverse((0, *node)));
    }
    while let Some(Reverse((distance, at))) = next.pop() {
        if distances[at] != Some(distance) {
            continue;
        }
        for way in &neighbours[at] {
            let on = distance + way.cost;
            if distances[way.hop.next].is_none_or(|known| on < known) {
                distances[way.hop.next] = Some(on);
                next.push(Reverse((on, way.hop.next)));
            }
        }
    }
    distances
}
