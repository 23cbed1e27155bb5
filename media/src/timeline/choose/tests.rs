//! What is chosen for an asset, and what is refused.

use proptest::prelude::*;

use super::super::tests::{check_segment, timeline};
use super::*;

proptest! {
    #[test]
    fn a_chosen_timeline_keeps_every_promise(
        num in 1u32..200_000, den in 1u32..2_000, total in 1u64..10_000_000,
        segment_ms in 1000u32..10_000, part_ms in 50u32..2_000, audio in any::<bool>(),
    ) {
        let packaging = Packaging { segment_ms, part_ms, window_segments: 6 };
        let rate = FrameRate { num, den };
        let sample_rate = audio.then_some(48_000);
        let Ok(chosen) = Timeline::choose(rate, total, &packaging, sample_rate) else { return Ok(()) };
        prop_assert_eq!(chosen.check(), Ok(()));
        let (f, num, den) = (u128::from(chosen.frames_per_segment), u128::from(num), u128::from(den));
        prop_assert!(f * den >= num, "a segment of less than a second");
        let (scaled, nominal) = (f * den * 100_000, u128::from(segment_ms) * num);
        prop_assert!(scaled >= nominal * 85 && scaled <= nominal * 115, "{f} frames");
        let covered = f * u128::from(chosen.segments);
        prop_assert!(covered >= u128::from(total) && covered - u128::from(total) < f, "pad");
        let (parts, target) = (chosen.video_part_frames(), u128::from(chosen.part_target_ms()));
        let shortest_us = parts.iter().rev().skip(1).min().map(|part| u128::from(*part) * den * 1_000_000 / num);
        // The target is rounded up to a millisecond.
        prop_assert!(shortest_us.is_none_or(|us| us * 100 + 100 >= (target - 1) * 1000 * 85), "{parts:?} {target}");
        if let (0, true) = (covered - u128::from(total), audio) {
            check_segment(&chosen, total);
        }
    }
}

#[test]
fn the_segment_length_with_the_smallest_pad_is_chosen() {
    let rows = [
        // frame rate, frames, f, L, P
        ((25, 1), 500, 50, 10, 6),
        ((25, 1), 132, 44, 3, 5),
        ((25, 1), 1, 43, 1, 5),
        ((25, 1), 501, 56, 9, 7),
        ((30000, 1001), 599, 60, 10, 6),
        ((50, 1), 1000, 100, 10, 6),
        ((24000, 1001), 96, 48, 2, 6),
    ];
    for (rate, total, f, segments, parts) in rows {
        let chosen = timeline(rate, total, 48_000);
        let found = (chosen.frames_per_segment, chosen.segments, chosen.parts);
        assert_eq!(found, (f, segments, parts), "{rate:?} {total}");
    }
}

#[test]
fn impossible_input_is_refused_with_what_is_accepted() {
    let choose = |num, frames, segment_ms, part_ms, sample_rate| {
        let packaging = Packaging {
            segment_ms,
            part_ms,
            window_segments: 6,
        };
        Timeline::choose(FrameRate { num, den: 1 }, frames, &packaging, sample_rate)
            .unwrap_err()
            .to_string()
    };
    let packaging = "segments take 1000 to 60000 ms, parts 50 ms to one segment";
    let rows = [
        (choose(25, 9, 999, 333, None), format!("packaging of 999 ms segments and 333 ms parts is not possible: {packaging}")),
        (choose(25, 9, 2000, 2001, None), format!("packaging of 2000 ms segments and 2001 ms parts is not possible: {packaging}")),
        (choose(0, 9, 2000, 333, None), "frame rate 0/1 cannot be cut into segments of 2000 ms: give 1 to 1048576 on each side and at least one frame a segment".into()),
        (choose(25, 0, 2000, 333, None), "asset has 0 video frames: at least 1 and less than 2^32 segments are needed".into()),
        (choose(25, 9, 2000, 333, Some(7999)), "sample rate 7999 Hz is not possible: 8000 to 192000 is accepted".into()),
    ];
    for (found, expected) in rows {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_stored_timeline_that_breaks_a_rule_is_refused() {
    let good = timeline((25, 1), 500, 48_000);
    let rows = [
        Timeline {
            segments: 0,
            ..good.clone()
        },
        Timeline {
            parts: 0,
            ..good.clone()
        },
        Timeline {
            parts: 51,
            ..good.clone()
        },
        Timeline {
            frames_per_segment: 24,
            parts: 1,
            ..good.clone()
        },
        Timeline {
            frame_rate: FrameRate { num: 25, den: 0 },
            ..good.clone()
        },
        Timeline {
            sample_rate: Some(0),
            ..good.clone()
        },
        Timeline {
            segments: u32::MAX,
            ..good.clone()
        },
    ];
    let read = |timeline: &Timeline| {
        serde_json::from_str::<Timeline>(&serde_json::to_string(timeline).unwrap())
    };
    assert_eq!(read(&good).unwrap(), good);
    for broken in rows {
        let error = read(&broken).unwrap_err().to_string();
        assert!(error.starts_with("timeline is not possible: "), "{error}");
    }
}

#[test]
fn a_segment_is_never_shorter_than_a_second() {
    // 22 frames would need no pad, but numbers would outrun the clock.
    let packaging = Packaging {
        segment_ms: 1000,
        part_ms: 200,
        window_segments: 6,
    };
    let chosen = Timeline::choose(FrameRate { num: 25, den: 1 }, 44, &packaging, None).unwrap();
    assert_eq!((chosen.frames_per_segment, chosen.segments), (25, 2));
}
