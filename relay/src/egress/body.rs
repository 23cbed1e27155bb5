//! Response bodies: the bytes of the store, handed to the socket as they are.
//!
//! A segment is the list of its parts' `Bytes`; nothing is joined or copied. Every body knows its exact
//! length, so responses carry `Content-Length` and connections stay open. A body that is being sent is
//! visible to its connection (`Sending`), which is how a client that takes nothing is noticed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::metrics::Sent;

/// The body of every response of the egress.
pub(crate) struct Body {
    frames: Frames,
    remaining: u64,
    meter: Option<Sent>,
    sending: Option<Open>,
}

enum Frames {
    None,
    One(Bytes),
    Many(std::vec::IntoIter<Bytes>),
}

/// What one connection is sending: how many bodies are open and how many frames they have given.
#[derive(Default)]
pub(crate) struct Sending {
    open: AtomicU64,
    frames: AtomicU64,
}

struct Open(Arc<Sending>);

// === impl Body ===

impl Body {
    pub(crate) fn empty() -> Self {
        Self {
            frames: Frames::None,
            remaining: 0,
            meter: None,
            sending: None,
        }
    }

    pub(crate) fn one(bytes: Bytes) -> Self {
        let remaining = bytes.len() as u64;
        Self {
            frames: Frames::One(bytes),
            remaining,
            meter: None,
            sending: None,
        }
    }

    pub(crate) fn many(mut frames: Vec<Bytes>) -> Self {
        // An empty frame would be written as nothing, but costs a turn of the connection.
        frames.retain(|frame| !frame.is_empty());
        let remaining = frames.iter().map(|frame| frame.len() as u64).sum();
        Self {
            frames: Frames::Many(frames.into_iter()),
            remaining,
            meter: None,
            sending: None,
        }
    }

    /// Counts what is really handed out, and shows the body to its connection.
    pub(crate) fn attach(&mut self, meter: Sent, sending: &Arc<Sending>) {
        if self.remaining > 0 {
            self.meter = Some(meter);
            self.sending = Some(Open::new(sending));
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match &mut self.frames {
            Frames::None => None,
            Frames::Many(frames) => frames.next(),
            Frames::One(bytes) => {
                let bytes = std::mem::take(bytes);
                self.frames = Frames::None;
                Some(bytes).filter(|bytes| !bytes.is_empty())
            }
        };
        let Some(bytes) = next else {
            self.sending = None;
            return Poll::Ready(None);
        };
        self.remaining -= bytes.len() as u64;
        if let Some(meter) = &self.meter {
            meter.add(bytes.len() as u64);
        }
        if let Some(Open(sending)) = &self.sending {
            sending.frames.fetch_add(1, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

// === impl Sending ===

impl Sending {
    /// Bodies not yet fully handed out.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Grows whenever any body of the connection moves on.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }
}

// === impl Open ===

impl Open {
    fn new(sending: &Arc<Sending>) -> Self {
        sending.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(sending))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
