//! Folders of a run: a private one that goes with it, and caches that stay.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Makes a folder and those above it, and sees that files can be written there.
pub(crate) fn make(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::create_dir_all(path).and_then(|()| tempfile::tempfile_in(path));
    match made {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "folder {path:?} cannot be used: {error}; a folder in which this user may write is accepted"
        ),
    }
}

/// Removed when dropped, but for the prepared assets.
pub(crate) struct Folders {
    run: TempDir,
    caches: BTreeMap<String, PathBuf>,
    _locks: Vec<File>,
}

impl Folders {
    /// A fresh folder for the run, and for each server a cache that no other run uses now.
    pub(crate) fn make<'a>(
        cache: &Path,
        servers: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let run = tempfile::Builder::new()
            .prefix("banyan-up-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        make(cache)?;
        let mut caches = BTreeMap::new();
        let mut locks = Vec::new();
        for server in servers {
            let (folder, lock) = claim(cache, server)
                .with_context(|| format!("cannot use cache folder {cache:?}"))?;
            caches.insert(server.to_owned(), folder);
            locks.push(lock);
        }
        Ok(Self {
            run,
            caches,
            _locks: locks,
        })
    }

    /// Where the members' files go.
    pub(crate) fn configs(&self) -> String {
        self.run.path().join("configs").display().to_string()
    }

    pub(crate) fn caches(&self) -> BTreeMap<String, String> {
        let text =
            |(server, path): (&String, &PathBuf)| (server.clone(), path.display().to_string());
        self.caches.iter().map(text).collect()
    }

    /// Removes the run's folder and says when that fails.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let path = self.run.path().to_owned();
        self.run
            .close()
            .with_context(|| format!("cannot remove temporary folder {path:?}"))
    }
}

/// `$XDG_CACHE_HOME/banyan/assets`, else `~/.cache/banyan/assets`.
pub(crate) fn default_cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let root = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(root.join("banyan/assets"))
}

/// `server`, or `server-2` and so on while other runs hold those before it. The lock ends with the
/// process, however that ends.
fn claim(cache: &Path, server: &str) -> std::io::Result<(PathBuf, File)> {
    for number in 1.. {
        let name = match number {
            1 => server.to_owned(),
            n => format!("{server}-{n}"),
        };
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        match lock.try_lock() {
            Ok(()) => {
                let folder = cache.join(name);
                std::fs::create_dir_all(&folder)?;
                return Ok((folder, lock));
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(std::io::ErrorKind::ResourceBusy.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_never_share_a_cache_and_a_later_one_reuses_it() {
        let cache = tempfile::tempdir().unwrap();
        let make = || Folders::make(cache.path(), ["pear"]).unwrap();
        let (first, second) = (make(), make());
        let name = |folders: &Folders| folders.caches["pear"].file_name().unwrap().to_owned();
        assert_eq!(
            (name(&first), name(&second)),
            ("pear".into(), "pear-2".into())
        );
        drop(first);
        assert_eq!(name(&make()), "pear");
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_told_with_the_reason() {
        let work = tempfile::tempdir().unwrap();
        let file = work.path().join("pears");
        std::fs::write(&file, "").unwrap();
        let path = file.join("below");
        assert_eq!(
            make(&path).unwrap_err().to_string(),
            format!(
                "folder {path:?} cannot be used: Not a directory (os error 20); a folder in which this user may write is accepted"
            )
        );
        assert!(make(&work.path().join("new")).is_ok());
    }

    #[test]
    fn the_runs_folder_goes_and_the_cache_stays() {
        let cache = tempfile::tempdir().unwrap();
        let folders = Folders::make(cache.path(), ["pear"]).unwrap();
        let run = folders.run.path().to_owned();
        std::fs::create_dir_all(folders.configs()).unwrap();
        folders.close().unwrap();
        assert!(!run.exists());
        assert!(cache.path().join("pear").is_dir());
    }
}
