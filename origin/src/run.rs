//! The executable: arguments and environment in, exit code out.

use std::process::ExitCode;

use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret, ServiceAccount};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{Command, EncodeAudio, Hidden, Serve};
use crate::config;
use crate::ffmpeg::audio::{self, AudioJob};
use crate::server::{Manner, Options, Server, StartError};

/// Runs `banyan-origin` with this process's arguments.
pub fn run() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            // Help and version are no errors and go to standard output.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                BAD_CONFIGURATION
            } else {
                0
            });
        }
    };
    match (command.hidden, command.serve) {
        (Some(Hidden::EncodeAudio(job)), _) => encode_audio(job),
        (None, Some(serve)) => match start(serve) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("banyan-origin: {error}");
                ExitCode::from(match error {
                    StartError::Configuration(_) => BAD_CONFIGURATION,
                    StartError::Listen { .. } | StartError::Folder { .. } => FAILED_START,
                })
            }
        },
        (None, None) => {
            eprintln!("banyan-origin: arguments are missing; see --help");
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn start(serve: Serve) -> Result<(), StartError> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal)
        .init();
    let manner = Manner {
        lame_duck: serve.lame_duck,
        drain: serve.drain_timeout,
    };
    let options = options(serve)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| StartError::Folder {
            what: "runtime",
            path: "threads".into(),
            source,
        })?;
    let result = runtime.block_on(async {
        let (asked, hurry) = stop_signals()?;
        let server = Server::start(options).await?;
        tokio::select! {
            () = asked.cancelled() => tracing::info!("told to terminate"),
            () = hurry.cancelled() => tracing::info!("stopping"),
            () = server.drained() => tracing::info!("told to drain"),
        }
        server.leave(manner, &hurry).await;
        Ok(())
    });
    // Preparation threads notice their stop within a picture; nothing on disk depends on waiting for them.
    runtime.shutdown_background();
    result
}

fn options(serve: Serve) -> Result<Options, StartError> {
    let configuration = |e: &dyn std::fmt::Display| StartError::Configuration(e.to_string());
    let secret = std::env::var(RUN_SECRET_VARIABLE).map_err(|_| {
        StartError::Configuration(format!(
            "environment variable {RUN_SECRET_VARIABLE} is missing; accepted: 64 hexadecimal digits"
        ))
    })?;
    let secret = RunSecret::from_hex(&secret).map_err(|e| configuration(&e))?;
    let config = config::load(&serve.config).map_err(|e| configuration(&e))?;
    config::check(config.clone(), &serve.topology).map_err(|e| configuration(&e))?;
    Ok(Options {
        member: serve.member,
        topology: serve.topology,
        grpc: serve.grpc,
        http: serve.http,
        advertise: serve.advertise,
        config,
        control: serve.control,
        account: serve.service_account_token.map(ServiceAccount::new),
        media: serve.media,
        cache: serve.cache,
        record: serve.record,
        secret,
        // Where a start script stands before the program, what it starts anew is that script.
        program: std::env::var_os("BANYAN_ORIGIN_PROGRAM").map(Into::into),
        workers: None,
        start_at: None,
    })
}

/// A token raised by the first SIGTERM, and one raised by a second, by SIGINT, or by the end of standard input where a
/// parent asked for that: then there is nobody left to be gentle to.
fn stop_signals() -> Result<(CancellationToken, CancellationToken), StartError> {
    let (asked, hurry) = (CancellationToken::new(), CancellationToken::new());
    let catch = |kind| {
        signal(kind).map_err(|source| StartError::Folder {
            what: "signal handler",
            path: "signals".into(),
            source,
        })
    };
    let (mut terminate, mut interrupt) = (
        catch(SignalKind::terminate())?,
        catch(SignalKind::interrupt())?,
    );
    let (first, second) = (asked.clone(), hurry.clone());
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => first.cancel(),
            _ = interrupt.recv() => return second.cancel(),
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        second.cancel();
    });
    if std::env::var(EXIT_ON_STDIN_EOF).is_ok_and(|value| value == "1") {
        let hurry = hurry.clone();
        // A plain thread: tokio's standard input would hold up the runtime's end.
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            hurry.cancel();
        });
    }
    Ok((asked, hurry))
}

fn encode_audio(job: EncodeAudio) -> ExitCode {
    audio::be_portable();
    // Serving comes first.
    let _ = rustix::process::nice(10);
    let EncodeAudio {
        path,
        start_ns,
        sample_rate,
        bitrate,
        frames,
        fade_at,
    } = job;
    let job = AudioJob {
        path,
        start_ns,
        sample_rate,
        bitrate,
        frames,
        fade_at,
    };
    match audio::encode(&job, &mut std::io::BufWriter::new(std::io::stdout().lock())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(FAILED_START)
        }
    }
}

const BAD_CONFIGURATION: u8 = 64;
const FAILED_START: u8 = 1;
/// Set by `banyan up`: a member ends with the parent that holds its standard input.
const EXIT_ON_STDIN_EOF: &str = "BANYAN_EXIT_ON_STDIN_EOF";
