//! One `banyan testbed`: started from a manifest, asked, ended. Ending it is part of every test: nothing of it may be
//! left, whether it was asked to end or killed.

pub mod experiment;
pub mod pcap;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, TAG};
use crate::record::{self, LinkRow};
use crate::{binary, fixtures, wait_for, wait_until, workspace};

/// From the start to its line, preparation included.
const READY: Duration = Duration::from_secs(300);
/// From a request to end to the end.
const EXIT: Duration = Duration::from_secs(40);

/// A running testbed.
pub struct Testbed {
    child: Child,
    work: TempDir,
    tag: String,
    before: Machine,
    ended: bool,
    /// The line of `--json`.
    pub line: Value,
}

impl Testbed {
    /// Starts a manifest of the workspace; none where this machine cannot have a testbed, which is said.
    #[track_caller]
    pub fn up(test: &str, manifest: &str, flags: &[&str]) -> Option<Self> {
        let before = Machine::now();
        let work = tempfile::tempdir().expect("a temporary folder must be creatable");
        let tag = format!("{}-{}", std::process::id(), work.path().display());
        let stderr = work.path().join("stderr.log");
        let mut child = Command::new(binary("banyan"))
            .args(["testbed", "up", "--json", "--dir"])
            .arg(work.path().join("run"))
            .arg("--cache")
            .arg(crate::cache_home().join("assets-test"))
            .args(flags)
            .arg(workspace().join(manifest))
            .env(TAG, &tag)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr).expect("a file must be creatable"))
            .spawn()
            .expect("banyan must start");
        let output = child.stdout.take().expect("the output is a pipe");
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let line = BufReader::new(output).lines().next().and_then(Result::ok);
            let _ = send.send(line);
        });
        let line = receive.recv_timeout(READY);
        let line = line.unwrap_or_else(|_| panic!("the testbed was not ready within {READY:?}"));
        let Some(line) = line else {
            let _ = child.wait();
            let said = fs::read_to_string(&stderr).unwrap_or_default();
            is_possible(test, &said);
            return None;
        };
        Some(Self {
            line: serde_json::from_str(&line).expect("the line must be JSON"),
            child,
            work,
            tag,
            before,
            ended: false,
        })
    }

    /// The folder of the run.
    pub fn folder(&self) -> PathBuf {
        self.work.path().join("run")
    }

    /// A `banyan testbed` command about this run.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("banyan"));
        command.args(["testbed", verb, "--dir"]).arg(self.folder());
        command.env(TAG, &self.tag).stdin(Stdio::null());
        command
    }

    /// The path of `banyan` as the end of a command that runs it in a node.
    pub fn banyan_in(&self, node: &str) -> Command {
        let mut command = self.command("exec");
        command.args([node, "--"]).arg(binary("banyan"));
        command
    }

    /// Runs a command to its end, which must be good.
    #[track_caller]
    pub fn run(&self, command: &mut Command) -> String {
        let output = command.output().expect("banyan must start");
        assert_good(&output);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that must be refused; gives its sentence.
    #[track_caller]
    pub fn refused(&self, command: &mut Command) -> String {
        let output = command.output().expect("banyan must start");
        refusal(&output)
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self) -> Value {
        let text = self.run(self.command("status").arg("--json"));
        serde_json::from_str(&text).expect("status must be JSON")
    }

    /// A link as its process sees it: settings and counters, there and back.
    #[track_caller]
    pub fn link(&self, name: &str) -> Value {
        let status = self.status();
        let links = status["links"]["links"].as_array();
        let found = links.and_then(|links| links.iter().find(|link| link["name"] == name));
        found
            .unwrap_or_else(|| panic!("there is no link {name:?}: {}", status["links"]))
            .clone()
    }

    /// Process and state of a member, such as `T` for one that was halted.
    pub fn member(&self, name: &str) -> Option<(i32, char)> {
        let processes = self.processes();
        let pid = processes
            .iter()
            .find(|process| process.member() == Some(name))?
            .pid;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after) = stat.rsplit_once(") ")?;
        Some((pid, after.chars().next()?))
    }

    /// URL of the edge nearest to nothing in particular: by its name.
    pub fn edge(&self, index: usize) -> String {
        let edge = self.line["edges"][index].as_str();
        edge.expect("there must be such an edge").to_owned()
    }

    /// Every process that was started for it or in it.
    pub fn processes(&self) -> Vec<process::Process> {
        process::tagged(&self.tag)
    }

    /// Every chunk that crossed a link so far.
    pub fn links(&self) -> Vec<LinkRow> {
        record::links(&self.folder().join("record"))
    }

    /// Kills the process that the user started, and checks that the kernel took everything down.
    #[track_caller]
    pub fn kill(mut self) {
        self.ended = true;
        self.child.kill().expect("a child can be killed");
        let _ = self.child.wait();
        self.assert_nothing_left();
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn down(self) {
        self.down_and(|_| {});
    }

    /// Ends it in good order and looks at what it left in its folder.
    #[track_caller]
    pub fn down_and(mut self, look: impl FnOnce(&Path)) {
        self.ended = true;
        self.run(&mut self.command("down"));
        let status = wait_for("the testbed ends", EXIT, || self.child.try_wait().ok()?);
        assert!(
            status.success(),
            "the testbed ended with {status}: {}",
            self.stderr()
        );
        self.assert_nothing_left();
        for file in crate::asset::files(&self.folder().join("logs")) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            assert!(!text.contains("panicked at"), "{}: {text}", file.display());
        }
        look(&self.folder());
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.work.path().join("stderr.log")).unwrap_or_default()
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        wait_until("no process of the testbed is left", EXIT, || {
            self.processes().is_empty()
        });
        assert_eq!(
            Machine::now(),
            self.before,
            "the testbed left something behind"
        );
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        process::signal(self.child.id() as i32, Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("---- what the testbed said\n{}", self.stderr());
            for file in crate::asset::files(&self.folder().join("logs")) {
                let text = fs::read_to_string(&file).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                println!(
                    "---- {}\n{}",
                    file.display(),
                    lines[lines.len().saturating_sub(12)..].join("\n")
                );
            }
        }
    }
}

/// What a testbed could leave on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    devices: Vec<String>,
    named: Vec<String>,
    mounts: usize,
    routes: String,
}

impl Machine {
    pub fn now() -> Self {
        let names = |folder: &str| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .map(|entry| entry.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self {
            devices: names("/sys/class/net"),
            named: names("/run/netns"),
            mounts: mounts.lines().count(),
            routes: fs::read_to_string("/proc/net/route").unwrap_or_default(),
        }
    }
}

/// Runs `banyan testbed check`; none where this machine cannot have a testbed, which is said.
#[track_caller]
pub fn check(test: &str, manifest: &Path, folder: &Path) -> Option<(bool, Value)> {
    let output = Command::new(binary("banyan"))
        .args(["testbed", "check", "--json", "--dir"])
        .arg(folder)
        .arg(manifest)
        .stdin(Stdio::null())
        .output()
        .expect("banyan must start");
    let text = String::from_utf8_lossy(&output.stdout);
    match serde_json::from_str(text.trim()) {
        Ok(value) => Some((output.status.success(), value)),
        Err(_) => {
            is_possible(test, &String::from_utf8_lossy(&output.stderr));
            None
        }
    }
}

/// A testbed that did not start because of the machine is skipped, any other is a failure.
#[track_caller]
fn is_possible(test: &str, said: &str) {
    match said.split_once("no testbed here: ") {
        Some((_, missing)) => fixtures::skip(test, missing.trim()),
        None => panic!("the testbed did not start: {said}"),
    }
}

/// The sentence of a command that was refused, which is all it says.
#[track_caller]
pub fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let sentence = said.trim_end().strip_prefix("banyan: ");
    match sentence {
        Some(sentence) if !output.status.success() && !sentence.contains('\n') => {
            sentence.to_owned()
        }
        _ => panic!(
            "{} and {said:?} are no refusal in a sentence",
            output.status
        ),
    }
}

#[track_caller]
fn assert_good(output: &Output) {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
