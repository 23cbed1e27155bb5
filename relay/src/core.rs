//! The core of a relay (being written).

use std::sync::Arc;

use banyan_proto::v1;
use bytes::Bytes;
use tokio::sync::watch;

use crate::library::{CatalogView, LibraryError};
use crate::status::{MemberStatus, OriginStatus};
use crate::track::Track;

pub(crate) struct Core {
    config: v1::Config,
    catalog: watch::Sender<Arc<CatalogView>>,
}

impl Core {
    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<CatalogView>> {
        self.catalog.subscribe()
    }
    pub(crate) async fn http_track(&self, _s: &str, _t: &str) -> Result<Arc<Track>, LibraryError> {
        Err(LibraryError::Timeout)
    }
    pub(crate) fn touch(&self, _s: &str, _t: &str) {}
    pub(crate) fn status(&self) -> MemberStatus {
        MemberStatus::default()
    }
    pub(crate) fn origin_status(&self) -> Vec<OriginStatus> {
        Vec::new()
    }
    pub(crate) fn metrics(&self) -> String {
        String::new()
    }
    pub(crate) fn ready(&self) -> bool {
        false
    }
    pub(crate) fn config(&self) -> &v1::Config {
        &self.config
    }
    pub(crate) fn report_viewers(&self, _s: &str, _t: &str, _v: u32) {}
    pub(crate) fn report_sessions(&self, _s: u32) {}
    pub(crate) fn report_egress(&self, _b: u64) {}
    pub(crate) async fn init(&self, _t: &Arc<Track>, _run: &str) -> Result<Bytes, LibraryError> {
        Err(LibraryError::Timeout)
    }
    pub(crate) async fn segment(
        &self,
        _t: &Arc<Track>,
        _run: &str,
        _number: u64,
    ) -> Result<Vec<Bytes>, LibraryError> {
        Err(LibraryError::Timeout)
    }
    pub(crate) async fn part(
        &self,
        _t: &Arc<Track>,
        _run: &str,
        _number: u64,
        _part: u32,
    ) -> Result<Bytes, LibraryError> {
        Err(LibraryError::Timeout)
    }
}
