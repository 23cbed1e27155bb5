//! Which rendition of the video an adaptive viewer fetches next.
//!
//! Two rules of dash.js with their published constants, the stricter of which counts (`ThroughputRule.js` with
//! `ThroughputHistory.js`, and `InsufficientBufferRule.js`, in `src/streaming` of Dash-Industry-Forum/dash.js, v3):
//! the best rendition whose bit rate is at most 0.9 of the mean throughput of the last three segments, and whose
//! segment would arrive within half the time for which the buffer lasts. A viewer that has measured nothing, or has
//! nothing to play, takes the lowest. Pure: times and bytes come in, a choice goes out. A segment that was begun is
//! fetched to its end.

use std::collections::VecDeque;
use std::time::Duration;

/// One way to fetch the track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    /// Of its playlist.
    pub(super) path: String,
    /// Bits per second.
    pub(super) rate: u64,
}

/// The ways to fetch one track, lowest rate first, and the one in use.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    steps: Vec<Step>,
    current: usize,
    /// Bits per second of the newest segments.
    throughput: VecDeque<f64>,
    /// Segment that was chosen for.
    chosen_for: Option<u64>,
    /// Left for the current step, which is not known yet to have the segment.
    left: Option<usize>,
}

// === impl Ladder ===

impl Ladder {
    /// Begins with the lowest; one step = nothing to choose.
    pub(super) fn new(mut steps: Vec<Step>) -> Self {
        steps.sort_by_key(|step| step.rate);
        Self {
            steps,
            current: 0,
            throughput: VecDeque::new(),
            chosen_for: None,
            left: None,
        }
    }

    /// Name of the rendition in use.
    pub(super) fn name(&self) -> &str {
        self.steps.get(self.current).map_or("", |step| &step.name)
    }

    /// Path of its playlist.
    pub(super) fn path(&self) -> &str {
        self.steps.get(self.current).map_or("", |step| &step.path)
    }

    /// So much arrived while a segment was fetched.
    pub(super) fn measured(&mut self, bytes: u64, took: Duration) {
        let seconds = took.max(SHORTEST).as_secs_f64();
        self.throughput.push_back(bytes as f64 * 8.0 / seconds);
        if self.throughput.len() > SAMPLES {
            self.throughput.pop_front();
        }
    }

    /// Chooses for segment `number`, once; true = by another playlist than before.
    pub(super) fn choose(
        &mut self,
        number: u64,
        segment: Duration,
        buffered: Option<Duration>,
    ) -> bool {
        if self.steps.len() < 2 || self.chosen_for.replace(number) == Some(number) {
            return false;
        }
        let next = self.best(segment, buffered);
        let changes = next != self.current;
        if changes {
            self.left = Some(std::mem::replace(&mut self.current, next));
        }
        changes
    }

    /// The new playlist was read; true = it lacks the segment, and the old one is to be read for it.
    pub(super) fn returns(&mut self, listed: bool) -> bool {
        match self.left.take() {
            Some(left) if !listed => {
                self.current = left;
                true
            }
            _ => false,
        }
    }

    fn best(&self, segment: Duration, buffered: Option<Duration>) -> usize {
        let (false, Some(buffered)) = (self.throughput.is_empty(), buffered) else {
            return 0;
        };
        let mean = self.throughput.iter().sum::<f64>() / self.throughput.len() as f64;
        let segments = buffered.as_secs_f64() / segment.max(SHORTEST).as_secs_f64();
        let limit = mean * SAFETY.min(segments * BUFFER_SAFETY);
        let fits = |step: &Step| step.rate as f64 <= limit;
        self.steps.iter().rposition(fits).unwrap_or(0)
    }
}

/// `AVERAGE_THROUGHPUT_SAMPLE_AMOUNT_LIVE`.
const SAMPLES: usize = 3;

/// `bandwidthSafetyFactor`.
const SAFETY: f64 = 0.9;

/// `INSUFFICIENT_BUFFER_SAFETY_FACTOR`.
const BUFFER_SAFETY: f64 = 0.5;

/// Nothing is measured faster than this: a division by nothing would be a rate without end.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ladder, Step};

    fn ladder() -> Ladder {
        let step = |name: &str, rate| Step {
            name: name.to_owned(),
            path: format!("/kites/{name}.m3u8"),
            rate,
        };
        Ladder::new(vec![
            step("top", 1_000_000),
            step("low", 200_000),
            step("mid", 600_000),
        ])
    }

    const SEGMENT: Duration = Duration::from_secs(2);

    #[test]
    fn throughput_and_buffer_choose_the_rendition() {
        // kbit/s of the segments so far, seconds buffered, what is fetched next.
        let table: &[(&[u64], Option<f64>, &str)] = &[
            (&[], Some(6.0), "low"),
            (&[5_000], None, "low"),
            (&[5_000], Some(0.0), "low"),
            (&[5_000], Some(6.0), "top"),
            (&[1_112], Some(6.0), "top"),
            (&[1_111], Some(6.0), "mid"),
            (&[667], Some(6.0), "mid"),
            (&[666], Some(6.0), "low"),
            (&[100], Some(6.0), "low"),
            // The mean of the newest three.
            (&[300, 300, 1_200], Some(6.0), "low"),
            (&[300, 1_200, 1_200], Some(6.0), "mid"),
            (&[300, 1_200, 1_200, 1_200], Some(6.0), "top"),
            (&[9_000, 9_000, 300, 300, 300], Some(6.0), "low"),
            // Two seconds of buffer allow half the throughput, one a quarter.
            (&[2_000], Some(2.0), "top"),
            (&[1_999], Some(2.0), "mid"),
            (&[2_400], Some(1.0), "mid"),
            (&[2_399], Some(1.0), "low"),
            (&[4_000], Some(1.0), "top"),
        ];
        for (kbps, buffered, expected) in table {
            let mut ladder = ladder();
            for kbps in *kbps {
                ladder.measured(kbps * 125 * 2, SEGMENT);
            }
            let changed = ladder.choose(7, SEGMENT, buffered.map(Duration::from_secs_f64));
            assert_eq!(ladder.name(), *expected, "{kbps:?}, {buffered:?}");
            assert_eq!(changed, *expected != "low", "{kbps:?}, {buffered:?}");
        }
    }

    #[test]
    fn a_segment_is_chosen_for_once_and_fetched_where_it_is_listed() {
        let full = Some(Duration::from_secs(6));
        let mut ladder = ladder();
        ladder.measured(10_000_000, SEGMENT);
        assert!(ladder.choose(7, SEGMENT, full));
        assert!(!ladder.choose(7, SEGMENT, None), "chosen already");
        assert!(ladder.returns(false), "the new playlist lacks it");
        assert_eq!(ladder.path(), "/kites/low.m3u8");
        assert!(!ladder.choose(7, SEGMENT, full), "it stays with the old");
        assert!(ladder.choose(8, SEGMENT, full));
        assert!(!ladder.returns(true));
        assert!(!ladder.returns(false), "only a change can be undone");
        assert_eq!(ladder.path(), "/kites/top.m3u8");
    }

    #[test]
    fn one_rendition_is_kept() {
        let mut ladder = ladder();
        ladder.steps.truncate(1);
        ladder.measured(1, SEGMENT);
        assert!(!ladder.choose(7, SEGMENT, None));
        assert_eq!(ladder.name(), "low");
    }
}
