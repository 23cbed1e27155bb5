//! When each viewer received what, line by line as it happens (`--trace FILE`), for experiments
//! that wait for viewers and measure their silences.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use banyan_media::Position;

use super::meter::unix_ns;

/// One file for all viewers of a process.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    file: Arc<Mutex<File>>,
    viewer: usize,
}

impl Trace {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = File::create(path).with_context(|| format!("cannot write {path:?}"))?;
        writeln!(file, "{HEADER}").with_context(|| format!("cannot write {path:?}"))?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            viewer: 0,
        })
    }

    pub(super) fn of_viewer(&self, viewer: usize) -> Self {
        Self {
            viewer,
            ..self.clone()
        }
    }

    pub(super) fn chunk(&self, source: &str, track: &str, position: Position, last: bool) {
        let Position { number, part } = position;
        let last = u8::from(last);
        self.line(&format!("chunk,{source},{track},{number},{part},{last}"));
    }

    /// The viewer goes on elsewhere.
    pub(super) fn switched(&self, from: &str, to: &str) {
        self.line(&format!("switch,{from},{to},0,0,0"));
    }

    /// The viewer fetches another rendition from a segment on.
    pub(super) fn adapted(&self, from: &str, to: &str, number: u64) {
        self.line(&format!("rendition,{from},{to},{number},0,0"));
    }

    fn line(&self, rest: &str) {
        let line = format!("{},{},{rest}\n", unix_ns() / 1_000_000, self.viewer);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not stop a viewer.
        let _ = file.write_all(line.as_bytes());
    }
}

/// Of a switch, `source` and `track` are the edge left and the edge gone to; of a rendition, those left and gone to.
pub(crate) const HEADER: &str = "unix_ms,viewer,event,source,track,number,part,last";
