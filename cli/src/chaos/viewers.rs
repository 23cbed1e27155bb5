//! Viewers as cheap processes of their own: `banyan play` with a trace, ended by an interrupt.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::process::{Child, Command};

use super::inject::unix_ms;
use super::records::Records;

/// A process that watches.
pub(crate) struct Viewer {
    pub(crate) name: String,
    child: Child,
    trace: PathBuf,
}

/// What it says in the end, as far as it matters here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) viewers: u64,
    pub(crate) playing: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) switches: u64,
    pub(crate) stalls: u64,
    pub(crate) stalled_ms: u64,
    #[serde(default)]
    pub(crate) faults: Vec<String>,
}

// === impl Viewer ===

impl Viewer {
    pub(crate) fn start(
        name: &str,
        urls: &[String],
        folder: &Path,
        secret: &str,
    ) -> anyhow::Result<Self> {
        // A later viewer of the same name must not be read on from where this one ended.
        let trace = folder.join(format!("{name}.{}.trace.csv", unix_ms()));
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let child = Command::new(program)
            .arg("play")
            .args(urls)
            .args(["--for", "24h", "--json", "--trace"])
            .arg(&trace)
            .env(banyan_proto::trust::RUN_SECRET_VARIABLE, secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start banyan play")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            trace,
        })
    }

    pub(crate) fn refresh(&self, records: &mut Records, stream: &str) {
        records.refresh_viewer(&self.name, stream, &self.trace);
    }

    /// Interrupts it and takes its report.
    pub(crate) async fn end(self) -> anyhow::Result<Report> {
        let name = &self.name;
        let pid = self.child.id().and_then(|id| Pid::from_raw(id as i32));
        let pid = pid.with_context(|| format!("viewer {name} ended by itself"))?;
        kill_process(pid, Signal::INT).with_context(|| format!("cannot end viewer {name}"))?;
        let output = tokio::time::timeout(END, self.child.wait_with_output()).await;
        let output = output.with_context(|| format!("viewer {name} did not end"))??;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("viewer {name} gave no report"))
    }
}

const END: Duration = Duration::from_secs(10);
