//! The table of tests/manifests/crd, asked of a real API server: what it refuses and with which sentence, what it
//! accepts, what it fills in.

use std::collections::BTreeMap;

use banyan_tests::{Cluster, Stopwatch, cluster::Output, workspace};
use serde::Deserialize;
use serde_json::Value;

use super::with_definitions;

/// Where cases that need a stored object keep it.
const SPACE: &str = "table";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    base: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    merge: Value,
    then: Option<Value>,
    refused: Option<String>,
    #[serde(default)]
    gives: BTreeMap<String, Value>,
}

#[test]
fn the_api_server_accepts_refuses_and_fills_in_what_the_table_says() {
    let _time = Stopwatch::start("table");
    let name = "the_api_server_accepts_refuses_and_fills_in_what_the_table_says";
    let Some(cluster) = with_definitions(name) else {
        return;
    };
    cluster.namespace(SPACE);
    let mut count = 0;
    for (file, plural) in [
        ("stream-topologies.yaml", "streamtopologies"),
        ("content-servers.yaml", "contentservers"),
    ] {
        let path = workspace().join("tests/manifests/crd").join(file);
        let text = std::fs::read_to_string(path).expect("the table must be readable");
        let table: Table = serde_yaml_ng::from_str(&text).expect("the table must be a table");
        for case in &table.cases {
            check(plural, case, &ask(cluster, plural, &table, case));
            count += 1;
        }
    }
    println!("  {count} cases");
    assert!(count > 80, "only {count} cases were found");
}

/// What the API server answers to a case.
#[track_caller]
fn ask(cluster: &Cluster, plural: &str, table: &Table, case: &Case) -> Output {
    let mut object = table.base.clone();
    merge(&mut object, &case.merge);
    let path = format!("/apis/banyan.media/v1alpha1/namespaces/{SPACE}/{plural}");
    let create = |object: &Value, query: &str| {
        cluster.kubectl_with(
            &object.to_string(),
            &["create", "--raw", &format!("{path}?{query}"), "-f", "-"],
        )
    };
    let Some(then) = &case.then else {
        return create(&object, "dryRun=All&fieldValidation=Strict");
    };
    let stored: Value = serde_json::from_str(&create(&object, "fieldValidation=Strict").ok())
        .expect("the API server must answer in JSON");
    let mut changed = stored.clone();
    merge(&mut changed, then);
    let name = stored["metadata"]["name"]
        .as_str()
        .expect("an object must have a name");
    let answer = cluster.kubectl_with(
        &changed.to_string(),
        &[
            "replace",
            "--raw",
            &format!("{path}/{name}?dryRun=All&fieldValidation=Strict"),
            "-f",
            "-",
        ],
    );
    cluster
        .kubectl(&["delete", "--raw", &format!("{path}/{name}")])
        .ok();
    answer
}

#[track_caller]
fn check(plural: &str, case: &Case, answer: &Output) {
    let case_name = format!("{plural}, {}", case.name);
    if let Some(sentence) = &case.refused {
        assert!(
            !answer.status.success(),
            "{case_name}: this was accepted: {}",
            answer.out
        );
        assert!(
            answer.err.contains(sentence),
            "{case_name}: {sentence:?} is not in {}",
            answer.err
        );
        return;
    }
    assert!(answer.status.success(), "{case_name}: {}", answer.err);
    let stored: Value =
        serde_json::from_str(&answer.out).expect("the API server must answer in JSON");
    for (pointer, expected) in &case.gives {
        let found = stored.pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{case_name}: {pointer}");
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        if !patch.is_null() {
            *target = patch.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Value::Object(fields) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
