//! Leader election that fences: a pure machine over what the Lease says and this process's own clock.
//!
//! * A holder stops being leader `renew_deadline` after it *sent* its last successful renewal. Nobody else may take the
//!   Lease before `duration` has passed since *they saw* it change. As the deadline is shorter than the duration, and a
//!   change is seen after it was sent, two processes never lead at once, whatever their wall clocks say.
//! * Every write names the version it replaces, so of two takers one loses.
//! * A leader that cannot renew stops, and its process ends: it never becomes a follower that still believes.
//! * The identity holds a random part, so a process that comes back under its old name is somebody new: it waits, and
//!   the term grows.
//!
//! Two releases that watch one scope meet in one Lease; the one that does not hold it is refused, and says so.
//! What no Lease can fence: a Lease deleted by hand in the very moment in which a process starts that never saw it.
//! [`driver`] asks the API server what this machine wants to know; [`record`] is the Lease object.

use std::time::Duration;

pub mod driver;
pub mod fence;
pub mod record;

pub use self::record::Record;

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// An unchanged Lease may be taken after this.
    pub duration: Duration,
    /// A leader without a successful renewal stops after this; shorter than `duration` by the time in which a write
    /// that was sent may still arrive.
    pub renew_deadline: Duration,
    /// Between renewals, and between looks of those who wait.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// How many durations a Lease that another release holds, or held, must be silent before this one takes it: long
/// enough for that release to be upgraded in.
const FOREIGN_PATIENCE: u32 = 4;

/// How often a release of the Lease on the way out is tried.
const RESIGN_ATTEMPTS: u32 = 3;

/// Who wants the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Unique to this process, not only to its pod.
    pub identity: String,
    /// Namespace and name of the release.
    pub release: String,
    /// Where members reach this process.
    pub address: String,
}

/// What the machine wants to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Read the Lease.
    Read,
    /// Make the Lease; fails if there is one.
    Create(Record),
    /// Replace the Lease of this version; fails if it has another.
    Replace {
        /// The version to be replaced.
        version: String,
        /// What shall be there.
        record: Record,
    },
    /// Ask again at this time.
    Wait(Duration),
    /// Leadership has ended, or was never sought again: end.
    Stop(End),
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The Lease as it is.
    Found {
        /// What it says.
        record: Record,
        /// Its version.
        version: String,
    },
    /// There is no Lease.
    Missing,
    /// Written.
    Written {
        /// The version it has now.
        version: String,
        /// When the Lease was made, by the API server's clock, in seconds since 1970.
        created: i64,
    },
    /// Not written: the Lease has another version, exists already or no longer.
    Conflict,
    /// Nobody knows: no answer, or an error.
    Failed,
}

/// Why the machine ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// No renewal succeeded in time.
    #[error("leadership was lost: the Lease could not be renewed within {} s", .0.as_secs())]
    Expired(Duration),
    /// Somebody else holds the Lease.
    #[error("leadership was lost: {0} holds the Lease")]
    Taken(String),
    /// The Lease is gone.
    #[error("leadership was lost: the Lease was deleted")]
    Deleted,
    /// As told.
    #[error("leadership was given up")]
    Resigned,
}

/// What others may know of this process's place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The Lease was not read yet.
    #[default]
    Unknown,
    /// Another process of this release leads, or nobody does yet.
    Standby {
        /// Where the leader is reached.
        leader: Option<String>,
    },
    /// Another release has this scope.
    Refused {
        /// Namespace and name of that release.
        release: String,
    },
    /// This process leads.
    Leading {
        /// Number of this leadership; later ones have higher numbers.
        term: u64,
    },
}

/// One candidate's side of the election. Times are of its own clock, since any fixed moment.
#[derive(Clone, Debug)]
pub struct Election {
    me: Candidate,
    timing: Timing,
    seen: Option<Seen>,
    state: State,
    next: Next,
}

#[derive(Clone, Debug)]
struct Seen {
    record: Record,
    version: String,
    since: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Standby,
    Leading { term: u64, until: Duration },
    Resigning { attempts: u32, until: Duration },
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Read,
    Take,
    Renew,
    Idle(Duration),
    Stop(End),
}

impl Election {
    /// A candidate that has not looked yet.
    pub fn new(me: Candidate, timing: Timing) -> Self {
        Self {
            me,
            timing,
            seen: None,
            state: State::Standby,
            next: Next::Read,
        }
    }

    /// Until when this process leads, if it does at `now`.
    pub fn leading(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Leading { until, .. } if now < until => Some(until),
            _ => None,
        }
    }

    /// Where this process stands.
    pub fn place(&self, now: Duration) -> Place {
        if let State::Leading { term, until } = self.state
            && now < until
        {
            return Place::Leading { term };
        }
        match &self.seen {
            None if self.next == Next::Read => Place::Unknown,
            None => Place::Standby { leader: None },
            Some(seen) if self.foreign(&seen.record) => Place::Refused {
                release: seen.record.release.clone(),
            },
            Some(seen) => Place::Standby {
                leader: (seen.record.holder.is_some() && !self.mine(&seen.record))
                    .then(|| seen.record.address.clone())
                    .flatten(),
            },
        }
    }

    /// Gives the Lease back and ends. Not leading from now on.
    pub fn resign(&mut self) {
        match self.state {
            State::Leading { until, .. } => {
                self.state = State::Resigning { attempts: 0, until };
                self.next = Next::Renew;
            }
            State::Standby => self.end(End::Resigned),
            State::Resigning { .. } | State::Ended => {}
        }
    }

    /// What to do now. `wall` is the wall clock in microseconds since 1970, for people only.
    pub fn ask(&mut self, now: Duration, wall: i64) -> Ask {
        match self.state {
            State::Leading { until, .. } if now >= until => {
                self.end(End::Expired(self.timing.renew_deadline));
            }
            State::Resigning { attempts, until } if now >= until || attempts >= RESIGN_ATTEMPTS => {
                self.end(End::Resigned);
            }
            _ => {}
        }
        match &self.next {
            Next::Stop(end) => Ask::Stop(end.clone()),
            Next::Idle(until) if now < *until => Ask::Wait(match self.state {
                State::Leading {
                    until: deadline, ..
                } => deadline.min(*until),
                _ => *until,
            }),
            Next::Idle(_) | Next::Read => match self.state {
                // The version is known: renew without looking.
                State::Leading { .. } if self.next != Next::Read => self.write(wall),
                _ => Ask::Read,
            },
            Next::Take | Next::Renew => self.write(wall),
        }
    }

    /// What became of the last request, which was sent at `sent`.
    pub fn answer(&mut self, asked: &Ask, sent: Duration, now: Duration, answer: Answer) {
        match self.state {
            State::Ended => return,
            // A success may not bring back what has ended: others may have seen this process stop.
            State::Leading { until, .. } if now >= until => {
                return self.end(End::Expired(self.timing.renew_deadline));
            }
            _ => {}
        }
        match (asked, answer) {
            (_, Answer::Found { record, version }) => self.found(record, version, now),
            (Ask::Read, Answer::Missing) => self.missing(now),
            (
                Ask::Create(record) | Ask::Replace { record, .. },
                Answer::Written { version, created },
            ) => {
                let record = Record {
                    created,
                    ..record.clone()
                };
                self.written(record, version, sent, now);
            }
            // Whoever leads must know at once who holds it; others have time.
            (_, Answer::Conflict | Answer::Missing) if self.state != State::Standby => {
                self.next = Next::Read;
            }
            // The write may have been done: look before the next.
            (Ask::Create(_) | Ask::Replace { .. }, Answer::Failed)
                if self.state != State::Standby =>
            {
                self.next = Next::Read;
            }
            _ => self.next = Next::Idle(now + self.pause()),
        }
    }

    fn found(&mut self, record: Record, version: String, now: Duration) {
        if self
            .seen
            .as_ref()
            .is_none_or(|seen| seen.version != version)
        {
            self.seen = Some(Seen {
                record: record.clone(),
                version,
                since: now,
            });
        }
        match self.state {
            State::Standby => {
                self.next = match self.free_at() {
                    Some(at) if at <= now => Next::Take,
                    _ => Next::Idle(now + self.pause()),
                };
            }
            State::Leading { .. } if self.mine(&record) => self.next = Next::Renew,
            State::Leading { .. } => {
                self.end(End::Taken(record.holder.unwrap_or("nobody".to_owned())));
            }
            State::Resigning { attempts, until } if self.mine(&record) => {
                self.state = State::Resigning {
                    attempts: attempts + 1,
                    until,
                };
                self.next = Next::Renew;
            }
            State::Resigning { .. } => self.end(End::Resigned),
            State::Ended => {}
        }
    }

    fn missing(&mut self, now: Duration) {
        match self.state {
            State::Leading { .. } => self.end(End::Deleted),
            State::Resigning { .. } => self.end(End::Resigned),
            State::Standby => {
                self.next = match self.free_at() {
                    Some(at) if at > now => Next::Idle(at.min(now + self.pause())),
                    _ => Next::Take,
                };
                if let Some(seen) = &mut self.seen {
                    // There is nothing to replace.
                    seen.version.clear();
                }
            }
            State::Ended => {}
        }
    }

    fn written(&mut self, record: Record, version: String, sent: Duration, now: Duration) {
        if let State::Resigning { .. } = self.state {
            return self.end(End::Resigned);
        }
        let until = sent + self.timing.renew_deadline;
        let term = term(&record);
        self.seen = Some(Seen {
            record,
            version,
            since: now,
        });
        if now >= until {
            // The answer took so long that it is worth nothing.
            self.next = Next::Read;
            return;
        }
        self.state = State::Leading { term, until };
        self.next = Next::Idle(sent + self.timing.retry);
    }

    /// When the Lease may be taken, as far as was seen; `None` when nothing was seen.
    fn free_at(&self) -> Option<Duration> {
        let seen = self.seen.as_ref()?;
        let duration = self.timing.duration.max(seen.record.duration);
        Some(match &seen.record.holder {
            Some(_) if self.mine(&seen.record) => seen.since,
            _ if self.foreign(&seen.record) => seen.since + duration * FOREIGN_PATIENCE,
            Some(_) => seen.since + duration,
            None => seen.since,
        })
    }

    fn mine(&self, record: &Record) -> bool {
        record.holder.as_deref() == Some(self.me.identity.as_str())
    }

    fn foreign(&self, record: &Record) -> bool {
        !record.release.is_empty() && record.release != self.me.release
    }

    fn write(&self, wall: i64) -> Ask {
        let resigning = matches!(self.state, State::Resigning { .. });
        let known = self.seen.as_ref().map(|seen| &seen.record);
        let kept = known.filter(|record| self.mine(record));
        let before = known.map_or(0, |record| record.transitions);
        let transitions = kept.map_or(before.saturating_add(1), |record| record.transitions);
        let record = Record {
            holder: (!resigning).then(|| self.me.identity.clone()),
            release: self.me.release.clone(),
            address: (!resigning).then(|| self.me.address.clone()),
            transitions,
            duration: self.timing.duration,
            acquired: kept.map_or(wall, |record| record.acquired),
            renewed: wall,
            created: known.map_or(0, |record| record.created),
        };
        match &self.seen {
            Some(seen) if self.exists() => Ask::Replace {
                version: seen.version.clone(),
                record,
            },
            _ => Ask::Create(record),
        }
    }

    fn exists(&self) -> bool {
        self.seen
            .as_ref()
            .is_some_and(|seen| !seen.version.is_empty())
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended;
        self.next = Next::Stop(end);
    }

    /// Time to the next look: candidates that start together do not stay together.
    fn pause(&self) -> Duration {
        let spread = blake3::hash(self.me.identity.as_bytes()).as_bytes()[0];
        self.timing.retry + self.timing.retry * u32::from(spread) / 1024
    }
}

/// The number of a leadership. Members refuse a lower one than they have heard for as long as they live, so a Lease
/// that is made anew must go on above one that was deleted: the API server's time of its making comes first.
fn term(record: &Record) -> u64 {
    let created = u64::try_from(record.created).unwrap_or(0);
    let transitions = u64::try_from(record.transitions).unwrap_or(0);
    (created << 20) + transitions.min((1 << 20) - 1)
}

#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
