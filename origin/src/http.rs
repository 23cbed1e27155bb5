//! The HTTP side of a content server: health, readiness, metrics and `/api/member`.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::status::Member;

pub(crate) fn router(member: Arc<Member>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route(
            "/api/member",
            get(|State(member): State<Arc<Member>>| async move { Json(member.json()) }),
        )
        .with_state(member)
}

async fn ready(State(member): State<Arc<Member>>) -> impl IntoResponse {
    if member.ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}

async fn metrics(State(member): State<Arc<Member>>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        member.metrics(),
    )
}
