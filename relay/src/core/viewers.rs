//! What viewers ask for, by name: the calls behind [`crate::library`].

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::v1;
use bytes::Bytes;
use tokio::time::timeout;

use super::Core;
use crate::clock::Instant;
use crate::driver;
use crate::fetch::{FetchKey, Fetched, fetch};
use crate::library::LibraryError;
use crate::store::Located;
use crate::track::{Phase, Track};

/// Edges that a viewer may know of; more would make playlists long and no viewer safer.
const PATHWAYS: usize = 4;

/// A viewer's first request waits at most this long for a branch to grow.
const BRANCH_PATIENCE: Duration = Duration::from_secs(5);

/// A member that has just started has no catalogue for a moment.
const CATALOG_PATIENCE: Duration = Duration::from_secs(2);

impl Core {
    pub(crate) async fn http_track(
        self: &Arc<Self>,
        stream: &str,
        track: &str,
    ) -> Result<Arc<Track>, LibraryError> {
        if let Some(track) = self.find_track(stream, track) {
            track.touch(Instant::now());
            if is_served(&track) {
                return Ok(track);
            }
        }
        self.check_offered(stream, track).await?;
        let track = self
            .track(stream, track)
            .map_err(|status| LibraryError::Unavailable(status.message().to_owned()))?;
        track.touch(Instant::now());
        driver::ensure(self, &track);
        timeout(BRANCH_PATIENCE, wait_until_served(&track))
            .await
            .unwrap_or(Err(LibraryError::Timeout))?;
        Ok(track)
    }

    /// The edges that viewers here may go to: this one, then those after it in a ring, so that the
    /// viewers of one that dies spread over the others.
    pub(crate) fn edges(&self) -> Vec<v1::Peer> {
        let edges = &self.config().edges;
        let me = edges.iter().position(|e| e.name == self.options.member);
        match me {
            Some(me) if edges.len() > 1 => edges[me..]
                .iter()
                .chain(&edges[..me])
                .take(PATHWAYS)
                .cloned()
                .collect(),
            _ => Vec::new(),
        }
    }

    async fn check_offered(&self, stream: &str, track: &str) -> Result<(), LibraryError> {
        let mut catalog = self.catalog();
        let known = timeout(CATALOG_PATIENCE, catalog.wait_for(|view| view.known)).await;
        let Ok(Ok(view)) = known else {
            return Err(LibraryError::Unavailable(
                "no parent has told its catalogue yet".into(),
            ));
        };
        if view.withdrawn.contains(stream) {
            return Err(LibraryError::Withdrawn);
        }
        let offer = view.offers.get(stream).ok_or(LibraryError::UnknownStream)?;
        if offer.tracks.iter().any(|t| t.name == track) {
            Ok(())
        } else {
            Err(LibraryError::UnknownTrack)
        }
    }

    pub(crate) fn touch(self: &Arc<Self>, stream: &str, track: &str) {
        if let Some(track) = self.find_track(stream, track)
            && track.lock().running
        {
            track.touch(Instant::now());
        }
    }

    pub(crate) async fn init(
        self: &Arc<Self>,
        track: &Arc<Track>,
        run: &str,
    ) -> Result<Bytes, LibraryError> {
        if let Some(data) = track.lock().store.init(run) {
            return Ok(data.clone());
        }
        let key = FetchKey {
            run: run.to_owned(),
            number: None,
        };
        match fetch(self, track, key, 1).await? {
            Fetched::Init(data) => Ok(data),
            Fetched::Segment(_) => Err(LibraryError::Evicted),
        }
    }

    pub(crate) async fn segment(
        self: &Arc<Self>,
        track: &Arc<Track>,
        run: &str,
        number: u64,
    ) -> Result<Vec<Bytes>, LibraryError> {
        match self.find(track, run, number, None).await? {
            Located::Whole(chunks) => Ok(chunks.into_iter().map(|c| c.payload).collect()),
            _ => Err(LibraryError::Evicted),
        }
    }

    pub(crate) async fn part(
        self: &Arc<Self>,
        track: &Arc<Track>,
        run: &str,
        number: u64,
        part: u32,
    ) -> Result<Bytes, LibraryError> {
        match self.find(track, run, number, Some(part)).await? {
            Located::Part(chunk) => Ok(chunk.payload),
            Located::Whole(chunks) => chunks
                .get(part as usize)
                .map(|chunk| chunk.payload.clone())
                .ok_or(LibraryError::Evicted),
            _ => Err(LibraryError::Evicted),
        }
    }

    /// From memory, by waiting for what is next, or by fetching what is listed.
    async fn find(
        self: &Arc<Self>,
        track: &Arc<Track>,
        run: &str,
        number: u64,
        part: Option<u32>,
    ) -> Result<Located, LibraryError> {
        let mut wake = track.wake();
        let mut guard = None;
        loop {
            wake.mark_unchanged();
            let (located, phase) = {
                let state = track.lock();
                (state.store.locate(run, number, part), state.phase.clone())
            };
            match located {
                Located::Whole(_) | Located::Part(_) => return Ok(located),
                Located::Gap => return Err(LibraryError::Gap),
                Located::Gone => return Err(LibraryError::Evicted),
                Located::Future => return Err(LibraryError::Future),
                Located::Fetch => {
                    let key = FetchKey {
                        run: run.to_owned(),
                        number: Some(number),
                    };
                    return match fetch(self, track, key, 1).await? {
                        Fetched::Segment(chunks) => Ok(Located::Whole(chunks.to_vec())),
                        Fetched::Init(_) => Err(LibraryError::Evicted),
                    };
                }
                Located::Coming => {
                    if let Phase::Unavailable(reason) = phase {
                        return Err(LibraryError::Unavailable(reason));
                    }
                    if guard.is_none() {
                        guard = Some(track.http_guard());
                        driver::ensure(self, track);
                    }
                    if wake.changed().await.is_err() {
                        return Err(LibraryError::Unavailable("the relay is stopping".into()));
                    }
                }
            }
        }
    }
}

/// A playlist can be written from what is held.
fn is_served(track: &Track) -> bool {
    let state = track.lock();
    state.running && state.store.is_described() && state.store.head().is_some()
}

async fn wait_until_served(track: &Track) -> Result<(), LibraryError> {
    let mut wake = track.wake();
    loop {
        wake.mark_unchanged();
        {
            let state = track.lock();
            if let Some(ended) = state.store.ended()
                && ended.withdrawn
            {
                return Err(LibraryError::Withdrawn);
            }
            if state.store.is_described() && state.store.head().is_some() {
                return Ok(());
            }
            match &state.phase {
                Phase::Unavailable(reason) => {
                    return Err(LibraryError::Unavailable(reason.clone()));
                }
                Phase::NotFound => return Err(LibraryError::UnknownStream),
                Phase::Idle | Phase::Trying | Phase::Flowing => {}
            }
        }
        if wake.changed().await.is_err() {
            return Err(LibraryError::Unavailable("the relay is stopping".into()));
        }
    }
}
