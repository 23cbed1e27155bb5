//! Who is fed what: counted per track for reports, metrics and `/api/member`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type Key = (String, String);

/// Counters of all tracks that were ever asked for.
#[derive(Default)]
pub(crate) struct Traffic {
    tracks: Mutex<BTreeMap<Key, Arc<Flow>>>,
    /// Streams that configuration names, offered or not.
    expected: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Flow {
    run: Mutex<String>,
    chunks: AtomicU64,
    bytes: AtomicU64,
    /// Subscribed children, with how many calls each has.
    children: Mutex<BTreeMap<String, usize>>,
}

/// A snapshot of one track's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrackTraffic {
    pub(crate) stream: String,
    pub(crate) track: String,
    pub(crate) run: String,
    pub(crate) chunks: u64,
    pub(crate) bytes: u64,
    pub(crate) children: Vec<String>,
}

/// One call; leaving is its end.
pub(crate) struct Session {
    flow: Arc<Flow>,
    child: String,
    counted: bool,
}

impl Traffic {
    /// A subscription begins.
    pub(crate) fn enter(&self, stream: &str, track: &str, run: &str, child: &str) -> Session {
        let session = self.session(stream, track, run, child, true);
        let mut children = session
            .flow
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *children.entry(child.to_owned()).or_default() += 1;
        drop(children);
        session
    }

    /// A fetch: its bytes count, but it makes nobody a child.
    pub(crate) fn fetch(&self, stream: &str, track: &str, run: &str, child: &str) -> Session {
        self.session(stream, track, run, child, false)
    }

    fn session(&self, stream: &str, track: &str, run: &str, child: &str, counted: bool) -> Session {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = Arc::clone(
            tracks
                .entry((stream.to_owned(), track.to_owned()))
                .or_default(),
        );
        drop(tracks);
        run.clone_into(&mut flow.run.lock().unwrap_or_else(PoisonError::into_inner));
        Session {
            flow,
            child: child.to_owned(),
            counted,
        }
    }

    pub(crate) fn all(&self) -> Vec<TrackTraffic> {
        let tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |((stream, track), flow): (&Key, &Arc<Flow>)| TrackTraffic {
            stream: stream.clone(),
            track: track.clone(),
            run: flow
                .run
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            chunks: flow.chunks.load(Ordering::Relaxed),
            bytes: flow.bytes.load(Ordering::Relaxed),
            children: flow
                .children
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .keys()
                .cloned()
                .collect(),
        };
        tracks.iter().map(one).collect()
    }

    pub(crate) fn sessions(&self) -> u32 {
        let tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = |flow: &Arc<Flow>| {
            flow.children
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .sum::<usize>()
        };
        u32::try_from(tracks.values().map(calls).sum::<usize>()).unwrap_or(u32::MAX)
    }

    pub(crate) fn expect(&self, streams: BTreeSet<String>) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = streams;
    }

    pub(super) fn is_expected(&self, stream: &str) -> bool {
        self.expected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(stream)
    }
}

impl Session {
    pub(super) fn sent(&self, bytes: usize) {
        self.flow.chunks.fetch_add(1, Ordering::Relaxed);
        self.flow.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn child(&self) -> &str {
        &self.child
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut children = self
            .flow
            .children
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = children.get_mut(&self.child) {
            *calls -= 1;
            if *calls == 0 {
                children.remove(&self.child);
            }
        }
    }
}
