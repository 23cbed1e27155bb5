//! The Media service for children: `Subscribe`, `Fetch`, `Catalog`.

use std::sync::Arc;
use std::time::Duration;

use banyan_media::name::{check_run, check_stream_name, check_track_name};
use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::v1::{self, catalog_message, media_message::Body};
use futures::StreamExt;
use futures::stream;
use tokio::time::timeout;
use tonic::Status;

use crate::core::Core;
use crate::fetch::{FetchKey, Fetched, MAX_HOPS, fetch};
use crate::library::{CatalogView, LibraryError};
use crate::store::{Located, StartError};
use crate::track::{Phase, Track};

mod catalog;
mod child;

/// Segments one request may ask for: a window of the longest kind.
const MAX_RANGE: u64 = 256;

/// A fetch without a deadline of its own ends after this.
const FETCH_PATIENCE: Duration = Duration::from_secs(10);

/// A member this young may not have heard of everything: it does not say that something is not.
const SETTLING: Duration = Duration::from_secs(5);

/// A member that has just started waits this long for its own parents' catalogue.
const CATALOG_PATIENCE: Duration = Duration::from_secs(2);

/// [`Core`] as its children call it.
pub struct Serving {
    core: Arc<Core>,
}

impl Serving {
    pub fn new(core: Arc<Core>) -> Serving {
        Serving { core }
    }

    /// Refuses names that no parent offers; says so of those taken back.
    async fn check_offered(&self, stream: &str, track: &str) -> Result<Offered, Status> {
        let bad =
            |error: banyan_media::name::NameError| Status::invalid_argument(error.to_string());
        check_stream_name(stream).map_err(bad)?;
        check_track_name(track).map_err(bad)?;
        let mut catalog = self.core.catalog();
        let known = timeout(CATALOG_PATIENCE, catalog.wait_for(|view| view.known)).await;
        let Ok(Ok(view)) = known else {
            return Err(Status::unavailable(
                "no parent of this member has told its catalogue yet",
            ));
        };
        offered(&view, stream, track).map_err(|status| {
            if self.core.clock.uptime() < SETTLING {
                Status::unavailable(format!("{}, as far as is known yet", status.message()))
            } else {
                status
            }
        })
    }
}

enum Offered {
    Yes,
    Withdrawn,
}

fn offered(view: &CatalogView, stream: &str, track: &str) -> Result<Offered, Status> {
    if view.withdrawn.contains(stream) {
        return Ok(Offered::Withdrawn);
    }
    let Some(offer) = view.offers.get(stream) else {
        return Err(Status::not_found(format!(
            "stream {stream:?} is not offered"
        )));
    };
    if offer.tracks.iter().any(|t| t.name == track) {
        return Ok(Offered::Yes);
    }
    let names: Vec<_> = offer.tracks.iter().map(|t| t.name.as_str()).collect();
    Err(Status::not_found(format!(
        "stream {stream:?} has no track {track:?}; it has {}",
        names.join(", ")
    )))
}

impl MediaService for Serving {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let subscribed = self.try_subscribe(request).await;
        if subscribed.is_err() {
            self.core.counters.subscriptions_refused.inc();
        }
        subscribed
    }

    async fn fetch(&self, request: v1::FetchRequest) -> Result<FrameStream, Status> {
        let core = &self.core;
        core.authenticator()
            .authenticate(request.hello.as_ref())
            .await?;
        check_range(&request)?;
        if let Offered::Withdrawn = self.check_offered(&request.stream, &request.track).await? {
            return Err(Status::not_found(format!(
                "stream {:?} was taken back",
                request.stream
            )));
        }
        core.counters.fetches_served.inc();
        let track = core.track(&request.stream, &request.track)?;
        let patience = match request.deadline_ms {
            0 => FETCH_PATIENCE,
            ms => Duration::from_millis(u64::from(ms)).min(FETCH_PATIENCE),
        };
        let mut frames = vec![Frame::media(Body::Welcome(welcome(core)))];
        if request.init {
            let key = FetchKey {
                run: request.run.clone(),
                number: None,
            };
            let held = track.lock().store.init(&request.run).cloned();
            let data = match held {
                Some(data) => data,
                None => match bounded(patience, fetch(core, &track, key, request.hops + 1)).await {
                    Ok(Fetched::Init(data)) => data,
                    Ok(Fetched::Segment(_)) => return Err(status(LibraryError::Evicted)),
                    Err(error) => return Err(status(error)),
                },
            };
            frames.push(Frame::media(Body::Init(v1::Init {
                run: request.run.clone(),
                data,
            })));
        }
        let ranges = Ranges {
            core: core.clone(),
            track,
            budget: match request.max_bytes {
                0 => u64::MAX,
                bytes => bytes,
            },
            next: request.from_number,
            request,
            patience,
        };
        let segments = stream::unfold(Some(ranges), |ranges| async move {
            let mut ranges = ranges?;
            if ranges.next > ranges.request.to_number {
                return None;
            }
            match ranges.segment().await {
                Ok(frames) => Some((Ok(frames), Some(ranges))),
                Err(error) => Some((Err(error), None)),
            }
        });
        let segments = segments.flat_map(|segment| {
            stream::iter(match segment {
                Ok(frames) => frames.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            })
        });
        Ok(Box::pin(
            stream::iter(frames.into_iter().map(Ok)).chain(segments),
        ))
    }

    async fn catalog(&self, request: v1::CatalogRequest) -> Result<FrameStream, Status> {
        self.core
            .authenticator()
            .authenticate(request.hello.as_ref())
            .await?;
        if self.core.is_draining() {
            return Err(Status::unavailable("this member is leaving"));
        }
        Ok(catalog::stream(self.core.clone()))
    }
}

impl Serving {
    async fn try_subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let core = &self.core;
        let identity = core
            .authenticator()
            .authenticate(request.hello.as_ref())
            .await?;
        let Some(from) = request.from else {
            return Err(Status::invalid_argument(
                "subscription says no position; Live or After is accepted",
            ));
        };
        if let v1::subscribe_request::From::After(after) = &from {
            check_after(after)?;
        }
        if core.is_draining() {
            return Err(Status::unavailable("this member is leaving"));
        }
        match self.check_offered(&request.stream, &request.track).await? {
            Offered::Yes => {}
            Offered::Withdrawn => return Ok(withdrawn(core)),
        }
        let track = core.track(&request.stream, &request.track)?;
        child::stream(core.clone(), track, &identity.member, from)
    }
}

fn withdrawn(core: &Core) -> FrameStream {
    let frames = [
        Ok(Frame::media(Body::Welcome(welcome(core)))),
        Ok(Frame::media(Body::End(v1::End {
            reason: "the content was taken back".into(),
            withdrawn: true,
        }))),
    ];
    Box::pin(stream::iter(frames))
}

fn welcome(core: &Core) -> v1::Welcome {
    v1::Welcome {
        identity: core.member().to_owned(),
        ..Default::default()
    }
}

fn check_after(after: &v1::After) -> Result<(), Status> {
    check_run(&after.run).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if !after.sha256.is_empty() && after.sha256.len() != 32 {
        return Err(Status::invalid_argument(format!(
            "hash of {} bytes; SHA-256 has 32",
            after.sha256.len()
        )));
    }
    if after.number >= u64::MAX / 2 {
        return Err(Status::out_of_range(format!(
            "segment number {} is beyond any clock",
            after.number
        )));
    }
    Ok(())
}

fn check_range(request: &v1::FetchRequest) -> Result<(), Status> {
    check_run(&request.run).map_err(|error| Status::invalid_argument(error.to_string()))?;
    if request.hops > MAX_HOPS {
        return Err(Status::failed_precondition(format!(
            "request passed {} members; at most {MAX_HOPS} are accepted",
            request.hops
        )));
    }
    let length = request.to_number.saturating_sub(request.from_number);
    if length >= MAX_RANGE || request.to_number == u64::MAX {
        return Err(Status::invalid_argument(format!(
            "range {}..={} is too long; at most {MAX_RANGE} segments are accepted",
            request.from_number, request.to_number
        )));
    }
    Ok(())
}

async fn bounded(
    patience: Duration,
    fetch: impl Future<Output = Result<Fetched, LibraryError>>,
) -> Result<Fetched, LibraryError> {
    timeout(patience, fetch)
        .await
        .unwrap_or(Err(LibraryError::Timeout))
}

/// The gRPC status of what a lookup met.
fn status(error: LibraryError) -> Status {
    let text = error.to_string();
    match error {
        LibraryError::UnknownStream
        | LibraryError::UnknownTrack
        | LibraryError::Withdrawn
        | LibraryError::Evicted
        | LibraryError::Gap => Status::not_found(text),
        LibraryError::Future => Status::out_of_range(text),
        LibraryError::Unavailable(_) => Status::unavailable(text),
        LibraryError::Timeout => Status::deadline_exceeded(text),
    }
}

/// The gRPC status of a position that cannot be resumed from.
fn start_status(error: StartError, after: &v1::After) -> Status {
    match error {
        StartError::OtherRun { ours } => Status::failed_precondition(format!(
            "run {:?} is not carried here at segment {}; {ours:?} is",
            after.run, after.number
        )),
        StartError::OtherBytes { number } => {
            Status::failed_precondition(format!("segment {number} has other bytes here"))
        }
        StartError::Future { head } => Status::out_of_range(format!(
            "segment {} is more than 3 ahead of {head}",
            after.number
        )),
    }
}

/// A fetch being answered segment by segment.
struct Ranges {
    core: Arc<Core>,
    track: Arc<Track>,
    request: v1::FetchRequest,
    patience: Duration,
    next: u64,
    budget: u64,
}

impl Ranges {
    async fn segment(&mut self) -> Result<Vec<Frame>, Status> {
        let number = self.next;
        self.next += 1;
        match self.find(number).await {
            Ok(chunks) => {
                let bytes: usize = chunks.iter().map(FramedChunk::framed_len).sum();
                if bytes as u64 > self.budget {
                    return Err(Status::resource_exhausted(format!(
                        "segment {number} does not fit the {} bytes left of max_bytes",
                        self.budget
                    )));
                }
                self.budget -= bytes as u64;
                self.core.counters.bytes_out.add(bytes as u64);
                Ok(chunks.into_iter().map(Frame::Chunk).collect())
            }
            Err(LibraryError::Gap | LibraryError::Evicted) => {
                Ok(vec![Frame::media(Body::Gap(v1::Gap {
                    run: self.request.run.clone(),
                    from_number: number,
                    to_number: number + 1,
                    reason: "not kept".into(),
                    ..Default::default()
                }))])
            }
            Err(error) => Err(status(error)),
        }
    }

    async fn find(&self, number: u64) -> Result<Vec<FramedChunk>, LibraryError> {
        let mut wake = self.track.wake();
        let run = &self.request.run;
        let carried = timeout(self.patience, async {
            loop {
                wake.mark_unchanged();
                let (located, carried) = {
                    let state = self.track.lock();
                    let carried = state.running && !matches!(state.phase, Phase::Unavailable(_));
                    (state.store.locate(run, number, None), carried)
                };
                match located {
                    Located::Whole(chunks) => return Ok(Some(chunks)),
                    Located::Gap => return Err(LibraryError::Gap),
                    Located::Future if carried => return Err(LibraryError::Future),
                    Located::Coming if carried => {}
                    // Not listed here: a parent may know it all the same.
                    _ => return Ok(None),
                }
                if wake.changed().await.is_err() {
                    return Ok(None);
                }
            }
        })
        .await
        .unwrap_or(Err(LibraryError::Timeout))?;
        if let Some(chunks) = carried {
            return Ok(chunks);
        }
        let key = FetchKey {
            run: run.clone(),
            number: Some(number),
        };
        let fetched = fetch(&self.core, &self.track, key, self.request.hops + 1);
        match bounded(self.patience, fetched).await? {
            Fetched::Segment(chunks) => Ok(chunks.to_vec()),
            Fetched::Init(_) => Err(LibraryError::Evicted),
        }
    }
}

pub(crate) fn snapshot(view: &CatalogView) -> catalog_message::Body {
    catalog_message::Body::Snapshot(v1::CatalogSnapshot {
        version: view.version,
        offers: view
            .offers
            .values()
            .map(|offer| v1::Offer::clone(offer))
            .collect(),
    })
}
