//! Server-sent events: the whole view at once, then whenever the publisher shows a newer one.
//!
//! A client holds one watch cursor and at most one event; what it is too slow for it never sees. A
//! client that does not read at all is closed by the listener.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::App;
use bytes::Bytes;

/// Bounds the number of clients.
#[derive(Clone)]
pub(super) struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SEATS)))
    }
}

struct Client {
    first: Option<Bytes>,
    published: watch::Receiver<Bytes>,
    _seat: OwnedSemaphorePermit,
}

pub(super) async fn serve(State(app): State<App>) -> Response {
    let Ok(seat) = app.events.0.clone().try_acquire_owned() else {
        let message = format!("{SEATS} event clients are connected; no more are accepted\n");
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "5")],
            message,
        )
            .into_response();
    };
    let mut published = app.shared.published();
    published.mark_unchanged();
    let client = Client {
        first: Some(app.shared.render()),
        published,
        _seat: seat,
    };
    let events = stream::unfold(client, |mut client| async move {
        let data = client.next().await?;
        let event = Event::default()
            .event("topology")
            .data(String::from_utf8_lossy(&data));
        Some((Ok::<_, Infallible>(event), client))
    });
    let events = events.take_until(app.shutdown.clone().cancelled_owned());
    ([("x-accel-buffering", "no")], Sse::new(events)).into_response()
}

impl Client {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        self.published.changed().await.ok()?;
        Some(self.published.borrow_and_update().clone())
    }
}

/// Each costs a socket and one event of some tens of kilobytes at most.
const SEATS: usize = 256;
