//! The table of tests/manifests/crd, which a real API server is asked too: what it refuses is refused here, what it
//! accepts is accepted here, defaults are the same, and no rule of the schemas is without a case.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use banyan_api::manifest;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A file of the table.
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
    gives: Map<String, Value>,
}

fn tables() -> Vec<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/manifests/crd");
    ["stream-topologies.yaml", "content-servers.yaml"]
        .iter()
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            serde_yaml_ng::from_str(&text).unwrap()
        })
        .collect()
}

/// RFC 7396.
fn merged(target: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut fields = target.as_object().cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            let old = fields.get(key).cloned().unwrap_or_default();
            fields.insert(key.clone(), merged(&old, value));
        }
    }
    Value::Object(fields)
}

/// Empty lists and objects are not written, which means the same.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .map(|(key, value)| (key.clone(), without_empty(value)));
            let kept: Map<_, _> = kept.filter(|(_, value)| !value.is_null()).collect();
            if kept.is_empty() {
                Value::Null
            } else {
                Value::Object(kept)
            }
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(without_empty).collect()),
        value => value.clone(),
    }
}

fn object(table: &Table, case: &Case) -> Value {
    match &case.merge {
        Value::Null => table.base.clone(),
        patch => merged(&table.base, patch),
    }
}

#[test]
fn what_an_api_server_accepts_and_refuses_is_accepted_and_refused_here() {
    for table in tables() {
        for case in table.cases.iter().filter(|case| case.then.is_none()) {
            let text = object(&table, case).to_string();
            let read = manifest::parse(&text, "case.yaml");
            assert_eq!(
                read.is_err(),
                case.refused.is_some(),
                "{}: {:?}",
                case.name,
                read.err()
            );
            let Ok(read) = read else { continue };
            let stored = match (read.topologies.first(), read.servers.first()) {
                (Some(found), None) => serde_json::to_value(&found.resource).unwrap(),
                (None, Some(found)) => serde_json::to_value(&found.resource).unwrap(),
                other => panic!("{}: {other:?}", case.name),
            };
            for (pointer, expected) in &case.gives {
                let found = stored.pointer(pointer).unwrap_or(&Value::Null);
                assert_eq!(
                    without_empty(found),
                    without_empty(expected),
                    "{}: {pointer}",
                    case.name
                );
            }
        }
    }
}

/// Messages of all rules below a schema.
fn messages(schema: &Value, found: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"]
        .as_array()
        .into_iter()
        .flatten()
    {
        found.push(rule["message"].as_str().unwrap().to_owned());
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields.for_each(|(_, inner)| messages(inner, found));
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            messages(&schema[key], found);
        }
    }
}

#[test]
fn every_rule_of_the_schemas_has_a_case_that_breaks_it() {
    let refusals: Vec<String> = tables()
        .into_iter()
        .flat_map(|table| table.cases)
        .filter_map(|case| case.refused)
        .collect();
    let mut rules = Vec::new();
    for crd in banyan_api::crds() {
        let crd: Value = serde_yaml_ng::from_str(&crd.yaml).unwrap();
        messages(
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
            &mut rules,
        );
    }
    assert!(rules.len() > 30, "{rules:?}");
    for rule in rules {
        let told = |refused: &String| {
            refused.contains(&rule) || (refused.len() > 20 && rule.contains(refused.as_str()))
        };
        assert!(refusals.iter().any(told), "no case breaks {rule:?}");
    }
}
