//! The timeline of one run as SVG: a row per member and viewer, a tick per chunk, a mark per
//! switch, a line per fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use banyan_testbed::experiment::svg::escaped;

use super::measure::Fault;
use super::records::{Records, VIEWER_SWITCHED};

/// What is drawn.
pub(crate) struct Picture<'a> {
    pub(crate) title: &'a str,
    pub(crate) records: &'a Records,
    pub(crate) stream: &'a str,
    pub(crate) faults: &'a [Fault],
    /// When what was done was undone.
    pub(crate) undone_ms: Option<u64>,
    pub(crate) from_ms: u64,
    pub(crate) until_ms: u64,
    /// Members from the roots down; viewers follow.
    pub(crate) members: &'a [String],
}

// === impl Picture ===

impl Picture<'_> {
    pub(crate) fn draw(&self) -> String {
        let rows = self.rows();
        let height = TOP + ROW * rows.len() as f64 + BOTTOM;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"12\" y=\"22\" font-size=\"15\" font-weight=\"bold\" fill=\"#1b1f24\">{}</text>\n",
            escaped(self.title)
        );
        let at: BTreeMap<&str, f64> = rows
            .iter()
            .enumerate()
            .map(|(index, row)| (row.as_str(), TOP + ROW * index as f64))
            .collect();
        self.grid(&mut svg, height);
        for (row, y) in &at {
            let label = y + ROW * 0.65;
            // Writing into a String cannot fail.
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{label}\" text-anchor=\"end\" fill=\"#1b1f24\">{}</text>\n<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{base}\" y2=\"{base}\" stroke=\"#e3e6ea\"/>",
                LEFT - 8.0,
                escaped(row),
                base = y + ROW - 2.0,
            );
        }
        self.ticks(&mut svg, &at);
        self.lines(&mut svg, height);
        self.marks(&mut svg, &at);
        self.legend(&mut svg, height);
        svg.push_str("</svg>\n");
        svg
    }

    fn rows(&self) -> Vec<String> {
        let known: BTreeSet<&str> = self.members.iter().map(String::as_str).collect();
        let viewers: BTreeSet<&str> = self
            .records
            .arrivals
            .iter()
            .filter(|row| row.unix_ms >= self.from_ms && !known.contains(row.to.as_str()))
            .map(|row| row.to.as_str())
            .collect();
        let viewers = viewers.into_iter().map(str::to_owned);
        self.members.iter().cloned().chain(viewers).collect()
    }

    fn x(&self, unix_ms: u64) -> f64 {
        let span = (self.until_ms - self.from_ms).max(1) as f64;
        let at = unix_ms.clamp(self.from_ms, self.until_ms) - self.from_ms;
        LEFT + (RIGHT - LEFT) * at as f64 / span
    }

    /// Whole seconds after the first fault.
    fn grid(&self, svg: &mut String, height: f64) {
        let zero = self.faults.first().map_or(self.from_ms, |f| f.unix_ms) as i64;
        let span = (self.until_ms - self.from_ms) / 1000;
        let step = [1, 2, 5, 10, 20, 60, 120].into_iter();
        let step = step.clone().find(|step| span / step <= 24).unwrap_or(300) as i64;
        let first = (self.from_ms as i64 - zero).div_euclid(1000 * step) * step;
        for second in (0..).map(|n| first + n * step) {
            let unix_ms = zero + 1000 * second;
            if unix_ms > self.until_ms as i64 {
                break;
            }
            if unix_ms < self.from_ms as i64 {
                continue;
            }
            let x = self.x(unix_ms as u64);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#eef0f3\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#6a737d\">{second} s</text>",
                TOP - 4.0,
                height - BOTTOM,
                height - BOTTOM + 16.0,
            );
        }
    }

    fn ticks(&self, svg: &mut String, at: &BTreeMap<&str, f64>) {
        let mut tracks: Vec<&str> = Vec::new();
        let mut paths: BTreeMap<usize, String> = BTreeMap::new();
        for row in &self.records.arrivals {
            let (Some(y), true) = (
                at.get(row.to.as_str()),
                row.stream == self.stream && (self.from_ms..=self.until_ms).contains(&row.unix_ms),
            ) else {
                continue;
            };
            let track = tracks.iter().position(|track| *track == row.track);
            let track = track.unwrap_or_else(|| {
                tracks.push(&row.track);
                tracks.len() - 1
            });
            let lane = (ROW - 8.0) / LANES as f64;
            let top = y + 3.0 + lane * (track % LANES) as f64;
            let x = self.x(row.unix_ms);
            let path = paths.entry(track).or_default();
            let _ = write!(path, "M{x:.1} {top:.1}v{:.1}", lane - 1.0);
        }
        for (track, path) in paths {
            let colour = COLOURS[track % COLOURS.len()];
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" stroke=\"{colour}\" stroke-width=\"1.4\" fill=\"none\"/>"
            );
        }
        for (track, name) in tracks.iter().enumerate() {
            let x = RIGHT - 110.0 * (tracks.len() - track) as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"12\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{}\" y=\"21\" fill=\"#1b1f24\">{}</text>",
                COLOURS[track % COLOURS.len()],
                x + 15.0,
                escaped(name)
            );
        }
    }

    fn lines(&self, svg: &mut String, height: f64) {
        let mut line = |unix_ms: u64, colour: &str, dash: &str, text: &str| {
            let x = self.x(unix_ms);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dash}\"/><text x=\"{:.1}\" y=\"{}\" fill=\"{colour}\" font-weight=\"bold\">{}</text>",
                TOP - 6.0,
                height - BOTTOM,
                x + 4.0,
                TOP - 8.0,
                escaped(text)
            );
        };
        for fault in self.faults {
            let few = self.faults.len() <= 4;
            let text = if few { fault.what.as_str() } else { "" };
            line(fault.unix_ms, "#d1242f", "", text);
        }
        if let Some(undone) = self.undone_ms {
            line(undone, "#57606a", "4 3", "undone");
        }
    }

    fn marks(&self, svg: &mut String, at: &BTreeMap<&str, f64>) {
        let mut drawn: BTreeSet<(String, u64, String)> = BTreeSet::new();
        for event in &self.records.events {
            let kind = match event.name.as_str() {
                "parent_switched" if event.text("stream") == self.stream => event.text("cause"),
                VIEWER_SWITCHED => "",
                _ => continue,
            };
            let Some(y) = at.get(event.member.as_str()) else {
                continue;
            };
            if !(self.from_ms..=self.until_ms).contains(&event.unix_ms) {
                continue;
            }
            let to = event.text("to");
            let x = self.x(event.unix_ms);
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {}l5 9h-10z\" fill=\"#bc4c00\"><title>{} at {}: {} → {} {}</title></path>",
                y + 4.0,
                escaped(&event.member),
                event.unix_ms,
                escaped(event.text("from")),
                escaped(to),
                escaped(kind),
            );
            // Tracks of one member switch together; one word is enough for all.
            if drawn.insert((event.member.clone(), event.unix_ms / 1000, to.to_owned())) {
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#bc4c00\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">→ {} {}</text>",
                    x + 7.0,
                    y + 14.0,
                    escaped(to),
                    escaped(kind),
                );
            }
        }
    }

    fn legend(&self, svg: &mut String, height: f64) {
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{}\" fill=\"#6a737d\">seconds after the first fault · tick = chunk arrived (one lane per track) · triangle = switch · red line = fault</text>",
            height - 8.0
        );
    }
}

const WIDTH: f64 = 1280.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = WIDTH - 20.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 48.0;
const ROW: f64 = 30.0;
/// Tracks told apart in a row.
const LANES: usize = 3;
const COLOURS: [&str; 6] = [
    "#0969da", "#1a7f37", "#8250df", "#9a6700", "#0a7ea4", "#6e7781",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::records::{Arrival, Event};

    #[test]
    fn rows_ticks_switches_and_faults_are_all_there() {
        let mut records = Records::default();
        for (to, unix_ms) in [("edge-7", 1_000), ("edge-7", 2_000), ("hls-0.0", 2_100)] {
            records.arrivals.push(Arrival {
                unix_ms,
                from: "hall-0".to_owned(),
                to: to.to_owned(),
                stream: "fig".to_owned(),
                track: "360p".to_owned(),
                run: "r".to_owned(),
                number: 1,
                part: 0,
            });
        }
        records.events.push(Event {
            unix_ms: 1_900,
            member: "edge-7".to_owned(),
            name: "parent_switched".to_owned(),
            fields: serde_json::json!({"stream": "fig", "to": "hall-9", "cause": "HopSilent"}),
        });
        let svg = Picture {
            title: "a < b",
            records: &records,
            stream: "fig",
            faults: &[Fault {
                unix_ms: 1_500,
                what: "hall-0 dies".to_owned(),
                ..Fault::default()
            }],
            undone_ms: Some(2_500),
            from_ms: 500,
            until_ms: 3_000,
            members: &["edge-7".to_owned()],
        }
        .draw();
        for part in [
            "a &lt; b",
            ">hls-0.0<",
            "→ hall-9 HopSilent",
            "hall-0 dies",
            ">undone<",
        ] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert_eq!(svg.matches("v6.3").count(), 3, "three ticks: {svg}");
    }
}
