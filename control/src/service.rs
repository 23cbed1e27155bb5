//! The control plane as a service: one state machine, its gRPC and HTTP sides, and the publisher
//! that renders the view for all event clients at once.
//!
//! Backend-free: whoever owns a world builds a [`Roster`] and an [`Authenticator`] and calls
//! [`Service::run`]; [`Handle::set_roster`] changes the roster later. Who serves many topologies makes a
//! [`Service`] for each, and one [`serve`] for all with a [`Directory`] of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use banyan_proto::trust::Authenticator;
use banyan_proto::{transport, v1};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::server::TcpIncoming;

use crate::attach::{Admitted, Attach, Directory};
use crate::clock::Clock;
use crate::http;
use crate::roster::Roster;
use crate::topology::{Limits, Now, Topology};

/// Why the service ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gRPC side failed.
    #[error("cannot serve gRPC")]
    Grpc(#[source] tonic::transport::Error),
    /// The HTTP side failed.
    #[error("cannot serve HTTP")]
    Http(#[source] std::io::Error),
}

/// What a control plane is started with.
pub struct Settings {
    /// Whom to expect, where they are, and their configuration.
    pub roster: Roster,
    /// Must be higher than that of any control plane before this one.
    pub term: u64,
    /// Bounds of the state machine.
    pub limits: Limits,
    /// Whether HTTP may change anything. Where somebody else decides who may (Kubernetes), it may not.
    pub changes: bool,
}

/// The control plane of one topology, not running yet.
pub struct Service {
    shared: Arc<Shared>,
    changes: bool,
}

/// A running control plane as its owner sees it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

/// The state machine and its watchers. Nothing awaits under the lock.
pub(crate) struct Shared {
    topology: Mutex<Topology>,
    clock: Clock,
    calls: watch::Sender<u64>,
    published: watch::Sender<Bytes>,
    shutdown: CancellationToken,
}

/// The one topology there is.
struct Only {
    topology: Handle,
    authenticator: Arc<dyn Authenticator>,
}

/// Serves gRPC for all topologies of `directory`, and `router`, until shutdown or the first failure.
pub async fn serve(
    directory: Arc<dyn Directory>,
    grpc: TcpListener,
    router: axum::Router,
    http: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let attach = Attach::new(directory, shutdown.clone());
    let attach = v1::control_server::ControlServer::new(attach).max_decoding_message_size(MESSAGE);
    let grpc = transport::server()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(attach)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(grpc).with_nodelay(Some(true)),
            shutdown.clone().cancelled_owned(),
        );
    let http = axum::serve(http::Listener::new(http), router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let grpc = async { grpc.await.map_err(Error::Grpc) };
    let http = async { http.await.map_err(Error::Http) };
    tokio::select! {
        ended = async { tokio::try_join!(grpc, http) } => ended.map(|_| ()),
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            tracing::warn!("connections were still open at the end of the drain");
            Ok(())
        }
    }
}

// === impl Service ===

impl Service {
    /// Cancelling `shutdown` stops it in order: unready, calls ended, listeners closed.
    pub fn new(settings: Settings, shutdown: CancellationToken) -> Self {
        let clock = Clock::start();
        let topology = Topology::new(settings.roster, settings.term, settings.limits, clock.now());
        Self {
            shared: Arc::new(Shared {
                topology: Mutex::new(topology),
                clock,
                calls: watch::Sender::new(0),
                published: watch::Sender::new(Bytes::new()),
                shutdown,
            }),
            changes: settings.changes,
        }
    }

    /// For the owner of the world.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    #[cfg(test)]
    pub(crate) fn forbid_changes(&mut self) {
        self.changes = false;
    }

    #[cfg(test)]
    pub(crate) fn shutdown(&self) -> &CancellationToken {
        self.shared.shutdown()
    }

    /// The HTTP side, to be nested under any prefix.
    pub fn router(&self) -> axum::Router {
        let shutdown = self.shared.shutdown().clone();
        http::router(self.shared.clone(), shutdown, self.changes)
    }

    /// Serves this topology alone until shutdown or the first failure.
    pub async fn run(
        self,
        authenticator: Arc<dyn Authenticator>,
        grpc: TcpListener,
        http: TcpListener,
    ) -> Result<(), Error> {
        let only = Only {
            topology: self.handle(),
            authenticator,
        };
        let shutdown = self.shared.shutdown().clone();
        let served = serve(Arc::new(only), grpc, self.router(), http, shutdown);
        tokio::select! {
            ended = served => ended,
            // Ends with the shutdown, and then waits for the listeners.
            () = async { self.publish().await; std::future::pending().await } => Ok(()),
        }
    }

    /// Ages the members and renders the view for event clients, at most at [`PACE`].
    pub async fn publish(&self) {
        let mut ticks = tokio::time::interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut shown, mut shown_at) = (None, Duration::ZERO);
        loop {
            tokio::select! {
                () = self.shared.shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (planned, revision, now) = self.shared.with(|topology, now| {
                let planned = topology.handle_tick(now);
                (planned, topology.revision(), now)
            });
            if planned {
                self.shared.wake_calls();
            }
            if shown != Some(revision) || now.at.saturating_sub(shown_at) >= HEARTBEAT {
                (shown, shown_at) = (Some(revision), now.at);
                if self.shared.published.receiver_count() > 0 {
                    self.shared.published.send_replace(self.shared.render());
                }
            }
        }
    }
}

// === impl Handle ===

impl Handle {
    /// Takes a new roster; attached members are sent their plans.
    pub fn set_roster(&self, roster: Roster) {
        self.0.with(|topology, _| topology.handle_roster(roster));
        self.0.wake_calls();
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.0.clone()
    }

    /// Reads the state machine.
    pub fn read<T>(&self, read: impl FnOnce(&Topology, Now) -> T) -> T {
        self.0.with(|topology, now| read(topology, now))
    }
}

// === impl Only ===

impl Directory for Only {
    fn admit<'a>(
        &'a self,
        hello: Option<&'a v1::Hello>,
    ) -> BoxFuture<'a, Result<Admitted, Status>> {
        Box::pin(async move {
            let topology = self.topology.clone();
            let identity = self.authenticator.authenticate(hello).await;
            let identity = identity
                .inspect_err(|_| topology.0.with(|topology, _| topology.handle_stranger()))?;
            Ok(Admitted {
                member: identity.member,
                topology,
            })
        })
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Topology, Now) -> T) -> T {
        let now = self.clock.now();
        let mut topology = self.topology.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut topology, now)
    }

    /// The view as JSON.
    pub(crate) fn render(&self) -> Bytes {
        let view = self.with(|topology, now| topology.view(now));
        serde_json::to_vec(&view)
            .map(Bytes::from)
            .unwrap_or_default()
    }

    pub(crate) fn published(&self) -> watch::Receiver<Bytes> {
        self.published.subscribe()
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    pub(crate) fn calls(&self) -> watch::Receiver<u64> {
        self.calls.subscribe()
    }

    /// Lets every call look whether it is still wanted and what it is due.
    pub(crate) fn wake_calls(&self) {
        self.calls.send_modify(|count| *count += 1);
    }
}

/// Twice a second is as fast as a page can usefully redraw a tree.
const PACE: Duration = Duration::from_millis(500);
/// Shorter than the five seconds after which a page takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(4);
/// A member that vanished without closing its connection is noticed within two of these.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Calls and event clients end at once on shutdown; this is for those that do not read.
const DRAIN: Duration = Duration::from_secs(2);
/// The message limit of the wire contract.
const MESSAGE: usize = 16 * 1024 * 1024;
