//! Back-fill: a bounded range by position, only of what was released.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::frame::Frame;
use banyan_proto::server::FrameStream;
use banyan_proto::trust::Identity;
use banyan_proto::v1::{self, media_message::Body};
use tokio::time::Instant;
use tonic::Status;

use super::Service;
use super::subscription::gap;
use super::traffic::Session;
use crate::channel::{Channel, Place, Track};

pub(super) async fn fetch(
    service: &Service,
    caller: &Identity,
    request: v1::FetchRequest,
) -> Result<FrameStream, Status> {
    if request.hops > MAX_HOPS {
        return Err(Status::invalid_argument(format!(
            "request passed {} members; up to {MAX_HOPS} are accepted",
            request.hops
        )));
    }
    let (channel, track) = service.find(&request.stream, &request.track)?;
    if request.run != channel.run {
        return Err(Status::failed_precondition(format!(
            "run {:?} is not served here; stream {:?} is in run {:?}",
            request.run, channel.stream, channel.run
        )));
    }
    let mut ready = VecDeque::from([Frame::media(Body::Welcome(service.welcome(caller)))]);
    if request.init {
        ready.push_back(Frame::media(Body::Init(v1::Init {
            run: channel.run.clone(),
            data: track.init.clone(),
        })));
    }
    let head = service.head(&channel, track.kind)?;
    let mut range = Range {
        next: (0, 0),
        end: (0, 0),
        budget: if request.max_bytes == 0 {
            DEFAULT_BYTES
        } else {
            request.max_bytes
        },
        sent_any: false,
        deadline: Instant::now() + deadline(request.deadline_ms),
        session: service.traffic.fetch(
            &channel.stream,
            &track.facts.name,
            &channel.run,
            &caller.member,
        ),
        channel: Arc::clone(&channel),
        track,
        ready,
    };
    if request.to_number >= request.from_number {
        let from = request
            .from_number
            .checked_sub(channel.epoch)
            .ok_or_else(|| {
                Status::out_of_range(format!(
                    "segment {} lies before the stream's first, {}",
                    request.from_number, channel.epoch
                ))
            })?;
        if (from, 0) > head {
            return Err(Status::out_of_range(format!(
                "segment {} is not released yet; the newest chunk is {} part {}",
                request.from_number,
                channel.epoch + head.0,
                head.1
            )));
        }
        range.next = (from, 0);
        let to = request
            .to_number
            .saturating_sub(channel.epoch)
            .saturating_add(1);
        range.end = channel.next(head).min((to, 0));
    }
    Ok(range.into_stream())
}

fn deadline(ms: u32) -> Duration {
    match ms {
        0 => MAX_TIME,
        ms => Duration::from_millis(ms.into()).min(MAX_TIME),
    }
}

/// What is left of one call.
struct Range {
    channel: Arc<Channel>,
    track: Arc<Track>,
    session: Session,
    ready: VecDeque<Frame>,
    next: Place,
    /// First place not sent.
    end: Place,
    budget: u64,
    sent_any: bool,
    deadline: Instant,
}

impl Range {
    fn into_stream(self) -> FrameStream {
        Box::pin(futures::stream::unfold(Some(self), |range| async move {
            let mut range = range?;
            match range.message().await {
                Ok(frame) => Some((Ok(frame?), Some(range))),
                Err(status) => Some((Err(status), None)),
            }
        }))
    }

    async fn message(&mut self) -> Result<Option<Frame>, Status> {
        if let Some(frame) = self.ready.pop_front() {
            return Ok(Some(frame));
        }
        if self.next >= self.end {
            return Ok(None);
        }
        if Instant::now() >= self.deadline {
            return Err(Status::deadline_exceeded(
                "the request's deadline passed before its range was sent",
            ));
        }
        let (n, part) = self.next;
        let segment = match self.track.segment(n).await {
            Ok(segment) => segment,
            Err(error) => {
                let to = (n + 1, 0);
                let frame = gap(&self.channel, self.next, to, &error.to_string());
                self.next = to;
                return Ok(Some(frame));
            }
        };
        let Some(chunk) = segment.chunks.get(part as usize) else {
            return Err(Status::internal(format!(
                "segment {} has no part {part}",
                self.channel.epoch + n
            )));
        };
        let bytes = chunk.payload.len() as u64;
        if bytes > self.budget {
            // A cap that holds part of the range ends it; one that holds nothing is an error.
            return if self.sent_any {
                Ok(None)
            } else {
                Err(Status::resource_exhausted(format!(
                    "the first chunk has {bytes} bytes, above the request's cap"
                )))
            };
        }
        self.budget -= bytes;
        self.sent_any = true;
        self.session.sent(chunk.payload.len());
        self.next = self.channel.next(self.next);
        Ok(Some(Frame::Chunk(chunk.clone())))
    }
}

const MAX_HOPS: u32 = 16;
const MAX_TIME: Duration = Duration::from_secs(30);
/// A window of a high rendition fits many times over.
const DEFAULT_BYTES: u64 = 256 << 20;
