//! Operators as processes in a cluster's network, with the rights that the chart gives them and no others.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::cluster::{Daemon, Write};
use crate::{Cluster, binary, cache_home, process, workspace};

const SPACE: &str = "banyan-system";
const ACCOUNT: &str = "system:serviceaccount:banyan-system:banyan";

/// Name of the replica that [`Operator::restart`] starts.
const FIRST: &str = "operator";

/// Another replica takes over this long after the last one fell silent, and a busy machine's time to start.
const ELECTED: Duration = Duration::from_secs(60);

/// The operator of a test binary, which is restarted on demand and may have more replicas.
pub struct Operator {
    cluster: &'static Cluster,
    folder: tempfile::TempDir,
    replica: Mutex<Option<Replica>>,
}

impl Operator {
    /// One that leads. The cluster must know both kinds.
    #[track_caller]
    pub fn start(cluster: &'static Cluster) -> Self {
        let operator = Self {
            cluster,
            folder: tempfile::tempdir().expect("a temporary folder must open"),
            replica: Mutex::new(None),
        };
        let _ = std::fs::remove_file(log(FIRST));
        println!("  the operator's log is {}", log(FIRST).display());
        operator.give_rights();
        operator.restart();
        operator
    }

    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// Ends it, if it runs, and starts it anew; waits until it leads.
    #[track_caller]
    pub fn restart(&self) {
        self.end();
        let replica = self.replica(FIRST, "127.0.0.1", &self.kubeconfig());
        replica.wait_leads();
        *self.first() = Some(replica);
    }

    /// Ends it, if it runs; it gives its Lease back.
    #[track_caller]
    pub fn end(&self) {
        if let Some(replica) = self.first().take() {
            replica.end();
        }
    }

    /// The first replica, if it was not ended.
    pub fn first(&self) -> MutexGuard<'_, Option<Replica>> {
        // A test that failed while it looked harms no other.
        self.replica.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one more, on an address of loopback that no other has.
    #[track_caller]
    pub fn replica(&self, name: &str, ip: &str, kubeconfig: &Path) -> Replica {
        let path = log(name);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a log must open");
        let from = log.metadata().map_or(0, |meta| meta.len());
        let kubeconfig = format!("KUBECONFIG={}", kubeconfig.display());
        let binary = binary("banyan-operator").display().to_string();
        let [grpc, http, health] = [7400, 8080, 8081].map(|port| format!("{ip}:{port}"));
        let mut arguments = vec![kubeconfig.as_str(), "RUST_LOG=info", &binary];
        arguments.extend(["--namespace", SPACE, "--pod-name", name, "--pod-ip", ip]);
        arguments.extend(["--grpc", &grpc, "--http", &http, "--health", &health]);
        arguments.extend(["--relay-image", "localhost/banyan-relay:test"]);
        arguments.extend(["--origin-image", "localhost/banyan-origin:test"]);
        let daemon = self.cluster.daemon(Path::new("env"), &arguments, &log);
        Replica {
            cluster: self.cluster,
            ip: ip.to_owned(),
            log: path,
            from,
            daemon,
        }
    }

    /// Everything its account wrote, but for its own Lease.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.cluster.writes(ACCOUNT);
        writes.retain(|write| write.resource != "leases");
        writes
    }

    /// Lines of its log in which the API server refused it something.
    pub fn refused(&self) -> Vec<String> {
        let log = std::fs::read_to_string(log(FIRST)).expect("the log must be readable");
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

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// The address of the API server, and a kubeconfig that looks for it at `other`.
    pub fn kubeconfig_by(&self, other: &str) -> PathBuf {
        let mut config = self.read_kubeconfig();
        let cluster = &mut config["clusters"][0]["cluster"];
        cluster["tls-server-name"] = serde_json::json!(host(&self.server()));
        cluster["server"] = serde_json::json!(format!("https://{other}"));
        let path = self
            .folder
            .path()
            .join(format!("kubeconfig-{}", other.replace(':', "-")));
        std::fs::write(&path, config.to_string()).expect("a kubeconfig must be writable");
        path
    }

    /// Address of the API server.
    pub fn server(&self) -> String {
        let config = self.read_kubeconfig();
        let server = config["clusters"][0]["cluster"]["server"].as_str();
        let server = server.expect("a kubeconfig must name a server");
        server.trim_start_matches("https://").to_owned()
    }

    fn read_kubeconfig(&self) -> serde_json::Value {
        let text = std::fs::read(self.kubeconfig()).expect("the kubeconfig must be readable");
        serde_json::from_slice(&text).expect("the kubeconfig must be JSON")
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Kept after the run: it is what one looks at when a test failed.
fn log(name: &str) -> PathBuf {
    cache_home().join(format!("cluster/{name}.log"))
}

/// One operator process; it is killed when this is dropped.
pub struct Replica {
    cluster: &'static Cluster,
    ip: String,
    log: PathBuf,
    /// Where its part of the log begins.
    from: u64,
    pub daemon: Daemon,
}

impl Replica {
    /// Waits until it leads.
    #[track_caller]
    pub fn wait_leads(&self) {
        self.cluster
            .wait_until("the operator leads", ELECTED, || self.leads());
    }

    pub fn leads(&self) -> bool {
        self.metric("banyan_operator_leading") == Some(1.0)
    }

    /// Tells it to leave, and waits until it has.
    #[track_caller]
    pub fn end(self) {
        if let Ok(pid) = i32::try_from(self.daemon.pid()) {
            process::signal(pid, Signal::TERM);
        }
        self.cluster
            .wait_until("the operator has left", ELECTED, || !self.daemon.runs());
    }

    /// A metric without labels, or the sum over all labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.ask(8081, "/metrics")?;
        let of_name = text.lines().filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let values = of_name.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.reduce(|sum, value| sum + value)
    }

    /// What it answers on a port; `None` unless with success.
    pub fn ask(&self, port: u16, path: &str) -> Option<String> {
        self.cluster
            .fetch(&format!("http://{}:{port}{path}", self.ip))
    }

    pub fn healthy(&self) -> bool {
        self.ask(8081, "/healthz").is_some()
    }

    pub fn ready(&self) -> bool {
        self.ask(8081, "/readyz").is_some()
    }

    /// What it logged.
    pub fn logged(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).expect("the log must be readable");
        let own = text.get(usize::try_from(self.from).unwrap_or(0)..);
        own.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}
