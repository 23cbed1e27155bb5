//! HTTP for one viewer: GET with retries, over one or more edges of equal names.
//!
//! This is the only layer that retries. A connection that fails, a body that breaks off and an answer
//! that stays 5xx move the viewer to the next edge, if there is one; that is a switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Authority;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::meter::Meter;

/// The edges one viewer plays from, and the connections to them.
pub(super) struct Edges {
    client: Client<HttpConnector, Empty<Bytes>>,
    authorities: Vec<Authority>,
    path: String,
    sid: Option<String>,
    current: AtomicUsize,
    /// The current edge has answered before.
    proven: AtomicBool,
    meter: Arc<Meter>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// An answer that asking again does not change.
    #[error("{path}: {status}: {sentence}")]
    Refused {
        path: String,
        status: StatusCode,
        sentence: String,
    },
}

/// Why one attempt gave nothing.
enum Attempt {
    Refused(StatusCode, String),
    /// 503: the same edge may have it soon.
    Busy(StatusCode, String),
    Broken(String),
}

// === impl Edges ===

impl Edges {
    /// `first` spreads viewers over the edges; `sid` tells viewers of one process apart.
    pub(super) fn new(urls: &[Uri], first: usize, sid: Option<String>, meter: Arc<Meter>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let authorities: Vec<_> = urls
            .iter()
            .filter_map(|url| url.authority().cloned())
            .collect();
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            path: urls
                .first()
                .and_then(|url| url.path_and_query())
                .map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
            current: AtomicUsize::new(first % authorities.len().max(1)),
            authorities,
            proven: AtomicBool::new(false),
            sid,
            meter,
        }
    }

    /// Path and query of the multivariant playlist.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The edge in use, for [`Self::leave`].
    pub(super) fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed)
    }

    /// `host:port` of the edge in use.
    pub(super) fn source(&self) -> String {
        self.name(self.current())
    }

    /// Moves on from an edge that answers but has nothing new.
    pub(super) fn leave(&self, edge: usize) {
        self.switch(edge);
    }

    fn name(&self, edge: usize) -> String {
        let authority = self.authorities.get(edge);
        authority.map_or_else(String::new, ToString::to_string)
    }

    /// How long the current edge may take to answer. One that has answered before is not starting
    /// a stream: what is asked for exists, and with other edges to go to, silence means death.
    fn answer(&self) -> Duration {
        let proven = self.proven.load(Ordering::Relaxed);
        if proven && self.authorities.len() > 1 {
            PROVEN_ANSWER
        } else {
            ANSWER
        }
    }

    /// The body at `path`. Retries for as long as the caller waits.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, Error> {
        let mut pause = PAUSE_MIN;
        let mut busy = 0;
        loop {
            let current = self.current.load(Ordering::Relaxed);
            match self.attempt(current, path).await {
                Ok(body) => return Ok(body),
                Err(Attempt::Refused(status, sentence)) => {
                    return Err(Error::Refused {
                        path: path.to_owned(),
                        status,
                        sentence,
                    });
                }
                Err(Attempt::Busy(status, sentence)) => {
                    busy += 1;
                    tracing::debug!(path, %status, sentence, "an edge is busy");
                    if busy >= BUSY_LIMIT {
                        busy = 0;
                        self.switch(current);
                    }
                }
                Err(Attempt::Broken(reason)) => {
                    tracing::debug!(path, reason, "an edge failed");
                    self.meter.retried(&reason);
                    if self.switch(current) {
                        pause = PAUSE_MIN;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Moves on from `from`, unless another track did already; false = there is nowhere to go.
    fn switch(&self, from: usize) -> bool {
        let count = self.authorities.len();
        if count < 2 {
            return false;
        }
        let next = (from + 1) % count;
        let moved = self
            .current
            .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if moved {
            self.proven.store(false, Ordering::Relaxed);
            self.meter.switched(&self.name(from), &self.name(next));
        }
        true
    }

    async fn attempt(&self, current: usize, path: &str) -> Result<Bytes, Attempt> {
        let broken = |reason: String| Attempt::Broken(reason);
        let authority = self
            .authorities
            .get(current)
            .ok_or_else(|| broken("no edge is known".to_owned()))?;
        let path = match &self.sid {
            Some(sid) if path.contains('?') => format!("{path}&sid={sid}"),
            Some(sid) => format!("{path}?sid={sid}"),
            None => path.to_owned(),
        };
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| broken(error.to_string()))?;
        let request = Request::get(uri)
            .header(header::USER_AGENT, AGENT)
            .body(Empty::new())
            .map_err(|error| broken(error.to_string()))?;
        let answer = self.answer();
        let response = tokio::time::timeout(answer, self.client.request(request))
            .await
            .map_err(|_| {
                broken(format!(
                    "{authority} did not answer within {} s",
                    answer.as_secs()
                ))
            })?
            .map_err(|error| broken(format!("{authority}: {}", chain(&error))))?;
        let (head, mut body) = response.into_parts();
        let expected = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok())
            .unwrap_or(0);
        let mut bytes = BytesMut::with_capacity(expected.min(MAX_BODY));
        loop {
            let frame = tokio::time::timeout(SILENCE, body.frame())
                .await
                .map_err(|_| broken(format!("{authority} fell silent inside a body")))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| broken(format!("{authority}: {}", chain(&error))))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > MAX_BODY {
                    return Err(Attempt::Refused(
                        head.status,
                        format!("the body is larger than {MAX_BODY} bytes"),
                    ));
                }
                self.meter.bytes(data.len() as u64);
                bytes.extend_from_slice(data);
            }
        }
        if head.status.is_success() {
            if self.current() == current {
                self.proven.store(true, Ordering::Relaxed);
            }
            return Ok(bytes.freeze());
        }
        let sentence: String = String::from_utf8_lossy(&bytes)
            .trim()
            .chars()
            .take(200)
            .collect();
        if head.status.is_server_error() {
            return Err(Attempt::Busy(head.status, sentence));
        }
        Err(Attempt::Refused(head.status, sentence))
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

const AGENT: &str = concat!("banyan-play/", env!("CARGO_PKG_VERSION"));

/// A dead host on the same network is noticed well before a buffer of three segments is used up.
const CONNECT: Duration = Duration::from_secs(2);

/// An edge answers within three target durations, even when it has to wait for the media.
const ANSWER: Duration = Duration::from_secs(20);

/// A buffer of three segments outlives this wait and the next edge's answer.
const PROVEN_ANSWER: Duration = Duration::from_secs(2);

/// Within a body, bytes that exist already.
const SILENCE: Duration = Duration::from_secs(5);

const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Answers 5xx from one edge before another is asked.
const BUSY_LIMIT: u32 = 3;

/// A segment of 10 s at 50 Mbit/s is 63 MB.
const MAX_BODY: usize = 128 * 1024 * 1024;
