//! `banyan testbed`: the topology of a manifest in network namespaces, on links as its `underlay` says, with the
//! programs that pods run.
//!
//! The *outer* process ([`session`]) checks everything and keeps the run's folder; the *inner* one ([`inside`]), first
//! process of namespaces of its own, makes the network and runs the members. They speak over a socket ([`request`]).

mod enter;
mod experiment;
mod folder;
mod inside;
mod linkd;
mod measure;
mod request;
pub mod session;
mod up;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

/// Run a topology on an emulated network: delay, loss and rate of every link as the manifest says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Check(measure::Check),
    Run(experiment::Args),
    /// Run a command in a node of a running testbed
    #[command(
        after_help = "Example:\n  banyan testbed exec client-1 -- banyan play http://10.0.3.1:8080/film/index.m3u8 --for 10s"
    )]
    Exec(enter::Args),
    /// Show a running testbed: nodes, addresses, members, links and how late their process was
    #[command(after_help = "Example:\n  banyan testbed status --json")]
    Status(enter::Status),
    /// Change a link of a running testbed
    #[command(
        after_help = "Examples:\n  banyan testbed link lisbon--r1 --delay 80ms --loss 1%\n  banyan testbed link lisbon--r1 --down"
    )]
    Link(enter::Link),
    /// Write what arrives at the ends of a link to a pcap file, from now on
    #[command(
        after_help = "Examples:\n  banyan testbed capture lisbon--r1 lisbon.pcap\n  banyan testbed capture lisbon--r1 --end"
    )]
    Capture(enter::Capture),
    /// Start, stop, kill, freeze or thaw a member of a running testbed
    #[command(
        after_help = "Examples:\n  banyan testbed member start s2\n  banyan testbed member kill hop-0"
    )]
    Member(enter::Member),
    /// End a running testbed
    #[command(after_help = "Example:\n  banyan testbed down")]
    Down(enter::Down),
    #[command(hide = true)]
    Inside {
        folder: PathBuf,
    },
    #[command(hide = true)]
    Linkd {
        config: PathBuf,
        socket: PathBuf,
    },
    #[command(hide = true)]
    Measure(measure::Args),
    #[command(hide = true)]
    Traffic {
        to: SocketAddr,
        rate_bps: u64,
    },
}

/// Runs a parsed command line.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Up(args) => up::run(args).await,
        Command::Check(args) => measure::check(args).await,
        Command::Run(args) => experiment::run(args).await,
        Command::Exec(args) => enter::exec(args),
        Command::Status(args) => enter::status(&args),
        Command::Link(args) => enter::link(&args),
        Command::Capture(args) => enter::capture(&args),
        Command::Member(args) => enter::member(&args),
        Command::Down(args) => enter::down(&args).await,
        Command::Inside { folder } => inside::run(&folder).await,
        Command::Linkd { config, socket } => linkd::run(&config, &socket),
        Command::Measure(args) => measure::run(&args),
        Command::Traffic { to, rate_bps } => experiment::traffic::run(to, rate_bps).await,
    }
}

const EXAMPLES: &str = "Examples:
  banyan testbed up examples/scenario-a.yaml
  banyan testbed exec client-1 -- ping -c 3 10.0.1.1
  banyan testbed check examples/scenario-a.yaml
  banyan testbed run examples/experiments/second-server.yaml --out second-server
  banyan testbed down";
