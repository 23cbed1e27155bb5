//! The whole core as an egress sees it: offers, tracks, windows and bytes.
//!
//! An egress knows nothing of parents, gRPC or repair: it asks for a track (which makes a branch
//! grow), follows its view, and takes segments and parts by name. What is not in memory is fetched
//! from the parent behind these calls, once, whatever the number of askers. No call here has a
//! time limit of its own beyond what its text says: the caller bounds its patience and drops the
//! future.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use banyan_proto::v1;
use bytes::Bytes;
use tokio::sync::watch;

pub use crate::status::{
    ContentStatus, HeadStatus, MemberStatus, OriginStatus, ParentStatus, TrackStatus,
};

use crate::core::{Core, Role};
pub use crate::room::Full;
use crate::track::{HttpGuard, Track};

/// A handle on the core; cheap to clone.
#[derive(Clone)]
pub struct Library {
    core: Arc<Core>,
}

/// What this member can serve, as its parents say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogView {
    /// By stream name.
    pub offers: BTreeMap<String, Arc<v1::Offer>>,
    /// Streams that were offered and were taken back: HTTP 410.
    pub withdrawn: BTreeSet<String>,
    /// False until a parent answered.
    pub known: bool,
    /// Grows with every change.
    pub version: u64,
}

/// One track as its playlist needs it. A function of the head position only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrackView {
    pub description: v1::Description,
    /// The window: the last `window_segments` whole segments, oldest first, and the incomplete one
    /// behind them (if any). `run` is always filled in.
    pub segments: Vec<v1::SegmentInfo>,
    pub head: Option<Head>,
    pub ended: Option<Ended>,
}

/// The newest chunk of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub run: String,
    pub number: u64,
    pub part: u32,
    /// The chunk was the last of its segment.
    pub segment_complete: bool,
}

/// Why nothing follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Taken back (410) rather than finished.
    pub withdrawn: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    #[error("this member knows no stream of that name")]
    UnknownStream,
    #[error("the stream has no track of that name")]
    UnknownTrack,
    #[error("the stream was taken back by its content server")]
    Withdrawn,
    /// HTTP 400.
    #[error("the position is too far ahead of the live edge")]
    Future,
    /// HTTP 404: not listed any more, and gone.
    #[error("the position is no longer kept")]
    Evicted,
    /// HTTP 404: listed as a gap.
    #[error("the position was never received")]
    Gap,
    /// HTTP 503.
    #[error("no live path to the stream: {0}")]
    Unavailable(String),
    /// HTTP 503.
    #[error("the upstream did not answer in time")]
    Timeout,
}

// === impl Library ===

impl Library {
    pub(crate) fn new(core: Arc<Core>) -> Library {
        Library { core }
    }

    /// The offers, now and after every change.
    pub fn catalog(&self) -> watch::Receiver<Arc<CatalogView>> {
        self.core.catalog()
    }

    /// Marks HTTP demand, subscribes upstream on first use, and waits until the window is known.
    ///
    /// Returns at once for a track that flows. Fails with `Unavailable` when every parent refused
    /// or was silent, which takes at most a few seconds.
    pub async fn track(&self, stream: &str, track: &str) -> Result<TrackHandle, LibraryError> {
        let track = self.core.http_track(stream, track).await?;
        Ok(TrackHandle {
            core: self.core.clone(),
            track,
        })
    }

    /// Keeps HTTP demand for a track alive; does nothing for a track that is not carried.
    pub fn touch(&self, stream: &str, track: &str) {
        self.core.touch(stream, track);
    }

    /// What `/api/member` shows.
    pub fn status(&self) -> MemberStatus {
        self.core.status()
    }

    /// What `/api/origins` shows; none but on roots.
    pub fn origins(&self) -> Option<Vec<OriginStatus>> {
        (self.core.options.role == Role::Root).then(|| self.core.origin_status())
    }

    /// The core's Prometheus metrics, complete lines; an egress appends its own.
    pub fn metrics(&self) -> String {
        self.core.metrics()
    }

    /// Configured, and not draining: what `/readyz` says beyond "listening".
    pub fn ready(&self) -> bool {
        self.core.ready()
    }

    /// The window asked for by configuration, for limits that hold before a stream is known.
    pub fn max_sessions(&self) -> u32 {
        self.core.config().max_sessions
    }

    /// The edges that a viewer here may go to, this one first; empty where there is no choice.
    pub fn edges(&self) -> Vec<v1::Peer> {
        self.core.edges()
    }

    /// Lets in a viewer that needs so many bits per second, or says why not.
    pub fn admit(&self, cost: u64) -> Result<(), Full> {
        self.core.admit(cost)
    }

    /// A viewer was turned away for want of a session.
    pub fn turn_away(&self) {
        self.core.turn_away();
    }

    /// The egress tells how many viewers a track has and how many sessions are open.
    pub fn report_viewers(&self, stream: &str, track: &str, viewers: u32) {
        self.core.report_viewers(stream, track, viewers);
    }

    /// Open viewer sessions (connections), for the load report.
    pub fn report_sessions(&self, sessions: u32) {
        self.core.report_sessions(sessions);
    }

    /// Bytes written to viewers, for the load report; call it per response, not per byte.
    pub fn report_egress(&self, bytes: u64) {
        self.core.report_egress(bytes);
    }
}

/// One carried track. Holding it is no demand: `touch` and [`TrackHandle::demand`] are.
#[derive(Clone)]
pub struct TrackHandle {
    core: Arc<Core>,
    track: Arc<Track>,
}

/// Demand for as long as it is held: one per open blocking request.
pub struct DemandGuard {
    _guard: HttpGuard,
}

// === impl TrackHandle ===

impl TrackHandle {
    /// The playlist's source, now and after every chunk.
    pub fn view(&self) -> watch::Receiver<Arc<TrackView>> {
        self.track.view()
    }

    /// Counts as demand until dropped.
    pub fn demand(&self) -> DemandGuard {
        DemandGuard {
            _guard: self.track.http_guard(),
        }
    }

    /// The initialisation segment of a run.
    pub async fn init(&self, run: &str) -> Result<Bytes, LibraryError> {
        self.core.init(&self.track, run).await
    }

    /// The payloads of a segment's parts, in order.
    ///
    /// A listed one that is not in memory is fetched; the running one and the one after it are
    /// waited for; farther ahead is `Future`.
    pub async fn segment(&self, run: &str, number: u64) -> Result<Vec<Bytes>, LibraryError> {
        self.core.segment(&self.track, run, number).await
    }

    /// One part of a segment; waits for one that is next.
    pub async fn part(&self, run: &str, number: u64, part: u32) -> Result<Bytes, LibraryError> {
        self.core.part(&self.track, run, number, part).await
    }
}
