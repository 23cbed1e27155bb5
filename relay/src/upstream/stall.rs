//! Media that is due and does not come, although the hop lives: seen by the carrier, who alone acts.
//!
//! Two witnesses say that a chunk is due: the content server's own keep-alives, which name a head
//! beyond ours, and our channel clock. The second is believed later, by as much as two machines'
//! clocks may differ: after a switch to a server that is behind, what was held is ahead of it. Pure.

use std::time::Duration;

use super::Tuning;
use crate::clock::Instant;

/// What is known of the next chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// The longest part of the track.
    pub(crate) part: Duration,
    /// The parent tells of a head beyond ours.
    pub(crate) by_parent: bool,
    /// Our own channel clock is past its end.
    pub(crate) by_clock: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stall {
    last: Option<Instant>,
    by_parent: Option<Instant>,
    by_clock: Option<Instant>,
    /// As told at the last look, and whether our own lateness extended it since.
    deadline: Option<Instant>,
    extended: bool,
    pub(super) stalled: bool,
}

impl Stall {
    /// The next chunk came, or a word that it never will. True when that ends a stall.
    pub(super) fn arrived(&mut self, now: Instant) -> bool {
        let ended = self.stalled;
        *self = Stall {
            last: Some(now),
            ..Stall::default()
        };
        ended
    }

    /// Looks; returns when to look again.
    pub(super) fn judge(
        &mut self,
        expected: Expected,
        budget: Duration,
        tuning: &Tuning,
        now: Instant,
    ) -> Instant {
        let since = |since: &mut Option<Instant>, expected: bool| {
            *since = expected.then(|| since.unwrap_or(now));
            *since
        };
        let patience = 2 * expected.part + budget;
        let by_parent = since(&mut self.by_parent, expected.by_parent).map(|at| at + patience);
        let by_clock = since(&mut self.by_clock, expected.by_clock)
            .map(|at| at + patience + tuning.clock_skew);
        let Some(deadline) = by_parent.into_iter().chain(by_clock).min() else {
            self.deadline = None;
            return now + expected.part.max(tuning.keep_alive);
        };
        if now < deadline {
            self.deadline = Some(deadline);
            return deadline;
        }
        // A deadline that we never waited for, or overslept: what came meanwhile is not read yet.
        let lateness = now.saturating_duration_since(self.deadline.unwrap_or(deadline));
        if lateness > tuning.timer_slack && !self.extended && !self.stalled {
            self.extended = true;
            let extended = now + lateness.min(patience);
            self.by_parent = self.by_parent.map(|_| extended - patience);
            self.by_clock = self
                .by_clock
                .map(|_| extended - patience - tuning.clock_skew);
            self.deadline = Some(extended);
            return extended;
        }
        self.stalled = true;
        now + tuning.keep_alive
    }

    /// Time without media.
    pub(super) fn gap(&self, now: Instant) -> Duration {
        self.last
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn expected(by_parent: bool, by_clock: bool) -> Expected {
        Expected {
            part: MS(360),
            by_parent,
            by_clock,
        }
    }

    /// When a stall is seen by one who looks when it should.
    fn seen(stall: &mut Stall, expected: Expected, from: Instant) -> Option<Duration> {
        let mut now = from;
        while now < from + MS(10_000) {
            let next = stall.judge(expected, MS(300), &Tuning::default(), now);
            if stall.stalled {
                return Some(now - from);
            }
            now = next;
        }
        None
    }

    #[test]
    fn the_parents_word_counts_at_once_and_our_clock_alone_later() {
        let start = Instant::now();
        for (expected, after) in [
            (expected(true, true), Some(MS(1020))),
            (expected(true, false), Some(MS(1020))),
            (expected(false, true), Some(MS(3020))),
            (expected(false, false), None),
        ] {
            let mut stall = Stall::default();
            stall.arrived(start);
            assert_eq!(seen(&mut stall, expected, start), after, "{expected:?}");
        }
    }

    #[test]
    fn a_chunk_ends_it_and_what_is_not_due_is_not_missed() {
        let start = Instant::now();
        let mut stall = Stall::default();
        stall.arrived(start);
        stall.judge(expected(true, true), MS(300), &Tuning::default(), start);
        assert!(!stall.arrived(start + MS(1019)));
        let later = start + MS(9000);
        stall.judge(expected(false, false), MS(300), &Tuning::default(), later);
        assert_eq!(
            seen(&mut stall, expected(true, true), later),
            Some(MS(1020))
        );
        assert_eq!(stall.gap(later + MS(1020)), MS(9000 - 1019 + 1020));
        assert!(stall.arrived(later + MS(1100)));
        assert!(!stall.stalled);
    }

    #[test]
    fn one_who_overslept_reads_first() {
        let start = Instant::now();
        let mut stall = Stall::default();
        stall.arrived(start);
        let tuning = Tuning::default();
        assert_eq!(
            stall.judge(expected(true, true), MS(300), &tuning, start),
            start + MS(1020)
        );
        let late = start + MS(1620);
        let next = stall.judge(expected(true, true), MS(300), &tuning, late);
        assert!(!stall.stalled);
        assert_eq!(next, late + MS(600));
        stall.judge(expected(true, true), MS(300), &tuning, next);
        assert!(stall.stalled);
    }
}
