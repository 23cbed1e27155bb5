//! `banyan-bench hop|edge|planner|resume|links`: JSON lines on standard output.

use anyhow::Result;
use banyan_bench::{edge, hop, links, planner, resume};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures Banyan beside peers and limits; one JSON line per measurement")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One gRPC hop beside raw TCP.
    Hop,
    /// The planner beside its budget.
    Planner,
    /// An edge beside nginx.
    Edge,
    /// How long delivery is away after a fault.
    Resume(resume::Options),
    /// How much links of a testbed carry at the same time.
    Links(links::Options),
    #[command(hide = true)]
    HopServer { kind: hop::Kind, chunks: u64 },
    #[command(hide = true)]
    HopClient {
        kind: hop::Kind,
        chunks: u64,
        address: String,
        subscribers: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Hop => hop::run(),
        Command::Planner => planner::run(),
        Command::Edge => edge::run().await,
        Command::Resume(options) => resume::run(&options),
        Command::Links(options) => links::run(&options),
        Command::HopServer { kind, chunks } => hop::serve(kind, chunks).await,
        Command::HopClient {
            kind,
            chunks,
            address,
            subscribers,
        } => hop::receive(kind, chunks, address, subscribers).await,
    }
}
