//! One child following one track: chunks as their ends pass the channel clock, keep-alives between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::v1::{self, media_message::Body};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Service, traffic::Session};
use crate::channel::{Channel, Place, Track};
use crate::record::Events;
use crate::time::Clock;

/// The state between two messages of one call.
pub(super) struct Subscription {
    member: String,
    clock: Arc<Clock>,
    leaving: CancellationToken,
    events: Arc<Events>,
    channel: Arc<Channel>,
    track: Arc<Track>,
    session: Session,
    next: Place,
    ready: VecDeque<Frame>,
    /// When the last message was sent.
    spoke: Instant,
    told_to_go: bool,
    finished: bool,
}

impl Subscription {
    pub(super) fn new(
        service: &Service,
        welcome: v1::Welcome,
        channel: Arc<Channel>,
        track: Arc<Track>,
        from: Place,
        session: Session,
    ) -> Self {
        let head = channel
            .head(track.kind, service.clock.now())
            .unwrap_or((0, 0));
        let mut ready = VecDeque::from([
            Frame::media(Body::Welcome(welcome)),
            Frame::media(Body::Description(channel.description(&track))),
            Frame::media(Body::Index(channel.index(&track, head))),
            Frame::media(Body::Init(v1::Init {
                run: channel.run.clone(),
                data: track.init.clone(),
            })),
        ]);
        // Beyond the window a child gets a Gap and fetches what its playlist still lists.
        let oldest = (head.0.saturating_sub(u64::from(channel.window)), 0);
        let next = if from < oldest {
            ready.push_back(gap(
                &channel,
                from,
                oldest,
                "the position lies before the window",
            ));
            oldest
        } else {
            from
        };
        service
            .events
            .subscribed(&channel.stream, &track.facts.name, session.child());
        Self {
            member: service.member.clone(),
            clock: Arc::clone(&service.clock),
            leaving: service.leaving.clone(),
            events: Arc::clone(&service.events),
            channel,
            track,
            session,
            next,
            ready,
            spoke: Instant::now(),
            told_to_go: false,
            finished: false,
        }
    }

    pub(super) fn into_stream(self) -> FrameStream {
        Box::pin(futures::stream::unfold(
            self,
            |mut subscription| async move {
                let frame = subscription.message().await?;
                Some((Ok::<_, Status>(frame), subscription))
            },
        ))
    }

    async fn message(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                self.spoke = Instant::now();
                return Some(frame);
            }
            if self.finished {
                return None;
            }
            if self.channel.ended.is_cancelled() {
                self.finished = true;
                let end = self.channel.farewell();
                self.ready.push_back(Frame::media(Body::End(end)));
            } else if self.leaving.is_cancelled() && !self.told_to_go {
                // Told once; a child is served until it has found another parent.
                self.told_to_go = true;
                let away = v1::GoAway {
                    reason: "the content server is leaving".to_owned(),
                    deadline_ms: 0,
                };
                self.ready.push_back(Frame::media(Body::GoAway(away)));
            } else {
                self.advance().await;
            }
        }
    }

    /// Puts the next chunk, gap or keep-alive in line, or waits.
    async fn advance(&mut self) {
        let due = self.channel.release(self.track.kind, self.next);
        if self.clock.now() >= due {
            return self.release().await;
        }
        if self.next.1 == 0 {
            // Read ahead, so that release is not late by a disk access. A failure shows when it is due.
            let _ = self.track.segment(self.next.0).await;
        }
        let quiet = KEEP_ALIVE.saturating_sub(self.spoke.elapsed());
        if quiet.is_zero() {
            let frame = self.keep_alive();
            self.ready.push_back(frame);
            return;
        }
        tokio::select! {
            () = self.clock.sleep_until(due, quiet) => {}
            () = self.channel.ended.cancelled() => {}
            () = self.leaving.cancelled(), if !self.told_to_go => {}
        }
    }

    async fn release(&mut self) {
        let (n, part) = self.next;
        let frame = match self.track.segment(n).await {
            Ok(segment) => {
                let Some(chunk) = segment.chunks.get(part as usize) else {
                    self.next = (n + 1, 0);
                    return;
                };
                self.session.sent(chunk.payload.len());
                self.next = self.channel.next(self.next);
                Frame::Chunk(chunk.clone())
            }
            Err(error) => {
                let to = (n + 1, 0);
                self.events.gap(
                    &self.channel.stream,
                    &self.track.facts.name,
                    self.channel.epoch + n,
                    &error.to_string(),
                );
                let frame = gap(&self.channel, self.next, to, &error.to_string());
                self.next = to;
                frame
            }
        };
        self.ready.push_back(frame);
    }

    fn keep_alive(&self) -> Frame {
        let (n, part) = self
            .channel
            .head(self.track.kind, self.clock.now())
            .unwrap_or((0, 0));
        Frame::media(Body::KeepAlive(v1::KeepAlive {
            path: vec![self.member.clone()],
            state: v1::FlowState::Flowing.into(),
            repairing_ms: 0,
            run: self.channel.run.clone(),
            head_number: self.channel.epoch + n,
            head_part: part,
        }))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.events.unsubscribed(
            &self.channel.stream,
            &self.track.facts.name,
            self.session.child(),
        );
    }
}

pub(super) fn gap(channel: &Channel, from: Place, to: Place, reason: &str) -> Frame {
    Frame::media(Body::Gap(v1::Gap {
        run: channel.run.clone(),
        from_number: channel.epoch + from.0,
        from_part: from.1,
        to_number: channel.epoch + to.0,
        to_part: to.1,
        reason: reason.to_owned(),
    }))
}

/// Silence longer than this makes a child look elsewhere after a few of them.
pub(super) const KEEP_ALIVE: Duration = Duration::from_millis(100);
