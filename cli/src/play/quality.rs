//! What a viewer saw of the video's renditions: how much of which, at what bit rate, how often another.

use std::collections::BTreeMap;

/// A chunk of video.
pub(super) struct Picture<'a> {
    pub(super) rendition: &'a str,
    pub(super) bytes: u64,
    /// Nanoseconds of media.
    pub(super) length: u64,
}

/// Counts of one viewer, or sums over several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Quality {
    /// Whole segments, by rendition.
    pub(super) segments: BTreeMap<String, u64>,
    /// Times a chunk was of another rendition than the one before.
    pub(super) changes: u64,
    bytes: u64,
    length: u64,
    last: Option<String>,
}

// === impl Quality ===

impl Quality {
    pub(super) fn picture(&mut self, picture: &Picture<'_>, last_in_segment: bool) {
        let Picture {
            rendition,
            bytes,
            length,
        } = *picture;
        if self.last.as_deref() != Some(rendition) {
            let before = self.last.replace(rendition.to_owned());
            self.changes += u64::from(before.is_some());
        }
        *self.segments.entry(rendition.to_owned()).or_default() += u64::from(last_in_segment);
        self.bytes += bytes;
        self.length += length;
    }

    /// Takes in what another viewer saw.
    pub(super) fn add(&mut self, other: &Self) {
        for (name, segments) in &other.segments {
            *self.segments.entry(name.clone()).or_default() += segments;
        }
        self.changes += other.changes;
        self.bytes += other.bytes;
        self.length += other.length;
    }

    /// Bits of video received for each second of it; none = no video.
    pub(super) fn mean_bitrate(&self) -> Option<u64> {
        let bits = u128::from(self.bytes) * 8_000_000_000;
        let rate = bits.checked_div(u128::from(self.length))?;
        u64::try_from(rate).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Picture, Quality};

    #[test]
    fn renditions_are_counted_and_bits_are_per_second_of_media() {
        let mut one = Quality::default();
        assert_eq!(one.mean_bitrate(), None);
        for (rendition, bytes, last) in [
            ("low", 10_000, false),
            ("low", 15_000, true),
            ("top", 100_000, true),
            ("low", 25_000, true),
        ] {
            let length = 1_000_000_000;
            one.picture(
                &Picture {
                    rendition,
                    bytes,
                    length,
                },
                last,
            );
        }
        assert_eq!((one.segments["low"], one.segments["top"]), (2, 1));
        assert_eq!(one.changes, 2);
        assert_eq!(one.mean_bitrate(), Some(300_000));
        let mut both = one.clone();
        both.add(&one);
        assert_eq!((both.segments["low"], both.changes), (4, 4));
        assert_eq!(both.mean_bitrate(), Some(300_000));
    }
}
