//! The custom resources against a real API server: what it accepts, refuses and says, what it fills in, and what
//! kubectl shows of them.

mod cases;

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use banyan_tests::{Cluster, Stopwatch, cluster, workspace};
use cases::{Case, refused_servers, refused_topologies, server, topology};
use serde_json::{Value, json};

const TOPOLOGIES: &str = "streamtopologies.banyan.media";
const SERVERS: &str = "contentservers.banyan.media";

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
fn every_rule_refuses_with_its_own_sentence() {
    let _time = Stopwatch::start("rules");
    let Some(cluster) = with_definitions("every_rule_refuses_with_its_own_sentence") else {
        return;
    };
    let cases: Vec<Case> = refused_topologies()
        .into_iter()
        .chain(refused_servers())
        .collect();
    let said = refusals(cluster, &cases);
    for (index, case) in cases.iter().enumerate() {
        let name = name_of(index);
        let found = said
            .iter()
            .find(|message| message.contains(&format!("\"{name}\"")));
        let Some(found) = found else {
            panic!(
                "this was accepted: {:?}\nall that was said: {said:#?}",
                case.change
            );
        };
        assert!(
            found.contains(case.says),
            "{:?} should be refused with {:?}, but: {found}",
            case.change,
            case.says
        );
    }

    // Every rule of the schemas has a case: what a rule says was said.
    let mut untested = BTreeSet::new();
    let immutable = "packaging is immutable";
    let names = "metadata.name must";
    for definition in [TOPOLOGIES, SERVERS].map(|name| definition(cluster, name)) {
        for rule in rules(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]) {
            let Some(message) = rule["message"].as_str() else {
                continue;
            };
            let known = message.starts_with(immutable) || message.starts_with(names);
            let told = said.iter().any(|text| text.contains(message))
                // Where the sentence is computed, it says more than the fixed one.
                || rule["messageExpression"].is_string();
            if !known && !told {
                untested.insert(message.to_owned());
            }
        }
    }
    assert!(untested.is_empty(), "no case breaks these: {untested:#?}");
}

#[test]
fn names_that_children_could_not_carry_are_refused() {
    let _time = Stopwatch::start("names");
    let Some(cluster) = with_definitions("names_that_children_could_not_carry_are_refused") else {
        return;
    };
    for (name, says) in [
        ("a".repeat(41), "metadata.name must have at most 40"),
        ("with.dot".to_owned(), "metadata.name must be a DNS label"),
    ] {
        for mut object in [topology(), server()] {
            object["metadata"]["name"] = json!(name);
            let said = dry_run(cluster, &object).refused();
            assert!(said.contains(says), "{said}");
        }
    }
}

#[test]
fn a_field_that_does_not_exist_is_named() {
    let _time = Stopwatch::start("fields");
    let Some(cluster) = with_definitions("a_field_that_does_not_exist_is_named") else {
        return;
    };
    for mut object in [topology(), server()] {
        object["spec"]["colour"] = json!("red");
        let said = dry_run(cluster, &object).refused();
        assert!(
            said.contains("unknown field") && said.contains("colour"),
            "{said}"
        );
    }
}

#[test]
fn packaging_never_changes() {
    let _time = Stopwatch::start("packaging");
    let Some(cluster) = with_definitions("packaging_never_changes") else {
        return;
    };
    cluster.namespace("packaging");
    cluster.apply("packaging", &topology().to_string());
    let patch = |text: &str| {
        cluster.kubectl(&[
            "-n",
            "packaging",
            "patch",
            "stopo/plums",
            "--type=merge",
            "-p",
            text,
        ])
    };
    let said = patch(r#"{"spec":{"packaging":{"window":9}}}"#).refused();
    assert!(said.contains("packaging is immutable"), "{said}");
    patch(r#"{"spec":{"edge":{"replicas":1}}}"#).ok();
}

#[test]
fn what_is_not_written_is_filled_in() {
    let _time = Stopwatch::start("defaults");
    let Some(cluster) = with_definitions("what_is_not_written_is_filled_in") else {
        return;
    };
    let mut bare = topology();
    bare["spec"] = json!({});
    let filled: Value =
        serde_json::from_str(&dry_run(cluster, &bare).ok()).expect("kubectl must print JSON");
    let spec = &filled["spec"];
    for (pointer, value) in [
        ("/rendezvous/replicas", json!(2)),
        ("/edge/replicas", json!(2)),
        ("/edge/service/type", json!("ClusterIP")),
        ("/originSelection/weights/latency", json!(50)),
        ("/originSelection/weights/loss", json!(30)),
        ("/originSelection/weights/load", json!(20)),
        ("/originSelection/heartbeatInterval", json!("1s")),
        ("/originSelection/missedHeartbeats", json!(3)),
        ("/originSelection/hysteresisPercent", json!(20)),
        ("/originSelection/minimumDwell", json!("10s")),
        ("/packaging/segmentDuration", json!("2s")),
        ("/packaging/window", json!(6)),
        ("/overlay/strategy", json!("Automatic")),
        ("/upgradePolicy", json!("OnSpecChange")),
        ("/paused", json!(false)),
    ] {
        assert_eq!(spec.pointer(pointer), Some(&value), "{pointer} in {spec:#}");
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
    cluster.apply(space, &server().to_string());
    let mut other = server();
    other["metadata"]["name"] = json!("medlar");
    other["spec"]["topology"] = json!("quinces");
    cluster.apply(space, &other.to_string());

    let head = |kind: &str| {
        let all = cluster.kubectl(&["-n", space, "get", kind]).ok();
        let line = all.lines().next().unwrap_or_default().to_owned();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(head("csrv"), "NAME TOPOLOGY METRIC CONTENTS STATE AGE");
    let columns = head("stopo");
    for column in ["NAME", "READY", "RELAYS", "ORIGIN", "ADDRESS", "AGE"] {
        assert!(columns.contains(column), "{columns}");
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
    DONE.get_or_init(|| {
        let folder = workspace().join("crds").display().to_string();
        cluster
            .kubectl(&["apply", "--server-side", "-f", &folder])
            .ok();
        for name in [TOPOLOGIES, SERVERS] {
            cluster.wait_condition(
                "default",
                &format!("crd/{name}"),
                "Established",
                "True",
                Duration::from_secs(10),
            );
        }
    });
    Some(cluster)
}

#[track_caller]
fn definition(cluster: &Cluster, name: &str) -> Value {
    cluster
        .get(&["crd", name])
        .expect("the definition must be there")
}

#[track_caller]
fn dry_run(cluster: &Cluster, object: &Value) -> cluster::Output {
    cluster.kubectl_with(
        &object.to_string(),
        &["create", "--dry-run=server", "-o", "json", "-f", "-"],
    )
}

fn name_of(index: usize) -> String {
    format!("case-{index:03}")
}

/// What the API server says to all cases, one message each, in one go.
#[track_caller]
fn refusals(cluster: &Cluster, cases: &[Case]) -> Vec<String> {
    let items: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let mut object = case.object.clone();
            object["metadata"]["name"] = json!(name_of(index));
            object
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let said = cluster
        .kubectl_with(
            &list.to_string(),
            &["create", "--dry-run=server", "--validate=false", "-f", "-"],
        )
        .refused();
    // A message starts at its kind, and may go on over lines with one star for each fault.
    let mut messages: Vec<String> = Vec::new();
    for line in said.lines() {
        match messages.last_mut() {
            Some(message) if line.starts_with("* ") => message.push_str(line),
            _ => messages.push(line.to_owned()),
        }
    }
    messages
}

/// All rules of a schema.
fn rules(schema: &Value) -> Vec<Value> {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("x-kubernetes-validations", Value::Array(rules)) => rules.clone(),
                _ => rules(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(rules).collect(),
        _ => Vec::new(),
    }
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
