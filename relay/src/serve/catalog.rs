//! One child's `Catalog`: a snapshot at once and after every change, keep-alives between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::v1::{self, catalog_message::Body};
use futures::stream;
use tokio::sync::watch;

use super::{snapshot, welcome};
use crate::core::Core;
use crate::library::CatalogView;

/// Slow: a catalogue call shows that a connection lives, it does not carry media.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

struct Reader {
    core: Arc<Core>,
    view: watch::Receiver<Arc<CatalogView>>,
    draining: watch::Receiver<bool>,
    queue: VecDeque<Frame>,
    told_drain: bool,
}

pub(super) fn stream(core: Arc<Core>) -> FrameStream {
    let mut view = core.catalog();
    // What is known now is sent first; an empty catalogue that nobody has told is not sent at all.
    view.mark_changed();
    let reader = Reader {
        queue: VecDeque::from([Frame::catalog(Body::Welcome(welcome(&core)))]),
        draining: core.draining(),
        view,
        core,
        told_drain: false,
    };
    Box::pin(stream::unfold(reader, |mut reader| async move {
        let frame = reader.next().await?;
        Some((Ok(frame), reader))
    }))
}

impl Reader {
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                return Some(frame);
            }
            let shutdown = self.core.shutdown.clone();
            let closed = self.core.calls_closed.clone();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return None,
                () = closed.cancelled() => return None,
                changed = self.view.changed() => {
                    changed.ok()?;
                    let view = self.view.borrow_and_update().clone();
                    if view.known {
                        self.queue.push_back(Frame::catalog(snapshot(&view)));
                    }
                }
                // Told once; a child that has no other parent goes on reading.
                drain = self.draining.wait_for(|draining| *draining), if !self.told_drain => {
                    drain.ok()?;
                    self.told_drain = true;
                    self.queue.push_back(Frame::catalog(Body::GoAway(v1::GoAway {
                        reason: "leaving".into(),
                        deadline_ms: 0,
                    })));
                }
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    self.queue.push_back(Frame::catalog(Body::KeepAlive(v1::KeepAlive {
                        path: vec![self.core.member().to_owned()],
                        state: v1::FlowState::Flowing.into(),
                        ..Default::default()
                    })));
                }
            }
        }
    }
}
