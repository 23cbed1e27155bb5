//! `banyan testbed run`: reads an experiment, runs it in network namespaces, writes what came of it.

mod namespaces;
pub(super) mod traffic;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use banyan_testbed::experiment::conduct::{self, Job, Run};
use banyan_testbed::experiment::output::{Results, digest};
use banyan_testbed::experiment::schedule::Scene;
use banyan_testbed::experiment::world::Failure;
use banyan_testbed::experiment::{Problem, file};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::session;
use crate::commands;
use crate::exit::Refusal;
use crate::scenario::{self, Scenario};
use crate::signals::Signals;
use crate::up::folders;
use namespaces::{Namespaces, Origin};

/// Run a file of viewers and events again and again; write figures, plots and a page
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The experiment
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of the results
    #[arg(long, value_name = "DIR", required_unless_present = "plan")]
    out: Option<PathBuf>,
    /// Runs of each variant [default: as the file says, at least 5]
    #[arg(long, value_name = "N")]
    repetitions: Option<u32>,
    /// Print one line of JSON: medians and intervals
    #[arg(long)]
    json: bool,
    /// Print what would be done when, and run nothing
    #[arg(long)]
    plan: bool,
    /// Where the paths of contents begin [default: the manifest's folder]
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Where prepared assets are kept [default: banyan/assets in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  banyan testbed run examples/experiments/second-server.yaml --out second-server
  banyan testbed run examples/experiments/relay-crash.yaml --repetitions 1 --out crash --json
  banyan testbed run examples/experiments/last-mile.yaml --plan

Ctrl-C ends the run at hand in good order; results are written of those before it.
Exit code: 0 = every run came to an end, 1 = some did not, 64 = the file cannot be used.";

/// Reads, plans, runs.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.file).map_err(|error| {
        Refusal::one(format!(
            "experiment {:?} cannot be read: {error}",
            args.file
        ))
    })?;
    let name = args.file.display().to_string();
    let experiment = file::parse(&text, &name, args.repetitions).map_err(refuse)?;
    let folder = args.file.parent().unwrap_or(Path::new("."));
    let manifest = folder.join(&experiment.manifest);
    let scenario = scenario::from_manifest(&manifest, args.media.as_deref())?;
    let network = session::network(&scenario)?;
    let scene = Scene {
        network: &network,
        topology: &scenario.topology,
        servers: &scenario.servers,
    };
    let job = conduct::plan(&experiment, scene).map_err(refuse)?;
    let Some(out) = args.out.as_deref().filter(|_| !args.plan) else {
        commands::print(&schedules(&job)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let (out, _lock) = results_in(out)?;
    write(&out.join(EXPERIMENT), &text)?;
    let origin = Origin {
        manifest: manifest.clone(),
        media: args.media.clone(),
        cache: args.cache.clone(),
    };
    eprintln!("seed {}; {} runs", experiment.seed, job.runs.len());
    let runs = all(&job, &scenario, network, &out, origin).await?;
    if runs.len() < job.runs.len() {
        let (kept, all) = (runs.len(), job.runs.len());
        eprintln!("interrupted; {kept} of {all} runs are kept");
    }
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {path:?}"))
    };
    let results = Results {
        job: &job,
        runs: &runs,
        experiment_digest: &digest(&text),
        manifest_digest: &digest(&read(&manifest)?),
        program: PROGRAM,
    };
    for file in results.files() {
        write(&out.join(&file.name), &file.text)?;
    }
    let json = results.json();
    write(&out.join("summary.json"), &format!("{json}\n"))?;
    if args.json {
        commands::print(&format!("{json}\n"))?;
    } else {
        commands::print(&format!("\n{}\n", results.table()))?;
    }
    eprintln!("{}", out.join("report.html").display());
    Ok(
        match runs.len() == job.runs.len() && runs.iter().all(|run| run.outcome.is_ok()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
    )
}

/// The folder of results, and what makes it this process's: a new one, an empty one, or one of an earlier experiment,
/// whose files are replaced.
fn results_in(out: &Path) -> anyhow::Result<(PathBuf, File)> {
    folders::make(out)?;
    let unusable = || format!("folder {out:?} cannot be used");
    let folder = out.canonicalize().with_context(unusable)?;
    let mut entries = std::fs::read_dir(&folder).with_context(unusable)?;
    if !folder.join(EXPERIMENT).is_file() && entries.next().is_some() {
        return Err(Refusal::one(format!(
            "folder {out:?} of --out holds other files; a new folder or one of an earlier experiment is accepted"
        )));
    }
    let lock = File::options()
        .create(true)
        .append(true)
        .open(folder.join(EXPERIMENT))
        .with_context(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok((folder, lock)),
        Err(TryLockError::WouldBlock) => Err(Refusal::one(format!(
            "an experiment is running in folder {out:?} of --out; another folder is accepted"
        ))),
        Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
    }
}

/// Runs one after the other; what was run before an interrupt is kept.
async fn all(
    job: &Job,
    scenario: &Scenario,
    network: banyan_testbed::model::Network,
    out: &Path,
    origin: Origin,
) -> anyhow::Result<Vec<Run>> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new().context("cannot catch signals")?;
    let mut runs = Vec::new();
    let begun = Instant::now();
    for (done, planned) in job.runs.iter().cloned().enumerate() {
        let plan = job.run_plan(&planned, out);
        let left = left(job, done, begun.elapsed());
        eprintln!(
            "run {} of {}: {}, repetition {}; about {left} min left",
            done + 1,
            job.runs.len(),
            plan.variant,
            plan.repetition
        );
        let mut world = Namespaces::new(
            origin.clone(),
            network.clone(),
            Handle::current(),
            stop.clone(),
        );
        let (topology, servers) = (scenario.topology.clone(), scenario.servers.clone());
        let network = network.clone();
        let mut run = tokio::task::spawn_blocking(move || {
            let scene = Scene {
                network: &network,
                topology: &topology,
                servers: &servers,
            };
            conduct::play(&mut world, &plan, &planned, scene)
        });
        let ended = tokio::select! {
            ended = &mut run => ended?,
            () = signals.next() => {
                stop.cancel();
                run.await?
            }
        };
        match ended {
            Ok(run) => {
                if let Err(failure) = &run.outcome {
                    eprintln!("  failed: {failure}");
                }
                runs.push(run);
            }
            Err(Failure::Interrupted) => break,
            Err(failure) => return Err(failure.into()),
        }
        if stop.is_cancelled() {
            break;
        }
    }
    Ok(runs)
}

/// Minutes until the end: runs to come take what those before took, or what their schedules and a start take.
fn left(job: &Job, done: usize, passed: Duration) -> u64 {
    let coming = job.runs.iter().skip(done);
    let planned: Duration = coming
        .map(|run| job.lead_in + START + Duration::from_millis(run.schedule.duration_ms))
        .sum();
    let runs = (job.runs.len() - done) as u32;
    let left = match u32::try_from(done) {
        Ok(done) if done > 0 => passed * runs / done,
        _ => planned,
    };
    left.as_secs().div_ceil(60)
}

/// Every schedule of the first repetition, as CSV.
fn schedules(job: &Job) -> anyhow::Result<String> {
    let mut text = "variant,at_ms,action,target,detail\n".to_owned();
    for planned in job.runs.iter().filter(|run| run.repetition == 1) {
        let variant = job
            .variants
            .get(planned.variant)
            .context("a variant must exist")?;
        for step in &planned.schedule.steps {
            let action = &step.action;
            text += &format!(
                "{},{},{},{},{}\n",
                variant.name,
                step.at_ms,
                action.verb(),
                action.target(),
                action.detail()
            );
        }
    }
    Ok(text)
}

fn refuse(problems: Vec<Problem>) -> anyhow::Error {
    Refusal(problems.iter().map(ToString::to_string).collect()).into()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {path:?}"))
}

/// What a start takes before the first one was measured.
const START: Duration = Duration::from_secs(6);
/// What was run; it marks a folder of results.
const EXPERIMENT: &str = "experiment.yaml";
const PROGRAM: &str = concat!("banyan ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use banyan_testbed::experiment::file;
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn parsed(words: &[&str]) -> Result<Args, clap::Error> {
        let command = Args::augment_args(clap::Command::new("run"));
        let words = std::iter::once(&"run").chain(words);
        Args::from_arg_matches(&command.try_get_matches_from(words)?)
    }

    #[test]
    fn results_need_a_folder_and_a_plan_does_not() {
        assert!(parsed(&["pears.yaml"]).is_err());
        assert!(parsed(&["pears.yaml", "--plan"]).is_ok());
        let args = parsed(&["pears.yaml", "--out", "pears", "--repetitions", "2"]).unwrap();
        assert_eq!(args.repetitions, Some(2));
    }

    #[test]
    fn results_replace_those_of_an_earlier_experiment_and_nothing_else() {
        let work = tempfile::tempdir().unwrap();
        let (out, lock) = results_in(&work.path().join("pears")).unwrap();
        write(&out.join(EXPERIMENT), "name: pears").unwrap();
        write(&out.join("runs.csv"), "").unwrap();
        let refused = results_in(&out).unwrap_err().to_string();
        assert!(
            refused.starts_with("an experiment is running in folder "),
            "{refused}"
        );
        drop(lock);
        assert_eq!(results_in(&out).unwrap().0, out);
        let refused = results_in(work.path()).unwrap_err().to_string();
        assert!(
            refused.ends_with(
                "holds other files; a new folder or one of an earlier experiment is accepted"
            ),
            "{refused}"
        );
    }

    #[test]
    fn a_plan_is_a_table_of_every_variant() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/experiments");
        let path = folder.join("relay-crash.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let experiment = file::parse(&text, "relay-crash.yaml", Some(1)).unwrap();
        let manifest = folder.join(&experiment.manifest);
        let scenario = scenario::from_manifest(&manifest, None).unwrap();
        let network = session::network(&scenario).unwrap();
        let scene = Scene {
            network: &network,
            topology: &scenario.topology,
            servers: &scenario.servers,
        };
        let table = schedules(&conduct::plan(&experiment, scene).unwrap()).unwrap();
        assert!(
            table.contains("\ncalm,0,watch,viewer-1,movie1 at screen-1\n"),
            "{table}"
        );
        assert!(table.contains("\nevents,20000,kill,hop-0,\n"), "{table}");
        assert!(!table.contains("\ncalm,20000,"), "{table}");
    }

    #[test]
    fn the_time_left_is_of_schedules_first_and_of_runs_then() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/experiments");
        let text = std::fs::read_to_string(folder.join("relay-crash.yaml")).unwrap();
        let experiment = file::parse(&text, "relay-crash.yaml", Some(2)).unwrap();
        let manifest = folder.join(&experiment.manifest);
        let scenario = scenario::from_manifest(&manifest, None).unwrap();
        let network = session::network(&scenario).unwrap();
        let scene = Scene {
            network: &network,
            topology: &scenario.topology,
            servers: &scenario.servers,
        };
        let job = conduct::plan(&experiment, scene).unwrap();
        // Four runs of 60 s, each with 6 s to start and 8 s of lead-in.
        assert_eq!(left(&job, 0, Duration::ZERO), 5);
        assert_eq!(left(&job, 1, Duration::from_secs(100)), 5);
        assert_eq!(left(&job, 3, Duration::from_secs(180)), 1);
    }
}
