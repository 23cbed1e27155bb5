//! What the egress needs of a core, as traits: [`Library`] is the one implementation outside tests.

use std::future::Future;
use std::sync::Arc;

use banyan_proto::v1;
use bytes::Bytes;
use tokio::sync::watch;

use crate::library::{
    CatalogView, DemandGuard, Full, Library, LibraryError, MemberStatus, OriginStatus, TrackHandle,
    TrackView,
};

/// A core: its offers, its tracks, and what it says of itself.
pub trait Source: Clone + Send + Sync + 'static {
    type Track: Carried;

    fn catalog(&self) -> watch::Receiver<Arc<CatalogView>>;
    /// Marks demand for the track and waits until its window is known.
    fn track(
        &self,
        stream: &str,
        track: &str,
    ) -> impl Future<Output = Result<Self::Track, LibraryError>> + Send;
    fn status(&self) -> MemberStatus;
    /// Complete Prometheus lines of the core.
    fn metrics(&self) -> String;
    /// The content servers it hears; none on members that listen to nobody.
    fn origins(&self) -> Option<Vec<OriginStatus>> {
        None
    }
    fn ready(&self) -> bool;
    /// The most viewer sessions to serve; 0 = no limit.
    fn max_sessions(&self) -> u32;
    /// The edges that a viewer here may go to, this one first; empty where there is no choice.
    fn edges(&self) -> Vec<v1::Peer>;
    /// Lets in a viewer that needs so many bits per second, or says why not.
    fn admit(&self, cost: u64) -> Result<(), Full>;
    /// A viewer was turned away for want of a session.
    fn turn_away(&self);
    fn report_viewers(&self, stream: &str, track: &str, viewers: u32);
    fn report_sessions(&self, sessions: u32);
    fn report_egress(&self, bytes: u64);
}

/// One track of a core.
pub trait Carried: Send + Sync + 'static {
    /// Demand for as long as it is held.
    type Demand: Send;

    fn view(&self) -> watch::Receiver<Arc<TrackView>>;
    fn demand(&self) -> Self::Demand;
    fn init(&self, run: &str) -> impl Future<Output = Result<Bytes, LibraryError>> + Send;
    fn segment(
        &self,
        run: &str,
        number: u64,
    ) -> impl Future<Output = Result<Vec<Bytes>, LibraryError>> + Send;
    fn part(
        &self,
        run: &str,
        number: u64,
        part: u32,
    ) -> impl Future<Output = Result<Bytes, LibraryError>> + Send;
}

impl Source for Library {
    type Track = TrackHandle;

    fn catalog(&self) -> watch::Receiver<Arc<CatalogView>> {
        Library::catalog(self)
    }

    async fn track(&self, stream: &str, track: &str) -> Result<TrackHandle, LibraryError> {
        Library::track(self, stream, track).await
    }

    fn status(&self) -> MemberStatus {
        Library::status(self)
    }

    fn metrics(&self) -> String {
        Library::metrics(self)
    }

    fn origins(&self) -> Option<Vec<OriginStatus>> {
        Library::origins(self)
    }

    fn ready(&self) -> bool {
        Library::ready(self)
    }

    fn max_sessions(&self) -> u32 {
        Library::max_sessions(self)
    }

    fn edges(&self) -> Vec<v1::Peer> {
        Library::edges(self)
    }

    fn admit(&self, cost: u64) -> Result<(), Full> {
        Library::admit(self, cost)
    }

    fn turn_away(&self) {
        Library::turn_away(self);
    }

    fn report_viewers(&self, stream: &str, track: &str, viewers: u32) {
        Library::report_viewers(self, stream, track, viewers);
    }

    fn report_sessions(&self, sessions: u32) {
        Library::report_sessions(self, sessions);
    }

    fn report_egress(&self, bytes: u64) {
        Library::report_egress(self, bytes);
    }
}

impl Carried for TrackHandle {
    type Demand = DemandGuard;

    fn view(&self) -> watch::Receiver<Arc<TrackView>> {
        TrackHandle::view(self)
    }

    fn demand(&self) -> DemandGuard {
        TrackHandle::demand(self)
    }

    async fn init(&self, run: &str) -> Result<Bytes, LibraryError> {
        TrackHandle::init(self, run).await
    }

    async fn segment(&self, run: &str, number: u64) -> Result<Vec<Bytes>, LibraryError> {
        TrackHandle::segment(self, run, number).await
    }

    async fn part(&self, run: &str, number: u64, part: u32) -> Result<Bytes, LibraryError> {
        TrackHandle::part(self, run, number, part).await
    }
}
