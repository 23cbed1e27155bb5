//! The only place of this crate that reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::topology::Now;

/// Time since its creation, and the wall clock beside it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// The time of an input that arrives now.
    pub fn now(&self) -> Now {
        Now {
            at: self.started.elapsed(),
            unix_ms: unix_ms(),
        }
    }
}

/// Wall clock in milliseconds; 0 before 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
