//! A disk with next to no room: a small tmpfs, which only root may mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

/// Mounted until dropped.
pub(crate) struct Disk(PathBuf);

/// Why this process cannot make one.
pub(crate) fn cannot() -> Option<String> {
    let folder = tempfile::tempdir().ok()?;
    let made = Disk::small(folder.path());
    made.err()
        .map(|error| format!("a small disk cannot be made here: {error:#}"))
}

impl Disk {
    pub(crate) fn small(folder: &Path) -> anyhow::Result<Self> {
        anyhow::ensure!(
            rustix::process::geteuid().is_root(),
            "mounting a tmpfs needs root"
        );
        std::fs::create_dir_all(folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "banyan-chaos"]);
        let output = mount.arg(folder).stdin(Stdio::null()).output();
        let output = output.context("cannot run mount")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "mount failed: {}", said.trim());
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that still has it open must not keep it in the tree.
        let mut umount = Command::new("umount");
        let _ = umount.arg("-l").arg(&self.0).output();
    }
}

/// Less than one segment of a preparation.
const SIZE: &str = "size=64k";
