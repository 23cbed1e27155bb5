//! Who watches: viewers told apart by what they send, counted while they keep asking.
//!
//! A viewer is a `?sid`, a player's own session id, or an address with a user agent. It counts for a stream
//! until it has asked for nothing of it for max(3 target durations, 10 s). Nothing here is trusted: a
//! client that invents ids fills a bounded table and no more.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// The session table of one egress.
#[derive(Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    hasher: RandomState,
}

/// A viewer, as a keyed hash of what identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Viewer(u64);

/// How many viewers a stream and each of its tracks have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) stream: String,
    pub(crate) viewers: u32,
    pub(crate) tracks: Vec<(String, u32)>,
}

#[derive(Default)]
struct Table {
    streams: HashMap<String, Stream>,
    total: usize,
}

#[derive(Default)]
struct Stream {
    idle: Duration,
    viewers: HashMap<Viewer, Vec<Seen>>,
}

struct Seen {
    track: String,
    at: Instant,
}

// === impl Sessions ===

impl Sessions {
    /// The viewer behind a request.
    pub(crate) fn viewer(&self, peer: IpAddr, query: Option<&str>, headers: &HeaderMap) -> Viewer {
        let sid = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == "sid" && !value.is_empty()).then_some(value.as_bytes())
            });
        let session = || {
            headers
                .get("x-playback-session-id")
                .map(|value| value.as_bytes())
        };
        if let Some(id) = sid.or_else(session) {
            return Viewer(self.hasher.hash_one(("id", id)));
        }
        let agent = headers
            .get(http::header::USER_AGENT)
            .map(|value| value.as_bytes());
        Viewer(self.hasher.hash_one((peer, agent)))
    }

    /// Whether the viewer has watched the stream lately.
    pub(crate) fn knows(&self, viewer: Viewer, stream: &str) -> bool {
        let table = self.lock();
        let stream = table.streams.get(stream);
        stream.is_some_and(|stream| stream.viewers.contains_key(&viewer))
    }

    /// Notes a request. False = the viewer is new and `limit` (0 = none) sessions are open already.
    pub(crate) fn admit(
        &self,
        viewer: Viewer,
        stream: &str,
        track: &str,
        idle: Duration,
        limit: u32,
    ) -> bool {
        let now = Instant::now();
        let mut table = self.lock();
        if table.seen(viewer, stream, track, now) {
            return true;
        }
        let full =
            |table: &Table| table.total >= TRACKED || (limit > 0 && table.total >= limit as usize);
        if full(&table) {
            table.prune(now);
        }
        if full(&table) {
            // A full table stops counting; only a configured limit turns viewers away.
            return limit == 0 || table.total < limit as usize;
        }
        table.insert(viewer, stream, track, idle, now);
        true
    }

    /// Viewers of one stream now.
    pub(crate) fn of(&self, stream: &str) -> u32 {
        let mut table = self.lock();
        table.prune(Instant::now());
        table
            .streams
            .get(stream)
            .map_or(0, |stream| clamp(stream.viewers.len()))
    }

    /// All sessions now.
    pub(crate) fn total(&self) -> u32 {
        let mut table = self.lock();
        table.prune(Instant::now());
        clamp(table.total)
    }

    /// Every stream with a viewer, and its tracks.
    pub(crate) fn counts(&self) -> Vec<Count> {
        let mut table = self.lock();
        table.prune(Instant::now());
        let mut counts: Vec<_> = table
            .streams
            .iter()
            .map(|(name, stream)| Count {
                stream: name.clone(),
                viewers: clamp(stream.viewers.len()),
                tracks: stream.tracks(),
            })
            .collect();
        counts.sort_by(|a, b| a.stream.cmp(&b.stream));
        counts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    /// Refreshes a known viewer; false = unknown.
    fn seen(&mut self, viewer: Viewer, stream: &str, track: &str, now: Instant) -> bool {
        let Some(stream) = self.streams.get_mut(stream) else {
            return false;
        };
        let Some(tracks) = stream.viewers.get_mut(&viewer) else {
            return false;
        };
        match tracks.iter_mut().find(|seen| seen.track == track) {
            Some(seen) => seen.at = now,
            None => tracks.push(Seen {
                track: track.to_owned(),
                at: now,
            }),
        }
        true
    }

    fn insert(&mut self, viewer: Viewer, name: &str, track: &str, idle: Duration, now: Instant) {
        let stream = self.streams.entry(name.to_owned()).or_default();
        stream.idle = idle;
        stream.viewers.insert(
            viewer,
            vec![Seen {
                track: track.to_owned(),
                at: now,
            }],
        );
        self.total += 1;
    }

    fn prune(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            let idle = stream.idle;
            stream.viewers.retain(|_, tracks| {
                tracks.retain(|seen| now.duration_since(seen.at) < idle);
                !tracks.is_empty()
            });
        }
        self.streams.retain(|_, stream| !stream.viewers.is_empty());
        self.total = self
            .streams
            .values()
            .map(|stream| stream.viewers.len())
            .sum();
    }
}

// === impl Stream ===

impl Stream {
    fn tracks(&self) -> Vec<(String, u32)> {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for seen in self.viewers.values().flatten() {
            *counts.entry(&seen.track).or_default() += 1;
        }
        let mut counts: Vec<_> = counts
            .into_iter()
            .map(|(track, viewers)| (track.to_owned(), viewers))
            .collect();
        counts.sort();
        counts
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Most viewers remembered: about 10 MB. Fewer would miscount a large edge, more would let invented ids
/// cost memory.
const TRACKED: usize = 65_536;

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use http::{HeaderMap, HeaderValue, header};

    use super::{Sessions, Viewer};

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const IDLE: Duration = Duration::from_secs(10);

    fn agent(name: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(name));
        headers
    }

    #[test]
    fn viewers_are_told_apart_by_session_id_or_address_and_agent() {
        let sessions = Sessions::default();
        let other = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let of = |peer, query, headers: &HeaderMap| sessions.viewer(peer, query, headers);
        let (vlc, mpv) = (agent("vlc"), agent("mpv"));
        assert_eq!(of(PEER, None, &vlc), of(PEER, None, &vlc));
        assert_ne!(of(PEER, None, &vlc), of(PEER, None, &mpv));
        assert_ne!(of(PEER, None, &vlc), of(other, None, &vlc));
        assert_ne!(
            of(PEER, Some("sid=a"), &vlc),
            of(PEER, Some("x=1&sid=b"), &vlc)
        );
        assert_eq!(
            of(PEER, Some("sid=a"), &vlc),
            of(other, Some("sid=a&x=1"), &mpv)
        );
        assert_eq!(of(PEER, Some("sid="), &vlc), of(PEER, None, &vlc));
    }

    #[tokio::test(start_paused = true)]
    async fn a_viewer_counts_until_it_has_been_idle() {
        let sessions = Sessions::default();
        assert!(sessions.admit(Viewer(1), "kites", "360p", IDLE, 0));
        assert!(sessions.admit(Viewer(1), "kites", "audio", IDLE, 0));
        assert!(sessions.admit(Viewer(2), "kites", "audio", IDLE, 0));
        assert!(sessions.admit(Viewer(2), "boats", "audio", IDLE, 0));
        assert_eq!(
            (sessions.of("kites"), sessions.of("boats"), sessions.total()),
            (2, 1, 3)
        );
        let counts = sessions.counts();
        assert_eq!(
            counts[1].tracks,
            [("360p".to_owned(), 1), ("audio".to_owned(), 2)]
        );

        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(sessions.admit(Viewer(1), "kites", "audio", IDLE, 0));
        tokio::time::advance(Duration::from_secs(6)).await;
        let counts = sessions.counts();
        assert_eq!(counts.len(), 1);
        assert_eq!(
            (counts[0].viewers, &counts[0].tracks),
            (1, &vec![("audio".to_owned(), 1)])
        );
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(sessions.total(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_turns_new_viewers_away_and_keeps_the_old() {
        let sessions = Sessions::default();
        assert!(sessions.admit(Viewer(1), "kites", "360p", IDLE, 2));
        assert!(sessions.admit(Viewer(2), "kites", "360p", IDLE, 2));
        assert!(!sessions.admit(Viewer(3), "kites", "360p", IDLE, 2));
        assert!(sessions.admit(Viewer(1), "kites", "720p", IDLE, 2));
        tokio::time::advance(IDLE).await;
        assert!(
            sessions.admit(Viewer(3), "kites", "360p", IDLE, 2),
            "the idle ones make room"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn invented_ids_stop_being_counted_and_are_still_served() {
        let sessions = Sessions::default();
        for id in 0..super::TRACKED as u64 + 100 {
            assert!(sessions.admit(Viewer(id), "kites", "360p", IDLE, 0));
        }
        assert_eq!(sessions.total() as usize, super::TRACKED);
    }
}
