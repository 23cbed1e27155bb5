//! Simulations: whole overlays in one process, in virtual time.

mod bounds;
mod chaos;
mod far;
mod late;
mod leave;
mod links;
mod orphan;
mod plan;
mod rates;
mod refuse;
mod repair;
mod rogue;
mod room;
mod selection;
mod socket;
mod stall;
mod swarm;
mod traces;
mod tree;

use crate::testing::overlay::Overlay;

/// A number that the environment gives: `BANYAN_SEED`, `BANYAN_SEEDS`.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `count` seeds from `first` on, or those that the environment asks for: `BANYAN_SEED` one, `BANYAN_SEEDS` so many.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    match number("BANYAN_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("BANYAN_SEEDS").unwrap_or(count),
    }
}

/// Causes and targets of a member's events of one kind: `parent_switched` or `origin_switched`.
fn moves(overlay: &Overlay, member: &str, event: &str) -> Vec<(String, String)> {
    let events = overlay.events(member, event);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let moves = events.iter().map(|e| (text(&e["cause"]), text(&e["to"])));
    moves.collect()
}
