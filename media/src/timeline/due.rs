//! When a chunk is due, and which chunk is the newest that is: each the exact inverse of the other.

use super::split::Split;
use super::{AUDIO_FRAME, Timeline, narrow};
use crate::Kind;

impl Timeline {
    /// Nanoseconds after the epoch at which that part has ended and may be sent. A part past the
    /// last counts as the last; audio of a silent asset is due after more than 500 years.
    pub fn release_after_epoch_ns(&self, kind: Kind, n: u64, part: u32) -> u128 {
        let (start, frames, per_second, per_frame) = match kind {
            Kind::Video => {
                let start = u128::from(n) * u128::from(self.frames_per_segment);
                (
                    start,
                    self.frames_per_segment,
                    self.frame_rate.num,
                    self.frame_rate.den,
                )
            }
            Kind::Audio => {
                let Some(rate) = self.sample_rate else {
                    return u128::from(u64::MAX);
                };
                let place = self.locate(n);
                let audio = self.audio(n);
                let start = self.loop_start(place.loop_index) + u128::from(audio.first_asset_frame);
                (start, audio.frames, rate, AUDIO_FRAME)
            }
        };
        let split = Split::new(frames, self.parts);
        let done = start + u128::from(split.frames_before(part.saturating_add(1)));
        scale_up(
            done * u128::from(per_frame),
            NS,
            u128::from(per_second.max(1)),
        )
    }

    /// The newest chunk whose end has passed at that time, as (n, part).
    pub fn position_at(&self, kind: Kind, since_epoch_ns: u128) -> Option<(u64, u32)> {
        let ns = since_epoch_ns.min(u128::from(u64::MAX));
        let (n, frames, done) = match kind {
            Kind::Video => {
                let frames = ns * u128::from(self.frame_rate.num)
                    / (NS * u128::from(self.frame_rate.den.max(1)));
                let per_segment = u128::from(self.frames_per_segment.max(1));
                (
                    narrow(frames / per_segment),
                    self.frames_per_segment,
                    (frames % per_segment) as u32,
                )
            }
            Kind::Audio => {
                let rate = u128::from(self.sample_rate?);
                self.audio_at(ns * rate / (NS * u128::from(AUDIO_FRAME)))
            }
        };
        match Split::new(frames, self.parts).parts_within(done) {
            0 => Some((n.checked_sub(1)?, self.parts.max(1) - 1)),
            complete => Some((n, complete - 1)),
        }
    }
}

fn scale_up(value: u128, by: u128, over: u128) -> u128 {
    // Whole seconds first, so that times far beyond any real channel still fit.
    let (whole, rest) = (value / over, value % over);
    whole
        .saturating_mul(by)
        .saturating_add((rest * by).div_ceil(over))
}

const NS: u128 = 1_000_000_000;
