//! The inner process: first of its namespaces. Makes the network, runs the members in their nodes, does what it is
//! asked, and leaves when its standard input ends.

mod crew;
mod eyes;
mod nearest;
mod viewers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use banyan_control::world::local;
use banyan_testbed::linkd::control as links;
use banyan_testbed::runner::{self, Fabric};
use banyan_testbed::{netns, runner::inside};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::folder::{self, Plan};
use super::request::{self, Answer, Request, Seen};
use super::session::Said;
use crate::signals::Signals;
use crate::up::output::{Output, Shown};
use crate::up::ready::{self, Wanted};
use crate::up::{judge_with_patience, on_start, tell};
use crew::Crew;
use eyes::Eyes;
pub(super) use nearest::edges;
use viewers::Viewers;

/// Runs until standard input ends.
pub(super) async fn run(folder: &Path) -> anyhow::Result<ExitCode> {
    let ended = serve(folder).await;
    if let Err(error) = &ended {
        say(&Said::Failed(format!("{error:#}")))?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve(folder: &Path) -> anyhow::Result<()> {
    // The first process of a PID namespace gets no signal that it does not catch.
    let mut signals = Signals::new().context("cannot catch signals")?;
    let plan = folder::plan(folder)?;
    let _fabric = make(folder, &plan)?;
    if plan.capture {
        capture(folder, &plan)?;
    }
    let mut world = Inside::new(folder, plan)?;
    let mut asked = listen(folder)?;
    let mut left = leave();
    let started = tokio::select! {
        started = world.start() => Some(started?),
        _ = &mut left => None,
        () = signals.next() => None,
    };
    if let Some((streams, failures)) = started {
        say(&Said::Ready { streams, failures })?;
        loop {
            tokio::select! {
                _ = &mut left => break,
                () = signals.next() => break,
                Some((request, answer)) = asked.recv() => {
                    let done = world.handle(request).await;
                    // Whoever asked may be gone.
                    let _ = answer.send(done);
                }
                notice = world.crew.next() => tell(&world.output, notice),
            }
        }
        world.file().await;
    }
    world.viewers.leave_all().await;
    world.crew.stop().await;
    Ok(())
}

fn make(folder: &Path, plan: &Plan) -> anyhow::Result<Fabric> {
    let wishes = netns::Wishes {
        seed: plan.seed,
        all_emulated: plan.emulate_all || plan.capture,
        late_bound_us: plan.late_bound_us,
        mtu: plan.mtu,
    };
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let mut linkd = std::process::Command::new(own);
    linkd.args(["testbed", "linkd"]);
    Ok(Fabric::make(
        folder,
        &netns::plan(&plan.network, wishes),
        &mut linkd,
    )?)
}

fn capture(folder: &Path, plan: &Plan) -> anyhow::Result<()> {
    for link in &plan.network.links {
        let file = format!("{}.pcap", link.name);
        let request = links::Request::Capture {
            link: link.name.clone(),
            file: Some(folder.join(folder::CAPTURES).join(file)),
        };
        runner::ask(folder, &request)?;
    }
    Ok(())
}

fn say(said: &Said) -> anyhow::Result<()> {
    crate::commands::print(&(serde_json::to_string(said)? + "\n"))
}

/// Everything that runs in here.
struct Inside {
    folder: PathBuf,
    plan: Plan,
    output: Arc<Output>,
    crew: Crew,
    eyes: Eyes,
    viewers: Viewers,
}

impl Inside {
    fn new(folder: &Path, plan: Plan) -> anyhow::Result<Self> {
        let output = Arc::new(Output::new(Shown::Nothing, Some(folder.join(folder::LOGS))));
        let programs = local::Programs {
            control: plan.programs.control.clone(),
            relay: plan.programs.relay.clone(),
            origin: plan.programs.origin.clone(),
        };
        let places = plan.network.members.iter();
        let prefixes: BTreeMap<_, _> = places
            .map(|(member, place)| (member.clone(), inside(folder, &place.node)))
            .collect();
        let lines = output.clone();
        let crew = Crew::new(crew::Ship {
            programs,
            environment: plan.environment.clone(),
            lines: Arc::new(move |member, line| lines.member(member, line)),
            prefixes: Arc::new(prefixes),
        });
        Ok(Self {
            eyes: Eyes::open(folder, &plan)?,
            viewers: Viewers::new(folder, plan.environment.clone()),
            folder: folder.to_owned(),
            plan,
            output,
            crew,
        })
    }

    /// Starts the members in the layout's order and waits until streams can be watched.
    async fn start(&mut self) -> anyhow::Result<(Vec<String>, Vec<String>)> {
        let members = self.plan.layout.members.iter();
        let now: Vec<_> = members
            .filter(|member| !self.plan.later.contains(&member.name))
            .cloned()
            .collect();
        if now.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let wanted = Wanted {
            members: now.iter().map(|member| member.name.clone()).collect(),
            streams: self.plan.streams.clone(),
            edges: self.plan.edges,
        };
        for member in now {
            self.crew.start(member).await?;
        }
        let mut seen = ready::Seen::default();
        let mut stuck_since = Instant::now();
        loop {
            let looked = loop {
                tokio::select! {
                    looked = self.eyes.look(&seen) => break looked,
                    notice = self.crew.next() => on_start(&self.output, &seen, notice)?,
                }
            };
            seen = looked?;
            if let Some((streams, failures)) =
                judge_with_patience(&wanted, &seen, &mut stuck_since)?
            {
                if streams.is_empty() {
                    bail!("{}\nno stream can be offered", failures.join("\n"));
                }
                return Ok((streams, failures));
            }
            tokio::time::sleep(ready::PACE).await;
        }
    }

    async fn handle(&mut self, request: Request) -> Answer {
        match self.carry_out(request).await {
            Ok(answer) => answer,
            Err(error) => Answer::Error(format!("{error:#}")),
        }
    }

    async fn carry_out(&mut self, request: Request) -> anyhow::Result<Answer> {
        if let Some(member) = request.member() {
            self.plan.member(member)?;
        }
        match request {
            Request::Kill { member, returns } => self.crew.kill(&member, returns)?,
            Request::Stop { member } => self.crew.leave(&member)?,
            Request::Freeze { member } => self.crew.freeze(&member)?,
            Request::Thaw { member } => self.crew.thaw(&member)?,
            Request::Start { member } => {
                let member = self.plan.member(&member)?.clone();
                self.crew.start(member).await?;
            }
            Request::Watch {
                name,
                node,
                targets,
                arguments,
            } => {
                self.plan.check_host(&node)?;
                self.viewers.watch(&name, &node, &targets, &arguments)?;
            }
            Request::Run {
                name,
                node,
                program,
                arguments,
            } => {
                self.plan.check_host(&node)?;
                self.viewers
                    .run(&name, &node, &program, &arguments, "out")?;
            }
            Request::Leave { name } => self.viewers.leave(&name).await?,
            Request::Look => {
                let (viewers, ended) = self.viewers.look();
                return Ok(Answer::Seen(Seen {
                    members: self.crew.running(),
                    viewers,
                    ended,
                }));
            }
        }
        Ok(Answer::Done)
    }

    /// Files what only running members can say. What cannot be had is left out.
    async fn file(&mut self) {
        if let Ok(links::Answer::Stats(stats)) = runner::ask(&self.folder, &links::Request::Stats)
            && let Err(error) = folder::write(&self.folder, STATS, &stats)
        {
            eprintln!("{error:#}");
        }
        for (member, text) in self.eyes.metrics().await {
            let file = self.folder.join(folder::METRICS).join(member + ".prom");
            let _ = std::fs::write(file, text);
        }
    }
}

/// Ends with standard input, which is a pipe that the outer process alone holds.
fn leave() -> oneshot::Receiver<()> {
    let (gone, left) = oneshot::channel();
    // A plain thread: a blocking read on the runtime's pool would hold up its shutdown.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = gone.send(());
    });
    left
}

type Asked = (Request, oneshot::Sender<Answer>);

fn listen(folder: &Path) -> anyhow::Result<mpsc::Receiver<Asked>> {
    // Its path may be too long for a socket; the folder's name within itself is not.
    std::env::set_current_dir(folder).with_context(|| format!("cannot enter {folder:?}"))?;
    let listener = UnixListener::bind(request::SOCKET).context("cannot listen for requests")?;
    let (ask, asked) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(attend(stream, ask.clone()));
        }
    });
    Ok(asked)
}

async fn attend(mut stream: UnixStream, ask: mpsc::Sender<Asked>) -> Option<()> {
    let (read, mut write) = stream.split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await.ok()? {
        let answer = match serde_json::from_str(&line) {
            Ok(request) => {
                let (done, answer) = oneshot::channel();
                ask.send((request, done)).await.ok()?;
                answer.await.ok()?
            }
            Err(error) => Answer::Error(format!("this is no request: {error}")),
        };
        let line = serde_json::to_string(&answer).ok()? + "\n";
        write.write_all(line.as_bytes()).await.ok()?;
    }
    Some(())
}

/// What the link process counted, at the end of a run.
const STATS: &str = "links.stats.json";
/// Requests that wait; askers wait for answers anyway.
const WAITING: usize = 16;
