//! The HTTP side: the page and its assets, the API behind it, events, posters, health and metrics.
//!
//! What is read may be read by any page (`Access-Control-Allow-Origin: *`), since edges and the page
//! have different ports. What changes something ([`drain`]) is for this host's own callers alone.

mod assets;
mod drain;
mod events;
mod metrics;
mod progress;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::drain::HEADER as CHANGE_HEADER;
pub(crate) use self::progress::Listener;
use crate::service::Shared;

#[derive(Clone)]
pub(crate) struct App {
    shared: Arc<Shared>,
    shutdown: CancellationToken,
    changes: bool,
    events: events::Seats,
}

pub(crate) fn router(shared: Arc<Shared>, shutdown: CancellationToken, changes: bool) -> Router {
    let app = App {
        shared,
        shutdown,
        changes,
        events: events::Seats::default(),
    };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics::serve))
        .route("/api/topology", get(topology))
        .route("/api/origins", get(origins))
        .route("/api/streams", get(streams))
        .route("/api/events", get(events::serve))
        .route(drain::PATH, post(drain::serve))
        .route("/{stream}/poster.jpg", get(poster))
        .fallback(assets::serve)
        .layer(middleware::from_fn(share))
        .with_state(app)
}

async fn ready(State(app): State<App>) -> Response {
    if app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    "ready\n".into_response()
}

async fn topology(State(app): State<App>) -> Response {
    body(app.shared.render())
}

async fn origins(State(app): State<App>) -> Response {
    json(&app.shared.with(|topology, _| topology.origins()))
}

async fn streams(State(app): State<App>) -> Response {
    json(&app.shared.with(|topology, _| topology.streams()))
}

async fn poster(State(app): State<App>, Path(stream): Path<String>) -> Response {
    let poster = app.shared.with(|topology, _| {
        topology
            .poster(&stream)
            .ok_or_else(|| topology.offers(&stream))
    });
    match poster {
        Ok(jpeg) => (
            [
                (header::CONTENT_TYPE, "image/jpeg"),
                (header::CACHE_CONTROL, "max-age=60"),
            ],
            jpeg,
        )
            .into_response(),
        Err(true) => not_found(format!("stream {stream:?} has no poster\n")),
        Err(false) => not_found(format!("stream {stream:?} is not offered\n")),
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => body(text.into()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn body(text: Bytes) -> Response {
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        text,
    )
        .into_response()
}

fn not_found(message: String) -> Response {
    (StatusCode::NOT_FOUND, message).into_response()
}

/// Lets any page read the answers, and answers preflights.
async fn share(request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(drain::UNDER) {
        // No page of another origin is told that it may call, nor what was answered.
        return next.run(request).await;
    }
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in CORS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

const CORS: [(&str, &str); 3] = [
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
    ("access-control-allow-headers", "*"),
];

#[cfg(test)]
mod tests;
