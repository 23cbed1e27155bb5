//! Who is whose parent: the planner. Values in, values out; no clock, no sockets, no randomness.
//!
//! # Model
//! Relays stand in tiers, roots in tier 0. Every relay below the roots has one *home* parent, the nearest member of a
//! higher tier with a free slot, and ranked backups. A stream's tree follows the homes of the relays that want it up to
//! its *carrier*, the root that pulls it from an origin; a relay whose home is another root joins the carrier directly
//! while the carrier has slots left.
//!
//! # Fan-out
//! Fan-out counts child relays per member over the union of all streams' trees, and a home's slot is always reserved,
//! so a change of demand never displaces anyone. Links between roots are not counted: there are few roots, and a root
//! must always be able to reach a carrier.
//!
//! # Guarantees
//! Trees are acyclic and reach the carrier; fan-out holds; nobody with a free slot is nearer than the chosen parent by
//! more than the hysteresis; a backup is never a descendant and avoids the parent's host and zone where the graph
//! allows; the order of the input does not matter; a small change moves few relays.
//!
//! # Work
//! Near-linear in relays and links: unmeasured links cost the same within a host, a zone and beyond, so candidates come
//! from ordered sets per zone instead of all pairs.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![warn(missing_docs)]

mod backups;
mod cost;
mod error;
mod explain;
mod graph;
mod homes;
mod input;
mod measurements;
mod plan;
mod slots;
mod streams;

pub use cost::{Cost, PRIOR_OTHER_ZONE, PRIOR_SAME_HOST, PRIOR_SAME_ZONE};
pub use error::PlanError;
pub use input::{Demand, Input, Link, Relay, Rules, Stream};
pub use measurements::{MeasuredRelay, Measurements};
pub use plan::{Backup, BackupKind, Basis, Choice, Home, Join, Name, Plan, Tree, plan};
