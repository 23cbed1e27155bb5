//! One carried track: its store, its demand, and what its readers are woken by.
//!
//! All state stands under one lock that nothing awaits under; `wake` counts every change that a
//! cursor may care about, so one watch wakes all readers and none holds a queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use banyan_proto::v1;
use tokio::sync::{Notify, watch};

use crate::clock::Instant;
use crate::demand::{Demand, Wanted};
use crate::fetch::{FetchKey, FetchResult};
use crate::library::TrackView;
use crate::status::{HeadStatus, TrackStatus};
use crate::store::Store;

/// A track by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) stream: String,
    pub(crate) track: String,
}

/// How far the way to an origin stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Idle,
    /// Looking for a parent; what is held is served meanwhile.
    Trying,
    Flowing,
    /// A whole round of parents failed; the reason of the last.
    Unavailable(String),
    /// Every parent that answered said that it knows no such stream.
    NotFound,
}

/// What children are told of the path, as this member sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) path: Vec<String>,
    pub(crate) repairing_since: Option<Instant>,
    pub(crate) stalled: bool,
    pub(crate) parent: Option<String>,
    /// Grows with every change children must be told of at once.
    pub(crate) version: u64,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) demand: Demand,
    pub(crate) phase: Phase,
    pub(crate) hop: Hop,
    /// A child's position, adopted as the beginning by a member that holds nothing.
    pub(crate) children: BTreeMap<u64, String>,
    pub(crate) fetching: HashMap<FetchKey, watch::Receiver<Option<FetchResult>>>,
    pub(crate) running: bool,
    pub(crate) viewers: u32,
    pub(crate) chunks_in: u64,
    pub(crate) bytes_in: u64,
    next_child: u64,
}

pub(crate) struct Track {
    pub(crate) key: Key,
    state: Mutex<State>,
    wake: watch::Sender<u64>,
    view: watch::Sender<Arc<TrackView>>,
    /// Wakes the driver: demand changed.
    pub(crate) demand_changed: Notify,
    pub(crate) chunks_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
}

impl Track {
    pub(crate) fn new(key: Key) -> Track {
        Track {
            key,
            state: Mutex::default(),
            wake: watch::Sender::new(0),
            view: watch::Sender::default(),
            demand_changed: Notify::new(),
            chunks_out: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes every cursor and publishes the view to whoever follows it.
    pub(crate) fn changed(&self, state: &State) {
        if self.view.receiver_count() > 0 {
            self.view.send_replace(Arc::new(state.store.view()));
        }
        self.wake.send_modify(|version| *version += 1);
    }

    pub(crate) fn wake(&self) -> watch::Receiver<u64> {
        self.wake.subscribe()
    }

    pub(crate) fn view(&self) -> watch::Receiver<Arc<TrackView>> {
        let state = self.lock();
        let receiver = self.view.subscribe();
        // Nobody may have been listening for a while.
        self.view.send_replace(Arc::new(state.store.view()));
        receiver
    }

    pub(crate) fn wanted(&self, now: Instant) -> Wanted {
        let state = self.lock();
        state.demand.wanted(now, target_duration(&state.store))
    }

    pub(crate) fn touch(&self, now: Instant) {
        self.lock().demand.touch(now);
    }

    pub(crate) fn http_guard(self: &Arc<Self>) -> HttpGuard {
        self.lock().demand.request_opened(Instant::now());
        HttpGuard {
            track: self.clone(),
        }
    }

    pub(crate) fn child_guard(self: &Arc<Self>, name: &str) -> ChildGuard {
        let mut state = self.lock();
        state.demand.child_joined();
        state.next_child += 1;
        let id = state.next_child;
        state.children.insert(id, name.to_owned());
        ChildGuard {
            track: self.clone(),
            id,
        }
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.chunks_out.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> TrackStatus {
        let state = self.lock();
        let head = state.store.head();
        let mut children: Vec<String> = state.children.values().cloned().collect();
        children.sort();
        children.dedup();
        TrackStatus {
            stream: self.key.stream.clone(),
            track: self.key.track.clone(),
            run: head.as_ref().map(|h| h.run.clone()).unwrap_or_default(),
            parent: state.hop.parent.clone().unwrap_or_default(),
            path: state.hop.path.clone(),
            state: state.label().to_owned(),
            head: head.map(|head| HeadStatus {
                number: head.number,
                part: head.part,
            }),
            chunks_in: state.chunks_in,
            bytes_in: state.bytes_in,
            chunks_out: self.chunks_out.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            children,
            viewers: state.viewers,
        }
    }
}

impl State {
    pub(crate) fn label(&self) -> &'static str {
        if !self.running {
            "idle"
        } else if self.hop.repairing_since.is_some() {
            "repairing"
        } else if self.hop.stalled {
            "stalled"
        } else {
            "flowing"
        }
    }

    pub(crate) fn keep_alive(&self, now: Instant) -> v1::KeepAlive {
        let head = self.store.head();
        let repairing = self
            .hop
            .repairing_since
            .map(|since| now.saturating_duration_since(since));
        let state = match repairing {
            Some(_) => v1::FlowState::Repairing,
            None if self.hop.stalled => v1::FlowState::Stalled,
            None => v1::FlowState::Flowing,
        };
        v1::KeepAlive {
            path: self.hop.path.clone(),
            state: state.into(),
            repairing_ms: repairing.map_or(0, |since| since.as_millis() as u32),
            run: head.as_ref().map(|h| h.run.clone()).unwrap_or_default(),
            head_number: head.as_ref().map_or(0, |head| head.number),
            head_part: head.as_ref().map_or(0, |head| head.part),
        }
    }
}

fn target_duration(store: &Store) -> Duration {
    let ms = store.description().map_or(0, |d| d.target_duration_ms);
    Duration::from_millis(u64::from(ms))
}

/// An open blocking request: demand until dropped.
pub(crate) struct HttpGuard {
    track: Arc<Track>,
}

impl Drop for HttpGuard {
    fn drop(&mut self) {
        self.track.lock().demand.request_closed(Instant::now());
        self.track.demand_changed.notify_one();
    }
}

/// A subscribed child: demand until dropped.
pub(crate) struct ChildGuard {
    track: Arc<Track>,
    id: u64,
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let mut state = self.track.lock();
        state.children.remove(&self.id);
        state.demand.child_left(Instant::now());
        drop(state);
        self.track.demand_changed.notify_one();
    }
}
