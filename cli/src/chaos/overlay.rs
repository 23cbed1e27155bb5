//! The overlay under test: `banyan up` as a process of its own, its members found by its children,
//! its records read from its folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::detour::Detours;
use super::disk::Disk;
use super::scenarios::{Plot, Return, Stage};
use crate::up::client::Client;

/// How to start one.
pub(crate) struct Setup<'a> {
    pub(crate) manifest: &'a Path,
    pub(crate) media: Option<&'a Path>,
    pub(crate) cache: Option<&'a Path>,
    pub(crate) stage: Stage,
    /// Whose clock or disk is wrong, where the stage is about that.
    pub(crate) victim: Option<&'a str>,
    pub(crate) detours: Option<&'a Detours>,
    pub(crate) secret: &'a str,
}

/// A running one.
pub(crate) struct Overlay {
    up: Child,
    pid: i32,
    pub(crate) line: Line,
    pub(crate) client: Client,
    /// Goes before the folder that it is mounted in.
    _disk: Option<Disk>,
    work: TempDir,
}

/// What `up --json` prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) control: String,
}

/// A member's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) pid: i32,
    /// `host:port` of its gRPC.
    pub(crate) grpc: String,
    /// `host:port` of its HTTP.
    pub(crate) http: String,
}

#[derive(Deserialize)]
struct Topology {
    members: Vec<Reported>,
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Reported {
    state: String,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    candidates: Vec<String>,
}

// === impl Overlay ===

impl Overlay {
    /// Starts it and waits until it says that it is ready.
    pub(crate) async fn start(setup: Setup<'_>) -> anyhow::Result<Self> {
        let work = tempfile::Builder::new().prefix("banyan-chaos-").tempdir()?;
        let record = work.path().join("record");
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let mut command = Command::new(program);
        command
            .arg("up")
            .arg(setup.manifest)
            .args(["--json", "--quiet", "--restart", "always"])
            .arg("--record")
            .arg(&record);
        if setup.stage.returns == Return::Late {
            command.args(["--restart-after", LATE]);
        }
        if let Some(media) = setup.media {
            command.arg("--media").arg(media);
        }
        let mut disk = None;
        if let (Some(Plot::FullDisk), Some(victim)) = (setup.stage.own, setup.victim) {
            // A cache of its own: what is prepared already needs no room.
            let cache = work.path().join("cache");
            disk = Some(Disk::small(&cache.join(victim))?);
            command.arg("--cache").arg(cache);
        } else if let Some(cache) = setup.cache {
            command.arg("--cache").arg(cache);
        }
        if let Some(detours) = setup.detours {
            let path = work.path().join("detours.json");
            std::fs::write(&path, serde_json::to_string(&detours.ways())?)?;
            command.arg("--detour").arg(path);
        }
        if let (Some(Plot::WrongClock), Some(victim)) = (setup.stage.own, setup.victim) {
            let set = format!("{victim}:{CLOCK_OFFSET}={CLOCK_OFFSET_MS}");
            command.arg("--set").arg(set);
        }
        let mut up = command
            .env(banyan_proto::trust::RUN_SECRET_VARIABLE, setup.secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start banyan up")?;
        let pid = up.id().context("banyan up has ended")? as i32;
        if let Some(detours) = setup.detours {
            detours.lead_to(pid);
        }
        let stdout = up.stdout.take().context("banyan up has no output")?;
        let mut stderr = up.stderr.take().context("banyan up has no output")?;
        let said = tokio::spawn(async move {
            let mut text = String::new();
            // Read to its end, or a full pipe would hold it up.
            let _ = tokio::io::AsyncReadExt::read_to_string(&mut stderr, &mut text).await;
            text
        });
        let line = BufReader::new(stdout).lines().next_line().await?;
        let Some(line) = line else {
            bail!("banyan up did not start: {}", said.await?.trim());
        };
        Ok(Self {
            line: serde_json::from_str(&line).with_context(|| format!("up said {line:?}"))?,
            up,
            pid,
            client: Client::new(),
            _disk: disk,
            work,
        })
    }

    /// Where members record.
    pub(crate) fn record(&self) -> PathBuf {
        self.work.path().join("record")
    }

    /// A folder for whatever belongs to this run.
    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// Processes of the members that live, control included.
    pub(crate) fn members(&self) -> BTreeMap<String, Member> {
        members(self.pid)
    }

    pub(crate) fn signal(&self, member: &str, signal: Signal) -> anyhow::Result<()> {
        let process = self.members().remove(member);
        let process = process.with_context(|| format!("{member} does not run"))?;
        let pid = Pid::from_raw(process.pid).context("a process id is positive")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {member}"))
    }

    /// Every member runs and says that it is ready, and control hears all of them.
    pub(crate) async fn is_whole(&self, count: usize) -> bool {
        let members = self.members();
        if members.len() < count {
            return false;
        }
        for member in members.values() {
            let url = format!("http://{}/readyz", member.http);
            if !self.client.is_ok(&url).await {
                return false;
            }
        }
        match self.topology().await {
            Ok(topology) => topology.members.iter().all(|one| one.state == "ready"),
            Err(_) => false,
        }
    }

    /// Content servers that offer a stream, as control knows them.
    pub(crate) async fn candidates(&self, stream: &str) -> Vec<String> {
        let streams = self.topology().await.map(|topology| topology.streams);
        let mut streams = streams.unwrap_or_default().into_iter();
        let found = streams.find(|one| one.name == stream);
        found.map(|one| one.candidates).unwrap_or_default()
    }

    async fn topology(&self) -> anyhow::Result<Topology> {
        let url = format!("{}/api/topology", self.line.control);
        self.client.json(&url).await
    }

    /// Asks it to end and waits.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for member in self.members().keys() {
            // One that stands still could not hear the request.
            let _ = self.signal(member, Signal::CONT);
        }
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(END, self.up.wait()).await {
            Ok(status) => anyhow::ensure!(status?.success(), "banyan up did not end well"),
            Err(_) => bail!("banyan up did not end within {} s", END.as_secs()),
        }
        Ok(())
    }
}

/// Members among the children of a process.
pub(crate) fn members(parent: i32) -> BTreeMap<String, Member> {
    let mut members = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if parent_of(pid) != Some(parent) {
            continue;
        }
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let after = |key: &str| {
            let at = words.iter().position(|word| word == key)?;
            words.get(at + 1).cloned()
        };
        let control = words.get(1).is_some_and(|word| word == "control");
        let name = if control {
            Some(banyan_api::names::CONTROL.to_owned())
        } else {
            after("--member")
        };
        if let (Some(name), Some(grpc), Some(http)) = (name, after("--grpc"), after("--http")) {
            members.insert(name, Member { pid, grpc, http });
        }
    }
    members
}

/// The parent of a process that lives.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    let state = words.next()?;
    let parent = words.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// After the tree has healed without the member, and before a test gets tired.
const LATE: &str = "3s";
const END: Duration = Duration::from_secs(20);
const CLOCK_OFFSET: &str = "BANYAN_CLOCK_OFFSET_MS";
const CLOCK_OFFSET_MS: i64 = 5_000;
