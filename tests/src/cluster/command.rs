//! Commands with a bound: kubectl, helm and whatever else is run against a cluster.

use std::io::{Seek, Write as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{ASKED, Cluster};
use crate::{wait, workspace};

/// What a command said.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Output {
    /// What it printed; fails with what it complained of.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}", self.err);
        self.out
    }

    /// What it complained of; fails if it did not.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(!self.status.success(), "this was accepted: {}", self.out);
        self.err
    }
}

impl Cluster {
    /// `kubectl` with these arguments, in at most [`ASKED`].
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_within(ASKED, arguments)
    }

    /// `kubectl` with these arguments, in at most `bound`.
    #[track_caller]
    pub fn kubectl_within(&self, bound: Duration, arguments: &[&str]) -> Output {
        let mut command = self.inside("kubectl");
        command.args(arguments);
        run(command, "", bound)
    }

    /// `kubectl` with a text as its standard input.
    #[track_caller]
    pub fn kubectl_with(&self, input: &str, arguments: &[&str]) -> Output {
        let mut command = self.inside("kubectl");
        command.args(arguments);
        run(command, input, ASKED)
    }

    /// `kubectl get … -o json`, parsed; `None` when there is no such thing.
    #[track_caller]
    pub fn get(&self, arguments: &[&str]) -> Option<Value> {
        let all: Vec<&str> = ["get", "-o", "json", "--ignore-not-found"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let out = self.kubectl(&all).ok();
        (!out.trim().is_empty()).then(|| {
            serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
        })
    }

    /// The items of `kubectl get … -o json`.
    #[track_caller]
    pub fn list(&self, arguments: &[&str]) -> Vec<Value> {
        self.get(arguments)
            .and_then(|list| list["items"].as_array().cloned())
            .unwrap_or_default()
    }

    /// Applies a text as `kubectl apply` does.
    #[track_caller]
    pub fn apply(&self, namespace: &str, manifest: &str) {
        self.kubectl_with(manifest, &["-n", namespace, "apply", "-f", "-"])
            .ok();
    }

    /// Helm 4 with these arguments, built when it is not in the cache.
    #[track_caller]
    pub fn helm(&self, bound: Duration, arguments: &[&str]) -> Output {
        let tool = Command::new(workspace().join("scripts/tool.sh"))
            .arg("helm4")
            .output()
            .expect("scripts/tool.sh must start");
        assert!(
            tool.status.success(),
            "helm was not built: {}",
            String::from_utf8_lossy(&tool.stderr)
        );
        let mut command = self.inside(String::from_utf8_lossy(&tool.stdout).trim());
        command.args(arguments).current_dir(workspace());
        run(command, "", bound)
    }

    /// A URL's content, fetched in the cluster's network; `None` while nobody answers with success.
    pub fn fetch(&self, url: &str) -> Option<String> {
        let mut command = self.inside("curl");
        command.args(["--silent", "--fail", "--max-time", "5", url]);
        let output = run(command, "", Duration::from_secs(10));
        output.status.success().then_some(output.out)
    }
}

/// Runs a command to its end; fails, and ends it, when it is not done in time.
#[track_caller]
pub(super) fn run(mut command: Command, input: &str, bound: Duration) -> Output {
    let file = || tempfile::tempfile().expect("a temporary file must open");
    let (mut stdin, mut out, mut err) = (file(), file(), file());
    stdin
        .write_all(input.as_bytes())
        .and_then(|()| stdin.rewind())
        .expect("a temporary file must take text");
    let clone = |file: &std::fs::File| {
        Stdio::from(file.try_clone().expect("a file handle must be clonable"))
    };
    let mut child = command
        .stdin(stdin)
        .stdout(clone(&out))
        .stderr(clone(&err))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = wait::poll(bound, || {
        child.try_wait().expect("a child must be waitable")
    });
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (out, err) = (text(&mut out), text(&mut err));
    let Some(status) = status else {
        panic!("{command:?} was not done in {bound:?}:\n{out}{err}");
    };
    Output { status, out, err }
}

fn text(file: &mut std::fs::File) -> String {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| std::io::Read::read_to_end(file, &mut bytes))
        .expect("a temporary file must give its text back");
    String::from_utf8_lossy(&bytes).into_owned()
}
