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

/// A number that the environment gives: `BANYAN_SEED`, `BANYAN_SEEDS`.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
