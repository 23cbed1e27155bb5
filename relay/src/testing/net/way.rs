//! One direction between two members in tokio's time. Receivers see to what is due: no task of its own is woken for every
//! message.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banyan_proto::frame::Frame;
use banyan_testbed::link::{Change, Counters, Nanos, Settings};
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio::time::sleep_until;
use tonic::Status;

use super::pipe::Pipe;
use crate::clock::Instant;
use crate::core::lock;

/// What a receiver gets: a frame, the end of the call, or its failure.
pub(super) type Arrived = Result<Option<Frame>, Status>;

/// What calls have to know of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Something arrives.
    pub(super) up: bool,
    /// Calls open when it grew are reset.
    pub(super) resets: u64,
}

pub(super) struct Way {
    start: Instant,
    pipe: Mutex<Pipe<Parcel>>,
    state: watch::Sender<State>,
}

struct Parcel {
    to: Arc<Inbox>,
    content: Arrived,
}

/// What has arrived of one call.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    arrived: Mutex<VecDeque<Arrived>>,
    more: Notify,
    /// More was there when the last was taken.
    burst: AtomicBool,
}

impl Inbox {
    /// Cancel-safe; for one reader. Others have their turn between two of a burst, as beside a socket.
    pub(super) async fn next(&self) -> Arrived {
        if self.burst.swap(false, Ordering::Relaxed) {
            yield_now().await;
        }
        loop {
            if let Some(arrived) = self.take() {
                return arrived;
            }
            self.more.notified().await;
        }
    }

    fn take(&self) -> Option<Arrived> {
        let mut arrived = lock(&self.arrived);
        let first = arrived.pop_front();
        self.burst.store(!arrived.is_empty(), Ordering::Relaxed);
        first
    }
}

impl Way {
    /// An idle one; nanoseconds are counted from `start`.
    pub(super) fn new(settings: Settings, seed: u64, start: Instant) -> Arc<Way> {
        let back = settings.delay_us * MICROSECOND;
        Arc::new(Way {
            start,
            pipe: Mutex::new(Pipe::new(settings, back, seed)),
            state: watch::Sender::new(State {
                up: settings.up,
                resets: 0,
            }),
        })
    }

    /// Does something with the pipe, and what is due.
    fn touch(&self, touch: impl FnOnce(&mut Pipe<Parcel>, Nanos)) {
        let mut pipe = lock(&self.pipe);
        let now = Instant::now().saturating_duration_since(self.start);
        let now = now.as_nanos() as Nanos;
        touch(&mut pipe, now);
        for Parcel { to, content } in pipe.advance(now) {
            lock(&to.arrived).push_back(content);
            to.more.notify_one();
        }
    }

    /// Until something is due.
    async fn due(&self) {
        let due = lock(&self.pipe).poll_due();
        match due {
            Some(at) => sleep_until(self.start + Duration::from_nanos(at)).await,
            None => pending().await,
        }
    }

    /// What has come of a call. Whoever has something under way sees to what is due. Cancel-safe.
    pub(super) async fn receive(&self, inbox: &Inbox, under_way: bool) -> Arrived {
        loop {
            tokio::select! {
                biased;
                arrived = inbox.next() => return arrived,
                () = self.due(), if under_way => self.touch(|_, _| ()),
            }
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    pub(super) fn counters(&self) -> Counters {
        lock(&self.pipe).counters()
    }

    /// Changes the link. What is under way may be due sooner for it than anybody waits for.
    pub(super) fn change(self: &Arc<Way>, change: &Change) {
        self.touch(|pipe, now| pipe.change(now, change));
        let up = lock(&self.pipe).settings().up;
        self.state.send_modify(|state| state.up = up);
        let way = self.clone();
        tokio::spawn(async move {
            while lock(&way.pipe).poll_due().is_some() {
                way.due().await;
                way.touch(|_, _| ());
            }
        });
    }

    /// The other direction takes so long.
    pub(super) fn set_back(&self, us: u64) {
        lock(&self.pipe).back = us * MICROSECOND;
    }

    pub(super) fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    pub(super) fn send(&self, call: u64, bytes: u64, to: &Arc<Inbox>, content: Arrived) {
        let parcel = Parcel {
            to: to.clone(),
            content,
        };
        self.touch(|pipe, _| pipe.write(call, bytes, parcel));
    }

    /// Nobody waits for what is left of a call.
    pub(super) fn cancel(&self, call: u64) {
        lock(&self.pipe).cancel(call);
    }

    /// Until a message of so many bytes is across.
    pub(super) async fn carry(&self, call: u64, bytes: u64) {
        let inbox = Arc::<Inbox>::default();
        self.send(call, bytes, &inbox, Ok(None));
        // Its content says nothing.
        let _ = self.receive(&inbox, true).await;
    }
}

const MICROSECOND: Nanos = 1_000;
