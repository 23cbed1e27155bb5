//! The wire: generated `banyan.v1` messages, and the parts a generator cannot give.
//!
//! * [`frame`]: a media chunk is framed as a gRPC message once and shared by every subscriber;
//! * [`server`] and [`client`]: the Media service over those frames, byte-compatible with any
//!   generated client or server, without copying payloads on the way out and with one copy on the
//!   way in;
//! * [`load`]: the figures of a load as metrics;
//! * [`carrier`]: which root carries a stream, computed alike by everybody;
//! * [`transport`]: HTTP/2 settings for both ends;
//! * [`trust`]: who a caller is;
//! * [`report`]: what a report leaves out because it was said and heard;
//! * [`redirect`]: standbys of the control plane, and who follows what they say.
//!
//! Rendezvous and Control carry small messages and use the generated code as it is.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod carrier;
pub mod client;
pub mod frame;
pub mod load;
pub mod redirect;
pub mod report;
pub mod server;
pub mod transport;
pub mod trust;

/// Generated from `proto/banyan/v1/banyan.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
pub mod v1 {
    tonic::include_proto!("banyan.v1");
}
