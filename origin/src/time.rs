//! The one place that reads clocks: the channel clock, monotonic time and waiting for a moment of the channel.

use std::sync::LazyLock;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banyan_media::ChannelClock;
use tokio::time::Instant;

/// Wall clock sampled at start plus monotonic time, slewed towards later samples. Under tokio's paused clock it stands too.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    channel: Mutex<ChannelClock>,
    wall_start: u128,
    /// A clock started at a chosen time follows that one, not the machine's.
    free: bool,
}

impl Clock {
    /// The machine's time.
    pub(crate) fn machine() -> Self {
        Self::new(unix_ns(), false)
    }

    /// As if it were `unix_ns` now.
    pub(crate) fn at(unix_ns: u128) -> Self {
        Self::new(unix_ns, true)
    }

    fn new(wall: u128, free: bool) -> Self {
        Self {
            started: Instant::now(),
            channel: Mutex::new(ChannelClock::new(wall, 0)),
            wall_start: wall,
            free,
        }
    }

    /// Channel time, nanoseconds since 1970.
    pub(crate) fn now(&self) -> u128 {
        self.channel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .now(self.mono())
    }

    /// Time since start.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits until channel time is `unix_ns`, at most `most`.
    pub(crate) async fn sleep_until(&self, unix_ns: u128, most: Duration) {
        let wait = unix_ns.saturating_sub(self.now());
        let wait = u64::try_from(wait)
            .map_or(most, Duration::from_nanos)
            .min(most);
        // Slewing makes a nanosecond of channel time up to half a percent longer; the caller looks again.
        tokio::time::sleep(wait).await;
    }

    /// Lets the channel clock follow the machine's, as NTP moves it.
    pub(crate) fn observe(&self) {
        let wall = if self.free {
            self.wall_start + u128::from(self.mono())
        } else {
            unix_ns()
        };
        self.channel
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(wall, self.mono());
    }

    fn mono(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The machine's wall clock.
pub(crate) fn unix_ns() -> u128 {
    let ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos());
    ns.saturating_add_signed(*WRONG)
}

/// How wrong this process's idea of the time is, for experiments: `BANYAN_CLOCK_OFFSET_MS`.
static WRONG: LazyLock<i128> = LazyLock::new(|| {
    let text = std::env::var("BANYAN_CLOCK_OFFSET_MS").unwrap_or_default();
    text.parse::<i64>()
        .map_or(0, |ms| i128::from(ms) * 1_000_000)
});

pub(crate) fn unix_ms() -> u64 {
    u64::try_from(unix_ns() / 1_000_000).unwrap_or(u64::MAX)
}

pub(crate) const NS: u128 = 1_000_000_000;
