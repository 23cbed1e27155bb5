//! Ranked parents with backoff: who may be tried, and who failed how.
//!
//! The order of choice: parents of the plan by rank, those of them that flap, members above that take
//! orphans in, siblings, and last, to be joined afresh, parents that hold another run.

use std::time::Duration;

use super::Cause;
use super::flaps::Flaps;
use crate::clock::Instant;

/// Times that rule a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A parent sends at least every 100 ms; three missed and it is left. Less would take a busy
    /// sender for a dead one, more delays repair past half a second.
    pub silence: Duration,
    /// The most the budget grows to where messages come late.
    pub silence_maximum: Duration,
    /// What a parent sends at least every so often.
    pub keep_alive: Duration,
    /// The first message of a subscription may need a connection first.
    pub first_message: Duration,
    /// Where one is open, twice the time of an answer and this.
    pub first_message_warm: Duration,
    /// A parent that answers has this long to find its own way and to describe the track: a branch
    /// of many hops grows in it, and a segment ends in it.
    pub join: Duration,
    /// A parent that repairs longer than this is left, although it answers.
    pub repair_limit: Duration,
    /// First and longest wait before a failed parent is tried again.
    pub backoff_minimum: Duration,
    pub backoff_maximum: Duration,
    /// Timers are this exact on an idle machine.
    pub timer_slack: Duration,
    /// How long a better parent must have answered before a root returns to it.
    pub stable: Duration,
    pub idle_poll: Duration,
    /// So many failures after success within the window are a quarantine.
    pub flaps: usize,
    pub flap_window: Duration,
    /// First and longest quarantine; each doubles, the longest in peace forgives all.
    pub quarantine_minimum: Duration,
    pub quarantine_maximum: Duration,
    /// A member repairing above is told on as repairing for so much less, so that of a branch the
    /// highest child acts first and the others follow it.
    pub repair_grace: Duration,
    /// Members that a plan moves, and orphans, act at a random moment within this.
    pub plan_spread: Duration,
    pub orphan_spread: Duration,
    /// Two machines' clocks may differ by this much before a missing chunk is due by both.
    pub clock_skew: Duration,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            silence: Duration::from_millis(300),
            silence_maximum: Duration::from_secs(2),
            keep_alive: Duration::from_millis(100),
            first_message: Duration::from_millis(500),
            first_message_warm: Duration::from_millis(150),
            join: Duration::from_secs(3),
            repair_limit: Duration::from_millis(1500),
            backoff_minimum: Duration::from_millis(100),
            backoff_maximum: Duration::from_secs(5),
            timer_slack: Duration::from_millis(5),
            stable: Duration::from_secs(10),
            idle_poll: Duration::from_secs(3600),
            flaps: 3,
            flap_window: Duration::from_secs(60),
            quarantine_minimum: Duration::from_secs(30),
            quarantine_maximum: Duration::from_secs(600),
            repair_grace: Duration::from_millis(500),
            plan_spread: Duration::from_secs(2),
            orphan_spread: Duration::from_millis(100),
            clock_skew: Duration::from_secs(2),
        }
    }
}

#[derive(Clone, Debug)]
struct Parent {
    name: String,
    failures: u32,
    not_before: Option<Instant>,
    /// Tried in this round.
    tried: bool,
    /// Answered that its run or bytes are not ours.
    disagrees: bool,
    failed_at: Option<Instant>,
    tie: Tie,
    /// It has fed us since it last failed.
    fed: bool,
    flaps: Flaps,
    jitter: Jitter,
}

/// What a parent is to us; who is asked first stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tie {
    /// Of our plan.
    Planned,
    /// It takes us in when all of those have failed.
    Fallback,
    /// It is as far from the roots as we are, and may be just as cut off.
    Sibling,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Try {
        parent: String,
        fresh: bool,
    },
    /// Somebody's, but not before then.
    Later(Instant),
    Nobody,
}

/// How late a hop's messages come, as a peak that fades.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    excess: Duration,
    at: Option<Instant>,
}

impl Jitter {
    /// A peak halves in this time: long enough to outlast one busy spell of a machine, short enough
    /// that a quiet one repairs quickly again.
    const HALF_LIFE: Duration = Duration::from_secs(10);

    fn now(&self, now: Instant) -> Duration {
        let Some(at) = self.at else {
            return Duration::ZERO;
        };
        let age = now.saturating_duration_since(at).as_secs_f64();
        self.excess
            .mul_f64(0.5_f64.powf(age / Self::HALF_LIFE.as_secs_f64()))
    }

    fn observe(&mut self, gap: Duration, interval: Duration, now: Instant) {
        let excess = gap.saturating_sub(interval);
        if excess >= self.now(now) && excess > Duration::ZERO {
            *self = Jitter {
                excess,
                at: Some(now),
            };
        }
    }
}

#[derive(Debug)]
pub(crate) struct Parents {
    tuning: Tuning,
    ranked: Vec<Parent>,
    /// When this orphan may ask the members that take it in.
    orphan_at: Option<Instant>,
    /// Jitter: a small deterministic generator, seeded by this member's name.
    seed: u64,
}

impl Parents {
    pub(crate) fn new(me: &str, tuning: Tuning) -> Parents {
        Parents {
            tuning,
            ranked: Vec::new(),
            orphan_at: None,
            seed: banyan_proto::carrier::weight(me, "jitter") | 1,
        }
    }

    /// Takes a new ranking; what is known of parents that stay is kept.
    pub(crate) fn rank(
        &mut self,
        names: impl IntoIterator<Item = String>,
        fallbacks: impl IntoIterator<Item = String>,
        siblings: impl IntoIterator<Item = String>,
    ) {
        let mut old = std::mem::take(&mut self.ranked);
        let names = names.into_iter().map(|name| (name, Tie::Planned));
        let fallbacks = fallbacks.into_iter().map(|name| (name, Tie::Fallback));
        let siblings = siblings.into_iter().map(|name| (name, Tie::Sibling));
        for (name, tie) in names.chain(fallbacks).chain(siblings) {
            if self.ranked.iter().any(|parent| parent.name == name) {
                continue;
            }
            let known = old.iter().position(|parent| parent.name == name);
            self.ranked.push(match known {
                Some(at) => Parent {
                    tie,
                    ..old.swap_remove(at)
                },
                None => Parent {
                    name,
                    failures: 0,
                    not_before: None,
                    tried: false,
                    disagrees: false,
                    failed_at: None,
                    tie,
                    fed: false,
                    flaps: Flaps::default(),
                    jitter: Jitter::default(),
                },
            });
        }
    }

    pub(crate) fn begin_round(&mut self) {
        for parent in &mut self.ranked {
            parent.tried = false;
            parent.disagrees = false;
        }
        self.orphan_at = None;
    }

    pub(crate) fn tried(&mut self, name: &str) {
        if let Some(parent) = self.find(name) {
            parent.tried = true;
        }
    }

    /// The best parent not tried in this round and not resting; when none is left, one that
    /// disagrees, to be joined afresh at a boundary.
    pub(super) fn next(&mut self, now: Instant) -> Turn {
        let best = self.best(now, |parent| !parent.tried);
        if let Some(at) = best {
            let planned = |parent: &Parent| parent.tie == Tie::Planned;
            if !planned(&self.ranked[at]) && self.ranked.iter().any(planned) {
                let spread = self.tuning.orphan_spread;
                if self.orphan_at.is_none() {
                    self.orphan_at = Some(now + spread.mul_f64(self.jitter()));
                }
                if let Some(at) = self.orphan_at
                    && now < at
                {
                    return Turn::Later(at);
                }
            }
            let parent = &mut self.ranked[at];
            parent.tried = true;
            return Turn::Try {
                parent: parent.name.clone(),
                fresh: false,
            };
        }
        match self.ranked.iter_mut().find(|parent| parent.disagrees) {
            Some(parent) => {
                parent.disagrees = false;
                Turn::Try {
                    parent: parent.name.clone(),
                    fresh: true,
                }
            }
            None => Turn::Nobody,
        }
    }

    /// The first in the order of choice of those that are fit and do not rest.
    fn best(&self, now: Instant, fit: impl Fn(&Parent) -> bool) -> Option<usize> {
        let ready = |parent: &Parent| parent.not_before.is_none_or(|at| at <= now);
        (0..self.ranked.len())
            .filter(|at| fit(&self.ranked[*at]) && ready(&self.ranked[*at]))
            .min_by_key(|at| {
                let parent = &self.ranked[*at];
                (parent.tie, parent.flaps.is_quarantined(now), *at)
            })
    }

    pub(crate) fn other_than(&self, current: &str, now: Instant) -> Option<String> {
        self.best(now, |parent| parent.name != current)
            .map(|at| self.ranked[at].name.clone())
    }

    pub(crate) fn succeeded(&mut self, name: &str) {
        if let Some(parent) = self.find(name) {
            parent.failures = 0;
            parent.not_before = None;
            parent.fed = true;
        }
    }

    pub(crate) fn failed(&mut self, name: &str, cause: Cause, now: Instant) {
        let jitter = self.jitter();
        let tuning = self.tuning;
        let Tuning {
            backoff_minimum,
            backoff_maximum,
            ..
        } = tuning;
        if let Some(parent) = self.find(name) {
            parent.disagrees = cause == Cause::Disagreement;
            parent.failed_at = Some(now);
            if std::mem::take(&mut parent.fed) {
                parent.flaps.failed(&tuning, jitter, now);
            }
            parent.failures = (parent.failures + 1).min(16);
            let backoff = backoff_minimum
                .saturating_mul(1 << (parent.failures - 1))
                .min(backoff_maximum);
            // Between one and one and a half times the backoff: orphans do not come back in step.
            parent.not_before = Some(now + backoff + backoff.mul_f64(jitter / 2.0));
        }
    }

    /// Its next failure rests for the longest backoff: room is not found in a moment.
    pub(crate) fn full(&mut self, name: &str) {
        if let Some(parent) = self.find(name) {
            parent.failures = parent.failures.max(8);
        }
    }

    /// It has failed since it last fed.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        let known = self.ranked.iter().find(|parent| parent.name == name);
        known.is_some_and(|parent| parent.failures > 0)
    }

    /// The hop was quiet for `gap` before something came over it.
    pub(crate) fn observe_gap(&mut self, name: &str, gap: Duration, now: Instant) {
        let interval = self.tuning.keep_alive;
        if let Some(parent) = self.find(name) {
            parent.jitter.observe(gap, interval, now);
        }
    }

    /// How long the hop to `name` may be quiet: the default, more where messages have come late.
    pub(crate) fn budget(&self, name: &str, now: Instant) -> Duration {
        let known = self.ranked.iter().find(|parent| parent.name == name);
        let jitter = known.map_or(Duration::ZERO, |parent| parent.jitter.now(now));
        (self.tuning.silence + 2 * jitter).min(self.tuning.silence_maximum)
    }

    /// It has not failed for as long as a return to it takes, and does not flap.
    pub(crate) fn is_settled(&self, name: &str, now: Instant) -> bool {
        let known = self.ranked.iter().find(|parent| parent.name == name);
        known.is_none_or(|parent| {
            let rested = parent
                .failed_at
                .is_none_or(|at| now.saturating_duration_since(at) >= self.tuning.stable);
            rested && !parent.flaps.is_quarantined(now)
        })
    }

    /// When the first parent may be tried again; `now` when there is none at all.
    pub(crate) fn earliest(&self, now: Instant) -> Instant {
        self.ranked
            .iter()
            .map(|parent| parent.not_before.unwrap_or(now))
            .min()
            .unwrap_or(now)
    }

    fn find(&mut self, name: &str) -> Option<&mut Parent> {
        self.ranked.iter_mut().find(|parent| parent.name == name)
    }

    /// In [0, 1): xorshift.
    pub(super) fn jitter(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
