//! Assembly of a content server, in the order that things need each other:
//! clock → catalogue and contents (preparation starts) → listeners → Media service → beats → attachment → HTTP.
//!
//! `Server::start` binds and spawns; `Server::stop` leaves in order. Every task is one of the tracker's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use banyan_proto::redirect::Target;
use banyan_proto::server::MediaServer;
use banyan_proto::transport;
use banyan_proto::trust::{RunSecret, ServiceAccount};
use banyan_proto::v1;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;

use crate::attach::Attachment;
use crate::beat::{Beats, Pulse};
use crate::catalog::Catalog;
use crate::config::{self, Settings};
use crate::content::{Contents, Shared};
use crate::load::{Own, Sampler};
use crate::peer::Peers;
use crate::prepare::slots::Slots;
use crate::record::Events;
use crate::serve::{Service, Traffic};
use crate::status::Member;
use crate::time::Clock;
use crate::{http, random_id};

/// How a content server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its ContentServer's name.
    pub member: String,
    /// The topology it feeds.
    pub topology: String,
    /// gRPC address; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// HTTP address; port 0 takes a free one.
    pub http: SocketAddr,
    /// URI that others reach the gRPC address by; `None` = `http://<grpc>`.
    pub advertise: Option<String>,
    /// What to prepare and whom to beat to.
    pub config: v1::Config,
    /// Control plane to attach to.
    pub control: Option<String>,
    /// Who this is, over there; `None` = the holder of the run's secret.
    pub account: Option<ServiceAccount>,
    /// Media root.
    pub media: PathBuf,
    /// Folder for prepared assets.
    pub cache: PathBuf,
    /// Folder for events.
    pub record: Option<PathBuf>,
    /// Shared by all members of a run.
    pub secret: RunSecret,
    /// The `banyan-origin` executable, which encodes audio; `None` = this process's.
    pub program: Option<PathBuf>,
    /// Segments encoded at a time; `None` = one per core.
    pub workers: Option<usize>,
    /// Channel time at start in Unix nanoseconds; `None` = the machine's clock. For tests.
    pub start_at: Option<u128>,
}

/// How long the steps of leaving take.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Unready, and serving as before.
    pub lame_duck: Duration,
    /// From the go-away on, children have this long to go elsewhere.
    pub drain: Duration,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Configuration, flags or environment are not usable.
    #[error("{0}")]
    Configuration(String),
    /// An address cannot be listened on.
    #[error("{what} address {address} cannot be used: {source}")]
    Listen {
        /// `gRPC` or `HTTP`.
        what: &'static str,
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A folder cannot be used.
    #[error("{what} {path:?} cannot be used: {source}")]
    Folder {
        /// Which folder.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A running content server.
pub struct Server {
    grpc: SocketAddr,
    http: SocketAddr,
    tracker: TaskTracker,
    /// Children are told to go.
    leaving: CancellationToken,
    /// Everything ends.
    shutdown: CancellationToken,
    member: Arc<Member>,
}

impl Server {
    /// Binds its addresses and starts all tasks.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let settings = config::check(options.config.clone(), &options.topology)
            .map_err(|e| StartError::Configuration(e.to_string()))?;
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(|source| StartError::Folder {
                what: "executable",
                path: PathBuf::from("banyan-origin"),
                source,
            })?,
        };
        std::fs::create_dir_all(&options.cache).map_err(|source| StartError::Folder {
            what: "cache",
            path: options.cache.clone(),
            source,
        })?;
        let events =
            Events::open(options.record.as_deref(), &options.member).map_err(|source| {
                StartError::Folder {
                    what: "record folder",
                    path: options.record.clone().unwrap_or_default(),
                    source,
                }
            })?;
        let grpc_listener = listen("gRPC", options.grpc).await?;
        let http_listener = listen("HTTP", options.http).await?;
        let (grpc, http) = (
            local(&grpc_listener, options.grpc),
            local(&http_listener, options.http),
        );

        let clock = Arc::new(options.start_at.map_or_else(Clock::machine, Clock::at));
        let (tracker, leaving, shutdown) = (
            TaskTracker::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        let (catalog, traffic) = (Arc::new(Catalog::new()), Arc::new(Traffic::default()));
        let workers = options
            .workers
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let slots = Slots::new(workers);
        let boot_id = random_id();
        let draining = CancellationToken::new();
        let peers = Peers::new(&options.member, &boot_id, options.secret.clone());
        let shared = Shared {
            member: options.member.clone(),
            media: options.media.clone(),
            cache: options.cache.clone(),
            program,
            slots: Arc::clone(&slots),
            clock: Arc::clone(&clock),
            catalog: Arc::clone(&catalog),
            peers: Arc::clone(&peers),
            tracker: tracker.clone(),
        };
        let contents = Contents::new(Arc::new(shared), shutdown.clone());

        let (load_sender, load) = watch::channel(v1::Load::default());
        let endpoint = options
            .advertise
            .clone()
            .unwrap_or_else(|| format!("http://{grpc}"));
        let pulse = Pulse {
            member: options.member.clone(),
            boot_id: boot_id.clone(),
            endpoint: endpoint.clone(),
            secret: options.secret.clone(),
            catalog: Arc::clone(&catalog),
            peers: Arc::clone(&peers),
            contents: contents.statuses(),
            load: load.clone(),
            draining: draining.clone(),
        };
        let beats = Arc::new(Beats::new(pulse, tracker.clone(), shutdown.clone()));
        let member = Arc::new(Member {
            name: options.member.clone(),
            topology: options.topology.clone(),
            boot_id,
            grpc: endpoint,
            http: format!("http://{http}"),
            secret: options.secret.clone(),
            clock: Arc::clone(&clock),
            catalog: Arc::clone(&catalog),
            contents: Arc::clone(&contents),
            peers: Arc::clone(&peers),
            traffic: Arc::clone(&traffic),
            beats: Arc::clone(&beats),
            load,
            draining,
        });
        let service = Service {
            member: options.member,
            catalog,
            clock: Arc::clone(&clock),
            trust: Arc::new(options.secret),
            traffic: Arc::clone(&traffic),
            events: Arc::new(events),
            leaving: leaving.clone(),
        };

        let server = Self {
            grpc,
            http,
            tracker,
            leaving,
            shutdown,
            member,
        };
        let settings = watch::Sender::new(Arc::new(settings));
        server.spawn(follow_settings(
            settings.subscribe(),
            Arc::clone(&peers),
            contents,
            beats,
            Arc::clone(&traffic),
        ));
        server.spawn(sample_load(
            load_sender,
            clock,
            options.cache,
            slots,
            traffic,
            peers,
        ));
        server.serve_grpc(service, grpc_listener);
        server.serve_http(http_listener);
        if let Some(uri) = options.control {
            let attachment = Attachment {
                target: Target::new(uri),
                account: options.account,
                member: Arc::clone(&server.member),
                settings,
                plan: (0, 0),
            };
            server.spawn(attachment.run());
        } else {
            // Nothing will change the settings; the follower keeps the first ones.
            server.spawn(async move {
                let _keep = settings;
                std::future::pending::<()>().await;
            });
        }
        tracing::info!(member = server.member.name, %grpc, %http, "content server is up");
        Ok(server)
    }

    /// The gRPC address listened on.
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// The HTTP address listened on.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// `/api/member` as a value.
    pub fn status(&self) -> serde_json::Value {
        self.member.json()
    }

    /// Until this server is told to leave by its control plane.
    pub async fn drained(&self) {
        self.member.draining.cancelled().await;
    }

    /// Leaves in order: unready and serving on, then children told to go, then gone when nobody is
    /// left or the drain is over. `hurry` cuts all of it short.
    pub async fn leave(self, manner: Manner, hurry: &CancellationToken) {
        // Beats say so from now on, and roots look elsewhere.
        self.member.drain();
        tokio::select! {
            () = tokio::time::sleep(manner.lame_duck) => {}
            () = hurry.cancelled() => return self.stop().await,
        }
        self.leaving.cancel();
        tokio::select! {
            () = self.quiet() => {}
            () = tokio::time::sleep(manner.drain) => {}
            () = hurry.cancelled() => {}
        }
        self.stop().await;
    }

    /// Unready, children told to go, then everything ended within a bound.
    pub async fn stop(self) {
        self.member.drain();
        self.leaving.cancel();
        self.tracker.close();
        let grace = tokio::time::timeout(LAME_DUCK, self.quiet()).await;
        self.shutdown.cancel();
        if tokio::time::timeout(DRAIN, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(left = self.tracker.len(), "tasks did not end in time");
        }
        if grace.is_err() {
            tracing::info!("children were still subscribed");
        }
    }

    /// Until no child is subscribed.
    async fn quiet(&self) {
        while self.member.traffic.sessions() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = task => {}
            }
        });
    }

    fn serve_grpc(&self, service: Service, listener: TcpListener) {
        let shutdown = self.shutdown.clone();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let router = transport::server().add_service(MediaServer::new(Arc::new(service)));
        self.spawn(async move {
            let served = router
                .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "gRPC server ended");
            }
        });
    }

    fn serve_http(&self, listener: TcpListener) {
        let router = http::router(Arc::clone(&self.member));
        self.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "HTTP server ended");
            }
        });
    }
}

async fn follow_settings(
    mut settings: watch::Receiver<Arc<Settings>>,
    peers: Arc<Peers>,
    contents: Arc<Contents>,
    beats: Arc<Beats>,
    traffic: Arc<Traffic>,
) {
    loop {
        let now = Arc::clone(&settings.borrow_and_update());
        traffic.expect(
            now.wanted
                .contents
                .iter()
                .map(|c| c.name.clone())
                .collect::<BTreeSet<_>>(),
        );
        peers.heard(&now.roots);
        contents.apply(&now.wanted);
        beats.apply(&now.roots, now.heartbeat);
        if settings.changed().await.is_err() {
            return;
        }
    }
}

/// Samples load, and lets the channel clock follow the machine's, once a second.
async fn sample_load(
    load: watch::Sender<v1::Load>,
    clock: Arc<Clock>,
    cache: PathBuf,
    slots: Arc<Slots>,
    traffic: Arc<Traffic>,
    peers: Arc<Peers>,
) {
    let mut sampler = Sampler::new();
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    loop {
        ticks.tick().await;
        clock.observe();
        let own = Own {
            bytes_in: peers.received.load(Ordering::Relaxed),
            bytes_out: traffic.all().iter().map(|t| t.bytes).sum(),
            active_workers: u32::try_from(slots.busy()).unwrap_or(u32::MAX),
            sessions: traffic.sessions(),
        };
        load.send_replace(sampler.sample(clock.uptime(), &cache, own));
    }
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            what,
            address,
            source,
        })
}

fn local(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Children need one round trip to take the hint and move.
const LAME_DUCK: Duration = Duration::from_millis(500);
const DRAIN: Duration = Duration::from_secs(2);
