//! `banyan`: runs a topology on this machine, explains its tree, plays its streams.
//!
//! [`commands`] parses; each subcommand is one module. Bad configuration ends with 64, a failed
//! start with 1, mapped in [`exit`] alone.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod chaos;
pub mod commands;
pub mod control;
pub mod core;
pub mod drain;
pub mod exit;
pub mod origins;
pub mod plan;
pub mod play;
pub mod scenario;
mod signals;
pub mod testbed;
pub mod up;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Parses the command line and runs it.
pub fn run() -> ExitCode {
    let cli = match commands::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::report(&error.into()),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}
