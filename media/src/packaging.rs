//! How a stream is cut: nominal durations and the length of the window.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The packaging a manifest asks for. [`crate::Timeline::choose`] fits an asset to it.
///
/// Its `Display` names what the prepared bytes depend on (segment and part duration, not the
/// window) and is what goes into [`crate::name::prepared_key`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Packaging {
    /// Nominal segment duration; the real one lies within 15 % of it.
    pub segment_ms: u32,
    /// Nominal part duration; the real one is the segment split evenly.
    pub part_ms: u32,
    /// Segments that a playlist lists.
    pub window_segments: u32,
}

impl fmt::Display for Packaging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cmaf segment={}ms part={}ms",
            self.segment_ms, self.part_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_does_not_change_what_is_prepared() {
        let short = Packaging {
            segment_ms: 2000,
            part_ms: 333,
            window_segments: 6,
        };
        let long = Packaging {
            window_segments: 60,
            ..short
        };
        assert_eq!(short.to_string(), "cmaf segment=2000ms part=333ms");
        assert_eq!(short.to_string(), long.to_string());
    }
}
