//! A running testbed from another terminal: `exec`, `status`, `link`, `down`.

use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context;
use banyan_api::quantity::{BitRate, LinkDelay};
use banyan_testbed::link::Change;
use banyan_testbed::linkd::control::{Answer, Request, Sides, Stats};
use banyan_testbed::model::Network;
use banyan_testbed::runner;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{folder, request};
use crate::commands;
use crate::exit::Refusal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A node of the manifest's underlay
    node: String,
    /// What to run there
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Down {
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Link {
    /// Name of the link, as `status` shows it
    link: String,
    /// New delay of each direction
    #[arg(long, value_name = "TIME", value_parser = micros)]
    delay: Option<u64>,
    /// New jitter of each direction
    #[arg(long, value_name = "TIME", value_parser = micros)]
    jitter: Option<u64>,
    /// New share of frames lost, such as 0.5%
    #[arg(long, value_name = "SHARE", value_parser = loss)]
    loss: Option<u32>,
    /// New rate in bit/s, such as 5M; 0 takes the limit away
    #[arg(long, value_name = "RATE", value_parser = rate)]
    rate: Option<u64>,
    /// Take it down
    #[arg(long, conflicts_with = "up")]
    down: bool,
    /// Bring it up
    #[arg(long)]
    up: bool,
    /// Only from the first end to the second, or only back
    #[arg(long, value_name = "there|back", value_parser = sides)]
    only: Option<Sides>,
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Capture {
    /// Name of the link, as `status` shows it
    link: String,
    /// Where the frames go, in pcap format
    #[arg(value_name = "FILE", required_unless_present = "end")]
    file: Option<PathBuf>,
    /// End the capture
    #[arg(long, conflicts_with = "file")]
    end: bool,
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Member {
    /// What is done to it
    act: Act,
    /// Slot, content server's name, or `control`
    member: String,
    /// Folder of the run [default: banyan/testbed in the user's cache]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Act {
    /// Start it: one of `--later`, or one that stays away
    Start,
    /// Ask it to leave; it stays away
    Stop,
    /// End it without a word; it is started again
    Kill,
    /// Halt it: its connections stay
    Freeze,
    /// Let it go on
    Thaw,
}

fn loss(text: &str) -> Result<u32, String> {
    let refused = || format!("{text:?} is no share; accepted: 0% to 100%, such as 0.5%");
    let number = text.strip_suffix('%').ok_or_else(refused)?;
    let number: f64 = number.parse().map_err(|_| refused())?;
    match (0.0..=100.0).contains(&number) {
        true => Ok((number * 1_000.0).round() as u32),
        false => Err(refused()),
    }
}

/// A delay as manifests write it, in microseconds.
fn micros(text: &str) -> Result<u64, String> {
    let micros = LinkDelay::from(text).micros();
    micros.map_err(|error| error.to_string())
}

/// A rate as manifests write it, or 0.
fn rate(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    let rate = BitRate::from(text).bits_per_second();
    rate.map_err(|error| format!("{error}; 0 takes the limit away"))
}

fn sides(text: &str) -> Result<Sides, String> {
    match text {
        "there" => Ok(Sides::There),
        "back" => Ok(Sides::Back),
        _ => Err(format!("{text:?} is no direction; accepted: there, back")),
    }
}

fn at(dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => folder::default()?,
    };
    Ok(dir.canonicalize().unwrap_or(dir))
}

/// Becomes the command.
pub(super) fn exec(args: Args) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    let state = folder::running(&folder)?;
    folder::plan(&folder)?.check_host(&args.node)?;
    let mut words = runner::enter(&folder, state.first, &args.node).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    Err(command.args(words).args(&args.command).exec()).context("cannot run nsenter")
}

pub(super) fn status(args: &Status) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    let state = folder::running(&folder)?;
    let plan = folder::plan(&folder)?;
    let stats = match runner::ask(&folder, &Request::Stats) {
        Ok(Answer::Stats(stats)) => Some(stats),
        _ => None,
    };
    let seen = match request::ask(&folder, &request::Request::Look)? {
        request::Answer::Seen(seen) => seen,
        _ => request::Seen::default(),
    };
    if args.json {
        let line = json!({
            "folder": folder,
            "first": state.first,
            "network": plan.network,
            "running": seen.members,
            "viewers": seen.viewers,
            "links": stats,
        });
        commands::print(&format!("{line}\n"))?;
    } else {
        commands::print(&table(&plan.network, &seen, stats.as_ref()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(network: &Network, seen: &request::Seen, stats: Option<&Stats>) -> String {
    let mut text = format!(
        "Testbed {}\n\n  NODE                 MEMBER           ADDRESSES\n",
        network.topology
    );
    for node in banyan_testbed::netns::hosts(network) {
        let member = match &node.member {
            Some(member) if seen.members.contains(member) => member.clone(),
            Some(member) => format!("{member} (off)"),
            None => String::new(),
        };
        let addresses = node.interfaces.iter().filter_map(|one| one.v4);
        let addresses: Vec<String> = addresses.map(|net| net.address.to_string()).collect();
        let _ = writeln!(
            text,
            "  {:<20} {member:<16} {}",
            node.name,
            addresses.join(" ")
        );
    }
    let Some(stats) = stats else {
        return text;
    };
    text += "\n  LINK                           DELAY     LOSS      RATE   DELIVERED    BACK  DROPPED  (frames)\n";
    for link in &stats.links {
        let [there, back] = &link.counters;
        let settings = link.settings[0];
        let rate = match settings.rate_bps {
            Some(rate) => format!("{:.1}M", rate as f64 / 1e6),
            None => "-".to_owned(),
        };
        let dropped = [there, back].map(|way| way.lost_frames + way.full_frames + way.cut_frames);
        let _ = writeln!(
            text,
            "  {:<28} {:>5.1} ms {:>7.3}% {rate:>9} {:>11} {:>7} {:>8}{}",
            link.name,
            settings.delay_us as f64 / 1e3,
            f64::from(settings.loss_per_100k) / 1e3,
            there.delivered_frames,
            back.delivered_frames,
            dropped[0] + dropped[1],
            if settings.up { "" } else { "  down" },
        );
    }
    let late = stats.late;
    let _ = writeln!(
        text,
        "\n  Frames were late by {} us (median), {} us (99 of 100), {} us (most): {}",
        late.p50_us,
        late.p99_us,
        late.max_us,
        match stats.valid {
            true => "links are as the manifest says",
            false => "this machine did not keep up, measurements are invalid",
        }
    );
    text
}

pub(super) fn link(args: &Link) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    folder::running(&folder)?;
    let change = Change {
        rate_bps: args.rate,
        delay_us: args.delay,
        jitter_us: args.jitter,
        loss_per_100k: args.loss,
        queue_bytes: None,
        up: match (args.up, args.down) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        },
    };
    if change == Change::default() {
        return Err(Refusal::one(format!(
            "nothing is to change of link {:?}; accepted are --delay, --jitter, --loss, --rate, --down and --up",
            args.link
        )));
    }
    known(&folder, &args.link)?;
    let request = Request::Set {
        link: args.link.clone(),
        sides: args.only.unwrap_or_default(),
        change,
        after_ms: 0,
    };
    runner::ask(&folder, &request)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the link process has this link.
fn known(folder: &Path, name: &str) -> anyhow::Result<()> {
    let Ok(Answer::Stats(stats)) = runner::ask(folder, &Request::Stats) else {
        return Ok(());
    };
    if stats.links.iter().any(|link| link.name == name) {
        return Ok(());
    }
    let names: Vec<&str> = stats.links.iter().map(|link| link.name.as_str()).collect();
    let network = folder::plan(folder)?.network;
    let what = match network.links.iter().any(|link| link.name == name) {
        true => {
            "has nothing to emulate and can only be changed or captured in a testbed with --emulate-all"
        }
        false => "is no link of this testbed",
    };
    Err(Refusal::one(format!(
        "{name:?} {what}; accepted are {}",
        names.join(", ")
    )))
}

pub(super) fn capture(args: &Capture) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    folder::running(&folder)?;
    known(&folder, &args.link)?;
    // The link process is in another folder.
    let file = args.file.as_ref().map(std::path::absolute).transpose()?;
    let request = Request::Capture {
        link: args.link.clone(),
        file,
    };
    runner::ask(&folder, &request)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn member(args: &Member) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    folder::running(&folder)?;
    folder::plan(&folder)?.member(&args.member)?;
    let member = args.member.clone();
    let request = match args.act {
        Act::Start => request::Request::Start { member },
        Act::Stop => request::Request::Stop { member },
        Act::Kill => request::Request::Kill {
            member,
            returns: true,
        },
        Act::Freeze => request::Request::Freeze { member },
        Act::Thaw => request::Request::Thaw { member },
    };
    request::ask(&folder, &request)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn down(args: &Down) -> anyhow::Result<ExitCode> {
    let folder = at(args.dir.as_deref())?;
    let state = folder::running(&folder)?;
    if let Some(pid) = Pid::from_raw(state.outer as i32) {
        kill_process(pid, Signal::TERM).context("cannot end the testbed")?;
    }
    let gone = async {
        while folder::is_locked(&folder) {
            tokio::time::sleep(PACE).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .with_context(|| format!("the testbed did not end within {} s", PATIENCE.as_secs()))?;
    Ok(ExitCode::SUCCESS)
}

const PACE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_and_rates_are_written_as_in_a_manifest() {
        assert_eq!(micros("0ms"), Ok(0));
        assert_eq!(micros("120ms"), Ok(120_000));
        assert_eq!(rate("5M"), Ok(5_000_000));
        assert_eq!(rate("0"), Ok(0));
        for text in ["5", "fast", "-1ms"] {
            let refused = micros(text).unwrap_err();
            assert!(
                refused.starts_with(&format!("{text:?} is not a delay of ")),
                "{refused}"
            );
        }
        let refused = rate("fast").unwrap_err();
        assert!(
            refused.contains("such as 800k or 10M; 0 takes"),
            "{refused}"
        );
    }

    #[test]
    fn a_loss_is_a_share_in_percent() {
        for (text, expected) in [("0%", 0), ("0.5%", 500), ("100%", 100_000)] {
            assert_eq!(loss(text), Ok(expected));
        }
        for text in ["5", "-1%", "101%", "much%", "NaN%"] {
            let refused = format!("{text:?} is no share; accepted: 0% to 100%, such as 0.5%");
            assert_eq!(loss(text), Err(refused));
        }
    }
}
