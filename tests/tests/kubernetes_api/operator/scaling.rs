//! The operator's own scaling of edges, from what members report to the pods that go.

use std::time::Duration;

use banyan_tests::Stopwatch;
use serde_json::{Value, json};

use super::players::{Players, slot};
use super::{SOON, server, started, topology};

const SPACE: &str = "scaling";
const URI: &str = "http://127.0.0.1:7400";

/// Two looks at what edges report, and a busy machine's time.
const DECIDED: Duration = Duration::from_secs(60);

#[test]
fn edges_follow_what_members_report_and_the_idle_ones_go() {
    let _time = Stopwatch::start("scaling");
    let name = "edges_follow_what_members_report_and_the_idle_ones_go";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    cluster.namespace(SPACE);
    let mut object = topology();
    object["spec"] = json!({
        "rendezvous": {"replicas": 1},
        "edge": {"replicas": 1, "autoscale": {"minReplicas": 1, "maxReplicas": 6, "targetSessions": 10}},
    });
    cluster.apply(SPACE, &object.to_string());
    cluster.apply(SPACE, &server("loquat", "plums").to_string());

    let mut players = Players::new(cluster, SPACE);
    let root = players.pods("plums", "root", 1).remove(0);
    let edge = players.pods("plums", "edge", 1).remove(0);
    for (pod, role, viewers) in [(&root, "root", 0), (&edge, "edge", 35)] {
        assert_eq!(players.ready(pod), 0, "the first of its tier");
        players.attach(URI, pod, role, viewers);
    }
    let replicas = |found: &Value| found["spec"]["edge"]["replicas"].as_u64();
    let grown = cluster.wait_object(SPACE, "stopo/plums", "4 edges", DECIDED, |found| {
        replicas(found) == Some(4)
    });
    let fields = cluster.kubectl(&[
        "-n",
        SPACE,
        "get",
        "stopo/plums",
        "-o",
        "yaml",
        "--show-managed-fields",
    ]);
    assert!(
        fields.ok().contains("banyan-operator/autoscale"),
        "{grown:#}"
    );

    // Of the new ones one is idle.
    let edges = players.pods("plums", "edge", 4);
    for pod in edges.iter().filter(|pod| slot(pod).is_none()) {
        let viewers = match players.ready(pod) {
            1 => 0,
            2 => 5,
            _ => 1,
        };
        players.attach(URI, pod, "edge", viewers);
    }
    let most = r#"{"spec":{"edge":{"autoscale":{"maxReplicas":2}}}}"#;
    cluster
        .kubectl(&[
            "-n",
            SPACE,
            "patch",
            "stopo/plums",
            "--type=merge",
            "-p",
            most,
        ])
        .ok();
    cluster.wait_object(SPACE, "stopo/plums", "2 edges", DECIDED, |found| {
        replicas(found) == Some(2)
    });
    let selector = "banyan.media/topology=plums,banyan.media/tier=edge";
    let staying = || -> Vec<String> {
        let pods = cluster.pods(SPACE, selector);
        let mut slots: Vec<String> = pods.iter().filter_map(slot).map(str::to_owned).collect();
        slots.sort();
        slots
    };
    cluster.wait_until("those with viewers are left", SOON, || {
        staying() == ["0", "2"]
    });
}
