//! `play` over gRPC against a Media service that sends from vectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaServer, MediaService};
use banyan_proto::transport::server;
use banyan_proto::trust::{Authenticator, RunSecret};
use banyan_proto::v1::{self, catalog_message, media_message, subscribe_request};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{RUN, Stop, chunks, timescale};
use crate::play::choose::Wanted;
use crate::play::grpc::{Link, watch};
use crate::play::meter::{Meter, Tally};

const EPOCH: u64 = 1_700_000_000;

/// Sends segments `from..to` of any track and ends, or breaks the first calls off in the middle.
struct Member {
    to: u64,
    breaks: AtomicUsize,
}

impl MediaService for Member {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        secret().authenticate(request.hello.as_ref()).await?;
        let after = match request.from {
            Some(subscribe_request::From::After(after)) => Some((after.number, after.part)),
            _ => None,
        };
        let breaks = self
            .breaks
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        let track = request.track;
        let description = v1::Description {
            epoch: EPOCH,
            track: Some(v1::Track {
                timescale: timescale(&track),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut frames = vec![Ok(Frame::media(media_message::Body::Description(
            description,
        )))];
        let positions = (0..self.to).flat_map(|n| [(EPOCH + n, 0), (EPOCH + n, 1)]);
        for (number, part) in
            positions.filter(|position| after.is_none_or(|after| *position > after))
        {
            if breaks && number == EPOCH + 2 && part == 1 {
                frames.push(Err(Status::unavailable("the parent is gone")));
                return Ok(futures::stream::iter(frames).boxed());
            }
            frames.push(Ok(Frame::Chunk(chunk(&track, number, part))));
        }
        frames.push(Ok(Frame::media(media_message::Body::End(
            v1::End::default(),
        ))));
        Ok(futures::stream::iter(frames).boxed())
    }

    async fn fetch(&self, _: v1::FetchRequest) -> Result<FrameStream, Status> {
        Err(Status::unimplemented("not asked for"))
    }

    async fn catalog(&self, request: v1::CatalogRequest) -> Result<FrameStream, Status> {
        secret().authenticate(request.hello.as_ref()).await?;
        let track = |name: &str, kind: v1::TrackKind, peak_bandwidth| v1::Track {
            name: name.into(),
            kind: kind.into(),
            peak_bandwidth,
            timescale: timescale(name),
            ..Default::default()
        };
        let offer = v1::Offer {
            stream: "kites".into(),
            run: RUN.into(),
            epoch: EPOCH,
            tracks: vec![
                track("720p", v1::TrackKind::Video, 3_000_000),
                track("360p", v1::TrackKind::Video, 800_000),
                track("audio", v1::TrackKind::Audio, 128_000),
            ],
            target_duration_ms: 1000,
            ..Default::default()
        };
        let snapshot = v1::CatalogSnapshot {
            version: 1,
            offers: vec![offer],
        };
        let frames = [Ok(Frame::catalog(catalog_message::Body::Snapshot(
            snapshot,
        )))];
        Ok(futures::stream::iter(frames)
            .chain(futures::stream::pending())
            .boxed())
    }
}

fn chunk(track: &str, number: u64, part: u32) -> FramedChunk {
    let payload = chunks(track, number - EPOCH).swap_remove(part as usize);
    let facts = banyan_media::boxes::inspect_chunk(&payload).unwrap();
    let head = v1::ChunkHead {
        run: RUN.into(),
        track: track.into(),
        number,
        part,
        last_in_segment: part == 1,
        independent: part == 0,
        start: facts.decode_time,
        duration: facts.duration as u32,
        ..Default::default()
    };
    FramedChunk::new(head, payload.into())
}

fn secret() -> RunSecret {
    RunSecret::new([7; 32])
}

async fn start(to: u64, breaks: usize) -> (String, Stop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let service = MediaServer::new(Arc::new(Member {
        to,
        breaks: AtomicUsize::new(breaks),
    }));
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(
        server()
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped),
    );
    (uri, Stop(stop))
}

async fn played(uris: Vec<String>, secret: RunSecret) -> (anyhow::Result<()>, Tally) {
    let meter = Arc::new(Meter::new(None));
    let link = Arc::new(Link {
        uris,
        stream: "kites".into(),
        first: 0,
        secret,
    });
    let wanted = Wanted::new(&[], "lowest");
    let outcome = watch(link, &wanted, &meter, &CancellationToken::new()).await;
    (outcome, meter.tally())
}

#[tokio::test]
async fn chunks_are_taken_to_the_end_of_the_stream() {
    let (uri, _stop) = start(5, 0).await;
    let (outcome, tally) = played(vec![uri], secret()).await;
    outcome.unwrap();
    assert_eq!(
        (tally.counts.chunks, tally.counts.lost, tally.segments),
        (20, 0, 10),
        "{tally:?}"
    );
    assert_eq!((tally.fault_count, tally.switches), (0, 0), "{tally:?}");
    assert_eq!(tally.tracks.keys().collect::<Vec<_>>(), ["360p", "audio"]);
    assert_eq!(tally.quality.segments["360p"], 5);
    assert_eq!(tally.quality.segments.len(), 1, "audio is no picture");
    assert!(tally.startup.is_some());
}

#[tokio::test]
async fn a_broken_call_is_resumed_at_the_next_member_at_the_exact_position() {
    let (first, _a) = start(5, 2).await;
    let (second, _b) = start(5, 0).await;
    let (outcome, tally) = played(vec![first, second], secret()).await;
    outcome.unwrap();
    let counts = tally.counts;
    assert_eq!(
        (counts.chunks, counts.lost, counts.repeated),
        (20, 0, 0),
        "{tally:?}"
    );
    assert_eq!(tally.switches, 2, "one per track: {tally:?}");
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_tried_again() {
    let (uri, _stop) = start(5, 0).await;
    let (outcome, tally) = played(vec![uri], RunSecret::new([8; 32])).await;
    let error = format!("{:#}", outcome.unwrap_err());
    assert!(
        error.to_lowercase().contains("credential") || error.contains("secret"),
        "{error}"
    );
    assert_eq!(tally.counts.chunks, 0);
}
