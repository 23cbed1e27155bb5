//! The audio grid: 1024-sample frames lying on one global grid, cut by asset-local index.
//!
//! Loop `k` begins at grid frame g(k), the nearest to its video's start, and holds asset frames
//! 0 .. g(k+1) − g(k). Appending loops of a rounded length instead would drift by up to half a frame
//! each, for ever, and no decoder would say a word.

use super::{AUDIO_FRAME, AudioTiming, SegmentTiming, Timeline, Variant, narrow, small};
use crate::Kind;

impl Timeline {
    /// Times and frames of audio segment `n`. An asset without audio has segments of no frames.
    pub fn audio(&self, n: u64) -> AudioTiming {
        let place = self.locate(n);
        let loop_start = self.loop_start(place.loop_index);
        let loop_frames = self.loop_start(u128::from(place.loop_index) + 1) - loop_start;
        let (first, short, long) = self.audio_local(place.local);
        let last = place.local + 1 == self.segments;
        let long_loop = last && u128::from(first) + u128::from(long) == loop_frames;
        let variant = if long_loop && long != short {
            Variant::Long
        } else {
            Variant::Short
        };
        let frames = if variant == Variant::Long {
            long
        } else {
            short
        };
        let start = (loop_start + u128::from(first)) * u128::from(AUDIO_FRAME);
        let parts = Timeline::audio_part_frames(frames, self.parts);
        AudioTiming {
            timing: SegmentTiming {
                start: narrow(start),
                duration: u64::from(frames) * u64::from(AUDIO_FRAME),
                parts: parts
                    .into_iter()
                    .map(|frames| frames.saturating_mul(AUDIO_FRAME))
                    .collect(),
                timescale: self.timescale(Kind::Audio),
            },
            first_asset_frame: first,
            frames,
            variant,
        }
    }

    /// 1024-sample frames of the longest loop: what has to be encoded.
    pub fn audio_frames_needed(&self) -> u64 {
        let (numerator, denominator) = self.loop_frames();
        narrow(numerator.div_ceil(denominator))
    }

    /// Of local segment `local`: its first asset frame, its frames, and its frames in the long
    /// variant, which differ only on the last segment.
    pub fn audio_local(&self, local: u32) -> (u32, u32, u32) {
        let first = self.cut(local);
        if local + 1 < self.segments {
            let frames = self.cut(local + 1) - first;
            return (small(first), small(frames), small(frames));
        }
        let (numerator, denominator) = self.loop_frames();
        let short = (numerator / denominator).saturating_sub(first);
        let long = numerator.div_ceil(denominator).saturating_sub(first);
        (small(first), small(short), small(long))
    }

    /// Fewest and most audio frames in any segment of any loop.
    pub(super) fn audio_extremes(&self) -> (u32, u32) {
        // Segments other than the last hold the floor or the ceiling of the exact quotient.
        let (numerator, denominator) = self.segment_frames();
        let (_, short, long) = self.audio_local(self.segments.saturating_sub(1));
        if self.segments <= 1 {
            return (short, long);
        }
        (
            small(numerator / denominator).min(short),
            small(numerator.div_ceil(denominator)).max(long),
        )
    }

    /// Audio frames in one segment, exactly, as a fraction.
    fn segment_frames(&self) -> (u128, u128) {
        let samples = u128::from(self.frames_per_segment)
            * u128::from(self.frame_rate.den)
            * u128::from(self.sample_rate.unwrap_or(0));
        (
            samples,
            u128::from(self.frame_rate.num.max(1)) * u128::from(AUDIO_FRAME),
        )
    }

    /// Audio frames in one loop, exactly, as a fraction.
    fn loop_frames(&self) -> (u128, u128) {
        let (numerator, denominator) = self.segment_frames();
        (numerator * u128::from(self.segments), denominator)
    }

    /// First asset frame of local segment `local`: ceil(m·f·den·rate / (num·1024)).
    fn cut(&self, local: u32) -> u128 {
        let (numerator, denominator) = self.segment_frames();
        (numerator * u128::from(local)).div_ceil(denominator)
    }

    /// g(k): grid frame at which loop `k` starts, floor((floor(k·T·rate) + 512) / 1024).
    pub(super) fn loop_start(&self, loop_index: impl Into<u128>) -> u128 {
        let (numerator, denominator) = self.loop_frames();
        let per_second = denominator / u128::from(AUDIO_FRAME);
        let samples = (loop_index.into() * numerator) / per_second;
        (samples + u128::from(AUDIO_FRAME / 2)) / u128::from(AUDIO_FRAME)
    }

    /// Of the segment holding global audio frame `frame`: n, its frames, and how many precede `frame`.
    pub(super) fn audio_at(&self, frame: u128) -> (u64, u32, u32) {
        let (numerator, denominator) = self.loop_frames();
        let mut loop_index = frame * denominator / numerator.max(1);
        // The quotient misses by at most one: g rounds to the nearest frame.
        while self.loop_start(loop_index + 1) <= frame {
            loop_index += 1;
        }
        while loop_index > 0 && self.loop_start(loop_index) > frame {
            loop_index -= 1;
        }
        let within = frame - self.loop_start(loop_index);
        let (per_segment, denominator) = self.segment_frames();
        let local =
            (within * denominator / per_segment.max(1)).min(u128::from(self.segments.max(1) - 1));
        let n = narrow(loop_index * u128::from(self.segments) + local);
        let audio = self.audio(n);
        (n, audio.frames, small(within - self.cut(local as u32)))
    }
}
