//! The one place that reads clocks: monotonic instants for decisions, Unix time for records.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use tokio::time::Instant;

/// Unix time sampled at start plus monotonic time: never stepped while the process lives.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    unix: Duration,
    start: Instant,
}

impl Clock {
    /// Samples the system's clock.
    pub fn system() -> Clock {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock::starting_at(unix)
    }

    /// Starts at a given Unix time; for simulations.
    pub fn starting_at(unix: Duration) -> Clock {
        Clock {
            unix,
            start: Instant::now(),
        }
    }

    pub fn now(&self) -> Instant {
        Instant::now()
    }

    pub fn unix(&self) -> Duration {
        self.unix + self.start.elapsed()
    }

    pub fn unix_ms(&self) -> u64 {
        self.unix().as_millis() as u64
    }

    pub fn uptime(&self) -> Duration {
        self.start.elapsed()
    }
}
