//! Parents that flap: that feed, fail, and feed again. Their turn comes last for a while that grows.
//!
//! Backoff alone does not see them, since success forgets it. Pure.

use std::collections::VecDeque;

use super::Tuning;
use crate::clock::Instant;

#[derive(Clone, Debug, Default)]
pub(super) struct Flaps {
    /// Failures of a parent that had fed, newest last.
    recent: VecDeque<Instant>,
    /// Quarantines so far that are not forgiven.
    level: u32,
    until: Option<Instant>,
}

impl Flaps {
    /// A parent that had fed failed. `jitter` in [0, 1).
    pub(super) fn failed(&mut self, tuning: &Tuning, jitter: f64, now: Instant) {
        if let Some(until) = self.until
            && now >= until + tuning.quarantine_maximum
        {
            *self = Flaps::default();
        }
        self.recent
            .retain(|at| now.saturating_duration_since(*at) < tuning.flap_window);
        self.recent.push_back(now);
        if self.recent.len() < tuning.flaps || self.is_quarantined(now) {
            return;
        }
        self.recent.clear();
        let length = tuning
            .quarantine_minimum
            .saturating_mul(1 << self.level.min(16))
            .min(tuning.quarantine_maximum);
        self.level += 1;
        // Up to half as long again, so that a branch does not come back in step.
        self.until = Some(now + length + length.mul_f64(jitter / 2.0));
    }

    pub(super) fn is_quarantined(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    /// Fails three times in twenty seconds from `now`; the last failure.
    fn flap(flaps: &mut Flaps, now: Instant) -> Instant {
        for n in 0..3 {
            flaps.failed(&Tuning::default(), 0.0, now + SECONDS(10 * n));
        }
        now + SECONDS(20)
    }

    #[test]
    fn three_failures_within_a_minute_are_a_quarantine_that_doubles_up_to_a_bound() {
        let mut now = Instant::now();
        let mut flaps = Flaps::default();
        for expected in [30, 60, 120, 240, 480, 600, 600] {
            let last = flap(&mut flaps, now);
            assert!(
                flaps.is_quarantined(last + SECONDS(expected - 1)),
                "{expected}"
            );
            assert!(
                !flaps.is_quarantined(last + SECONDS(expected)),
                "{expected}"
            );
            now = last + SECONDS(expected);
        }
    }

    #[test]
    fn rare_failures_are_none_and_a_long_calm_is_forgiven() {
        let start = Instant::now();
        let mut flaps = Flaps::default();
        for n in 0..10 {
            flaps.failed(&Tuning::default(), 0.0, start + SECONDS(31 * n));
            assert!(!flaps.is_quarantined(start + SECONDS(31 * n)));
        }
        let last = flap(&mut flaps, start + SECONDS(1000));
        let last = flap(&mut flaps, last + SECONDS(30));
        assert!(flaps.is_quarantined(last + SECONDS(59)));
        let last = flap(&mut flaps, last + SECONDS(60 + 600));
        assert!(!flaps.is_quarantined(last + SECONDS(30)));
    }

    #[test]
    fn jitter_makes_it_longer_by_at_most_a_half() {
        let start = Instant::now();
        let mut flaps = Flaps::default();
        for _ in 0..3 {
            flaps.failed(&Tuning::default(), 0.999, start);
        }
        assert!(flaps.is_quarantined(start + SECONDS(44)));
        assert!(!flaps.is_quarantined(start + SECONDS(45)));
    }
}
