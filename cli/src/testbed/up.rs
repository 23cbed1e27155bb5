//! `banyan testbed up`: a testbed until it is asked to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::session::{Session, Setup};
use crate::commands;
use crate::signals::Signals;

/// Start a testbed and keep it until Ctrl-C or `banyan testbed down`
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A manifest with one StreamTopology and the ContentServers that feed it
    manifest: PathBuf,
    /// Where the paths of contents begin [default: the manifest's folder]
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Folder of the run, emptied first [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where prepared assets are kept [default: banyan/assets in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Seed of chance on the links: the same seed loses the same frames
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Capture every link, as pcap files in the folder's captures/
    #[arg(long)]
    capture: bool,
    /// Emulate links without impairments too, so that every link can be counted and changed
    #[arg(long)]
    emulate_all: bool,
    /// A member that is not started with the others
    #[arg(long, value_name = "MEMBER")]
    later: Vec<String>,
    /// Print one line of JSON once everything is ready
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  banyan testbed up examples/scenario-a.yaml
  banyan testbed up examples/scenario-b.yaml --capture --seed 7 --dir /tmp/run";

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("cannot catch signals")?;
    let setup = Setup {
        media: args.media,
        cache: args.cache,
        folder: args.dir,
        seed: args.seed,
        capture: args.capture,
        emulate_all: args.emulate_all,
        later: args.later,
        ..Setup::new(args.manifest)
    };
    let mut session = tokio::select! {
        session = Session::start(setup) => session?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    for failure in session.failures() {
        eprintln!("banyan: {failure}");
    }
    announce(&session, args.json)?;
    tokio::select! {
        ended = session.ended() => ended?,
        () = signals.next() => {}
    }
    session.stop().await?;
    Ok(ExitCode::SUCCESS)
}

fn announce(session: &Session, json: bool) -> anyhow::Result<()> {
    let network = session.network();
    if json {
        let line = json!({
            "folder": session.folder(),
            "streams": session.streams(),
            "edges": session.edges(None),
            "members": network.members,
        });
        return commands::print(&format!("{line}\n"));
    }
    let mut text = format!(
        "\nTestbed {} is up: {} nodes, {} links, {} members.\n\n  Folder   {}\n  Streams  {}\n",
        network.topology,
        network.nodes.len(),
        network.links.len(),
        network.members.len(),
        session.folder().display(),
        session.streams().join(", "),
    );
    let client = network.nodes.iter().find(|node| !node.watches.is_empty());
    if let Some(client) = client
        && let Some(edge) = session.edges(Some(&client.name)).first()
    {
        let stream = &client.watches[0];
        text += &format!(
            "  Play     banyan testbed exec {} -- banyan play {edge}/{stream}/index.m3u8 --for 10s\n",
            client.name
        );
    }
    text += "\nCtrl-C or `banyan testbed down` ends it.\n";
    commands::print(&text)
}
