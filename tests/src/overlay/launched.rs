//! A started `banyan up` as a process: its members, its output, its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::Overlay;
use crate::process::{self, Process};
use crate::{asset, wait, wait_for, wait_until};

/// From the start of `up` to its line, preparation included.
const READY: Duration = Duration::from_secs(300);
/// From SIGTERM to the exit of `up`.
const EXIT: Duration = Duration::from_secs(20);

/// A started `banyan up`, ready or not.
pub struct Launched {
    pub(super) child: Child,
    pub(super) work: TempDir,
    pub(super) tag: String,
    pub(super) cache: PathBuf,
    pub(super) stdout: Arc<Mutex<Vec<String>>>,
    pub(super) command: String,
    pub(super) ended: bool,
    pub(super) dirty: bool,
}

impl Launched {
    /// Waits for its line.
    #[track_caller]
    pub fn ready(mut self) -> Overlay {
        let line = wait::poll(READY, || {
            if let Some(line) = self.stdout().first() {
                return Some(Ok(line.clone()));
            }
            self.exited().map(Err)
        });
        let line = match line {
            Some(Ok(line)) => line,
            Some(Err(status)) => panic!("{} ended with {status}", self.command),
            None => panic!("{} was not ready within {READY:?}", self.command),
        };
        let announcement = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{} printed {line:?}: {error}", self.command));
        Overlay {
            launched: self,
            announcement,
        }
    }

    /// Waits for its end, which the caller expects; gives the exit code and standard error.
    #[track_caller]
    pub fn refused(mut self, bound: Duration) -> (Option<i32>, String) {
        let status = wait_for(
            &format!("{} gives up\n{}", self.command, self.stderr()),
            bound,
            || self.exited(),
        );
        self.assert_nothing_left();
        self.ended = true;
        (status.code(), self.stderr())
    }

    /// Lines on standard output so far.
    pub fn stdout(&self) -> Vec<String> {
        self.stdout.lock().expect("no reader may panic").clone()
    }

    /// What `up` said on standard error so far; members say theirs to files.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.work.path().join("stderr.log")).unwrap_or_default())
            .into_owned()
    }

    /// Where assets are prepared.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The id of `up` itself.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id must fit 31 bits")
    }

    /// Live processes of this run, `up` included.
    pub fn processes(&self) -> Vec<Process> {
        process::tagged(&self.tag)
    }

    /// The process of a member, when it lives.
    pub fn process(&self, member: &str) -> Option<Process> {
        self.processes()
            .into_iter()
            .find(|process| process.member() == Some(member))
    }

    /// Kills a member and waits until it is gone.
    #[track_caller]
    pub fn kill9(&self, member: &str) {
        let Some(victim) = self.process(member) else {
            panic!("{member} does not run");
        };
        process::signal(victim.pid, Signal::KILL);
        wait_until(&format!("{member} is gone"), EXIT, || {
            !process::is_alive(victim.pid)
        });
    }

    /// Kills a member that is to join later, and gives the command that [`join`](Self::join) takes.
    #[track_caller]
    pub fn take_out(&self, member: &str) -> Command {
        let victim = self.process(member);
        let victim = victim.unwrap_or_else(|| panic!("{member} does not run"));
        let command = process::command_of(victim.pid);
        self.kill9(member);
        command
    }

    /// Starts a member that was taken out of a run without restarts; `up` does not know of it.
    #[track_caller]
    pub fn join(&self, mut command: Command) -> Joined {
        let log = fs::File::create(self.work.path().join("logs/joined.log"));
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log.expect("a log must be creatable"))
            .spawn()
            .expect("a member must start");
        Joined(child)
    }

    /// Kills `up` itself; its temporary files may stay, its children may not.
    #[track_caller]
    pub fn kill9_up(mut self) {
        self.dirty = true;
        process::signal(self.pid(), Signal::KILL);
        let _ = self.child.wait();
        wait_until("no process outlives a killed up", EXIT, || {
            self.processes().is_empty()
        });
        self.ended = true;
    }

    /// Asks it to end with `signal` and checks everything that must hold then.
    #[track_caller]
    pub fn end_with(&mut self, signal: Signal) {
        self.ended = true;
        process::signal(self.pid(), signal);
        let status = wait::poll(EXIT, || self.exited());
        let status =
            status.unwrap_or_else(|| panic!("{} did not end within {EXIT:?}", self.command));
        assert_eq!(
            status.code(),
            Some(0),
            "{} ended with {status}",
            self.command
        );
        self.assert_nothing_left();
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child must be waitable")
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        let left = self.processes();
        assert!(
            left.is_empty(),
            "{} left processes behind: {left:?}",
            self.command
        );
        let files: Vec<_> = fs::read_dir(self.work.path().join("tmp"))
            .expect("the temporary folder must be readable")
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(
            files.is_empty(),
            "{} left temporary files behind: {files:?}",
            self.command
        );
        let lines = self.stdout();
        assert!(
            lines.len() <= 1,
            "{} printed more than one line: {lines:?}",
            self.command
        );
        for (name, text) in self.logs() {
            if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
                panic!("{name}: {line}");
            }
        }
    }

    /// What `up` said, and what each member said.
    fn logs(&self) -> Vec<(String, String)> {
        let mut logs = vec![("up".to_owned(), self.stderr())];
        for path in asset::files(&self.work.path().join("logs")) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
            let name = path.file_stem().unwrap_or_default();
            logs.push((name.to_string_lossy().into_owned(), text));
        }
        logs
    }
}

/// A member that a test has started; it ends before the overlay does.
pub struct Joined(Child);

impl Drop for Joined {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if !self.ended && !std::thread::panicking() {
            self.end_with(Signal::TERM);
            return;
        }
        if !std::thread::panicking() {
            return;
        }
        for (name, text) in self.logs() {
            let lines: Vec<_> = text.lines().collect();
            println!("---- last lines of {name} of {}", self.command);
            println!("{}", lines[lines.len().saturating_sub(25)..].join("\n"));
        }
        // A failed test must not disturb the next one.
        process::signal(self.pid(), Signal::TERM);
        if wait::poll(EXIT, || self.exited()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for left in self.processes() {
            process::signal(left.pid, Signal::KILL);
        }
        if std::env::var_os("BANYAN_KEEP").is_some() {
            let kept = std::mem::replace(
                &mut self.work,
                TempDir::new().expect("a temporary folder must be creatable"),
            );
            println!("kept {}", kept.keep().display());
        }
    }
}
