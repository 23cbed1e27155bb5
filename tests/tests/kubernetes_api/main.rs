//! The custom resources against a real API server: what it accepts, refuses and says, what it fills in, and what
//! kubectl shows of them.

mod chart;
mod operator;
mod releases;
mod table;

use std::sync::OnceLock;

use banyan_tests::cluster::{SERVERS, TOPOLOGIES};
use banyan_tests::{Cluster, Stopwatch, cluster, workspace};
use serde_json::{Value, json};

#[test]
fn the_definitions_are_established_at_once() {
    let _time = Stopwatch::start("definitions");
    let Some(cluster) = with_definitions("the_definitions_are_established_at_once") else {
        return;
    };
    for name in [TOPOLOGIES, SERVERS] {
        let definition = definition(cluster, name);
        assert_eq!(
            cluster::condition(&definition, "NonStructuralSchema"),
            None,
            "{name}"
        );
        assert_eq!(
            definition["spec"]["names"]["categories"],
            json!(["banyan"]),
            "{name}"
        );
    }
}

#[test]
fn the_examples_are_accepted() {
    let _time = Stopwatch::start("examples");
    let Some(cluster) = with_definitions("the_examples_are_accepted") else {
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(workspace().join("examples")).expect("examples must be there") {
        let path = entry.expect("a folder must be readable").path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let path = path.display().to_string();
            cluster
                .kubectl(&[
                    "create",
                    "--dry-run=server",
                    "--validate=strict",
                    "-f",
                    &path,
                ])
                .ok();
            count += 1;
        }
    }
    assert!(count >= 2, "only {count} examples were found");
}

#[test]
fn explain_has_a_sentence_for_every_field() {
    let _time = Stopwatch::start("explain");
    let Some(cluster) = with_definitions("explain_has_a_sentence_for_every_field") else {
        return;
    };
    for name in [TOPOLOGIES, SERVERS] {
        let definition = definition(cluster, name);
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut silent = Vec::new();
        for part in ["spec", "status"] {
            undescribed(part, &schema["properties"][part], &mut silent);
        }
        assert!(
            silent.is_empty(),
            "these fields of {name} say nothing: {silent:#?}"
        );
    }
    let said = cluster
        .kubectl(&["explain", "streamtopology.spec.originSelection.weights"])
        .ok();
    for field in ["latency", "loss", "load"] {
        assert!(said.contains(field), "{said}");
    }
}

#[test]
fn kubectl_shows_columns_scales_edges_and_selects_by_topology() {
    let _time = Stopwatch::start("columns");
    let name = "kubectl_shows_columns_scales_edges_and_selects_by_topology";
    let Some(cluster) = with_definitions(name) else {
        return;
    };
    let space = "columns";
    cluster.namespace(space);
    cluster.apply(space, &topology().to_string());
    cluster.apply(space, &server("loquat", "plums").to_string());
    cluster.apply(space, &server("medlar", "quinces").to_string());

    let head = |kind: &str| {
        let all = cluster.kubectl(&["-n", space, "get", kind]).ok();
        let line = all.lines().next().unwrap_or_default().to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        head("csrv"),
        "NAME TOPOLOGY METRIC CONTENTS STATE REASON AGE"
    );
    assert_eq!(head("stopo"), "NAME READY REASON RELAYS ORIGIN ADDRESS AGE");
    let conditions = r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"FanOutTooSmall",
        "message":"too many","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}"#;
    for (kind, name) in [("csrv", "loquat"), ("stopo", "plums")] {
        let patch = ["--subresource=status", "--type=merge", "-p", conditions];
        let arguments = [&["-n", space, "patch", kind, name][..], &patch].concat();
        cluster.kubectl(&arguments).ok();
        let shown = cluster.kubectl(&["-n", space, "get", kind, name]).ok();
        assert!(shown.contains(" FanOutTooSmall "), "{shown}");
    }

    cluster
        .kubectl(&["-n", space, "scale", "stopo/plums", "--replicas=3"])
        .ok();
    let scaled = cluster
        .get(&["-n", space, "stopo/plums"])
        .expect("the topology must be there");
    assert_eq!(scaled["spec"]["edge"]["replicas"], 3);

    let fed = cluster.list(&[
        "-n",
        space,
        "csrv",
        "--field-selector=spec.topology=quinces",
    ]);
    assert_eq!(fed.len(), 1, "{fed:#?}");
    assert_eq!(fed[0]["metadata"]["name"], "medlar");
    let all = cluster.list(&["-n", space, "banyan"]);
    assert_eq!(all.len(), 3, "the category names both kinds: {all:#?}");
}

/// The API server with the definitions, or `None` when there is none here.
#[track_caller]
fn with_definitions(test: &'static str) -> Option<&'static Cluster> {
    static DONE: OnceLock<()> = OnceLock::new();
    let cluster = cluster::api(test)?;
    DONE.get_or_init(|| cluster.define());
    Some(cluster)
}

#[track_caller]
fn definition(cluster: &Cluster, name: &str) -> Value {
    cluster
        .get(&["crd", name])
        .expect("the definition must be there")
}

fn topology() -> Value {
    json!({
        "apiVersion": "banyan.media/v1alpha1", "kind": "StreamTopology",
        "metadata": {"name": "plums"}, "spec": {},
    })
}

fn server(name: &str, topology: &str) -> Value {
    json!({
        "apiVersion": "banyan.media/v1alpha1", "kind": "ContentServer",
        "metadata": {"name": name},
        "spec": {"topology": topology, "contents": [
            {"name": "kites", "source": {"test": {"pattern": "clock", "duration": "12s"}}},
        ]},
    })
}

/// Collects the paths of properties without a description. A pod template is Kubernetes' own.
fn undescribed(path: &str, schema: &Value, silent: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(str::is_empty) {
        silent.push(path.to_owned());
    }
    for holder in [schema, &schema["items"], &schema["additionalProperties"]] {
        for (name, inner) in holder["properties"].as_object().into_iter().flatten() {
            undescribed(&format!("{path}.{name}"), inner, silent);
        }
    }
}
