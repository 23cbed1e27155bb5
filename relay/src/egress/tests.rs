//! The egress against a core made of vectors: a stream `kites` with two video tracks and audio, 2 s
//! segments of 3 parts, whose head the test moves.

mod connections;
mod entities;
mod members;
mod overlay;
mod playlists;
mod statuses;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banyan_proto::v1;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::body::{Body, Sending};
use super::{Carried, Egress, Options, Source};
use crate::library::{CatalogView, Ended, Full, Head, LibraryError, MemberStatus, TrackView};

const EPOCH: u64 = 1_700_000_000;
const RUN: &str = "abcdefghij";
const WINDOW: u32 = 4;
const PARTS: u32 = 3;
const TARGET_MS: u32 = 2000;

/// A core in memory; clones share it.
#[derive(Clone)]
struct Fake(Arc<Core>);

struct Core {
    catalog: watch::Sender<Arc<CatalogView>>,
    tracks: Mutex<HashMap<String, Arc<Track>>>,
    ready: Mutex<bool>,
    max_sessions: AtomicU32,
    /// Bits per second that newcomers may take; 0 = no limit.
    room: AtomicU64,
    turned_away: AtomicU64,
    edges: Mutex<Vec<v1::Peer>>,
    /// Calls of `track`, and `demand` guards alive.
    asked: AtomicU64,
    demand: Arc<AtomicU64>,
    viewers: Mutex<BTreeMap<String, u32>>,
}

struct Track {
    view: watch::Sender<Arc<TrackView>>,
    demand: Arc<AtomicU64>,
    /// Segments below are gone.
    kept_from: AtomicU64,
}

struct Guard(Arc<AtomicU64>);

// === impl Fake ===

impl Fake {
    fn new() -> Self {
        let track = |name: &str, kind: v1::TrackKind, peak| v1::Track {
            name: name.into(),
            kind: kind.into(),
            codec: if peak > 200_000 {
                "avc1.64001f".into()
            } else {
                "mp4a.40.2".into()
            },
            width: if peak > 200_000 { 640 } else { 0 },
            height: if peak > 200_000 { 360 } else { 0 },
            frame_rate_num: if peak > 200_000 { 25 } else { 0 },
            frame_rate_den: 1,
            peak_bandwidth: peak,
            timescale: 25,
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
            target_duration_ms: TARGET_MS,
            part_target_ms: 720,
            window_segments: WINDOW,
            title: "Kites over the bay".into(),
            poster: Bytes::from_static(b"\xff\xd8jpeg"),
            source: "lisbon".into(),
            ..Default::default()
        };
        let view = CatalogView {
            offers: BTreeMap::from([("kites".to_owned(), Arc::new(offer))]),
            withdrawn: BTreeSet::from(["boats".to_owned()]),
            known: true,
            version: 1,
        };
        Self(Arc::new(Core {
            catalog: watch::Sender::new(Arc::new(view)),
            tracks: Mutex::default(),
            ready: Mutex::new(true),
            max_sessions: AtomicU32::new(0),
            room: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            edges: Mutex::default(),
            asked: AtomicU64::new(0),
            demand: Arc::default(),
            viewers: Mutex::default(),
        }))
    }

    /// Has a track whose newest chunk is the last of segment `n` after the epoch.
    fn with_head(self, name: &str, n: u64) -> Self {
        self.set_head(name, n, PARTS - 1);
        self
    }

    fn set_head(&self, name: &str, n: u64, part: u32) {
        let view = view(n, part);
        self.carried(name).view.send_replace(Arc::new(view));
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut TrackView)) {
        self.carried(name)
            .view
            .send_modify(|view| change(Arc::make_mut(view)));
    }

    fn change_catalog(&self, change: impl FnOnce(&mut CatalogView)) {
        self.0
            .catalog
            .send_modify(|view| change(Arc::make_mut(view)));
    }

    fn carried(&self, name: &str) -> Arc<Track> {
        let mut tracks = self.0.tracks.lock().unwrap();
        tracks
            .entry(name.to_owned())
            .or_insert_with(|| {
                Arc::new(Track {
                    view: watch::Sender::new(Arc::default()),
                    demand: self.0.demand.clone(),
                    kept_from: AtomicU64::new(0),
                })
            })
            .clone()
    }
}

/// A view whose head is (n, part), listing up to the window.
fn view(n: u64, part: u32) -> TrackView {
    let whole = if part + 1 == PARTS {
        n
    } else {
        n.saturating_sub(1)
    };
    let first = whole.saturating_sub(u64::from(WINDOW) - 1);
    let segments = (first..=n).map(|n| v1::SegmentInfo {
        number: EPOCH + n,
        start: n * 50,
        duration: 50,
        part_durations: vec![17, 17, 16],
        discontinuity_sequence: 0,
        gap: false,
        run: RUN.into(),
    });
    TrackView {
        description: v1::Description {
            stream: "kites".into(),
            run: RUN.into(),
            epoch: EPOCH,
            track: Some(v1::Track {
                timescale: 25,
                ..Default::default()
            }),
            target_duration_ms: TARGET_MS,
            window_segments: WINDOW,
            ..Default::default()
        },
        segments: segments.collect(),
        head: Some(Head {
            run: RUN.into(),
            number: EPOCH + n,
            part,
            segment_complete: part + 1 == PARTS,
        }),
        ended: None,
    }
}

/// The bytes of a part: a pure function of its position.
fn part_bytes(number: u64, part: u32) -> Bytes {
    let length = 100 + (number % 7) as usize * 10 + part as usize;
    (0..length)
        .map(|i| (i as u64 * 31 + number + u64::from(part) * 7) as u8)
        .collect()
}

fn segment_bytes(number: u64) -> Bytes {
    (0..PARTS)
        .flat_map(|part| part_bytes(number, part))
        .collect()
}

impl Source for Fake {
    type Track = Arc<Track>;

    fn catalog(&self) -> watch::Receiver<Arc<CatalogView>> {
        self.0.catalog.subscribe()
    }

    async fn track(&self, stream: &str, track: &str) -> Result<Arc<Track>, LibraryError> {
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(stream, "kites");
        match track {
            "720p" => Err(LibraryError::Unavailable("every parent refused".into())),
            name => Ok(self.carried(name)),
        }
    }

    fn status(&self) -> MemberStatus {
        MemberStatus {
            member: "edge-7".into(),
            role: "edge".into(),
            ..Default::default()
        }
    }

    fn metrics(&self) -> String {
        "banyan_fetches_coalesced_total 5\n".into()
    }

    fn ready(&self) -> bool {
        *self.0.ready.lock().unwrap()
    }

    fn max_sessions(&self) -> u32 {
        self.0.max_sessions.load(Ordering::Relaxed)
    }

    fn edges(&self) -> Vec<v1::Peer> {
        self.0.edges.lock().unwrap().clone()
    }

    fn admit(&self, cost: u64) -> Result<(), Full> {
        let limit = self.0.room.load(Ordering::Relaxed);
        if limit > 0 && cost > limit {
            return Err(Full { used: 0, limit });
        }
        Ok(())
    }

    fn turn_away(&self) {
        self.0.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    fn report_viewers(&self, stream: &str, track: &str, viewers: u32) {
        self.0
            .viewers
            .lock()
            .unwrap()
            .insert(format!("{stream}/{track}"), viewers);
    }

    fn report_sessions(&self, _: u32) {}

    fn report_egress(&self, _: u64) {}
}

impl Carried for Arc<Track> {
    type Demand = Guard;

    fn view(&self) -> watch::Receiver<Arc<TrackView>> {
        self.view.subscribe()
    }

    fn demand(&self) -> Guard {
        self.demand.fetch_add(1, Ordering::Relaxed);
        Guard(self.demand.clone())
    }

    async fn init(&self, run: &str) -> Result<Bytes, LibraryError> {
        if run == RUN {
            Ok(Bytes::from_static(b"init"))
        } else {
            Err(LibraryError::Evicted)
        }
    }

    async fn segment(&self, run: &str, number: u64) -> Result<Vec<Bytes>, LibraryError> {
        self.ready(run, number, PARTS - 1).await?;
        Ok((0..PARTS).map(|part| part_bytes(number, part)).collect())
    }

    async fn part(&self, run: &str, number: u64, part: u32) -> Result<Bytes, LibraryError> {
        self.ready(run, number, part).await?;
        Ok(part_bytes(number, part))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Track ===

impl Track {
    async fn ready(&self, run: &str, number: u64, part: u32) -> Result<(), LibraryError> {
        if run != RUN || number < self.kept_from.load(Ordering::Relaxed) {
            return Err(LibraryError::Evicted);
        }
        let mut views = self.view.subscribe();
        loop {
            {
                let view = views.borrow_and_update();
                if view.ended == Some(Ended { withdrawn: true }) {
                    return Err(LibraryError::Withdrawn);
                }
                if view
                    .segments
                    .iter()
                    .any(|info| info.number == number && info.gap)
                {
                    return Err(LibraryError::Gap);
                }
                let head = view
                    .head
                    .as_ref()
                    .map_or((0, 0), |head| (head.number, head.part));
                if (number, part) <= head {
                    return Ok(());
                }
                if number > head.0 + 1 {
                    return Err(LibraryError::Future);
                }
            }
            views.changed().await.map_err(|_| LibraryError::Timeout)?;
        }
    }
}

// === asking ===

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

fn edge(fake: &Fake) -> Arc<Egress<Fake>> {
    Egress::new(fake.clone(), Options::default(), CancellationToken::new())
}

fn segment_path(track: &str, n: u64) -> String {
    format!("/kites/{RUN}/{track}/{}.m4s", EPOCH + n)
}

async fn ask<S: Source>(
    edge: &Egress<S>,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let sending = Arc::<Sending>::default();
    // Virtual time: more than any request may wait.
    let answer = tokio::time::timeout(
        Duration::from_secs(60),
        edge.handle(PEER, &sending, request),
    );
    read(answer.await.expect("a request must be answered")).await
}

async fn get<S: Source>(edge: &Egress<S>, path: &str) -> Answer {
    ask(edge, Method::GET, path, &[]).await
}

async fn read(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
    }
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body for a message, whatever it holds.
    fn text_or_bytes(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}
