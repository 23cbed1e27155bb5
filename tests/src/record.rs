//! What members recorded: every chunk that crossed a link, and what happened to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// One chunk received over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    pub unix_ms: u64,
    pub from: String,
    pub to: String,
    pub stream: String,
    pub track: String,
    pub run: String,
    pub number: u64,
    pub part: u32,
    pub bytes: u64,
    /// Taken as the next one; neither fetched nor refused as known already.
    pub live: bool,
}

impl LinkRow {
    /// Who fed whom.
    pub fn link(&self) -> (String, String) {
        (self.from.clone(), self.to.clone())
    }
}

/// One line of a member's events.
#[derive(Clone, Debug)]
pub struct Event {
    pub member: String,
    pub unix_ms: u64,
    pub name: String,
    pub fields: Value,
}

impl Event {
    /// A field as text, or "".
    pub fn text(&self, key: &str) -> &str {
        self.fields[key].as_str().unwrap_or("")
    }
}

const HEADER: &str = "unix_ms,from,to,stream,track,run,number,part,bytes,kind";

/// All rows of all members. A line still being written is left out.
pub fn links(folder: &Path) -> Vec<LinkRow> {
    let mut rows = Vec::new();
    for (member, text) in files(folder, ".links.csv") {
        for (at, line) in whole_lines(&text).enumerate() {
            if at == 0 {
                assert_eq!(line, HEADER, "header of {member}.links.csv");
                continue;
            }
            rows.push(
                row(line).unwrap_or_else(|| panic!("{member}.links.csv: {line:?} is not {HEADER}")),
            );
        }
    }
    rows
}

fn row(line: &str) -> Option<LinkRow> {
    let [
        unix_ms,
        from,
        to,
        stream,
        track,
        run,
        number,
        part,
        bytes,
        kind,
    ] = line.split(',').collect::<Vec<_>>().try_into().ok()?;
    Some(LinkRow {
        unix_ms: unix_ms.parse().ok()?,
        from: from.to_owned(),
        to: to.to_owned(),
        stream: stream.to_owned(),
        track: track.to_owned(),
        run: run.to_owned(),
        number: number.parse().ok()?,
        part: part.parse().ok()?,
        bytes: bytes.parse().ok()?,
        live: match kind {
            "live" => true,
            "fetch" | "refused" => false,
            _ => return None,
        },
    })
}

/// All events of all members.
pub fn events(folder: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    for (member, text) in files(folder, ".events.jsonl") {
        for line in whole_lines(&text) {
            let fields: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{member}.events.jsonl: {error} in {line:?}"));
            let name = fields["event"]
                .as_str()
                .unwrap_or_else(|| panic!("{member}: {line:?} has no event"));
            let unix_ms = fields["unix_ms"]
                .as_u64()
                .unwrap_or_else(|| panic!("{member}: {line:?} has no unix_ms"));
            events.push(Event {
                member: member.clone(),
                unix_ms,
                name: name.to_owned(),
                fields: fields.clone(),
            });
        }
    }
    events.sort_by_key(|event| event.unix_ms);
    events
}

fn files(folder: &Path, suffix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(member) = name.strip_suffix(suffix) {
            found.push((
                member.to_owned(),
                fs::read_to_string(entry.path()).unwrap_or_default(),
            ));
        }
    }
    found.sort();
    found
}

fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    let end = text.rfind('\n').map_or(0, |at| at + 1);
    text[..end].lines()
}

/// Positions (number, part) with how often each was received.
pub type Counts = BTreeMap<(u64, u32), u32>;

/// How often each link carried each position of one track.
pub fn by_link(rows: &[LinkRow], stream: &str, track: &str) -> BTreeMap<(String, String), Counts> {
    let mut links: BTreeMap<_, Counts> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row.stream == stream && row.track == track)
    {
        *links
            .entry(row.link())
            .or_default()
            .entry((row.number, row.part))
            .or_default() += 1;
    }
    links
}

/// What each member took of each track of a stream, as the next one, from whichever parent.
pub fn received(rows: &[LinkRow], stream: &str) -> BTreeMap<(String, String), Counts> {
    let mut members: BTreeMap<_, Counts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.stream == stream && row.live) {
        let counts = members
            .entry((row.to.clone(), row.track.clone()))
            .or_default();
        *counts.entry((row.number, row.part)).or_default() += 1;
    }
    members
}

/// When a member last left a track, unless it came back since.
pub fn left_at(
    events: &[Event],
    member: &str,
    stream: &str,
    track: &str,
    since: u64,
) -> Option<u64> {
    events
        .iter()
        .filter(|event| event.member == member && event.unix_ms >= since)
        .filter(|event| event.text("stream") == stream && event.text("track") == track)
        .rfind(|event| event.name == "subscribed" || event.name == "unsubscribed")
        .filter(|event| event.name == "unsubscribed")
        .map(|event| event.unix_ms)
}

/// Whole segments of the track that came last to a member since a time.
pub fn whole_since(rows: &[LinkRow], member: &str, stream: &str, since: u64) -> usize {
    let rows = rows
        .iter()
        .filter(|row| row.to == member && row.stream == stream);
    let parts = rows.clone().map(|row| row.part + 1).max().unwrap_or(1);
    let mut tracks: BTreeMap<&str, Counts> = BTreeMap::new();
    for row in rows {
        let counts = tracks.entry(row.track.as_str()).or_default();
        if row.unix_ms >= since {
            *counts.entry((row.number, row.part)).or_default() += 1;
        }
    }
    tracks
        .values()
        .map(|counts| whole_numbers(counts, parts).len())
        .min()
        .unwrap_or(0)
}

/// Fails unless every number of `numbers` is there with all its parts, each exactly once.
#[track_caller]
pub fn assert_exactly_once(what: &str, counts: &Counts, numbers: std::ops::Range<u64>, parts: u32) {
    for number in numbers {
        for part in 0..parts {
            let times = counts.get(&(number, part)).copied().unwrap_or(0);
            assert_eq!(
                times, 1,
                "{what}: number {number} part {part} was carried {times} times"
            );
        }
        assert_eq!(
            counts.get(&(number, parts)),
            None,
            "{what}: number {number} has a part too many"
        );
    }
}

/// Fails unless every position between the first and the last came exactly once.
#[track_caller]
pub fn assert_gapless(what: &str, counts: &Counts) {
    let parts = counts.keys().map(|(_, part)| part + 1).max().unwrap_or(1);
    let (Some(first), Some(last)) = (counts.keys().next(), counts.keys().next_back()) else {
        return;
    };
    for number in first.0..=last.0 {
        for position in (0..parts).map(|part| (number, part)) {
            if (*first..=*last).contains(&position) {
                let times = counts.get(&position).copied().unwrap_or(0);
                assert_eq!(
                    times, 1,
                    "{what}: number {number} part {} came {times} times",
                    position.1
                );
            }
        }
    }
}

/// Numbers of which all `parts` are there.
pub fn whole_numbers(counts: &Counts, parts: u32) -> BTreeSet<u64> {
    let numbers: BTreeSet<u64> = counts.keys().map(|(number, _)| *number).collect();
    numbers
        .into_iter()
        .filter(|number| (0..parts).all(|part| counts.contains_key(&(*number, part))))
        .collect()
}
