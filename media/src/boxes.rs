//! CMAF boxes: writing, patching and reading chunks, and reading what an init segment declares.
//!
//! A chunk is one `moof` and one `mdat` with one track and one sample run. Its layout depends only
//! on its samples, so loops differ in `mfhd` and `tfdt` alone and are made by patching. Readers take
//! arbitrary bytes: they return an error, never panic, and allocate nothing that the input's length
//! does not bound.

mod chunk;
mod init;
mod reader;
mod write;

pub use chunk::{ChunkFacts, inspect_chunk, patch_chunk, split_chunks};
pub use init::{InitFacts, inspect_init};
use thiserror::Error;
pub use write::{Sample, write_chunk};

/// Why bytes are not the boxes they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BoxError {
    /// A box or field ends after its container.
    #[error("{what} at byte {offset} is cut short: it has to end within {end} bytes")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// Where its container ends.
        end: usize,
    },
    /// A box's size field is below its header's length.
    #[error("box at byte {offset} says it is {size} bytes long: at least its header is accepted")]
    Size {
        /// Where the box starts.
        offset: usize,
        /// What it says.
        size: u64,
    },
    /// A box that has to be there is not.
    #[error("no \"{what}\" in \"{within}\": exactly one is accepted")]
    Missing {
        /// The box or field.
        what: &'static str,
        /// Where it was looked for.
        within: &'static str,
    },
    /// A box or track is there more than once.
    #[error("more than one \"{what}\" in \"{within}\": exactly one is accepted")]
    Repeated {
        /// The box.
        what: &'static str,
        /// Where it was found.
        within: &'static str,
    },
    /// A field holds what is not supported.
    #[error("{what} is {value}: accepted is {accepted}")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// What it holds.
        value: String,
        /// What would do.
        accepted: &'static str,
    },
    /// Fields contradict each other.
    #[error("{what} is {value}, which does not fit the {against} of {limit}")]
    Mismatch {
        /// The field.
        what: &'static str,
        /// What it holds.
        value: u64,
        /// What it was held against.
        against: &'static str,
        /// What that holds.
        limit: u64,
    },
}

type Result<T, E = BoxError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
