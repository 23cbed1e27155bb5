//! Where the n-th segment since the epoch lies, how long it is, and when it is due.
//!
//! All of it is rational arithmetic in `u128` on whole numbers. Video segments are `f` frames and
//! lie back to back. Audio lies on one global grid of 1024-sample frames: loop `k` begins at the
//! grid frame nearest to its video, segments are cut by asset-local index, and only a loop's last
//! segment has two lengths. So sound never drifts from picture, however many loops have passed.
//!
//! Functions take `n` = segment number − epoch. They are total for every timeline that
//! [`Timeline::check`] accepts; `choose` and deserialisation return no other.

mod choose;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{FrameRate, Kind};

/// Samples per AAC frame: the grid that audio lies on.
pub const AUDIO_FRAME: u32 = 1024;

/// How one asset is cut into segments and looped for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawTimeline")]
pub struct Timeline {
    /// Constant frame rate of all video tracks.
    pub frame_rate: FrameRate,
    /// `f`: video frames in every segment.
    pub frames_per_segment: u32,
    /// `L`: segments in one loop.
    pub segments: u32,
    /// `P`: parts in every segment.
    pub parts: u32,
    /// Samples per second of all audio tracks; `None` for a silent asset.
    pub sample_rate: Option<u32>,
}

/// Which loop and which segment of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `k`: loops completed before this segment.
    pub loop_index: u64,
    /// `m`: index of the segment within the asset.
    pub local: u32,
}

/// A segment's times in ticks of its track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTiming {
    /// `tfdt` of its first chunk; 0 at the epoch.
    pub start: u64,
    /// Sum of its parts.
    pub duration: u64,
    /// Duration of each part.
    pub parts: Vec<u32>,
    /// Ticks per second.
    pub timescale: u32,
}

/// Which of the two prepared files of a loop's last audio segment is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// The segment as cut; every segment but a loop's last has only this one.
    Short,
    /// One frame more; only possible on the last local segment.
    Long,
}

/// An audio segment: its times and which asset frames it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioTiming {
    /// Times in samples.
    pub timing: SegmentTiming,
    /// Index within the asset of its first 1024-sample frame.
    pub first_asset_frame: u32,
    /// 1024-sample frames it holds.
    pub frames: u32,
    /// Which file of the asset that is.
    pub variant: Variant,
}

/// Why an asset cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The frame rate has a zero or an absurd side, or is too low for one frame in a segment.
    #[error(
        "frame rate {rate} cannot be cut into segments of {segment_ms} ms: give 1 to 1048576 on each side and at least one frame a segment"
    )]
    FrameRate {
        /// The offending rate.
        rate: FrameRate,
        /// The nominal segment duration.
        segment_ms: u32,
    },
    /// Nothing to play.
    #[error("asset has {frames} video frames: at least 1 and less than 2^32 segments are needed")]
    Frames {
        /// Frames in the asset.
        frames: u64,
    },
    /// Nominal durations out of range.
    #[error(
        "packaging of {segment_ms} ms segments and {part_ms} ms parts is not possible: segments take 1000 to 60000 ms, parts 50 ms to one segment"
    )]
    Packaging {
        /// Nominal segment duration.
        segment_ms: u32,
        /// Nominal part duration.
        part_ms: u32,
    },
    /// The sample rate is out of range.
    #[error("sample rate {0} Hz is not possible: 8000 to 192000 is accepted")]
    SampleRate(u32),
    /// A stored timeline breaks a rule.
    #[error("timeline is not possible: {field} is {value}, {accepted}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What is accepted.
        accepted: &'static str,
    },
}

impl Timeline {
    /// Loop and local index of segment `n`.
    pub fn locate(&self, n: u64) -> Place {
        let segments = u64::from(self.segments.max(1));
        Place {
            loop_index: n / segments,
            local: (n % segments) as u32,
        }
    }

    /// Ticks per second of a track: the frame rate's numerator, or the sample rate.
    pub fn timescale(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Video => self.frame_rate.num,
            Kind::Audio => self.sample_rate.unwrap_or(1),
        }
    }

    /// Times of segment `n` on a track of that kind.
    pub fn timing(&self, kind: Kind, n: u64) -> SegmentTiming {
        match kind {
            Kind::Video => self.video(n),
            Kind::Audio => self.audio(n).timing,
        }
    }

    /// Times of video segment `n`.
    pub fn video(&self, n: u64) -> SegmentTiming {
        let den = self.frame_rate.den;
        let duration = u64::from(self.frames_per_segment) * u64::from(den);
        SegmentTiming {
            start: narrow(u128::from(n) * u128::from(duration)),
            duration,
            parts: self
                .video_part_frames()
                .into_iter()
                .map(|frames| frames.saturating_mul(den))
                .collect(),
            timescale: self.frame_rate.num,
        }
    }

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

    /// Video frames of each part, the longer ones last.
    pub fn video_part_frames(&self) -> Vec<u32> {
        Timeline::audio_part_frames(self.frames_per_segment, self.parts)
    }

    /// Splits `frames` into `parts` as evenly as possible, the longer ones last: 50 in 6 gives
    /// 8, 8, 8, 8, 9, 9.
    pub fn audio_part_frames(frames: u32, parts: u32) -> Vec<u32> {
        let split = Split::new(frames, parts);
        (0..split.parts)
            .map(|part| split.frames_before(part + 1) - split.frames_before(part))
            .collect()
    }

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

    /// Low 32 bits of the chunk's ordinal since the epoch: what `mfhd` carries.
    pub fn chunk_ordinal(&self, n: u64, part: u32) -> u32 {
        (n as u32).wrapping_mul(self.parts).wrapping_add(part)
    }

    /// One loop, in whole milliseconds.
    pub fn loop_duration_ms(&self) -> u64 {
        let frames = u128::from(self.segments) * u128::from(self.frames_per_segment);
        narrow(
            frames * u128::from(self.frame_rate.den) * 1000
                / u128::from(self.frame_rate.num.max(1)),
        )
    }

    /// The longest segment of any track, rounded up to milliseconds.
    pub fn target_duration_ms(&self) -> u32 {
        self.longest_ms(self.frames_per_segment, self.audio_extremes().1)
    }

    /// The longest part of any track, rounded up to milliseconds.
    pub fn part_target_ms(&self) -> u32 {
        let parts = self.parts.max(1);
        self.longest_ms(
            self.frames_per_segment.div_ceil(parts),
            self.audio_extremes().1.div_ceil(parts),
        )
    }

    fn longest_ms(&self, video_frames: u32, audio_frames: u32) -> u32 {
        let video = u128::from(video_frames) * u128::from(self.frame_rate.den) * 1000;
        let audio = u128::from(audio_frames) * u128::from(AUDIO_FRAME) * 1000;
        let video = video.div_ceil(u128::from(self.frame_rate.num.max(1)));
        small(video.max(audio.div_ceil(u128::from(self.timescale(Kind::Audio).max(1)))))
    }

    /// Fewest and most audio frames in any segment of any loop.
    fn audio_extremes(&self) -> (u32, u32) {
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
    fn loop_start(&self, loop_index: impl Into<u128>) -> u128 {
        let (numerator, denominator) = self.loop_frames();
        let per_second = denominator / u128::from(AUDIO_FRAME);
        let samples = (loop_index.into() * numerator) / per_second;
        (samples + u128::from(AUDIO_FRAME / 2)) / u128::from(AUDIO_FRAME)
    }

    /// Of the segment holding global audio frame `frame`: n, its frames, and how many precede `frame`.
    fn audio_at(&self, frame: u128) -> (u64, u32, u32) {
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

/// An even split of a segment's frames into parts, the longer parts last.
struct Split {
    parts: u32,
    base: u32,
    short: u32,
}

impl Split {
    fn new(frames: u32, parts: u32) -> Split {
        let parts = parts.max(1);
        Split {
            parts,
            base: frames / parts,
            short: parts - frames % parts,
        }
    }

    /// Frames in the first `parts` parts.
    fn frames_before(&self, parts: u32) -> u32 {
        let parts = parts.min(self.parts);
        parts * self.base + parts.saturating_sub(self.short)
    }

    /// Whole parts within the first `frames` frames.
    fn parts_within(&self, frames: u32) -> u32 {
        let in_short = self.short * self.base;
        if frames < in_short {
            return frames / self.base;
        }
        (self.short + (frames - in_short) / (self.base + 1)).min(self.parts)
    }
}

/// What `asset.json` holds before it is checked.
#[derive(Deserialize)]
struct RawTimeline {
    frame_rate: FrameRate,
    frames_per_segment: u32,
    segments: u32,
    parts: u32,
    sample_rate: Option<u32>,
}

impl TryFrom<RawTimeline> for Timeline {
    type Error = TimelineError;

    fn try_from(raw: RawTimeline) -> Result<Timeline, TimelineError> {
        let RawTimeline {
            frame_rate,
            frames_per_segment,
            segments,
            parts,
            sample_rate,
        } = raw;
        let timeline = Timeline {
            frame_rate,
            frames_per_segment,
            segments,
            parts,
            sample_rate,
        };
        timeline.check()?;
        Ok(timeline)
    }
}

fn scale_up(value: u128, by: u128, over: u128) -> u128 {
    // Whole seconds first, so that times far beyond any real channel still fit.
    let (whole, rest) = (value / over, value % over);
    whole
        .saturating_mul(by)
        .saturating_add((rest * by).div_ceil(over))
}

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn small(value: u128) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

const NS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests;
