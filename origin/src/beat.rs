//! Beats: this server tells every root that it lives, on a connection of its own for each.
//!
//! Media never shares these connections; else the origin that feeds would look slower than the idle one.

mod window;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banyan_proto::transport;
use banyan_proto::trust::RunSecret;
use banyan_proto::v1::{self, rendezvous_client::RendezvousClient};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::window::Window;
use crate::catalog::Catalog;
use crate::content::{State, Status};
use crate::peer::Peers;
use crate::time;

/// What a beat tells, shared by all roots' tasks.
pub(crate) struct Pulse {
    pub(crate) member: String,
    pub(crate) boot_id: String,
    pub(crate) endpoint: String,
    pub(crate) secret: RunSecret,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) contents: watch::Receiver<BTreeMap<String, Status>>,
    pub(crate) load: watch::Receiver<v1::Load>,
    pub(crate) draining: CancellationToken,
}

/// The roots being beaten to.
pub(crate) struct Beats {
    pulse: Arc<Pulse>,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    root: v1::Peer,
    interval: Duration,
    cancel: CancellationToken,
    state: Arc<Mutex<Link>>,
}

/// How a root is reached now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    pub(crate) rtt_min_us: u32,
    pub(crate) rtt_median_us: u32,
    pub(crate) late_permille: u32,
}

impl Beats {
    pub(crate) fn new(pulse: Pulse, tracker: TaskTracker, shutdown: CancellationToken) -> Self {
        Self {
            pulse: Arc::new(pulse),
            tracker,
            shutdown,
            running: Mutex::default(),
        }
    }

    /// Beats to exactly `roots` from now on.
    pub(crate) fn apply(&self, roots: &[v1::Peer], interval: Duration) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, task| {
            let keep = task.interval == interval && roots.contains(&task.root);
            if !keep {
                task.cancel.cancel();
            }
            keep
        });
        for root in roots {
            if running.contains_key(&root.name) {
                continue;
            }
            let (cancel, state) = (self.shutdown.child_token(), Arc::<Mutex<Link>>::default());
            let task = Heart {
                pulse: Arc::clone(&self.pulse),
                root: root.clone(),
                interval,
                state: Arc::clone(&state),
                sequence: 0,
                window: Window::default(),
            };
            let stop = cancel.clone();
            self.tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = task.run() => {}
                }
            });
            running.insert(
                root.name.clone(),
                Running {
                    root: root.clone(),
                    interval,
                    cancel,
                    state,
                },
            );
        }
    }

    /// All roots and how they are reached.
    pub(crate) fn links(&self) -> Vec<(v1::Peer, Link)> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let link = |task: &Running| *task.state.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .values()
            .map(|task| (task.root.clone(), link(task)))
            .collect()
    }
}

/// The task of one root.
struct Heart {
    pulse: Arc<Pulse>,
    root: v1::Peer,
    interval: Duration,
    state: Arc<Mutex<Link>>,
    sequence: u64,
    window: Window,
}

impl Heart {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        loop {
            let began = Instant::now();
            let reason = match self.beat().await {
                Ok(()) => "the root ended the call".to_owned(),
                Err(status) => status.message().to_owned(),
            };
            self.publish(false);
            self.window.disconnected();
            tracing::info!(root = self.root.name, reason, "beats interrupted");
            backoff.wait(began.elapsed()).await;
        }
    }

    async fn beat(&mut self) -> Result<(), tonic::Status> {
        let endpoint = transport::endpoint(&self.root.uri)
            .map_err(|e| tonic::Status::invalid_argument(e.to_string()))?;
        let channel = endpoint
            .connect()
            .await
            .map_err(|e| tonic::Status::unavailable(e.to_string()))?;
        let (send, receive) = mpsc::channel(QUEUED);
        let hello = self
            .pulse
            .secret
            .hello(&self.pulse.member, &self.pulse.boot_id);
        let hello = v1::BeatRequest {
            body: Some(v1::beat_request::Body::Hello(hello)),
        };
        let _ = send.try_send(hello);
        let mut client = RendezvousClient::new(channel);
        let call = client.beat(ReceiverStream::new(receive));
        let mut replies = tokio::time::timeout(ANSWER, call)
            .await
            .map_err(|_| tonic::Status::deadline_exceeded("the root did not answer"))??
            .into_inner();
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut told = self.pulse.draining.is_cancelled();
        loop {
            tokio::select! {
                // Roots hear of it at once, not with the next beat.
                () = self.pulse.draining.cancelled(), if !told => {
                    told = true;
                    ticks.reset_immediately();
                }
                _ = ticks.tick() => {
                    if heard.elapsed() > SILENCE.max(self.interval * 4) {
                        return Err(tonic::Status::deadline_exceeded("the root has been silent"));
                    }
                    let beat = v1::BeatRequest { body: Some(v1::beat_request::Body::Beat(self.next())) };
                    // A full queue means that nothing is being sent: silence will end the call.
                    let _ = send.try_send(beat);
                }
                reply = replies.message() => {
                    heard = Instant::now();
                    match reply?.and_then(|reply| reply.body) {
                        Some(v1::beat_reply::Body::Welcome(_)) => self.publish(true),
                        Some(v1::beat_reply::Body::Echo(echo)) => {
                            self.pulse.peers.heard(&echo.roots);
                            self.window.echoed(&echo, Instant::now(), time::unix_ns());
                            self.publish(true);
                        }
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    fn next(&mut self) -> v1::Beat {
        self.sequence += 1;
        let sent = time::unix_ns();
        self.window.sent(self.sequence, Instant::now());
        let measured = self.window.measured();
        let catalog = self.pulse.catalog.snapshot();
        let contents = self.pulse.contents.borrow();
        let preparing = contents
            .values()
            .filter(|status| status.state != State::Offered)
            .map(Status::preparation);
        v1::Beat {
            sequence: self.sequence,
            sent_unix_ns: u64::try_from(sent).unwrap_or(u64::MAX),
            load: Some(*self.pulse.load.borrow()),
            catalog_version: catalog.version,
            endpoints: vec![self.pulse.endpoint.clone()],
            contents: catalog.offers.keys().cloned().collect(),
            rtt_min_us: measured.rtt_min_us,
            rtt_median_us: measured.rtt_median_us,
            late_permille: measured.late_permille,
            clock_offset_us: measured.clock_offset_us,
            preparing: preparing.collect(),
            draining: self.pulse.draining.is_cancelled(),
        }
    }

    fn publish(&self, connected: bool) {
        let measured = self.window.measured();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Link {
            connected,
            rtt_min_us: measured.rtt_min_us,
            rtt_median_us: measured.rtt_median_us,
            late_permille: measured.late_permille,
        };
    }
}

/// Waits that double up to a cap, with jitter; a connection that held for a while starts over.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    pub(crate) async fn wait(&mut self, held: Duration) {
        if held > HELD {
            self.0 = FIRST_WAIT;
        }
        let jitter = rand::random_range(0.75..1.25);
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(LONGEST_WAIT);
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const HELD: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(3);
/// A root that echoes nothing for this long is dialled again.
const SILENCE: Duration = Duration::from_secs(5);
/// Beats waiting to be sent; more than a few means the connection hangs.
const QUEUED: usize = 8;
