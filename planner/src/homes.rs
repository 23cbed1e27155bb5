//! Homes: one parent per relay, fan-out respected, near the optimum, close to the previous plan.
//!
//! 1. Everyone keeps the previous home that still exists, is reachable and has the slot.
//! 2. The others take the nearest free slot, nearest first; when none is free, a chain of relays makes room.
//! 3. Relays move, swap or make room for each other while that is worth it; small trees reach the optimum.
//! 4. On request, members of a tier even out their loads.

use crate::cost::{self, Cost};
use crate::graph::{Graph, Id};
use crate::plan::{Choice, Home};
use crate::slots::Slots;
use crate::{PlanError, Rules};

mod balance;
mod cycles;
mod improve;
mod room;

/// Assigns a home to every relay below the roots.
pub(crate) fn assign<'a>(
    graph: &'a Graph,
    rules: &Rules,
    previous: &[Option<&Home>],
) -> Result<Slots<'a>, PlanError> {
    let mut slots = Slots::new(graph);
    let settled = keep(graph, &mut slots, previous);
    for tier in graph.tiers().iter().skip(1) {
        let mut waiting: Vec<(Cost, Id)> = tier
            .clone()
            .filter(|relay| slots.parent(*relay).is_none())
            .map(|relay| {
                (
                    slots
                        .nearest_free(relay, Cost::MAX)
                        .map_or(Cost::MAX, |found| found.cost),
                    relay,
                )
            })
            .collect();
        waiting.sort_unstable();
        for (_, relay) in waiting {
            match slots.nearest_free(relay, Cost::MAX) {
                Some(found) => slots.attach(relay, found.id),
                None if room::make(graph, &mut slots, relay) => {}
                None => return Err(no_slot(graph, relay)),
            }
        }
    }
    improve::run(graph, &mut slots, &settled, rules);
    cycles::run(graph, &mut slots, &settled, rules);
    // A slot that balance frees may be what somebody else waited for; what that makes uneven again waits for the next.
    if rules.balance && balance::run(graph, &mut slots, rules) {
        improve::run(graph, &mut slots, &settled, rules);
    }
    Ok(slots)
}

/// Why a relay has this parent.
pub(crate) fn choice(graph: &Graph, slots: &Slots<'_>, relay: Id, parent: Id) -> Choice {
    let cost = graph.cost(relay, parent).unwrap_or(Cost::MAX);
    if let Some(nearer) = slots.nearest_free(relay, cost) {
        return Choice::Kept {
            nearer: graph.name(nearer.id).clone(),
            nearer_us: nearer.cost,
        };
    }
    match slots.nearest_any(relay, cost) {
        Some(nearer) => Choice::NearestFree {
            nearer: graph.name(nearer.id).clone(),
            nearer_us: nearer.cost,
        },
        None => Choice::Nearest,
    }
}

/// Restores previous homes; where a fan-out shrank, the nearest children keep theirs. Tells who kept one.
fn keep(graph: &Graph, slots: &mut Slots<'_>, previous: &[Option<&Home>]) -> Vec<bool> {
    let mut settled = vec![false; graph.len() as usize];
    let mut wishes: Vec<(Id, Cost, Id)> = graph
        .below_roots()
        .filter_map(|relay| {
            let parent = graph.find(previous[relay as usize]?.parent.as_str())?;
            let cost = graph
                .cost(relay, parent)
                .filter(|_| graph.tier(parent) < graph.tier(relay))?;
            Some((parent, cost, relay))
        })
        .collect();
    wishes.sort_unstable();
    for (parent, _, relay) in wishes {
        if slots.is_free(parent) {
            slots.attach(relay, parent);
            settled[relay as usize] = true;
        }
    }
    settled
}

fn no_slot(graph: &Graph, relay: Id) -> PlanError {
    let tier = graph.tier(relay);
    let above = &graph.tiers()[..tier as usize];
    let slots = above
        .iter()
        .cloned()
        .flatten()
        .map(|id| u64::from(graph.fan_out(id)))
        .sum();
    let wanted: u64 = graph.tiers()[1..=tier as usize]
        .iter()
        .map(|tier| tier.len() as u64)
        .sum();
    if slots >= wanted {
        return graph.unreachable(relay);
    }
    let (relay, tier) = (graph.name(relay).to_string(), graph.given_tier(relay));
    PlanError::FanOutTooSmall {
        relay,
        tier,
        slots,
        wanted,
    }
}

/// Whether replacing links of total cost `old` by `new` is worth it.
fn worth(rules: &Rules, settled: bool, old: Cost, new: Cost) -> bool {
    let (percent, gain) = if settled {
        (rules.hysteresis_percent, Cost::from(rules.minimum_gain_us))
    } else {
        (0, 0)
    };
    cost::worth(old, new, percent, gain)
}
