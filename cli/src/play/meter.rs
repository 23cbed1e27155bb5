//! What one viewer saw: positions, bytes, times and faults, from all its tracks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banyan_media::{Counts, Ledger, Position};
use hdrhistogram::Histogram;
use tokio::time::Instant;

use super::buffer::Player;
use super::quality::{Picture, Quality};
use super::trace::Trace;

/// Gathers from the tasks of one viewer.
pub(super) struct Meter {
    started: Instant,
    trace: Option<Trace>,
    inner: Mutex<Inner>,
}

/// One chunk that arrived.
pub(super) struct Chunk<'a> {
    /// Whoever sent it.
    pub(super) source: &'a str,
    pub(super) run: &'a str,
    pub(super) position: Position,
    pub(super) last_in_segment: bool,
    /// Of video only.
    pub(super) picture: Option<Picture<'a>>,
}

/// A stretch of media that arrived as a whole: a segment (HLS) or a chunk (gRPC).
pub(super) struct Stretch {
    /// Nanoseconds on the stream's own wall-clock timeline.
    pub(super) from: u64,
    pub(super) to: u64,
    /// Released after the viewer came, so that its lateness is latency and not history.
    pub(super) live: bool,
}

/// What was gathered, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) startup: Option<Duration>,
    pub(super) bytes: u64,
    pub(super) segments: u64,
    pub(super) counts: Counts,
    pub(super) switches: u64,
    pub(super) stalls: u64,
    pub(super) stalled: Duration,
    pub(super) played: Duration,
    pub(super) latency_ms: Histogram<u64>,
    pub(super) tracks: BTreeMap<String, Counts>,
    pub(super) quality: Quality,
    pub(super) faults: Vec<String>,
    pub(super) fault_count: u64,
}

struct Inner {
    tracks: Vec<Track>,
    player: Player,
    startup: Option<Duration>,
    bytes: u64,
    segments: u64,
    switches: u64,
    latency_ms: Histogram<u64>,
    quality: Quality,
    faults: Vec<String>,
    fault_count: u64,
    retry: Option<String>,
}

struct Track {
    name: String,
    ledger: Ledger,
    started: bool,
}

// === impl Meter ===

impl Meter {
    pub(super) fn new(trace: Option<Trace>) -> Self {
        Self {
            started: Instant::now(),
            trace,
            inner: Mutex::new(Inner::new()),
        }
    }

    /// Names the tracks and sets up the model player. Indices of the other calls follow this order.
    pub(super) fn begin(&self, tracks: &[String], preroll: Duration) {
        let mut inner = self.lock();
        inner.player = Player::new(tracks.len(), preroll.as_nanos() as u64);
        inner.tracks = tracks
            .iter()
            .map(|name| Track {
                name: name.clone(),
                ledger: Ledger::new(),
                started: false,
            })
            .collect();
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.lock().bytes += bytes;
    }

    pub(super) fn received(&self) -> u64 {
        self.lock().bytes
    }

    pub(super) fn chunk(&self, track: usize, chunk: &Chunk<'_>) {
        let mut inner = self.lock();
        if let (Some(trace), Some(track)) = (&self.trace, inner.tracks.get(track)) {
            let (position, last) = (chunk.position, chunk.last_in_segment);
            trace.chunk(chunk.source, &track.name, position, last);
        }
        if chunk.last_in_segment {
            inner.segments += 1;
        }
        if let Some(picture) = &chunk.picture {
            inner.quality.picture(picture, chunk.last_in_segment);
        }
        if let Some(track) = inner.tracks.get_mut(track) {
            track
                .ledger
                .record(chunk.run, chunk.position, chunk.last_in_segment);
        }
    }

    /// Media that can be shown arrived now.
    pub(super) fn stretch(&self, track: usize, stretch: &Stretch) {
        let elapsed = self.started.elapsed();
        let now = elapsed.as_nanos() as u64;
        let mut inner = self.lock();
        inner.player.arrived(track, stretch.from, stretch.to, now);
        if stretch.live {
            let late = unix_ns().saturating_sub(stretch.to) / 1_000_000;
            // The histogram grows as needed; nothing else can fail.
            let _ = inner.latency_ms.record(late);
        }
        if let Some(track) = inner.tracks.get_mut(track) {
            track.started = true;
        }
        if inner.startup.is_none() && inner.tracks.iter().all(|track| track.started) {
            inner.startup = Some(elapsed);
        }
    }

    /// Media of a track that the model player has ahead of it; none = it plays nothing.
    pub(super) fn ahead(&self, track: usize) -> Option<Duration> {
        let now = self.started.elapsed().as_nanos() as u64;
        self.lock()
            .player
            .ahead(track, now)
            .map(Duration::from_nanos)
    }

    /// The viewer fetches another rendition from segment `number` on.
    pub(super) fn adapted(&self, from: &str, to: &str, number: u64) {
        if let Some(trace) = &self.trace {
            trace.adapted(from, to, number);
        }
    }

    /// The viewer leaves a source for another.
    pub(super) fn switched(&self, from: &str, to: &str) {
        self.lock().switches += 1;
        if let Some(trace) = &self.trace {
            trace.switched(from, to);
        }
    }

    /// Something that should not be: kept for the report, the first few with their words.
    pub(super) fn fault(&self, sentence: String) {
        let mut inner = self.lock();
        inner.fault_count += 1;
        if inner.faults.len() < FAULTS {
            inner.faults.push(sentence);
        }
    }

    /// A failed attempt that is tried again: worth telling only if nothing ever arrives.
    pub(super) fn retried(&self, reason: &str) {
        self.lock().retry = Some(reason.to_owned());
    }

    pub(super) fn tally(&self) -> Tally {
        let now = self.started.elapsed().as_nanos() as u64;
        let mut inner = self.lock();
        inner.player.settle(now);
        let mut counts = Counts::default();
        let mut tracks = BTreeMap::new();
        for track in &inner.tracks {
            let of = track.ledger.counts();
            add(&mut counts, &of);
            tracks.insert(track.name.clone(), of);
        }
        let mut faults = inner.faults.clone();
        if counts.chunks == 0
            && let Some(retry) = &inner.retry
        {
            faults.push(retry.clone());
        }
        Tally {
            startup: inner.startup,
            bytes: inner.bytes,
            segments: inner.segments,
            counts,
            switches: inner.switches,
            stalls: inner.player.stalls(),
            stalled: Duration::from_nanos(inner.player.stalled(now)),
            played: Duration::from_nanos(inner.player.played()),
            latency_ms: inner.latency_ms.clone(),
            tracks,
            quality: inner.quality.clone(),
            faults,
            fault_count: inner.fault_count,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn new() -> Self {
        Self {
            tracks: Vec::new(),
            player: Player::new(0, 0),
            startup: None,
            bytes: 0,
            segments: 0,
            switches: 0,
            latency_ms: histogram(),
            quality: Quality::default(),
            faults: Vec::new(),
            fault_count: 0,
            retry: None,
        }
    }
}

pub(super) fn add(sum: &mut Counts, more: &Counts) {
    let Counts {
        chunks,
        lost,
        repeated,
        out_of_order,
        run_changes,
    } = more;
    sum.chunks += chunks;
    sum.lost += lost;
    sum.repeated += repeated;
    sum.out_of_order += out_of_order;
    sum.run_changes += run_changes;
}

/// Milliseconds with two significant digits: a few KiB, however long the watch.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new(2).expect("two significant digits must be accepted")
}

pub(super) fn unix_ns() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Faults kept word for word.
const FAULTS: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use banyan_media::Position;

    use super::{Chunk, Meter, Stretch, unix_ns};

    fn chunk(number: u64, part: u32) -> Chunk<'static> {
        Chunk {
            source: "pear:1",
            run: "abcdefghij",
            position: Position::new(number, part),
            last_in_segment: part == 1,
            picture: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn startup_is_when_every_track_has_media() {
        let meter = Meter::new(None);
        meter.begin(&["360p".into(), "audio".into()], Duration::ZERO);
        let stretch = Stretch {
            from: 0,
            to: 1_000_000_000,
            live: false,
        };
        tokio::time::advance(Duration::from_millis(100)).await;
        meter.stretch(0, &stretch);
        assert_eq!(meter.tally().startup, None);
        tokio::time::advance(Duration::from_millis(50)).await;
        meter.stretch(1, &stretch);
        assert_eq!(meter.tally().startup, Some(Duration::from_millis(150)));
        tokio::time::advance(Duration::from_millis(1500)).await;
        let tally = meter.tally();
        assert_eq!(
            (tally.stalls, tally.stalled),
            (1, Duration::from_millis(500))
        );
        assert_eq!(tally.played, Duration::from_secs(1));
    }

    #[tokio::test]
    async fn positions_are_counted_per_track_and_summed() {
        let meter = Meter::new(None);
        meter.begin(&["360p".into(), "audio".into()], Duration::ZERO);
        for (track, number, part) in [
            (0, 5, 0),
            (0, 5, 1),
            (0, 6, 0),
            (0, 7, 0),
            (1, 5, 1),
            (1, 5, 1),
        ] {
            meter.chunk(track, &chunk(number, part));
        }
        let tally = meter.tally();
        assert_eq!(tally.tracks["360p"].lost, 1);
        assert_eq!(tally.tracks["audio"].repeated, 1);
        assert_eq!(
            (
                tally.counts.chunks,
                tally.counts.lost,
                tally.counts.repeated
            ),
            (6, 1, 1)
        );
        assert_eq!(tally.segments, 3);
    }

    #[tokio::test]
    async fn only_what_was_released_after_the_start_is_latency() {
        let meter = Meter::new(None);
        meter.begin(&["360p".into()], Duration::ZERO);
        let to = unix_ns() - 2_000_000_000;
        meter.stretch(
            0,
            &Stretch {
                from: 0,
                to: to - 60_000_000_000,
                live: false,
            },
        );
        meter.stretch(
            0,
            &Stretch {
                from: 0,
                to,
                live: true,
            },
        );
        let latency = meter.tally().latency_ms;
        assert_eq!(latency.len(), 1);
        assert!((2000..2500).contains(&latency.max()), "{}", latency.max());
    }
}
