//! A viewer over HLS: playlists, inits and segments as a player asks for them.
//!
//! The player starts three target durations behind the end of the playlist, reloads it once per segment,
//! and fetches what is new, each track in a task of its own. Every segment is read as CMAF: whole chunks,
//! decode times without holes. Between two segments the rendition may change: segments of all renditions are
//! numbered alike, so the next number is looked up in the other playlist.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_media::{Position, Resource, boxes};
use m3u8_rs::{MediaPlaylist, MediaSegment};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::adapt::Ladder;
use super::choose::Wanted;
use super::client::Edges;
use super::link::resolve;
use super::meter::{Chunk, Meter, Stretch};
use super::quality::Picture;
use super::variants::{Chosen, chosen};

/// Plays until `stop`.
pub(super) async fn watch(
    edges: Arc<Edges>,
    wanted: &Wanted,
    meter: &Arc<Meter>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let playing = async {
        let body = edges.get(edges.path()).await?;
        let chosen = chosen(edges.path(), &body, wanted)?;
        let names: Vec<String> = chosen.iter().map(|track| track.name.clone()).collect();
        meter.begin(&names, PREROLL);
        let mut tasks = JoinSet::new();
        for (index, Chosen { ladder, .. }) in chosen.into_iter().enumerate() {
            let track = Track {
                edges: edges.clone(),
                meter: meter.clone(),
                index,
                ladder,
                init: None,
                next: None,
                history_end: None,
                decode_time: None,
            };
            tasks.spawn(track.run());
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        outcome = playing => outcome,
        () = stop.cancelled() => Ok(()),
    }
}

/// One track being played.
struct Track {
    edges: Arc<Edges>,
    meter: Arc<Meter>,
    index: usize,
    ladder: Ladder,
    /// Path of the init in use, and what it says.
    init: Option<(String, Init)>,
    /// Media sequence number to fetch next.
    next: Option<u64>,
    /// Numbers below were listed when the viewer came.
    history_end: Option<u64>,
    /// Where the next chunk of the run must start.
    decode_time: Option<(String, u64)>,
}

#[derive(Clone, Copy)]
struct Init {
    timescale: u32,
    video: bool,
}

// === impl Track ===

impl Track {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut grew = Instant::now();
        let mut asked = self.edges.current();
        'reload: loop {
            let loaded = Instant::now();
            let edge = self.edges.current();
            if edge != std::mem::replace(&mut asked, edge) {
                // The next edge is not to blame for the last one's silence.
                grew = loaded;
            }
            let path = self.ladder.path();
            let body = self.edges.get(path).await?;
            let playlist = m3u8_rs::parse_media_playlist_res(&body)
                .ok()
                .with_context(|| format!("{path} is not a media playlist"))?;
            let target = Duration::from_secs(playlist.target_duration.max(1));
            let end = playlist.media_sequence + playlist.segments.len() as u64;
            let mut next = *self.next.get_or_insert_with(|| start(&playlist));
            if self
                .ladder
                .returns((playlist.media_sequence..end).contains(&next))
            {
                continue;
            }
            self.history_end.get_or_insert(end);
            // The window slid past: what is gone is lost, and the ledger will say so.
            next = next.max(playlist.media_sequence);
            let fresh = next < end;
            if fresh || self.edges.current() != edge {
                grew = Instant::now();
            } else if grew.elapsed() > STALE * target {
                // An edge may answer and yet be cut off from its stream.
                self.edges.leave(edge);
                grew = loaded;
            }
            let mut map = None;
            for (offset, segment) in playlist.segments.iter().enumerate() {
                map = segment.map.as_ref().or(map);
                let sequence = playlist.media_sequence + offset as u64;
                if sequence < next {
                    continue;
                }
                if self.adapt(sequence, segment) {
                    continue 'reload;
                }
                if !gap(segment) {
                    let map = map.map(|map| map.uri.as_str());
                    self.segment(sequence, segment, map).await;
                }
                self.next = Some(sequence + 1);
            }
            if playlist.end_list {
                return Ok(());
            }
            // RFC 8216 §6.3.4: a target duration after a change, half of it after none.
            let last = playlist.segments.last().map_or(target, length);
            let pause = if fresh { last.min(target) } else { target / 2 };
            tokio::time::sleep_until(loaded + pause).await;
        }
    }

    /// Chooses the rendition of a segment; true = its playlist is to be read first.
    fn adapt(&mut self, sequence: u64, segment: &MediaSegment) -> bool {
        let buffered = self.meter.ahead(self.index);
        let before = self.ladder.name().to_owned();
        let adapted = self.ladder.choose(sequence, length(segment), buffered);
        if adapted {
            self.meter.adapted(&before, self.ladder.name(), sequence);
        }
        adapted
    }

    /// Fetches and reads one segment; what is wrong with it is a fault, not the end.
    async fn segment(&mut self, sequence: u64, segment: &MediaSegment, map: Option<&str>) {
        if let Err(error) = self.try_segment(sequence, segment, map).await {
            self.meter.fault(format!("{error:#}"));
        }
    }

    async fn try_segment(
        &mut self,
        sequence: u64,
        segment: &MediaSegment,
        map: Option<&str>,
    ) -> anyhow::Result<()> {
        let map = map.context("the playlist has no EXT-X-MAP")?;
        let Init { timescale, video } = self.init(map).await?;
        let path = self.resolve(&segment.uri)?;
        let (began, before) = (Instant::now(), self.meter.received());
        let bytes = self.edges.get(&path).await?;
        // Other tracks share the link, and with it what it carries.
        let arrived = self.meter.received() - before;
        self.ladder.measured(arrived, began.elapsed());
        let (run, number) = match Resource::parse(path.split('?').next().unwrap_or_default()) {
            Ok(Resource::Segment { run, number, .. }) => (run, number),
            // Someone else's HLS: numbered by its playlist, one run per init.
            _ => (map.to_owned(), sequence),
        };
        let chunks = boxes::split_chunks(&bytes).with_context(|| format!("{path} is not CMAF"))?;
        let count = chunks.len();
        let (mut first, mut end) = (None, 0);
        let source = self.edges.source();
        for (part, range) in chunks.into_iter().enumerate() {
            let size = range.len() as u64;
            let facts = boxes::inspect_chunk(&bytes[range])
                .with_context(|| format!("{path}, chunk {part}"))?;
            self.check(&path, part, &run, facts.decode_time);
            first.get_or_insert(facts.decode_time);
            end = facts.decode_time.saturating_add(facts.duration);
            self.decode_time = Some((run.clone(), end));
            let picture = video.then(|| Picture {
                rendition: self.ladder.name(),
                bytes: size,
                length: scale(facts.duration, timescale),
            });
            self.meter.chunk(
                self.index,
                &Chunk {
                    source: &source,
                    run: &run,
                    position: Position::new(number, part as u32),
                    last_in_segment: part + 1 == count,
                    picture,
                },
            );
        }
        let Some(first) = first else {
            bail!("{path} holds no chunk");
        };
        let length = scale(end.saturating_sub(first), timescale);
        let from = match &segment.program_date_time {
            Some(time) => u64::try_from(time.timestamp_micros())
                .unwrap_or(0)
                .saturating_mul(1000),
            None => scale(first, timescale),
        };
        let live = segment.program_date_time.is_some()
            && self.history_end.is_some_and(|history| sequence >= history);
        self.meter.stretch(
            self.index,
            &Stretch {
                from,
                to: from + length,
                live,
            },
        );
        Ok(())
    }

    /// Chunks of a run follow each other without a hole, unless a segment is missing.
    fn check(&self, path: &str, part: usize, run: &str, decode_time: u64) {
        let Some((known, expected)) = &self.decode_time else {
            return;
        };
        if known == run && *expected != decode_time {
            self.meter.fault(format!(
                "{path}, chunk {part}: decode time is {decode_time}, {expected} was due"
            ));
        }
    }

    /// The init at `map`, fetched when it is another than before.
    async fn init(&mut self, map: &str) -> anyhow::Result<Init> {
        let path = self.resolve(map)?;
        if let Some((known, init)) = &self.init
            && *known == path
        {
            return Ok(*init);
        }
        let bytes = self.edges.get(&path).await?;
        let facts = boxes::inspect_init(&bytes).with_context(|| format!("{path} is no init"))?;
        let init = Init {
            timescale: facts.timescale,
            video: facts.handler == "vide",
        };
        if let Some((_, before)) = self.init.replace((path, init))
            && before.timescale != init.timescale
        {
            // Ticks of another length say nothing of these.
            self.decode_time = None;
        }
        Ok(init)
    }

    fn resolve(&self, reference: &str) -> anyhow::Result<String> {
        resolve(self.ladder.path(), reference).with_context(|| {
            format!("{reference:?} lies on another host, which is not supported yet")
        })
    }
}

/// The media sequence number to start with: three target durations from the end, or the first.
fn start(playlist: &MediaPlaylist) -> u64 {
    if playlist.end_list {
        return playlist.media_sequence;
    }
    let hold_back = HOLD_BACK * playlist.target_duration.max(1) as f32;
    let mut left = 0.0;
    for (offset, segment) in playlist.segments.iter().enumerate().rev() {
        left += segment.duration;
        // EXTINF is decimal: exactly three durations must not become four.
        if left + 0.01 >= hold_back {
            return playlist.media_sequence + offset as u64;
        }
    }
    playlist.media_sequence
}

/// Duration of a segment within bounds: a playlist may say anything.
fn length(segment: &MediaSegment) -> Duration {
    Duration::from_secs_f32(segment.duration.clamp(0.1, 60.0))
}

fn gap(segment: &MediaSegment) -> bool {
    segment.unknown_tags.iter().any(|tag| tag.tag == "X-GAP")
}

/// Ticks to nanoseconds.
pub(super) fn scale(ticks: u64, timescale: u32) -> u64 {
    let ns = u128::from(ticks) * 1_000_000_000 / u128::from(timescale.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX)
}

/// Buffered on every track before the model player begins: tracks' segments do not start together, and
/// their overlap may be a few milliseconds.
const PREROLL: Duration = Duration::from_millis(500);

/// A live playlist grows every target duration; a player that waits for more than its hold-back
/// would run dry.
const STALE: u32 = 2;

/// RFC 8216 §6.3.3: a live player starts no closer to the end than three target durations.
const HOLD_BACK: f32 = 3.0;

#[cfg(test)]
mod tests {
    use super::start;

    fn playlist(durations: &[f32], ended: bool) -> m3u8_rs::MediaPlaylist {
        let mut text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n".to_owned();
        for (n, duration) in durations.iter().enumerate() {
            text.push_str(&format!("#EXTINF:{duration:.6},\n{n}.m4s\n"));
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        m3u8_rs::parse_media_playlist_res(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_player_starts_three_target_durations_behind_the_end() {
        assert_eq!(start(&playlist(&[2.0; 6], false)), 103);
        assert_eq!(start(&playlist(&[1.92; 6], false)), 102);
        assert_eq!(start(&playlist(&[2.0; 2], false)), 100);
        assert_eq!(start(&playlist(&[], false)), 100);
        assert_eq!(start(&playlist(&[2.0; 6], true)), 100);
    }
}
