//! The relay: takes each chunk once from one parent and gives it to children and viewers.
//!
//! Root, relay and edge are one program; a role is configuration. What a chunk passes on its way:
//! [`connector`] (a parent's call) → `driver` (obeys the pure `upstream` machine) → `store` (a ring
//! under one lock) → `serve` (one cursor per child) and [`library`] → [`egress`] (viewers).
//! `core` holds it together; [`assembly`] builds a process of it; tests build the same parts around
//! links in memory and a virtual clock.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod assembly;
mod attach;
mod boot;
mod catalog;
pub mod clock;
pub mod config;
pub mod connector;
pub mod core;
mod counters;
mod demand;
mod driver;
pub mod egress;
mod fetch;
mod follow;
pub mod leave;
pub mod library;
mod load;
mod neighbors;
mod origins;
mod probe;
pub mod process;
pub mod record;
pub mod rendezvous;
mod room;
pub mod serve;
#[cfg(test)]
mod sim;
pub mod status;
mod store;
#[cfg(test)]
mod testing;
mod track;
mod upstream;

pub use upstream::Tuning;
