//! A parent tried beside the one that flows: make before break.
//!
//! Wanted when the current parent says that it goes away or sends no media that is due, when a plan
//! names another one first, or (on a root) when a better one has been back for long enough. The old
//! subscription is dropped once the new one describes the track, or sends what the old one did not;
//! what both sent meanwhile is refused by position. A new parent that is fed by us is not taken.

use std::time::Duration;

use banyan_proto::v1::{self, media_message::Body};
use tonic::{Code, Status};

use super::{Driver, Left, Opening, request};
use crate::clock::Instant;
use crate::connector::{Incoming, MediaSource};
use crate::upstream::Cause;

/// How often to look whether a better parent is back.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a failed try, and as a bound for one try.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Candidate {
    wanted: Option<Cause>,
    pub(super) attempt: Option<Attempt>,
    next_look: Option<Instant>,
}

pub(super) struct Attempt {
    me: String,
    pub(super) parent: String,
    pub(super) cause: Cause,
    /// From its live edge: it holds another run.
    pub(super) fresh: bool,
    /// A fresh one described the track.
    pub(super) flows: bool,
    opening: Option<Opening>,
    source: Option<Box<dyn MediaSource>>,
    /// What came before the decision, to be replayed after the swap.
    pub(super) early: Vec<Incoming>,
    asked: Instant,
    /// How soon the first message came.
    answered_in: Option<Duration>,
    deadline: Instant,
}

pub(super) enum Progress {
    /// It describes the track: swap.
    Flows,
    Failed,
    /// It holds another run.
    Disagrees,
    /// It is of no use for now, and no worse for it.
    Unfit,
    Nothing,
}

impl Candidate {
    pub(super) fn wanted(&mut self, cause: Cause) {
        self.wanted = Some(cause);
        self.next_look = None;
    }

    pub(super) fn clear(&mut self) {
        *self = Candidate::default();
    }

    /// Something has changed: looks before the time is up.
    pub(super) fn look_now(&mut self) {
        self.next_look = None;
    }

    /// The reason is gone.
    pub(super) fn no_longer(&mut self, cause: Cause) {
        if self.wanted == Some(cause) {
            self.clear();
        }
    }

    pub(super) fn is_some(&self) -> bool {
        self.attempt.is_some()
    }

    /// Reads on. Cancel-safe: state is kept in the attempt.
    pub(super) async fn progress(&mut self) -> Progress {
        let Some(attempt) = &mut self.attempt else {
            return std::future::pending().await;
        };
        if let Some(opening) = &mut attempt.opening {
            let opened = opening.await;
            attempt.opening = None;
            return match opened {
                Ok(source) => {
                    attempt.source = Some(source);
                    Progress::Nothing
                }
                Err(status) => attempt.failed(&status),
            };
        }
        let Some(source) = &mut attempt.source else {
            return Progress::Failed;
        };
        match source.next().await {
            Ok(Some(incoming)) => attempt.keep(incoming),
            Ok(None) => Progress::Failed,
            Err(status) => attempt.failed(&status),
        }
    }
}

impl Attempt {
    fn keep(&mut self, incoming: Incoming) -> Progress {
        self.answered_in.get_or_insert(self.asked.elapsed());
        let progress = match &incoming {
            Incoming::Message(Body::KeepAlive(alive)) if alive.path.contains(&self.me) => {
                Progress::Unfit
            }
            // A content server that sends nothing is not replaced by another of its kind.
            Incoming::Message(Body::Index(_)) if self.cause == Cause::MediaStalled => {
                Progress::Nothing
            }
            Incoming::Message(Body::Index(_)) | Incoming::Chunk { .. } => Progress::Flows,
            Incoming::Message(_) => Progress::Nothing,
        };
        self.early.push(incoming);
        match progress {
            // The driver waits for a segment's end.
            Progress::Flows if self.fresh => {
                self.flows = true;
                Progress::Nothing
            }
            progress => progress,
        }
    }

    fn failed(&self, status: &Status) -> Progress {
        tracing::debug!(parent = self.parent, %status, "candidate refused");
        if status.code() == Code::FailedPrecondition {
            return Progress::Disagrees;
        }
        Progress::Failed
    }
}

impl Driver {
    /// Starts a try when one is wanted; returns when to look again.
    pub(super) fn consider_candidate(&mut self, now: Instant) -> Instant {
        let later = now + Duration::from_secs(3600);
        if let Some(attempt) = &self.candidate.attempt {
            if now < attempt.deadline {
                return attempt.deadline;
            }
            self.give_up(now);
        }
        if !self.machine.is_flowing() {
            return later;
        }
        if let Some(at) = self.candidate.next_look
            && now < at
        {
            return at;
        }
        let Some(current) = self.machine.parent().map(str::to_owned) else {
            return later;
        };
        let next = match self.candidate.wanted {
            Some(cause) => {
                self.rank();
                self.machine
                    .candidate(now)
                    .map(|parent| (parent, cause))
                    .ok_or(now + LOOK_EVERY)
            }
            None => self.better(&current, now),
        };
        let (parent, cause) = match next {
            Ok(next) => next,
            Err(at) => {
                self.candidate.next_look = Some(at);
                return at;
            }
        };
        self.candidate.next_look = Some(now + LOOK_EVERY);
        let Some(peer) = self.peer(&parent) else {
            return now + LOOK_EVERY;
        };
        let attempt = self.attempt(&peer, cause, false, now + PATIENCE);
        self.candidate.attempt = Some(attempt);
        now + PATIENCE
    }

    pub(super) fn attempt(
        &self,
        peer: &v1::Peer,
        cause: Cause,
        fresh: bool,
        deadline: Instant,
    ) -> Attempt {
        let request = request(&self.core, &self.track, &self.track.lock().store, fresh);
        Attempt {
            me: self.core.member().to_owned(),
            parent: peer.name.clone(),
            cause,
            fresh,
            flows: false,
            opening: Some(self.open(peer, request)),
            source: None,
            early: Vec::new(),
            asked: Instant::now(),
            answered_in: None,
            deadline,
        }
    }

    pub(super) fn candidate_progressed(&mut self, progress: Progress) {
        let now = Instant::now();
        match progress {
            Progress::Nothing if self.yields(None) => self.swap(now),
            Progress::Nothing => {}
            Progress::Disagrees if self.ask_afresh(now) => {}
            Progress::Disagrees | Progress::Failed => self.give_up(now),
            Progress::Unfit => {
                self.candidate.attempt = None;
                self.candidate.next_look = Some(now + PATIENCE);
            }
            Progress::Flows => self.swap(now),
        }
    }

    fn give_up(&mut self, now: Instant) {
        if let Some(attempt) = self.candidate.attempt.take() {
            self.machine.on_candidate_failed(&attempt.parent, now);
            // Whoever missed media is sought at once; backoff keeps that from spinning.
            let rest = match attempt.cause {
                Cause::MediaStalled => Duration::ZERO,
                _ => PATIENCE,
            };
            self.candidate.next_look = Some(now + rest);
        }
    }

    pub(super) fn swap(&mut self, now: Instant) {
        let Some(attempt) = self.candidate.attempt.take() else {
            return;
        };
        self.candidate.clear();
        let left = self.machine.parent().unwrap_or_default().to_owned();
        let (silence, budget) = match attempt.cause {
            Cause::MediaStalled => (
                self.machine.media_gap(now),
                2 * self.expected().part + self.machine.budget(),
            ),
            _ => (self.machine.silence(now), self.machine.budget()),
        };
        self.left = Some(Left {
            parent: left,
            cause: attempt.cause,
            silence,
            budget,
            at: now,
        });
        if attempt.fresh {
            self.track.lock().store.expect_boundary();
        }
        self.current = attempt.source;
        self.told_head = None;
        let answered_in = attempt.answered_in.unwrap_or_default();
        self.machine
            .on_swapped(&attempt.parent, attempt.cause, answered_in, now);
        self.announce(now);
        for incoming in attempt.early {
            self.take(incoming);
        }
    }
}
