//! Figures of one run, from what was recorded.
//!
//! *Detection*: from a hurting action to the first thing that a member or viewer does about it (`repairing`,
//! `parent_switched`, a viewer that goes elsewhere). *Resume*: how late the chunk was that ended a viewer's longest
//! silence after it; a chunk is due when its like arrived earliest before the action, moved on by whole segments. Both
//! are the worst over hurting actions and viewers. Bytes are those that arrived at links' far ends, headers included.

mod records;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::conduct::Done;
use super::schedule::Scene;
use super::world::{Action, Collected, Late, LinkCount, Started};
pub use records::Report;
use records::{Arrival, Event};

/// What a run says.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By key of [`MEASURES`]; what could not be measured is absent.
    pub values: BTreeMap<&'static str, f64>,
    /// One line per viewer.
    pub viewers: Vec<ViewerFigures>,
    /// Every link.
    pub links: Vec<LinkCount>,
    /// How late links were.
    pub late: Option<Late>,
    /// Changes of feeder, in order.
    pub switches: Vec<Switch>,
}

/// One viewer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ViewerFigures {
    /// Its name.
    pub viewer: String,
    /// Where it watched.
    pub node: String,
    /// What it watched.
    pub stream: String,
    /// What it counted; none when it gave no report.
    pub report: Option<Report>,
}

/// A member that went to another parent, or to another content server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// Milliseconds after zero; negative before.
    pub at_ms: i64,
    /// Who.
    pub member: String,
    /// Which track.
    pub track: String,
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Why.
    pub cause: String,
}

/// One figure of a run.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in files.
    pub key: &'static str,
    /// Its name on the page.
    pub title: &'static str,
    /// Of its values.
    pub unit: &'static str,
}

/// Every figure, in the order of the page.
pub const MEASURES: &[Measure] = &[
    measure("lost", "chunks lost", ""),
    measure("repeated", "chunks repeated", ""),
    measure("out_of_order", "chunks out of order", ""),
    measure("silent_viewers", "viewers that played nothing", ""),
    measure("startup_ms", "startup, median viewer", "ms"),
    measure("startup_worst_ms", "startup, slowest viewer", "ms"),
    measure("latency_p50_ms", "latency, median of medians", "ms"),
    measure("stalls", "stalls", ""),
    measure("stalled_ms", "time stalled, all viewers", "ms"),
    measure("bitrate_kbps", "video bit rate, median viewer", "kbit/s"),
    measure(
        "bitrate_least_kbps",
        "video bit rate, viewer with the least",
        "kbit/s",
    ),
    measure("rendition_changes", "changes of rendition", ""),
    measure("viewer_switches", "viewers going elsewhere", ""),
    measure("parent_switches", "changes of parent, per track", ""),
    measure(
        "origin_switches",
        "changes of content server, per track",
        "",
    ),
    measure(
        "joined_to_feeding_ms",
        "from a server's joining to its feeding",
        "ms",
    ),
    measure("detect_ms", "detection", "ms"),
    measure("resume_ms", "resume", "ms"),
    measure("server_bytes", "bytes leaving content servers", "B"),
    measure(
        "busiest_link_bytes",
        "bytes over the busiest link direction",
        "B",
    ),
    measure("link_bytes", "bytes over all links", "B"),
    measure("late_p99_us", "lateness of links, 99 of 100", "us"),
    measure("schedule_late_ms", "lateness of the schedule, worst", "ms"),
];

const fn measure(key: &'static str, title: &'static str, unit: &'static str) -> Measure {
    Measure { key, title, unit }
}

/// All figures of a run.
pub fn figures(
    scene: Scene<'_>,
    started: &Started,
    done: &[Done],
    collected: &Collected,
) -> Figures {
    let question = Question {
        scene,
        started,
        done,
        collected,
    };
    let viewers = question.viewers();
    let events = records::events(&collected.members, &collected.viewers);
    let switches = question.switches(&events);
    let mut values = BTreeMap::new();
    question.count(&viewers, &mut values);
    question.count_switches(&events, &switches, &mut values);
    question.time(&events, &mut values);
    question.bytes(&mut values);
    if let Some(late) = collected.late {
        values.insert("late_p99_us", late.p99_us as f64);
    }
    let late = done
        .iter()
        .map(|done| done.begun_ms.saturating_sub(done.at_ms));
    values.insert("schedule_late_ms", late.max().unwrap_or(0) as f64);
    Figures {
        values,
        viewers,
        links: collected.links.clone(),
        late: collected.late,
        switches,
    }
}

struct Question<'a> {
    scene: Scene<'a>,
    started: &'a Started,
    done: &'a [Done],
    collected: &'a Collected,
}

type Values = BTreeMap<&'static str, f64>;

impl Question<'_> {
    fn viewers(&self) -> Vec<ViewerFigures> {
        let watches = self.done.iter().filter_map(|done| match &done.action {
            Action::StartViewer(watch) => Some(watch),
            _ => None,
        });
        let figures = watches.map(|watch| {
            let record = self.collected.viewers.get(&watch.viewer);
            ViewerFigures {
                viewer: watch.viewer.clone(),
                node: watch.node.clone(),
                stream: watch.stream.clone(),
                report: record.and_then(|record| serde_json::from_str(&record.report).ok()),
            }
        });
        figures.collect()
    }

    fn count(&self, viewers: &[ViewerFigures], values: &mut Values) {
        let reports: Vec<&Report> = viewers.iter().filter_map(|v| v.report.as_ref()).collect();
        let playing = reports.iter().filter(|report| report.playing > 0).count();
        values.insert("silent_viewers", (viewers.len() - playing) as f64);
        if reports.is_empty() {
            return;
        }
        let sum = |of: fn(&Report) -> u64| reports.iter().map(|one| of(one)).sum::<u64>() as f64;
        values.insert("lost", sum(|report| report.lost));
        values.insert("repeated", sum(|report| report.repeated));
        values.insert("out_of_order", sum(|report| report.out_of_order));
        values.insert("stalls", sum(|report| report.stalls));
        values.insert("stalled_ms", sum(|report| report.stalled_ms));
        values.insert("rendition_changes", sum(|report| report.rendition_changes));
        values.insert("viewer_switches", sum(|report| report.switches));
        let startups: Vec<u64> = reports.iter().filter_map(|one| one.startup_ms).collect();
        let latencies: Vec<u64> = reports
            .iter()
            .filter_map(|one| one.latency_ms.p50)
            .collect();
        let rates = reports.iter().filter_map(|one| one.mean_bitrate_bps);
        let rates: Vec<u64> = rates.map(|rate| rate / 1_000).collect();
        for (key, value) in [
            ("bitrate_kbps", middle(&rates)),
            ("bitrate_least_kbps", rates.iter().min().copied()),
            ("startup_ms", middle(&startups)),
            ("startup_worst_ms", startups.iter().max().copied()),
            ("latency_p50_ms", middle(&latencies)),
        ] {
            values.extend(value.map(|value| (key, value as f64)));
        }
    }

    fn switches(&self, events: &[Event]) -> Vec<Switch> {
        let switched = events
            .iter()
            .filter(|event| event.name == "parent_switched");
        let mut switches: Vec<Switch> = switched
            .map(|event| Switch {
                at_ms: event.unix_ms as i64 - self.started.unix_ms as i64,
                member: event.member.clone(),
                track: event.text("track").to_owned(),
                from: event.text("from").to_owned(),
                to: event.text("to").to_owned(),
                cause: event.text("cause").to_owned(),
            })
            .collect();
        switches.sort_by_key(|switch| switch.at_ms);
        switches
    }

    fn count_switches(&self, events: &[Event], switches: &[Switch], values: &mut Values) {
        if events.is_empty() && self.collected.members.is_empty() {
            return;
        }
        let servers: BTreeSet<&str> = self.servers();
        let after = || switches.iter().filter(|switch| switch.at_ms >= 0);
        let to_server = |switch: &&Switch| servers.contains(switch.to.as_str());
        let origins = after().filter(to_server).count();
        values.insert("origin_switches", origins as f64);
        values.insert("parent_switches", (after().count() - origins) as f64);
        let joined = self.done.iter().filter_map(|done| match &done.action {
            Action::Start { member } if servers.contains(member.as_str()) => {
                Some((member, done.begun_ms as i64))
            }
            _ => None,
        });
        let fed = joined.filter_map(|(member, at)| {
            let feeds = |switch: &&Switch| switch.to == *member && switch.at_ms >= at;
            switches.iter().find(feeds).map(|switch| switch.at_ms - at)
        });
        let fed = fed.max().map(|ms| ("joined_to_feeding_ms", ms as f64));
        values.extend(fed);
    }

    fn servers(&self) -> BTreeSet<&str> {
        let servers = self.scene.servers.iter();
        servers.map(|server| server.name.as_str()).collect()
    }

    fn time(&self, events: &[Event], values: &mut Values) {
        let hurts: Vec<&Done> = self.done.iter().filter(|done| done.hurts).collect();
        let arrivals = records::arrivals(&self.collected.viewers);
        let mut flows: BTreeMap<(&str, &str), Vec<&Arrival>> = BTreeMap::new();
        for row in &arrivals {
            flows
                .entry((&row.viewer, &row.track))
                .or_default()
                .push(row);
        }
        let unix = |ms: u64| self.started.unix_ms + ms;
        let (mut detect, mut resume) = (None, None);
        for (index, done) in hurts.iter().enumerate() {
            let from = unix(done.begun_ms);
            let next = hurts
                .get(index + 1)
                .map_or(u64::MAX, |next| unix(next.begun_ms));
            detect = detect.max(detected(events, &done.action, from, next));
            for rows in flows.values() {
                resume = resume.max(resumed(rows, from, next, self.segment_ms()));
            }
        }
        values.extend(detect.map(|ms| ("detect_ms", ms as f64)));
        values.extend(resume.map(|ms| ("resume_ms", ms as f64)));
    }

    fn segment_ms(&self) -> u64 {
        self.scene.topology.packaging.segment_ms.into()
    }

    fn bytes(&self, values: &mut Values) {
        if self.collected.links.is_empty() {
            return;
        }
        let network = self.scene.network;
        let members = &network.members;
        let servers = self.servers();
        let places = servers.iter().filter_map(|server| members.get(*server));
        let homes: BTreeSet<&str> = places.map(|place| place.node.as_str()).collect();
        let (mut all, mut busiest, mut leaving) = (0, 0, 0);
        for count in &self.collected.links {
            let ends = network.link(&count.link).map(|link| &link.ends);
            for (side, direction) in count.directions.iter().enumerate() {
                all += direction.bytes;
                busiest = busiest.max(direction.bytes);
                let sender = ends.and_then(|ends| ends.get(side));
                if sender.is_some_and(|end| homes.contains(end.node.as_str())) {
                    leaving += direction.bytes;
                }
            }
        }
        values.insert("server_bytes", leaving as f64);
        values.insert("busiest_link_bytes", busiest as f64);
        values.insert("link_bytes", all as f64);
    }
}

/// From a hurting action to the first who acts on it.
fn detected(events: &[Event], action: &Action, from: u64, until: u64) -> Option<u64> {
    let acts = ["repairing", "parent_switched", records::VIEWER_SWITCHED];
    let concerns = |event: &&Event| match action {
        // A viewer knows addresses, not names.
        Action::Kill { member } | Action::Freeze { member } => {
            event.name == records::VIEWER_SWITCHED || event.text("from") == member
        }
        _ => true,
    };
    let times = events
        .iter()
        .filter(|event| acts.contains(&event.name.as_str()))
        .filter(|event| (from..until).contains(&event.unix_ms))
        .filter(concerns)
        .map(|event| event.unix_ms - from);
    times.min()
}

/// Lateness of the chunk that ended the longest silence after `from`.
fn resumed(rows: &[&Arrival], from: u64, until: u64, segment_ms: u64) -> Option<u64> {
    let mut rows: Vec<&Arrival> = rows
        .iter()
        .copied()
        .filter(|row| row.unix_ms < until)
        .collect();
    rows.sort_by_key(|row| row.unix_ms);
    let pairs = rows.iter().zip(rows.iter().skip(1));
    let (_, first) = pairs
        .filter(|(_, next)| next.unix_ms >= from)
        .map(|(row, next)| (next.unix_ms - row.unix_ms, *next))
        .max_by_key(|(silence, row)| (*silence, std::cmp::Reverse(row.unix_ms)))?;
    let phase = |row: &Arrival| row.unix_ms as i128 - i128::from(row.number * segment_ms);
    let before = rows
        .iter()
        .filter(|row| row.unix_ms < from && row.part == first.part);
    let due = before.map(|row| phase(row)).min()? + i128::from(first.number * segment_ms);
    let late = i128::from(first.unix_ms) - due.max(i128::from(from));
    u64::try_from(late.max(0)).ok()
}

fn middle(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests;
