//! One connection: HTTP/1.1, or HTTP/2 by prior knowledge, until it ends, stalls or is told to stop.
//!
//! A client that takes nothing for [`Limits::stall`] is closed. On HTTP/1.1 the full socket tells; on
//! HTTP/2 a client may keep the socket moving and take no body, so the bodies themselves are watched.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Egress;
use super::body::Sending;
use super::progress::Progress;
use super::source::Source;

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without any progress of a response.
    pub(crate) stall: Duration,
    /// From the end of a response (or the start) to the whole head of the next request.
    pub(crate) head: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

// === impl Protocol ===

impl Protocol {
    /// Reads nothing: an HTTP/2 client's preface starts with a method that HTTP/1.1 does not have.
    pub(crate) async fn detect(tcp: &TcpStream, limits: &Limits) -> io::Result<Self> {
        let mut start = [0; PREFACE.len()];
        let length = tokio::time::timeout(limits.stall, tcp.peek(&mut start)).await??;
        Ok(if length >= 3 && PREFACE.starts_with(&start[..length]) {
            Self::Http2
        } else {
            Self::Http1
        })
    }
}

impl<S: Source> Egress<S> {
    /// Serves one connection to its end.
    pub(crate) async fn connection<I>(self: Arc<Self>, peer: IpAddr, io: I, protocol: Protocol)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.metrics.connections.inc();
        let outcome = match protocol {
            Protocol::Http1 => self.http1(peer, io).await,
            Protocol::Http2 => self.http2(peer, io).await,
        };
        self.metrics.connections.dec();
        match outcome {
            Ok(()) => {}
            Err(error) if stalled(error.as_ref()) => {
                self.metrics.stalled.inc();
                tracing::info!(%peer, "closed a viewer's connection that took nothing");
            }
            Err(error) => tracing::debug!(%peer, %error, "a viewer's connection ended"),
        }
    }

    async fn http1<I>(&self, peer: IpAddr, io: I) -> Outcome
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.options.limits;
        let sending = Arc::<Sending>::default();
        let service = service_fn(|request| {
            let sending = &sending;
            async move { Ok::<_, Infallible>(self.handle(peer, sending, request).await) }
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .max_header_size(MAX_HEAD)
                .max_headers(MAX_HEADERS)
                .serve_connection(TokioIo::new(Progress::new(io, limits.stall)), service)
        );
        tokio::select! {
            // Shutdown first: responses of this very turn then say that the connection closes.
            biased;
            () = self.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
            outcome = connection.as_mut() => return Ok(outcome?),
        }
        Ok(connection.await?)
    }

    async fn http2<I>(self: &Arc<Self>, peer: IpAddr, io: I) -> Outcome
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.options.limits;
        let sending = Arc::<Sending>::default();
        let service = {
            let (egress, sending) = (self.clone(), sending.clone());
            service_fn(move |request| {
                let (egress, sending) = (egress.clone(), sending.clone());
                async move { Ok::<_, Infallible>(egress.handle(peer, &sending, request).await) }
            })
        };
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(MAX_STREAMS)
                .max_header_list_size(MAX_HEAD as u32)
                .max_send_buf_size(MAX_SEND_BUFFER)
                .keep_alive_interval(limits.stall)
                .keep_alive_timeout(limits.stall)
                .serve_connection(TokioIo::new(Progress::new(io, limits.stall)), service)
        );
        let (mut leaving, mut stopping) = (self.options.lame_duck.is_cancelled(), false);
        let mut watch = pin!(stall(&sending, limits.stall));
        loop {
            tokio::select! {
                outcome = connection.as_mut() => return Ok(outcome?),
                () = watch.as_mut() => return Err(Box::new(io::Error::from(io::ErrorKind::TimedOut))),
                // One that was opened since knows no better and is served.
                () = self.options.lame_duck.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.shutdown.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Ends when bodies are open and none has moved for `limit`.
async fn stall(sending: &Sending, limit: Duration) {
    let mut before = (0, 0);
    let mut ticks = 0;
    let mut tick = tokio::time::interval(limit / STALL_TICKS);
    loop {
        tick.tick().await;
        let now = (sending.open(), sending.frames());
        ticks = if now.0 > 0 && now == before {
            ticks + 1
        } else {
            0
        };
        before = now;
        if ticks >= STALL_TICKS {
            return;
        }
    }
}

/// The error, or one it came from, is a time limit on writing.
fn stalled(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let timed_out = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::TimedOut);
        if timed_out {
            return true;
        }
        next = error.source();
    }
    false
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A player's request head is under 1 KiB; cookies of a shared host may add a few.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;

/// Concurrent requests of one HTTP/2 connection: playlists and media of two tracks, parts in flight. Each
/// may pin a segment.
const MAX_STREAMS: u32 = 16;

/// Bytes buffered per HTTP/2 stream beside the store's own.
const MAX_SEND_BUFFER: usize = 64 * 1024;

/// How finely a stalled HTTP/2 connection is noticed.
const STALL_TICKS: u32 = 4;
