//! The operator as a process against a real API server, with the rights that the chart gives it and no others. There are
//! no nodes, so its pods never start; what it writes, heals and leaves alone is judged by the objects.

mod players;
mod replicas;
mod rights;
mod scaling;
mod secret;

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use banyan_tests::{Cluster, Operator, Stopwatch, wait, workspace};
use serde_json::{Value, json};

use super::{server, topology, with_definitions};

/// From a change to its consequences.
const SOON: Duration = Duration::from_secs(30);
/// From a cause that goes away to the next attempt, which waits longer after each that failed.
const LATER: Duration = Duration::from_secs(90);
/// Everything that the operator makes for a user, but the run secret.
const CHILDREN: &str = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets,networkpolicies,controllerrevisions";

/// The operator of all tests here, leading, or `None` when there is no API server.
#[track_caller]
fn started(test: &'static str) -> Option<&'static Operator> {
    static OPERATOR: OnceLock<Operator> = OnceLock::new();
    let cluster = with_definitions(test)?;
    Some(OPERATOR.get_or_init(|| Operator::start(cluster)))
}

#[test]
fn children_appear_and_belong_to_their_topology() {
    let _time = Stopwatch::start("children");
    let Some(operator) = started("children_appear_and_belong_to_their_topology") else {
        return;
    };
    let cluster = operator.cluster();
    let space = "children";
    campus(cluster, space);
    let wanted = [
        "configmap/campus-config",
        "service/campus",
        "service/campus-root",
        "deployment/campus-root",
        "deployment/campus-hall",
        "deployment/campus-edge",
        "deployment/lisbon-origin",
        "deployment/porto-origin",
        "serviceaccount/campus-root",
        "serviceaccount/campus-hall",
        "serviceaccount/campus-edge",
        "poddisruptionbudget/campus-root",
        "networkpolicy/campus-edge",
        "networkpolicy/lisbon-origin",
    ];
    for child in wanted {
        let (kind, _) = child.split_once('/').unwrap_or_default();
        let object = cluster.wait_object(space, child, "it exists", SOON, |_| true);
        let owner = &object["metadata"]["ownerReferences"][0];
        assert_eq!(owner["controller"], true, "{child}: {owner}");
        assert_eq!(
            object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "banyan-operator",
            "{kind}"
        );
    }
    let tier = |name: &str| object(cluster, space, &format!("deployment/campus-{name}"));
    assert_eq!(tier("root")["spec"]["replicas"], 2);
    assert_eq!(tier("hall")["spec"]["replicas"], 3);
    assert_eq!(tier("edge")["spec"]["replicas"], 4);
    let first = operator.first();
    let depth = || {
        first
            .as_ref()?
            .metric("banyan_operator_queue_depth_objects")
    };
    cluster.wait_until("nothing waits for the operator", SOON, || {
        depth() == Some(0.0)
    });
}

#[test]
fn what_others_wrote_stays_and_what_they_broke_is_healed() {
    let _time = Stopwatch::start("foreign");
    let name = "what_others_wrote_stays_and_what_they_broke_is_healed";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    let space = "foreign";
    plums(cluster, space);
    let edge = "deployment/plums-edge";
    cluster.wait_object(space, edge, "it exists", SOON, |_| true);
    cluster
        .kubectl(&["-n", space, "annotate", edge, "team=media"])
        .ok();
    let restart = r#"{"spec":{"template":{"metadata":{"annotations":{"restarted":"yes"}}}}}"#;
    cluster
        .kubectl(&["-n", space, "patch", edge, "--type=merge", "-p", restart])
        .ok();

    // Now things that are the operator's own: it takes them back.
    let broken = r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nobody/knows:1"}]"#;
    cluster
        .kubectl(&["-n", space, "patch", edge, "--type=json", "-p", broken])
        .ok();
    let healed = cluster.wait_object(space, edge, "its image is back", SOON, |found| {
        found["spec"]["template"]["spec"]["containers"][0]["image"] != "nobody/knows:1"
    });
    assert_eq!(healed["metadata"]["annotations"]["team"], "media");
    assert_eq!(
        healed["spec"]["template"]["metadata"]["annotations"]["restarted"],
        "yes"
    );

    let before = object(cluster, space, edge)["metadata"]["uid"].clone();
    for child in [edge, "service/plums", "networkpolicy/plums-edge"] {
        cluster
            .kubectl(&["-n", space, "delete", child, "--wait=false"])
            .ok();
        cluster.wait_object(space, child, "it is back", SOON, |found| {
            found["metadata"]["uid"] != before && found["metadata"]["deletionTimestamp"].is_null()
        });
    }
}

#[test]
fn a_name_that_is_taken_is_left_alone_and_told() {
    let _time = Stopwatch::start("conflict");
    let Some(operator) = started("a_name_that_is_taken_is_left_alone_and_told") else {
        return;
    };
    let cluster = operator.cluster();
    let space = "conflict";
    cluster.namespace(space);
    cluster
        .kubectl(&[
            "-n",
            space,
            "create",
            "configmap",
            "plums-config",
            "--from-literal=mine=yes",
        ])
        .ok();
    plums(cluster, space);
    cluster.wait_object(
        space,
        "stopo/plums",
        "a condition says NameConflict",
        SOON,
        |found| {
            found["status"]["conditions"]
                .to_string()
                .contains("NameConflict")
        },
    );
    let mine = object(cluster, space, "configmap/plums-config");
    assert_eq!(mine["data"], json!({"mine": "yes"}));
    assert!(mine["metadata"]["ownerReferences"].is_null());
}

#[test]
fn deleted_with_the_operator_its_children_go() {
    let _time = Stopwatch::start("garbage");
    let Some(operator) = started("deleted_with_the_operator_its_children_go") else {
        return;
    };
    let cluster = operator.cluster();
    let space = "garbage";
    plums(cluster, space);
    cluster.wait_object(space, "deployment/plums-edge", "it exists", SOON, |_| true);
    cluster
        .kubectl(&["-n", space, "delete", "stopo/plums", "--timeout=10s"])
        .ok();
    cluster
        .kubectl(&["-n", space, "delete", "csrv/loquat", "--timeout=10s"])
        .ok();
    let left = || -> Vec<String> {
        let all = cluster.list(&["-n", space, CHILDREN]);
        all.iter()
            .filter(|object| !object["metadata"]["ownerReferences"].is_null())
            .map(|object| object["metadata"]["name"].to_string())
            .collect()
    };
    cluster.wait_until("all children are gone", SOON, || left().is_empty());
}

#[test]
fn a_stored_object_that_makes_no_sense_harms_no_other() {
    let _time = Stopwatch::start("poison");
    let Some(operator) = started("a_stored_object_that_makes_no_sense_harms_no_other") else {
        return;
    };
    let cluster = operator.cluster();
    // Stored as by a version that knew no rules.
    let real = object(cluster, "default", &format!("crd/{}", super::TOPOLOGIES));
    let open = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}]);
    let crd = format!("crd/{}", super::TOPOLOGIES);
    cluster.namespace("poison");
    cluster
        .kubectl(&["patch", &crd, "--type=json", "-p", &open.to_string()])
        .ok();
    let poison = json!({"apiVersion": "banyan.media/v1alpha1", "kind": "StreamTopology",
        "metadata": {"name": "poison"}, "spec": {"packaging": "none", "relays": 7}})
    .to_string();
    // The API server takes a moment to serve the new schema.
    let stored = wait::poll_gently(SOON, || {
        cluster
            .kubectl_with(
                &poison,
                &["-n", "poison", "create", "--validate=false", "-f", "-"],
            )
            .status
            .success()
            .then_some(())
    });
    let closed = json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema",
        "value": real["spec"]["versions"][0]["schema"]["openAPIV3Schema"]}]);
    cluster
        .kubectl(&["patch", &crd, "--type=json", "-p", &closed.to_string()])
        .ok();
    assert!(stored.is_some(), "the object could not be stored");

    let space = "beside-poison";
    plums(cluster, space);
    cluster.wait_object(space, "deployment/plums-edge", "it exists", SOON, |_| true);
    operator.restart();
    cluster
        .kubectl(&["-n", space, "delete", "service/plums"])
        .ok();
    cluster.wait_object(space, "service/plums", "it is back", SOON, |_| true);
    cluster
        .kubectl(&["-n", "poison", "delete", "stopo/poison"])
        .ok();
}

#[test]
fn a_paused_topology_is_left_alone_and_what_no_longer_belongs_goes() {
    let _time = Stopwatch::start("paused");
    let name = "a_paused_topology_is_left_alone_and_what_no_longer_belongs_goes";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    let space = "paused";
    plums(cluster, space);
    let edge = "deployment/plums-edge";
    cluster.wait_object(space, edge, "it exists", SOON, |_| true);
    let change = |spec: Value| {
        let patch = json!({ "spec": spec }).to_string();
        cluster
            .kubectl(&[
                "-n",
                space,
                "patch",
                "stopo/plums",
                "--type=merge",
                "-p",
                &patch,
            ])
            .ok();
    };
    let middle = json!([{"name": "middle", "replicas": 1, "fanOut": 8}]);
    change(json!({"paused": true, "relays": middle}));
    // Status follows while nothing else does.
    cluster.wait_object(space, "stopo/plums", "it says Paused", SOON, |found| {
        found["status"]["conditions"].to_string().contains("Paused")
    });
    let looks = || {
        let first = operator.first();
        let replica = first.as_ref().expect("it runs");
        replica.metric("banyan_operator_reconciles_total")
    };
    let before = looks();
    cluster
        .kubectl(&["-n", space, "delete", "service/plums"])
        .ok();
    cluster.wait_until("it looked again", SOON, || looks() > before);
    let held = "deployment/plums-middle";
    assert_eq!(cluster.get(&["-n", space, held]), None);
    assert_eq!(cluster.get(&["-n", space, "service/plums"]), None);

    change(json!({"paused": false}));
    cluster.wait_object(space, held, "it exists", SOON, |_| true);
    cluster.wait_object(space, "service/plums", "it is back", SOON, |_| true);
    change(json!({"relays": null}));
    for child in [
        held,
        "serviceaccount/plums-middle",
        "networkpolicy/plums-middle",
    ] {
        cluster.wait_until("the tier's objects go", SOON, || {
            cluster.get(&["-n", space, child]).is_none()
        });
    }
    assert!(cluster.get(&["-n", space, edge]).is_some());
}

#[test]
fn when_nothing_changes_nothing_is_written() {
    let _time = Stopwatch::start("quiet");
    let Some(operator) = started("when_nothing_changes_nothing_is_written") else {
        return;
    };
    let cluster = operator.cluster();
    let space = "quiet";
    campus(cluster, space);
    cluster.wait_object(space, "deployment/campus-edge", "it exists", SOON, |_| true);
    let mut last = (operator.writes(), std::time::Instant::now());
    let quiet = Duration::from_secs(15);
    // The first writes come in bursts; after that, silence for as long as several resynchronisations of watches take.
    let bound = Duration::from_secs(90);
    let settled = wait::poll_gently(bound, || {
        let now = operator.writes();
        if now.len() != last.0.len() {
            last = (now, std::time::Instant::now());
        }
        (last.1.elapsed() > quiet).then_some(())
    });
    let tail: Vec<String> = last
        .0
        .iter()
        .rev()
        .take(8)
        .map(|write| {
            format!(
                "{} {} {}/{}",
                write.verb, write.resource, write.namespace, write.name
            )
        })
        .collect();
    assert!(settled.is_some(), "it never stops writing: {tail:#?}");
}

#[track_caller]
fn object(cluster: &Cluster, space: &str, name: &str) -> Value {
    cluster
        .get(&["-n", space, name])
        .unwrap_or_else(|| panic!("there is no {name} in {space}"))
}

/// A small topology with one server.
#[track_caller]
fn plums(cluster: &Cluster, space: &str) {
    cluster.namespace(space);
    cluster.apply(space, &topology().to_string());
    cluster.apply(space, &server("loquat", "plums").to_string());
}

/// The example.
#[track_caller]
fn campus(cluster: &Cluster, space: &str) {
    cluster.namespace(space);
    let path = workspace()
        .join("examples/campus.yaml")
        .display()
        .to_string();
    cluster.kubectl(&["-n", space, "apply", "-f", &path]).ok();
}

#[test]
fn the_rights_of_the_chart_are_enough_and_no_more() {
    let _time = Stopwatch::start("rights");
    let Some(operator) = started("the_rights_of_the_chart_are_enough_and_no_more") else {
        return;
    };
    let cluster = operator.cluster();
    let mut refused = operator.refused();
    // There a test took a right away.
    refused.retain(|line| !line.contains(rights::SPACE));
    assert!(
        refused.is_empty(),
        "the API server refused the operator: {refused:#?}"
    );
    let may = |verb: &str, what: &str| {
        let who = format!("--as={}", operator.account());
        cluster
            .kubectl(&["auth", "can-i", verb, what, "-A", &who])
            .status
            .success()
    };
    let forbidden: BTreeSet<(&str, &str)> = [
        ("get", "secrets"),
        ("list", "secrets"),
        ("delete", "secrets"),
        ("delete", "pods"),
        ("create", "pods"),
        ("get", "nodes"),
        ("create", "clusterroles"),
        ("patch", "streamtopologies"),
        ("delete", "namespaces"),
        ("create", "pods/exec"),
        ("escalate", "roles"),
        ("impersonate", "users"),
    ]
    .into();
    let wrong: Vec<_> = forbidden
        .into_iter()
        .filter(|(verb, what)| may(verb, what))
        .collect();
    assert!(wrong.is_empty(), "the operator may do this too: {wrong:?}");
}
