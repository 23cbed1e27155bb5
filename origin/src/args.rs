//! Arguments and environment of the `banyan-origin` executable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// `banyan-origin`: a content server of one topology.
#[derive(Debug, Parser)]
#[command(
    name = "banyan-origin",
    version,
    about = "A Banyan content server",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) hidden: Option<Hidden>,
    #[command(flatten)]
    pub(crate) serve: Option<Serve>,
}

/// How a server is started.
#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// Name of this member: its ContentServer's name
    #[arg(long)]
    pub(crate) member: String,
    /// Name of the topology it feeds
    #[arg(long)]
    pub(crate) topology: String,
    /// Address for gRPC
    #[arg(long)]
    pub(crate) grpc: SocketAddr,
    /// Address for health, readiness, metrics and /api/member
    #[arg(long)]
    pub(crate) http: SocketAddr,
    /// URI that others reach the gRPC address by [default: http://<grpc>]
    #[arg(long)]
    pub(crate) advertise: Option<String>,
    /// Configuration file (JSON of banyan.v1.Config)
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Control plane to attach to; it may come and go
    #[arg(long)]
    pub(crate) control: Option<String>,
    /// File with the token that tells the control plane who this is; read again for every call
    #[arg(long)]
    pub(crate) service_account_token: Option<PathBuf>,
    /// Media root: contents' files lie below it
    #[arg(long)]
    pub(crate) media: PathBuf,
    /// Folder for prepared assets; belongs to this server alone
    #[arg(long)]
    pub(crate) cache: PathBuf,
    /// How long to serve on, unready, when told to leave: such as 1s or 500ms
    #[arg(long, env = "BANYAN_LAME_DUCK", default_value = "1s", value_parser = duration)]
    pub(crate) lame_duck: Duration,
    /// How long children may take to go, from then on
    #[arg(long, env = "BANYAN_DRAIN_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub(crate) drain_timeout: Duration,
    /// Folder to append <member>.events.jsonl to
    #[arg(long)]
    pub(crate) record: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000)];
    units
        .iter()
        .find_map(|(unit, ms)| {
            text.strip_suffix(unit)?
                .parse::<u64>()
                .ok()?
                .checked_mul(*ms)
        })
        .map(Duration::from_millis)
        .filter(|duration| *duration <= Duration::from_secs(3600))
        .ok_or_else(|| "0ms to 60m is accepted, such as 500ms or 10s".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Hidden {
    /// Encodes one asset's sound to standard output; started by the server itself
    #[command(name = "encode-audio", hide = true)]
    EncodeAudio(EncodeAudio),
}

#[derive(Debug, Args)]
pub(crate) struct EncodeAudio {
    #[arg(long)]
    pub(crate) path: Option<PathBuf>,
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) start_ns: i64,
    #[arg(long)]
    pub(crate) sample_rate: u32,
    #[arg(long)]
    pub(crate) bitrate: u64,
    #[arg(long)]
    pub(crate) frames: u64,
    #[arg(long)]
    pub(crate) fade_at: u64,
}
