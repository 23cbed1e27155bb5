//! A Kubernetes cluster for a test binary: the one that `scripts/cluster.sh` makes, started once and ended with this
//! process however it ends, or, with `BANYAN_CLUSTER=existing`, the one that `KUBECONFIG` speaks of.
//!
//! Commands run in the cluster's own network with a bound on their time. Of Banyan it knows its definitions alone.

mod command;
mod cut;
mod daemon;
mod objects;
mod viewer;
mod writes;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde::Deserialize;

pub use command::Output;
pub use cut::Cut;
pub use daemon::{Daemon, Helper};
pub use objects::{SERVERS, TOPOLOGIES, condition};
pub use viewer::Viewer;
pub use writes::Write;

use crate::fixtures;

/// Exit status of `cluster.sh` on a machine that cannot run a cluster.
const UNAVAILABLE: i32 = 69;
/// Repository prefix of the images that `scripts/images.sh` writes.
const IMAGES: &str = "localhost";

/// How much of a cluster a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An API server with its controllers.
    Api,
    /// Two nodes with real kubelets and the project's images too.
    Nodes,
}

/// Where a made cluster is.
#[derive(Clone, Debug, Deserialize)]
struct Made {
    run: PathBuf,
    enter: PathBuf,
    /// First process of the cluster's namespaces.
    pid: u32,
}

/// A running cluster.
pub struct Cluster {
    made: Option<Made>,
    kind: Kind,
    /// Ends the cluster when it is closed, as it is when this process is gone.
    _lifeline: Option<Mutex<(Child, ChildStdin)>>,
}

/// Why there is none.
struct Missing(String);

/// An API server, or `None` after saying that `test` is skipped.
#[track_caller]
pub fn api(test: &'static str) -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Result<Cluster, Missing>> = OnceLock::new();
    get(&CLUSTER, Kind::Api, test)
}

/// A cluster with two nodes, or `None` after saying that `test` is skipped.
#[track_caller]
pub fn nodes(test: &'static str) -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Result<Cluster, Missing>> = OnceLock::new();
    get(&CLUSTER, Kind::Nodes, test)
}

#[track_caller]
fn get(
    cell: &'static OnceLock<Result<Cluster, Missing>>,
    kind: Kind,
    test: &str,
) -> Option<&'static Cluster> {
    match cell.get_or_init(|| Cluster::start(kind)) {
        Ok(cluster) => Some(cluster),
        Err(Missing(what)) => {
            fixtures::skip(test, what);
            None
        }
    }
}

impl Cluster {
    fn start(kind: Kind) -> Result<Self, Missing> {
        if std::env::var("BANYAN_CLUSTER").as_deref() == Ok("existing") {
            return Ok(Self {
                made: None,
                kind,
                _lifeline: None,
            });
        }
        let mut command = Command::new(crate::workspace().join("scripts/cluster.sh"));
        command.args(["--json", "--until-eof", "--nodes"]);
        match kind {
            Kind::Api => command.arg("0"),
            Kind::Nodes => {
                command.arg("2");
                for image in images() {
                    command.arg("--image").arg(image);
                }
                &mut command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("scripts/cluster.sh must start");
        let lifeline = child.stdin.take().expect("its input must be piped");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output must be piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("its output must be text");
        if let Ok(made) = serde_json::from_str(&line) {
            return Ok(Self {
                made: Some(made),
                kind,
                _lifeline: Some(Mutex::new((child, lifeline))),
            });
        }
        drop(lifeline);
        let mut said = String::new();
        if let Some(mut pipe) = child.stderr.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        let status = child.wait().expect("a child must be waitable");
        assert!(
            status.code() == Some(UNAVAILABLE),
            "the cluster did not start ({status}):\n{line}{said}"
        );
        Err(Missing(said.trim().replace('\n', "; ")))
    }

    /// Registry and path before the images' names, as the chart wants it.
    pub fn image_registry(&self) -> String {
        match &self.made {
            Some(_) => IMAGES.to_owned(),
            None => std::env::var("BANYAN_IMAGE_REGISTRY").unwrap_or_default(),
        }
    }

    /// A command that runs in the cluster's network.
    pub fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        match &self.made {
            Some(made) => {
                let mut command = Command::new(&made.enter);
                command.arg(program);
                command
            }
            None => Command::new(program),
        }
    }

    /// The folder with the logs and the audit log, of a cluster that was made here.
    pub fn run(&self) -> Option<&std::path::Path> {
        self.made.as_ref().map(|made| made.run.as_path())
    }

    /// Whether it has nodes.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// Archives of the images of the binaries beside this test, written if they changed.
fn images() -> Vec<PathBuf> {
    let folder = crate::binary("banyan")
        .parent()
        .expect("a binary must lie in a folder")
        .to_owned();
    let out = crate::cache_home().join("images");
    let done = Command::new(crate::workspace().join("scripts/images.sh"))
        .arg("tests")
        .env("BIN", folder)
        .env("OUT", &out)
        .output()
        .expect("scripts/images.sh must start");
    assert!(
        done.status.success(),
        "the images were not written: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    [
        "banyan-pause",
        "banyan-operator",
        "banyan-relay",
        "banyan-origin",
        "test-later",
        "test-recorder",
    ]
    .iter()
    .map(|name| out.join(format!("{name}.tar")))
    .collect()
}

/// Bound of one question to the API server.
pub const ASKED: Duration = Duration::from_secs(30);
