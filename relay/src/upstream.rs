//! Who feeds a track, as a state machine: Idle → Subscribing → Flowing → Repairing → …
//!
//! Pure: events and instants in, orders out. It knows ranked parents by name, when a hop counts as
//! silent, and when to try whom; it opens no connection. One machine per carried track. Rules:
//! * a hop is silent when nothing at all came over it for the budget, which grows where messages
//!   have come late; a timer of our own that fired late extends the deadline by that lateness, once
//!   per silence;
//! * our own name in the parent's path, or a parent that repairs for too long, is left;
//! * a repair above is told on as younger than it is, hop by hop: of a branch only the child of the
//!   member in trouble acts, and its descendants follow it;
//! * a stalled path (every hop alive, no media) is told on; only who is fed by a content server finds
//!   it out and acts;
//! * every failed parent waits out a backoff with jitter, one that flaps a quarantine; a round
//!   without success is said, so that nobody is held in the dark.

use std::time::Duration;

use crate::clock::Instant;

mod cause;
mod flaps;
mod parents;
mod stall;
#[cfg(test)]
mod tests;

pub(crate) use cause::Cause;
pub use parents::Tuning;
use parents::{Parents, Turn};
pub(crate) use stall::Expected;
use stall::Stall;

/// What the shell should do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Open a subscription to this parent. `fresh` = from its live edge, at a boundary.
    Subscribe { parent: String, fresh: bool },
    /// Drop the subscription to the parent.
    Leave { parent: String, cause: Cause },
    /// A whole round failed: tell whoever waits. The next round begins by itself.
    Exhausted,
    /// Nothing until then.
    Wait(Instant),
}

/// What the parent's keep-alives tell of the path above it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) path: Vec<String>,
    pub(crate) flow: Flow,
}

/// The state of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    #[default]
    Flowing,
    Repairing {
        since: Duration,
    },
    Stalled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Nobody to try before the earliest backoff ends.
    Resting,
    Subscribing {
        parent: String,
    },
    Flowing {
        parent: String,
    },
}

#[derive(Debug)]
pub(crate) struct Upstream {
    me: String,
    tuning: Tuning,
    parents: Parents,
    state: State,
    /// Since when there has been no live path, for a track that had one or wants one.
    broken_since: Option<Instant>,
    last_message: Instant,
    deadline: Instant,
    /// By when a subscription must flow.
    join_by: Instant,
    extended: bool,
    told: Told,
    stall: Stall,
    leaving: Option<Cause>,
    exhausted: bool,
    /// Rounds that failed since somebody near fed this member.
    rounds: u32,
    /// The parent that is being joined answered later than who is near is waited for.
    far: bool,
}

impl Upstream {
    pub(crate) fn new(me: &str, tuning: Tuning, now: Instant) -> Upstream {
        Upstream {
            me: me.to_owned(),
            parents: Parents::new(me, tuning),
            tuning,
            state: State::Idle,
            broken_since: None,
            last_message: now,
            deadline: now,
            join_by: now,
            extended: false,
            told: Told::default(),
            stall: Stall::default(),
            leaving: None,
            exhausted: false,
            rounds: 0,
            far: false,
        }
    }

    /// The ranked parents for the choices to come; the one in use is not left for it.
    /// `fallbacks` take this member in when all of those have failed, and `siblings` after them.
    pub(crate) fn rank(
        &mut self,
        names: impl IntoIterator<Item = String>,
        fallbacks: impl IntoIterator<Item = String>,
        siblings: impl IntoIterator<Item = String>,
    ) {
        self.parents.rank(names, fallbacks, siblings);
    }

    /// Demand came.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::Resting;
            self.broken_since = Some(now);
            self.parents.begin_round();
        }
    }

    pub(crate) fn parent(&self) -> Option<&str> {
        match &self.state {
            State::Subscribing { parent } | State::Flowing { parent } => Some(parent),
            State::Idle | State::Resting => None,
        }
    }

    pub(crate) fn is_flowing(&self) -> bool {
        matches!(self.state, State::Flowing { .. })
    }

    /// Time since the last message on the hop.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_message)
    }

    /// How long the hop might be silent since its last message; kept until the next subscription.
    pub(crate) fn budget(&self) -> Duration {
        self.deadline.saturating_duration_since(self.last_message)
    }

    /// What this member tells its children: the path through it, and its state.
    pub(crate) fn told(&self, now: Instant) -> Told {
        let mut path = match self.state {
            State::Subscribing { .. } | State::Flowing { .. } => self.told.path.clone(),
            _ => Vec::new(),
        };
        path.push(self.me.clone());
        let flow = match self.broken_since {
            Some(since) => Flow::Repairing {
                since: now.saturating_duration_since(since),
            },
            None => match self.told.flow {
                Flow::Repairing { since } => Flow::Repairing {
                    since: since.saturating_sub(self.tuning.repair_grace),
                },
                Flow::Flowing if self.stall.stalled => Flow::Stalled,
                flow => flow,
            },
        };
        Told { path, flow }
    }

    // ---- events -------------------------------------------------------------------------------

    /// Any message came over the hop.
    pub(crate) fn on_message(&mut self, now: Instant) {
        let gap = self.silence(now);
        self.last_message = now;
        self.extended = false;
        self.deadline = now + self.tuning.silence;
        match &self.state {
            State::Flowing { parent } => {
                self.parents.observe_gap(parent, gap, now);
                self.deadline = now + self.parents.budget(parent, now);
            }
            State::Subscribing { parent } => {
                let parent = parent.clone();
                self.far |= gap > self.tuning.first_message;
                self.on_answer(&parent, gap, now);
            }
            State::Idle | State::Resting => {}
        }
    }

    /// A parent answered after so long. Late is from far: what follows comes in bursts of a round trip, until the
    /// connection has learnt how much the way carries (slow start, RFC 5681 3.1).
    fn on_answer(&mut self, parent: &str, after: Duration, now: Instant) {
        let late = after.saturating_sub(self.tuning.first_message_warm);
        self.parents
            .observe_gap(parent, late + self.tuning.keep_alive, now);
        self.deadline = now + self.parents.budget(parent, now);
    }

    /// The way to the parent that is being asked is open, and it answered there within `reached_in`:
    /// no connection has to be opened before its first message. One that failed to answer so soon is
    /// given the whole time when it is asked again; one that is far has the time that it took.
    pub(crate) fn expect_answer(&mut self, reached_in: Duration) {
        let State::Subscribing { parent } = &self.state else {
            return;
        };
        let usual = self.patient(self.tuning.first_message);
        let patience = self.tuning.first_message_warm + 2 * reached_in;
        let patience = if reached_in > self.tuning.first_message {
            patience.min(self.tuning.first_message * (1 << DOUBLES))
        } else if self.parents.has_failed(parent) {
            usual
        } else {
            patience.min(usual)
        };
        self.deadline = self.last_message + patience;
    }

    /// A hop that was left for its silence was heard of after all, `gap` after the message before.
    pub(crate) fn on_late(&mut self, parent: &str, gap: Duration, now: Instant) {
        self.parents.observe_gap(parent, gap, now);
    }

    /// The parent described the track: the path is live.
    pub(crate) fn on_flowing(&mut self, now: Instant) {
        if let State::Subscribing { parent } = &self.state {
            self.parents.succeeded(parent);
            self.state = State::Flowing {
                parent: parent.clone(),
            };
            self.stall.arrived(now);
            self.broken_since = None;
            self.exhausted = false;
            if !self.far {
                self.rounds = 0;
            }
        }
    }

    /// Times of the tuning for a parent that is being joined. Who may be near is not waited for; when nobody was, all may
    /// be far: each round without success doubles them, or a path whose round trip is longer would never be joined.
    fn patient(&self, time: Duration) -> Duration {
        time * (1 << self.rounds.min(DOUBLES))
    }

    /// The parent told of its path. True when our own telling changes.
    pub(crate) fn on_told(&mut self, told: Told) -> bool {
        if told.path.contains(&self.me) {
            self.leaving = Some(Cause::PathLoop);
        } else if let Flow::Repairing { since } = told.flow
            && since > self.patient(self.tuning.repair_limit)
        {
            self.leaving = Some(Cause::ParentRepairing);
        }
        let changed = told.path != self.told.path
            || std::mem::discriminant(&told.flow) != std::mem::discriminant(&self.told.flow);
        self.told = told;
        changed
    }

    /// The subscription to the current parent failed or has to be left.
    pub(crate) fn on_failure(&mut self, cause: Cause) {
        self.leaving.get_or_insert(cause);
    }

    /// A new chunk came, or a word that it never will. True when our own telling changes.
    pub(crate) fn on_media(&mut self, now: Instant) -> bool {
        self.stall.arrived(now)
    }

    /// For who is fed by a content server: looks whether media that is due stays away. Returns when
    /// to look again.
    pub(crate) fn judge_media(&mut self, expected: Expected, now: Instant) -> Instant {
        let Some(parent) = self.parent().filter(|_| self.is_flowing()) else {
            return now + self.tuning.idle_poll;
        };
        let budget = self.parents.budget(parent, now);
        self.stall.judge(expected, budget, &self.tuning, now)
    }

    /// Media that is due stays away.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall.stalled
    }

    /// Time since the last new chunk.
    pub(crate) fn media_gap(&self, now: Instant) -> Duration {
        self.stall.gap(now)
    }

    /// The parent in use says that it has no room: it is not asked again soon.
    pub(crate) fn on_full(&mut self) {
        if let Some(parent) = self.parent().map(str::to_owned) {
            self.parents.full(&parent);
        }
        self.on_failure(Cause::ConnectionLost);
    }

    /// The shell swapped to `parent`, which had answered after so long, while the old one still flowed.
    pub(crate) fn on_swapped(
        &mut self,
        parent: &str,
        cause: Cause,
        answered_in: Duration,
        now: Instant,
    ) {
        if cause == Cause::MediaStalled
            && let Some(old) = self.parent().map(str::to_owned)
        {
            self.parents.failed(&old, cause, now);
        }
        self.parents.succeeded(parent);
        self.stall.arrived(now);
        self.state = State::Flowing {
            parent: parent.to_owned(),
        };
        self.told = Told::default();
        self.leaving = None;
        self.last_message = now;
        self.extended = false;
        self.on_answer(parent, answered_in, now);
    }

    /// A parent tried beside the current one did not work out.
    pub(crate) fn on_candidate_failed(&mut self, parent: &str, now: Instant) {
        self.parents.failed(parent, Cause::ConnectionLost, now);
    }

    /// A moment within `spread` from now, another one for every member: siblings do not act in step.
    pub(crate) fn spread(&mut self, spread: Duration, now: Instant) -> Instant {
        now + spread.mul_f64(self.parents.jitter())
    }

    /// The parent has not failed lately: it may be returned to.
    pub(crate) fn is_settled(&self, parent: &str, now: Instant) -> bool {
        self.parents.is_settled(parent, now)
    }

    /// The best parent that could be tried beside the current one.
    pub(crate) fn candidate(&self, now: Instant) -> Option<String> {
        self.parents.other_than(self.parent()?, now)
    }

    /// What to do now. Call again after acting, until it says `Wait`.
    pub(crate) fn poll(&mut self, now: Instant) -> Order {
        match &self.state {
            State::Idle => return Order::Wait(now + self.tuning.idle_poll),
            State::Subscribing { parent } | State::Flowing { parent } => {
                let joining = matches!(self.state, State::Subscribing { .. });
                let parent = parent.clone();
                if self.leaving.is_none() && joining && now >= self.join_by {
                    self.leaving = Some(Cause::Unready);
                }
                if self.leaving.is_none() && now >= self.deadline {
                    self.judge_silence(now);
                }
                if let Some(cause) = self.leaving.take() {
                    self.parents.failed(&parent, cause, now);
                    if self.broken_since.is_none() {
                        self.broken_since = Some(now);
                        self.parents.begin_round();
                        self.parents.tried(&parent);
                    }
                    self.state = State::Resting;
                    self.told = Told::default();
                    self.stall = Stall::default();
                    return Order::Leave { parent, cause };
                }
                return Order::Wait(if joining {
                    self.deadline.min(self.join_by)
                } else {
                    self.deadline
                });
            }
            State::Resting => {}
        }
        match self.parents.next(now) {
            Turn::Try { parent, fresh } => {
                self.state = State::Subscribing {
                    parent: parent.clone(),
                };
                self.told = Told::default();
                self.last_message = now;
                self.extended = false;
                self.far = false;
                self.deadline = now + self.patient(self.tuning.first_message);
                self.join_by = now + self.patient(self.tuning.join);
                return Order::Subscribe { parent, fresh };
            }
            Turn::Later(at) => return Order::Wait(at),
            Turn::Nobody => {}
        }
        if !self.exhausted {
            self.exhausted = true;
            return Order::Exhausted;
        }
        self.rounds = self.rounds.saturating_add(1);
        self.parents.begin_round();
        let until = self.parents.earliest(now);
        if until <= now {
            self.exhausted = false;
            return Order::Wait(now + self.tuning.backoff_minimum);
        }
        self.exhausted = true;
        Order::Wait(until)
    }

    fn judge_silence(&mut self, now: Instant) {
        let lateness = now.saturating_duration_since(self.deadline);
        if lateness > self.tuning.timer_slack && !self.extended {
            // We were late ourselves: what came meanwhile has not been read yet.
            self.extended = true;
            self.deadline = now + lateness.min(self.tuning.silence);
        } else {
            self.leaving = Some(Cause::HopSilent);
        }
    }
}

/// What a parent is waited for grows to four times as much: two seconds for its first message, in which a connection is
/// opened and answered over a round trip of nearly one, and twelve for its own way to the media.
const DOUBLES: u32 = 2;
