//! The command line: one variant per subcommand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::{chaos, control, core, drain, origins, plan, play, testbed, up};

/// Live and looped video from content servers to every viewer over a self-repairing tree.
#[derive(Debug, Parser)]
#[command(name = "banyan", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Plan(plan::Args),
    Play(play::Args),
    Chaos(chaos::Args),
    Drain(drain::Args),
    Origins(origins::Args),
    Core(core::Args),
    Testbed(testbed::Args),
    /// Print the custom resource definitions as YAML.
    #[command(after_help = "Example:\n  banyan crds | kubectl apply --server-side -f -")]
    Crds {
        /// Write one file per definition into this folder instead.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    Control(control::Args),
}

/// Runs a parsed command line.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Plan(args) => plan::run(&args),
        Command::Play(args) => play::run(args).await,
        Command::Chaos(args) => chaos::run(args).await,
        Command::Drain(args) => drain::run(args).await,
        Command::Origins(args) => origins::run(args).await,
        Command::Core(args) => core::run(&args),
        Command::Testbed(args) => testbed::run(args).await,
        Command::Crds { out } => crds(out.as_deref()),
        Command::Control(args) => control::run(args).await,
    }
}

fn crds(out: Option<&Path>) -> anyhow::Result<ExitCode> {
    let files = banyan_api::crds::crds();
    if let Some(folder) = out {
        for file in files {
            let path = folder.join(file.name);
            std::fs::write(&path, file.yaml)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let documents: Vec<String> = files.into_iter().map(|file| file.yaml).collect();
    print(&documents.join("---\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output; a reader that left early is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

const EXAMPLES: &str = "Examples:
  banyan up examples/campus.yaml
  banyan up --file talk.mp4
  banyan play http://127.0.0.1:18012/talk/index.m3u8 --for 10s";
