//! Rates in status: written on a transition, or when moved by more than a fifth and at most every 30 s, rounded.

use std::time::Duration;

/// Least time between two writes for a rate alone.
const QUIET: Duration = Duration::from_secs(30);

/// When a rate may be written.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Something flipped: status is written anyway.
    pub(super) transition: bool,
    /// Since status was last written.
    pub(super) since: Duration,
}

impl Pace {
    /// The value to write, and when to look again if it is held back.
    pub(super) fn rate(
        self,
        stored: Option<i32>,
        current: Option<u32>,
    ) -> (Option<i32>, Option<Duration>) {
        let (Some(stored), Some(current)) = (stored, current) else {
            return (current.map(rounded), None);
        };
        let fresh = rounded(current);
        let (old, new) = (i64::from(stored), i64::from(fresh));
        let moved = (new - old).abs() * 5 > old.max(1);
        match (self.transition, moved) {
            (true, _) => (Some(fresh), None),
            (false, true) if self.since >= QUIET => (Some(fresh), None),
            (false, true) => (Some(stored), Some(QUIET - self.since)),
            (false, false) => (Some(stored), None),
        }
    }
}

/// Two digits that count.
fn rounded(value: u32) -> i32 {
    let mut unit = 1;
    while value / unit >= 100 {
        unit *= 10;
    }
    let whole = (u64::from(value) + u64::from(unit) / 2) / u64::from(unit) * u64::from(unit);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(transition: bool, seconds: u64) -> Pace {
        Pace {
            transition,
            since: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_rate_moves_only_when_it_moved_far_and_long_ago() {
        let cases = [
            (false, 60, Some(100), Some(119), Some(100), false),
            // Rounds to 120, which is exactly a fifth: not more.
            (false, 60, Some(100), Some(121), Some(100), false),
            (false, 60, Some(100), Some(130), Some(130), false),
            (false, 10, Some(100), Some(130), Some(100), true),
            (true, 0, Some(100), Some(101), Some(100), false),
            (true, 0, Some(100), Some(117), Some(120), false),
            (false, 0, None, Some(1234), Some(1200), false),
            (false, 0, Some(7), None, None, false),
            (false, 60, Some(0), Some(1), Some(1), false),
        ];
        for (transition, since, stored, current, expected, held) in cases {
            let (value, revisit) = pace(transition, since).rate(stored, current);
            let case = format!("{transition} {since} {stored:?} {current:?}");
            assert_eq!((value, revisit.is_some()), (expected, held), "{case}");
        }
    }

    #[test]
    fn two_digits_count() {
        for (value, expected) in [
            (0, 0),
            (99, 99),
            (104, 100),
            (105, 110),
            (98_765, 99_000),
            (u32::MAX, i32::MAX),
        ] {
            assert_eq!(rounded(value), expected, "{value}");
        }
    }
}
