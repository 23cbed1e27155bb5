//! A root yields to the carrier although their runs differ: at a segment's end, without a hole.
//!
//! After a partition both may have pulled, each from its own content server. The carrier's run cannot
//! be resumed in, so its live edge is subscribed to beside the old parent, and the first segment that
//! begins after the one that just ended is taken from it.

use std::time::Duration;

use banyan_proto::v1;

use super::Driver;
use super::candidate::{Attempt, PATIENCE};
use crate::clock::Instant;
use crate::connector::Incoming;
use crate::upstream::Cause;

impl Driver {
    /// The candidate holds another run. True when it is asked again, for its live edge.
    pub(super) fn ask_afresh(&mut self, now: Instant) -> bool {
        let Some(attempt) = self.candidate.attempt.take() else {
            return false;
        };
        let peer = self.peer(&attempt.parent);
        let (Some(peer), Cause::CarrierReturned, false) = (peer, attempt.cause, attempt.fresh)
        else {
            self.candidate.attempt = Some(attempt);
            return false;
        };
        let segment = {
            let state = self.track.lock();
            let description = state.store.description();
            description.map_or(0, |d| d.target_duration_ms)
        };
        let patience = PATIENCE + Duration::from_millis(u64::from(segment));
        let again = self.attempt(&peer, attempt.cause, true, now + patience);
        self.candidate.attempt = Some(again);
        true
    }

    /// The old parent is about to send `head`, or nothing new: whether to swap to another run now.
    pub(super) fn yields(&self, head: Option<&v1::ChunkHead>) -> bool {
        let Some(attempt) = &self.candidate.attempt else {
            return false;
        };
        let state = self.track.lock();
        let Some(tip) = state.store.tip() else {
            return false;
        };
        let ended = tip.received && tip.last_in_segment == Some(true);
        let begins = |head: &v1::ChunkHead| head.number > tip.at.number && head.part == 0;
        attempt.flows && ended && (head.is_some_and(begins) || attempt.holds(begins))
    }
}

impl Attempt {
    fn holds(&self, wanted: impl Fn(&v1::ChunkHead) -> bool) -> bool {
        self.early.iter().any(|incoming| match incoming {
            Incoming::Chunk { head, .. } => wanted(head),
            Incoming::Message(v1::media_message::Body::Chunk(chunk)) => {
                chunk.head.as_ref().is_some_and(&wanted)
            }
            Incoming::Message(_) => false,
        })
    }
}
