//! A parent tried beside the one that flows: make before break.
//!
//! Wanted when the current parent says that it goes away, or (on a root) when a better one has been
//! back for long enough. The old subscription is dropped once the new one describes the track; what
//! both sent meanwhile is refused by position.

use std::time::Duration;

use banyan_proto::v1::media_message::Body;
use tonic::Status;

use super::{Driver, Left, Opening, request};
use crate::clock::Instant;
use crate::connector::{Incoming, MediaSource};
use crate::core::Role;
use crate::upstream::Cause;

/// How often a root looks whether a better parent is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After a failed try, and as a bound for one try.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Candidate {
    wanted: Option<Cause>,
    attempt: Option<Attempt>,
    next_look: Option<Instant>,
}

struct Attempt {
    parent: String,
    cause: Cause,
    opening: Option<Opening>,
    source: Option<Box<dyn MediaSource>>,
    /// What came before the decision, to be replayed after the swap.
    early: Vec<Incoming>,
    deadline: Instant,
}

pub(super) enum Progress {
    /// It describes the track: swap.
    Flows,
    Failed,
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
                Err(_) => Progress::Failed,
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
        let flows = matches!(
            incoming,
            Incoming::Message(Body::Index(_)) | Incoming::Chunk { .. }
        );
        self.early.push(incoming);
        if flows {
            Progress::Flows
        } else {
            Progress::Nothing
        }
    }

    fn failed(&self, status: &Status) -> Progress {
        tracing::debug!(parent = self.parent, %status, "candidate refused");
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
        let looks = self.candidate.wanted.is_some() || self.core.options.role == Role::Root;
        if !looks || !self.machine.is_flowing() {
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
        let stream = &self.track.key.stream;
        let (parent, cause) = match self.candidate.wanted {
            Some(cause) => {
                self.rank();
                (self.machine.candidate(now), Some(cause))
            }
            None => {
                let preferred = self.core.preferred_parent(stream, &current, now);
                preferred
                    .filter(|(peer, _)| self.machine.is_settled(&peer.name, now))
                    .map(|(peer, cause)| (peer.name, cause))
                    .unzip()
            }
        };
        self.candidate.next_look = Some(now + LOOK_EVERY);
        let peer = self
            .core
            .parents_for(&self.track.key.stream)
            .into_iter()
            .find(|peer| Some(&peer.name) == parent.as_ref());
        let (Some(peer), Some(cause)) = (peer, cause) else {
            return now + LOOK_EVERY;
        };
        let request = request(&self.core, &self.track, &self.track.lock().store, false);
        self.candidate.attempt = Some(Attempt {
            parent: peer.name.clone(),
            cause,
            opening: Some(self.open(&peer, request)),
            source: None,
            early: Vec::new(),
            deadline: now + PATIENCE,
        });
        now + PATIENCE
    }

    pub(super) fn candidate_progressed(&mut self, progress: Progress) {
        let now = Instant::now();
        match progress {
            Progress::Nothing => {}
            Progress::Failed => self.give_up(now),
            Progress::Flows => self.swap(now),
        }
    }

    fn give_up(&mut self, now: Instant) {
        if let Some(attempt) = self.candidate.attempt.take() {
            self.machine.on_candidate_failed(&attempt.parent, now);
            self.candidate.next_look = Some(now + PATIENCE);
        }
    }

    fn swap(&mut self, now: Instant) {
        let Some(attempt) = self.candidate.attempt.take() else {
            return;
        };
        self.candidate.clear();
        let left = self.machine.parent().unwrap_or_default().to_owned();
        self.left = Some(Left {
            parent: left,
            cause: attempt.cause,
            silence: self.machine.silence(now),
            budget: self.machine.budget(),
            at: now,
        });
        self.current = attempt.source;
        self.machine.on_swapped(&attempt.parent, now);
        self.announce(now);
        for incoming in attempt.early {
            self.take(incoming);
        }
    }
}
