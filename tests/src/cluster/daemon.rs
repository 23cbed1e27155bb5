//! Processes that run in the cluster's network until a test is done with them, or gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use super::{Cluster, command};
use crate::{binary, wait};

/// A process in the cluster's network, killed when this is dropped or this process is gone.
pub struct Daemon {
    shell: Child,
    /// It is killed when this is closed.
    lifeline: Option<ChildStdin>,
    pid: u32,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts a program that ends with the test; `log` takes what it says.
    #[track_caller]
    pub fn daemon(&self, program: &Path, arguments: &[&str], log: &File) -> Daemon {
        let folder = tempfile::tempdir().expect("a temporary folder must open");
        let file = folder.path().join("pid");
        let mut shell = self.inside("sh");
        // The shell waits for the end of its input, or for the end of the program.
        let script = r#""$@" </dev/null & echo $! >"$0.new"; mv "$0.new" "$0"; cat >/dev/null; kill -KILL $! 2>/dev/null"#;
        shell.arg("-c").arg(script).arg(&file).arg(program);
        shell.args(arguments);
        let clone = || log.try_clone().expect("a file handle must be clonable");
        let mut shell = shell
            .stdin(Stdio::piped())
            .stdout(clone())
            .stderr(clone())
            .spawn()
            .expect("a shell must start");
        let lifeline = shell.stdin.take();
        let pid = wait::wait_for("the process has an id", Duration::from_secs(10), || {
            std::fs::read_to_string(&file).ok()?.trim().parse().ok()
        });
        Daemon {
            shell,
            lifeline,
            pid,
            _folder: folder,
        }
    }

    /// Starts `banyan-inside`, to which lines are sent and which answers in lines.
    #[track_caller]
    pub fn helper(&self, words: &[&str]) -> Helper {
        let mut command = self.inside(binary("banyan-inside"));
        command.args(words);
        Helper::start(command)
    }

    /// Sends a signal to a process of the control plane, such as `controller-manager`; not on an existing cluster.
    #[track_caller]
    pub fn signal(&self, component: &str, signal: &str) {
        let made = self.made.as_ref().expect("the cluster must be of this run");
        let file = made.run.join(format!("{component}.pid"));
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &made.pid.to_string(), "--pid", "--"])
            .args(["sh", "-c", r#"kill -s "$0" "$(cat "$1")""#, signal])
            .arg(file);
        command::run(command, "", super::ASKED).ok();
    }
}

impl Daemon {
    /// Its process id, as this machine counts.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it runs still.
    pub fn runs(&self) -> bool {
        i32::try_from(self.pid).is_ok_and(crate::process::is_alive)
    }

    /// Memory that it holds, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }

    /// CPU seconds that it took so far.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = after.split_whitespace().skip(11).take(2);
        ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.shell.wait();
    }
}

/// A running `banyan-inside`.
pub struct Helper {
    process: Child,
    input: Option<ChildStdin>,
    answers: Receiver<Value>,
}

impl Helper {
    #[track_caller]
    fn start(mut command: Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("banyan-inside must start");
        let input = process.stdin.take();
        let output = process.stdout.take().expect("its output must be piped");
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("an answer must be JSON");
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        Self {
            process,
            input,
            answers,
        }
    }

    /// Sends a line.
    #[track_caller]
    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input must be open");
        writeln!(input, "{line}").expect("banyan-inside must run");
    }

    /// No lines follow; what is under way is done to its end.
    pub fn finish(&mut self) {
        drop(self.input.take());
    }

    /// The next answer within `bound`.
    #[track_caller]
    pub fn answer(&self, bound: Duration) -> Value {
        self.answers
            .recv_timeout(bound)
            .unwrap_or_else(|error| panic!("no answer within {bound:?}: {error}"))
    }

    /// All answers that are there.
    pub fn answers(&self) -> Vec<Value> {
        self.answers.try_iter().collect()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
