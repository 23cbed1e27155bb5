//! Emulated networks: the same manifest and the same binaries on links with delay, loss and rate.
//!
//! [`model`] is the network that a manifest describes, complete to addresses, routes and identifiers; every world
//! that emulates one is a rendering of it. [`core`] renders it for CORE; [`import`] reads what CORE draws.
//! [`experiment`] asks questions of one, again and again.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![warn(missing_docs)]

pub mod core;
pub mod experiment;
pub mod import;
pub mod link;
pub mod linkd;
pub mod measure;
pub mod model;
pub mod netns;
pub mod runner;
