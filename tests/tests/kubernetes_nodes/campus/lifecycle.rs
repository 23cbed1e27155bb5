//! The operator's own life: killed, upgraded, rolled back, uninstalled. Members live on.

use std::time::Duration;

use banyan_tests::wait::poll_gently;
use banyan_tests::{Stopwatch, cluster};

use super::{Campus, RELEASE, SPACE, SYSTEM, campus, earlier};

/// Pods of the operator.
const OPERATOR: &str = "app.kubernetes.io/instance=banyan";

#[test]
fn the_operator_is_killed_and_no_pod_notices() {
    let time = Stopwatch::start("kill-operator");
    let Some(campus) = campus("the_operator_is_killed_and_no_pod_notices") else {
        return;
    };
    let before = campus.members();
    let viewer = campus.watch();
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
    viewer.unbroken("a viewer while the operator was killed");
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
    if campus.definition_is_of_today() {
        campus.install_from(&earlier::chart(), &[]).ok();
    }
    assert!(!campus.definition_is_of_today());
    let viewer = campus.watch();
    // An operator of another build, whose builders give every member's pod one label more (operator/examples/later.rs),
    // and a definition with a field and a column more.
    campus
        .install(&["operator.image.tag=later", "origin.image.tag=missing"])
        .ok();
    time.lap("upgraded");
    assert!(campus.definition_is_of_today());
    let bound = Duration::from_secs(60);
    campus.wait_object(
        SPACE,
        "stopo/campus",
        "a pod template waits",
        bound,
        |object| {
            let conditions = object["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "UpdateAvailable"
                    && condition["status"] == "True"
                    && condition["message"].as_str().is_some_and(|message| {
                        message.contains("runs a pod template of an earlier operator")
                    })
            })
        },
    );
    // Any change has all of an object judged by the new definition, and the new field is there.
    campus
        .kubectl(&["-n", SPACE, "label", "banyan", "--all", "touched=yes"])
        .ok();
    campus.patch_topology(r#"{"metadata":{"labels":{"touched":null}},"spec":{"paused":false}}"#);
    let object = campus.get(&["-n", SPACE, "stopo/campus"]);
    let object = object.expect("it must be there");
    assert_eq!(object["spec"][earlier::FIELD], false, "{object:#}");
    // What the new build makes anew has its label, and the old image of nobody.
    let image = format!("{}/banyan-origin:missing", campus.image_registry());
    campus.tells_troubles(&image);
    time.lap("troubles of new objects are told");
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
    assert!(!campus.definition_is_of_today());
    campus.wait_object(
        SPACE,
        "stopo/campus",
        "no update is available",
        bound,
        |object| cluster::condition(object, "UpdateAvailable") != Some("True"),
    );
    viewer.unbroken("a viewer during upgrade and rollback");
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
    let viewer = campus.watch();
    viewer.unbroken("a viewer without an operator");
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

    /// Whether the API server's definition has what the earlier one lacks.
    #[track_caller]
    fn definition_is_of_today(self) -> bool {
        let definition = self
            .get(&["crd", earlier::DEFINITION])
            .expect("there must be a definition");
        let version = &definition["spec"]["versions"][0];
        let fields = &version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
        let columns = version["additionalPrinterColumns"].as_array();
        let column = columns
            .into_iter()
            .flatten()
            .any(|column| column["name"] == earlier::COLUMN);
        let field = !fields[earlier::FIELD].is_null();
        assert_eq!(field, column, "the definition is neither of the two");
        field
    }

    #[track_caller]
    pub(super) fn operator_is_back(self) {
        let bound = Duration::from_secs(120);
        self.wait_until("two replicas of the operator are ready", bound, || {
            self.get(&["-n", SYSTEM, "deployment/banyan"])
                .is_some_and(|found| found["status"]["readyReplicas"] == 2)
        });
    }
}
