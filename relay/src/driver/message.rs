//! What came from the parent, into the store: every message is checked before it is believed.

use banyan_proto::v1::{self, media_message::Body};
use bytes::Bytes;
use serde_json::json;
use tonic::Status;

use super::Driver;
use crate::clock::Instant;
use crate::connector::Incoming;
use crate::fetch::{FetchKey, fetch};
use crate::library::Ended;
use crate::store::{Cursor, Refusal};
use crate::track::Phase;
use crate::upstream::{Cause, Flow, Told};

/// Bounds on what one message may say.
const MAX_WINDOW: u32 = 1000;
const MAX_INDEX: usize = 4 * MAX_WINDOW as usize;
const MAX_INIT: usize = 1 << 20;
const MAX_PARTS: u32 = 4096;
const MAX_PATH: usize = 64;
const MAX_NAME: usize = 64;

impl Driver {
    pub(super) fn received(&mut self, message: Result<Option<Incoming>, Status>) {
        match message {
            Ok(Some(incoming)) => {
                self.machine.on_message(Instant::now());
                self.take(incoming);
            }
            Ok(None) => {
                self.refused(Status::unavailable("the parent ended the call"));
            }
            Err(status) => self.refused(status),
        }
    }

    pub(super) fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Chunk { head, payload } => self.chunk(head, payload),
            Incoming::Message(body) => match body {
                Body::Welcome(_) => {}
                Body::Description(description) => self.description(description),
                Body::Index(index) => self.index(&index),
                Body::Init(init) => self.init(init),
                Body::Chunk(chunk) => self.chunk(chunk.head.unwrap_or_default(), chunk.payload),
                Body::Gap(gap) => self.gap(&gap),
                Body::End(end) => self.end(&end),
                Body::KeepAlive(alive) => self.keep_alive(alive),
                Body::GoAway(away) => self.go_away(&away),
            },
        }
    }

    fn description(&mut self, description: v1::Description) {
        let timescale = description.track.as_ref().map_or(0, |t| t.timescale);
        if description.stream != self.track.key.stream
            || !(1..=MAX_WINDOW).contains(&description.window_segments)
            || !is_run(&description.run)
            || timescale == 0
        {
            return self.refuse_message("description is not of this track, or impossible");
        }
        let mut state = self.track.lock();
        state.store.describe(description);
    }

    fn index(&mut self, index: &v1::Index) {
        if index.segments.len() > MAX_INDEX {
            return self.refuse_message("index is longer than any window");
        }
        {
            let mut state = self.track.lock();
            state.store.merge_index(index);
            self.track.changed(&state);
        }
        self.flows();
    }

    fn init(&mut self, init: v1::Init) {
        if init.data.len() > MAX_INIT || !is_run(&init.run) {
            return self.refuse_message("init is larger than a mebibyte, or of no run");
        }
        // A small init must not pin the buffer it was read in.
        let data = Bytes::copy_from_slice(&init.data);
        self.track.lock().store.add_init(&init.run, data);
    }

    fn chunk(&mut self, head: v1::ChunkHead, payload: Bytes) {
        if head.track != self.track.key.track || !is_run(&head.run) || head.part >= MAX_PARTS {
            return self.refuse_message("chunk is not of this track, or impossible");
        }
        let Some(parent) = self.machine.parent().map(str::to_owned) else {
            return;
        };
        if self.yields(Some(&head)) {
            // The segment is over; this one comes from the other run.
            return self.swap(Instant::now());
        }
        let core = self.core.clone();
        let recorded = core.to_record(&head);
        let (number, run) = (head.number, head.run.clone());
        let bytes = payload.len() as u64;
        let mut state = self.track.lock();
        let before = state.store.bytes();
        let taken = state.store.take(head, payload, core.stamp());
        core.account(before, state.store.bytes());
        let kind = if taken.is_ok() { "live" } else { "refused" };
        let length = bytes as usize;
        core.arrived(&parent, &self.track.key, recorded.as_ref(), length, kind);
        match taken {
            Ok(taken) => {
                state.chunks_in += 1;
                state.bytes_in += bytes;
                self.track.changed(&state);
                drop(state);
                core.enforce_budget();
                if taken.hash_mismatch {
                    core.counters.hash_mismatches.inc();
                    tracing::warn!(
                        stream = self.track.key.stream,
                        track = self.track.key.track,
                        number,
                        parent,
                        "segment's bytes disagree with their hash; fetching it again"
                    );
                }
                if taken.hash_mismatch || taken.lacks_front {
                    self.fetch_whole(run, number);
                }
                self.media_arrived();
                self.flows();
                if self.yields(None) {
                    self.swap(Instant::now());
                }
            }
            Err(refusal) => {
                drop(state);
                core.counters.chunks_refused.inc();
                if matches!(refusal, Refusal::Jump { .. } | Refusal::Contradiction(_)) {
                    tracing::warn!(
                        stream = self.track.key.stream,
                        track = self.track.key.track,
                        number,
                        parent,
                        ?refusal,
                        "chunk out of order"
                    );
                    self.machine.on_failure(Cause::ProtocolError);
                }
            }
        }
    }

    fn fetch_whole(&self, run: String, number: u64) {
        let (core, track) = (self.core.clone(), self.track.clone());
        self.core.spawn(async move {
            let key = FetchKey {
                run,
                number: Some(number),
            };
            // Whoever needs the segment asks again; the failure is logged there.
            let _ = fetch(&core, &track, key, 1).await;
        });
    }

    fn gap(&mut self, gap: &v1::Gap) {
        self.core.counters.gaps.inc();
        self.core.event(
            "gap",
            &self.track.key,
            json!({
                "from": [gap.from_number, u64::from(gap.from_part)],
                "to": [gap.to_number, u64::from(gap.to_part)],
                "reason": gap.reason,
            }),
        );
        let mut state = self.track.lock();
        state.store.gap(gap);
        self.track.changed(&state);
        drop(state);
        self.media_arrived();
    }

    fn end(&mut self, end: &v1::End) {
        let key = &self.track.key;
        let parent = self.machine.parent().unwrap_or_default();
        if self.core.is_origin(parent) && self.core.has_other_source(&key.stream, parent) {
            // One content server took it back; another still holds it.
            self.machine.on_failure(Cause::ContentGone);
            return;
        }
        tracing::info!(
            stream = key.stream,
            track = key.track,
            parent,
            withdrawn = end.withdrawn,
            "stream ended"
        );
        self.current = None;
        self.candidate.clear();
        self.finished = true;
        let mut state = self.track.lock();
        state.store.end(Ended {
            withdrawn: end.withdrawn,
        });
        self.track.changed(&state);
    }

    fn keep_alive(&mut self, alive: v1::KeepAlive) {
        if alive.path.len() > MAX_PATH || alive.path.iter().any(|name| name.len() > MAX_NAME) {
            return self.refuse_message("path is longer than any tree is deep");
        }
        let flow = match alive.state() {
            v1::FlowState::Repairing => Flow::Repairing {
                since: std::time::Duration::from_millis(u64::from(alive.repairing_ms)),
            },
            v1::FlowState::Stalled => Flow::Stalled,
            v1::FlowState::Flowing | v1::FlowState::Unspecified => Flow::Flowing,
        };
        self.told_head = Some(Cursor {
            number: alive.head_number,
            part: alive.head_part,
        });
        self.machine.on_told(Told {
            path: alive.path,
            flow,
        });
        self.tell();
    }

    fn go_away(&mut self, away: &v1::GoAway) {
        tracing::info!(
            stream = self.track.key.stream,
            track = self.track.key.track,
            parent = self.machine.parent(),
            reason = away.reason,
            "parent goes away"
        );
        let from_origin = self
            .machine
            .parent()
            .is_some_and(|parent| self.core.is_origin(parent));
        self.candidate.wanted(if from_origin {
            Cause::Drained
        } else {
            Cause::GoAway
        });
    }

    fn refuse_message(&mut self, what: &str) {
        self.core.counters.messages_refused.inc();
        tracing::warn!(
            stream = self.track.key.stream,
            track = self.track.key.track,
            parent = self.machine.parent(),
            what,
            "message refused"
        );
        self.machine.on_failure(Cause::ProtocolError);
    }

    /// The path is live: says so, once per subscription.
    pub(super) fn flows(&mut self) {
        if self.machine.is_flowing() || !self.track.lock().store.is_described() {
            return;
        }
        let now = Instant::now();
        self.machine.on_flowing(now);
        self.announce(now);
    }

    /// Logs the new parent and tells children.
    pub(super) fn announce(&mut self, now: Instant) {
        let key = &self.track.key;
        let parent = self.machine.parent().unwrap_or_default().to_owned();
        let origin = self.core.is_origin(&parent);
        if origin {
            let left = self.left.as_ref();
            let left = left.map(|left| (left.parent.as_str(), left.cause));
            self.core.origin_flows(&key.stream, &parent, left);
        }
        match self.left.take() {
            Some(left) if left.parent != parent => {
                let cause = left.cause.label();
                let gap_ms = left.silence.as_millis() as u64;
                let budget_ms = left.budget.as_millis() as u64;
                let repair_ms = now.saturating_duration_since(left.at).as_millis() as u64;
                tracing::info!(
                    stream = key.stream,
                    track = key.track,
                    from = left.parent,
                    to = parent,
                    cause,
                    gap_ms,
                    budget_ms,
                    repair_ms,
                    "parent_switched"
                );
                let facts = json!({
                    "from": left.parent, "to": parent, "cause": cause,
                    "gap_ms": gap_ms, "budget_ms": budget_ms, "repair_ms": repair_ms,
                });
                self.core.switched(v1::Switch {
                    stream: key.stream.clone(),
                    track: key.track.clone(),
                    origin: origin || self.core.is_origin(&left.parent),
                    from: left.parent,
                    to: parent,
                    cause: cause.to_owned(),
                    gap_ms: gap_ms as u32,
                    repair_ms: repair_ms as u32,
                    ..Default::default()
                });
                self.core.event("parent_switched", key, facts.clone());
                if origin {
                    self.core.event("origin_switched", key, facts);
                }
            }
            Some(left) => {
                tracing::info!(
                    stream = key.stream,
                    track = key.track,
                    parent,
                    cause = left.cause.label(),
                    "resumed from the same parent"
                );
                self.core.event("resumed", key, json!({"parent": parent}));
            }
            None => {
                tracing::info!(stream = key.stream, track = key.track, parent, "subscribed");
                self.core
                    .event("subscribed", key, json!({"parent": parent}));
                if origin {
                    self.core
                        .event("origin_selected", key, json!({"origin": parent}));
                }
            }
        }
        self.last_refusal = None;
        self.refusals_not_found = true;
        self.set_phase(Phase::Flowing);
        self.tell();
    }
}

fn is_run(run: &str) -> bool {
    (1..=MAX_NAME).contains(&run.len()) && run.bytes().all(|b| b.is_ascii_alphanumeric())
}
