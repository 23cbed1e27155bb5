//! Making room: when no slot that a relay reaches is free, somebody moves so that one becomes free.
//!
//! An augmenting path over members: with links down or slots taken across tiers, a plan exists exactly when such a path
//! does. Rare, so plain breadth-first search.

use std::collections::{HashMap, VecDeque};

use crate::cost::Cost;
use crate::graph::{Graph, Id};
use crate::slots::Slots;

/// Attaches `relay` by moving others along a shortest chain. False when there is no chain.
pub(super) fn make(graph: &Graph, slots: &mut Slots<'_>, relay: Id) -> bool {
    // For each full member reached: the relay that would take its slot, and the member that relay would leave.
    let mut reached: HashMap<Id, (Id, Option<Id>)> = HashMap::new();
    let mut queue = VecDeque::new();
    for member in reachable(graph, relay) {
        reached.insert(member, (relay, None));
        queue.push_back(member);
    }
    while let Some(full) = queue.pop_front() {
        let mut leavers: Vec<Id> = slots.children(full).to_vec();
        leavers.sort_unstable();
        for leaver in leavers {
            if let Some(found) = slots.nearest_free(leaver, Cost::MAX) {
                unwind(slots, &reached, leaver, found.id, full);
                return true;
            }
            for member in reachable(graph, leaver) {
                reached.entry(member).or_insert_with(|| {
                    queue.push_back(member);
                    (leaver, Some(full))
                });
            }
        }
    }
    false
}

fn reachable(graph: &Graph, relay: Id) -> impl Iterator<Item = Id> + '_ {
    let above = graph.tiers()[..graph.tier(relay) as usize]
        .iter()
        .rev()
        .cloned()
        .flatten();
    above.filter(move |member| graph.fan_out(*member) > 0 && graph.cost(relay, *member).is_some())
}

/// Moves along the chain, beginning at the free end.
fn unwind(
    slots: &mut Slots<'_>,
    reached: &HashMap<Id, (Id, Option<Id>)>,
    leaver: Id,
    free: Id,
    full: Id,
) {
    let (mut mover, mut target, mut opened) = (leaver, free, Some(full));
    loop {
        slots.attach(mover, target);
        let Some(member) = opened else { return };
        let Some((taker, left)) = reached.get(&member).copied() else {
            return;
        };
        (mover, target, opened) = (taker, member, left);
    }
}
