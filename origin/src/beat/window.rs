//! Round trips of the last beats: minimum, median, how many came late, and the difference of the clocks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use banyan_proto::v1;
use tokio::time::Instant;

/// Measurements of one root.
#[derive(Debug, Default)]
pub(super) struct Window {
    waiting: BTreeMap<u64, Instant>,
    samples: VecDeque<Sample>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// `None` = never echoed.
    rtt: Option<Duration>,
    offset_us: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) rtt_min_us: u32,
    pub(super) rtt_median_us: u32,
    pub(super) late_permille: u32,
    pub(super) clock_offset_us: i64,
}

impl Window {
    pub(super) fn sent(&mut self, sequence: u64, now: Instant) {
        // What has not come back for seconds will not be waited for.
        let lost: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, at)| now.duration_since(**at) > LOST)
            .map(|(sequence, _)| *sequence)
            .collect();
        for sequence in lost {
            self.waiting.remove(&sequence);
            self.push(Sample {
                rtt: None,
                offset_us: 0,
            });
        }
        self.waiting.insert(sequence, now);
    }

    pub(super) fn echoed(&mut self, echo: &v1::Echo, now: Instant, unix_ns: u128) {
        let Some(sent) = self.waiting.remove(&echo.sequence) else {
            return;
        };
        let rtt = now.duration_since(sent);
        // The root's clock at the echo against ours half a round trip ago.
        let ours = i128::try_from(unix_ns).unwrap_or(0) - rtt.as_nanos() as i128 / 2;
        let offset_us = i64::try_from((i128::from(echo.echoed_unix_ns) - ours) / 1000).unwrap_or(0);
        self.push(Sample {
            rtt: Some(rtt),
            offset_us,
        });
    }

    /// Beats on the way are neither lost nor late: the connection ended, which is told otherwise.
    pub(super) fn disconnected(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn measured(&self) -> Measured {
        let mut trips: Vec<(Duration, i64)> = self
            .samples
            .iter()
            .filter_map(|s| Some((s.rtt?, s.offset_us)))
            .collect();
        trips.sort_unstable();
        let Some(&(min, offset)) = trips.first() else {
            return Measured::default();
        };
        let late = self
            .samples
            .iter()
            .filter(|s| s.rtt.is_none_or(|rtt| rtt > min + LATE))
            .count();
        let micros = |d: Duration| u32::try_from(d.as_micros()).unwrap_or(u32::MAX);
        Measured {
            rtt_min_us: micros(min),
            rtt_median_us: micros(trips[trips.len() / 2].0),
            late_permille: u32::try_from(late * 1000 / self.samples.len().max(1)).unwrap_or(1000),
            // The quickest trip has the least room for asymmetry.
            clock_offset_us: offset,
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() >= KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

/// A lost TCP segment waits for a retransmission timeout of at least 200 ms.
const LATE: Duration = Duration::from_millis(150);
const LOST: Duration = Duration::from_secs(3);
/// A minute of beats at the usual interval of one second.
const KEPT: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trips_are_measured_and_late_and_lost_ones_counted() {
        let mut window = Window::default();
        let wall = 1_000_000_000_000_000_000u128;
        let start = Instant::now();
        for (sequence, rtt_ms) in [(1, 10), (2, 20), (3, 400), (4, 30)] {
            window.sent(sequence, Instant::now());
            tokio::time::advance(Duration::from_millis(rtt_ms)).await;
            let now = wall + start.elapsed().as_nanos();
            // The root's clock is 5 ms ahead and echoes half-way.
            let echoed = now - u128::from(rtt_ms) * 500_000 + 5_000_000;
            let echo = v1::Echo {
                sequence,
                echoed_unix_ns: echoed as u64,
                ..Default::default()
            };
            window.echoed(&echo, Instant::now(), now);
        }
        let expected = Measured {
            rtt_min_us: 10_000,
            rtt_median_us: 30_000,
            late_permille: 250,
            clock_offset_us: 5_000,
        };
        assert_eq!(window.measured(), expected);
        window.sent(5, Instant::now());
        tokio::time::advance(Duration::from_secs(4)).await;
        window.sent(6, Instant::now());
        assert_eq!(window.measured().late_permille, 400);
    }
}
