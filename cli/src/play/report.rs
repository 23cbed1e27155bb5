//! The report: one line of JSON, or a table for people.

use std::collections::BTreeMap;
use std::fmt;

use banyan_media::Counts;
use serde::Serialize;

use super::meter::{Tally, add, histogram};
use super::quality::Quality;
use super::target::Target;

/// What `banyan play` prints. With several viewers, counts are sums and times are over all of them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    stream: String,
    mode: &'static str,
    viewers: usize,
    /// Viewers that played something.
    playing: usize,
    /// Median over viewers; null = nothing was played.
    startup_ms: Option<u64>,
    bytes: u64,
    segments: u64,
    pub(super) chunks: u64,
    lost: u64,
    repeated: u64,
    out_of_order: u64,
    run_changes: u64,
    switches: u64,
    stalls: u64,
    stalled_ms: u64,
    played_ms: u64,
    latency_ms: Latency,
    tracks: BTreeMap<String, Counts>,
    /// Whole segments of video, by rendition.
    renditions: BTreeMap<String, u64>,
    rendition_changes: u64,
    /// Bits of video received for each second of it; null = no video.
    mean_bitrate_bps: Option<u64>,
    /// Things that should not be: boxes out of order, refusals.
    fault_count: u64,
    faults: Vec<String>,
}

/// Null = nothing was released while watching.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: Option<u64>,
    p95: Option<u64>,
}

// === impl Report ===

impl Report {
    pub(super) fn of(target: &Target, tallies: Vec<Tally>) -> Self {
        let mut startups: Vec<u64> = tallies
            .iter()
            .filter_map(|tally| tally.startup)
            .map(|startup| startup.as_millis() as u64)
            .collect();
        startups.sort_unstable();
        let mut counts = Counts::default();
        let mut tracks = BTreeMap::<String, Counts>::new();
        let mut latency = histogram();
        let mut quality = Quality::default();
        let mut faults = Vec::new();
        for tally in &tallies {
            add(&mut counts, &tally.counts);
            for (name, of) in &tally.tracks {
                add(tracks.entry(name.clone()).or_default(), of);
            }
            quality.add(&tally.quality);
            // Equal settings always add up.
            let _ = latency.add(&tally.latency_ms);
            for fault in &tally.faults {
                if faults.len() < FAULTS && !faults.contains(fault) {
                    faults.push(fault.clone());
                }
            }
        }
        let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
        let quantile = |q| (!latency.is_empty()).then(|| latency.value_at_quantile(q));
        Self {
            stream: target.name(),
            mode: if matches!(target, Target::Grpc { .. }) {
                "grpc"
            } else {
                "hls"
            },
            viewers: tallies.len(),
            playing: startups.len(),
            startup_ms: startups.get(startups.len() / 2).copied(),
            bytes: sum(|tally| tally.bytes),
            segments: sum(|tally| tally.segments),
            chunks: counts.chunks,
            lost: counts.lost,
            repeated: counts.repeated,
            out_of_order: counts.out_of_order,
            run_changes: counts.run_changes,
            switches: sum(|tally| tally.switches),
            stalls: sum(|tally| tally.stalls),
            stalled_ms: sum(|tally| tally.stalled.as_millis() as u64),
            played_ms: sum(|tally| tally.played.as_millis() as u64),
            latency_ms: Latency {
                p50: quantile(0.5),
                p95: quantile(0.95),
            },
            tracks,
            mean_bitrate_bps: quality.mean_bitrate(),
            renditions: quality.segments,
            rendition_changes: quality.changes,
            fault_count: sum(|tally| tally.fault_count),
            faults,
        }
    }
}

impl Report {
    /// `412 kbit/s; segments: 360p 12, 720p 3; 2 changes`.
    fn video(&self) -> String {
        let Some(rate) = self.mean_bitrate_bps else {
            return "-".to_owned();
        };
        let segments = self.renditions.iter();
        let segments: Vec<String> = segments.map(|(name, n)| format!("{name} {n}")).collect();
        let (segments, changes) = (segments.join(", "), self.rendition_changes);
        format!(
            "{:.0} kbit/s; segments: {segments}; {changes} changes",
            rate as f64 / 1e3
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let viewers = match self.viewers {
            1 => String::new(),
            count => format!(", {} of {count} viewers", self.playing),
        };
        writeln!(f, "{} over {}{viewers}", self.stream, self.mode)?;
        let rows = [
            ("startup", ms(self.startup_ms)),
            ("played", format!("{:.1} s", self.played_ms as f64 / 1000.0)),
            (
                "stalls",
                format!("{} ({:.1} s)", self.stalls, self.stalled_ms as f64 / 1000.0),
            ),
            (
                "latency",
                format!(
                    "{} median, {} p95",
                    ms(self.latency_ms.p50),
                    ms(self.latency_ms.p95)
                ),
            ),
            ("video", self.video()),
            ("bytes", self.bytes.to_string()),
            ("segments", self.segments.to_string()),
            ("chunks", self.chunks.to_string()),
            ("lost", self.lost.to_string()),
            ("repeated", self.repeated.to_string()),
            ("out of order", self.out_of_order.to_string()),
            ("switches", self.switches.to_string()),
            ("run changes", self.run_changes.to_string()),
            ("faults", self.fault_count.to_string()),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<13} {value}")?;
        }
        for (name, counts) in &self.tracks {
            writeln!(
                f,
                "  track {name}: {} chunks, {} lost",
                counts.chunks, counts.lost
            )?;
        }
        for fault in &self.faults {
            writeln!(f, "  ! {fault}")?;
        }
        Ok(())
    }
}

/// Faults printed.
const FAULTS: usize = 8;
