//! What to run: one topology, the servers that feed it and their media root, from a manifest or
//! from a few video files.

mod videos;

use std::path::{Path, PathBuf};

use banyan_api::manifest::{self, MAX_MANIFEST_BYTES, Validated};
use banyan_api::model::{Server, Topology};

use crate::exit::Refusal;

pub use self::videos::from_files;

/// A run, checked.
#[derive(Debug)]
pub struct Scenario {
    /// The tree.
    pub topology: Topology,
    /// Its content servers.
    pub servers: Vec<Server>,
    /// Where the servers' paths begin; absolute.
    pub media: PathBuf,
    /// Allowed but probably not meant, or without effect here.
    pub notes: Vec<String>,
}

/// Reads a manifest. All problems are reported together.
pub fn from_manifest(path: &Path, media: Option<&Path>) -> anyhow::Result<Scenario> {
    let text = read(path)?;
    let name = path.display().to_string();
    let valid = manifest::load(&[(&name, &text)]).map_err(refuse)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    select(valid, &name, folder_of_media(media.unwrap_or(folder))?)
}

/// The one topology of a manifest that runs.
fn select(valid: Validated, name: &str, media: PathBuf) -> anyhow::Result<Scenario> {
    let refusals: Vec<String> = valid.refusals().map(ToString::to_string).collect();
    if !refusals.is_empty() {
        return Err(Refusal(refusals).into());
    }
    let ignored = valid.unsupported.iter().map(|field| &field.problem);
    let notes = ignored
        .chain(&valid.notes)
        .map(ToString::to_string)
        .collect();
    let names: Vec<_> = valid.topologies.iter().map(|t| t.name.as_str()).collect();
    if names.len() > 1 {
        return Err(Refusal::one(format!(
            "{name}: holds {} StreamTopologies ({}); exactly one is accepted here",
            names.len(),
            names.join(", ")
        )));
    }
    let Some(topology) = valid.topologies.into_iter().next() else {
        return Err(Refusal::one(format!(
            "{name}: holds no StreamTopology; exactly one is accepted here"
        )));
    };
    let servers: Vec<_> = valid
        .servers
        .into_iter()
        .filter(|server| server.topology == topology.name)
        .collect();
    if servers.is_empty() {
        return Err(Refusal::one(format!(
            "{name}: no ContentServer feeds topology {:?}; at least one is needed",
            topology.name
        )));
    }
    Ok(Scenario {
        topology,
        servers,
        media,
        notes,
    })
}

fn refuse(problems: Vec<manifest::Problem>) -> anyhow::Error {
    Refusal(problems.iter().map(ToString::to_string).collect()).into()
}

fn read(path: &Path) -> anyhow::Result<String> {
    let refuse = |why: String| Refusal::one(format!("manifest {path:?} {why}"));
    let facts =
        std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if facts.is_dir() {
        return Err(refuse("is a folder; a YAML file is accepted".to_owned()));
    }
    if facts.len() > MAX_MANIFEST_BYTES as u64 {
        let size = facts.len();
        return Err(refuse(format!(
            "has {size} bytes; at most {MAX_MANIFEST_BYTES} are accepted"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|_| refuse("is not text; a YAML file is accepted".to_owned()))
}

fn folder_of_media(folder: &Path) -> anyhow::Result<PathBuf> {
    let refuse = |why: String| Refusal::one(format!("media folder {folder:?} {why}"));
    let absolute = folder
        .canonicalize()
        .map_err(|error| refuse(format!("cannot be used: {error}")))?;
    if !absolute.is_dir() {
        return Err(refuse("is not a folder".to_owned()));
    }
    Ok(absolute)
}
