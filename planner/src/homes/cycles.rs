//! The optimum for small trees, by cancelling negative cycles.
//!
//! Nodes are members that can feed relays, and one node that stands for free slots. An edge from p to q is the child of
//! p that gains most (or loses least) by moving to q. A cycle of negative total is a set of moves that together lower
//! the cost and respect every fan-out; when none is left, no assignment is cheaper. The work grows with the cube of the
//! members, so large trees stay with the local search of `improve`.

use super::worth;
use crate::Rules;
use crate::cost::Cost;
use crate::graph::{Graph, Id};
use crate::slots::Slots;

/// Members up to which the optimum is sought: about a millisecond of work.
const MOST_MEMBERS: usize = 48;
/// Relays up to which the optimum is sought.
const MOST_RELAYS: u32 = 512;
/// Cycles cancelled at most; each lowers the cost, and a handful is usual.
const MOST_CYCLES: usize = 256;

/// One move that lies on an edge: the relay and the gain, negative when better.
#[derive(Clone, Copy)]
struct Edge {
    weight: i64,
    mover: Option<Id>,
}

/// Cancels cycles until none is worth it.
pub(super) fn run(graph: &Graph, slots: &mut Slots<'_>, settled: &[bool], rules: &Rules) {
    let members: Vec<Id> = (0..graph.len())
        .filter(|id| graph.fan_out(*id) > 0)
        .collect();
    if members.len() > MOST_MEMBERS || graph.len() > MOST_RELAYS {
        return;
    }
    for _ in 0..MOST_CYCLES {
        let edges = edges(graph, slots, &members);
        let Some(cycle) = negative_cycle(&edges) else {
            return;
        };
        let moves: Vec<(Id, Id)> = cycle
            .iter()
            .filter_map(|(from, to)| Some((edges[*from][*to]?.mover?, members[*to])))
            .collect();
        let kept = moves.iter().any(|(relay, _)| settled[*relay as usize]);
        let sum = |target: &dyn Fn(Id, Id) -> Option<Id>| -> Cost {
            let costs = moves
                .iter()
                .filter_map(|(relay, to)| graph.cost(*relay, target(*relay, *to)?));
            costs.fold(0, Cost::saturating_add)
        };
        let (old, new) = (sum(&|relay, _| slots.parent(relay)), sum(&|_, to| Some(to)));
        if !worth(rules, kept, old, new) {
            return;
        }
        moves.iter().for_each(|(relay, _)| slots.detach(*relay));
        moves
            .iter()
            .for_each(|(relay, to)| slots.attach(*relay, *to));
    }
}

/// Best moves between members; the last node stands for free slots.
fn edges(graph: &Graph, slots: &Slots<'_>, members: &[Id]) -> Vec<Vec<Option<Edge>>> {
    let free = members.len();
    let mut edges = vec![vec![None; free + 1]; free + 1];
    for (from, member) in members.iter().enumerate() {
        edges[free][from] = Some(Edge {
            weight: 0,
            mover: None,
        });
        if slots.is_free(*member) {
            edges[from][free] = Some(Edge {
                weight: 0,
                mover: None,
            });
        }
        for &child in slots.children(*member) {
            let Some(old) = graph.cost(child, *member) else {
                continue;
            };
            for (to, target) in members.iter().enumerate().filter(|(to, _)| *to != from) {
                let new = graph
                    .cost(child, *target)
                    .filter(|_| graph.tier(*target) < graph.tier(child));
                let Some(new) = new else { continue };
                let weight = i64::try_from(new).unwrap_or(i64::MAX / 4)
                    - i64::try_from(old).unwrap_or(i64::MAX / 4);
                if edges[from][to].is_none_or(|edge: Edge| weight < edge.weight) {
                    edges[from][to] = Some(Edge {
                        weight,
                        mover: Some(child),
                    });
                }
            }
        }
    }
    edges
}

/// Bellman and Ford from everywhere at once; the edges of one negative cycle.
fn negative_cycle(edges: &[Vec<Option<Edge>>]) -> Option<Vec<(usize, usize)>> {
    let nodes = edges.len();
    let mut distance = vec![0_i64; nodes];
    let mut before: Vec<Option<usize>> = vec![None; nodes];
    let mut touched = None;
    for _ in 0..nodes {
        touched = None;
        for from in 0..nodes {
            for to in 0..nodes {
                let Some(edge) = edges[from][to] else {
                    continue;
                };
                let through = distance[from].saturating_add(edge.weight);
                if through < distance[to] {
                    distance[to] = through;
                    before[to] = Some(from);
                    touched = Some(to);
                }
            }
        }
        touched?;
    }
    let mut inside = touched?;
    for _ in 0..nodes {
        inside = before[inside]?;
    }
    let mut cycle = Vec::new();
    let mut at = inside;
    loop {
        let from = before[at]?;
        cycle.push((from, at));
        at = from;
        if at == inside {
            return Some(cycle);
        }
    }
}
