//! Which interfaces share one link layer, and how far they are from each other on it.

use std::collections::{BTreeMap, HashMap};

use banyan_api::model::NodeKind;

use super::Parameters;
use super::problem::Problem;

/// A link of the underlay between nodes by position, ends in the order of names.
pub(super) struct Edge {
    pub(super) name: String,
    pub(super) ends: [usize; 2],
    pub(super) parameters: Parameters,
}

/// One link layer.
pub(super) struct Segment {
    pub(super) name: String,
    /// Nodes with addresses, and the edge by which each is attached; in the order of nodes.
    pub(super) attached: Vec<(usize, usize)>,
    /// Its edges.
    pub(super) edges: Vec<usize>,
}

/// Segments in the order of names, or why frames would not arrive.
pub(super) fn of(
    kinds: &[NodeKind],
    names: &[&str],
    edges: &[Edge],
) -> Result<Vec<Segment>, Vec<Problem>> {
    let is_switch = |node: usize| kinds[node] == NodeKind::Switch;
    let mut problems = Vec::new();
    let mut leader: Vec<usize> = (0..kinds.len()).collect();
    for edge in edges
        .iter()
        .filter(|edge| edge.ends.iter().all(|end| is_switch(*end)))
    {
        let [one, other] = edge.ends.map(|end| first(&leader, end));
        if one == other {
            problems.push(Problem::Ring {
                link: edge.name.clone(),
            });
        }
        leader[one.max(other)] = one.min(other);
    }
    let mut segments: BTreeMap<String, Segment> = BTreeMap::new();
    for (index, edge) in edges.iter().enumerate() {
        let switch = edge.ends.into_iter().find(|end| is_switch(*end));
        let name = match switch {
            Some(switch) => names[first(&leader, switch)].to_owned(),
            None => edge.name.clone(),
        };
        let segment = segments.entry(name.clone()).or_insert_with(|| Segment {
            name,
            attached: Vec::new(),
            edges: Vec::new(),
        });
        segment.edges.push(index);
        for node in edge.ends.into_iter().filter(|end| !is_switch(*end)) {
            if segment.attached.iter().any(|(known, _)| *known == node) {
                problems.push(Problem::Doubled {
                    node: names[node].to_owned(),
                    switch: segment.name.clone(),
                });
            }
            segment.attached.push((node, index));
        }
    }
    match problems.is_empty() {
        true => Ok(segments.into_values().collect()),
        false => Err(problems),
    }
}

/// The lowest switch of the same segment.
fn first(leader: &[usize], mut node: usize) -> usize {
    while leader[node] != node {
        node = leader[node];
    }
    node
}

impl Segment {
    /// What the way from an attached node to every other one costs.
    pub(super) fn costs(&self, edges: &[Edge], from: usize) -> HashMap<usize, u64> {
        let mut costs = HashMap::from([(from, 0)]);
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            let here = costs[&at];
            for edge in self.edges.iter().map(|index| &edges[*index]) {
                let [one, other] = edge.ends;
                let to = match at {
                    node if node == one => other,
                    node if node == other => one,
                    _ => continue,
                };
                // Only switches pass frames on; a tree has one way.
                let is_attached =
                    |node: usize| self.attached.iter().any(|(known, _)| *known == node);
                if costs.contains_key(&to) {
                    continue;
                }
                costs.insert(to, here + cost(&edge.parameters));
                if !is_attached(to) {
                    next.push(to);
                }
            }
        }
        costs
    }
}

/// Delay decides, then the number of links; a link that loses all is the last resort.
fn cost(parameters: &Parameters) -> u64 {
    let lost = match parameters.loss_per_100k {
        100_000.. => LAST_RESORT,
        _ => 0,
    };
    lost + (parameters.delay_us << HOP_BITS) + 1
}

/// Room for more links than a way has.
const HOP_BITS: u32 = 12;
/// More than any way of links that carry something.
const LAST_RESORT: u64 = 1 << 52;
