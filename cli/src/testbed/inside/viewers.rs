//! Viewers in nodes: `banyan play` processes, whose reports and traces are filed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_testbed::runner;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::super::folder::VIEWERS;

pub(super) struct Viewers {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    watching: BTreeMap<String, Child>,
    ended: Vec<String>,
}

impl Viewers {
    /// `environment` holds the run's secret, without which nobody speaks gRPC.
    pub(super) fn new(folder: &Path, environment: BTreeMap<String, String>) -> Self {
        Self {
            folder: folder.to_owned(),
            environment,
            watching: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn watch(
        &mut self,
        name: &str,
        node: &str,
        targets: &[String],
        arguments: &[String],
    ) -> anyhow::Result<()> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let trace = self.file(name, "csv").display().to_string();
        let mut all = vec![
            "play".to_owned(),
            "--json".to_owned(),
            "--trace".to_owned(),
            trace,
        ];
        // They leave when they are asked to.
        if !arguments.iter().any(|argument| argument == "--for") {
            all.extend(["--for".to_owned(), "24h".to_owned()]);
        }
        all.extend(arguments.iter().chain(targets).cloned());
        self.run(name, node, &own, &all, "json")
    }

    /// Starts a program whose standard output becomes a file.
    pub(super) fn run(
        &mut self,
        name: &str,
        node: &str,
        program: &Path,
        arguments: &[String],
        ending: &str,
    ) -> anyhow::Result<()> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            bail!("{name:?} names no viewers; letters, digits, '-', '_' and '.' are accepted");
        }
        if self.watching.contains_key(name) || self.ended.iter().any(|ended| ended == name) {
            bail!("viewers {name:?} have been started before; choose another name");
        }
        let create = |ending: &str| {
            let path = self.file(name, ending);
            File::create(&path).with_context(|| format!("cannot write {path:?}"))
        };
        let mut words = runner::inside(&self.folder, node).into_iter();
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .arg(program)
            .args(arguments)
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(create(ending)?)
            .stderr(create("stderr")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name:?}"))?;
        self.watching.insert(name.to_owned(), child);
        Ok(())
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(VIEWERS).join(format!("{name}.{ending}"))
    }

    /// Interrupts them and waits for their end.
    pub(super) async fn leave(&mut self, name: &str) -> anyhow::Result<()> {
        self.look();
        let Some(child) = self.watching.get_mut(name) else {
            if self.ended.iter().any(|ended| ended == name) {
                return Ok(());
            }
            bail!("viewers {name:?} are not watching");
        };
        interrupt(child);
        if tokio::time::timeout(SOON, child.wait()).await.is_err() {
            child
                .kill()
                .await
                .with_context(|| format!("cannot end viewers {name:?}"))?;
        }
        self.look();
        Ok(())
    }

    /// Who watches, and who has ended.
    pub(super) fn look(&mut self) -> (Vec<String>, Vec<String>) {
        let ended = &mut self.ended;
        self.watching.retain(|name, child| {
            let watches = matches!(child.try_wait(), Ok(None));
            if !watches {
                ended.push(name.clone());
            }
            watches
        });
        (self.watching.keys().cloned().collect(), self.ended.clone())
    }

    /// Interrupts all and waits for their reports.
    pub(super) async fn leave_all(&mut self) {
        self.watching.values().for_each(interrupt);
        for child in self.watching.values_mut() {
            let _ = tokio::time::timeout(SOON, child.wait()).await;
        }
    }
}

fn interrupt(child: &Child) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        // One that has just ended needs none.
        let _ = kill_process(pid, Signal::INT);
    }
}

/// From being asked to end to the report.
const SOON: Duration = Duration::from_secs(5);
