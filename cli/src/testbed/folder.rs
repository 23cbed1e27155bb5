//! The folder of a run: what is to run, who runs it, and what it left behind. A lock says whether it is running.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use banyan_control::layout::{Layout, Member};
use banyan_control::roster::Roster;
use banyan_testbed::model::Network;
use banyan_testbed::netns;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::exit::Refusal;
use crate::up::folders;

/// What the inner process is to make, as the outer one wrote it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) network: Network,
    /// All members, those that join later as well.
    pub(super) layout: Layout,
    pub(super) roster: Roster,
    /// Stream → servers that should offer it from the start.
    pub(super) streams: BTreeMap<String, Vec<String>>,
    /// Whether there are edges.
    pub(super) edges: bool,
    /// Members that are started on request.
    pub(super) later: Vec<String>,
    pub(super) seed: u64,
    /// All links in the link process, each with a capture from the start.
    pub(super) capture: bool,
    /// All links in the link process.
    pub(super) emulate_all: bool,
    pub(super) late_bound_us: u64,
    pub(super) mtu: Option<u32>,
    pub(super) programs: Programs,
    /// Environment of all members; the run's secret is among it.
    pub(super) environment: BTreeMap<String, String>,
}

impl Plan {
    /// A member by its name.
    pub(super) fn member(&self, name: &str) -> anyhow::Result<&Member> {
        let members = self.layout.members.iter();
        let found = members.clone().find(|member| member.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = members.map(|member| member.name.as_str()).collect();
            Refusal::one(format!(
                "there is no member {name:?}; known are {}",
                names.join(", ")
            ))
        })
    }

    /// Whether commands can run at a node: switches are bridges.
    pub(super) fn check_host(&self, name: &str) -> anyhow::Result<()> {
        let names: Vec<&str> = netns::hosts(&self.network)
            .map(|node| node.name.as_str())
            .collect();
        if names.contains(&name) {
            return Ok(());
        }
        Err(Refusal::one(format!(
            "there is no node {name:?} with addresses; known are {}",
            names.join(", ")
        )))
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Programs {
    pub(super) control: PathBuf,
    pub(super) relay: PathBuf,
    pub(super) origin: PathBuf,
}

/// Who runs it, for those who come later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The process to be asked to end.
    pub(super) outer: u32,
    /// First process of the namespaces.
    pub(super) first: u32,
}

/// A folder that is this process's for as long as it lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes a folder and empties it of an earlier run. One that holds anything else is refused.
    pub(super) fn claim(path: &Path) -> anyhow::Result<Self> {
        folders::make(path)?;
        let unusable = || format!("folder {path:?} cannot be used");
        let path = path.canonicalize().with_context(unusable)?;
        let mut entries = std::fs::read_dir(&path).with_context(unusable)?;
        if !path.join(LOCK).exists() && entries.next().is_some() {
            return Err(Refusal::one(format!(
                "{path:?} is not empty and no folder of a testbed; choose another with --dir"
            )));
        }
        let lock = File::create(path.join(LOCK)).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Refusal::one(format!(
                    "a testbed is running in {path:?}; end it with `banyan testbed down --dir {}`, or choose another with --dir",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the folder"),
        }
        for entry in std::fs::read_dir(&path)?.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if name == LOCK {
                continue;
            }
            let removed = match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            removed.with_context(|| format!("cannot remove {path:?}"))?;
        }
        for folder in [LOGS, RECORD, CAPTURES, METRICS, VIEWERS] {
            std::fs::create_dir(path.join(folder))?;
        }
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        write(&self.path, name, value)
    }
}

pub(super) fn write(folder: &Path, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(value)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {path:?}"))
}

pub(super) fn plan(folder: &Path) -> anyhow::Result<Plan> {
    let path = folder.join(PLAN);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path:?} is no plan of a testbed"))
}

/// Who runs a testbed in this folder; a sentence when nobody does.
pub(super) fn running(folder: &Path) -> anyhow::Result<State> {
    let text = std::fs::read_to_string(folder.join(STATE));
    if let Ok(text) = text
        && is_locked(folder)
    {
        return Ok(serde_json::from_str(&text)?);
    }
    bail!(
        "no testbed is running in {folder:?}; start one with `banyan testbed up MANIFEST`, or choose its folder with --dir"
    )
}

pub(super) fn is_locked(folder: &Path) -> bool {
    let lock = File::open(folder.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// `banyan/testbed` in the user's cache.
pub(super) fn default() -> anyhow::Result<PathBuf> {
    let Some(assets) = folders::default_cache() else {
        bail!("neither XDG_CACHE_HOME nor HOME is set; choose a folder with --dir");
    };
    Ok(assets.with_file_name("testbed"))
}

const LOCK: &str = "lock";
pub(super) const PLAN: &str = "plan.json";
pub(super) const STATE: &str = "state.json";
pub(super) const LOGS: &str = "logs";
pub(super) const RECORD: &str = "record";
pub(super) const CAPTURES: &str = "captures";
pub(super) const METRICS: &str = "metrics";
pub(super) const VIEWERS: &str = "viewers";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_testbed_at_a_time_and_the_next_one_finds_it_empty() {
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("run");
        let first = Folder::claim(&path).unwrap();
        std::fs::write(path.join(LOGS).join("root-0.stderr"), "a line").unwrap();
        let refused = Folder::claim(&path).unwrap_err().to_string();
        assert!(refused.starts_with("a testbed is running in "), "{refused}");
        drop(first);
        assert!(
            running(&path)
                .unwrap_err()
                .to_string()
                .starts_with("no testbed is running in ")
        );
        let _again = Folder::claim(&path).unwrap();
        assert_eq!(std::fs::read_dir(path.join(LOGS)).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_with_anything_else_in_it_is_left_alone() {
        let work = tempfile::tempdir().unwrap();
        std::fs::write(work.path().join("thesis.tex"), "years").unwrap();
        let refused = Folder::claim(work.path()).unwrap_err().to_string();
        assert!(
            refused.contains("is not empty and no folder of a testbed"),
            "{refused}"
        );
        assert!(work.path().join("thesis.tex").is_file());
    }
}
