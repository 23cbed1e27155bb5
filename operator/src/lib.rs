//! The Kubernetes backend: custom resources in, pods, Services and status out.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod args;
pub mod build;
pub mod check;
pub mod conditions;
pub mod process;
pub mod release;
