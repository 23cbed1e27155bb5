//! One operator for all tests of this binary, started with the chart's account and restarted on demand.

use std::fs::File;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use banyan_tests::{Cluster, binary, cache_home, cluster::Write, workspace};

use super::super::with_definitions;

const SPACE: &str = "banyan-system";
const ACCOUNT: &str = "system:serviceaccount:banyan-system:banyan";

/// A running operator.
pub(super) struct Operator {
    cluster: &'static Cluster,
    folder: tempfile::TempDir,
    /// It is killed when this is closed, as it is when the test binary is gone.
    process: Mutex<Option<(Child, ChildStdin)>>,
}

impl Operator {
    /// The operator, leading, or `None` when there is no API server here.
    #[track_caller]
    pub(super) fn started(test: &'static str) -> Option<&'static Self> {
        static OPERATOR: OnceLock<Operator> = OnceLock::new();
        let cluster = with_definitions(test)?;
        let operator = OPERATOR.get_or_init(|| {
            let operator = Self {
                cluster,
                folder: tempfile::tempdir().expect("a temporary folder must open"),
                process: Mutex::new(None),
            };
            let _ = std::fs::remove_file(operator.log());
            println!("  the operator's log is {}", operator.log().display());
            operator.give_rights();
            operator.restart();
            operator
        });
        Some(operator)
    }

    pub(super) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    pub(super) fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// Ends it, if it runs, and starts it anew; waits until it leads.
    #[track_caller]
    pub(super) fn restart(&self) {
        let mut process = self.process.lock().expect("no test may fail in here");
        if let Some((mut old, lifeline)) = process.take() {
            drop(lifeline);
            let _ = old.wait();
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log())
            .expect("a log must open");
        let mut command = self.within();
        command
            .arg(binary("banyan-operator"))
            .args([
                "--namespace",
                SPACE,
                "--pod-name",
                "operator-0",
                "--pod-ip",
                "127.0.0.1",
            ])
            .args(["--relay-image", "localhost/banyan-relay:test"])
            .args(["--origin-image", "localhost/banyan-origin:test"])
            .env("RUST_LOG", "info")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a file handle must be clonable"))
            .stderr(log);
        let mut child = command.spawn().expect("the operator must start");
        let lifeline = child.stdin.take().expect("its input must be piped");
        *process = Some((child, lifeline));
        drop(process);
        self.cluster
            .wait_until("the operator leads", Duration::from_secs(60), || {
                self.cluster
                    .fetch("http://127.0.0.1:8081/metrics")
                    .is_some_and(|text| {
                        text.lines().any(|line| line == "banyan_operator_leading 1")
                    })
            });
    }

    /// Everything it wrote, but for its own Lease.
    pub(super) fn writes(&self) -> Vec<Write> {
        let mut writes = self.cluster.writes(ACCOUNT);
        writes.retain(|write| write.resource != "leases");
        writes
    }

    /// Lines of its log in which the API server refused it something.
    pub(super) fn refused(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log()).expect("the log must be readable");
        let refusals = log.lines().filter(|line| line.contains("forbidden"));
        refusals.map(str::to_owned).collect()
    }

    /// The chart's account with its rights, and a kubeconfig with its token.
    #[track_caller]
    fn give_rights(&self) {
        let cluster = self.cluster;
        cluster
            .kubectl_with(
                &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {SPACE}}}}}"),
                &["apply", "-f", "-"],
            )
            .ok();
        let chart = workspace().join("charts/banyan").display().to_string();
        let objects = cluster
            .helm(
                Duration::from_secs(60),
                &[
                    "template",
                    "banyan",
                    &chart,
                    "-n",
                    SPACE,
                    "-s",
                    "templates/serviceaccount.yaml",
                    "-s",
                    "templates/rbac/operator.yaml",
                ],
            )
            .ok();
        cluster.kubectl_with(&objects, &["apply", "-f", "-"]).ok();
        let token = cluster
            .kubectl(&["-n", SPACE, "create", "token", "banyan", "--duration=2h"])
            .ok();
        let admin = cluster
            .kubectl(&[
                "config",
                "view",
                "--raw",
                "--minify",
                "--flatten",
                "-o",
                "json",
            ])
            .ok();
        let mut config: serde_json::Value =
            serde_json::from_str(&admin).expect("kubectl must print JSON");
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        std::fs::write(self.kubeconfig(), config.to_string())
            .expect("a kubeconfig must be writable");
    }

    fn log(&self) -> std::path::PathBuf {
        // Kept after the run: it is what one looks at when a test failed.
        cache_home().join("cluster/operator.log")
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// `env` in the cluster's network with the account's kubeconfig, killed when its input ends.
    fn within(&self) -> Command {
        let mut command = self.cluster.inside("sh");
        command.args(["-c", r#""$@" & cat >/dev/null; kill -KILL $!"#, "sh", "env"]);
        command.arg(format!("KUBECONFIG={}", self.kubeconfig().display()));
        command
    }
}
