//! `banyan play` as a viewer: started beside an overlay, judged by its report.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::wait;

/// What a viewer saw, counted by positions; sums over all viewers of one process.
#[derive(Clone, Debug, Deserialize)]
pub struct PlayReport {
    pub startup_ms: Option<u64>,
    pub bytes: u64,
    pub segments: u64,
    pub chunks: u64,
    pub lost: u64,
    pub repeated: u64,
    pub out_of_order: u64,
    pub switches: u64,
    pub stalls: u64,
    pub latency_ms: Latency,
    /// Whole segments of video, by rendition.
    pub renditions: BTreeMap<String, u64>,
    pub rendition_changes: u64,
    pub mean_bitrate_bps: Option<u64>,
    pub viewers: u64,
    /// Viewers that played something.
    pub playing: u64,
    #[serde(default)]
    pub faults: Vec<String>,
}

/// Age of chunks on arrival.
#[derive(Clone, Debug, Deserialize)]
pub struct Latency {
    pub p50: Option<u64>,
    pub p95: Option<u64>,
}

impl PlayReport {
    /// Fails unless everything arrived exactly once and in order, at every viewer.
    #[track_caller]
    pub fn assert_unbroken(&self, who: &str) {
        assert!(
            self.lost == 0 && self.repeated == 0 && self.out_of_order == 0,
            "{who} lost or repeated media: {self:?}"
        );
        assert!(
            self.playing == self.viewers && self.segments > 0,
            "{who} played nothing: {self:?}"
        );
    }
}

/// A viewer that is watching.
pub struct Playing {
    child: Child,
    stderr: File,
    what: String,
}

impl Playing {
    /// Starts a viewer; `arguments` are those of `banyan play` before `--json`.
    pub fn start(secret: &str, arguments: &[&str]) -> Self {
        Self::start_as(Command::new(crate::binary("banyan")), secret, arguments)
    }

    /// As [`start`](Self::start), by a command that ends in the path of `banyan`.
    pub fn start_as(mut banyan: Command, secret: &str, arguments: &[&str]) -> Self {
        let stderr = tempfile::tempfile().expect("a temporary file must open");
        let child = banyan
            .arg("play")
            .args(arguments)
            .arg("--json")
            .env("BANYAN_RUN_SECRET", secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().expect("a file handle must be clonable"))
            .spawn()
            .expect("banyan play must start");
        Self {
            child,
            stderr,
            what: arguments.join(" "),
        }
    }

    /// Whether it still watches.
    pub fn is_watching(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its report up to now: it is told to end, as by Ctrl-C.
    #[track_caller]
    pub fn finish(self) -> PlayReport {
        let told = kill_process(Pid::from_child(&self.child), Signal::INT);
        assert!(told.is_ok(), "play {} has ended already", self.what);
        self.report(Duration::from_secs(60))
    }

    /// Its report, once it is done.
    #[track_caller]
    pub fn report(mut self, bound: Duration) -> PlayReport {
        let child = &mut self.child;
        let status = wait::wait_for(&format!("play {} ends", self.what), bound, || {
            child.try_wait().expect("a child must be waitable")
        });
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(pipe) = &mut child.stdout {
            let _ = pipe.read_to_string(&mut out);
        }
        let _ = self
            .stderr
            .rewind()
            .and_then(|()| self.stderr.read_to_string(&mut err));
        assert!(
            status.success(),
            "play {} ended with {status}\n{err}",
            self.what
        );
        serde_json::from_str(out.trim())
            .unwrap_or_else(|error| panic!("play {}: {error} in {out:?}\n{err}", self.what))
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
