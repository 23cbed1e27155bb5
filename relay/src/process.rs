//! The process around a relay: arguments, logs, signals, exit codes.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::assembly::{Relay, bind, secret};
use crate::boot;
use crate::config::{Arguments, Start};
use crate::leave::Orders;

/// Bad configuration (`EX_USAGE`); a failed start is 1.
const BAD_CONFIGURATION: u8 = 64;

/// Set to 1 by whoever gives a pipe as standard input and wants no orphans.
const EXIT_ON_STDIN_EOF: &str = "BANYAN_EXIT_ON_STDIN_EOF";

/// Runs until told to leave: SIGTERM gently; SIGINT, or a second signal, in a hurry.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let bad = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if bad { BAD_CONFIGURATION } else { 0 });
        }
    };
    log();
    let start = arguments.resolve().map_err(|error| error.to_string());
    let secret = secret(|name| std::env::var(name).ok());
    let (start, secret) = match (start, secret) {
        (Ok(start), Ok(secret)) => (start, secret),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("error: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(start, secret)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(start: Start, secret: banyan_proto::trust::RunSecret) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let relay = match start {
        Start::Known(config) => Relay::bind(*config, secret).await?,
        Start::Ask(asking) => {
            let http = bind("http", asking.config.http).await?;
            let (config, http) = tokio::select! {
                told = boot::wait(*asking, http) => told?,
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            };
            Relay::bind_beside(http, config, secret).await?
        }
    };
    let orders = Orders::default();
    let orphaned = CancellationToken::new();
    if std::env::var(EXIT_ON_STDIN_EOF).is_ok_and(|value| value == "1") {
        follow_parent(orphaned.clone());
    }
    let running = relay.run(orders.clone());
    tokio::pin!(running);
    loop {
        tokio::select! {
            ended = &mut running => return ended,
            () = orphaned.cancelled(), if !orders.hurry.is_cancelled() => {
                tracing::info!("whoever started this has ended");
                orders.hurry.cancel();
            }
            _ = terminate.recv() => {
                if orders.leave.is_cancelled() {
                    tracing::info!("told to terminate again: at once");
                    orders.hurry.cancel();
                } else {
                    tracing::info!("told to terminate");
                    orders.leave.cancel();
                }
            }
            _ = interrupt.recv() => {
                tracing::info!("interrupted");
                orders.hurry.cancel();
            }
        }
    }
}

/// Ends this process with the one that holds the other end of its standard input. A thread, because
/// a pending read of standard input would keep the runtime from stopping.
fn follow_parent(orphaned: CancellationToken) {
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        let mut input = std::io::stdin();
        while matches!(std::io::Read::read(&mut input, &mut buffer), Ok(1..)) {}
        orphaned.cancel();
    });
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
