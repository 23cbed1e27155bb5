//! The folder of an export: a new one, or that of an earlier export, whose generated files are replaced and whose
//! identifiers stay.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use banyan_testbed::core::File;
use banyan_testbed::model::Lock;

use crate::exit::Refusal;
use crate::up::folders;

/// A folder to export to.
pub(super) struct Folder {
    path: String,
    lock: Option<String>,
}

impl Folder {
    /// What there is; nothing is changed yet.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        let refuse = |why: &str| Refusal::one(format!("folder {path:?} {why}"));
        let absolute = std::path::absolute(path).context("cannot tell the current folder")?;
        let text = absolute
            .to_str()
            .map(|text| text.trim_end_matches('/').to_owned());
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| refuse("has no name in UTF-8; another name is accepted"))?;
        if absolute.exists() && !absolute.is_dir() {
            return Err(refuse("is a file; a folder is accepted"));
        }
        let lock = match fs::read_to_string(absolute.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {LOCK} in {path:?}"));
            }
        };
        let is_empty = fs::read_dir(&absolute).map_or(true, |mut entries| entries.next().is_none());
        if lock.is_none() && !is_empty {
            return Err(refuse(
                "holds other files; a new folder or one of an earlier export is accepted",
            ));
        }
        Ok(Self { path: text, lock })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Identifiers of the earlier export.
    pub(super) fn lock(&self) -> anyhow::Result<Lock> {
        match &self.lock {
            None => Ok(Lock::default()),
            Some(text) => Lock::parse(text)
                .map_err(|problem| Refusal::one(format!("{}/{LOCK}: {problem}", self.path))),
        }
    }

    /// Replaces what an export generates; what a run left and what people added beside it stays.
    pub(super) fn write(&self, files: &[File]) -> anyhow::Result<()> {
        let root = PathBuf::from(&self.path);
        for folder in GENERATED {
            match fs::remove_dir_all(root.join(folder)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot replace {folder} in {root:?}"));
                }
                _ => {}
            }
        }
        for file in files {
            let path = root.join(&file.path);
            if let Some(parent) = path.parent() {
                folders::make(parent)?;
            }
            fs::write(&path, &file.contents).with_context(|| format!("cannot write {path:?}"))?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .with_context(|| format!("cannot set the mode of {path:?}"))?;
        }
        Ok(())
    }
}

const LOCK: &str = "manifest.lock.json";
const GENERATED: [&str; 5] = [
    "start",
    "configs",
    "icons",
    "experiments",
    "banyan_services",
];
