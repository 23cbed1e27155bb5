//! What members and viewers wrote down, read while they go on writing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One chunk that reached someone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) unix_ms: u64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) stream: String,
    pub(crate) track: String,
    pub(crate) run: String,
    pub(crate) number: u64,
    pub(crate) part: u32,
}

/// One thing that a member said of itself, or a viewer that went on elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) unix_ms: u64,
    pub(crate) member: String,
    pub(crate) name: String,
    pub(crate) fields: Value,
}

impl Event {
    pub(crate) fn text(&self, key: &str) -> &str {
        self.fields[key].as_str().unwrap_or("")
    }
}

/// Everything recorded so far.
#[derive(Debug, Default)]
pub(crate) struct Records {
    tails: BTreeMap<PathBuf, Tail>,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Default)]
struct Tail {
    offset: u64,
    rest: String,
}

// === impl Records ===

impl Records {
    /// Reads what members added to a folder of `up --record`.
    pub(crate) fn refresh(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".links.csv") {
                let rows = self.tail(&path);
                self.arrivals
                    .extend(rows.iter().filter_map(|row| link(row)));
            } else if let Some(member) = name.strip_suffix(".events.jsonl") {
                let lines = self.tail(&path);
                let events = lines.iter().filter_map(|line| event(member, line));
                self.events.extend(events);
            }
        }
    }

    /// Reads what a viewer added to its trace.
    pub(crate) fn refresh_viewer(&mut self, viewer: &str, stream: &str, path: &Path) {
        for line in self.tail(path) {
            match traced(viewer, stream, &line) {
                Some(Traced::Arrival(arrival)) => self.arrivals.push(arrival),
                Some(Traced::Switch(event)) => self.events.push(event),
                None => {}
            }
        }
    }

    fn tail(&mut self, path: &Path) -> Vec<String> {
        let tail = self.tails.entry(path.to_owned()).or_default();
        // A file that is not there yet has no lines yet.
        tail.read(path).unwrap_or_default()
    }
}

impl Tail {
    fn read(&mut self, path: &Path) -> std::io::Result<Vec<String>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        self.offset += file.read_to_end(&mut bytes)? as u64;
        self.rest.push_str(&String::from_utf8_lossy(&bytes));
        let Some(end) = self.rest.rfind('\n') else {
            return Ok(Vec::new());
        };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        Ok(whole.lines().map(str::to_owned).collect())
    }
}

/// A row of a member's `links.csv`; what was fetched fills holes and is in no order.
fn link(row: &str) -> Option<Arrival> {
    let cells: Vec<&str> = row.split(',').collect();
    let [
        unix_ms,
        from,
        to,
        stream,
        track,
        run,
        number,
        part,
        _,
        "live",
    ] = cells[..]
    else {
        return None;
    };
    Some(Arrival {
        unix_ms: unix_ms.parse().ok()?,
        from: from.to_owned(),
        to: to.to_owned(),
        stream: stream.to_owned(),
        track: track.to_owned(),
        run: run.to_owned(),
        number: number.parse().ok()?,
        part: part.parse().ok()?,
    })
}

fn event(member: &str, line: &str) -> Option<Event> {
    let fields: Value = serde_json::from_str(line).ok()?;
    Some(Event {
        unix_ms: fields["unix_ms"].as_u64()?,
        member: member.to_owned(),
        name: fields["event"].as_str()?.to_owned(),
        fields,
    })
}

enum Traced {
    Arrival(Arrival),
    Switch(Event),
}

/// A row of `banyan play --trace`.
fn traced(viewer: &str, stream: &str, row: &str) -> Option<Traced> {
    let cells: Vec<&str> = row.split(',').collect();
    let [unix_ms, index, event, source, track, number, part, _] = cells[..] else {
        return None;
    };
    let unix_ms = unix_ms.parse().ok()?;
    let viewer = format!("{viewer}.{index}");
    if event == "switch" {
        return Some(Traced::Switch(Event {
            unix_ms,
            member: viewer,
            name: VIEWER_SWITCHED.to_owned(),
            fields: serde_json::json!({ "from": source, "to": track }),
        }));
    }
    Some(Traced::Arrival(Arrival {
        unix_ms,
        from: source.to_owned(),
        to: viewer,
        stream: stream.to_owned(),
        track: track.to_owned(),
        run: String::new(),
        number: number.parse().ok()?,
        part: part.parse().ok()?,
    }))
}

/// Name of the event that a viewer's change of edge becomes.
pub(crate) const VIEWER_SWITCHED: &str = "viewer_switched";

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn files_are_read_as_they_grow_and_half_lines_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge-0.links.csv");
        let mut file = File::create(&path).unwrap();
        write!(file, "unix_ms,from,to,stream,track,run,number,part,bytes,kind\n5,hall-0,edge-0,clock,audio,abc,7,0,9,li").unwrap();
        let mut records = Records::default();
        records.refresh(folder.path());
        assert_eq!(records.arrivals, []);
        writeln!(file, "ve\n6,hall-0,edge-0,clock,audio,abc,7,1,9,fetch").unwrap();
        records.refresh(folder.path());
        assert_eq!(records.arrivals.len(), 1);
        assert_eq!(
            (records.arrivals[0].number, records.arrivals[0].part),
            (7, 0)
        );
        records.refresh(folder.path());
        assert_eq!(records.arrivals.len(), 1);
    }

    #[test]
    fn viewers_are_named_by_process_and_index() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv");
        let header = crate::play::trace::HEADER;
        let text = format!("{header}\n9,0,chunk,a:1,360p,4,2,1\n10,0,switch,a:1,b:1,0,0,0\n");
        std::fs::write(&path, text).unwrap();
        let mut records = Records::default();
        records.refresh_viewer("hls-0", "clock", &path);
        assert_eq!(records.arrivals[0].to, "hls-0.0");
        assert_eq!(records.events[0].text("to"), "b:1");
    }
}
