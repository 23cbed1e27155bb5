//! What Banyan knows about media bytes and media time, and nothing else.
//!
//! This crate is pure: bytes, names, positions and times come in as arguments, values go out. It
//! has no async, no clock, no files and no FFmpeg, so every rule in it can be tested with numbers.
//!
//! # The model
//!
//! A stream has an **epoch**: a whole Unix second at which its channel clock reads zero. An
//! **asset** is a prepared video of `L` segments of `f` frames each; a channel plays it in a loop
//! for ever. The `n`-th segment since the epoch has the **number** `epoch + n` on every member of
//! the overlay, whoever prepared it and whenever that process was started, because everything about
//! it follows from `n` by rational arithmetic:
//!
//! - [`timeline::Timeline`] says where segment `n` lies in the loop, when it starts on its track's
//!   own timescale, how it splits into parts, and when each part is due;
//! - [`boxes`] writes the CMAF chunks (one `moof` and `mdat` per part) and patches the two fields
//!   that differ between loops;
//! - [`name`] turns contents and positions into run ids and URLs, and back;
//! - [`hls`] writes the playlists, which are a function of the positions alone;
//! - [`position`] compares positions and counts what a reader lost or saw twice;
//! - [`clock`] keeps a channel clock that never steps;
//! - [`asset`] is the descriptor stored beside the prepared segments.
//!
//! The origin uses all of it; relays use positions, names and playlists; the edge's HTTP side,
//! `banyan play` and the proofs use the same functions from the other end. Nothing in here spawns
//! or waits.
//!
//! No floating point number takes part in a decision: two machines must agree on every tick.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![warn(missing_docs)]

pub mod asset;
pub mod boxes;
pub mod clock;
pub mod hls;
pub mod name;
pub mod packaging;
pub mod position;
pub mod rate;
pub mod timeline;

pub use asset::{Asset, AssetTrack, Kind};
pub use boxes::{BoxError, ChunkFacts, InitFacts, Sample};
pub use clock::ChannelClock;
pub use hls::{MediaPlaylist, SegmentEntry, TrackInfo};
pub use name::{NameError, Resource};
pub use packaging::Packaging;
pub use position::{Arrival, Counts, Ledger, Position};
pub use rate::FrameRate;
pub use timeline::{AudioTiming, Place, SegmentTiming, Timeline, TimelineError, Variant};
