//! The catalogue as a call: a snapshot at once and after every change.

use std::collections::VecDeque;
use std::sync::Arc;

use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::v1::{self, catalog_message::Body};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::subscription::KEEP_ALIVE;
use crate::catalog::Snapshot;

struct Watcher {
    offers: watch::Receiver<Arc<Snapshot>>,
    ready: VecDeque<Frame>,
    member: String,
    leaving: CancellationToken,
    told_to_go: bool,
}

pub(super) fn stream(
    mut offers: watch::Receiver<Arc<Snapshot>>,
    welcome: v1::Welcome,
    member: String,
    leaving: CancellationToken,
) -> FrameStream {
    let first = offers.borrow_and_update().message();
    let ready = VecDeque::from([
        Frame::catalog(Body::Welcome(welcome)),
        Frame::catalog(Body::Snapshot(first)),
    ]);
    let watcher = Watcher {
        offers,
        ready,
        member,
        leaving,
        told_to_go: false,
    };
    Box::pin(futures::stream::unfold(watcher, |mut watcher| async move {
        let frame = watcher.message().await?;
        Some((Ok::<_, Status>(frame), watcher))
    }))
}

impl Watcher {
    async fn message(&mut self) -> Option<Frame> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(frame);
        }
        let body = tokio::select! {
            biased;
            () = self.leaving.cancelled(), if !self.told_to_go => {
                self.told_to_go = true;
                Body::GoAway(v1::GoAway { reason: "the content server is leaving".to_owned(), deadline_ms: 0 })
            }
            changed = self.offers.changed() => {
                changed.ok()?;
                Body::Snapshot(self.offers.borrow_and_update().message())
            }
            () = tokio::time::sleep(KEEP_ALIVE) => {
                let path = vec![self.member.clone()];
                Body::KeepAlive(v1::KeepAlive { path, state: v1::FlowState::Flowing.into(), ..Default::default() })
            }
        };
        Some(Frame::catalog(body))
    }
}
