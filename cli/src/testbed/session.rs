//! A running testbed, seen from outside: started from manifests, changed, asked, ended. `banyan testbed up` is one,
//! an experiment another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_control::clock;
use banyan_control::layout::{self, Facts};
use banyan_testbed::linkd::control as links;
use banyan_testbed::model::{self, Network};
use banyan_testbed::{netns, runner};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::folder::{self, Folder, Plan, Programs, State};
use super::request::{self, Answer, Request};
use crate::exit::Refusal;
use crate::scenario::{self, Scenario};
use crate::up::folders::Folders;
use crate::up::{self, programs};

/// What to start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// One StreamTopology and its ContentServers.
    pub manifest: PathBuf,
    /// Where the paths of contents begin; the manifest's folder otherwise.
    pub media: Option<PathBuf>,
    /// Where prepared assets are kept; the user's cache otherwise.
    pub cache: Option<PathBuf>,
    /// Folder of the run, emptied first; the user's cache otherwise.
    pub folder: Option<PathBuf>,
    /// Of chance on all links.
    pub seed: u64,
    /// A capture of every link, from the start.
    pub capture: bool,
    /// All links in the link process, so that any can be counted and changed.
    pub emulate_all: bool,
    /// Members that are started only when asked for.
    pub later: Vec<String>,
    /// Only the network, no members.
    pub bare: bool,
    /// Largest packet of every device in bytes; 1500 otherwise.
    pub mtu: Option<u32>,
}

impl Setup {
    /// A manifest with nothing special.
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        Self {
            manifest: manifest.into(),
            media: None,
            cache: None,
            folder: None,
            seed: 1,
            capture: false,
            emulate_all: false,
            later: Vec::new(),
            bare: false,
            mtu: None,
        }
    }
}

/// What the inner process says on its standard output, a line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Said {
    /// It runs: streams to be had, and sentences about the others.
    Ready {
        streams: Vec<String>,
        failures: Vec<String>,
    },
    /// It does not, for this reason.
    Failed(String),
}

/// A running testbed; dropping it ends it at once.
pub struct Session {
    folder: Folder,
    network: Network,
    streams: Vec<String>,
    failures: Vec<String>,
    first: u32,
    prompt: bool,
    inner: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    _caches: Folders,
}

impl Session {
    /// Checks everything, makes the network, starts the members and returns once streams can be watched.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        let scenario = scenario::from_manifest(&setup.manifest, setup.media.as_deref())?;
        // Here it does have an effect.
        let notes = scenario.notes.iter();
        for note in notes.filter(|note| !note.contains("spec.underlay has no effect")) {
            eprintln!("note: {note}");
        }
        let network = network(&scenario)?;
        for name in &setup.later {
            if !network.members.contains_key(name) {
                let names: Vec<&str> = network.members.keys().map(String::as_str).collect();
                return Err(Refusal::one(format!(
                    "there is no member {name:?} to start later; known are {}",
                    names.join(", ")
                )));
            }
        }
        let taps = setup.capture
            || setup.emulate_all
            || network
                .links
                .iter()
                .any(|link| netns::needs_emulation(&link.parameters));
        let missing = runner::missing(taps);
        if !missing.is_empty() {
            let sentence = |text: String| format!("no testbed here: {text}");
            bail!(
                "{}",
                missing
                    .into_iter()
                    .map(sentence)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
        }
        let programs = programs::find()?;
        let path = match setup.folder.clone() {
            Some(path) => path,
            None => folder::default()?,
        };
        let folder = Folder::claim(&path)?;
        let caches = up::caches(setup.cache.as_deref(), &scenario)?;
        let plan = plan(&setup, &scenario, network, &folder, &caches, programs)?;
        folder.write(folder::PLAN, &plan)?;
        Self::enter(folder, plan, caches).await
    }

    /// Starts the inner process and waits until it is ready.
    async fn enter(folder: Folder, plan: Plan, caches: Folders) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let mut command = Command::from(runner::inner(&own));
        let mut inner = command
            .args(["testbed", "inside"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt at the terminal is for this process, which ends the other in good order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot run setpriv")?;
        let input = inner.stdin.take();
        let output = inner.stdout.take().context("the output must be a pipe")?;
        let mut session = Self {
            folder,
            network: plan.network,
            streams: Vec::new(),
            failures: Vec::new(),
            first: 0,
            prompt: false,
            inner,
            input,
            output: BufReader::new(output).lines(),
            _caches: caches,
        };
        match session.output.next_line().await? {
            Some(line) => match serde_json::from_str(&line)? {
                Said::Ready { streams, failures } => {
                    session.streams = streams;
                    session.failures = failures;
                }
                Said::Failed(sentence) => bail!("{sentence}"),
            },
            None => bail!(
                "the testbed ended while it started; see {:?}",
                session.folder()
            ),
        }
        let unshare = session.inner.id().unwrap_or_default();
        session.first = runner::first_of(unshare).context("the testbed has just ended")?;
        session.prompt = runner::prefer_links(session.first);
        session.folder.write(
            folder::STATE,
            &State {
                outer: std::process::id(),
                first: session.first,
            },
        )?;
        Ok(session)
    }

    /// The network as it was made.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Streams that can be watched.
    pub fn streams(&self) -> &[String] {
        &self.streams
    }

    /// Sentences about streams that cannot.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// What makes the network, in words.
    pub fn backend(&self) -> String {
        let priority = if self.prompt { "real-time" } else { "ordinary" };
        format!("namespaces, links in user space over TAP at {priority} priority")
    }

    /// The folder of the run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// URLs of the edges: the nearest to a node first, or by name.
    pub fn edges(&self, from: Option<&str>) -> Vec<String> {
        super::inside::edges(&self.network, from)
    }

    /// Asks for something to happen to a member or a viewer.
    pub fn ask(&self, request: &Request) -> anyhow::Result<Answer> {
        request::ask(self.folder(), request)
    }

    /// Asks the link process.
    pub fn link(&self, request: &links::Request) -> anyhow::Result<links::Answer> {
        Ok(runner::ask(self.folder(), request)?)
    }

    /// A command that runs in a node.
    pub fn command(&self, node: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut words = runner::enter(self.folder(), self.first, node).into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg(program);
        command
    }

    /// Waits until it ends by itself, which is a failure.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        let line = self.output.next_line().await.ok().flatten();
        match line.and_then(|line| serde_json::from_str(&line).ok()) {
            Some(Said::Failed(sentence)) => bail!("{sentence}"),
            _ => bail!("the testbed ended; see {:?}", self.folder()),
        }
    }

    /// Ends it in good order, by force after a while.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        if tokio::time::timeout(GRACE, self.inner.wait())
            .await
            .is_err()
        {
            eprintln!(
                "the testbed did not end within {} s and was killed",
                GRACE.as_secs()
            );
            self.inner.kill().await.context("cannot end the testbed")?;
        }
        let _ = std::fs::remove_file(self.folder.path().join(folder::STATE));
        Ok(())
    }
}

/// The network of a manifest.
pub(super) fn network(scenario: &Scenario) -> anyhow::Result<Network> {
    let built = model::build(
        &scenario.topology,
        &scenario.servers,
        &model::Lock::default(),
    );
    let (network, _) = built.map_err(|problems| {
        anyhow::Error::from(Refusal(problems.iter().map(ToString::to_string).collect()))
    })?;
    Ok(network)
}

fn plan(
    setup: &Setup,
    scenario: &Scenario,
    network: Network,
    folder: &Folder,
    caches: &Folders,
    programs: banyan_control::world::local::Programs,
) -> anyhow::Result<Plan> {
    let below = |name: &str| folder.path().join(name).display().to_string();
    let listen = model::Listen(&network);
    let facts = Facts {
        epoch: clock::unix_ms() / 1000,
        addresses: &listen,
        configs: below("configs"),
        media: scenario.media.display().to_string(),
        caches: caches.caches(),
        record: Some(below(folder::RECORD)),
    };
    let refuse = |error: layout::Error| Refusal::one(error.to_string());
    let mut layout =
        layout::build(&scenario.topology, &scenario.servers, &facts).map_err(refuse)?;
    let roster = layout::roster(&scenario.topology, &scenario.servers, &facts).map_err(refuse)?;
    let mut streams = streams(scenario, &setup.later);
    if setup.bare {
        layout.members.clear();
        streams.clear();
    }
    Ok(Plan {
        layout,
        roster,
        streams,
        edges: scenario.topology.edges().replicas > 0,
        later: setup.later.clone(),
        seed: setup.seed,
        capture: setup.capture,
        emulate_all: setup.emulate_all,
        late_bound_us: LATE_BOUND_US,
        mtu: setup.mtu,
        programs: Programs {
            control: programs.control,
            relay: programs.relay,
            origin: programs.origin,
        },
        environment: up::environment()?,
        network,
    })
}

/// Stream → servers that should offer it from the start.
fn streams(scenario: &Scenario, later: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let servers = scenario.servers.iter();
    for server in servers.filter(|server| !later.contains(&server.name)) {
        for content in &server.contents {
            let servers = streams.entry(content.name.clone()).or_default();
            servers.push(server.name.clone());
        }
    }
    streams
}

/// Members get five seconds, and files are written after that.
const GRACE: Duration = Duration::from_secs(20);
/// A link whose frames come this much later than they should is not the link of the manifest.
const LATE_BOUND_US: u64 = 10_000;
