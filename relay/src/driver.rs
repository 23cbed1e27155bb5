//! Drives one carried track: obeys its [`Upstream`] machine, reads the parent, feeds the store.
//!
//! One task per carried track, from the first demand to the last. It owns the subscription in use
//! (`current`), the one being opened (`opening`) and the one tried beside a flowing one
//! (`candidate`); nobody else touches them. One that was left for its silence may be heard of once more
//! (`late`).

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::v1;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tonic::{Code, Status};

use crate::clock::Instant;
use crate::connector::{Incoming, MediaSource};
use crate::core::Core;
use crate::demand::Wanted;
use crate::store::{Cursor, Store};
use crate::track::{Hop, Phase, Track};
use crate::upstream::{Cause, Flow, Order, Upstream};

mod candidate;
mod late;
mod message;
mod plan;
mod stall;
mod yielding;

use candidate::Candidate;
use late::Late;
use plan::Following;

type Opening = BoxFuture<'static, Result<Box<dyn MediaSource>, Status>>;

/// Starts the driver of a track unless it runs.
pub(crate) fn ensure(core: &Arc<Core>, track: &Arc<Track>) {
    let mut state = track.lock();
    if state.running {
        drop(state);
        track.demand_changed.notify_one();
        return;
    }
    state.running = true;
    state.phase = Phase::Trying;
    state.hop = Hop {
        path: vec![core.member().to_owned()],
        repairing_since: Some(Instant::now()),
        version: state.hop.version + 1,
        ..Hop::default()
    };
    drop(state);
    core.spawn(Driver::new(core.clone(), track.clone()).run());
}

struct Driver {
    core: Arc<Core>,
    track: Arc<Track>,
    machine: Upstream,
    current: Option<Box<dyn MediaSource>>,
    opening: Option<Opening>,
    candidate: Candidate,
    late: Option<Late>,
    following: Following,
    config: watch::Receiver<u64>,
    /// The newest position that the parent tells of.
    told_head: Option<Cursor>,
    /// The parent that fed before, why it was left, and how long it had been silent then.
    left: Option<Left>,
    last_refusal: Option<Status>,
    refusals_not_found: bool,
    finished: bool,
    /// Until when a path is looked for although nobody waits for it.
    lingers_until: Option<Instant>,
}

struct Left {
    parent: String,
    cause: Cause,
    silence: Duration,
    /// How long it might have been silent.
    budget: Duration,
    at: Instant,
}

impl Driver {
    fn new(core: Arc<Core>, track: Arc<Track>) -> Driver {
        let machine = Upstream::new(core.member(), core.options.tuning, Instant::now());
        let following = Following::new(core.plan_number());
        let config = core.config_changes();
        Driver {
            core,
            track,
            machine,
            current: None,
            opening: None,
            candidate: Candidate::default(),
            late: None,
            following,
            config,
            told_head: None,
            left: None,
            last_refusal: None,
            refusals_not_found: true,
            finished: false,
            lingers_until: None,
        }
    }

    async fn run(mut self) {
        self.rank();
        self.machine.start(Instant::now());
        loop {
            let now = Instant::now();
            let wanted = self.track.wanted(now);
            if wanted != Wanted::No {
                self.lingers_until = None;
            }
            let mut until = match wanted {
                Wanted::No => match self.lingers(now) {
                    Some(until) => until,
                    None if self.release() => return,
                    None => continue,
                },
                Wanted::Until(until) => until,
                Wanted::Held => now + Duration::from_secs(3600),
            };
            if !self.finished {
                until = until.min(self.obey(now));
                let look = self.watch_media(now);
                until = until.min(self.consider_candidate(now));
                until = look.map_or(until, |at| until.min(at));
                let late = self.listens_until(now);
                until = late.map_or(until, |at| until.min(at));
            }
            tokio::select! {
                biased;
                opened = wait(&mut self.opening), if self.opening.is_some() => {
                    self.opening = None;
                    self.opened(opened);
                }
                message = next(&mut self.current), if self.current.is_some() => {
                    self.received(message);
                }
                progress = self.candidate.progress(), if self.candidate.is_some() => {
                    self.candidate_progressed(progress);
                }
                message = late::next(&mut self.late), if self.late.is_some() => {
                    self.came_late(&message);
                }
                () = self.track.demand_changed.notified() => {}
                Ok(()) = self.config.changed() => {
                    self.rank();
                    self.candidate.look_now();
                }
                () = sleep_until(until) => {}
            }
        }
    }

    fn rank(&mut self) {
        let parents = self.core.parents_for(&self.track.key.stream);
        let (above, siblings) = self.core.fallbacks_and_siblings();
        let names = |peers: Vec<v1::Peer>| peers.into_iter().map(|peer| peer.name);
        self.machine
            .rank(names(parents), names(above), names(siblings));
    }

    fn peer(&self, name: &str) -> Option<v1::Peer> {
        let parents = self.core.parents_for(&self.track.key.stream);
        parents
            .into_iter()
            .chain(self.core.fallbacks())
            .find(|peer| peer.name == name)
    }

    /// Does what the machine says until it says wait.
    fn obey(&mut self, now: Instant) -> Instant {
        if self.machine.parent().is_none() {
            self.rank();
        }
        loop {
            match self.machine.poll(now) {
                Order::Wait(until) => return until,
                Order::Subscribe { parent, fresh } => self.subscribe(&parent, fresh),
                Order::Leave { parent, cause } => {
                    self.leave(parent, cause, now);
                    self.rank();
                }
                Order::Exhausted => self.exhausted(),
            }
        }
    }

    fn subscribe(&mut self, parent: &str, fresh: bool) {
        let Some(peer) = self.peer(parent) else {
            self.machine.on_failure(Cause::NotHere);
            return;
        };
        let request = {
            let mut state = self.track.lock();
            if fresh {
                state.store.unadopt();
                state.store.expect_boundary();
            }
            request(&self.core, &self.track, &state.store, fresh)
        };
        self.opening = Some(self.open(&peer, request));
        if let Some(reached_in) = self.core.reached_in(parent) {
            self.machine.expect_answer(reached_in);
        }
        self.tell();
    }

    fn open(&self, peer: &v1::Peer, request: v1::SubscribeRequest) -> Opening {
        match self.core.link(peer) {
            Ok(link) => link.subscribe(request),
            Err(status) => Box::pin(std::future::ready(Err(status))),
        }
    }

    fn opened(&mut self, opened: Result<Box<dyn MediaSource>, Status>) {
        match opened {
            Ok(source) => self.current = Some(source),
            Err(status) => self.refused(status),
        }
    }

    fn refused(&mut self, status: Status) {
        let cause = match status.code() {
            Code::FailedPrecondition => Cause::Disagreement,
            Code::OutOfRange | Code::NotFound => Cause::NotHere,
            _ => Cause::ConnectionLost,
        };
        tracing::debug!(
            stream = self.track.key.stream,
            track = self.track.key.track,
            parent = self.machine.parent(),
            %status,
            "parent refused"
        );
        let full = status.code() == Code::ResourceExhausted;
        self.refusals_not_found &= status.code() == Code::NotFound;
        self.last_refusal = Some(status);
        if full {
            self.machine.on_full();
        } else {
            self.machine.on_failure(cause);
        }
    }

    fn leave(&mut self, parent: String, cause: Cause, now: Instant) {
        let track = self.track.clone();
        let key = &track.key;
        let silence = self.machine.silence(now);
        let fed = self.current.is_some();
        let gap_ms = silence.as_millis() as u64;
        if fed {
            tracing::info!(
                stream = key.stream,
                track = key.track,
                parent,
                cause = cause.label(),
                gap_ms,
                "parent left"
            );
        } else {
            tracing::debug!(
                stream = key.stream,
                track = key.track,
                parent,
                cause = cause.label(),
                gap_ms,
                "parent not joined"
            );
        }
        if cause == Cause::HopSilent {
            // Its connection may be half open: the next call dials anew.
            self.core.forget_link(&parent);
            self.listen_on(&parent, now);
        }
        self.current = None;
        self.opening = None;
        self.told_head = None;
        self.candidate.clear();
        if self.left.is_none() && fed && self.track.lock().store.tip().is_some() {
            self.core.event(
                "repairing",
                key,
                json!({"from": parent, "cause": cause.label()}),
            );
            self.left = Some(Left {
                parent,
                cause,
                silence,
                budget: self.machine.budget(),
                at: now,
            });
        }
        self.set_phase(Phase::Trying);
        self.tell();
    }

    fn exhausted(&mut self) {
        // A position that no parent can serve is not clung to, when nothing was received at it.
        self.track.lock().store.unadopt();
        let phase = match &self.last_refusal {
            Some(_) if self.refusals_not_found => Phase::NotFound,
            Some(status) => Phase::Unavailable(status.message().to_owned()),
            None => Phase::Unavailable("no parent answers".to_owned()),
        };
        self.last_refusal = None;
        self.refusals_not_found = true;
        self.set_phase(phase);
    }

    fn set_phase(&self, phase: Phase) {
        let mut state = self.track.lock();
        if state.phase != phase {
            state.phase = phase;
            self.track.changed(&state);
        }
    }

    /// Lets children know the path through this member, when it changed.
    fn tell(&mut self) {
        let now = Instant::now();
        let told = self.machine.told(now);
        let flow = told.flow;
        let mut state = self.track.lock();
        let repairing_since = match flow {
            Flow::Repairing { since } => now.checked_sub(since),
            Flow::Flowing | Flow::Stalled => None,
        };
        let hop = Hop {
            path: told.path,
            repairing_since,
            stalled: flow == Flow::Stalled,
            parent: self.machine.parent().map(str::to_owned),
            version: state.hop.version,
        };
        let same = hop.path == state.hop.path
            && hop.parent == state.hop.parent
            && hop.stalled == state.hop.stalled
            && hop.repairing_since.is_some() == state.hop.repairing_since.is_some();
        let version = hop.version + u64::from(!same);
        state.hop = Hop { version, ..hop };
        if !same {
            self.track.changed(&state);
        }
    }

    /// Until when the track is kept that nobody wants any more. Children leave a parent that finds no path for long, and
    /// come back when the others have none either: what was learnt of far parents meanwhile is theirs.
    fn lingers(&mut self, now: Instant) -> Option<Instant> {
        let looks = !self.machine.is_flowing() && self.track.lock().phase != Phase::NotFound;
        if self.lingers_until.is_none() && looks && !self.finished {
            self.lingers_until = Some(now + PATH_LINGER);
        }
        self.lingers_until.filter(|until| now < *until)
    }

    /// Ends the subscription and forgets the track, unless demand came back meanwhile.
    fn release(&mut self) -> bool {
        let key = &self.track.key;
        let mut state = self.track.lock();
        if state.demand.wanted(Instant::now(), Duration::ZERO) != Wanted::No {
            return false;
        }
        let parent = self.machine.parent().unwrap_or_default();
        tracing::info!(
            stream = key.stream,
            track = key.track,
            parent,
            "unsubscribed"
        );
        self.core
            .event("unsubscribed", key, json!({"parent": parent}));
        let held = state.store.bytes();
        state.store = Store::default();
        state.hop = Hop {
            version: state.hop.version + 1,
            ..Hop::default()
        };
        state.phase = Phase::Idle;
        state.running = false;
        self.track.changed(&state);
        self.core.account(held, 0);
        true
    }
}

/// A child comes back within its longest wait between two tries, one and a half times five seconds, and its patience.
const PATH_LINGER: Duration = Duration::from_secs(10);

/// What to ask a parent for, with what is held.
fn request(core: &Core, track: &Track, store: &Store, fresh: bool) -> v1::SubscribeRequest {
    use v1::subscribe_request::From;
    let from = match store.after() {
        Some(after) if !fresh => From::After(after),
        _ => From::Live(v1::Live {}),
    };
    v1::SubscribeRequest {
        hello: Some(core.hello()),
        stream: track.key.stream.clone(),
        track: track.key.track.clone(),
        from: Some(from),
    }
}

async fn wait(opening: &mut Option<Opening>) -> Result<Box<dyn MediaSource>, Status> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn next(source: &mut Option<Box<dyn MediaSource>>) -> Result<Option<Incoming>, Status> {
    match source {
        Some(source) => source.next().await,
        None => std::future::pending().await,
    }
}
