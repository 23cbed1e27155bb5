//! An edge as a function of the path, with faults on request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use banyan_media::name::Resource;
use banyan_media::{Kind, MediaPlaylist, SegmentEntry, TrackInfo, hls};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{RUN, Stop, chunks, init, now, timescale};

/// What the edge serves and how it fails.
#[derive(Clone, Default)]
pub(super) struct Shape {
    /// Segments of a finished stream; `None` = live.
    pub(super) finished: Option<u64>,
    /// This segment is 404.
    pub(super) missing: Option<u64>,
    /// From this segment on, decode times are ten ticks late.
    pub(super) shifted: Option<u64>,
    /// All connections break and the port closes after so many segments.
    pub(super) dies_after: Option<usize>,
    /// It answers nothing more after so many segments, and connections stay open.
    pub(super) freezes_after: Option<usize>,
    /// It answers, but its playlists do not grow.
    pub(super) cut_off: bool,
    /// From this segment on, video takes its time.
    pub(super) slow: Option<u64>,
    /// Unix seconds; `None` = a little while ago.
    pub(super) epoch: Option<u64>,
}

pub(super) struct Edge {
    address: SocketAddr,
    state: Arc<State>,
    _stop: Stop,
}

struct State {
    shape: Shape,
    epoch: u64,
    started_head: u64,
    asked: Mutex<Vec<String>>,
    address: SocketAddr,
    stop: CancellationToken,
}

// === impl Shape ===

impl Shape {
    pub(super) fn finished(segments: u64) -> Self {
        Self {
            finished: Some(segments),
            ..Self::default()
        }
    }

    pub(super) fn live() -> Self {
        Self::default()
    }
}

// === impl Edge ===

impl Edge {
    pub(super) async fn start(shape: Shape) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let epoch = shape.epoch.unwrap_or_else(|| now().as_secs() - 20);
        let stop = CancellationToken::new();
        let state = Arc::new(State {
            started_head: now().as_secs() - epoch,
            shape,
            epoch,
            asked: Mutex::default(),
            address,
            stop: stop.clone(),
        });
        tokio::spawn(accept(listener, state.clone()));
        Self {
            address,
            state,
            _stop: Stop(stop),
        }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn url(&self) -> String {
        format!("{}/kites/index.m3u8", self.base())
    }

    /// The paths asked for that hold `text`.
    pub(super) fn asked(&self, text: &str) -> Vec<String> {
        let asked = self.state.asked.lock().unwrap();
        asked
            .iter()
            .filter(|path| path.contains(text))
            .cloned()
            .collect()
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// Segments complete when the edge was started.
    pub(super) fn started_head(&self) -> u64 {
        self.state.started_head
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let tcp = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            () = state.stop.cancelled() => return,
        };
        let state = state.clone();
        tokio::spawn(async move {
            let stop = state.stop.clone();
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let response = state.answer(request.uri().path_and_query().unwrap().as_str());
                let frozen = state.is_frozen();
                let slow = state.is_slow(request.uri().path());
                async move {
                    if slow {
                        tokio::time::sleep(SLOW).await;
                    }
                    if frozen {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(tcp), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

// === impl State ===

impl State {
    fn is_frozen(&self) -> bool {
        let asked = self.asked.lock().unwrap();
        let segments = asked.iter().filter(|path| path.contains(".m4s")).count();
        self.shape
            .freezes_after
            .is_some_and(|limit| segments > limit)
    }

    fn is_slow(&self, path: &str) -> bool {
        let Ok(Resource::Segment { track, number, .. }) = Resource::parse(path) else {
            return false;
        };
        let from = self.shape.slow;
        track != "audio" && from.is_some_and(|from| number >= self.epoch + from)
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let segments = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(path.to_owned());
            asked.iter().filter(|path| path.contains(".m4s")).count()
        };
        if self.shape.dies_after.is_some_and(|limit| segments > limit) {
            self.stop.cancel();
        }
        let path = path.split('?').next().unwrap();
        let body = match path {
            "/api/streams" => Some(self.streams()),
            path => Resource::parse(path)
                .ok()
                .and_then(|resource| self.resource(&resource)),
        };
        let status = if body.is_some() {
            StatusCode::OK
        } else {
            StatusCode::NOT_FOUND
        };
        let body = Full::new(body.unwrap_or_else(|| Bytes::from_static(b"gone\n")));
        Response::builder().status(status).body(body).unwrap()
    }

    fn streams(&self) -> Bytes {
        let url = format!("http://{}/kites/index.m3u8", self.address);
        let streams = serde_json::json!([
            { "name": "kites", "title": "Kites", "playlists": [url] },
            { "name": "boats", "playlists": [] },
        ]);
        streams.to_string().into()
    }

    fn resource(&self, resource: &Resource) -> Option<Bytes> {
        if resource.stream() != "kites" {
            return None;
        }
        match resource {
            Resource::Multivariant { .. } => Some(multivariant().into()),
            Resource::Playlist { track, .. } => Some(self.playlist(track).into()),
            Resource::Init { track, .. } => Some(init(track).into()),
            Resource::Segment { track, number, .. } => self.segment(track, number - self.epoch),
            _ => None,
        }
    }

    /// Segments complete now.
    fn head(&self) -> u64 {
        if self.shape.cut_off {
            return self.started_head;
        }
        self.shape
            .finished
            .unwrap_or_else(|| now().as_secs() - self.epoch)
    }

    fn segment(&self, track: &str, n: u64) -> Option<Bytes> {
        if self.shape.missing == Some(n) || n >= self.head() {
            return None;
        }
        let shift = if self.shape.shifted.is_some_and(|from| n >= from) {
            10
        } else {
            0
        };
        let mut out = Vec::new();
        for mut chunk in chunks(track, n) {
            let facts = banyan_media::boxes::inspect_chunk(&chunk).unwrap();
            let time = facts.decode_time + shift;
            banyan_media::boxes::patch_chunk(&mut chunk, facts.sequence, time).unwrap();
            out.extend(chunk);
        }
        Some(out.into())
    }

    fn playlist(&self, track: &str) -> String {
        let head = self.head();
        let scale = u64::from(timescale(track));
        let segments: Vec<_> = (head.saturating_sub(8)..head)
            .map(|n| SegmentEntry {
                number: self.epoch + n,
                run: RUN.to_owned(),
                start: n * scale,
                duration: scale,
                discontinuity_sequence: 0,
                gap: false,
            })
            .collect();
        MediaPlaylist {
            track,
            epoch: self.epoch,
            timescale: timescale(track),
            target_duration_ms: 1000,
            segments: &segments,
            ended: self.shape.finished.is_some(),
        }
        .write()
    }
}

fn multivariant() -> String {
    let track = |name: &str, kind, height, peak_bandwidth| TrackInfo {
        name: name.to_owned(),
        kind,
        codec: "avc1.64001f".to_owned(),
        width: height * 16 / 9,
        height,
        frame_rate: None,
        peak_bandwidth,
        average_bandwidth: 0,
        channels: 0,
        language: None,
    };
    hls::multivariant(&[
        track("720p", Kind::Video, 720, 30_000),
        track("360p", Kind::Video, 360, 8_000),
        track("audio", Kind::Audio, 0, 1_000),
    ])
}

/// A segment of a second has 9 kbit: slow enough for 360p, too slow for 720p.
const SLOW: std::time::Duration = std::time::Duration::from_millis(600);
