//! The channel clock: wall time sampled once, then monotonic time, corrected slowly.
//!
//! A chunk is released when its end passes this clock, so a step would stall a channel or send a
//! burst. The clock therefore never steps: a difference from wall time is slewed at no more than
//! 0.5 %, and it never runs backwards.

/// Unix time for releasing chunks. The caller reads both clocks and passes them in.
#[derive(Clone, Copy, Debug)]
pub struct ChannelClock {
    /// Channel time at `mono_ns`.
    value_ns: u128,
    mono_ns: u64,
    /// Still to be corrected after `mono_ns`; positive when the channel is behind.
    error_ns: i128,
}

impl ChannelClock {
    /// A clock that reads `wall_unix_ns` at the monotonic time `mono_ns`.
    pub fn new(wall_unix_ns: u128, mono_ns: u64) -> ChannelClock {
        ChannelClock {
            value_ns: wall_unix_ns,
            mono_ns,
            error_ns: 0,
        }
    }

    /// Unix nanoseconds at that monotonic time. A time before the last observation counts as the
    /// observation's.
    pub fn now(&self, mono_ns: u64) -> u128 {
        let elapsed = mono_ns.saturating_sub(self.mono_ns);
        let most = i128::from(elapsed / SLEW_DIVISOR);
        let corrected = i128::from(elapsed) + self.error_ns.clamp(-most, most);
        // Positive: the correction is at most one part in 200 of `elapsed`.
        self.value_ns.saturating_add(corrected.unsigned_abs())
    }

    /// Takes in a new sample of the wall clock; from here on the difference is slewed away.
    pub fn observe(&mut self, wall_unix_ns: u128, mono_ns: u64) {
        self.value_ns = self.now(mono_ns);
        self.mono_ns = self.mono_ns.max(mono_ns);
        let behind = wall_unix_ns.saturating_sub(self.value_ns).min(ERROR_MAX);
        let ahead = self.value_ns.saturating_sub(wall_unix_ns).min(ERROR_MAX);
        self.error_ns = behind as i128 - ahead as i128;
    }

    /// Wall time minus channel time at that moment, as last observed and slewed since.
    pub fn error_ns(&self, mono_ns: u64) -> i128 {
        let most = i128::from(mono_ns.saturating_sub(self.mono_ns) / SLEW_DIVISOR);
        self.error_ns - self.error_ns.clamp(-most, most)
    }
}

/// 0.5 %: a second of error is gone after 200 s, and a player's buffer hardly notices.
const SLEW_DIVISOR: u64 = 200;
/// Keeps the signed arithmetic exact whatever a wall clock says.
const ERROR_MAX: u128 = u64::MAX as u128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_wall_clock_step_is_slewed_away_in_two_hundred_times_its_size() {
        let mut clock = ChannelClock::new(1_000 * u128::from(SECOND), 0);
        clock.observe(1_001 * u128::from(SECOND), 0);
        assert_eq!(clock.now(0), 1_000 * u128::from(SECOND), "no step");
        assert_eq!(
            clock.now(100 * SECOND),
            1_100 * u128::from(SECOND) + u128::from(SECOND) / 2
        );
        assert_eq!(clock.error_ns(100 * SECOND), i128::from(SECOND) / 2);
        assert_eq!(clock.now(200 * SECOND), 1_201 * u128::from(SECOND));
        assert_eq!(
            clock.now(300 * SECOND),
            1_301 * u128::from(SECOND),
            "and no further"
        );
    }

    #[test]
    fn a_step_back_slows_the_clock_and_never_turns_it() {
        let mut clock = ChannelClock::new(1_000 * u128::from(SECOND), 0);
        clock.observe(900 * u128::from(SECOND), 0);
        assert_eq!(clock.now(200 * SECOND), 1_199 * u128::from(SECOND));
        assert_eq!(clock.error_ns(200 * SECOND), -99 * i128::from(SECOND));
    }

    proptest! {
        #[test]
        fn the_clock_is_monotone_and_its_rate_stays_within_half_a_percent(
            start in 0u64..u64::MAX / 4,
            steps in prop::collection::vec((0u64..10_000_000_000, any::<Option<u64>>()), 1..60),
        ) {
            let mut clock = ChannelClock::new(u128::from(start), 0);
            let mut mono = 0u64;
            let mut last = clock.now(0);
            for (advance, wall) in steps {
                mono += advance;
                let now = clock.now(mono);
                let passed = now.checked_sub(last);
                prop_assert!(passed.is_some(), "stepped back from {last} to {now}");
                let drift = passed.unwrap_or(0).abs_diff(u128::from(advance));
                // Rounding to a nanosecond may fall on either side of the interval.
                prop_assert!(drift * 200 <= u128::from(advance) + 200, "{drift} ns in {advance} ns");
                if let Some(wall) = wall {
                    clock.observe(u128::from(wall), mono);
                    prop_assert_eq!(clock.now(mono), now, "an observation stepped the clock");
                }
                last = now;
            }
        }

        #[test]
        fn a_steady_wall_clock_is_reached(error in -5_000_000_000i64..5_000_000_000) {
            let base = 1_000_000_000_000u64;
            let mut clock = ChannelClock::new(u128::from(base.saturating_add_signed(error)), 0);
            for mono in (0..1_100 * SECOND).step_by(SECOND as usize) {
                clock.observe(u128::from(base + mono), mono);
            }
            let mono = 1_100 * SECOND;
            prop_assert_eq!(clock.now(mono), u128::from(base + mono));
        }
    }
}
