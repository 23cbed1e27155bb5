//! `banyan up` around members that are shell scripts: ports, ends, and what is left behind.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const ORCHARD: &str = "\
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: orchard}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  edge: {replicas: 1}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: pear}
spec:
  topology: orchard
  contents:
    - name: fig
      source: {test: {pattern: bars, duration: 4s}}
";

/// Says its process id and arguments in a file of its own, then does as the test wants.
const PREFACE: &str =
    "#!/bin/sh\nprintf '%s\\n' $$ \"$@\" > $PIDS/$$.new\nmv $PIDS/$$.new $PIDS/$$\n";
/// Leaves when asked, and when its input ends.
const PATIENT: &str = "exec cat\n";

/// This program beside scripts that take the members' places.
struct Stage(TempDir);

impl Stage {
    fn new(relay: &str, origin: &str) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "tmp", "pids"] {
            fs::create_dir(stage.path(folder)).unwrap();
        }
        let banyan = env!("CARGO_BIN_EXE_banyan");
        if fs::hard_link(banyan, stage.path("bin/banyan")).is_err() {
            fs::copy(banyan, stage.path("bin/banyan")).unwrap();
        }
        for (name, script) in [("banyan-relay", relay), ("banyan-origin", origin)] {
            let path = stage.path("bin").join(name);
            fs::write(&path, format!("{PREFACE}{script}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(stage.path("o.yaml"), ORCHARD).unwrap();
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn up(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/banyan"));
        command
            .args(["up", "o.yaml", "--cache", "cache"])
            .args(arguments)
            .current_dir(self.0.path())
            .env("TMPDIR", self.path("tmp"))
            .env("PIDS", self.path("pids"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits until so many members have said who they are.
    fn members(&self, count: usize) -> Vec<Vec<String>> {
        until("members start", || {
            let entries = fs::read_dir(self.path("pids")).unwrap();
            let paths = entries.map(|entry| entry.unwrap().path());
            let whole = paths.filter(|path| path.extension().is_none());
            let said: Vec<Vec<String>> = whole
                .map(|path| {
                    fs::read_to_string(path)
                        .unwrap()
                        .lines()
                        .map(String::from)
                        .collect()
                })
                .collect();
            (said.len() >= count).then_some(said)
        })
    }

    fn is_clean(&self) -> bool {
        fs::read_dir(self.path("tmp")).unwrap().count() == 0
    }
}

fn until<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = met() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

fn is_alive(pid: &str) -> bool {
    // A zombie has no command line.
    let line = fs::read(Path::new("/proc").join(pid).join("cmdline"));
    line.is_ok_and(|line| !line.is_empty())
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, signal).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn grpc_port(arguments: &[String]) -> u16 {
    let at = arguments.iter().position(|word| word == "--grpc").unwrap();
    let (_, port) = arguments[at + 1].rsplit_once(':').unwrap();
    port.parse().unwrap()
}

#[test]
fn a_request_to_stop_leaves_no_process_and_no_temporary_file() {
    for wanted in [Signal::TERM, Signal::INT] {
        let stage = Stage::new(PATIENT, PATIENT);
        let child = stage.up(&["--verbose"]).spawn().unwrap();
        let members = stage.members(3);
        signal(&child, wanted);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        for member in &members {
            assert!(!is_alive(&member[0]), "{member:?}");
        }
        assert!(stage.is_clean());
    }
}

#[test]
fn a_member_that_will_not_leave_is_killed() {
    let deaf = "trap '' TERM INT\nwhile :; do sleep 1; done\n";
    let stage = Stage::new(PATIENT, deaf);
    let child = stage.up(&[]).spawn().unwrap();
    let members = stage.members(3);
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert!(
        said.contains("pear did not leave within 5 s and was killed"),
        "{said}"
    );
    assert!(members.iter().all(|member| !is_alive(&member[0])));
    assert!(stage.is_clean());
}

#[test]
fn a_killed_up_takes_its_members_with_it() {
    let stage = Stage::new(PATIENT, PATIENT);
    let mut child = stage.up(&[]).spawn().unwrap();
    let members = stage.members(3);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    until("members leave", || {
        let alive = members.iter().any(|member| is_alive(&member[0]));
        (!alive).then_some(())
    });
}

#[test]
fn a_member_that_cannot_start_is_quoted_and_everything_is_taken_down() {
    let broken = "echo 'cannot listen on 127.0.0.1:1: in use' >&2\nexit 1\n";
    let stage = Stage::new(broken, PATIENT);
    let output = stage.up(&["--json"]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    assert!(
        said.contains(" ended while starting (exit code 1); its last lines:"),
        "{said}"
    );
    assert!(
        said.contains("cannot listen on 127.0.0.1:1: in use"),
        "{said}"
    );
    for member in stage.members(1) {
        assert!(!is_alive(&member[0]), "{member:?}");
    }
    assert!(stage.is_clean());
}

#[test]
fn a_killed_member_comes_back_on_its_ports_unless_told_otherwise() {
    for (restart, comes_back) in [("always", true), ("never", false)] {
        let stage = Stage::new(PATIENT, PATIENT);
        let child = stage.up(&["--restart", restart]).spawn().unwrap();
        let members = stage.members(3);
        let edge = members
            .iter()
            .find(|member| member.contains(&"edge-0".to_owned()));
        let edge = edge.unwrap();
        let pid = Pid::from_raw(edge[0].parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        if comes_back {
            let after = stage.members(4);
            let edges: Vec<_> = after
                .iter()
                .filter(|member| member.contains(&"edge-0".to_owned()))
                .collect();
            assert_eq!(edges.len(), 2);
            assert_eq!(edges[0][1..], edges[1][1..], "same arguments, same ports");
            signal(&child, Signal::TERM);
        }
        let output = child.wait_with_output().unwrap();
        let said = said(&output);
        // Without a restart, a member lost before it was ready is a failed start.
        assert_eq!(output.status.code(), Some(i32::from(!comes_back)), "{said}");
        assert!(said.contains("(signal 9)"), "{said}");
        assert!(stage.is_clean());
    }
}

#[test]
fn a_second_up_runs_beside_the_first_with_ports_and_cache_of_its_own() {
    let stage = Stage::new(PATIENT, PATIENT);
    let first = stage.up(&[]).spawn().unwrap();
    stage.members(3);
    let second = stage.up(&[]).spawn().unwrap();
    let members = stage.members(6);
    let mut ports: Vec<u16> = members.iter().map(|member| grpc_port(member)).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 6, "{members:?}");
    assert!(ports[3] - ports[0] >= 100, "{ports:?}");
    let mut caches: Vec<&String> = members
        .iter()
        .filter_map(|member| {
            let at = member.iter().position(|word| word == "--cache")?;
            member.get(at + 1)
        })
        .collect();
    caches.sort();
    assert!(
        caches[0].ends_with("/pear") && caches[1].ends_with("/pear-2"),
        "{caches:?}"
    );
    for child in [first, second] {
        signal(&child, Signal::TERM);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    }
    assert!(stage.is_clean());
}

#[test]
fn a_chosen_port_in_use_is_named() {
    let stage = Stage::new(PATIENT, PATIENT);
    // Outside the ranges that runs search and that the kernel hands out.
    let bind = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    let (port, _squatter) = (10_000..17_900)
        .step_by(100)
        .filter(|base| bind(base + 99).is_ok())
        .find_map(|base| Some((base, bind(base).ok()?)))
        .unwrap();
    let base = port.to_string();
    let output = stage.up(&["--port", &base]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        format!(
            "banyan: port {port} is in use on 127.0.0.1; choose another base with --port, or leave it out\n"
        )
    );
    assert!(stage.is_clean());
}

#[test]
fn missing_programs_are_named_with_the_way_to_build_them() {
    let stage = Stage::new(PATIENT, PATIENT);
    fs::remove_file(stage.path("bin/banyan-relay")).unwrap();
    fs::remove_file(stage.path("bin/banyan-origin")).unwrap();
    let output = stage.up(&[]).env("PATH", "").output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for name in ["banyan-relay", "banyan-origin"] {
        let hint = format!("build it with `cargo build -p {name}`");
        assert!(said.contains(&hint), "{said}");
    }
    assert!(stage.is_clean());
}

#[test]
fn the_secret_of_a_run_is_in_no_argument_and_no_file() {
    let reveal = "printf '%s' \"$BANYAN_RUN_SECRET\" > $PIDS/secret.txt\nexec cat\n";
    let stage = Stage::new(reveal, PATIENT);
    let child = stage.up(&[]).spawn().unwrap();
    let members = stage.members(3);
    let secret = until("the secret is known to a member", || {
        let text = fs::read_to_string(stage.path("pids/secret.txt")).ok()?;
        (text.len() == 64).then_some(text)
    });
    assert!(members.iter().flatten().all(|word| !word.contains(&secret)));
    let mut folders = vec![stage.path("tmp"), stage.path("cache")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(&secret), "{path:?}");
        }
    }
    assert!(files >= 4, "{files} files were looked at");
    signal(&child, Signal::TERM);
    child.wait_with_output().unwrap();
}
