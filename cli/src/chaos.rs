//! `banyan chaos`: hurts a running overlay in a named way and says what its viewers noticed.
//!
//! The overlay is `banyan up` as a process of its own, viewers are processes too; this one injects
//! faults, waits for conditions, reads the records and measures. In the flow: [`scenarios`] is the
//! table, [`overlay`] and [`viewers`] start processes, [`conduct`] runs one scenario on them,
//! [`measure`] makes figures, [`picture`] and [`report`] show them.

mod canary;
mod conduct;
mod detour;
mod disk;
mod inject;
mod measure;
mod overlay;
mod picture;
mod records;
mod report;
mod scenarios;
mod viewers;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::commands;
use crate::exit::Refusal;
use crate::signals::Signals;
use crate::up::folders;
use conduct::Conductor;
use report::Verdict;
use scenarios::{SCENARIOS, Scenario};

/// Hurt a running overlay and report what its viewers noticed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario, or all
    Run(Run),
    /// Name the scenarios
    List,
}

/// What to run and how.
#[derive(Debug, clap::Args)]
struct Run {
    /// A scenario's name, several, or "all"
    #[arg(value_name = "NAME|all", required = true)]
    names: Vec<String>,
    /// The overlay to run [default: a campus of nine relays and two content servers]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where the paths of contents begin [default: the manifest's folder]
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// The stream to watch [default: the first that two content servers offer]
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Print one line of JSON per scenario
    #[arg(long)]
    json: bool,
    /// Keep a timeline (SVG), the figures and the records of each run here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How often to run each scenario
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Hurt one overlay again and again, scenarios in turns and --repeat rounds of them, with the same
    /// viewers throughout; only faults that come and go
    #[arg(long)]
    series: bool,
    /// Seed of moments and of churn [default: a new one, printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Leave after a few leaves and joins instead of 200
    #[arg(long)]
    quick: bool,
    /// Where prepared assets are kept [default: banyan/assets in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  banyan chaos list
  banyan chaos run relay-kill --out /tmp/chaos
  banyan chaos run churn --seed 7 --json
  banyan chaos run all --quick --manifest examples/campus.yaml

Exit code: 0 = every scenario passed or was skipped with a reason, 1 = one did not, 64 = the command line cannot be used.";

/// Lists or runs.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List => {
            let width = SCENARIOS.iter().map(|one| one.name.len()).max();
            let width = width.unwrap_or(0) + 2;
            let lines = SCENARIOS
                .iter()
                .map(|one| format!("{:width$}{}\n", one.name, one.about));
            commands::print(&lines.collect::<String>())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => run.run().await,
    }
}

impl Run {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let scenarios = chosen(&self.names)?;
        let lasting = |one: &&&Scenario| !matches!(one.plot, scenarios::Plot::Hurt(_));
        if let Some(one) = scenarios.iter().find(lasting).filter(|_| self.series) {
            return Err(Refusal::one(format!(
                "{} cannot be played in a series; faults that come and go are accepted",
                one.name
            )));
        }
        if let Some(out) = &self.out {
            folders::make(out)?;
        }
        let seed = self.seed.unwrap_or_else(|| rand::random::<u32>().into());
        eprintln!("seed {seed}; the same moments and choices come back with --seed {seed}");
        let mut signals = Signals::new().context("cannot catch signals")?;
        let mut conductor = Conductor::new(self.settings(seed))?;
        let mut passed = true;
        let mut tell = |report: report::Report| {
            passed &= report.verdict != Verdict::Fail;
            let text = if self.json {
                serde_json::to_string(&report)? + "\n"
            } else {
                report.to_string()
            };
            commands::print(&text)
        };
        if self.series {
            let played = conductor.play_series(&scenarios, self.repeat, &mut tell);
            let ended = tokio::select! {
                ended = played => ended,
                () = signals.next() => Err(anyhow::anyhow!("interrupted")),
            };
            conductor.close().await?;
            ended?;
            return Ok(code(passed));
        }
        for scenario in scenarios {
            for _ in 0..self.repeat {
                let report = {
                    let played = conductor.play(scenario);
                    tokio::pin!(played);
                    tokio::select! {
                        report = &mut played => Some(report),
                        () = signals.next() => None,
                    }
                };
                let Some(report) = report else {
                    conductor.close().await?;
                    return Ok(ExitCode::FAILURE);
                };
                tell(report?)?;
            }
        }
        conductor.close().await?;
        Ok(code(passed))
    }

    fn settings(&self, seed: u64) -> conduct::Settings {
        conduct::Settings {
            manifest: self.manifest.clone(),
            media: self.media.clone(),
            stream: self.stream.clone(),
            cache: self.cache.clone(),
            out: self.out.clone(),
            seed,
            leaves: if self.quick { QUICK_LEAVES } else { LEAVES },
        }
    }
}

fn code(passed: bool) -> ExitCode {
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// In the order of the table, so that those of one stage share it.
fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if let Some(name) = names
        .iter()
        .find(|name| *name != ALL && Scenario::named(name).is_none())
    {
        let known: Vec<_> = SCENARIOS.iter().map(|one| one.name).collect();
        return Err(Refusal::one(format!(
            "scenario {name:?} is not known; {} and {ALL} are accepted",
            known.join(", ")
        )));
    }
    let wanted = |one: &&Scenario| names.iter().any(|name| name == one.name || name == ALL);
    Ok(SCENARIOS.iter().filter(wanted).collect())
}

const ALL: &str = "all";
const LEAVES: usize = 200;
const QUICK_LEAVES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scenarios_are_named_with_what_is_accepted() {
        let error = chosen(&["relay-kil".to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with("scenario \"relay-kil\" is not known; relay-kill, "),
            "{error}"
        );
        assert_eq!(chosen(&["all".to_owned()]).unwrap().len(), SCENARIOS.len());
        let two = ["root-kill".to_owned(), "relay-kill".to_owned()];
        let names: Vec<_> = chosen(&two).unwrap().iter().map(|one| one.name).collect();
        assert_eq!(names, ["relay-kill", "root-kill"]);
    }
}
