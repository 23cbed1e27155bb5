//! What holds for the schemas as a whole.

use kube::core::cel::{compile_schema, estimate_rule_cost};
use serde_json::Value;

use crate::schema;

/// Visits every schema below a place, with its path.
fn visit<'a>(schema: &'a Value, path: &str, seen: &mut dyn FnMut(&str, &'a Value)) {
    seen(path, schema);
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        visit(inner, &format!("{path}.{name}"), seen);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            visit(inner, &format!("{path}.{key}"), seen);
        }
    }
}

fn schemas() -> [(&'static str, Value); 2] {
    [
        ("ContentServer", schema::open_api(&schema::content_server())),
        (
            "StreamTopology",
            schema::open_api(&schema::stream_topology()),
        ),
    ]
}

#[test]
fn every_text_list_and_map_is_bounded_and_every_field_is_explained() {
    for (kind, schema) in schemas() {
        for part in ["spec", "status"] {
            visit(
                &schema["properties"][part],
                &format!("{kind}.{part}"),
                &mut |path, schema| {
                    let has = |key: &str| schema.get(key).is_some();
                    match schema["type"].as_str() {
                        Some("string") => {
                            assert!(has("enum") || has("maxLength"), "{path} has no maxLength")
                        }
                        Some("array") => assert!(has("maxItems"), "{path} has no maxItems"),
                        Some("object") if has("additionalProperties") => {
                            assert!(has("maxProperties"), "{path} has no maxProperties")
                        }
                        Some("number") => panic!("{path} is a float"),
                        Some("integer") => {
                            let signed = ["int32", "int64"]
                                .contains(&schema["format"].as_str().unwrap_or("int32"));
                            assert!(signed, "{path} is unsigned");
                        }
                        _ => {}
                    }
                    let of_a_list_or_map =
                        path.ends_with(".items") || path.ends_with(".additionalProperties");
                    assert!(
                        has("description") || of_a_list_or_map,
                        "{path} has no description"
                    );
                    assert!(!has("nullable"), "{path} is nullable");
                },
            );
        }
    }
}

#[test]
fn no_keyword_is_used_that_the_local_check_does_not_know() {
    const KNOWN: [&str; 21] = [
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ];
    for (kind, schema) in schemas() {
        visit(&schema, kind, &mut |path, schema| {
            for keyword in schema
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, _)| key.as_str())
            {
                let list_keyword = keyword.starts_with("x-kubernetes-list-");
                assert!(
                    KNOWN.contains(&keyword) || list_keyword,
                    "{path} uses {keyword}"
                );
            }
        });
    }
}

#[test]
fn every_rule_compiles_says_what_is_accepted_and_stays_below_the_cost_limit() {
    let mut rules = 0;
    for (kind, schema) in schemas() {
        visit(&schema, kind, &mut |path, schema| {
            let compiled = compile_schema(schema);
            assert_eq!(
                format!("{:?}", compiled.compilation_errors()),
                "[]",
                "{path}"
            );
            for rule in schema["x-kubernetes-validations"]
                .as_array()
                .into_iter()
                .flatten()
            {
                rules += 1;
                let text = rule["rule"].as_str().unwrap();
                // A messageExpression has a cost that only an API server knows, and refuses: string() of a number is
                // unbounded to it.
                let told = rule.get("message");
                assert!(
                    told.is_some_and(|told| told.as_str().is_some_and(|told| told.len() > 20)),
                    "{path}: {text}"
                );
                let warnings = estimate_rule_cost(text, &compiled);
                assert!(warnings.is_empty(), "{path}: {warnings:?}");
            }
        });
    }
    assert!(rules > 30, "only {rules} rules");
}

#[test]
fn packaging_cannot_be_changed_and_other_fields_can() {
    let file = super::parse(super::GOOD, "m.yaml").unwrap();
    let old = &file.topologies[0].resource;
    let mut scaled = old.clone();
    scaled.spec.edge.replicas = 6;
    assert!(scaled.validate_cel_update(old).is_ok());
    let mut recut = old.clone();
    recut.spec.packaging.window = 7;
    let errors = recut.validate_cel_update(old).unwrap_err();
    assert_eq!(
        errors[0].message,
        "packaging is immutable: delete the StreamTopology and make a new one"
    );
}

#[test]
fn the_kinds_have_their_columns_names_scale_and_selectable_field() {
    let server = schema::content_server();
    let version = &server.spec.versions[0];
    let columns = |version: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion| {
        let columns = version.additional_printer_columns.clone().unwrap_or_default();
        columns.into_iter().filter(|c| c.priority.unwrap_or(0) == 0).map(|c| c.name).collect::<Vec<_>>()
    };
    assert_eq!(
        columns(version),
        ["TOPOLOGY", "METRIC", "CONTENTS", "STATE", "REASON", "AGE"]
    );
    assert_eq!(
        version.selectable_fields.clone().unwrap()[0].json_path,
        ".spec.topology"
    );
    assert_eq!(
        server.spec.names.short_names.as_deref(),
        Some(&["csrv".to_owned()][..])
    );
    let topology = schema::stream_topology();
    let version = &topology.spec.versions[0];
    assert_eq!(
        columns(version),
        ["READY", "REASON", "RELAYS", "ORIGIN", "ADDRESS", "AGE"]
    );
    let scale = version.subresources.clone().unwrap().scale.unwrap();
    assert_eq!(scale.spec_replicas_path, ".spec.edge.replicas");
    assert_eq!(
        scale.label_selector_path.as_deref(),
        Some(".status.edge.selector")
    );
    assert_eq!(
        topology.spec.names.categories.as_deref(),
        Some(&["banyan".to_owned()][..])
    );
}
