//! The relay: takes each chunk once from one parent and gives it to children and viewers.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod core;
pub mod egress;
pub mod library;
pub mod status;
mod track;
