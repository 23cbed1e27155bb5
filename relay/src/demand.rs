//! Who wants a track: children, viewers' requests, open blocking requests. Pure.

use std::time::Duration;

use crate::clock::Instant;

/// A branch outlives its last gRPC child by this, so that a child that moves back pays nothing.
const CHILD_LINGER: Duration = Duration::from_secs(1);

/// Viewers ask again within a target duration; three of them, and at least this, is idle.
const HTTP_IDLE_MINIMUM: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    children: u32,
    child_left: Option<Instant>,
    blocking: u32,
    touched: Option<Instant>,
}

/// Whether a track is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// For as long as somebody is here.
    Held,
    /// Until then, if nobody comes.
    Until(Instant),
    No,
}

impl Demand {
    pub(crate) fn child_joined(&mut self) {
        self.children += 1;
    }

    pub(crate) fn child_left(&mut self, now: Instant) {
        self.children = self.children.saturating_sub(1);
        self.child_left = Some(now);
    }

    pub(crate) fn request_opened(&mut self, now: Instant) {
        self.blocking += 1;
        self.touched = Some(now);
    }

    pub(crate) fn request_closed(&mut self, now: Instant) {
        self.blocking = self.blocking.saturating_sub(1);
        self.touched = Some(now);
    }

    pub(crate) fn touch(&mut self, now: Instant) {
        self.touched = Some(now);
    }

    pub(crate) fn wanted(&self, now: Instant, target_duration: Duration) -> Wanted {
        if self.children > 0 || self.blocking > 0 {
            return Wanted::Held;
        }
        let idle = HTTP_IDLE_MINIMUM.max(3 * target_duration);
        let until = [
            self.child_left.map(|at| at + CHILD_LINGER),
            self.touched.map(|at| at + idle),
        ];
        match until.into_iter().flatten().max() {
            Some(until) if now < until => Wanted::Until(until),
            _ => Wanted::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(2);

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_branch_outlives_its_last_child_by_one_second() {
        let start = Instant::now();
        let mut demand = Demand::default();
        assert_eq!(demand.wanted(start, TARGET), Wanted::No);
        demand.child_joined();
        demand.child_joined();
        demand.child_left(start);
        assert_eq!(demand.wanted(start + second(99), TARGET), Wanted::Held);
        demand.child_left(start);
        assert_eq!(
            demand.wanted(start, TARGET),
            Wanted::Until(start + second(1))
        );
        assert_eq!(demand.wanted(start + second(1), TARGET), Wanted::No);
    }

    #[test]
    fn viewers_are_gone_after_ten_seconds_or_three_target_durations() {
        let start = Instant::now();
        let mut demand = Demand::default();
        demand.touch(start);
        assert_eq!(
            demand.wanted(start, TARGET),
            Wanted::Until(start + second(10))
        );
        assert_eq!(
            demand.wanted(start, second(6)),
            Wanted::Until(start + second(18))
        );
    }

    #[test]
    fn an_open_request_is_demand_however_long_it_waits() {
        let start = Instant::now();
        let mut demand = Demand::default();
        demand.request_opened(start);
        assert_eq!(demand.wanted(start + second(100), TARGET), Wanted::Held);
        demand.request_closed(start + second(100));
        assert_eq!(demand.wanted(start + second(110), TARGET), Wanted::No);
    }
}
