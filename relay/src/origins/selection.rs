//! Which content server feeds each stream: rules, reluctance and one decision per stream. Pure.
//!
//! All tracks of a stream come from one content server, its incumbent. The incumbent keeps the stream
//! until it may not (content gone, clock skewed, leaving, or silent while no media flows), which
//! replaces it at once, or until a challenger has led by the margin, without a break, for the dwell.
//! A margin is a share of the incumbent's metric, never below a floor (twice next to nothing is next
//! to nothing) and never below how far the figures of either scatter. Only few streams of a root change for a better metric within one dwell; who has
//! waited longest goes first, then by name. Media decides before beats: a server whose media flows is
//! never left because its beats are missing. What a track found out by itself (its parent failed) is
//! taken over, and the other tracks of the stream follow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::clock::Instant;
use crate::upstream::Cause;

/// Used where the configuration says 0.
const DEFAULT_HYSTERESIS_PERCENT: u32 = 20;
const DEFAULT_DWELL: Duration = Duration::from_secs(10);

/// The least lead that counts, in permille of the worst: 10 ms of round trip at the usual weights,
/// or a twentieth of a processor. Below it differences are noise, or of the stream's own making.
const LEAST_LEAD: u32 = 10;

/// Of a root's streams, so many percent (but one) may change for a better metric within a dwell.
const MOVES_PERCENT: usize = 10;

/// A move that has not been carried out by then is taken back: long enough for two tries of a track.
const MOVE_PATIENCE: Duration = Duration::from_secs(15);

/// Whom a move failed to reach is no target for so long.
const BARRED: Duration = Duration::from_secs(60);

/// How reluctant a change for a better metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    hysteresis_percent: u32,
    dwell: Duration,
}

impl Rules {
    pub(crate) fn new(hysteresis_percent: u32, minimum_dwell_ms: u32) -> Rules {
        Rules {
            hysteresis_percent: if hysteresis_percent == 0 {
                DEFAULT_HYSTERESIS_PERCENT
            } else {
                hysteresis_percent
            },
            dwell: if minimum_dwell_ms == 0 {
                DEFAULT_DWELL
            } else {
                Duration::from_millis(u64::from(minimum_dwell_ms))
            },
        }
    }

    fn leads(&self, challenger: &Candidate, incumbent: &Candidate) -> bool {
        let share = u64::from(incumbent.metric) * u64::from(self.hysteresis_percent) / 100;
        let scatter = challenger.scatter.max(incumbent.scatter);
        let margin = share.max(u64::from(scatter.max(LEAST_LEAD)));
        u64::from(challenger.metric) + margin <= u64::from(incumbent.metric)
    }
}

/// Why no stream is given to a content server. In the order in which they are a last resort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    /// It serves, but at another time than everybody.
    ClockSkew,
    /// It serves, but not for long.
    Draining,
    /// Its beats are missing.
    Silent,
}

impl Obstacle {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Obstacle::ClockSkew => "ClockSkew",
            Obstacle::Draining => "Draining",
            Obstacle::Silent => "Silent",
        }
    }
}

/// A content server that offers a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// Lower is better.
    pub(crate) metric: u32,
    /// Within how much the middle half of its last figures lies.
    pub(crate) scatter: u32,
    pub(crate) run: String,
    pub(crate) obstacle: Option<Obstacle>,
}

/// A stream as it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Field {
    /// Who offers it.
    pub(crate) candidates: Vec<Candidate>,
    /// Content servers that feed tracks of it now.
    pub(crate) feeding: BTreeSet<String>,
    /// A fellow root feeds it: nothing is to be selected here.
    pub(crate) elsewhere: bool,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reselection {
    pub(crate) stream: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) cause: Cause,
    /// Tracks have to move; else the stream is idle and the choice is for later.
    pub(crate) moves: bool,
}

/// The selections of one root.
#[derive(Debug, Default)]
pub(crate) struct Selections {
    streams: BTreeMap<String, Selection>,
    /// When streams changed for a better metric, within the last dwell.
    changed: VecDeque<Instant>,
}

#[derive(Debug)]
struct Selection {
    /// It feeds the stream, or fed it last, or shall feed it.
    incumbent: String,
    run: String,
    /// Why it was selected; none when a track began there.
    cause: Option<Cause>,
    since: Instant,
    /// Who leads by the margin, and since when without a break.
    leads: BTreeMap<String, Instant>,
    /// Left by a move that is not over.
    leaving: Option<Leaving>,
    barred: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct Leaving {
    from: String,
    since: Instant,
}

enum Verdict {
    Stays,
    /// At once.
    Replaced {
        to: String,
        cause: Cause,
    },
    /// When its turn comes.
    Outdone {
        by: String,
        since: Instant,
    },
}

impl Selections {
    /// Decides every stream that has an incumbent; `field` describes a stream by name.
    pub(crate) fn decide(
        &mut self,
        rules: &Rules,
        mut field: impl FnMut(&str) -> Field,
        now: Instant,
    ) -> Vec<Reselection> {
        let mut decided = Vec::new();
        let mut outdone = Vec::new();
        let mut over = Vec::new();
        for (stream, selection) in &mut self.streams {
            let field = field(stream);
            let unknown = field.candidates.is_empty() && field.feeding.is_empty();
            if field.elsewhere || unknown {
                over.push(stream.clone());
                continue;
            }
            match selection.judge(rules, &field, now) {
                Verdict::Stays => {}
                Verdict::Replaced { to, cause } => {
                    decided.push(selection.change(stream, &field, to, cause, now));
                }
                Verdict::Outdone { by, since } => outdone.push((since, stream.clone(), by, field)),
            }
        }
        for stream in over {
            self.streams.remove(&stream);
        }
        outdone.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let room = self.room(rules, now);
        for (_, stream, to, field) in outdone.into_iter().take(room) {
            if let Some(selection) = self.streams.get_mut(&stream) {
                let cause = Cause::BetterMetric;
                decided.push(selection.change(&stream, &field, to, cause, now));
                self.changed.push_back(now);
            }
        }
        decided
    }

    /// How many streams may change for a better metric now.
    fn room(&mut self, rules: &Rules, now: Instant) -> usize {
        self.changed
            .retain(|at| now.saturating_duration_since(*at) < rules.dwell);
        let most = (self.streams.len() * MOVES_PERCENT / 100).max(1);
        most.saturating_sub(self.changed.len())
    }

    /// A track of the stream flows from a content server; `left` = whom it left for it, and why.
    pub(crate) fn flows(
        &mut self,
        stream: &str,
        origin: &str,
        run: &str,
        left: Option<(&str, Cause)>,
        now: Instant,
    ) {
        let selection = self
            .streams
            .entry(stream.to_owned())
            .or_insert_with(|| Selection::new(origin, run, now));
        if selection.incumbent == origin {
            return;
        }
        let left_behind = |leaving: &Leaving| leaving.from == origin;
        let failed = left.is_some_and(|(from, _)| from == selection.incumbent);
        if !failed && selection.leaving.as_ref().is_some_and(left_behind) {
            // It has not moved yet, or resumed where it was: it is to follow.
            return;
        }
        // A track had to leave the incumbent: the others are to follow it.
        let from = std::mem::replace(&mut selection.incumbent, origin.to_owned());
        selection.run = run.to_owned();
        selection.cause = left.map(|(_, cause)| match cause {
            // Only who waited in vain may say so; the others move in company.
            Cause::HopSilent | Cause::MediaStalled => Cause::Planned,
            cause => cause,
        });
        selection.since = now;
        selection.leads.clear();
        selection.leaving = Some(Leaving { from, since: now });
    }

    /// Where a track that flows from `current` should go, and why.
    pub(crate) fn wanted(&self, stream: &str, current: &str) -> Option<(&str, Cause)> {
        let selection = self.streams.get(stream)?;
        let cause = selection.cause.unwrap_or(Cause::Planned);
        (selection.incumbent != current).then_some((selection.incumbent.as_str(), cause))
    }

    /// Candidates in the order in which they are to be tried: those without obstacle first, of them
    /// the incumbent, then those that go on with its run, then by metric and name.
    pub(crate) fn rank(&self, stream: &str, candidates: &mut [Candidate], now: Instant) {
        let selection = self.streams.get(stream);
        candidates.sort_by_cached_key(|candidate| {
            let incumbent = selection.is_some_and(|s| s.incumbent == candidate.name);
            let barred = selection.is_some_and(|s| s.is_barred(&candidate.name, now));
            let other_run = selection.is_some_and(|s| s.run != candidate.run);
            (
                candidate.obstacle,
                !incumbent,
                barred,
                other_run,
                candidate.metric,
                candidate.name.clone(),
            )
        });
    }
}

impl Selection {
    fn new(incumbent: &str, run: &str, now: Instant) -> Selection {
        Selection {
            incumbent: incumbent.to_owned(),
            run: run.to_owned(),
            cause: None,
            since: now,
            leads: BTreeMap::new(),
            leaving: None,
            barred: BTreeMap::new(),
        }
    }

    fn judge(&mut self, rules: &Rules, field: &Field, now: Instant) -> Verdict {
        self.barred.retain(|_, until| *until > now);
        self.settle(field, now);
        let Some(incumbent) = field.candidates.iter().find(|c| c.name == self.incumbent) else {
            return self.replaced(field, Cause::ContentGone, now);
        };
        self.run.clone_from(&incumbent.run);
        match incumbent.obstacle {
            Some(Obstacle::ClockSkew) => self.replaced(field, Cause::ClockSkew, now),
            Some(Obstacle::Draining) => self.replaced(field, Cause::Drained, now),
            Some(Obstacle::Silent) if !field.feeding.contains(&self.incumbent) => {
                self.replaced(field, Cause::HeartbeatLost, now)
            }
            // Its figures are old: nobody is compared with them.
            Some(Obstacle::Silent) => {
                self.leads.clear();
                Verdict::Stays
            }
            None => self.outdone(rules, field, incumbent, now),
        }
    }

    /// Ends a move that was carried out, and takes back one that could not be.
    fn settle(&mut self, field: &Field, now: Instant) {
        let Some(leaving) = &self.leaving else { return };
        if !field.feeding.contains(&leaving.from) {
            self.leaving = None;
            return;
        }
        let target = field.candidates.iter().find(|c| c.name == self.incumbent);
        let lost = target.is_none_or(|target| target.obstacle.is_some());
        let late = now.saturating_duration_since(leaving.since) >= MOVE_PATIENCE;
        if !field.feeding.contains(&self.incumbent) && (lost || late) {
            let from = leaving.from.clone();
            let to = std::mem::replace(&mut self.incumbent, from);
            self.barred.insert(to, now + BARRED);
            self.cause = None;
            self.since = now;
            self.leads.clear();
            self.leaving = None;
        }
    }

    /// The best of those that may, if there is one: a poor content server is better than none.
    fn replaced(&mut self, field: &Field, cause: Cause, now: Instant) -> Verdict {
        self.leads.clear();
        let best = field
            .candidates
            .iter()
            .filter(|c| c.obstacle.is_none() && c.name != self.incumbent)
            .filter(|c| !self.is_barred(&c.name, now))
            .min_by_key(|c| (c.run != self.run, c.metric, &c.name));
        match best {
            Some(best) => Verdict::Replaced {
                to: best.name.clone(),
                cause,
            },
            None => Verdict::Stays,
        }
    }

    fn outdone(
        &mut self,
        rules: &Rules,
        field: &Field,
        incumbent: &Candidate,
        now: Instant,
    ) -> Verdict {
        // A better figure is not worth a break in the stream: only the same run challenges.
        let ahead: BTreeMap<&String, u32> = field
            .candidates
            .iter()
            .filter(|c| c.obstacle.is_none() && c.run == self.run)
            .filter(|c| rules.leads(c, incumbent) && !self.is_barred(&c.name, now))
            .map(|c| (&c.name, c.metric))
            .collect();
        self.leads.retain(|name, _| ahead.contains_key(name));
        for name in ahead.keys() {
            self.leads.entry((*name).clone()).or_insert(now);
        }
        if now.saturating_duration_since(self.since) < rules.dwell || self.leaving.is_some() {
            return Verdict::Stays;
        }
        let best = ahead
            .into_iter()
            .map(|(name, metric)| (metric, name, self.leads[name]))
            .filter(|(.., since)| now.saturating_duration_since(*since) >= rules.dwell)
            .min();
        match best {
            Some((_, name, since)) => Verdict::Outdone {
                by: name.clone(),
                since,
            },
            None => Verdict::Stays,
        }
    }

    fn change(
        &mut self,
        stream: &str,
        field: &Field,
        to: String,
        cause: Cause,
        now: Instant,
    ) -> Reselection {
        let from = std::mem::replace(&mut self.incumbent, to.clone());
        let moves = field.feeding.contains(&from);
        self.cause = Some(cause);
        self.since = now;
        self.leads.clear();
        self.leaving = moves.then(|| Leaving {
            from: from.clone(),
            since: now,
        });
        Reselection {
            stream: stream.to_owned(),
            from,
            to,
            cause,
            moves,
        }
    }

    fn is_barred(&self, name: &str, now: Instant) -> bool {
        self.barred.get(name).is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests;
