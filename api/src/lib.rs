//! The two Banyan resources as Rust types, and everything that can be said about a manifest without a cluster.
//!
//! * [`ContentServer`] and [`StreamTopology`] are the custom resources (`banyan.media/v1alpha1`); [`crds`] renders
//!   their definitions as they are checked in under `crds/`.
//! * [`manifest::load`] reads YAML the way an API server would: unknown fields refused, defaults applied, schema and
//!   CEL rules checked, and then what only code can check, cross-references between objects.
//! * [`model`] is what the rest of the code sees: resolved values with units, no optional that is not meant.
//! * [`validate`] says the same of one object that an API server has accepted already.
//! * [`labels`], [`annotations`], [`conditions`], [`reasons`] and [`metrics`] hold every name others rely on.
//!
//! Nothing here talks to a cluster, opens a socket or reads a clock.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![warn(missing_docs)]

pub mod annotations;
pub mod conditions;
#[expect(
    unreachable_pub,
    reason = "KubeSchema expands to pub structs inside functions"
)]
pub mod content_server;
pub mod crds;
pub mod labels;
pub mod manifest;
pub mod metrics;
pub mod model;
pub mod names;
#[expect(
    unreachable_pub,
    reason = "KubeSchema expands to pub structs inside functions"
)]
pub mod pod;
pub mod quantity;
pub mod reasons;
mod schema;
#[expect(
    unreachable_pub,
    reason = "KubeSchema expands to pub structs inside functions"
)]
pub mod stream_topology;
pub mod validate;

pub use content_server::{ContentServer, ContentServerSpec};
pub use crds::crds;
pub use stream_topology::{StreamTopology, StreamTopologySpec};

/// API group of both kinds.
pub const GROUP: &str = "banyan.media";
/// API version of both kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of both kinds as manifests write it.
pub const API_VERSION: &str = "banyan.media/v1alpha1";
