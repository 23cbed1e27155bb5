//! `banyan core`: a manifest as a CORE session, and a CORE topology as a manifest.

mod bundle;
mod folder;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use banyan_api::model::Source;
use banyan_control::layout::{self, Facts};
use banyan_testbed::core as testbed;
use banyan_testbed::import;
use banyan_testbed::model::{self, Listen};
use serde_json::json;

use crate::exit::Refusal;
use crate::{commands, scenario};

/// Export a manifest to CORE, or import a CORE topology.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Export(Export),
    Import(Import),
}

/// Write a folder that CORE 9.1 or newer opens and runs.
#[derive(Debug, clap::Args)]
#[command(after_help = EXPORT_EXAMPLES)]
struct Export {
    /// The manifest; its underlay is the network, without one every member gets a host at one router
    #[arg(short = 'f', long = "file", value_name = "MANIFEST")]
    manifest: PathBuf,
    /// Where to write; a folder of an earlier export keeps its identifiers and addresses
    #[arg(short = 'o', long, value_name = "DIR")]
    out: PathBuf,
    /// Copy the programs with their libraries and loader, for a machine without them
    #[arg(long)]
    bundle: bool,
    /// Print one line of JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Make a manifest of a topology that CORE saved (.imn or .xml).
#[derive(Debug, clap::Args)]
#[command(after_help = IMPORT_EXAMPLES)]
struct Import {
    /// The topology
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A list of overlay neighbours: JSON, XML, or lines `node: neighbour neighbour`
    #[arg(long, value_name = "FILE")]
    bootstrap: Option<PathBuf>,
    /// Write the manifest here instead of to standard output
    #[arg(short = 'o', long, value_name = "MANIFEST")]
    out: Option<PathBuf>,
    /// Print one line of JSON: the manifest, what could not be mapped, what was decided
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  banyan core export -f examples/scenario-b.yaml -o core-b
  banyan core import topology.imn --bootstrap neighbours.json -o topology.yaml";

const EXPORT_EXAMPLES: &str = "Example:
  banyan core export -f examples/scenario-c.yaml -o core-c --bundle";

const IMPORT_EXAMPLES: &str = "Examples:
  banyan core import topology.imn > topology.yaml
  banyan core import core-b/scenario.xml -o scenario-b.yaml
  banyan core import topology.xml --bootstrap neighbours.json --json";

/// Exports or imports.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Export(export) => self::export(export),
        Command::Import(import) => self::import(import),
    }
}

fn export(args: &Export) -> anyhow::Result<ExitCode> {
    let scenario = scenario::from_manifest(&args.manifest, None)?;
    let manifest = std::fs::read_to_string(&args.manifest)
        .with_context(|| format!("cannot read {:?}", args.manifest))?;
    let out = folder::Folder::at(&args.out)?;
    let (network, lock) = model::build(&scenario.topology, &scenario.servers, &out.lock()?)
        .map_err(|problems| Refusal(problems.iter().map(ToString::to_string).collect()))?;
    let cache = |name: &String| (name.clone(), format!("{}/cache/{name}", testbed::STATE));
    let facts = Facts {
        epoch: testbed::EPOCH,
        addresses: &Listen(&network),
        configs: format!("{}/configs", testbed::HERE),
        media: testbed::MEDIA.to_owned(),
        caches: scenario
            .servers
            .iter()
            .map(|server| cache(&server.name))
            .collect::<BTreeMap<_, _>>(),
        record: Some(format!("{}/record", testbed::STATE)),
    };
    let layout = layout::build(&scenario.topology, &scenario.servers, &facts)
        .map_err(|error| Refusal::one(error.to_string()))?;
    let source = testbed::Source {
        network: &network,
        layout: &layout,
        lock: &lock,
        manifest: &manifest,
        folder: out.path(),
    };
    let files = testbed::export(&source).map_err(|error| Refusal::one(error.to_string()))?;
    // Found before anything is written.
    let bundle = args.bundle.then(bundle::Bundle::find).transpose()?;
    out.write(&files)?;
    if let Some(bundle) = &bundle {
        bundle.copy(Path::new(out.path()))?;
    }
    let mut notes = network.notes.clone();
    let contents = scenario.servers.iter().flat_map(|server| &server.contents);
    let mut files_of = contents.filter(|content| matches!(content.source, Source::File { .. }));
    if let Some(content) = files_of.next() {
        notes.push(format!(
            "content {:?} is a file: copy media files into {}/media, or set BANYAN_MEDIA in env",
            content.name,
            out.path()
        ));
    }
    if args.json {
        let line = json!({
            "folder": out.path(), "nodes": network.nodes.len(), "links": network.links.len(),
            "members": network.members.len(), "files": files.len(), "bundle": args.bundle, "notes": notes,
        });
        commands::print(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for note in &notes {
        eprintln!("note: {note}");
    }
    commands::print(&format!(
        "{} nodes and {} links for CORE in {}\n\n  {}/setup                       what core.conf needs\n  core-python {}/scenario.py      build and start it\n",
        network.nodes.len(),
        network.links.len(),
        out.path(),
        out.path(),
        out.path()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn import(args: &Import) -> anyhow::Result<ExitCode> {
    let text = read("topology", &args.file)?;
    let bootstrap = match &args.bootstrap {
        Some(path) => Some(read("bootstrap file", path)?),
        None => None,
    };
    let stem = args
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let imported = import::import(&text, &stem.unwrap_or_default(), bootstrap.as_deref())
        .map_err(|error| Refusal::one(format!("{:?}: {error}", args.file)))?;
    if let Some(out) = &args.out {
        std::fs::write(out, &imported.manifest).with_context(|| format!("cannot write {out:?}"))?;
    }
    if args.json {
        let line = serde_json::to_string(&imported)?;
        commands::print(&format!("{line}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for sentence in &imported.unmapped {
        eprintln!("not mapped: {sentence}");
    }
    for sentence in &imported.notes {
        eprintln!("note: {sentence}");
    }
    if args.out.is_none() {
        commands::print(&imported.manifest)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A file of anybody's, never more of it than is accepted; bytes that are no text are shown as such.
fn read(what: &str, path: &Path) -> anyhow::Result<String> {
    let refuse = |why: String| Refusal::one(format!("{what} {path:?} {why}"));
    let facts =
        std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if facts.is_dir() {
        return Err(refuse("is a folder; a file is accepted".to_owned()));
    }
    let most = import::MAX_BYTES as u64;
    if facts.len() > most {
        let size = facts.len();
        return Err(refuse(format!(
            "has {size} bytes; at most {most} are accepted"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    // Old files may be in Latin-1; names become plain letters anyway.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
