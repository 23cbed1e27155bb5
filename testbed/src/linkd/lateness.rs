//! How late frames were handed over, compared with when they were due.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// In microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Frames handed over.
    pub frames: u64,
    /// Half of them were no later.
    pub p50_us: u64,
    /// 99 of a hundred were no later.
    pub p99_us: u64,
    /// None was later.
    pub max_us: u64,
}

pub(super) struct Lateness(Option<Histogram<u64>>);

impl Default for Lateness {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 2).ok())
    }
}

impl Lateness {
    pub(super) fn record(&mut self, nanos: u64) {
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(nanos / 1_000);
        }
    }

    pub(super) fn summary(&self) -> Summary {
        let Some(histogram) = &self.0 else {
            return Summary::default();
        };
        Summary {
            frames: histogram.len(),
            p50_us: histogram.value_at_quantile(0.5),
            p99_us: histogram.value_at_quantile(0.99),
            max_us: histogram.max(),
        }
    }
}

/// What is later is counted as this.
const LONGEST_US: u64 = 600_000_000;
