//! Finding the processes of one run by a tag in their environment, and ending them by id.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

/// Environment variable that every process of one run carries.
pub const TAG: &str = "BANYAN_TEST_RUN";

/// A live process.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub args: Vec<String>,
}

impl Process {
    /// The member it runs as.
    pub fn member(&self) -> Option<&str> {
        if let Some(at) = self.args.iter().position(|arg| arg == "--member") {
            return self.args.get(at + 1).map(String::as_str);
        }
        (self.args.get(1).map(String::as_str) == Some("control")).then_some("control")
    }

    /// Value of one of its arguments.
    pub fn argument(&self, name: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == name)?;
        self.args.get(at + 1).map(String::as_str)
    }
}

/// The command that this process runs as: program, arguments, environment, folder. It can start another of its kind once
/// this one has ended.
#[track_caller]
pub fn command_of(pid: i32) -> Command {
    let link = |name: &str| {
        fs::read_link(format!("/proc/{pid}/{name}"))
            .unwrap_or_else(|error| panic!("/proc/{pid}/{name}: {error}"))
    };
    let words = |name: &str| -> Vec<String> {
        let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("the process must live");
        let words = bytes.split(|b| *b == 0).filter(|word| !word.is_empty());
        words
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    };
    let environment = words("environ");
    let mut command = Command::new(link("exe"));
    command
        .args(&words("cmdline")[1..])
        .env_clear()
        .envs(environment.iter().filter_map(|pair| pair.split_once('=')))
        .current_dir(link("cwd"));
    command
}

/// Live processes whose environment carries this tag. Zombies have none.
pub fn tagged(tag: &str) -> Vec<Process> {
    let wanted = format!("{TAG}={tag}");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")
        .expect("/proc must be readable")
        .flatten()
    {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(environment) = fs::read(entry.path().join("environ")) else {
            continue;
        };
        if !environment
            .split(|b| *b == 0)
            .any(|pair| pair == wanted.as_bytes())
        {
            continue;
        }
        let args = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let args = args
            .split(|b| *b == 0)
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .collect();
        found.push(Process { pid, args });
    }
    found
}

/// Whether a process runs; a zombie does not.
pub fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
    })
}

/// Sends a signal; a process that is gone already is fine.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}
