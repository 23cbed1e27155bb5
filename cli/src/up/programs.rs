//! Where the programs are: beside this one, else on the path.

use std::path::{Path, PathBuf};

use anyhow::Context;
use banyan_control::world::local::Programs;

use crate::exit::Refusal;

pub(crate) fn find() -> anyhow::Result<Programs> {
    let control = std::env::current_exe().context("cannot tell where this program is")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = control.parent().map(Path::to_owned).into_iter().collect();
    folders.extend(std::env::split_paths(&path));
    let mut missing = Vec::new();
    let mut program = |name: &str| {
        let mut candidates = folders.iter().map(|folder| folder.join(name));
        candidates.find(|file| file.is_file()).unwrap_or_else(|| {
            missing.push(format!(
                "program {name:?} is neither beside {control:?} nor on PATH; build it with `cargo build -p {name}`"
            ));
            PathBuf::new()
        })
    };
    let (relay, origin) = (program("banyan-relay"), program("banyan-origin"));
    if !missing.is_empty() {
        return Err(Refusal(missing).into());
    }
    Ok(Programs {
        control,
        relay,
        origin,
    })
}
