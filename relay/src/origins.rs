//! The content servers as a root hears them: beats in, a table and a ranking out. Pure.
//!
//! metric = (weight_latency · latency + weight_loss · late + weight_load · load) / sum of weights,
//! each in permille, lower is better. latency: the server's own median round-trip time against half
//! a second; late: the share of its beats echoed late; load: the greater of CPU and memory. Weights
//! of 0/0/0 mean the defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_proto::{transport, v1};

use crate::clock::Instant;
use crate::status::{OriginStatus, Preparing};

/// A round trip this long is as bad as any.
const WORST_RTT_US: u64 = 500_000;
/// Round trips beyond a minute, lists beyond these lengths, are not measurements.
const IMPOSSIBLE_RTT_US: u32 = 60_000_000;
const MAX_ENDPOINTS: usize = 8;
const MAX_CONTENTS: usize = 4096;
const DEFAULT_WEIGHTS: [u64; 3] = [50, 30, 20];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeatError {
    #[error("beat {sequence} came after {last}; sequences only grow within a call")]
    Replayed { sequence: u64, last: u64 },
    #[error("{what} of {value} is impossible; {accepted} is accepted")]
    Impossible {
        what: &'static str,
        value: u64,
        accepted: &'static str,
    },
    #[error("endpoint {0:?} is not usable; a URI such as \"http://host:port\" is accepted")]
    Endpoint(String),
}

#[derive(Debug)]
pub(crate) struct Origins {
    weights: [u64; 3],
    /// Missed beats × interval.
    patience: Duration,
    table: BTreeMap<String, Origin>,
}

#[derive(Debug)]
struct Origin {
    heard: Instant,
    last_sequence: Option<u64>,
    beat: v1::Beat,
}

impl Origins {
    pub(crate) fn new(config: &v1::Config) -> Origins {
        let mut origins = Origins {
            weights: DEFAULT_WEIGHTS,
            patience: Duration::ZERO,
            table: BTreeMap::new(),
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
        self.patience = Duration::from_millis(u64::from(interval))
            * if config.missed_heartbeats == 0 {
                3
            } else {
                config.missed_heartbeats
            };
    }

    /// A call of `source` began: its sequence starts anew.
    pub(crate) fn call_began(&mut self, source: &str) {
        if let Some(origin) = self.table.get_mut(source) {
            origin.last_sequence = None;
        }
    }

    /// Takes a beat. True when the endpoint to be used changed.
    pub(crate) fn beat(
        &mut self,
        source: &str,
        beat: v1::Beat,
        now: Instant,
    ) -> Result<bool, BeatError> {
        check(&beat)?;
        let known = self.table.get(source);
        if let Some(last) = known.and_then(|origin| origin.last_sequence)
            && beat.sequence <= last
        {
            return Err(BeatError::Replayed {
                sequence: beat.sequence,
                last,
            });
        }
        let moved =
            known.is_none_or(|origin| origin.beat.endpoints.first() != beat.endpoints.first());
        self.table.insert(
            source.to_owned(),
            Origin {
                heard: now,
                last_sequence: Some(beat.sequence),
                beat,
            },
        );
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

    /// Those that hold something, best first: heard lately before silent, then by metric and name.
    pub(crate) fn ranked(&self, holds: impl Fn(&str) -> bool, now: Instant) -> Vec<v1::Peer> {
        let mut peers = self.peers();
        peers.retain(|peer| holds(&peer.name));
        peers.sort_by_cached_key(|peer| {
            let origin = &self.table[&peer.name];
            (
                self.is_silent(origin, now),
                self.metric(&origin.beat),
                peer.name.clone(),
            )
        });
        peers
    }

    fn is_silent(&self, origin: &Origin, now: Instant) -> bool {
        now.saturating_duration_since(origin.heard) > self.patience
    }

    fn metric(&self, beat: &v1::Beat) -> u32 {
        let latency = (u64::from(beat.rtt_median_us) * 1000 / WORST_RTT_US).min(1000);
        let parts = [
            latency,
            u64::from(beat.late_permille),
            u64::from(load_permille(beat)),
        ];
        let sum: u64 = self.weights.iter().sum();
        let weighed: u64 = self.weights.iter().zip(parts).map(|(w, p)| w * p).sum();
        (weighed / sum.max(1)) as u32
    }

    /// The table for people; `feeds` tells which streams are pulled from whom.
    pub(crate) fn status(
        &self,
        feeds: &BTreeMap<String, Vec<String>>,
        now: Instant,
    ) -> Vec<OriginStatus> {
        self.table
            .iter()
            .map(|(name, origin)| {
                let feeds = feeds.get(name).cloned().unwrap_or_default();
                let state = if self.is_silent(origin, now) && feeds.is_empty() {
                    "Silent"
                } else if feeds.is_empty() {
                    "Standby"
                } else {
                    "Active"
                };
                OriginStatus {
                    source: name.clone(),
                    metric: self.metric(&origin.beat),
                    contents: origin.beat.contents.clone(),
                    state: state.to_owned(),
                    rtt_us: origin.beat.rtt_median_us,
                    late_permille: origin.beat.late_permille,
                    load_permille: load_permille(&origin.beat),
                    feeds,
                    preparing: origin.beat.preparing.iter().map(preparing).collect(),
                }
            })
            .collect()
    }
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
    let memory = (load.memory_bytes * 1000)
        .checked_div(load.memory_limit_bytes)
        .unwrap_or(0);
    load.cpu_permille.max(memory.min(1000) as u32).min(1000)
}

fn check(beat: &v1::Beat) -> Result<(), BeatError> {
    let at_most = |what, value: u64, limit: u64, accepted| {
        if value > limit {
            Err(BeatError::Impossible {
                what,
                value,
                accepted,
            })
        } else {
            Ok(())
        }
    };
    let rtt_limit = u64::from(IMPOSSIBLE_RTT_US);
    at_most(
        "round-trip time in µs",
        u64::from(beat.rtt_median_us.max(beat.rtt_min_us)),
        rtt_limit,
        "at most a minute",
    )?;
    if beat.rtt_median_us != 0 {
        at_most(
            "least round-trip time in µs",
            u64::from(beat.rtt_min_us),
            u64::from(beat.rtt_median_us),
            "at most the median",
        )?;
    }
    at_most(
        "late share in permille",
        u64::from(beat.late_permille),
        1000,
        "0 to 1000",
    )?;
    if let Some(load) = &beat.load {
        at_most(
            "CPU load in permille",
            u64::from(load.cpu_permille),
            1000,
            "0 to 1000",
        )?;
        at_most(
            "memory in bytes",
            load.memory_bytes.max(load.memory_limit_bytes),
            1 << 50,
            "at most a pebibyte",
        )?;
    }
    at_most(
        "number of endpoints",
        beat.endpoints.len() as u64,
        MAX_ENDPOINTS as u64,
        "at most 8",
    )?;
    at_most(
        "number of contents",
        (beat.contents.len() + beat.preparing.len()) as u64,
        MAX_CONTENTS as u64,
        "at most 4096",
    )?;
    for uri in &beat.endpoints {
        transport::endpoint(uri).map_err(|_| BeatError::Endpoint(uri.clone()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(sequence: u64, rtt: u32, late: u32, cpu: u32) -> v1::Beat {
        v1::Beat {
            sequence,
            rtt_min_us: rtt / 2,
            rtt_median_us: rtt,
            late_permille: late,
            load: Some(v1::Load {
                cpu_permille: cpu,
                ..Default::default()
            }),
            endpoints: vec!["http://10.0.0.1:1".into()],
            ..Default::default()
        }
    }

    fn names(peers: Vec<v1::Peer>) -> Vec<String> {
        peers.into_iter().map(|peer| peer.name).collect()
    }

    #[test]
    fn the_best_metric_leads_and_the_silent_come_last() {
        let config = v1::Config {
            heartbeat_interval_ms: 1000,
            missed_heartbeats: 3,
            ..Default::default()
        };
        let mut origins = Origins::new(&config);
        let start = Instant::now();
        origins
            .beat("lisbon", beat(1, 40_000, 0, 100), start)
            .unwrap();
        origins
            .beat("porto", beat(1, 2_000, 0, 100), start)
            .unwrap();
        origins.beat("faro", beat(1, 2_000, 0, 100), start).unwrap();
        assert_eq!(
            names(origins.ranked(|_| true, start)),
            ["faro", "porto", "lisbon"]
        );
        let later = start + Duration::from_millis(3001);
        origins
            .beat("lisbon", beat(2, 40_000, 0, 100), later)
            .unwrap();
        assert_eq!(
            names(origins.ranked(|n| n != "faro", later)),
            ["lisbon", "porto"]
        );
        let states: Vec<_> = origins
            .status(&BTreeMap::new(), later)
            .into_iter()
            .map(|o| o.state)
            .collect();
        assert_eq!(states, ["Silent", "Standby", "Silent"]);
    }

    #[test]
    fn impossible_and_replayed_beats_are_refused_with_the_value() {
        let mut origins = Origins::new(&v1::Config::default());
        let now = Instant::now();
        let mut inverted = beat(1, 10, 0, 0);
        inverted.rtt_min_us = 11;
        let mut nowhere = beat(1, 0, 0, 0);
        nowhere.endpoints = vec!["ftp://x".into()];
        for (bad, part) in [
            (beat(1, 60_000_001, 0, 0), "60000001"),
            (beat(1, 0, 1001, 0), "1001"),
            (beat(1, 0, 0, 1001), "1001"),
            (inverted, "median"),
            (nowhere, "ftp://x"),
        ] {
            let error = origins.beat("lisbon", bad, now).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(origins.peers().is_empty());
        origins.beat("lisbon", beat(5, 0, 0, 0), now).unwrap();
        assert!(origins.beat("lisbon", beat(5, 0, 0, 0), now).is_err());
        origins.call_began("lisbon");
        assert!(origins.beat("lisbon", beat(1, 0, 0, 0), now).is_ok());
    }
}
