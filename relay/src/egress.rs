//! HTTP for viewers and for whoever looks after this member.
//!
//! Every relay serves its member endpoints (`/healthz /readyz /metrics /api/member`); edges also serve
//! media at the URLs of the media contract. The egress holds no media and no state of the tree: it asks
//! the [`Library`](crate::library::Library) (as a [`Source`]), waits within bounds, and hands the store's
//! bytes to the socket uncopied.
//!
//! [`serve`] is the one task: it accepts, spawns a task per connection, tells the core twice a second who
//! watches, and on shutdown lets responses finish within a grace.

mod body;
mod coding;
mod connection;
mod member;
mod metrics;
mod playlist;
mod progress;
mod range;
mod reply;
mod resource;
mod router;
mod sessions;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::library::CatalogView;
use connection::{Limits, Protocol};
use metrics::Metrics;
use playlist::Playlists;
use sessions::Sessions;
pub use source::{Carried, Source};

/// How this egress serves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Media URLs and `/api/streams`, beside the member endpoints.
    pub serve_media: bool,
    /// How long responses may take to finish once shutdown began.
    pub grace: Duration,
    /// Raised while this member still serves but is about to leave: connections close between
    /// responses.
    pub lame_duck: CancellationToken,
    /// Raised when there is no time left: requests that wait for media are answered 503.
    pub impatient: CancellationToken,
    pub(crate) limits: Limits,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the HTTP listener has no address")]
    Address(#[source] io::Error),
}

/// Everything a request handler reaches.
struct Egress<S> {
    source: S,
    options: Options,
    catalog: watch::Receiver<Arc<CatalogView>>,
    playlists: Playlists,
    sessions: Sessions,
    metrics: Metrics,
    shutdown: CancellationToken,
}

/// Serves HTTP on `listener` until `shutdown`, then lets open responses finish.
///
/// Requests that wait for media wait on, until [`Options::impatient`].
pub async fn serve<S: Source>(
    source: S,
    options: Options,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::Address)?;
    let grace = options.grace;
    let egress = Egress::new(source, options, shutdown.clone());
    let connections = TaskTracker::new();
    let abort = CancellationToken::new();
    tracing::info!(%address, media = egress.options.serve_media, "serving HTTP");

    let mut reported = BTreeSet::new();
    let mut report = tokio::time::interval(REPORT);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => egress.spawn(&connections, &abort, tcp, peer),
                Err(error) => {
                    // Out of descriptors, most likely: closing connections makes room.
                    tracing::warn!(%address, %error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            _ = report.tick() => egress.report(&mut reported),
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            left = connections.len(),
            "responses were cut off at the end of the grace"
        );
        abort.cancel();
        connections.wait().await;
    }
    Ok(())
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            serve_media: true,
            grace: GRACE,
            lame_duck: CancellationToken::new(),
            impatient: CancellationToken::new(),
            limits: Limits {
                stall: STALL,
                head: HEAD,
            },
        }
    }
}

// === impl Egress ===

impl<S: Source> Egress<S> {
    fn new(source: S, options: Options, shutdown: CancellationToken) -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            catalog: source.catalog(),
            playlists: Playlists::new(metrics.renders.clone()),
            sessions: Sessions::default(),
            source,
            options,
            metrics,
            shutdown,
        })
    }

    fn spawn(
        self: &Arc<Self>,
        connections: &TaskTracker,
        abort: &CancellationToken,
        tcp: TcpStream,
        peer: SocketAddr,
    ) {
        let egress = self.clone();
        let abort = abort.clone();
        connections.spawn(async move {
            // A small response must not wait for the acknowledgement of the one before.
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
            }
            let served = async {
                let protocol = tokio::select! {
                    protocol = Protocol::detect(&tcp, &egress.options.limits) => protocol,
                    () = egress.shutdown.cancelled() => return,
                };
                match protocol {
                    Ok(protocol) => egress.clone().connection(peer.ip(), tcp, protocol).await,
                    Err(error) => tracing::debug!(%peer, %error, "a connection asked for nothing"),
                }
            };
            tokio::select! {
                () = served => {}
                () = abort.cancelled() => {}
            }
        });
    }

    /// Tells the core who watches, and forgets texts of streams that are gone.
    fn report(&self, reported: &mut BTreeSet<(String, String)>) {
        let mut now = BTreeSet::new();
        for count in self.sessions.counts() {
            for (track, viewers) in count.tracks {
                self.source.report_viewers(&count.stream, &track, viewers);
                now.insert((count.stream.clone(), track));
            }
        }
        for (stream, track) in reported.difference(&now) {
            self.source.report_viewers(stream, track, 0);
        }
        *reported = now;
        self.source.report_sessions(self.sessions.total());
        let catalog = self.catalog.borrow().clone();
        self.playlists
            .retain(|stream| catalog.offers.contains_key(stream));
    }
}

/// Players wait for a segment at most this long in practice; more would hold a drain for nothing.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// MEDIA §8: a connection without progress for this long is closed.
const STALL: Duration = Duration::from_secs(10);

/// Longer than the pause between a player's requests (a target duration or two), short enough to shed idle
/// and dribbling clients.
const HEAD: Duration = Duration::from_secs(30);

/// How often the core hears of viewers.
const REPORT: Duration = Duration::from_millis(500);

/// Pause after a failed accept, so that a full descriptor table does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
