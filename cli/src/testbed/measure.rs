//! `banyan testbed check`: makes the network of a manifest without its members, measures every link from inside and
//! compares it with the manifest. The two ends of a measurement are processes of this program in two nodes.

mod ask;
mod serve;

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_testbed::linkd::control as links;
use banyan_testbed::measure::{Seen, Way, ways};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::session::{Session, Setup};
use crate::commands;

/// Measure every link of a manifest's network from inside and compare it with the manifest
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  banyan testbed check examples/scenario-a.yaml\n\nExit code: 0 = every link is as the manifest says, 1 = one is not, or there is no testbed here."
)]
pub(super) struct Check {
    /// A manifest with one StreamTopology and the ContentServers that feed it
    manifest: PathBuf,
    /// Where the paths of contents begin [default: the manifest's folder]
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Folder of the run, emptied first [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Seed of chance on the links
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// One end of a measurement.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    end: End,
}

#[derive(Debug, clap::Subcommand)]
enum End {
    Serve { address: SocketAddrV4 },
    Ask { address: SocketAddrV4, job: String },
}

/// What is to be measured; JSON on a command line and between the ends.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    /// A least round trip no longer than this is enough.
    rtt_enough_us: u64,
    /// Datagrams for the loss.
    datagrams: u64,
    /// Of these, at a time.
    burst: u64,
    /// Where there is one.
    rate_bps: Option<u64>,
}

/// What one end asks the other over TCP, a line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Word {
    /// How many datagrams of the loss have arrived?
    Count,
    /// So many.
    Counted(u64),
    /// A flow begins: its rate, and when.
    Flow { rate_bps: u64, start: u64 },
    /// Enough was seen of it, or never will be.
    Flowed { ahead_bytes: i64, best_bps: u64 },
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.end {
        End::Serve { address } => serve::run(*address)?,
        End::Ask { address, job } => {
            let seen = ask::run(*address, &serde_json::from_str(job)?)?;
            commands::print(&(serde_json::to_string(&seen)? + "\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn check(args: Check) -> anyhow::Result<ExitCode> {
    let setup = Setup {
        media: args.media,
        folder: args.dir,
        seed: args.seed,
        bare: true,
        ..Setup::new(args.manifest)
    };
    let session = Session::start(setup).await?;
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    if !args.json {
        commands::print(HEADER)?;
    }
    for way in ways(session.network()) {
        let seen = measure(&session, &way).await?;
        let wrong = way.judge(&seen);
        if args.json {
            rows.push(json!({
                "from": way.from, "to": way.to, "links": way.links, "expected": way.expected,
                "seen": seen, "faults": wrong,
            }));
        } else {
            commands::print(&row(&way, &seen, wrong.is_empty()))?;
        }
        faults.extend(wrong);
    }
    let late = match session.link(&links::Request::Stats) {
        Ok(links::Answer::Stats(stats)) => Some((stats.late, stats.valid)),
        _ => None,
    };
    session.stop().await?;
    if args.json {
        let late = late.map(|(late, valid)| json!({ "late": late, "valid": valid }));
        let line = json!({ "ways": rows, "lateness": late, "faults": faults });
        commands::print(&format!("{line}\n"))?;
    } else if let Some((late, _)) = late {
        commands::print(&format!(
            "\nFrames were late by {} us (median), {} us (99 of 100), {} us (most).\n",
            late.p50_us, late.p99_us, late.max_us
        ))?;
    }
    if faults.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", faults.join("\n"))
}

/// One end serves, the other asks; both end with the measurement.
async fn measure(session: &Session, way: &Way) -> anyhow::Result<Seen> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let address = SocketAddrV4::new(way.address, PORT).to_string();
    let mut server = session
        .command(&way.to, &own)
        .args(["testbed", "measure", "serve", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot run nsenter")?;
    wait_for_line(&mut server, &way.to).await?;
    let frame = SMALL + HEADERS;
    let job = Job {
        rtt_enough_us: way.rtt_bounds_us().1,
        datagrams: match way.expected.loss_per_100k {
            0 => 600,
            _ => 3_000,
        },
        burst: (way.expected.buffer_bytes / frame / 2).clamp(1, MOST_AT_A_TIME),
        rate_bps: way.expected.rate_bps,
    };
    let asked = session
        .command(&way.from, &own)
        .args(["testbed", "measure", "ask", &address])
        .arg(serde_json::to_string(&job)?)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    let asked = asked.with_context(|| format!("{} to {} took too long", way.from, way.to))??;
    if !asked.status.success() {
        let said = String::from_utf8_lossy(&asked.stderr);
        bail!(
            "{} to {} cannot be measured: {}",
            way.from,
            way.to,
            said.trim()
        );
    }
    // It leaves with the other end.
    tokio::time::timeout(PATIENCE, server.wait()).await??;
    Ok(serde_json::from_slice(&asked.stdout)?)
}

async fn wait_for_line(server: &mut Child, node: &str) -> anyhow::Result<()> {
    let output = server.stdout.take().context("the output must be a pipe")?;
    let line = BufReader::new(output).lines().next_line().await?;
    line.with_context(|| format!("nothing can listen in {node}"))?;
    Ok(())
}

fn row(way: &Way, seen: &Seen, good: bool) -> String {
    let expected = way.expected;
    let mbit =
        |rate: Option<u64>| rate.map_or("-".to_owned(), |rate| format!("{:.2}", rate as f64 / 1e6));
    let lost = 100.0 * (seen.sent - seen.arrived.min(seen.sent)) as f64 / seen.sent.max(1) as f64;
    format!(
        "{:<34} {:>8.2} {:>8.2} {:>8.3} {:>8.3} {:>8} {:>8}  {}\n",
        format!("{} > {}", way.from, way.to),
        2.0 * expected.delay_us as f64 / 1e3,
        seen.rtt_min_us as f64 / 1e3,
        100.0 * expected.loss(),
        lost,
        mbit(expected.rate_bps),
        mbit(seen.best_bps),
        if good { "as it should be" } else { "WRONG" },
    )
}

const HEADER: &str =
    "FROM > TO                            RTT ms   least   LOSS %     seen    MBIT/S    best\n";
/// Of both ends; nothing else listens in nodes without members.
const PORT: u16 = 7_500;
/// Payload of the small datagrams.
const SMALL: u64 = 64;
/// Ethernet, IPv4 and UDP before a payload.
const HEADERS: u64 = 42;
/// Datagrams that a socket's buffer holds for certain, whatever it counts per datagram.
const MOST_AT_A_TIME: u64 = 120;
/// Of one measurement: each part has two minutes.
const PATIENCE: Duration = Duration::from_secs(400);
