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
mod due;
mod grid;
mod split;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::split::Split;
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

fn narrow(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn small(value: u128) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
