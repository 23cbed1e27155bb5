//! The contents of a server, each driven by a task of its own: prepare, offer as soon as it holds, keep trying.
//!
//! One content's failure is its own: it says a sentence, waits and tries again, and the others go on.

mod offering;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banyan_media::Packaging;
use banyan_proto::v1;
use futures::FutureExt;
use serde::Serialize;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::offering::Offering;
use crate::catalog::Catalog;
use crate::channel::Channel;
use crate::peer::Peers;
use crate::plan::Plan;
use crate::prepare::slots::Slots;
use crate::prepare::{self, Preparation, Stop};
use crate::store::Store;
use crate::time::Clock;

/// What preparing and offering need, the same for all contents.
pub(crate) struct Shared {
    /// This server's name.
    pub(crate) member: String,
    pub(crate) media: PathBuf,
    pub(crate) cache: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) slots: Arc<Slots>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) tracker: TaskTracker,
}

/// What contents there are to be, from configuration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) epoch: u64,
    pub(crate) packaging: Packaging,
    pub(crate) contents: Vec<v1::Content>,
}

/// Where a content stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) permille: u32,
    pub(crate) remaining_ms: u64,
    pub(crate) error: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Preparing,
    Offered,
    Failed,
}

/// All contents; dropping it leaves the tasks to the shutdown token.
pub(crate) struct Contents {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    running: Mutex<BTreeMap<String, Running>>,
    statuses: watch::Sender<BTreeMap<String, Status>>,
}

struct Running {
    wanted: (v1::Content, u64, Packaging),
    cancel: CancellationToken,
}

impl Contents {
    pub(crate) fn new(shared: Arc<Shared>, shutdown: CancellationToken) -> Arc<Self> {
        let statuses = watch::Sender::new(BTreeMap::new());
        Arc::new(Self {
            shared,
            shutdown,
            running: Mutex::default(),
            statuses,
        })
    }

    pub(crate) fn statuses(&self) -> watch::Receiver<BTreeMap<String, Status>> {
        self.statuses.subscribe()
    }

    /// Makes the running contents those wanted: unchanged ones are not touched.
    pub(crate) fn apply(self: &Arc<Self>, wanted: &Wanted) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, task| {
            let (content, epoch, packaging) = &task.wanted;
            let same = *epoch == wanted.epoch
                && *packaging == wanted.packaging
                && wanted.contents.contains(content);
            if !same {
                task.cancel.cancel();
                self.shared.catalog.withdraw(name);
                self.statuses.send_modify(|all| {
                    all.remove(name);
                });
            }
            same
        });
        for content in &wanted.contents {
            if running.contains_key(&content.name) {
                continue;
            }
            let cancel = self.shutdown.child_token();
            let task = Driver {
                contents: Arc::clone(self),
                content: content.clone(),
                epoch: wanted.epoch,
                packaging: wanted.packaging,
                cancel: cancel.clone(),
                store: None,
            };
            self.shared.tracker.spawn(task.run());
            let wanted = (content.clone(), wanted.epoch, wanted.packaging);
            running.insert(content.name.clone(), Running { wanted, cancel });
        }
    }

    fn report(&self, status: Status) {
        self.statuses.send_if_modified(|all| {
            let old = all.get(&status.name);
            if old == Some(&status) {
                return false;
            }
            if old.is_none_or(|old| (old.state, &old.error) != (status.state, &status.error)) {
                match status.state {
                    State::Failed => tracing::warn!(content = status.name, "{}", status.error),
                    State::Offered => tracing::info!(
                        content = status.name,
                        permille = status.permille,
                        "content offered"
                    ),
                    State::Preparing => tracing::info!(
                        content = status.name,
                        permille = status.permille,
                        "content is being prepared"
                    ),
                }
            }
            all.insert(status.name.clone(), status);
            true
        });
    }
}

/// The task of one content.
struct Driver {
    contents: Arc<Contents>,
    content: v1::Content,
    epoch: u64,
    packaging: Packaging,
    cancel: CancellationToken,
    store: Option<Arc<Store>>,
}

impl Driver {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let cancel = self.cancel.clone();
            let ended = tokio::select! {
                () = cancel.cancelled() => return,
                ended = AssertUnwindSafe(self.attempt(&mut pause)).catch_unwind() => ended,
            };
            // A bug met in one content must not leave it silent, nor touch the others.
            let ended =
                ended.unwrap_or_else(|_| Err(self.sentence(&"an internal error, see the log")));
            if let Err(error) = ended {
                self.report(State::Failed, 0, 0, error);
            }
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    /// Plans, prepares and offers; returns only with an error, or when something on disk has to be made again.
    async fn attempt(&mut self, pause: &mut Duration) -> Result<(), String> {
        self.report(State::Preparing, 0, 0, String::new());
        let shared = &self.contents.shared;
        let (content, packaging) = (self.content.clone(), self.packaging);
        let (media, cache) = (shared.media.clone(), shared.cache.clone());
        // One store per asset for the life of the content: a channel serves what this one knows.
        let known = self.store.take();
        let planned = tokio::task::spawn_blocking(move || {
            let plan =
                Plan::make(&content, packaging, &media, &cache).map_err(|e| e.to_string())?;
            let store = match known.filter(|store| store.key() == plan.key) {
                Some(store) => store,
                None => Store::open(&cache, &plan.key, plan.track_names())
                    .map(Arc::new)
                    .map_err(|e| format!("content {:?}: {e}", content.name))?,
            };
            Ok::<_, String>((Arc::new(plan), store))
        });
        let (plan, store) = planned.await.map_err(|e| self.sentence(&e))??;
        self.store = Some(Arc::clone(&store));
        let copied = Arc::new(AtomicUsize::new(0));
        let mut offering = Offering::new(
            Arc::clone(&plan),
            Arc::clone(&store),
            Arc::clone(shared),
            self.epoch,
            Arc::clone(&copied),
        );
        let (stop, stored) = (Stop::default(), Arc::new(Notify::new()));
        // A cancelled attempt is dropped here: its threads are told to end.
        let _guard = StopOnDrop(stop.clone());
        let mut done = self.start(&plan, &store, stop, &stored, copied)?;
        let result = loop {
            tokio::select! {
                result = &mut done => break result,
                () = stored.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let (state, permille, remaining) = offering.look();
            // Whole only once the descriptor is written too.
            self.report(state, permille.min(999), remaining, String::new());
        };
        match result {
            Ok(Ok(())) => *pause = FIRST_PAUSE,
            Ok(Err(error)) => return Err(self.sentence(&error)),
            Err(_) => return Err(self.sentence(&"preparation ended without a result")),
        }
        loop {
            let (state, permille, remaining) = offering.look();
            self.report(state, permille, remaining, String::new());
            if permille < 1000 {
                // A segment was found damaged and is made anew.
                return Ok(());
            }
            tokio::time::sleep(CHECK_EVERY).await;
        }
    }

    fn start(
        &self,
        plan: &Arc<Plan>,
        store: &Arc<Store>,
        stop: Stop,
        stored: &Arc<Notify>,
        copied: Arc<AtomicUsize>,
    ) -> Result<oneshot::Receiver<Result<(), prepare::Error>>, String> {
        let shared = &self.contents.shared;
        let (clock, timeline, epoch) =
            (Arc::clone(&shared.clock), plan.timeline.clone(), self.epoch);
        let stored = Arc::clone(stored);
        let preparation = Preparation {
            plan: Arc::clone(plan),
            store: Arc::clone(store),
            slots: Arc::clone(&shared.slots),
            stop,
            epoch,
            clock: Arc::clone(&clock),
            peers: Arc::clone(&shared.peers),
            copied,
            program: shared.program.clone(),
            position: Box::new(move || Channel::local_now(&timeline, epoch, clock.now())),
            stored: Box::new(move || stored.notify_one()),
        };
        let (send, receive) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("prepare {}", plan.name));
        let spawned = thread.spawn(move || {
            // Nobody listens any more when the attempt was cancelled.
            let _ = send.send(preparation.run());
        });
        spawned.map(|_| receive).map_err(|e| self.sentence(&e))
    }

    fn sentence(&self, error: &dyn std::fmt::Display) -> String {
        format!("content {:?}: {error}", self.content.name)
    }

    fn report(&self, state: State, permille: u32, remaining_ms: u64, error: String) {
        if self.cancel.is_cancelled() {
            return;
        }
        self.contents.report(Status {
            name: self.content.name.clone(),
            state,
            permille,
            remaining_ms,
            error,
        });
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// A file that appears, or a disk that gets room, is noticed within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);
const CHECK_EVERY: Duration = Duration::from_secs(5);
