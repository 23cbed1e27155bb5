//! `banyan play`: watches a stream without a screen and says how it arrived.
//!
//! It reads HLS as a player would (playlists, inits, segments; video and audio side by side), or
//! takes chunks straight over gRPC as a relay would, and counts by position: what was lost, what
//! came twice, how late. A model player of each viewer turns arrivals into stalls. Nothing is
//! decoded; every chunk's boxes are read and their times checked for continuity.
//!
//! In the flow: [`target`] says where to look, [`choose`] which tracks, [`hls`] or [`grpc`] carry
//! them into a [`meter::Meter`], [`report`] prints.

mod adapt;
mod buffer;
mod choose;
mod client;
mod grpc;
mod hls;
mod link;
mod meter;
mod quality;
mod report;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
mod variants;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use choose::Wanted;
use meter::{Meter, Tally};
use report::Report;
use target::Target;
use trace::Trace;

/// Watch a stream without a screen and report how it arrived.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What to play: http://HOST:PORT/STREAM/index.m3u8, grpc://HOST:PORT/STREAM, or a stream's
    /// name, which is looked up at the control plane. Several URLs of one stream = edges to
    /// switch between when one fails
    #[arg(value_name = "URL|STREAM", required = true)]
    targets: Vec<String>,

    /// How long to watch
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = duration)]
    length: Duration,

    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Where a stream's name is looked up
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:18000")]
    control: String,

    /// Play exactly this track; may be repeated
    #[arg(long = "track", value_name = "NAME", conflicts_with = "rendition")]
    tracks: Vec<String>,

    /// The video to play: a rendition's name, "lowest", "highest", or "adaptive", which follows the link over HLS
    #[arg(long, value_name = "NAME", default_value = "lowest")]
    rendition: String,

    /// How many viewers to be; counts are summed over them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    viewers: u32,

    /// Write when each chunk arrived, as CSV
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

/// Plays, prints the report, and says whether anything was played.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let target = match Target::parse(&args.targets) {
        Ok(target) => target,
        Err(error) => {
            eprintln!("banyan play: {error}");
            return Ok(ExitCode::from(BAD_CONFIGURATION));
        }
    };
    if matches!(target, Target::Grpc { .. })
        && Wanted::new(&args.tracks, &args.rendition) == Wanted::adaptive()
    {
        eprintln!(
            "banyan play: --rendition adaptive cannot be played over gRPC; accepted there: a rendition's name, lowest, highest"
        );
        return Ok(ExitCode::from(BAD_CONFIGURATION));
    }
    let target = target.resolve(&args.control).await?;
    let progress = progress(&args);
    let report = play(&args, target, &progress).await?;
    progress.finish_and_clear();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.chunks > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs every viewer for the asked time, or until an interrupt.
async fn play(args: &Args, target: Target, progress: &ProgressBar) -> anyhow::Result<Report> {
    let wanted = Wanted::new(&args.tracks, &args.rendition);
    let secret = match &target {
        Target::Grpc { .. } => Some(secret()?),
        Target::Hls(_) | Target::Stream(_) => None,
    };
    let trace = args.trace.as_deref().map(Trace::create).transpose()?;
    let stop = CancellationToken::new();
    let mut viewers = JoinSet::new();
    let mut meters = Vec::new();
    for index in 0..args.viewers {
        let trace = trace.as_ref().map(|trace| trace.of_viewer(index as usize));
        let meter = Arc::new(Meter::new(trace));
        meters.push(meter.clone());
        let (target, wanted, stop) = (target.clone(), wanted.clone(), stop.clone());
        let secret = secret.clone();
        let sid = (args.viewers > 1).then(|| format!("{:08x}", rand::random::<u32>()));
        viewers.spawn(async move {
            let outcome = match (target, secret) {
                (Target::Hls(urls), _) => {
                    let edges = client::Edges::new(&urls, index as usize, sid, meter.clone());
                    hls::watch(Arc::new(edges), &wanted, &meter, &stop).await
                }
                (Target::Grpc { uris, stream }, Some(secret)) => {
                    let link = grpc::Link {
                        uris,
                        stream,
                        first: index as usize,
                        secret,
                    };
                    grpc::watch(Arc::new(link), &wanted, &meter, &stop).await
                }
                (Target::Grpc { .. } | Target::Stream(_), _) => Ok(()),
            };
            if let Err(error) = outcome {
                meter.fault(format!("{error:#}"));
            }
        });
    }
    let end = tokio::time::sleep(args.length);
    // Waited for once: a signal that comes together with a tick must not be forgotten.
    let interrupt = tokio::signal::ctrl_c();
    let mut tick = tokio::time::interval(TICK);
    tokio::pin!(end, interrupt);
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = &mut interrupt => break,
            joined = viewers.join_next() => match joined {
                None => break,
                Some(Err(error)) if error.is_panic() => return Err(error.into()),
                Some(_) => {}
            },
            _ = tick.tick() => show(progress, &meters),
        }
    }
    stop.cancel();
    let tallies: Vec<Tally> = meters.iter().map(|meter| meter.tally()).collect();
    viewers.shutdown().await;
    Ok(Report::of(&target, tallies))
}

fn secret() -> anyhow::Result<RunSecret> {
    let text = std::env::var(RUN_SECRET_VARIABLE).ok().with_context(|| {
        format!(
            "{RUN_SECRET_VARIABLE} is not set: gRPC needs the run's secret, 64 hexadecimal digits"
        )
    })?;
    RunSecret::from_hex(&text).with_context(|| format!("{RUN_SECRET_VARIABLE} cannot be used"))
}

fn progress(args: &Args) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(args.length.as_millis() as u64);
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar
}

fn show(progress: &ProgressBar, meters: &[Arc<Meter>]) {
    if progress.is_hidden() {
        return;
    }
    let bytes: u64 = meters.iter().map(|meter| meter.received()).sum();
    progress.set_position(progress.elapsed().as_millis() as u64);
    progress.set_message(format!(
        "{} viewers, {:.1} MB",
        meters.len(),
        bytes as f64 / 1e6
    ));
}

/// `10s`, `1500ms`, `2m`, `1h`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => 0.0,
    };
    let seconds = number.parse::<f64>().unwrap_or(0.0) * scale;
    if !(0.001..=MAX_SECONDS).contains(&seconds) {
        return Err(format!(
            "{text:?} is no length of time; accepted: 500ms, 10s, 2m, 1h, up to 30 days"
        ));
    }
    Ok(Duration::from_secs_f64(seconds))
}

const EXAMPLES: &str = "\
Examples:
  banyan play kites --for 10s
  banyan play http://127.0.0.1:18012/kites/index.m3u8 --rendition highest --json
  banyan play kites --rendition adaptive --for 1m
  banyan play http://127.0.0.1:18012/kites/index.m3u8 http://127.0.0.1:18014/kites/index.m3u8
  BANYAN_RUN_SECRET=… banyan play grpc://127.0.0.1:18011/kites --track 360p

With --rendition adaptive the next segment is of the best rendition whose bit rate is at most 0.9 of the mean
throughput of the last three, and that would arrive in half the time for which the buffer lasts (two rules of dash.js).

A stall is counted when a model player runs dry: it starts 3 target durations behind the live edge
with half a second buffered, plays in real time, and after running dry goes on with the next arrival. Latency is arrival minus the
media time of a segment's (HLS) or chunk's (gRPC) end, for what was released after the start.
Exit code: 0 = something was played, 1 = nothing was, 64 = the command line cannot be used.";

const TICK: Duration = Duration::from_millis(200);
const MAX_SECONDS: f64 = 30.0 * 86_400.0;
const BAD_CONFIGURATION: u8 = 64;
