//! The content server: probe → prepare → serve.
//!
//! A content of the manifest becomes an *asset* on disk (`plan`, `prepare`, `store`): fixed frame rate, segments of equal
//! length, the same bytes whoever makes them. A *channel* loops it on the clock (`channel`), the Media service releases its
//! chunks when their ends pass (`serve`). `content` drives each content with a task of its own; `beat` tells the roots that
//! this server lives; `attach` reports to the control plane and takes newer configuration. FFmpeg is touched in `ffmpeg`
//! only, on plain threads and in the audio process. `server` puts it all together and spawns everything.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod args;
mod attach;
mod beat;
mod catalog;
mod channel;
mod config;
mod content;
mod digest;
mod ffmpeg;
mod http;
mod ladder;
mod load;
mod pattern;
mod peer;
mod plan;
mod prepare;
mod record;
mod run;
mod serve;
mod server;
mod source;
mod status;
mod store;
mod time;
mod tone;

pub use run::run;
pub use server::{Manner, Options, Server, StartError};

/// Sixteen random hexadecimal digits: a boot's identity.
fn random_id() -> String {
    format!("{:016x}", rand::random::<u64>())
}
