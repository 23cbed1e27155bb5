//! Records for proofs: every chunk received over gRPC, and every event of the tree, as lines in
//! files (`--record DIR`) or in memory (simulations).
//!
//! Rows are gathered in memory and written by one task every 100 ms: nothing waits for a disk.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use banyan_proto::v1;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::track::Key;

const FLUSH_EVERY: Duration = Duration::from_millis(100);

const LINKS_HEADER: &str = "unix_ms,from,to,stream,track,run,number,part,bytes,kind\n";

/// Where records go.
#[derive(Debug, Default)]
pub struct Recorder {
    member: String,
    directory: Option<PathBuf>,
    keep: bool,
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    links: String,
    events: String,
    kept: Vec<serde_json::Value>,
}

impl Recorder {
    /// Keeps nothing.
    pub fn none() -> Recorder {
        Recorder::default()
    }

    /// Keeps events in memory.
    pub fn memory(member: &str) -> Recorder {
        Recorder {
            member: member.to_owned(),
            keep: true,
            ..Recorder::default()
        }
    }

    /// Appends to `<member>.links.csv` and `<member>.events.jsonl` in `directory`.
    pub fn files(member: &str, directory: &Path) -> std::io::Result<Recorder> {
        std::fs::create_dir_all(directory)?;
        let recorder = Recorder {
            member: member.to_owned(),
            directory: Some(directory.to_owned()),
            ..Recorder::default()
        };
        let links = recorder.path("links.csv");
        if !links.exists() {
            recorder.lock().links.push_str(LINKS_HEADER);
        }
        recorder.flush()?;
        Ok(recorder)
    }

    /// Whether rows of links are kept.
    pub(crate) fn is_filed(&self) -> bool {
        self.directory.is_some()
    }

    /// One chunk that came over gRPC; kind is `live`, `fetch`, or `refused` when it was not taken:
    /// old and new parent both send for a moment.
    pub(crate) fn link(
        &self,
        clock: &Clock,
        from: &str,
        key: &Key,
        head: &v1::ChunkHead,
        bytes: usize,
        kind: &str,
    ) {
        use std::fmt::Write;
        if self.directory.is_none() {
            return;
        }
        let mut pending = self.lock();
        // Writing into a String cannot fail.
        let _ = writeln!(
            pending.links,
            "{},{from},{},{},{},{},{},{},{bytes},{kind}",
            clock.unix_ms(),
            self.member,
            key.stream,
            key.track,
            head.run,
            head.number,
            head.part
        );
    }

    pub(crate) fn event(&self, clock: &Clock, event: &str, key: &Key, facts: serde_json::Value) {
        if self.directory.is_none() && !self.keep {
            return;
        }
        let mut line = serde_json::json!({
            "unix_ms": clock.unix_ms(),
            "event": event,
            "member": self.member,
            "stream": key.stream,
            "track": key.track,
        });
        if let (Some(line), serde_json::Value::Object(facts)) = (line.as_object_mut(), facts) {
            line.extend(facts);
        }
        let mut pending = self.lock();
        if self.keep {
            pending.kept.push(line);
        } else {
            pending.events.push_str(&line.to_string());
            pending.events.push('\n');
        }
    }

    /// The events kept in memory so far.
    pub fn events(&self) -> Vec<serde_json::Value> {
        self.lock().kept.clone()
    }

    /// Writes what is pending until told to stop, and then once more.
    pub async fn run(&self, shutdown: CancellationToken) {
        if self.directory.is_none() {
            return;
        }
        loop {
            let stop = tokio::select! {
                () = shutdown.cancelled() => true,
                () = tokio::time::sleep(FLUSH_EVERY) => false,
            };
            if let Err(error) = self.flush() {
                tracing::warn!(%error, "records could not be written");
            }
            if stop {
                return;
            }
        }
    }

    /// Writes what is pending.
    pub fn flush(&self) -> std::io::Result<()> {
        if self.directory.is_none() {
            return Ok(());
        }
        let (links, events) = {
            let mut pending = self.lock();
            (
                std::mem::take(&mut pending.links),
                std::mem::take(&mut pending.events),
            )
        };
        append(&self.path("links.csv"), &links)?;
        append(&self.path("events.jsonl"), &events)
    }

    fn path(&self, suffix: &str) -> PathBuf {
        let directory = self.directory.clone().unwrap_or_default();
        directory.join(format!("{}.{suffix}", self.member))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_appended_under_one_header() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key {
            stream: "clock".into(),
            track: "audio".into(),
        };
        let head = v1::ChunkHead {
            run: "abc".into(),
            number: 7,
            part: 2,
            ..Default::default()
        };
        let clock = Clock::system();
        for _ in 0..2 {
            let recorder = Recorder::files("edge-9", folder.path()).unwrap();
            recorder.link(&clock, "root-7", &key, &head, 10, "live");
            recorder.event(&clock, "gap", &key, serde_json::json!({"from": 1}));
            recorder.flush().unwrap();
        }
        let links = std::fs::read_to_string(folder.path().join("edge-9.links.csv")).unwrap();
        let lines: Vec<_> = links.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], LINKS_HEADER.trim_end());
        assert!(lines[2].ends_with(",root-7,edge-9,clock,audio,abc,7,2,10,live"));
        let events = std::fs::read_to_string(folder.path().join("edge-9.events.jsonl")).unwrap();
        assert_eq!(events.lines().count(), 2);
        assert!(events.contains("\"event\":\"gap\""));
    }
}
