//! `banyan control`: the control plane of a local run as a process of its own, started by `up`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use banyan_control::clock;
use banyan_control::roster::Roster;
use banyan_control::service::{Service, Settings};
use banyan_control::topology::Limits;
use banyan_control::world::local::EXIT_ON_STDIN_EOF;
use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::exit::Refusal;
use crate::signals::Signals;

/// Serve the control plane of one run (started by `banyan up`).
#[derive(Debug, clap::Args)]
#[command(
    hide = true,
    after_help = "Example:\n  BANYAN_RUN_SECRET=… banyan control --layout control.json --grpc 127.0.0.1:18001 --http 127.0.0.1:18000"
)]
pub struct Args {
    /// The members of the run, as `up` laid them out
    #[arg(long, value_name = "FILE")]
    layout: PathBuf,
    /// Where members attach
    #[arg(long, value_name = "ADDRESS")]
    grpc: SocketAddr,
    /// Where the page is served
    #[arg(long, value_name = "ADDRESS")]
    http: SocketAddr,
}

/// Serves until asked to stop.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let roster = roster(&args.layout)?;
    let secret = secret()?;
    let mut signals = Signals::new().context("cannot catch signals")?;
    let grpc = bind(args.grpc).await?;
    let http = bind(args.http).await?;
    let shutdown = CancellationToken::new();
    leave_with_parent(shutdown.clone());
    let settings = Settings {
        roster,
        // Later runs of the control plane have later clocks; two within a millisecond cannot be.
        term: clock::unix_ms(),
        limits: Limits::default(),
        // Whoever reaches this loopback address may end the processes as well.
        changes: true,
    };
    let service = Service::new(settings, shutdown.clone());
    tracing::info!(grpc = %args.grpc, http = %args.http, "control plane serves");
    let serve = service.run(Arc::new(secret), grpc, http);
    tokio::pin!(serve);
    tokio::select! {
        ended = &mut serve => ended?,
        () = signals.next() => {
            shutdown.cancel();
            serve.await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn roster(path: &Path) -> anyhow::Result<Roster> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Refusal::one(format!("layout {path:?} cannot be read: {error}")))?;
    serde_json::from_str(&text)
        .map_err(|error| Refusal::one(format!("layout {path:?} is not a layout: {error}")))
}

fn secret() -> anyhow::Result<RunSecret> {
    let text = std::env::var(RUN_SECRET_VARIABLE).map_err(|_| {
        Refusal::one(format!(
            "{RUN_SECRET_VARIABLE} is not set; 64 hexadecimal digits are accepted"
        ))
    })?;
    RunSecret::from_hex(&text)
        .map_err(|error| Refusal::one(format!("{RUN_SECRET_VARIABLE} is refused: {error}")))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// When `up` is killed, the pipe on standard input ends: nobody is left to stop this process.
fn leave_with_parent(shutdown: CancellationToken) {
    if std::env::var(EXIT_ON_STDIN_EOF).as_deref() != Ok("1") {
        return;
    }
    // A plain thread: a blocking read on the runtime's pool would hold up its shutdown.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        shutdown.cancel();
    });
}
