//! `banyan up`: a whole topology as processes on this machine, with the programs that pods run.
//!
//! Checks everything that can be checked, claims ports, lays the members out, keeps them running,
//! waits until the streams can be watched, says where, and leaves neither process nor temporary
//! file behind. Control is one member among others: its death stops no stream.

pub(crate) mod client;
pub(crate) mod detour;
pub(crate) mod folders;
pub(crate) mod output;
mod ports;
pub(crate) mod programs;
mod progress;
pub(crate) mod ready;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_api::names;
use banyan_control::clock;
use banyan_control::layout::{self, Addresses, Facts, Layout};
use banyan_control::roster::{Role, Roster};
use banyan_control::world::local::Local;
use banyan_control::world::restarts::Policy;
use banyan_control::world::supervisor::{Notice, Supervisor};
use banyan_control::world::{Exit, World};
use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret};
use serde_json::json;
use tokio::time::Instant;

use crate::commands;
use crate::drain;
use crate::exit::Refusal;
use crate::play;
use crate::scenario::{self, Scenario};
use crate::signals::Signals;
use detour::Detoured;
use folders::Folders;
use output::{Output, Shown};
use ports::{Claim, Places};
use progress::Progress;
use ready::{Probe, Seen, Verdict, Wanted};

/// Run a topology on this machine.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A manifest with one StreamTopology and the ContentServers that feed it
    #[arg(value_name = "MANIFEST", required_unless_present = "files")]
    manifest: Option<PathBuf>,
    /// Videos to offer instead of a manifest: one server, one root, two edges
    #[arg(long = "file", value_name = "VIDEO", num_args = 1.., conflicts_with = "manifest")]
    files: Vec<PathBuf>,
    /// Where the paths of contents begin [default: the manifest's folder]
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Start of every stream in whole Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    epoch: Option<u64>,
    /// Print one line of JSON once everything is ready
    #[arg(long)]
    json: bool,
    /// Record what every member receives, as CSV and JSON lines, and what it says
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// What becomes of a member that ends
    #[arg(long, value_enum, default_value_t = Restart::Always)]
    restart: Restart,
    /// How long a member that ended rests before its first return, for experiments
    #[arg(long, value_name = "TIME", hide = true, value_parser = play::duration)]
    restart_after: Option<Duration>,
    /// Environment of one member, for experiments
    #[arg(long, value_name = "MEMBER:NAME=VALUE", hide = true, value_parser = variable)]
    set: Vec<Variable>,
    /// First port of the block to use [default: the first free of 18000, 18100, …]
    #[arg(long, value_name = "BASE", value_parser = clap::value_parser!(u16).range(1024..=i64::from(ports::HIGHEST)))]
    port: Option<u16>,
    /// Where prepared assets are kept [default: banyan/assets in the user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where to file what members say [default: the folder of --record]
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Lead links through other addresses, for experiments
    #[arg(long, value_name = "FILE", hide = true)]
    detour: Option<PathBuf>,
    /// Show no lines of members
    #[arg(long, conflicts_with = "verbose")]
    quiet: bool,
    /// Show all lines of members, not only warnings
    #[arg(long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Restart {
    /// Start it again, sooner or later
    Always,
    /// Let it rest
    Never,
}

const EXAMPLES: &str = "Examples:
  banyan up examples/campus.yaml
  banyan up --file talk.mp4 intro.mkv
  banyan up examples/campus.yaml --json --record /tmp/links --restart never";

/// Runs until asked to stop, or until nothing can be offered.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let scenario = match &args.manifest {
        Some(manifest) => scenario::from_manifest(manifest, args.media.as_deref())?,
        None => scenario::from_files(&args.files, args.media.as_deref())?,
    };
    let epoch = epoch(&args)?;
    let programs = programs::find()?;
    let ways = match &args.detour {
        Some(path) => detour::read(path)?,
        None => detour::Ways::default(),
    };
    for folder in args.record.iter().chain(&args.logs) {
        folders::make(folder)?;
    }
    // From here on an interrupt ends in an orderly stop, not in the middle.
    let mut signals = Signals::new().context("cannot catch signals")?;
    let filed = args.logs.clone().or_else(|| args.record.clone());
    let output = Arc::new(Output::new(shown(&args), filed));
    for note in &scenario.notes {
        output.mention(&format!("note: {note}"));
    }

    let members = members(&scenario);
    let claim = match args.port {
        Some(base) => Claim::at(base, members.len())?,
        None => Claim::search(members.len(), ports::BASES)?,
    };
    let places = claim.places(members.iter().map(String::as_str));
    let folders = caches(args.cache.as_deref(), &scenario)?;
    let detoured = Detoured {
        places: &places,
        ways,
    };
    let facts = Facts {
        epoch,
        addresses: &detoured,
        configs: folders.configs(),
        media: scenario.media.display().to_string(),
        caches: folders.caches(),
        record: args.record.as_ref().map(|path| path.display().to_string()),
    };
    let refuse = |error: layout::Error| Refusal::one(error.to_string());
    let mut layout =
        layout::build(&scenario.topology, &scenario.servers, &facts).map_err(refuse)?;
    for Variable(name, key, value) in &args.set {
        let mut members = layout.members.iter_mut();
        if let Some(member) = members.find(|member| member.name == *name) {
            member.environment.insert(key.clone(), value.clone());
        }
    }
    let roster = layout::roster(&scenario.topology, &scenario.servers, &facts).map_err(refuse)?;

    let lines = output.clone();
    let world = Local::new(
        programs,
        environment()?,
        Arc::new(move |member, line| lines.member(member, line)),
    );
    let policy = match args.restart {
        Restart::Always => Policy::Always,
        Restart::Never => Policy::Never,
    };
    let wanted = Wanted::new(&scenario, names_of(&layout));
    let mut supervisor = Supervisor::new(world, layout, policy);
    if let Some(rest) = args.restart_after {
        supervisor.restart_after(rest);
    }
    let run = Run {
        output,
        wanted,
        probe: Probe::new(&roster, &places),
        supervisor,
        roster,
        places,
        json: args.json,
    };
    let ended = run.until_stopped(&mut signals).await;
    // The claim outlives the members, or another run could take their ports while they leave.
    drop(claim);
    folders.close()?;
    ended
}

/// Whose, what, its value.
#[derive(Clone, Debug)]
struct Variable(String, String, String);

fn variable(text: &str) -> Result<Variable, String> {
    let parts = text.split_once(':').and_then(|(member, pair)| {
        let (key, value) = pair.split_once('=')?;
        Some(Variable(
            member.to_owned(),
            key.to_owned(),
            value.to_owned(),
        ))
    });
    parts.ok_or_else(|| format!("{text:?} sets nothing; MEMBER:NAME=VALUE is accepted"))
}

fn epoch(args: &Args) -> anyhow::Result<u64> {
    let now = clock::unix_ms() / 1000;
    match args.epoch {
        Some(epoch) if epoch > now => Err(Refusal::one(format!(
            "epoch {epoch} lies in the future; whole Unix seconds up to now, {now}, are accepted"
        ))),
        Some(epoch) => Ok(epoch),
        None => Ok(now),
    }
}

fn shown(args: &Args) -> Shown {
    if args.quiet {
        Shown::Nothing
    } else if args.verbose {
        Shown::Everything
    } else {
        Shown::Warnings
    }
}

/// Names in the order of ports: content servers, then tiers from the roots down.
fn members(scenario: &Scenario) -> Vec<String> {
    let servers = scenario.servers.iter().map(|server| server.name.clone());
    let tiers = scenario.topology.tiers.iter();
    servers
        .chain(tiers.flat_map(|tier| tier.members()))
        .collect()
}

fn names_of(layout: &Layout) -> impl Iterator<Item = String> {
    layout.members.iter().map(|member| member.name.clone())
}

/// Folders for what the servers of a scenario prepare: in the user's cache, or where it is said.
pub(crate) fn caches(cache: Option<&Path>, scenario: &Scenario) -> anyhow::Result<Folders> {
    let cache = match cache.map(Path::to_owned).or_else(folders::default_cache) {
        Some(cache) => std::path::absolute(&cache).context("cannot tell the current folder")?,
        None => bail!("neither XDG_CACHE_HOME nor HOME is set; choose a cache folder with --cache"),
    };
    Folders::make(
        &cache,
        scenario.servers.iter().map(|server| server.name.as_str()),
    )
}

/// The secret of the run: the caller's, so that a probe can be let in, else a new one.
pub(crate) fn environment() -> anyhow::Result<BTreeMap<String, String>> {
    let secret = match std::env::var(RUN_SECRET_VARIABLE) {
        Ok(text) => RunSecret::from_hex(&text)
            .map_err(|error| Refusal::one(format!("{RUN_SECRET_VARIABLE} is refused: {error}")))?,
        Err(_) => RunSecret::new(rand::random()),
    };
    let mut environment = BTreeMap::from([(RUN_SECRET_VARIABLE.to_owned(), secret.to_hex())]);
    if std::env::var_os("RUST_LOG").is_none() {
        environment.insert("RUST_LOG".to_owned(), "info".to_owned());
    }
    Ok(environment)
}

/// A run whose members may be alive.
struct Run {
    output: Arc<Output>,
    wanted: Wanted,
    probe: Probe,
    supervisor: Supervisor<Local>,
    roster: Roster,
    places: Places,
    json: bool,
}

type Notified = Notice<<Local as World>::Error>;

impl Run {
    /// Start, watch, stop: whatever happens between, the members are stopped.
    async fn until_stopped(mut self, signals: &mut Signals) -> anyhow::Result<ExitCode> {
        let watched = self.watch(signals).await;
        let stop = self.supervisor.stop(GRACE);
        let forced = |exit: Exit| exit == Exit::Signal(9);
        for ended in stop.await.into_iter().filter(|ended| forced(ended.exit)) {
            let member = ended.member;
            let grace = GRACE.as_secs();
            self.output.mention(&format!(
                "{member} did not leave within {grace} s and was killed"
            ));
        }
        watched
    }

    async fn watch(&mut self, signals: &mut Signals) -> anyhow::Result<ExitCode> {
        self.supervisor.start().await?;
        let mut progress = Progress::default();
        let mut seen = Seen::default();
        let mut stuck_since = Instant::now();
        loop {
            let looked = {
                let look = self.probe.look(&seen);
                tokio::pin!(look);
                loop {
                    tokio::select! {
                        looked = &mut look => break looked,
                        () = signals.next() => return Ok(ExitCode::SUCCESS),
                        notice = self.supervisor.next() => on_start(&self.output, &seen, notice)?,
                    }
                }
            };
            seen = looked;
            progress.show(&self.output, &seen);
            match judge_with_patience(&self.wanted, &seen, &mut stuck_since)? {
                Some((streams, failures)) => {
                    progress.finish();
                    self.announce(&streams, &failures)?;
                    return Ok(self.keep(signals).await);
                }
                None => tokio::select! {
                    () = tokio::time::sleep(ready::PACE) => {}
                    () = signals.next() => return Ok(ExitCode::SUCCESS),
                },
            }
        }
    }

    /// After the start: what happens is told, nothing ends the run but a request.
    async fn keep(&mut self, signals: &mut Signals) -> ExitCode {
        loop {
            tokio::select! {
                () = signals.next() => return ExitCode::SUCCESS,
                notice = self.supervisor.next() => {
                    let notice = self.rest_if_drained(notice).await;
                    tell(&self.output, notice);
                }
            }
        }
    }

    /// A member that left because somebody drained it stays away; control knows, if anybody does.
    async fn rest_if_drained(&mut self, notice: Notified) -> Notified {
        match notice {
            Notice::Ended {
                member,
                exit: exit @ Exit::Code(0),
                restart_in: Some(_),
            } if drain::was_drained(&self.places.url(names::CONTROL), &member).await => {
                self.supervisor.rest(&member);
                Notice::Ended {
                    member,
                    exit,
                    restart_in: None,
                }
            }
            notice => notice,
        }
    }

    fn announce(&self, streams: &[String], failures: &[String]) -> anyhow::Result<()> {
        if streams.is_empty() {
            bail!("{}\nno stream can be offered", failures.join("\n"));
        }
        for failure in failures {
            self.output.say(&format!("banyan: {failure}"));
        }
        let control = self.places.url(names::CONTROL);
        let page = format!("{control}/");
        let edges: Vec<&str> = self
            .roster
            .of_role(Role::Edge)
            .map(|entry| entry.http.as_str())
            .collect();
        if self.json {
            let line =
                json!({ "page": page, "edges": edges, "control": control, "streams": streams });
            return commands::print(&format!("{line}\n"));
        }
        let first = &streams[0];
        let mut text = format!(
            "\nTopology {} is up: {} members.\n\n  Page     {page}\n  Streams  {}\n",
            self.roster.topology,
            self.wanted.members.len(),
            streams.join(", "),
        );
        if let Some(edge) = edges.first() {
            text += &format!(
                "  Play     mpv {edge}/{first}/index.m3u8\n           banyan play {first} --for 10s --control {control}\n"
            );
        }
        text += "\nCtrl-C stops it.\n";
        commands::print(&text)
    }
}

/// The verdict, or the sentence about what has been waited for too long.
pub(crate) fn judge_with_patience(
    wanted: &Wanted,
    seen: &Seen,
    stuck_since: &mut Instant,
) -> anyhow::Result<Option<(Vec<String>, Vec<String>)>> {
    match ready::judge(wanted, seen) {
        Verdict::Ready { streams, failures } => return Ok(Some((streams, failures))),
        Verdict::Wait(Some(reason)) if stuck_since.elapsed() > ready::PATIENCE => {
            bail!("{reason} after {} s", ready::PATIENCE.as_secs())
        }
        Verdict::Wait(Some(_)) => {}
        Verdict::Wait(None) => *stuck_since = Instant::now(),
    }
    Ok(None)
}

/// A member that ends by itself before it was ever ready will not do better the next time; one
/// that was killed may.
pub(crate) fn on_start(output: &Output, seen: &Seen, notice: Notified) -> anyhow::Result<()> {
    match &notice {
        Notice::Ended {
            member,
            exit,
            restart_in,
        } if !seen.ready.contains(member)
            && (matches!(exit, Exit::Code(_)) || restart_in.is_none()) =>
        {
            bail!(
                "member {member:?} ended while starting ({exit}){}",
                output.last_words(member)
            )
        }
        _ => tell(output, notice),
    }
    Ok(())
}

pub(crate) fn tell(output: &Output, notice: Notified) {
    let again = |delay: Option<Duration>| match delay {
        Some(delay) => format!("starts again in {} ms", delay.as_millis()),
        None => "is not started again".to_owned(),
    };
    match notice {
        Notice::Ended {
            member,
            exit,
            restart_in,
        } => output.mention(&format!(
            "{member} ended ({exit}) and {}",
            again(restart_in)
        )),
        Notice::Restarted { member } => output.mention(&format!("{member} runs again")),
        Notice::Failed {
            member,
            error,
            restart_in,
        } => {
            let error = anyhow::Error::from(error);
            output.mention(&format!("{error:#}; {member} {}", again(restart_in)));
        }
    }
}

/// How long members may take to leave before they are killed.
const GRACE: Duration = Duration::from_secs(5);
