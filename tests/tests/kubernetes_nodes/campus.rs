//! The way a user goes: `helm install`, `kubectl apply -f examples/campus.yaml`, and video plays. Every test here uses
//! that one installation and leaves it ready.

mod claims;
mod earlier;
mod leader;
mod lifecycle;
mod operations;
mod page;
mod recorder;
mod servers;
mod troubles;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use banyan_tests::cluster::Viewer;
use banyan_tests::{Cluster, Stopwatch, cluster, workspace};
use serde_json::Value;

/// Namespace of the operator, and the release's name.
const SYSTEM: &str = "banyan-system";
const RELEASE: &str = "banyan";
/// Namespace and name of the topology.
const SPACE: &str = "campus";
/// From applying to playing. Alone on two cores it takes 50 s, most of it two servers preparing their contents.
const READY: Duration = Duration::from_secs(480);
/// From a change to every pod being as wanted; a pod may take its whole drain time.
const SETTLED: Duration = Duration::from_secs(180);

/// The installed campus.
#[derive(Clone, Copy)]
pub(crate) struct Campus(&'static Cluster);

impl Deref for Campus {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

/// The installed campus, ready, or `None` when there are no nodes here.
#[track_caller]
pub(crate) fn campus(test: &'static str) -> Option<Campus> {
    static DONE: OnceLock<()> = OnceLock::new();
    let campus = Campus(cluster::nodes(test)?);
    DONE.get_or_init(|| {
        campus.install_from(&earlier::chart(), &[]).ok();
        campus.namespace(SPACE);
        let path = workspace()
            .join("examples/campus.yaml")
            .display()
            .to_string();
        campus.kubectl(&["-n", SPACE, "apply", "-f", &path]).ok();
    });
    campus.ready();
    Some(campus)
}

impl Campus {
    /// `helm upgrade --install` of today's chart with these further values.
    #[track_caller]
    fn install(self, set: &[&str]) -> cluster::Output {
        self.install_from(&workspace().join("charts/banyan"), set)
    }

    /// As [`install`](Self::install), of the chart in this folder.
    #[track_caller]
    fn install_from(self, chart: &Path, set: &[&str]) -> cluster::Output {
        let chart = chart.display().to_string();
        let registry = format!("imageRegistry={}", self.image_registry());
        let mut arguments = vec!["upgrade", "--install", RELEASE, &chart, "-n", SYSTEM];
        arguments.extend([
            "--create-namespace",
            "--wait",
            "--timeout",
            "120s",
            "--set",
            &registry,
        ]);
        for value in set {
            arguments.extend(["--set", value]);
        }
        self.helm(Duration::from_secs(150), &arguments)
    }

    /// Waits until the topology says it is ready and streams are served.
    #[track_caller]
    fn ready(self) {
        self.wait_condition(SPACE, "stopo/campus", "Ready", "True", READY);
        for server in ["lisbon", "porto"] {
            self.wait_condition(SPACE, &format!("csrv/{server}"), "Ready", "True", READY);
        }
        let url = self.stream("clock");
        self.wait_until("the stream is served", Duration::from_secs(60), || {
            self.fetch(&url).is_some()
        });
    }

    /// Changes the topology by a merge patch.
    #[track_caller]
    fn patch_topology(self, patch: &str) {
        let arguments = ["-n", SPACE, "patch", "stopo/campus", "--type=merge", "-p"];
        let all: Vec<&str> = arguments.iter().copied().chain([patch]).collect();
        self.kubectl(&all).ok();
    }

    /// Where viewers open a stream: at the viewers' Service.
    #[track_caller]
    fn stream(self, name: &str) -> String {
        format!(
            "http://{}/{name}/index.m3u8",
            self.service_ip(SPACE, "campus")
        )
    }

    /// Starts a viewer at the viewers' Service.
    #[track_caller]
    fn watch(self) -> Viewer<'static> {
        self.0.watch(&self.stream("clock"))
    }

    /// Members' pods that are not leaving: their names with their UIDs.
    #[track_caller]
    fn members(self) -> BTreeMap<String, String> {
        let name =
            |pod: &Value, key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        self.pods(SPACE, "")
            .iter()
            .map(|pod| (name(pod, "name"), name(pod, "uid")))
            .collect()
    }

    /// Pods of one tier, or of one content server.
    #[track_caller]
    fn role(self, role: &str) -> Vec<Value> {
        let selector = match role {
            "lisbon" | "porto" => format!("banyan.media/content-server={role}"),
            tier => format!("banyan.media/topology=campus,banyan.media/tier={tier}"),
        };
        self.pods(SPACE, &selector)
    }

    /// Waits until every Deployment here has all its pods, and no pod is leaving.
    #[track_caller]
    fn settled(self) {
        self.wait_until("all pods are as wanted", SETTLED, || {
            let whole = self
                .list(&["-n", SPACE, "deployments"])
                .iter()
                .all(|deployment| {
                    let wanted = &deployment["spec"]["replicas"];
                    let status = &deployment["status"];
                    status["observedGeneration"] == deployment["metadata"]["generation"]
                        && ["replicas", "updatedReplicas", "availableReplicas"]
                            .iter()
                            .all(|count| status[*count] == *wanted)
                });
            whole
                && self
                    .list(&["-n", SPACE, "pods"])
                    .iter()
                    .all(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        });
    }
}

#[test]
fn applied_it_becomes_ready_and_video_plays() {
    let time = Stopwatch::start("campus");
    let Some(campus) = campus("applied_it_becomes_ready_and_video_plays") else {
        return;
    };
    time.lap("ready");
    for (role, count) in [
        ("root", 2),
        ("hall", 3),
        ("edge", 4),
        ("lisbon", 1),
        ("porto", 1),
    ] {
        assert_eq!(campus.role(role).len(), count, "pods of {role}");
    }
    let nodes: std::collections::BTreeSet<String> = campus
        .role("edge")
        .iter()
        .map(|pod| pod["spec"]["nodeName"].to_string())
        .collect();
    assert!(nodes.len() > 1, "edges should spread over nodes: {nodes:?}");

    let viewer = campus.watch();
    let said = campus
        .helm(
            Duration::from_secs(90),
            &["test", RELEASE, "-n", SYSTEM, "--timeout", "80s"],
        )
        .ok();
    assert!(said.contains("Succeeded"), "{said}");
    time.lap("helm test");
    viewer.unbroken("a viewer at the Service");

    let shown = campus.kubectl(&["-n", SPACE, "get", "banyan"]).ok();
    println!("{shown}");
    let row = shown
        .lines()
        .find(|line| line.contains("campus") && line.contains("True"));
    assert!(row.is_some_and(|row| row.contains("9/9")), "{shown}");
}
