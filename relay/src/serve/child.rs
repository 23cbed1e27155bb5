//! One child's subscription: a cursor over the store, woken by it, pulled by the child's socket.
//!
//! Nothing is queued per child but the few control messages of the moment: a chunk is looked up when
//! the socket has room. The child is told at once that the hop lives (Welcome, keep-alives), also
//! while this member itself still looks for a parent; when that fails the call ends `UNAVAILABLE`.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::v1::{self, media_message::Body, subscribe_request::From};
use futures::stream;
use tokio::sync::watch;
use tokio::time::Sleep;
use tonic::Status;

use super::{start_status, welcome};
use crate::clock::Instant;
use crate::core::Core;
use crate::driver;
use crate::fetch::{FetchKey, Fetched, fetch};
use crate::library::LibraryError;
use crate::room::Seat;
use crate::store::{Cursor, Start, Step};
use crate::track::{ChildGuard, Phase, State, Track};

/// Silence on a hop means death after three of these.
const KEEP_ALIVE: Duration = Duration::from_millis(100);

/// How long a child that is told to go may take.
const DRAIN: Duration = Duration::from_secs(2);

/// A fetch that met no live path is tried so often, a keep-alive apart, before it is a gap: as long
/// as a repair may take.
const FILL_ATTEMPTS: u32 = 15;

struct Child {
    core: Arc<Core>,
    track: Arc<Track>,
    from: From,
    /// Set once the first position is known.
    cursor: Option<Cursor>,
    described: String,
    told_hop: u64,
    queue: VecDeque<Frame>,
    wake: watch::Receiver<u64>,
    draining: watch::Receiver<bool>,
    told_drain: bool,
    seat: Seat,
    told_full: bool,
    keep_alive: Pin<Box<Sleep>>,
    over: bool,
    /// Fetches in a row that found no live path.
    fill_failures: u32,
    _demand: ChildGuard,
}

/// What to do when nothing is queued.
enum Next {
    Send(Frame),
    Fetch { run: String, number: u64 },
    Wait,
}

pub(super) fn stream(
    core: Arc<Core>,
    track: Arc<Track>,
    member: &str,
    from: From,
) -> Result<FrameStream, Status> {
    let seat = core.seat(member, &track.key).map_err(|full| {
        Status::resource_exhausted(format!(
            "this member sends {} of {} bit/s already",
            full.used, full.limit
        ))
    })?;
    let wake = track.wake();
    {
        let mut state = track.lock();
        if let From::After(after) = &from {
            if state.running {
                state
                    .store
                    .resume(after)
                    .map_err(|error| start_status(error, after))?;
            } else {
                // Nothing is held: begin where the child stands, so that it misses nothing.
                state.store.adopt(after);
            }
        }
        if let Phase::Unavailable(reason) = &state.phase
            && state.running
        {
            return Err(Status::unavailable(reason.clone()));
        }
    }
    let demand = track.child_guard(member);
    driver::ensure(&core, &track);
    let child = Child {
        from,
        cursor: None,
        described: String::new(),
        told_hop: 0,
        queue: VecDeque::from([Frame::media(Body::Welcome(welcome(&core)))]),
        wake,
        draining: core.draining(),
        told_drain: false,
        seat,
        told_full: false,
        keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)),
        over: false,
        fill_failures: 0,
        _demand: demand,
        core,
        track,
    };
    Ok(Box::pin(stream::unfold(child, |mut child| async move {
        if child.over {
            return None;
        }
        match child.next().await {
            Ok(Some(frame)) => Some((Ok(frame), child)),
            Ok(None) => None,
            Err(status) => {
                child.over = true;
                Some((Err(status), child))
            }
        }
    })))
}

impl Child {
    async fn next(&mut self) -> Result<Option<Frame>, Status> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                self.count(&frame);
                return Ok(Some(frame));
            }
            if self.over {
                return Ok(None);
            }
            self.wake.mark_unchanged();
            match self.look()? {
                Next::Send(frame) => {
                    self.count(&frame);
                    return Ok(Some(frame));
                }
                Next::Fetch { run, number } => self.fill(run, number).await,
                Next::Wait if self.queue.is_empty() && !self.over => self.wait().await,
                Next::Wait => {}
            }
        }
    }

    fn count(&mut self, frame: &Frame) {
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        self.core.counters.bytes_out.add(frame.len() as u64);
        if let Frame::Chunk(chunk) = frame {
            self.track.count_out(chunk.payload.len());
        }
    }

    /// Looks at the track once; control messages go to the queue.
    fn look(&mut self) -> Result<Next, Status> {
        let track = self.track.clone();
        let state = track.lock();
        if !state.running {
            return Err(Status::unavailable("the branch was pruned"));
        }
        if state.hop.version != self.told_hop {
            self.told_hop = state.hop.version;
            self.queue.push_back(Frame::media(Body::KeepAlive(
                state.keep_alive(Instant::now()),
            )));
        }
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => match self.begin(&state)? {
                Some(cursor) => cursor,
                None => return Ok(Next::Wait),
            },
        };
        if !self.queue.is_empty() {
            return Ok(Next::Wait);
        }
        match state.store.step(cursor) {
            Step::Chunk(chunk, next) => {
                self.cursor = Some(next);
                if chunk.head.run != self.described {
                    self.describe(&state, &chunk.head.run.clone());
                    self.queue.push_back(Frame::Chunk(chunk));
                    return Ok(Next::Wait);
                }
                Ok(Next::Send(Frame::Chunk(chunk)))
            }
            Step::Fetch { run, number } => Ok(Next::Fetch { run, number }),
            Step::Gap { run, to } => {
                self.gap(run, cursor, to);
                // The child may fetch what the window still lists.
                self.queue
                    .push_back(Frame::media(Body::Index(state.store.index_message())));
                Ok(Next::Wait)
            }
            Step::Ended(ended) => {
                self.over = true;
                self.queue.push_back(Frame::media(Body::End(v1::End {
                    reason: "the stream ended".into(),
                    withdrawn: ended.withdrawn,
                })));
                Ok(Next::Wait)
            }
            Step::Wait => Ok(Next::Wait),
        }
    }

    /// Description, Index, Init, as soon as the path is live and a first position is known.
    fn begin(&mut self, state: &State) -> Result<Option<Cursor>, Status> {
        match &state.phase {
            Phase::Unavailable(reason) => return Err(Status::unavailable(reason.clone())),
            Phase::NotFound => {
                return Err(Status::not_found(format!(
                    "stream {:?} is not known to any parent",
                    self.track.key.stream
                )));
            }
            Phase::Idle | Phase::Trying | Phase::Flowing => {}
        }
        if let Some(ended) = state.store.ended() {
            self.over = true;
            self.queue.push_back(Frame::media(Body::End(v1::End {
                reason: "the stream ended".into(),
                withdrawn: ended.withdrawn,
            })));
            return Ok(None);
        }
        if state.phase != Phase::Flowing || !state.store.tip().is_some_and(|tip| tip.received) {
            return Ok(None);
        }
        let start = match &self.from {
            From::Live(_) => state.store.live_start(),
            From::After(after) => state
                .store
                .resume(after)
                .map_err(|error| start_status(error, after))?,
        };
        let Start::At(cursor) = start else {
            return Ok(None);
        };
        let run = state.store.run_at(cursor).unwrap_or_default();
        self.describe(state, &run);
        self.cursor = Some(cursor);
        Ok(Some(cursor))
    }

    fn describe(&mut self, state: &State, run: &str) {
        self.described = run.to_owned();
        let Some(description) = state.store.description_of(run) else {
            return;
        };
        let mut description = description.clone();
        description.discontinuity_sequence = state.store.discontinuity();
        self.queue
            .push_back(Frame::media(Body::Description(description)));
        self.queue
            .push_back(Frame::media(Body::Index(state.store.index_message())));
        if let Some(data) = state.store.init(run) {
            self.queue.push_back(Frame::media(Body::Init(v1::Init {
                run: run.to_owned(),
                data: data.clone(),
            })));
        }
    }

    fn gap(&mut self, run: String, from: Cursor, to: Cursor) {
        self.cursor = Some(to);
        self.queue.push_back(Frame::media(Body::Gap(v1::Gap {
            run,
            from_number: from.number,
            from_part: from.part,
            to_number: to.number,
            to_part: to.part,
            reason: "no longer kept".into(),
        })));
    }

    /// Fetches what the cursor stands at, keeping the hop alive meanwhile.
    async fn fill(&mut self, run: String, number: u64) {
        let Some(cursor) = self.cursor else { return };
        let key = FetchKey {
            run: run.clone(),
            number: Some(number),
        };
        let (core, track) = (self.core.clone(), self.track.clone());
        // The fetch itself goes on in a task of its own if this one is dropped or sends meanwhile.
        let fetching = fetch(&core, &track, key, 1);
        let fetched = tokio::select! {
            biased;
            fetched = fetching => fetched,
            () = self.keep_alive.as_mut() => {
                let alive = self.track.lock().keep_alive(Instant::now());
                self.queue.push_back(Frame::media(Body::KeepAlive(alive)));
                return;
            }
        };
        let next = Cursor {
            number: number + 1,
            part: 0,
        };
        match fetched {
            Ok(Fetched::Segment(chunks)) => {
                self.queue.extend(
                    chunks
                        .iter()
                        .filter(|chunk| chunk.head.part >= cursor.part)
                        .cloned()
                        .map(Frame::Chunk),
                );
                self.cursor = Some(next);
                self.fill_failures = 0;
            }
            Ok(Fetched::Init(_)) => {}
            Err(LibraryError::Unavailable(_) | LibraryError::Timeout)
                if self.fill_failures < FILL_ATTEMPTS =>
            {
                self.fill_failures += 1;
                self.wait().await;
            }
            Err(error) => {
                tracing::info!(stream = self.track.key.stream, track = self.track.key.track, number, %error, "child meets a gap");
                self.fill_failures = 0;
                self.gap(run, cursor, next);
            }
        }
    }

    /// Until the track changes, the hop has been quiet for too long, or this member leaves.
    async fn wait(&mut self) {
        let shutdown = self.core.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => self.over = true,
            changed = self.wake.changed() => {
                if changed.is_err() {
                    self.over = true;
                }
            }
            _ = self.draining.wait_for(|draining| *draining), if !self.told_drain => {
                self.told_drain = true;
                self.queue.push_back(Frame::media(Body::GoAway(v1::GoAway {
                    reason: "leaving".into(),
                    deadline_ms: DRAIN.as_millis() as u32,
                })));
            }
            () = self.seat.asked.cancelled(), if !self.told_full => {
                self.told_full = true;
                self.queue.push_back(Frame::media(Body::GoAway(v1::GoAway {
                    reason: "no room".into(),
                    deadline_ms: 0,
                })));
            }
            () = self.keep_alive.as_mut() => {
                let alive = self.track.lock().keep_alive(Instant::now());
                self.queue.push_back(Frame::media(Body::KeepAlive(alive)));
            }
        }
    }
}
