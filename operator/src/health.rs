//! Health, readiness and metrics on a port of their own, up before everything else.
//!
//! Health is this process alone: it must not be restarted because the API server is away. Readiness is what the process
//! knows: it has read the cluster, hears its API server, and its release has this scope. A standby is ready.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::controllers::caches::Caches;
use crate::lease::Place;
use crate::metrics::{Metrics, TEXT};

/// What readiness is made of.
#[derive(Clone)]
pub struct Health {
    /// What was read of the cluster; `None` until watches start.
    pub caches: watch::Receiver<Option<Caches>>,
    /// Where the process stands in the election.
    pub place: watch::Receiver<Place>,
    /// Why the API server cannot be heard.
    pub trouble: watch::Receiver<Option<String>>,
    /// Counters.
    pub metrics: Metrics,
    /// The process is told to leave.
    pub leaving: CancellationToken,
}

impl Health {
    /// Why this process is not ready, as one sentence.
    pub fn unready(&self) -> Option<String> {
        if self.leaving.is_cancelled() {
            return Some("leaving".to_owned());
        }
        if let Some(trouble) = &*self.trouble.borrow() {
            return Some(trouble.clone());
        }
        match &*self.place.borrow() {
            Place::Unknown => return Some("the Lease was not read yet".to_owned()),
            Place::Refused { release } => {
                return Some(format!(
                    "refused: release {release} watches the same namespaces; accepted is one release for a namespace"
                ));
            }
            Place::Standby { .. } | Place::Leading { .. } => {}
        }
        match &*self.caches.borrow() {
            None => Some("watches have not started yet".to_owned()),
            Some(caches) => caches.missing(),
        }
    }
}

/// Binds `address`.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("--health {address} cannot be bound"))
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, health: Health) -> anyhow::Result<()> {
    axum::serve(listener, router(health))
        .await
        .context("the health port cannot be served")
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    match health.unready() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    match health.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
