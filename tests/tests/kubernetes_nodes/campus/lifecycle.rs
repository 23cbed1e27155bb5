//! The operator's own life: killed, upgraded, rolled back, uninstalled. Members live on.

use std::time::Duration;

use banyan_tests::wait::poll_gently;
use banyan_tests::{Stopwatch, cluster};

use super::{Campus, RELEASE, SPACE, SYSTEM, campus};

/// Pods of the operator.
const OPERATOR: &str = "app.kubernetes.io/instance=banyan";

#[test]
fn the_operator_is_killed_and_no_pod_notices() {
    let time = Stopwatch::start("kill-operator");
    let Some(campus) = campus("the_operator_is_killed_and_no_pod_notices") else {
        return;
    };
    let before = campus.members();
    let viewer = campus.watch(30);
    let replicas = campus.pods(SYSTEM, OPERATOR).len();
    assert!(replicas >= 2, "{replicas} replicas of the operator");
    campus
        .kubectl(&[
            "-n",
            SYSTEM,
            "delete",
            "pods",
            "-l",
            OPERATOR,
            "--grace-period=0",
            "--force",
            "--wait=false",
        ])
        .ok();
    campus.operator_is_back();
    time.lap("a new operator is ready");
    campus.unbroken(viewer, "a viewer while the operator was killed");
    campus.ready();
    assert_eq!(before, campus.members(), "pods before and after");
}

#[test]
fn the_operator_is_upgraded_and_rolled_back_and_no_pod_notices() {
    let time = Stopwatch::start("upgrade");
    let name = "the_operator_is_upgraded_and_rolled_back_and_no_pod_notices";
    let Some(campus) = campus(name) else {
        return;
    };
    let before = campus.members();
    let viewer = campus.watch(60);
    // Another default image is another rendering of every pod, as a new version of the operator would have.
    campus
        .install(&[
            "operator.podAnnotations.upgraded=yes",
            "relay.image.tag=another",
        ])
        .ok();
    time.lap("upgraded");
    let bound = Duration::from_secs(60);
    campus.wait_condition(SPACE, "stopo/campus", "UpdateAvailable", "True", bound);
    assert_eq!(
        before,
        campus.members(),
        "pods before and after the upgrade"
    );

    campus
        .helm(
            Duration::from_secs(150),
            &[
                "rollback",
                RELEASE,
                "-n",
                SYSTEM,
                "--wait",
                "--timeout",
                "120s",
            ],
        )
        .ok();
    time.lap("rolled back");
    campus.wait_object(
        SPACE,
        "stopo/campus",
        "no update is available",
        bound,
        |object| cluster::condition(object, "UpdateAvailable") != Some("True"),
    );
    campus.unbroken(viewer, "a viewer during upgrade and rollback");
    campus.ready();
    assert_eq!(
        before,
        campus.members(),
        "pods before and after the rollback"
    );
}

#[test]
fn uninstalled_it_leaves_only_the_definitions() {
    let time = Stopwatch::start("uninstall");
    let Some(campus) = campus("uninstalled_it_leaves_only_the_definitions") else {
        return;
    };
    let before = campus.members();
    campus
        .helm(
            Duration::from_secs(90),
            &[
                "uninstall",
                RELEASE,
                "-n",
                SYSTEM,
                "--wait",
                "--timeout",
                "60s",
            ],
        )
        .ok();
    time.lap("uninstalled");
    // Its pods take a moment to leave.
    let left = poll_gently(Duration::from_secs(60), || {
        campus.labelled().is_empty().then_some(())
    });
    let left = left.map_or_else(|| campus.labelled(), |()| Vec::new());

    // Media plays on, and a new installation takes over what it finds.
    let viewer = campus.watch(10);
    campus.unbroken(viewer, "a viewer without an operator");
    campus.install(&[]).ok();
    campus.ready();
    assert!(left.is_empty(), "these were left: {left:#?}");
    time.lap("installed again");
    assert_eq!(before, campus.members(), "pods before and after");
}

impl Campus {
    /// Everything that carries the release's label, but for the definitions, which are kept.
    #[track_caller]
    fn labelled(self) -> Vec<String> {
        let mut found = Vec::new();
        for kinds in [
            "all,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies",
            "clusterroles,clusterrolebindings,customresourcedefinitions",
        ] {
            let names = self
                .kubectl(&["get", kinds, "-A", "-o", "name", "-l", OPERATOR])
                .ok();
            found.extend(names.lines().map(str::to_owned));
        }
        found.retain(|name| !name.starts_with("customresourcedefinition"));
        found
    }

    #[track_caller]
    fn operator_is_back(self) {
        let bound = Duration::from_secs(120);
        self.wait_until("two replicas of the operator are ready", bound, || {
            self.get(&["-n", SYSTEM, "deployment/banyan"])
                .is_some_and(|found| found["status"]["readyReplicas"] == 2)
        });
    }
}
