//! Guessing the constant frame rate of a source from its timestamps, as a rational number.

use banyan_media::rate::FrameRate;

/// The constant rate that fits sorted presentation times `pts` (ticks of `tick_num/tick_den` seconds) best.
///
/// Times rounded to milliseconds, holes and a few strays must not disturb it: the mean of the ordinary steps is taken and
/// snapped to the rates that cameras and encoders know. Above 60 it is halved, below 10 doubled (pictures then repeat).
pub(crate) fn guess(
    pts: &[i64],
    tick_num: u32,
    tick_den: u32,
    declared: Option<(u32, u32)>,
) -> FrameRate {
    let mut steps: Vec<i64> = pts
        .windows(2)
        .map(|w| w[1] - w[0])
        .filter(|s| *s > 0)
        .collect();
    steps.sort_unstable();
    let measured = steps.get(steps.len() / 2).copied().map(|median| {
        let ordinary = steps
            .iter()
            .filter(|s| **s * 2 > median && **s * 2 < median * 3);
        let (sum, count) = ordinary.fold((0i128, 0i128), |(s, n), step| {
            (s + i128::from(*step), n + 1)
        });
        // That mean tells how many frames the whole span is; the span then tells the rate, with the rounding of its two
        // ends only.
        let span = i128::from(pts[pts.len() - 1]) - i128::from(pts[0]);
        let frames = (2 * span * count + sum) / (2 * sum).max(1);
        // frames per second = frames · den / (span · num)
        (frames * i128::from(tick_den), span * i128::from(tick_num))
    });
    let (num, den) = match (measured, declared) {
        (Some(measured), _) => measured,
        (None, Some((num, den))) => (i128::from(num), i128::from(den)),
        (None, None) => (25, 1),
    };
    bounded(snap(num, den))
}

/// The nearest well-known rate when within 0.4 %, else the value itself in thousandths.
fn snap(num: i128, den: i128) -> (u32, u32) {
    let near = KNOWN
        .iter()
        .map(|known| {
            // |num/den - n/d| / (n/d), in millionths
            let (n, d) = (i128::from(known.0), i128::from(known.1));
            (
                ((num * d - n * den).abs() * 1_000_000) / (n * den).max(1),
                *known,
            )
        })
        .min_by_key(|(error, _)| *error);
    match near {
        Some((error, known)) if error < 4_000 => known,
        _ => {
            let thousandths =
                u32::try_from((num * 1000 / den.max(1)).clamp(1, 1_000_000)).unwrap_or(25_000);
            let divisor = gcd(thousandths, 1000);
            (thousandths / divisor, 1000 / divisor)
        }
    }
}

fn bounded((mut num, mut den): (u32, u32)) -> FrameRate {
    while u64::from(num) > 60 * u64::from(den) {
        den *= 2;
    }
    while u64::from(num) < 10 * u64::from(den) {
        num *= 2;
    }
    let divisor = gcd(num, den);
    FrameRate {
        num: num / divisor,
        den: den / divisor,
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

const KNOWN: [(u32, u32); 18] = [
    (10, 1),
    (12, 1),
    (25, 2),
    (15, 1),
    (20, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (100, 1),
    (120_000, 1001),
    (120, 1),
    (240, 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_recognised_through_rounding_holes_and_extremes() {
        let ms = |num: i64, den: i64, n: i64| -> Vec<i64> {
            (0..n).map(|i| (i * den * 1000 + num / 2) / num).collect()
        };
        let mut holes = ms(30_000, 1001, 200);
        holes.drain(50..80);
        let mut many_holes = ms(30, 1, 150);
        many_holes.retain(|t| t % 7 < 4);
        let cases: [(&str, Vec<i64>, (u32, u32)); 9] = [
            ("30 with many holes", many_holes, (30, 1)),
            ("25 in ms", ms(25, 1, 100), (25, 1)),
            ("29.97 in ms", ms(30_000, 1001, 200), (30_000, 1001)),
            ("30 in ms", ms(30, 1, 200), (30, 1)),
            ("29.97 with a hole", holes, (30_000, 1001)),
            ("23.976 in ms", ms(24_000, 1001, 300), (24_000, 1001)),
            ("120 is halved", ms(120, 1, 300), (60, 1)),
            ("2 is raised", ms(2, 1, 20), (16, 1)),
            ("one picture", vec![0], (25, 1)),
        ];
        for (name, pts, (num, den)) in cases {
            assert_eq!(guess(&pts, 1, 1000, None), FrameRate { num, den }, "{name}");
        }
    }
}
