//! Balance: members of a tier share its children, where that costs nobody more than the hysteresis.
//!
//! Only on request ([`Rules::balance`]): a plan made once is balanced by the way it fills slots, while one that follows
//! deaths and returns is not, as everyone keeps a home that still serves. A move lowers the larger of two loads and
//! raises the smaller, so the loop ends; as going back would not be worth it, the next plan leaves it alone.

use std::collections::BTreeSet;

use super::worth;
use crate::Rules;
use crate::graph::{Graph, Id};
use crate::slots::Slots;

/// Tells whether anyone moved.
pub(super) fn run(graph: &Graph, slots: &mut Slots<'_>, rules: &Rules) -> bool {
    let mut moved = false;
    for tier in graph.tiers() {
        let feeding = tier.clone().filter(|id| graph.fan_out(*id) > 0);
        let mut loads: BTreeSet<(u32, Id)> = feeding.map(|id| (slots.load(id), id)).collect();
        // The least loaded member takes from the most loaded one that can give; who finds nobody is done.
        while let Some((low, taker)) = loads.pop_first() {
            if !slots.is_free(taker) {
                continue;
            }
            let givers = loads.iter().rev();
            let given = givers
                .take_while(|(high, _)| is_uneven(*high, low))
                .find_map(|(high, giver)| {
                    let child = best_child(graph, slots, rules, *giver, taker)?;
                    Some((*high, *giver, child))
                });
            if let Some((high, giver, child)) = given {
                slots.attach(child, taker);
                moved = true;
                loads.remove(&(high, giver));
                loads.insert((high - 1, giver));
                loads.insert((low + 1, taker));
            }
        }
    }
    moved
}

/// More than double, and one more: closer than that, a move would cost more than it gives, and the death of one of a
/// few members leaves the others even.
fn is_uneven(high: u32, low: u32) -> bool {
    high > 2 * low + 1
}

/// The child that gains most, or loses least, by the change, if it would not want to go back.
fn best_child(graph: &Graph, slots: &Slots<'_>, rules: &Rules, giver: Id, taker: Id) -> Option<Id> {
    let children = slots.children(giver).iter().copied();
    let fitting = children.filter_map(|child| {
        let (old, new) = (graph.cost(child, giver)?, graph.cost(child, taker)?);
        (!worth(rules, true, new, old)).then(|| (i128::from(new) - i128::from(old), child))
    });
    fitting.min().map(|(_, child)| child)
}
