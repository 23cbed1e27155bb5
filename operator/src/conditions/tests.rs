//! Status out of facts: what makes each condition, and what holds for all facts.

mod facts;
mod properties;
mod servers;
mod topologies;
mod workloads;
