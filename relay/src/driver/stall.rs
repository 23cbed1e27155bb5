//! The carrier's watch over media that is due: whether the content server in use still sends it.

use serde_json::json;

use super::Driver;
use crate::clock::Instant;
use crate::store::Cursor;
use crate::upstream::{Cause, Expected};

impl Driver {
    /// Looks whether the media of a content server stays away; returns when to look again.
    pub(super) fn watch_media(&mut self, now: Instant) -> Option<Instant> {
        let parent = self.machine.parent()?;
        if !self.machine.is_flowing() || !self.core.is_origin(parent) {
            return None;
        }
        let parent = parent.to_owned();
        let was = self.machine.is_stalled();
        let expected = self.expected();
        let at = self.machine.judge_media(expected, now);
        if self.machine.is_stalled() && !was {
            let key = &self.track.key;
            let gap_ms = self.machine.media_gap(now).as_millis() as u64;
            tracing::warn!(
                stream = key.stream,
                track = key.track,
                parent,
                gap_ms,
                "content server lives and sends no media"
            );
            let facts = json!({"from": parent, "gap_ms": gap_ms});
            self.core.event("stalled", key, facts);
            self.candidate.wanted(Cause::MediaStalled);
            self.tell();
        }
        Some(at)
    }

    /// Media came, or a word that it never will.
    pub(super) fn media_arrived(&mut self) {
        if self.machine.on_media(Instant::now()) {
            self.candidate.no_longer(Cause::MediaStalled);
            self.tell();
        }
    }

    /// What is known of the next chunk.
    pub(super) fn expected(&self) -> Expected {
        let state = self.track.lock();
        let store = &state.store;
        let held = store.tip().filter(|tip| tip.received).map(|tip| tip.at);
        let part = store.longest_part();
        Expected {
            part,
            by_parent: self.told_head > held.or(Some(Cursor { number: 0, part: 0 })),
            by_clock: store
                .media_end()
                .is_some_and(|end| self.core.clock.unix() > end + part),
        }
    }
}
