//! Splitting a segment's frames into parts.

/// An even split of a segment's frames into parts, the longer parts last.
pub(super) struct Split {
    pub(super) parts: u32,
    base: u32,
    short: u32,
}

impl Split {
    pub(super) fn new(frames: u32, parts: u32) -> Split {
        let parts = parts.max(1);
        Split {
            parts,
            base: frames / parts,
            short: parts - frames % parts,
        }
    }

    /// Frames in the first `parts` parts.
    pub(super) fn frames_before(&self, parts: u32) -> u32 {
        let parts = parts.min(self.parts);
        parts * self.base + parts.saturating_sub(self.short)
    }

    /// Whole parts within the first `frames` frames.
    pub(super) fn parts_within(&self, frames: u32) -> u32 {
        let in_short = self.short * self.base;
        if frames < in_short {
            return frames / self.base;
        }
        (self.short + (frames - in_short) / (self.base + 1)).min(self.parts)
    }
}
