//! `--record`: what happened, one JSON line per event, for proofs to read afterwards.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::time;

/// Writes events, or nothing when no folder was given. Events are rare; each is written at once.
#[derive(Debug, Default)]
pub(crate) struct Events(Option<Mutex<File>>);

impl Events {
    /// Appends to `<folder>/<member>.events.jsonl`.
    pub(crate) fn open(folder: Option<&Path>, member: &str) -> std::io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self(None));
        };
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{member}.events.jsonl"));
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self(Some(Mutex::new(file))))
    }

    pub(crate) fn subscribed(&self, stream: &str, track: &str, child: &str) {
        self.write(
            json!({"event": "subscribed", "stream": stream, "track": track, "child": child}),
        );
    }

    pub(crate) fn unsubscribed(&self, stream: &str, track: &str, child: &str) {
        self.write(
            json!({"event": "unsubscribed", "stream": stream, "track": track, "child": child}),
        );
    }

    pub(crate) fn gap(&self, stream: &str, track: &str, number: u64, reason: &str) {
        tracing::warn!(
            stream,
            track,
            number,
            reason,
            "segment could not be served in time"
        );
        self.write(json!({"event": "gap", "stream": stream, "track": track, "number": number, "reason": reason}));
    }

    fn write(&self, mut event: Value) {
        let Some(file) = &self.0 else { return };
        event["unix_ms"] = time::unix_ms().into();
        let line = format!("{event}\n");
        // A recording that cannot be written must not disturb what is recorded.
        let _ = file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(line.as_bytes());
    }
}
