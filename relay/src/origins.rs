//! The content servers as a root hears them: beats in, a table and selections out. Pure.
//!
//! metric = (weight_latency · latency + weight_loss · late + weight_load · load) / sum of weights,
//! each in permille, lower is better. latency: the server's own median round-trip time against half
//! a second; late: the share of its beats echoed late; load: the greater of CPU and memory. Each is
//! the median of the last beats, so that one of them swings nothing. Weights of 0/0/0 mean the
//! defaults. Whose beats are believed is in [`beats`], who feeds a stream in [`selection`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use banyan_proto::v1;

use crate::clock::Instant;
use crate::status::{OriginStatus, Preparing};
use crate::upstream::Cause;

mod beats;
mod selection;

pub(crate) use beats::BeatError;
use selection::{Candidate, Obstacle, Rules, Selections};
pub(crate) use selection::{Field, Reselection};

/// A round trip this long is as bad as any.
const WORST_RTT_US: u64 = 500_000;
const DEFAULT_WEIGHTS: [u64; 3] = [50, 30, 20];

/// Beats whose median counts.
const WINDOW: usize = 15;

/// A content server whose clock differs more releases its media at another time than the others.
const MOST_SKEW_US: u64 = 2_000_000;

/// Why a content server offers nothing.
const NOT_PREPARED: &str = "NotPrepared";

#[derive(Debug)]
pub(crate) struct Origins {
    weights: [u64; 3],
    /// Missed beats × interval.
    patience: Duration,
    rules: Rules,
    table: BTreeMap<String, Origin>,
    selections: Selections,
    calls: u64,
}

#[derive(Debug, Default)]
struct Origin {
    /// None before the first beat.
    heard: Option<Instant>,
    /// The newest call; older ones are no longer listened to.
    call: u64,
    last_sequence: Option<u64>,
    beat: v1::Beat,
    window: VecDeque<Inputs>,
}

/// What the metric is made of.
#[derive(Clone, Copy, Debug)]
struct Inputs {
    /// None = not measured yet, which counts as the worst.
    rtt_us: Option<u32>,
    late_permille: u32,
    load_permille: u32,
}

impl Origins {
    pub(crate) fn new(config: &v1::Config) -> Origins {
        let mut origins = Origins {
            weights: DEFAULT_WEIGHTS,
            patience: Duration::ZERO,
            rules: Rules::new(0, 0),
            table: BTreeMap::new(),
            selections: Selections::default(),
            calls: 0,
        };
        origins.configure(config);
        origins
    }

    pub(crate) fn configure(&mut self, config: &v1::Config) {
        let weights = [
            config.weight_latency,
            config.weight_loss,
            config.weight_load,
        ];
        self.weights = if weights == [0; 3] {
            DEFAULT_WEIGHTS
        } else {
            weights.map(u64::from)
        };
        let interval = config.heartbeat_interval_ms.max(1);
        let missed = match config.missed_heartbeats {
            0 => 3,
            missed => missed,
        };
        self.patience = Duration::from_millis(u64::from(interval)) * missed;
        self.rules = Rules::new(config.hysteresis_percent, config.minimum_dwell_ms);
    }

    // ---- beats --------------------------------------------------------------------------------

    /// A call of `source` began: its sequence starts anew, and its earlier calls are over.
    pub(crate) fn call_began(&mut self, source: &str) -> u64 {
        self.calls += 1;
        let origin = self.table.entry(source.to_owned()).or_default();
        origin.call = self.calls;
        origin.last_sequence = None;
        self.calls
    }

    /// Takes a beat of a call. True when the endpoint to be used changed.
    pub(crate) fn beat(
        &mut self,
        source: &str,
        call: u64,
        beat: v1::Beat,
        now: Instant,
    ) -> Result<bool, BeatError> {
        beats::check(&beat)?;
        let known = self.table.get(source);
        if known.is_some_and(|origin| origin.call != call) {
            return Err(BeatError::Superseded {
                source_name: source.to_owned(),
            });
        }
        if let Some(last) = known.and_then(|origin| origin.last_sequence)
            && beat.sequence <= last
        {
            return Err(BeatError::Replayed {
                sequence: beat.sequence,
                last,
            });
        }
        let origin = self.table.entry(source.to_owned()).or_default();
        let moved = origin.beat.endpoints.first() != beat.endpoints.first();
        if origin.window.len() >= WINDOW {
            origin.window.pop_front();
        }
        origin.window.push_back(Inputs {
            rtt_us: (beat.rtt_median_us != 0).then_some(beat.rtt_median_us),
            late_permille: beat.late_permille,
            load_permille: load_permille(&beat),
        });
        origin.heard = Some(now);
        origin.last_sequence = Some(beat.sequence);
        origin.beat = beat;
        Ok(moved)
    }

    /// Every content server heard so far, with the endpoint it names first.
    pub(crate) fn peers(&self) -> Vec<v1::Peer> {
        self.table
            .iter()
            .filter_map(|(name, origin)| {
                Some(v1::Peer {
                    name: name.clone(),
                    uri: origin.beat.endpoints.first()?.clone(),
                })
            })
            .collect()
    }

    // ---- selection ----------------------------------------------------------------------------

    /// Those that offer a stream, in the order in which they are to be tried; `run` tells which run
    /// of it a content server offers.
    pub(crate) fn ranked(
        &self,
        stream: &str,
        run: impl Fn(&str) -> Option<String>,
        now: Instant,
    ) -> Vec<v1::Peer> {
        let mut candidates = self.candidates(run, now);
        self.selections.rank(stream, &mut candidates, now);
        candidates
            .into_iter()
            .filter_map(|candidate| {
                let origin = self.table.get(&candidate.name)?;
                Some(v1::Peer {
                    uri: origin.beat.endpoints.first()?.clone(),
                    name: candidate.name,
                })
            })
            .collect()
    }

    /// Those that offer a stream, in no order.
    fn candidates(&self, run: impl Fn(&str) -> Option<String>, now: Instant) -> Vec<Candidate> {
        self.table
            .iter()
            .filter(|(_, origin)| !origin.beat.endpoints.is_empty())
            .filter_map(|(name, origin)| {
                Some(Candidate {
                    name: name.clone(),
                    metric: self.metric(&origin.inputs()),
                    scatter: self.scatter(origin),
                    run: run(name)?,
                    obstacle: self.obstacle(origin, now),
                })
            })
            .collect()
    }

    /// Decides every stream; `run` tells which run of a stream a content server offers, `feeds` who
    /// feeds it now and whether a fellow root does.
    pub(crate) fn select(
        &mut self,
        run: impl Fn(&str, &str) -> Option<String>,
        feeds: impl Fn(&str) -> Field,
        now: Instant,
    ) -> Vec<Reselection> {
        let mut selections = std::mem::take(&mut self.selections);
        let field = |stream: &str| Field {
            candidates: self.candidates(|origin| run(origin, stream), now),
            ..feeds(stream)
        };
        let decided = selections.decide(&self.rules, field, now);
        self.selections = selections;
        decided
    }

    /// A track of `stream` flows from `origin`; `left` = whom it left for it, and why.
    pub(crate) fn flows(
        &mut self,
        stream: &str,
        origin: &str,
        run: &str,
        left: Option<(&str, Cause)>,
        now: Instant,
    ) {
        self.selections.flows(stream, origin, run, left, now);
    }

    /// Where a track that flows from `current` should go, and why.
    pub(crate) fn wanted(&self, stream: &str, current: &str) -> Option<(v1::Peer, Cause)> {
        let (name, cause) = self.selections.wanted(stream, current)?;
        let uri = self.table.get(name)?.beat.endpoints.first()?.clone();
        let name = name.to_owned();
        Some((v1::Peer { name, uri }, cause))
    }

    fn obstacle(&self, origin: &Origin, now: Instant) -> Option<Obstacle> {
        let silent = origin
            .heard
            .is_none_or(|at| now.saturating_duration_since(at) > self.patience);
        if silent {
            Some(Obstacle::Silent)
        } else if origin.beat.draining {
            Some(Obstacle::Draining)
        } else if origin.beat.clock_offset_us.unsigned_abs() > MOST_SKEW_US {
            Some(Obstacle::ClockSkew)
        } else {
            None
        }
    }

    fn metric(&self, inputs: &Inputs) -> u32 {
        let latency = inputs
            .rtt_us
            .map_or(1000, |rtt| (u64::from(rtt) * 1000 / WORST_RTT_US).min(1000));
        let parts = [
            latency,
            u64::from(inputs.late_permille),
            u64::from(inputs.load_permille),
        ];
        let sum: u64 = self.weights.iter().sum();
        let weighed: u64 = self.weights.iter().zip(parts).map(|(w, p)| w * p).sum();
        (weighed / sum.max(1)) as u32
    }

    /// Within how much the middle half of the last beats' metrics lies.
    fn scatter(&self, origin: &Origin) -> u32 {
        let mut metrics: Vec<u32> = origin
            .window
            .iter()
            .filter(|sample| sample.rtt_us.is_some())
            .map(|sample| self.metric(sample))
            .collect();
        metrics.sort_unstable();
        let at = |quarter: usize| metrics.get(metrics.len() * quarter / 4);
        match (at(1), at(3)) {
            (Some(low), Some(high)) => high - low,
            _ => 0,
        }
    }

    // ---- the table ----------------------------------------------------------------------------

    /// The table for people; `feeds` tells which streams are pulled from whom.
    pub(crate) fn status(
        &self,
        feeds: &BTreeMap<String, Vec<String>>,
        now: Instant,
    ) -> Vec<OriginStatus> {
        self.table
            .iter()
            .filter(|(_, origin)| origin.heard.is_some())
            .map(|(name, origin)| {
                let feeds = feeds.get(name).cloned().unwrap_or_default();
                let reason = match self.obstacle(origin, now) {
                    Some(obstacle) => obstacle.label(),
                    None if origin.beat.contents.is_empty() => NOT_PREPARED,
                    None => "",
                };
                let state = match reason {
                    _ if !feeds.is_empty() => "Active",
                    "" => "Standby",
                    "Silent" => "Silent",
                    _ => "Ineligible",
                };
                let inputs = origin.inputs();
                OriginStatus {
                    source: name.clone(),
                    metric: self.metric(&inputs),
                    contents: origin.beat.contents.clone(),
                    state: state.to_owned(),
                    reason: reason.to_owned(),
                    rtt_us: inputs.rtt_us.unwrap_or(0),
                    late_permille: inputs.late_permille,
                    load_permille: inputs.load_permille,
                    clock_offset_us: origin.beat.clock_offset_us,
                    feeds,
                    preparing: origin.beat.preparing.iter().map(preparing).collect(),
                }
            })
            .collect()
    }
}

impl Origin {
    fn inputs(&self) -> Inputs {
        let of = |value: fn(&Inputs) -> u32| median(self.window.iter().map(value));
        Inputs {
            rtt_us: median(self.window.iter().filter_map(|sample| sample.rtt_us)),
            late_permille: of(|sample| sample.late_permille).unwrap_or(0),
            load_permille: of(|sample| sample.load_permille).unwrap_or(0),
        }
    }
}

/// The lower one of two in the middle: a first good measurement outweighs a first bad one.
fn median(values: impl Iterator<Item = u32>) -> Option<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

fn preparing(p: &v1::Preparation) -> Preparing {
    Preparing {
        content: p.content.clone(),
        permille: p.permille,
        remaining_ms: p.remaining_ms,
        error: p.error.clone(),
    }
}

fn load_permille(beat: &v1::Beat) -> u32 {
    let Some(load) = &beat.load else { return 0 };
    let memory = load
        .memory_bytes
        .saturating_mul(1000)
        .checked_div(load.memory_limit_bytes)
        .unwrap_or(0);
    load.cpu_permille.max(memory.min(1000) as u32).min(1000)
}

#[cfg(test)]
mod tests;
