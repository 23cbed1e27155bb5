//! Improvement: moves, swaps and making room, while they are worth it.
//!
//! Every step lowers the total cost, so the loop ends; the cap on rounds bounds time on inputs made to be slow. A move
//! of relays that kept their home must beat the hysteresis.

use std::cmp::Reverse;

use super::worth;
use crate::Rules;
use crate::cost::Cost;
use crate::graph::{Graph, Id};
use crate::slots::Slots;

/// Rounds over all relays. Random inputs need three to six.
const ROUNDS: usize = 32;
/// Full members tried per relay: the nearest ones are where a slot is worth most.
const FULL_TRIED: usize = 16;

pub(super) fn run(graph: &Graph, slots: &mut Slots<'_>, settled: &[bool], rules: &Rules) {
    for _ in 0..ROUNDS {
        let mut changed = false;
        for relay in graph.below_roots() {
            changed |= step(graph, slots, settled, rules, relay);
        }
        if !changed {
            return;
        }
    }
}

fn step(graph: &Graph, slots: &mut Slots<'_>, settled: &[bool], rules: &Rules, relay: Id) -> bool {
    let Some((parent, cost)) = placed(graph, slots, relay) else {
        return false;
    };
    if let Some(found) = slots.nearest_free(relay, cost)
        && worth(rules, settled[relay as usize], cost, found.cost)
    {
        slots.attach(relay, found.id);
        return true;
    }
    let mut nearer = nearer_full(graph, slots, relay, cost);
    nearer.sort_unstable();
    nearer.truncate(FULL_TRIED);
    nearer.into_iter().any(|(new_cost, full)| {
        trade(
            graph,
            slots,
            settled,
            rules,
            Seat {
                relay,
                parent,
                cost,
            },
            new_cost,
            full,
        )
    })
}

struct Seat {
    relay: Id,
    parent: Id,
    cost: Cost,
}

/// Takes a slot of `full` if one of its children can leave so that both together are better off.
fn trade(
    graph: &Graph,
    slots: &mut Slots<'_>,
    settled: &[bool],
    rules: &Rules,
    seat: Seat,
    new_cost: Cost,
    full: Id,
) -> bool {
    let Seat {
        relay,
        parent,
        cost,
    } = seat;
    let mut best: Option<(Cost, Reverse<Id>, Id)> = None;
    for &child in slots.children(full) {
        let Some(child_cost) = graph.cost(child, full) else {
            continue;
        };
        let freed = graph
            .cost(child, parent)
            .filter(|_| graph.tier(parent) < graph.tier(child))
            .map(|c| (c, parent));
        let elsewhere = slots
            .nearest_free(child, Cost::MAX)
            .map(|found| (found.cost, found.id));
        let Some((moved_cost, target)) = [freed, elsewhere].into_iter().flatten().min() else {
            continue;
        };
        let (old, new) = (
            cost.saturating_add(child_cost),
            new_cost.saturating_add(moved_cost),
        );
        let kept = settled[relay as usize] || settled[child as usize];
        if worth(rules, kept, old, new) {
            best = best.max(Some((old - new, Reverse(child), target)));
        }
    }
    let Some((_, Reverse(child), target)) = best else {
        return false;
    };
    // Both leave first, so that neither target can be full.
    slots.detach(relay);
    slots.detach(child);
    slots.attach(child, target);
    slots.attach(relay, full);
    true
}

fn placed(graph: &Graph, slots: &Slots<'_>, relay: Id) -> Option<(Id, Cost)> {
    let parent = slots.parent(relay)?;
    Some((parent, graph.cost(relay, parent)?))
}

/// Members without a free slot that are nearer than `cost`: those with known links, and some of the own zone.
fn nearer_full(graph: &Graph, slots: &Slots<'_>, relay: Id, cost: Cost) -> Vec<(Cost, Id)> {
    let tier = graph.tier(relay);
    let known = graph.links(relay).iter().map(|(id, _)| *id);
    let zone = graph
        .zones(tier - 1)
        .members(graph.zone(relay))
        .iter()
        .copied();
    let unknown_zone = zone
        .filter(|id| !graph.is_known(relay, *id))
        .take(FULL_TRIED);
    known
        .chain(unknown_zone)
        .filter(|id| graph.tier(*id) < tier && !slots.is_free(*id) && slots.load(*id) > 0)
        .filter_map(|id| {
            graph
                .cost(relay, id)
                .filter(|new| *new < cost)
                .map(|new| (new, id))
        })
        .collect()
}
