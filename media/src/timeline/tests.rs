//! The rules of the timeline, walked over loops and held against exact fractions.

use proptest::prelude::*;

use super::*;
use crate::Packaging;

const RATES: [(u32, u32); 6] = [
    (25, 1),
    (30000, 1001),
    (24000, 1001),
    (30, 1),
    (50, 1),
    (60, 1),
];
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 22_050];
const TWO_SECONDS: Packaging = Packaging {
    segment_ms: 2000,
    part_ms: 333,
    window_segments: 6,
};

pub(super) fn timeline(rate: (u32, u32), frames: u64, sample_rate: u32) -> Timeline {
    let rate = FrameRate {
        num: rate.0,
        den: rate.1,
    };
    Timeline::choose(rate, frames, &TWO_SECONDS, Some(sample_rate)).unwrap()
}

/// Every frame rate with every sample rate, and asset lengths that leave pads and odd loops.
fn timelines() -> Vec<Timeline> {
    let mut all = Vec::new();
    for rate in RATES {
        for sample_rate in SAMPLE_RATES {
            for frames in [1, 132, 500, 1009] {
                all.push(timeline(rate, frames, sample_rate));
            }
        }
    }
    all
}

/// Holds segment `n` against its successor and against the pictures it belongs to.
pub(super) fn check_segment(timeline: &Timeline, n: u64) {
    let (num, rate) = (
        i128::from(timeline.frame_rate.num),
        i128::from(timeline.sample_rate.unwrap()),
    );
    let at = |what: &str| format!("{what} of segment {n} of {timeline:?}");
    let (video, audio) = (timeline.video(n), timeline.audio(n));
    for (kind, this) in [(Kind::Video, &video), (Kind::Audio, &audio.timing)] {
        let next = timeline.timing(kind, n + 1);
        assert_eq!(this.start + this.duration, next.start, "{}", at("end"));
        assert_eq!(
            this.parts.iter().map(|part| u64::from(*part)).sum::<u64>(),
            this.duration,
            "{}",
            at("parts")
        );
        assert_eq!(this.parts.len(), timeline.parts as usize);
        assert!(
            this.parts.iter().all(|part| *part > 0),
            "{}",
            at("an empty part")
        );
        let ms = this.duration * 1000 / u64::from(this.timescale);
        assert!(
            ms <= u64::from(timeline.target_duration_ms()),
            "{}",
            at("target duration")
        );
        let part_ms = this
            .parts
            .iter()
            .max()
            .map(|part| u64::from(*part) * 1000 / u64::from(this.timescale));
        assert!(
            part_ms.unwrap() <= u64::from(timeline.part_target_ms()),
            "{}",
            at("part target")
        );
    }
    let place = timeline.locate(n);
    let frame_ticks = i128::from(timeline.frames_per_segment) * i128::from(timeline.frame_rate.den);
    let (video_start, audio_start) = (i128::from(video.start), i128::from(audio.timing.start));
    // What is heard against what is seen, in units of 1 / (num · rate) seconds.
    let heard = (audio_start - i128::from(audio.first_asset_frame) * 1024) * num;
    let seen = (video_start - i128::from(place.local) * frame_ticks) * rate;
    assert!(
        (heard - seen).abs() <= 512 * num,
        "{}",
        at("sound is off by more than half a frame")
    );
    // Where the files begin: sound within half a frame before and one and a half after.
    let boundary = audio_start * num - video_start * rate;
    assert!(
        (-512 * num..=1536 * num).contains(&boundary),
        "{}",
        at("boundary")
    );
    assert!(
        u64::from(audio.first_asset_frame) + u64::from(audio.frames)
            <= timeline.audio_frames_needed(),
        "{}",
        at("frames beyond the asset")
    );
    let (first, short, long) = timeline.audio_local(place.local);
    let frames = if audio.variant == Variant::Long {
        long
    } else {
        short
    };
    assert_eq!(
        (first, frames),
        (audio.first_asset_frame, audio.frames),
        "{}",
        at("variant")
    );
    assert!(
        place.local + 1 == timeline.segments || short == long,
        "{}",
        at("a variant in mid-loop")
    );
    assert!(
        long - short <= 1 && (audio.variant == Variant::Short || long > short),
        "{}",
        at("variants")
    );
}

#[test]
fn two_hundred_loops_follow_each_other_without_a_tick_of_drift() {
    for timeline in timelines() {
        for n in 0..200 * u64::from(timeline.segments) {
            check_segment(&timeline, n);
        }
    }
}

#[test]
fn a_hundred_thousand_loops_follow_each_other_without_a_tick_of_drift() {
    for rate in RATES {
        for sample_rate in SAMPLE_RATES {
            let timeline = timeline(rate, 1009, sample_rate);
            let segments = u64::from(timeline.segments);
            for loop_index in 1..100_000 {
                let junction = loop_index * segments;
                let (before, after) = (
                    timeline.audio(junction - 1).timing,
                    timeline.audio(junction).timing,
                );
                assert_eq!(
                    before.start + before.duration,
                    after.start,
                    "loop {loop_index} of {timeline:?}"
                );
            }
            for n in (0..100_000 * segments).step_by(9_973) {
                check_segment(&timeline, n);
            }
        }
    }
}

#[test]
fn both_variants_of_the_last_audio_segment_are_played() {
    let timeline = timeline((25, 1), 500, 48_000);
    let last = u64::from(timeline.segments) - 1;
    let variants: Vec<Variant> = (0..4)
        .map(|k| {
            timeline
                .audio(k * u64::from(timeline.segments) + last)
                .variant
        })
        .collect();
    // 20 s are 937.5 frames: every second loop holds one more.
    assert_eq!(
        variants,
        [Variant::Long, Variant::Short, Variant::Long, Variant::Short]
    );
    assert_eq!(timeline.audio_frames_needed(), 938);
    // A loop of whole frames has one variant only.
    let whole = super::Timeline {
        frames_per_segment: 64,
        segments: 3,
        ..timeline
    };
    assert_eq!(whole.audio_local(2), (240, 120, 120));
    assert!((0..30).all(|n| whole.audio(n).variant == Variant::Short));
}

#[test]
fn a_chunk_is_due_when_its_end_has_passed_and_not_before() {
    for timeline in timelines() {
        for kind in [Kind::Video, Kind::Audio] {
            let (mut previous, mut due_before, mut ordinal) = (None, 0, u32::MAX);
            for n in 0..3 * u64::from(timeline.segments) + 2 {
                for part in 0..timeline.parts {
                    let due = timeline.release_after_epoch_ns(kind, n, part);
                    assert!(due > due_before, "{kind} {n}.{part} of {timeline:?}");
                    assert_eq!(
                        timeline.position_at(kind, due),
                        Some((n, part)),
                        "{kind} {timeline:?}"
                    );
                    assert_eq!(
                        timeline.position_at(kind, due - 1),
                        previous,
                        "{kind} {timeline:?}"
                    );
                    assert_eq!(timeline.chunk_ordinal(n, part), ordinal.wrapping_add(1));
                    (previous, due_before) = (Some((n, part)), due);
                    ordinal = timeline.chunk_ordinal(n, part);
                }
                let timing = timeline.timing(kind, n);
                let end = u128::from(timing.start + timing.duration) * 1_000_000_000;
                assert_eq!(
                    due_before,
                    end.div_ceil(u128::from(timing.timescale)),
                    "end of {kind} {n}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn release_and_position_are_inverse_at_any_distance(
        (rate, sample_rate) in (0usize..6, 0usize..3),
        frames in 1u64..100_000,
        n in 0u64..2_000_000_000,
        part in 0u32..64,
    ) {
        let timeline = timeline(RATES[rate], frames, SAMPLE_RATES[sample_rate]);
        let part = part % timeline.parts;
        check_segment(&timeline, n);
        for kind in [Kind::Video, Kind::Audio] {
            let due = timeline.release_after_epoch_ns(kind, n, part);
            prop_assert_eq!(timeline.position_at(kind, due), Some((n, part)));
            let before = timeline.position_at(kind, due - 1);
            let expected = match part {
                0 => n.checked_sub(1).map(|n| (n, timeline.parts - 1)),
                _ => Some((n, part - 1)),
            };
            prop_assert_eq!(before, expected);
        }
    }

    #[test]
    fn no_argument_makes_the_arithmetic_panic(n in any::<u64>(), ns in any::<u128>(), part in any::<u32>()) {
        let widest = Timeline {
            frame_rate: FrameRate { num: 1 << 20, den: 65_535 },
            frames_per_segment: 1 << 16,
            segments: 4_000,
            parts: 1 << 16,
            sample_rate: Some(192_000),
        };
        prop_assert_eq!(widest.check(), Ok(()));
        for timeline in [widest, timeline((30000, 1001), 500, 44_100)] {
            for kind in [Kind::Video, Kind::Audio] {
                for n in [n, u64::MAX] {
                    timeline.timing(kind, n);
                    timeline.release_after_epoch_ns(kind, n, part);
                    timeline.chunk_ordinal(n, part);
                }
                timeline.position_at(kind, ns);
                timeline.position_at(kind, u128::MAX);
            }
        }
    }
}

#[test]
fn parts_split_a_segment_evenly_with_the_longer_ones_last() {
    assert_eq!(Timeline::audio_part_frames(50, 6), [8, 8, 8, 8, 9, 9]);
    assert_eq!(Timeline::audio_part_frames(93, 6), [15, 15, 15, 16, 16, 16]);
    assert_eq!(Timeline::audio_part_frames(48, 6), [8; 6]);
    assert_eq!(Timeline::audio_part_frames(2, 3), [0, 1, 1]);
    let timeline = timeline((25, 1), 500, 48_000);
    assert_eq!(timeline.video(3).parts, [8, 8, 8, 8, 9, 9]);
    assert_eq!(
        (timeline.target_duration_ms(), timeline.part_target_ms()),
        (2006, 360)
    );
    assert_eq!(timeline.loop_duration_ms(), 20_000);
}

#[test]
fn a_silent_asset_has_no_audio_that_is_ever_due() {
    let silent = Timeline {
        sample_rate: None,
        ..timeline((25, 1), 500, 48_000)
    };
    assert_eq!(silent.check(), Ok(()));
    assert_eq!(silent.position_at(Kind::Audio, u128::MAX), None);
    assert_eq!(silent.audio(7).frames, 0);
    assert_eq!(
        silent.release_after_epoch_ns(Kind::Audio, 7, 0),
        u128::from(u64::MAX)
    );
    assert_eq!(
        (silent.target_duration_ms(), silent.part_target_ms()),
        (2000, 360)
    );
}
