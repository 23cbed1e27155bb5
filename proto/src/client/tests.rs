//! The reader against pieces of every size, against prost, and against noise.

use std::sync::Arc;

use futures::StreamExt;
use proptest::prelude::*;
use tokio_stream::wrappers::TcpListenerStream;

use super::*;
use crate::frame::FramedChunk;
use crate::server::{FrameStream, MediaServer, MediaService};
use crate::v1::media_client::MediaClient as GeneratedClient;
use crate::v1::media_message::Body as Media;

fn head(number: u64, part: u32) -> v1::ChunkHead {
    v1::ChunkHead {
        run: "abcdefghij".into(),
        track: "720p".into(),
        number,
        part,
        independent: part == 0,
        start: number * 50,
        duration: 8,
        ..Default::default()
    }
}

fn messages() -> Vec<Frame> {
    let mut frames = vec![
        Frame::media(Media::Welcome(v1::Welcome::default())),
        Frame::media(Media::Init(v1::Init {
            run: "abcdefghij".into(),
            data: Bytes::from(vec![1; 700]),
        })),
    ];
    for (number, size) in [(7, 0), (8, 1), (9, 300), (10, 70_000)] {
        let payload = Bytes::from((0..size).map(|i| (i % 251) as u8).collect::<Vec<_>>());
        frames.push(Frame::Chunk(FramedChunk::new(head(number, 0), payload)));
        frames.push(Frame::media(Media::KeepAlive(v1::KeepAlive {
            path: vec!["lisbon".into(), "root-0".into()],
            ..Default::default()
        })));
    }
    frames
}

fn wire(frames: &[Frame]) -> Vec<u8> {
    let mut wire = Vec::new();
    for frame in frames {
        match frame {
            Frame::Message(bytes) => wire.extend_from_slice(bytes),
            Frame::Chunk(chunk) => {
                wire.extend_from_slice(chunk.prefix());
                wire.extend_from_slice(&chunk.payload);
            }
        }
    }
    wire
}

fn parse_pieces(wire: &[u8], sizes: impl Iterator<Item = usize>) -> Result<Vec<Incoming>, Status> {
    let mut parser = Parser::default();
    let mut out = Vec::new();
    let mut rest = wire;
    for size in sizes {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(size.clamp(1, rest.len()));
        rest = tail;
        parser.push(Bytes::copy_from_slice(piece));
        while let Some(incoming) = parser.parse()? {
            out.push(incoming);
        }
    }
    assert!(rest.is_empty() && parser.is_idle());
    Ok(out)
}

fn assert_same(got: &[Incoming], frames: &[Frame]) {
    assert_eq!(got.len(), frames.len());
    for (got, frame) in got.iter().zip(frames) {
        match (got, frame) {
            (Incoming::Chunk { head, payload }, Frame::Chunk(chunk)) => {
                assert_eq!(head, &*chunk.head);
                assert_eq!(payload, &chunk.payload);
            }
            (Incoming::Message(body), Frame::Message(bytes)) => {
                let decoded = v1::MediaMessage::decode(&bytes[GRPC_PREFIX..]).unwrap();
                assert_eq!(Some(body), decoded.body.as_ref());
            }
            other => panic!("kinds differ: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn messages_are_read_alike_whatever_the_pieces(sizes in prop::collection::vec(1_usize..2_000, 1..64)) {
        let frames = messages();
        let got = parse_pieces(&wire(&frames), sizes.into_iter().cycle()).unwrap();
        assert_same(&got, &frames);
    }

    #[test]
    fn noise_is_an_error_or_a_wait_and_never_a_panic(noise in prop::collection::vec(any::<u8>(), 0..600), cut in 1_usize..64) {
        let mut parser = Parser::default();
        'outer: for piece in noise.chunks(cut) {
            parser.push(Bytes::copy_from_slice(piece));
            loop {
                match parser.parse() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'outer,
                }
            }
        }
    }

    #[test]
    fn a_damaged_stream_never_panics(at in 0_usize..1_500, value in any::<u8>()) {
        let mut bytes = wire(&messages()[..4]);
        let at = at % bytes.len();
        bytes[at] = value;
        let mut parser = Parser::default();
        parser.push(Bytes::from(bytes));
        while let Ok(Some(_)) = parser.parse() {}
    }
}

#[test]
fn a_payload_is_not_part_of_a_larger_buffer() {
    let frames = messages();
    let got = parse_pieces(&wire(&frames), std::iter::repeat(64 * 1024)).unwrap();
    for incoming in got {
        if let Incoming::Chunk { payload, .. } = incoming
            && !payload.is_empty()
        {
            let len = payload.len();
            let owned = payload.try_into_mut().expect("sole owner");
            assert_eq!(owned.capacity(), len);
        }
    }
}

#[test]
fn an_oversized_message_is_refused_before_it_is_held() {
    let mut parser = Parser::default();
    let len = (MESSAGE_LIMIT as u32 + 1).to_be_bytes();
    parser.push(Bytes::from([&[0][..], &len[..]].concat()));
    let status = parser.parse().unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

struct Fixed;

impl MediaService for Fixed {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        if request.stream != "clock" {
            return Err(Status::not_found(format!(
                "stream {:?} is not known",
                request.stream
            )));
        }
        let frames = messages().into_iter().map(Ok);
        Ok(futures::stream::iter(frames).boxed())
    }

    async fn fetch(&self, _: v1::FetchRequest) -> Result<FrameStream, Status> {
        let frames = messages().into_iter().map(Ok);
        let end = std::iter::once(Err(Status::out_of_range("position 9 is not released")));
        Ok(futures::stream::iter(frames.chain(end)).boxed())
    }

    async fn catalog(&self, _: v1::CatalogRequest) -> Result<FrameStream, Status> {
        let snapshot = v1::CatalogSnapshot {
            version: 3,
            offers: vec![v1::Offer {
                stream: "clock".into(),
                ..Default::default()
            }],
        };
        let body = v1::catalog_message::Body::Snapshot(snapshot);
        Ok(futures::stream::iter([Ok(Frame::catalog(body))]).boxed())
    }
}

async fn serve() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(
        crate::transport::server()
            .add_service(MediaServer::new(Arc::new(Fixed)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    uri
}

#[tokio::test]
async fn our_client_reads_our_server() {
    let uri = serve().await;
    let channel = crate::transport::endpoint(&uri)
        .unwrap()
        .connect()
        .await
        .unwrap();
    let client = MediaClient::new(channel);
    let request = v1::SubscribeRequest {
        stream: "clock".into(),
        ..Default::default()
    };
    let mut reader = client.subscribe(request).await.unwrap();
    let mut got = Vec::new();
    while let Some(incoming) = reader.next().await.unwrap() {
        got.push(incoming);
    }
    assert_same(&got, &messages());

    let status = client
        .subscribe(v1::SubscribeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);

    let mut fetch = client.fetch(v1::FetchRequest::default()).await.unwrap();
    let status = loop {
        match fetch.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("status was lost"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::OutOfRange);

    let mut catalog = client.catalog(v1::CatalogRequest::default()).await.unwrap();
    let Some(v1::catalog_message::Body::Snapshot(snapshot)) = catalog.next().await.unwrap() else {
        panic!("no snapshot")
    };
    assert_eq!(snapshot.version, 3);
    assert!(catalog.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_generated_client_reads_our_server() {
    let uri = serve().await;
    let mut client = GeneratedClient::connect(uri).await.unwrap();
    let request = v1::SubscribeRequest {
        stream: "clock".into(),
        ..Default::default()
    };
    let mut stream = client.subscribe(request).await.unwrap().into_inner();
    let mut got = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        got.push(match message.body.unwrap() {
            Media::Chunk(chunk) => Incoming::Chunk {
                head: chunk.head.unwrap(),
                payload: chunk.payload,
            },
            body => Incoming::Message(body),
        });
    }
    assert_same(&got, &messages());
    let status = client
        .subscribe(v1::SubscribeRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.message(), "stream \"\" is not known");
}
