//! The world of processes on this machine.
//!
//! Each child has one task that owns it: it reads the child's error output, waits for its end and
//! carries out the order to stop. Children stand in process groups of their own, so that an
//! interrupt typed at the terminal reaches only the owner of the world, and die with that owner in
//! three ways: asked ([`World::stop`]), dropped (killed), and, when the owner itself is killed, by
//! the end of their standard input, which is a pipe that nobody else holds.

mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Ended, Exit, World};
use crate::layout::{Member, Program};

/// Set for every child; those that heed it leave when their standard input ends.
pub const EXIT_ON_STDIN_EOF: &str = "BANYAN_EXIT_ON_STDIN_EOF";

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The `banyan` program, which carries the control plane.
    pub control: PathBuf,
    /// `banyan-relay`.
    pub relay: PathBuf,
    /// `banyan-origin`.
    pub origin: PathBuf,
}

/// Receives each line of a child's error output: member, line.
pub type LineSink = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// Why a member could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the member.
    #[error("cannot write {path:?} for {member}")]
    File {
        /// Whose.
        member: String,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process.
    #[error("cannot start {program:?} for {member}")]
    Spawn {
        /// Whose.
        member: String,
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Members as child processes. Dropping it kills them.
pub struct Local {
    programs: Programs,
    environment: BTreeMap<String, String>,
    prefix: Vec<OsString>,
    lines: LineSink,
    running: BTreeMap<String, Running>,
    tasks: JoinSet<Ended>,
    unseen: Vec<Ended>,
}

struct Running {
    stop: Option<oneshot::Sender<Order>>,
}

/// How a child is asked to leave.
#[derive(Clone, Copy)]
struct Order {
    /// Nobody will take over: its input ends as well.
    hurry: bool,
    grace: Duration,
}

impl Local {
    /// `environment` is for every child and is where secrets belong.
    pub fn new(programs: Programs, environment: BTreeMap<String, String>, lines: LineSink) -> Self {
        Self {
            programs,
            environment,
            prefix: Vec::new(),
            lines,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            unseen: Vec::new(),
        }
    }

    /// Every member's command stands behind these words, which become it in the end: a program that enters a namespace
    /// and then runs what follows in its own place.
    pub fn behind(mut self, prefix: Vec<OsString>) -> Self {
        self.prefix = prefix;
        self
    }

    fn program(&self, program: Program) -> &Path {
        match program {
            Program::Control => &self.programs.control,
            Program::Relay => &self.programs.relay,
            Program::Origin => &self.programs.origin,
        }
    }

    fn spawn(&self, member: &Member) -> Result<Child, Error> {
        let program = self.program(member.program);
        let mut command = match self.prefix.split_first() {
            Some((first, others)) => {
                let mut command = Command::new(first);
                command.args(others).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(&member.arguments)
            .envs(&self.environment)
            .envs(&member.environment)
            .env(EXIT_ON_STDIN_EOF, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Spawn {
                member: member.name.clone(),
                program: program.to_owned(),
                source,
            })
    }

    async fn joined(&mut self) -> Option<Ended> {
        loop {
            match self.tasks.join_next().await? {
                Ok(ended) => {
                    self.running.remove(&ended.member);
                    return Some(ended);
                }
                Err(error) => tracing::error!(%error, "the task of a member failed"),
            }
        }
    }
}

impl World for Local {
    type Error = Error;

    async fn start(&mut self, member: &Member) -> Result<(), Error> {
        for file in &member.files {
            write(Path::new(&file.path), &file.contents).map_err(|source| Error::File {
                member: member.name.clone(),
                path: PathBuf::from(&file.path),
                source,
            })?;
        }
        let child = self.spawn(member)?;
        let (stop, stopped) = oneshot::channel();
        let name = member.name.clone();
        let lines = self.lines.clone();
        self.tasks.spawn(async move {
            let exit = attend(&name, child, stopped, &lines).await;
            Ended { member: name, exit }
        });
        let running = Running { stop: Some(stop) };
        self.running.insert(member.name.clone(), running);
        Ok(())
    }

    async fn stop(&mut self, members: &[String], grace: Duration) -> Vec<Ended> {
        // Only those that took the order are waited for: one that has just ended by itself may
        // still be in the queue of tasks, and must not be counted for another.
        let mut waiting = BTreeSet::new();
        // One that leaves by SIGTERM waits until others have taken over; where all leave, nobody will.
        let all = self.running.keys().all(|name| members.contains(name));
        let order = Order { hurry: all, grace };
        for name in members {
            let stop = self.running.get_mut(name).and_then(|r| r.stop.take());
            if stop.is_some_and(|stop| stop.send(order).is_ok()) {
                waiting.insert(name);
            }
        }
        let mut ended = Vec::new();
        while !waiting.is_empty() {
            let Some(one) = self.joined().await else {
                break;
            };
            waiting.remove(&one.member);
            if members.contains(&one.member) {
                ended.push(one);
            } else {
                self.unseen.push(one);
            }
        }
        ended
    }

    async fn observe(&mut self) -> Ended {
        if let Some(ended) = self.unseen.pop() {
            return ended;
        }
        match self.joined().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }
}

/// Owns one child until it has ended.
async fn attend(
    name: &str,
    mut child: Child,
    mut stop: oneshot::Receiver<Order>,
    lines: &LineSink,
) -> Exit {
    // Kept open for the child's whole life; `wait` would close it.
    let mut input = child.stdin.take();
    let output = lines::forward(child.stderr.take(), |line| lines(name, line));
    tokio::pin!(output);
    let mut read = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = &mut output, if !read => read = true,
            // No order, but nobody left who could give one: the child goes with its world.
            order = &mut stop => {
                let order = order.unwrap_or(Order { hurry: true, grace: Duration::ZERO });
                if order.hurry {
                    // Not SIGINT: who was started in the background ignores it.
                    drop(input.take());
                }
                break end(&mut child, order, &mut output, &mut read).await;
            }
        }
    };
    if !read {
        // The pipe ends with the child, unless a grandchild holds it.
        let _ = tokio::time::timeout(LAST_WORDS, &mut output).await;
    }
    status.map_or(Exit::Unknown, exit)
}

/// Asked, then SIGKILL after the grace; the output is read meanwhile, or a full pipe could hold
/// the child up.
async fn end(
    child: &mut Child,
    order: Order,
    output: &mut (impl Future<Output = ()> + Unpin),
    read: &mut bool,
) -> io::Result<ExitStatus> {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32))
        && let Err(error) = kill_process(pid, Signal::TERM)
    {
        tracing::debug!(%error, "cannot signal a child");
    }
    let deadline = tokio::time::sleep(order.grace);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = &mut *output, if !*read => *read = true,
            () = &mut deadline => break,
        }
    }
    child.start_kill()?;
    child.wait().await
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

fn write(path: &Path, contents: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, contents)
}

const LAST_WORDS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
