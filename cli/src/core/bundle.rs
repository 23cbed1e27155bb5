//! Programs with their libraries and the loader, so that an export runs on a machine that has none of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::up::programs;

/// What is copied.
pub(super) struct Bundle {
    programs: Vec<PathBuf>,
    /// By file name.
    libraries: BTreeMap<String, PathBuf>,
    loader: Option<String>,
}

impl Bundle {
    /// Looks for the programs and asks the loader for their libraries.
    pub(super) fn find() -> anyhow::Result<Self> {
        let found = programs::find()?;
        let mut bundle = Self {
            programs: vec![found.control, found.relay, found.origin],
            libraries: BTreeMap::new(),
            loader: None,
        };
        for program in bundle.programs.clone() {
            let listed = Command::new("ldd")
                .arg(&program)
                .output()
                .context("cannot run ldd, which lists libraries; it comes with the C library")?;
            let text = String::from_utf8_lossy(&listed.stdout).into_owned();
            bundle
                .add(&text)
                .with_context(|| format!("cannot bundle {program:?}"))?;
        }
        Ok(bundle)
    }

    /// Lines of ldd: `name => path (address)`, the loader as a path alone, the kernel's page without one.
    fn add(&mut self, listed: &str) -> anyhow::Result<()> {
        for line in listed.lines().map(str::trim) {
            let (name, path) = match line.split_once(" => ") {
                Some((name, rest)) => (name, rest.split(" (").next().unwrap_or_default()),
                None => ("", line.split(" (").next().unwrap_or_default()),
            };
            if path == "not found" {
                bail!("library {name} is not on this machine");
            }
            let file = Path::new(path);
            let Some(own) = file.file_name().filter(|_| file.is_absolute()) else {
                continue;
            };
            let own = own.to_string_lossy().into_owned();
            if name.is_empty() {
                self.loader = Some(own.clone());
            }
            let name = if name.is_empty() || name.contains('/') {
                own
            } else {
                name.to_owned()
            };
            self.libraries.insert(name, file.to_owned());
        }
        Ok(())
    }

    /// Into `bin` (what scripts call), `libexec` and `lib` of an export.
    pub(super) fn copy(&self, export: &Path) -> anyhow::Result<()> {
        for folder in ["bin", "libexec", "lib"] {
            let folder = export.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {folder:?}"))?;
        }
        for (name, path) in &self.libraries {
            copy(path, &export.join("lib").join(name))?;
        }
        for program in &self.programs {
            let Some(name) = program.file_name() else {
                continue;
            };
            copy(program, &export.join("libexec").join(name))?;
            let start = export.join("bin").join(name);
            let text = self.start(&name.to_string_lossy());
            fs::write(&start, text).with_context(|| format!("cannot write {start:?}"))?;
            fs::set_permissions(&start, fs::Permissions::from_mode(0o755))
                .with_context(|| format!("cannot set the mode of {start:?}"))?;
        }
        Ok(())
    }

    /// Through the bundled loader: that of another system may not fit the libraries.
    fn start(&self, name: &str) -> String {
        let command = match &self.loader {
            Some(loader) => format!(
                "\"$here/lib/{loader}\" --library-path \"$here/lib\" \"$here/libexec/{name}\""
            ),
            None => format!("\"$here/libexec/{name}\""),
        };
        format!(
            "#!/bin/sh\nhere=$(cd \"$(dirname \"$0\")/..\" && pwd)\n# A content server starts itself anew for each encoder.\nBANYAN_ORIGIN_PROGRAM=$here/bin/banyan-origin\nexport BANYAN_ORIGIN_PROGRAM\nexec {command} \"$@\"\n"
        )
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {from:?} to {to:?}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Bundle {
        Bundle {
            programs: Vec::new(),
            libraries: BTreeMap::new(),
            loader: None,
        }
    }

    #[test]
    fn libraries_and_the_loader_are_taken_and_the_kernels_page_is_not() {
        let mut bundle = empty();
        bundle
            .add("\tlinux-vdso.so.1 (0x00007ff)\n\tlibm.so.6 => /lib/x/libm.so.6 (0x1)\n\t/lib64/ld-linux.so.2 (0x2)\n")
            .unwrap();
        let names: Vec<&str> = bundle.libraries.keys().map(String::as_str).collect();
        assert_eq!(names, ["ld-linux.so.2", "libm.so.6"]);
        assert!(
            bundle
                .start("banyan")
                .contains("\"$here/lib/ld-linux.so.2\" --library-path \"$here/lib\"")
        );
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let error = empty().add("\tlibq.so.1 => not found\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "library libq.so.1 is not on this machine"
        );
    }
}
