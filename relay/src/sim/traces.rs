//! Arrivals recorded on a loaded machine, replayed through the failure detector: nobody is left.
//!
//! A trace is what one member read from one parent over a real socket: `m,µs` a message arrived,
//! `p,µs,µs` the member's own timers stood still from then to then; both since the beginning. To
//! record one under whatever load there is:
//! `BANYAN_TRACE=out.csv BANYAN_TRACE_SECONDS=60 cargo test -p banyan-relay --lib sim::traces::record::record -- --exact`

use std::time::Duration;

use crate::clock::Instant;
use crate::upstream::{Cause, Order, Tuning, Upstream};

mod record;

/// By name: what the machine did meanwhile.
const TRACES: [(&str, &str); 3] = [
    ("compiling", include_str!("traces/compiling.csv")),
    ("busy-6", include_str!("traces/busy-6.csv")),
    ("busy-30", include_str!("traces/busy-30.csv")),
];

#[derive(Clone, Debug, Default)]
struct Trace {
    messages: Vec<Duration>,
    pauses: Vec<(Duration, Duration)>,
}

impl Trace {
    fn parse(text: &str) -> Trace {
        let mut trace = Trace::default();
        let us = |field: Option<&str>| Duration::from_micros(field.unwrap().parse().unwrap());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut fields = line.split(',');
            match fields.next() {
                Some("m") => trace.messages.push(us(fields.next())),
                Some("p") => trace.pauses.push((us(fields.next()), us(fields.next()))),
                kind => panic!("{kind:?} is no kind of line"),
            }
        }
        trace.messages.sort();
        trace
    }

    /// When a timer set for `at` fired in that process.
    fn fires(&self, at: Duration) -> Duration {
        let pause = self
            .pauses
            .iter()
            .find(|(from, to)| (*from..*to).contains(&at));
        pause.map_or(at, |(_, to)| *to)
    }

    fn longest_gap(&self) -> Duration {
        let gaps = self.messages.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    fn gaps_over(&self, limit: Duration) -> usize {
        let gaps = self.messages.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.filter(|gap| *gap > limit).count()
    }

    /// Without what arrived in `[from, from + length)`.
    fn cut(&self, from: Duration, length: Duration) -> Trace {
        let mut cut = self.clone();
        cut.messages.retain(|at| *at < from || *at >= from + length);
        // The member itself was awake.
        cut.pauses.retain(|(_, to)| *to < from);
        cut
    }

    /// With a silence of `length` at `from`: everything after it comes later.
    fn shifted(&self, from: Duration, length: Duration) -> Trace {
        let mut shifted = self.clone();
        for at in shifted.messages.iter_mut().filter(|at| **at >= from) {
            *at += length;
        }
        shifted.pauses.retain(|(_, to)| *to < from);
        shifted
    }

    /// Replays it: when the detector left the hop, and why.
    fn replay(&self, tuning: Tuning) -> Vec<(Duration, Cause)> {
        let base = Instant::now();
        let mut left = Vec::new();
        let mut machine = Upstream::new("edge-7", tuning, base);
        machine.rank(["mid-0".to_owned()], [], []);
        machine.start(base);
        // Flows from the first message on; joins anew at the next one whenever it was left.
        let join = |machine: &mut Upstream, at: Duration| {
            for n in 0..10_000 {
                if let Order::Subscribe { .. } =
                    machine.poll(base + at + n * Duration::from_millis(1))
                {
                    break;
                }
            }
            machine.on_message(base + at);
            machine.on_flowing(base + at);
        };
        join(&mut machine, self.messages[0]);
        for pair in self.messages.windows(2) {
            let mut now = pair[0];
            loop {
                match machine.poll(base + now) {
                    Order::Leave { cause, .. } => {
                        left.push((now, cause));
                        join(&mut machine, pair[1]);
                        break;
                    }
                    Order::Wait(until) => {
                        let due = self.fires(until.saturating_duration_since(base));
                        if due >= pair[1] {
                            machine.on_message(base + pair[1]);
                            break;
                        }
                        now = due.max(now);
                    }
                    order => panic!("{order:?} while flowing"),
                }
            }
        }
        left
    }
}

fn traces() -> impl Iterator<Item = (&'static str, Trace)> {
    TRACES
        .iter()
        .map(|(name, text)| (*name, Trace::parse(text)))
}

#[test]
fn a_loaded_machine_leaves_nobody() {
    for (name, trace) in traces() {
        let left = trace.replay(Tuning::default());
        println!(
            "{name}: {} messages, {} gaps over 200 ms, longest {:?}, {} pauses",
            trace.messages.len(),
            trace.gaps_over(Duration::from_millis(200)),
            trace.longest_gap(),
            trace.pauses.len()
        );
        assert!(left.is_empty(), "{name}: left {left:?}");
    }
}

/// The same replay does see a hop that falls silent.
#[test]
fn a_silence_cut_into_a_trace_is_left_and_one_put_in_too() {
    for (name, trace) in traces() {
        let end = trace.messages[trace.messages.len() - 1];
        for tenth in 2..8 {
            let from = end * tenth / 10;
            let length = Duration::from_millis(2600);
            for broken in [trace.cut(from, length), trace.shifted(from, length)] {
                let left = broken.replay(Tuning::default());
                let [(at, Cause::HopSilent)] = left[..] else {
                    panic!("{name}: silent at {from:?}, left {left:?}")
                };
                assert!(
                    at >= from && at <= from + Duration::from_millis(2200),
                    "{name}: silent at {from:?}, left at {at:?}"
                );
            }
        }
    }
}
