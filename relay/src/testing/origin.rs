//! A looped content server of synthetic bytes: a pure function of the clock, as the real one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use banyan_media::Kind;
use banyan_media::rate::FrameRate;
use banyan_media::timeline::Timeline;
use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::v1::{self, catalog_message, media_message::Body, subscribe_request::From};
use bytes::Bytes;
use futures::stream;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tonic::Status;

use super::{EPOCH, STREAM, VIDEO, WINDOW};
use crate::clock::{Clock, Instant};

/// What differs between two content servers of a test.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) run: String,
    /// Changes every byte, but no name.
    pub(crate) salt: u8,
    pub(crate) payload: usize,
    pub(crate) tracks: Vec<String>,
    /// This (number, part) is damaged on its first way out by Subscribe.
    pub(crate) damaged: Option<(u64, u32)>,
}

impl Default for Content {
    fn default() -> Content {
        Content {
            run: "aaaaaaaaaa".into(),
            salt: 0,
            payload: 40,
            tracks: vec![VIDEO.into()],
            damaged: None,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) name: String,
    clock: Clock,
    content: Arc<Content>,
    timeline: Timeline,
    /// False after the content was taken back.
    pub(crate) offered: watch::Sender<bool>,
    /// What its beats say of it.
    pub(crate) vitals: watch::Sender<v1::Beat>,
    /// False while its beats do not get through.
    pub(crate) beating: watch::Sender<bool>,
    /// While true no chunk goes out by Subscribe; keep-alives do.
    pub(crate) held: watch::Sender<bool>,
    /// Subscriptions asked for so far.
    pub(crate) subscriptions: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn new(name: &str, clock: Clock, content: Content) -> Origin {
        Origin {
            name: name.to_owned(),
            clock,
            content: Arc::new(content),
            timeline: Timeline {
                frame_rate: FrameRate { num: 25, den: 1 },
                frames_per_segment: 50,
                segments: 7,
                parts: 6,
                sample_rate: None,
            },
            offered: watch::Sender::new(true),
            beating: watch::Sender::new(true),
            vitals: watch::Sender::new(v1::Beat {
                rtt_min_us: 100,
                rtt_median_us: 1000,
                ..Default::default()
            }),
            held: watch::Sender::new(false),
            subscriptions: Arc::default(),
        }
    }

    pub(crate) fn offer(&self) -> v1::Offer {
        v1::Offer {
            stream: STREAM.into(),
            run: self.content.run.clone(),
            epoch: EPOCH,
            tracks: self.content.tracks.iter().map(|t| track(t)).collect(),
            target_duration_ms: 2000,
            part_target_ms: 360,
            window_segments: WINDOW,
            title: "Harbour".into(),
            duration_ms: 14_000,
            poster: Bytes::from_static(b"jpeg"),
            source: self.name.clone(),
        }
    }

    /// The bytes of a chunk; equal for equal contents, whoever serves them.
    pub(crate) fn payload(&self, track: &str, number: u64, part: u32) -> Bytes {
        payload(&self.content, track, number, part)
    }

    /// The newest chunk released.
    pub(crate) fn position(&self) -> (u64, u32) {
        let since = self.clock.unix() - Duration::from_secs(EPOCH);
        let (n, part) = self
            .timeline
            .position_at(Kind::Video, since.as_nanos())
            .unwrap();
        (EPOCH + n, part)
    }

    fn due(&self, number: u64, part: u32) -> Instant {
        let ns = self
            .timeline
            .release_after_epoch_ns(Kind::Video, number - EPOCH, part) as u64;
        let at = Duration::from_secs(EPOCH) + Duration::from_nanos(ns);
        Instant::now() + at.saturating_sub(self.clock.unix())
    }

    pub(crate) fn chunk(&self, track: &str, number: u64, part: u32) -> FramedChunk {
        let timing = self.timeline.video(number - EPOCH);
        let start: u64 = timing.parts[..part as usize]
            .iter()
            .map(|d| u64::from(*d))
            .sum();
        let last = part + 1 == timing.parts.len() as u32;
        let sha256 = if last {
            let mut hasher = Sha256::new();
            for part in 0..timing.parts.len() as u32 {
                hasher.update(self.payload(track, number, part));
            }
            Bytes::copy_from_slice(&hasher.finalize())
        } else {
            Bytes::new()
        };
        let head = v1::ChunkHead {
            run: self.content.run.clone(),
            track: track.to_owned(),
            number,
            part,
            last_in_segment: last,
            independent: part == 0,
            start: timing.start + start,
            duration: timing.parts[part as usize],
            sha256,
            ..Default::default()
        };
        FramedChunk::new(head, self.payload(track, number, part))
    }

    fn info(&self, number: u64, parts: u32) -> v1::SegmentInfo {
        let timing = self.timeline.video(number - EPOCH);
        let part_durations: Vec<u32> = timing.parts[..parts as usize].to_vec();
        v1::SegmentInfo {
            number,
            start: timing.start,
            duration: part_durations.iter().map(|d| u64::from(*d)).sum(),
            part_durations,
            ..Default::default()
        }
    }

    fn index(&self) -> v1::Index {
        let (number, part) = self.position();
        let first = (number - u64::from(WINDOW)).max(EPOCH);
        let mut segments: Vec<_> = (first..number).map(|n| self.info(n, 6)).collect();
        segments.push(self.info(number, part + 1));
        v1::Index {
            segments,
            head_number: number,
            head_part: part,
        }
    }

    fn start(&self, track: &str, from: &From) -> Result<(u64, u32), Status> {
        let (number, _) = self.position();
        match from {
            From::Live(_) => Ok((number, 0)),
            From::After(after) => {
                if after.run != self.content.run {
                    return Err(Status::failed_precondition("another run"));
                }
                if !after.sha256.is_empty() {
                    let last = self.chunk(track, after.hashed_number, 5);
                    if last.head.sha256 != after.sha256 {
                        return Err(Status::failed_precondition("other bytes"));
                    }
                }
                if after.number > number + 3 {
                    return Err(Status::out_of_range("too far ahead"));
                }
                Ok(if after.part >= 5 {
                    (after.number + 1, 0)
                } else {
                    (after.number, after.part + 1)
                })
            }
        }
    }

    fn welcome(&self) -> v1::Welcome {
        v1::Welcome {
            identity: self.name.clone(),
            ..Default::default()
        }
    }
}

pub(crate) fn payload(content: &Content, track: &str, number: u64, part: u32) -> Bytes {
    let seed = blake3::hash(format!("{} {track} {number} {part}", content.salt).as_bytes());
    let bytes = seed.as_bytes().iter().cycle().take(content.payload);
    Bytes::from(bytes.copied().collect::<Vec<u8>>())
}

fn track(name: &str) -> v1::Track {
    v1::Track {
        name: name.to_owned(),
        kind: v1::TrackKind::Video.into(),
        codec: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        frame_rate_num: 25,
        frame_rate_den: 1,
        peak_bandwidth: 1_000_000,
        timescale: 25,
        ..Default::default()
    }
}

struct Playing {
    origin: Origin,
    track: String,
    next: (u64, u32),
    queue: VecDeque<Frame>,
    offered: watch::Receiver<bool>,
    damaged: Option<(u64, u32)>,
    over: bool,
}

impl Playing {
    async fn next(&mut self) -> Option<Frame> {
        if let Some(frame) = self.queue.pop_front() {
            return Some(frame);
        }
        if self.over {
            return None;
        }
        let (number, part) = self.next;
        tokio::select! {
            biased;
            _ = self.offered.wait_for(|offered| !offered) => {
                self.over = true;
                Some(Frame::media(Body::End(v1::End { reason: "taken back".into(), withdrawn: true })))
            }
            () = tokio::time::sleep_until(self.origin.due(number, part)),
                if !*self.origin.held.borrow() =>
            {
                self.next = if part == 5 { (number + 1, 0) } else { (number, part + 1) };
                let mut chunk = self.origin.chunk(&self.track, number, part);
                if self.damaged == Some((number, part)) {
                    self.damaged = None;
                    let head = v1::ChunkHead::clone(&chunk.head);
                    chunk = FramedChunk::new(head, Bytes::from_static(b"damaged"));
                }
                Some(Frame::Chunk(chunk))
            }
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                let (head_number, head_part) = self.origin.position();
                Some(Frame::media(Body::KeepAlive(v1::KeepAlive {
                    path: vec![self.origin.name.clone()],
                    state: v1::FlowState::Flowing.into(),
                    run: self.origin.content.run.clone(),
                    head_number,
                    head_part,
                    ..Default::default()
                })))
            }
        }
    }
}

impl MediaService for Origin {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        if !*self.offered.borrow() || !self.content.tracks.contains(&request.track) {
            return Err(Status::not_found("no such stream"));
        }
        let next = self.start(&request.track, request.from.as_ref().unwrap())?;
        let queue = VecDeque::from([
            Frame::media(Body::Welcome(self.welcome())),
            Frame::media(Body::Description(v1::Description {
                stream: STREAM.into(),
                run: self.content.run.clone(),
                epoch: EPOCH,
                track: Some(track(&request.track)),
                target_duration_ms: 2000,
                part_target_ms: 360,
                window_segments: WINDOW,
                ..Default::default()
            })),
            Frame::media(Body::Index(self.index())),
            Frame::media(Body::Init(v1::Init {
                run: self.content.run.clone(),
                data: Bytes::from_static(b"init"),
            })),
        ]);
        let playing = Playing {
            origin: self.clone(),
            track: request.track,
            next,
            queue,
            offered: self.offered.subscribe(),
            damaged: self.content.damaged,
            over: false,
        };
        Ok(Box::pin(stream::unfold(
            playing,
            |mut playing| async move {
                let frame = playing.next().await?;
                Some((Ok(frame), playing))
            },
        )))
    }

    async fn fetch(&self, request: v1::FetchRequest) -> Result<FrameStream, Status> {
        if request.run != self.content.run {
            return Err(Status::not_found("no such run"));
        }
        let (number, part) = self.position();
        let mut frames = vec![Ok(Frame::media(Body::Welcome(self.welcome())))];
        if request.init {
            frames.push(Ok(Frame::media(Body::Init(v1::Init {
                run: request.run.clone(),
                data: Bytes::from_static(b"init"),
            }))));
        }
        for wanted in request.from_number..=request.to_number {
            if wanted > number || (wanted == number && part < 5) {
                return Err(Status::out_of_range("not yet"));
            }
            for part in 0..6 {
                let chunk = self.chunk(&request.track, wanted, part);
                frames.push(Ok(Frame::Chunk(chunk)));
            }
        }
        Ok(Box::pin(stream::iter(frames)))
    }

    async fn catalog(&self, _: v1::CatalogRequest) -> Result<FrameStream, Status> {
        let mut offered = self.offered.subscribe();
        offered.mark_changed();
        let start = (self.clone(), offered, true);
        Ok(Box::pin(stream::unfold(
            start,
            |(origin, mut offered, first)| async move {
                let body = if first {
                    catalog_message::Body::Welcome(origin.welcome())
                } else {
                    tokio::select! {
                        changed = offered.changed() => {
                            changed.ok()?;
                            let offers = if *offered.borrow_and_update() {
                                vec![origin.offer()]
                            } else {
                                Vec::new()
                            };
                            catalog_message::Body::Snapshot(v1::CatalogSnapshot { version: 1, offers })
                        }
                        () = tokio::time::sleep(Duration::from_secs(1)) => {
                            catalog_message::Body::KeepAlive(v1::KeepAlive::default())
                        }
                    }
                };
                Some((Ok(Frame::catalog(body)), (origin, offered, false)))
            },
        )))
    }
}
