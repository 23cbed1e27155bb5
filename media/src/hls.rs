//! HLS playlists (RFC 8216bis) as a function of tracks and positions.
//!
//! Every number in a playlist comes from heads and the epoch by whole-number arithmetic, so edges
//! started at different times write equal text. URIs are relative to `/{stream}/`. Media sequence
//! numbers are segment numbers.

mod date;

use std::fmt::Write;

use crate::{FrameRate, Kind};

/// What a multivariant playlist says of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Track name, as in its URL.
    pub name: String,
    /// What it carries.
    pub kind: Kind,
    /// RFC 6381.
    pub codec: String,
    /// Pixels; 0 = unknown or audio.
    pub width: u32,
    /// Pixels; 0 = unknown or audio.
    pub height: u32,
    /// Frames per second of video.
    pub frame_rate: Option<FrameRate>,
    /// Bits per second of the largest segment.
    pub peak_bandwidth: u64,
    /// Bits per second over the whole asset; 0 = unknown.
    pub average_bandwidth: u64,
    /// Audio channels; 0 = unknown or video.
    pub channels: u32,
    /// BCP 47, when known.
    pub language: Option<String>,
}

/// The multivariant playlist of a stream.
///
/// Variants are listed by rising peak bandwidth, then name, whatever the order given: a player that
/// begins with the first entry starts quickly on any link and climbs, one that takes the best finds
/// it by its attributes. Audio keeps the order given; its first track is the default.
pub fn multivariant(tracks: &[TrackInfo]) -> String {
    let mut out = header();
    write_pathway(&mut out, tracks, None, "audio");
    out
}

/// A way to the same stream: one edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pathway {
    /// Name of the edge, as steering manifests order it.
    pub name: String,
    /// What stands before `720p.m3u8`; empty for the edge that writes the playlist.
    pub base: String,
}

/// The multivariant playlist of a stream over several edges, for players that follow content
/// steering (RFC 8216bis §7): every variant once for each of `pathways`, the first of which is tried
/// first.
///
/// Others would take the copies for more variants and may open all of them, also those of an edge
/// that is down: only those that ask for it get this text.
pub fn steered(tracks: &[TrackInfo], server_uri: &str, pathways: &[Pathway]) -> String {
    let mut out = header();
    if let Some(first) = pathways.first() {
        line(
            &mut out,
            format_args!(
                "#EXT-X-CONTENT-STEERING:SERVER-URI=\"{}\",PATHWAY-ID=\"{}\"",
                quotable(server_uri),
                quotable(&first.name)
            ),
        );
    }
    for (index, pathway) in pathways.iter().enumerate() {
        let group = match index {
            0 => "audio".to_owned(),
            _ => format!("audio-{}", pathway.name),
        };
        write_pathway(&mut out, tracks, Some(pathway), &group);
    }
    out
}

/// The order of pathways now, as JSON (RFC 8216bis §7.2), good for `ttl` seconds.
pub fn steering_manifest(priority: &[&str], reload_uri: &str, ttl: u32) -> String {
    let names: Vec<_> = priority
        .iter()
        .map(|name| format!("\"{}\"", plain(name)))
        .collect();
    format!(
        "{{\"VERSION\":1,\"TTL\":{ttl},\"RELOAD-URI\":\"{}\",\"PATHWAY-PRIORITY\":[{}]}}\n",
        plain(reload_uri),
        names.join(",")
    )
}

/// What needs no escape in JSON; names of members have nothing else.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect()
}

fn header() -> String {
    String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n")
}

fn write_pathway(out: &mut String, tracks: &[TrackInfo], pathway: Option<&Pathway>, group: &str) {
    let audio: Vec<&TrackInfo> = tracks
        .iter()
        .filter(|track| track.kind == Kind::Audio)
        .collect();
    let mut variants: Vec<&TrackInfo> = tracks
        .iter()
        .filter(|track| track.kind == Kind::Video)
        .collect();
    let audio_only = variants.is_empty();
    let base = pathway.map_or("", |pathway| pathway.base.as_str());
    if audio_only {
        variants.clone_from(&audio);
    } else {
        for (index, track) in audio.iter().enumerate() {
            write_audio(out, track, index == 0, group, base);
        }
    }
    let renditions = if audio_only { &[] } else { audio.as_slice() };
    variants.sort_by(|a, b| (a.peak_bandwidth, &a.name).cmp(&(b.peak_bandwidth, &b.name)));
    for variant in variants {
        write_variant(out, variant, renditions, group, pathway);
    }
}

/// One segment of a media playlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Segment number: epoch + n.
    pub number: u64,
    /// Run id.
    pub run: String,
    /// Ticks since the epoch.
    pub start: u64,
    /// Ticks.
    pub duration: u64,
    /// Runs changed before this segment.
    pub discontinuity_sequence: u64,
    /// Never to be served: listed so that the numbers hold, marked so that no player asks for it.
    pub gap: bool,
}

/// The playlist of one track.
#[derive(Clone, Debug)]
pub struct MediaPlaylist<'a> {
    /// Track name.
    pub track: &'a str,
    /// Unix seconds at which `start` is 0.
    pub epoch: u64,
    /// Ticks per second.
    pub timescale: u32,
    /// The longest segment of any track of the stream.
    pub target_duration_ms: u32,
    /// Complete segments, oldest first, already cut to the window.
    pub segments: &'a [SegmentEntry],
    /// No more segments will follow.
    pub ended: bool,
}

impl MediaPlaylist<'_> {
    /// The playlist's text.
    ///
    /// Numbers missing within a run are listed as gaps, and entries that do not advance are left
    /// out, so that a segment keeps its media sequence number while the window slides. When the run
    /// changes and the numbers jump with it, the sequence follows the new run once the old one has
    /// left the window.
    pub fn write(&self) -> String {
        let segments = self.without_holes();
        let first = segments.first();
        let mut out = String::with_capacity(256 + segments.len() * 160);
        out.push_str("#EXTM3U\n#EXT-X-VERSION:7\n");
        line(
            &mut out,
            format_args!("#EXT-X-TARGETDURATION:{}", self.target_duration(&segments)),
        );
        line(
            &mut out,
            format_args!(
                "#EXT-X-MEDIA-SEQUENCE:{}",
                first.map_or(0, |segment| segment.number)
            ),
        );
        let discontinuity = first.map_or(0, |segment| segment.discontinuity_sequence);
        line(
            &mut out,
            format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}"),
        );
        out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        let mut previous: Option<&SegmentEntry> = None;
        for segment in &segments {
            self.write_segment(&mut out, previous, segment);
            previous = Some(segment);
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        }
        out
    }

    fn write_segment(
        &self,
        out: &mut String,
        previous: Option<&SegmentEntry>,
        segment: &SegmentEntry,
    ) {
        let SegmentEntry {
            number,
            run,
            start,
            duration,
            discontinuity_sequence,
            gap,
        } = segment;
        let new_run = previous.is_none_or(|previous| previous.run != *run);
        if let Some(previous) = previous {
            let passed = discontinuity_sequence.saturating_sub(previous.discontinuity_sequence);
            // One tag for each step, so that the count holds when this segment becomes the first.
            for _ in 0..passed.max(u64::from(new_run)).min(DISCONTINUITIES_MAX) {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
        }
        if new_run {
            line(
                out,
                format_args!("#EXT-X-MAP:URI=\"{run}/{}/init.mp4\"", self.track),
            );
        }
        let since_epoch_ms = u128::from(*start) * 1000 / self.ticks();
        line(
            out,
            format_args!(
                "#EXT-X-PROGRAM-DATE-TIME:{}",
                date::utc(self.epoch, since_epoch_ms)
            ),
        );
        let micros = (u128::from(*duration) * 1_000_000 + self.ticks() / 2) / self.ticks();
        line(
            out,
            format_args!("#EXTINF:{}.{:06},", micros / 1_000_000, micros % 1_000_000),
        );
        if *gap {
            out.push_str("#EXT-X-GAP\n");
        }
        line(out, format_args!("{run}/{}/{number}.m4s", self.track));
    }

    /// Whole seconds, the nearest to the longest segment: what RFC 8216bis compares EXTINF with.
    fn target_duration(&self, segments: &[SegmentEntry]) -> u128 {
        let longest = segments
            .iter()
            .map(|segment| segment.duration)
            .max()
            .unwrap_or(0);
        let listed = (u128::from(longest) + self.ticks() / 2) / self.ticks();
        let declared = (u128::from(self.target_duration_ms) + 500) / 1000;
        declared.max(listed).max(1)
    }

    fn without_holes(&self) -> Vec<SegmentEntry> {
        let mut out: Vec<SegmentEntry> = Vec::with_capacity(self.segments.len());
        for segment in self.segments {
            if let Some(previous) = out.last().filter(|previous| previous.run == segment.run) {
                if segment.number <= previous.number {
                    continue;
                }
                let missing = segment.number - previous.number - 1;
                if missing <= HOLE_MAX {
                    let hole = gaps(previous, segment, missing);
                    out.extend(hole);
                }
            }
            out.push(segment.clone());
        }
        out
    }

    fn ticks(&self) -> u128 {
        u128::from(self.timescale.max(1))
    }
}

/// `missing` gap entries between two segments of a run, sharing the time between them evenly.
fn gaps(previous: &SegmentEntry, next: &SegmentEntry, missing: u64) -> Vec<SegmentEntry> {
    let from = previous.start.saturating_add(previous.duration);
    let length = next.start.saturating_sub(from);
    let at = |index: u64| {
        from + (u128::from(length) * u128::from(index) / u128::from(missing.max(1))) as u64
    };
    (0..missing)
        .map(|index| SegmentEntry {
            number: previous.number + 1 + index,
            run: previous.run.clone(),
            start: at(index),
            duration: at(index + 1) - at(index),
            discontinuity_sequence: previous.discontinuity_sequence,
            gap: true,
        })
        .collect()
}

fn write_audio(out: &mut String, track: &TrackInfo, default: bool, group: &str, base: &str) {
    let TrackInfo {
        name,
        channels,
        language,
        ..
    } = track;
    let _ = write!(
        out,
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"{}\"",
        quotable(group),
        quotable(name)
    );
    if let Some(language) = language.as_deref().filter(|language| !language.is_empty()) {
        let _ = write!(out, ",LANGUAGE=\"{}\"", quotable(language));
    }
    let _ = write!(
        out,
        ",DEFAULT={},AUTOSELECT=YES",
        if default { "YES" } else { "NO" }
    );
    if *channels > 0 {
        let _ = write!(out, ",CHANNELS=\"{channels}\"");
    }
    line(
        out,
        format_args!(",URI=\"{}{}.m3u8\"", quotable(base), quotable(name)),
    );
}

fn write_variant(
    out: &mut String,
    variant: &TrackInfo,
    audio: &[&TrackInfo],
    group: &str,
    pathway: Option<&Pathway>,
) {
    let loudest =
        |of: fn(&TrackInfo) -> u64| audio.iter().map(|track| of(track)).max().unwrap_or(0);
    let peak = variant
        .peak_bandwidth
        .saturating_add(loudest(|track| track.peak_bandwidth));
    let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={peak}");
    if variant.average_bandwidth > 0 {
        let average = variant
            .average_bandwidth
            .saturating_add(loudest(|track| track.average_bandwidth));
        let _ = write!(out, ",AVERAGE-BANDWIDTH={average}");
    }
    let mut codecs: Vec<&str> = Vec::new();
    for codec in std::iter::once(variant)
        .chain(audio.iter().copied())
        .map(|track| track.codec.as_str())
    {
        if !codec.is_empty() && !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    if !codecs.is_empty() {
        let _ = write!(out, ",CODECS=\"{}\"", quotable(&codecs.join(",")));
    }
    if variant.width > 0 && variant.height > 0 {
        let _ = write!(out, ",RESOLUTION={}x{}", variant.width, variant.height);
    }
    if let Some(rate) = variant.frame_rate.filter(|_| variant.kind == Kind::Video) {
        let _ = write!(
            out,
            ",FRAME-RATE={}.{:03}",
            rate.millihertz() / 1000,
            rate.millihertz() % 1000
        );
    }
    if !audio.is_empty() {
        let _ = write!(out, ",AUDIO=\"{}\"", quotable(group));
    }
    let mut base = "";
    if let Some(pathway) = pathway {
        let _ = write!(out, ",PATHWAY-ID=\"{}\"", quotable(&pathway.name));
        base = &pathway.base;
    }
    line(
        out,
        format_args!("\n{}{}.m3u8", quotable(base), quotable(&variant.name)),
    );
}

/// A quoted string of HLS has no way to escape: what cannot stand in one is left out.
fn quotable(text: &str) -> String {
    text.chars()
        .filter(|character| *character != '"' && !character.is_control())
        .collect()
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A hole in the index beyond this is a broken index, not a playlist.
const HOLE_MAX: u64 = 1000;
/// More changes of run than this between two neighbours is a broken counter.
const DISCONTINUITIES_MAX: u64 = 16;

#[cfg(test)]
mod tests;
