//! The table of tests/manifests/crd, which a real API server is asked too: what it refuses is refused here, what it
//! accepts is accepted here, defaults are the same, and no rule of the schemas is without a case.
#![allow(clippy::unwrap_used)]

// What the tests crate shows to others.
#[allow(unreachable_pub)]
#[path = "../../tests/src/crd_cases.rs"]
mod cases;

use banyan_api::manifest;
use serde_json::{Map, Value};

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

#[test]
fn what_an_api_server_accepts_and_refuses_is_accepted_and_refused_here() {
    for (_, all) in cases::all() {
        for case in all.iter().filter(|case| case.then.is_none()) {
            let text = case.object.to_string();
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
    let refusals: Vec<String> = cases::all()
        .into_iter()
        .flat_map(|(_, cases)| cases)
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
