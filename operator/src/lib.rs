//! The Kubernetes backend: custom resources in, pods, Services and status out.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod apply;
pub mod args;
pub mod autoscale;
pub mod build;
pub mod check;
pub mod conditions;
pub mod context;
pub mod controllers;
pub mod events;
pub mod health;
pub mod lease;
pub mod members;
pub mod metrics;
pub mod process;
pub mod release;
pub mod status;
