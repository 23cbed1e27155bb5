//! Fitting an asset to the nominal packaging, and the limits within which the arithmetic is exact.

use super::{AUDIO_FRAME, Timeline, TimelineError};
use crate::{FrameRate, Packaging};

impl Timeline {
    /// The timeline of an asset of `total_frames` frames: segments within 15 % of the nominal
    /// duration and of at least one second, with the smallest pad at the asset's end (among equals
    /// the nearest to nominal). Parts are as near to nominal as HLS allows: none, but for the last
    /// of a segment, is shorter than 85 % of the longest.
    pub fn choose(
        frame_rate: FrameRate,
        total_frames: u64,
        packaging: &Packaging,
        sample_rate: Option<u32>,
    ) -> Result<Timeline, TimelineError> {
        let Packaging {
            segment_ms,
            part_ms,
            ..
        } = *packaging;
        if !SEGMENT_MS.contains(&segment_ms) || part_ms < PART_MS_MIN || part_ms > segment_ms {
            return Err(TimelineError::Packaging {
                segment_ms,
                part_ms,
            });
        }
        let unusable = TimelineError::FrameRate {
            rate: frame_rate,
            segment_ms,
        };
        if !RATE_SIDE.contains(&frame_rate.num) || !RATE_SIDE.contains(&frame_rate.den) {
            return Err(unusable);
        }
        if let Some(rate) = sample_rate.filter(|rate| !SAMPLE_RATE.contains(rate)) {
            return Err(TimelineError::SampleRate(rate));
        }
        if total_frames == 0 {
            return Err(TimelineError::Frames {
                frames: total_frames,
            });
        }
        let Some(frames_per_segment) = segment_frames(frame_rate, total_frames, segment_ms) else {
            return Err(unusable);
        };
        let segments = u32::try_from(total_frames.div_ceil(u64::from(frames_per_segment)))
            .map_err(|_| TimelineError::Frames {
                frames: total_frames,
            })?;
        let segment_us = u128::from(frames_per_segment) * u128::from(frame_rate.den) * 1_000_000
            / u128::from(frame_rate.num);
        let part_us = u128::from(part_ms) * 1000;
        let nearest = (segment_us + part_us / 2) / part_us;
        let mut timeline = Timeline {
            frame_rate,
            frames_per_segment,
            segments,
            parts: (nearest as u32).clamp(1, frames_per_segment),
            sample_rate,
        };
        while timeline.parts > 1 && !timeline.parts_are_even_enough() {
            timeline.parts -= 1;
        }
        timeline.check()?;
        Ok(timeline)
    }

    /// Whether the timeline is one that every function of it is exact for.
    pub fn check(&self) -> Result<(), TimelineError> {
        let refuse = |field, value: u32, accepted| {
            Err(TimelineError::Field {
                field,
                value: u64::from(value),
                accepted,
            })
        };
        for (field, side) in [
            ("frame_rate.num", self.frame_rate.num),
            ("frame_rate.den", self.frame_rate.den),
        ] {
            if !RATE_SIDE.contains(&side) {
                return refuse(field, side, "1 to 1048576 is accepted");
            }
        }
        if !(1..=FRAMES_MAX).contains(&self.frames_per_segment) {
            return refuse(
                "frames_per_segment",
                self.frames_per_segment,
                "1 to 65536 is accepted",
            );
        }
        let ticks = u64::from(self.frames_per_segment) * u64::from(self.frame_rate.den);
        if ticks < u64::from(self.frame_rate.num) {
            return refuse(
                "frames_per_segment",
                self.frames_per_segment,
                "a segment of at least one second is accepted",
            );
        }
        if ticks > u64::from(u32::MAX) {
            return refuse(
                "frames_per_segment",
                self.frames_per_segment,
                "a segment of less than 2^32 ticks is accepted",
            );
        }
        if self.segments == 0 {
            return refuse("segments", self.segments, "at least 1 is accepted");
        }
        if !(1..=self.frames_per_segment).contains(&self.parts) {
            return refuse("parts", self.parts, "1 to one for each frame is accepted");
        }
        let Some(rate) = self.sample_rate else {
            return Ok(());
        };
        if !SAMPLE_RATE.contains(&rate) {
            return refuse("sample_rate", rate, "8000 to 192000 is accepted");
        }
        if self.audio_extremes().0 < self.parts {
            return refuse(
                "parts",
                self.parts,
                "at most one for each audio frame of a segment is accepted",
            );
        }
        if self.audio_frames_needed() > u64::from(u32::MAX) {
            return refuse(
                "segments",
                self.segments,
                "an asset of less than 2^32 audio frames is accepted",
            );
        }
        Ok(())
    }

    /// HLS: a part other than a segment's last is at least 85 % of the part target.
    fn parts_are_even_enough(&self) -> bool {
        let parts = self.parts;
        let (fewest, most) = self.audio_extremes();
        if self.frames_per_segment < parts || (self.sample_rate.is_some() && fewest < parts) {
            return false;
        }
        let rate = u128::from(self.sample_rate.unwrap_or(1));
        let (num, den) = (
            u128::from(self.frame_rate.num),
            u128::from(self.frame_rate.den),
        );
        // Durations in units of 1 / (num · rate) seconds.
        let video = |frames: u32| u128::from(frames) * den * rate;
        let audio = |frames: u32| u128::from(frames) * u128::from(AUDIO_FRAME) * num;
        let longest =
            video(self.frames_per_segment.div_ceil(parts)).max(audio(most.div_ceil(parts)));
        let mut shortest = video(self.frames_per_segment / parts);
        if self.sample_rate.is_some() {
            shortest = shortest.min(audio(fewest / parts));
        }
        shortest * 100 >= longest * 85
    }
}

/// The frame count within 15 % of nominal that pads least.
fn segment_frames(rate: FrameRate, total_frames: u64, segment_ms: u32) -> Option<u32> {
    let (num, den) = (u64::from(rate.num), u64::from(rate.den));
    let nominal = u64::from(segment_ms) * num;
    let fewest = (nominal * 85)
        .div_ceil(100_000 * den)
        .max(num.div_ceil(den))
        .max(1);
    let most = (nominal * 115 / (100_000 * den)).min(u64::from(FRAMES_MAX));
    (fewest..=most)
        .min_by_key(|&frames| {
            let pad = (frames - total_frames % frames) % frames;
            (pad, (frames * den * 1000).abs_diff(nominal), frames)
        })
        .and_then(|frames| u32::try_from(frames).ok())
}

/// Below one second numbers would outrun the clock; above a minute no player joins in time.
const SEGMENT_MS: std::ops::RangeInclusive<u32> = 1000..=60_000;
/// Shorter parts cost more in headers than they gain in delay.
const PART_MS_MIN: u32 = 50;
/// 2^20: with `FRAMES_MAX` and `SAMPLE_RATE` it keeps n · f · den · rate below 2^128 for every n.
const RATE_SIDE: std::ops::RangeInclusive<u32> = 1..=1 << 20;
/// A minute at 1000 frames per second.
const FRAMES_MAX: u32 = 1 << 16;
/// What AAC encoders and sample entries carry.
const SAMPLE_RATE: std::ops::RangeInclusive<u32> = 8000..=192_000;

#[cfg(test)]
mod tests;
