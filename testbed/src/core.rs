//! Exports for CORE (9.1 and newer): the same network and the same members as files that CORE opens and runs.
//!
//! [`plan`] turns a network and its layout into nodes, links and services once; `scenario.xml`, `scenario.py` and the
//! start scripts are renderings of it. Members' commands are the layout's, word by word. [`check`] knows what CORE
//! trips over; an export that breaks one of its rules is not written.

pub mod check;
mod experiments;
mod icons;
mod metadata;
mod options;
mod plan;
mod readme;
mod scenario_py;
mod scenario_xml;
mod scripts;
mod services;

#[cfg(test)]
mod tests;

use banyan_control::layout::Layout;

use crate::model::{Lock, Network};

pub use self::metadata::METADATA;
pub(crate) use self::metadata::Metadata;
pub use self::options::Options;
pub(crate) use self::plan::model_of;

/// What an export is made of.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its members, laid out with the placeholders of this module as folders.
    pub layout: &'a Layout,
    /// Who has which identifier.
    pub lock: &'a Lock,
    /// The manifest's text.
    pub manifest: &'a str,
    /// Absolute path of the folder that the files go to: the graphical interface finds icons by it.
    pub folder: &'a str,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the export's folder.
    pub path: String,
    /// What it holds.
    pub contents: Vec<u8>,
    /// Whether it can be run.
    pub executable: bool,
}

/// Why there is no export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that CORE makes into a path and into words of commands.
    #[error(
        "underlay node {name:?} cannot be a CORE node; accepted are 1 to 32 letters, digits and dashes"
    )]
    Name {
        /// Which.
        name: String,
    },
    /// The folder cannot be named in a script.
    #[error(
        "folder {folder:?} has a character that scripts trip over; accepted are letters, digits, spaces and / . _ - + @ ,"
    )]
    Folder {
        /// Which.
        folder: String,
    },
    /// The export breaks a rule of its own checker.
    #[error("the export would not run: {0}")]
    Broken(String),
}

/// All files of an export, in order of their paths; the same source gives the same bytes.
pub fn export(source: &Source<'_>) -> Result<Vec<File>, Error> {
    let fits = |c: char| c.is_alphanumeric() || " /._-+@,".contains(c);
    if !source.folder.chars().all(fits) {
        return Err(Error::Folder {
            folder: source.folder.to_owned(),
        });
    }
    let plan = plan::Plan::of(source)?;
    let mut files = vec![
        text("scenario.xml", scenario_xml::render(&plan)),
        program("scenario.py", scenario_py::render(&plan)),
        text("banyan_services/__init__.py", services::init()),
        text("banyan_services/banyan.py", services::module(&plan)),
        text("env", scripts::env(&plan)),
        text("lib.sh", scripts::library()),
        program("term", scripts::term()),
        program("setup", scripts::setup(source.folder)),
        text("manifest.yaml", source.manifest.to_owned()),
        text("manifest.lock.json", source.lock.text()),
        text("README.md", readme::render(&plan)),
    ];
    files.extend(scripts::start(&plan));
    files.extend(experiments::files(&plan));
    files.extend(icons::files());
    for member in &source.layout.members {
        for file in &member.files {
            let path = file.path.strip_prefix(HERE).unwrap_or(&file.path);
            files.push(text(path.trim_start_matches('/'), file.contents.clone()));
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    match check::export(&files).first() {
        Some(fault) => Err(Error::Broken(fault.clone())),
        None => Ok(files),
    }
}

fn text(path: &str, contents: String) -> File {
    File {
        path: path.to_owned(),
        contents: contents.into_bytes(),
        executable: false,
    }
}

fn program(path: &str, contents: String) -> File {
    File {
        executable: true,
        ..text(path, contents)
    }
}

/// Stands for the export's folder in a layout.
pub const HERE: &str = "@here@";
/// Stands for the folder of media files.
pub const MEDIA: &str = "@media@";
/// Stands for the folder of what a run leaves.
pub const STATE: &str = "@state@";
/// Start of all streams, 2026-01-01: an export does not depend on the day it was made.
pub const EPOCH: u64 = 1_767_225_600;
