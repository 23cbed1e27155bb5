//! The chart's life on an API server, with both helms: installed, upgraded with a changed definition, rolled back,
//! removed, adopted again. Nothing runs here; what runs is the nodes' test.

use std::path::{Path, PathBuf};
use std::process::Command;

use banyan_tests::{Cluster, Stopwatch, workspace};
use serde_json::Value;

use super::{TOPOLOGIES, with_definitions};

const SPACE: &str = "chart";

#[test]
fn helm_4_installs_upgrades_rolls_back_and_leaves_only_definitions() {
    let _time = Stopwatch::start("helm 4");
    life(
        "helm_4_installs_upgrades_rolls_back_and_leaves_only_definitions",
        "helm4",
    );
}

#[test]
fn helm_3_installs_upgrades_rolls_back_and_leaves_only_definitions() {
    let _time = Stopwatch::start("helm 3");
    life(
        "helm_3_installs_upgrades_rolls_back_and_leaves_only_definitions",
        "helm3",
    );
}

fn life(test: &'static str, tool: &str) {
    let Some(cluster) = with_definitions(test) else {
        return;
    };
    let helm = Helm::new(cluster, tool);
    cluster.namespace(SPACE);
    let chart = workspace().join("charts/banyan");
    let changed = copy_with_a_changed_definition(&chart, tool);

    // The definitions of other tests are there, as kept ones of an earlier release would be.
    helm.ok(&["install", "larch", &shown(&chart), "--take-ownership"]);
    let own = cluster.get(&["crd", TOPOLOGIES]).expect("it must be kept");
    assert_eq!(annotation(&own, "meta.helm.sh/release-name"), "larch");
    assert_eq!(annotation(&own, "helm.sh/resource-policy"), "keep");
    cluster.apply(
        SPACE,
        &std::fs::read_to_string(workspace().join("examples/minimal.yaml"))
            .expect("it must be readable"),
    );

    helm.ok(&[
        "upgrade",
        "larch",
        &shown(&changed),
        "--reset-then-reuse-values",
    ]);
    assert_eq!(column(cluster), "Changed by a test");
    helm.ok(&["rollback", "larch", "1"]);
    assert_ne!(column(cluster), "Changed by a test");

    helm.ok(&["uninstall", "larch"]);
    let left = cluster.list(&["-n", SPACE, "banyan"]);
    assert_eq!(left.len(), 2, "topologies outlive the release: {left:#?}");
    for kinds in [
        "deploy,svc,sa,netpol,pdb,role,rolebinding",
        "clusterrole,clusterrolebinding",
    ] {
        let selector = "app.kubernetes.io/part-of=banyan,app.kubernetes.io/instance=larch";
        let left = cluster.list(&["-A", "-l", selector, kinds]);
        assert!(left.is_empty(), "{left:#?}");
    }

    let said = helm.refused(&["install", "fir", &shown(&chart)]);
    assert!(said.contains("invalid ownership metadata"), "{said}");
    helm.ok(&["install", "larch", &shown(&chart)]);
    helm.ok(&["uninstall", "larch"]);
    cluster
        .kubectl(&["-n", SPACE, "delete", "banyan", "--all"])
        .ok();
}

/// One version of helm, with a home of its own.
struct Helm<'a> {
    cluster: &'a Cluster,
    binary: String,
    home: PathBuf,
}

impl<'a> Helm<'a> {
    fn new(cluster: &'a Cluster, tool: &str) -> Self {
        let built = Command::new(workspace().join("scripts/tool.sh"))
            .arg(tool)
            .output()
            .expect("scripts/tool.sh must start");
        let said = String::from_utf8_lossy(&built.stderr).into_owned();
        assert!(built.status.success(), "{tool} was not built: {said}");
        Self {
            cluster,
            binary: String::from_utf8_lossy(&built.stdout).trim().to_owned(),
            home: scratch(tool).join("home"),
        }
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        self.cluster
            .inside("timeout")
            .args(["60", &self.binary, "--namespace", SPACE])
            .args(arguments)
            .env("HELM_CACHE_HOME", self.home.join("cache"))
            .env("HELM_CONFIG_HOME", self.home.join("config"))
            .env("HELM_DATA_HOME", self.home.join("data"))
            .output()
            .expect("helm must start")
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {arguments:?}: {said}");
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "helm {arguments:?} was accepted");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn scratch(tool: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-{tool}"))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn copy_with_a_changed_definition(chart: &Path, tool: &str) -> PathBuf {
    let copy = scratch(tool).join("banyan");
    let _ = std::fs::remove_dir_all(scratch(tool));
    std::fs::create_dir_all(&copy).expect("a folder must be made");
    let copied = Command::new("cp")
        .arg("-rT")
        .args([chart, &copy])
        .status()
        .expect("cp must start");
    assert!(copied.success());
    let path = copy.join(format!("files/crds/{TOPOLOGIES}.yaml"));
    let text = std::fs::read_to_string(&path).expect("the chart must have the definition");
    let changed = text.replacen(COLUMN, "description: Changed by a test", 1);
    assert_ne!(text, changed, "there must be a column to change");
    std::fs::write(&path, changed).expect("a copy must be writable");
    copy
}

/// Beginning of what the first column says of itself.
const COLUMN: &str = "description: Whether viewers are served";

/// What the first column says of itself.
fn column(cluster: &Cluster) -> String {
    let definition = cluster.get(&["crd", TOPOLOGIES]).expect("it must be there");
    let columns = &definition["spec"]["versions"][0]["additionalPrinterColumns"];
    columns[0]["description"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["annotations"][key]
        .as_str()
        .unwrap_or_default()
}
