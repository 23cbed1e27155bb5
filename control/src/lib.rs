//! The control plane, without a backend.
//!
//! * [`layout`]: manifests → the members that make them true, each with its program, arguments,
//!   environment, files and ports. Pure; pods, processes and namespaces are renderings of it.
//! * [`world`]: what a backend can do with a layout. Nothing above it knows which world it is.
//! * [`topology`]: the state machine of the attached members. Pure: reports and a clock go in,
//!   plans and the view of the page come out.
//! * [`attach`]: the gRPC side; [`http`]: the page, its events and the API; [`service`]: both
//!   around one state machine. The operator and `banyan control` run the same service.
//!
//! The data plane does not need any of this to carry media: every member starts with ranked
//! parents from its layout, and the death of the control plane changes nothing for viewers.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod attach;
pub mod clock;
pub mod http;
pub mod layout;
pub mod roster;
pub mod service;
pub mod topology;
pub mod world;
