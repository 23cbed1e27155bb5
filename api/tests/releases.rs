//! What was released stays usable: newer schemas only add, and old objects still load.
//!
//! `tests/release/VERSION` holds the CRDs and objects of a release. A release adds a folder; nothing in an old one
//! changes.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use banyan_api::manifest;
use serde_json::{Value, json};

#[path = "releases/narrower.rs"]
mod narrower;

use narrower::narrower;

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

fn releases() -> Vec<PathBuf> {
    sorted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/release"))
}

fn yaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).unwrap()
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

#[test]
fn schemas_only_add_to_what_was_released() {
    for release in releases() {
        for path in sorted(&release.join("crds")) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let old = yaml(&std::fs::read_to_string(&path).unwrap());
            let new = banyan_api::crds()
                .into_iter()
                .find(|file| file.name == name)
                .unwrap_or_else(|| panic!("{name} of {} is gone", release.display()));
            let new = yaml(&new.yaml);
            assert_eq!(narrower(schema(&old), schema(&new)), Vec::<String>::new());
            for same in [
                "/spec/group",
                "/spec/scope",
                "/spec/names/plural",
                "/spec/names/kind",
            ] {
                assert_eq!(old.pointer(same), new.pointer(same), "{name} {same}");
            }
            assert_eq!(
                old["spec"]["versions"][0]["name"],
                new["spec"]["versions"][0]["name"]
            );
            let scale = "/spec/versions/0/subresources/scale";
            assert_eq!(old.pointer(scale), new.pointer(scale), "{name}");
        }
    }
}

#[test]
fn objects_of_a_release_still_load() {
    for release in releases() {
        for path in sorted(&release.join("objects")) {
            let text = std::fs::read_to_string(&path).unwrap();
            let read = manifest::parse(&text, &path.display().to_string());
            assert!(read.is_ok(), "{:?}", read.err());
        }
    }
}

/// Paths of all fields that a value sets.
fn fields_of(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let path = format!("{path}.{key}");
                found.insert(path.clone());
                fields_of(inner, &path, found);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| fields_of(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

/// Paths of all fields that a schema has.
fn fields_in(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        found.insert(path.clone());
        fields_in(inner, &path, found);
    }
    if schema["items"].is_object() {
        fields_in(&schema["items"], &format!("{path}[]"), found);
    }
}

#[test]
fn the_objects_of_a_release_use_every_field_it_had() {
    for release in releases() {
        let mut used = BTreeSet::new();
        for path in sorted(&release.join("objects")) {
            let text = std::fs::read_to_string(&path).unwrap();
            for document in serde_yaml_ng::Deserializer::from_str(&text) {
                let object = <Value as serde::Deserialize>::deserialize(document).unwrap();
                let kind = object["kind"].as_str().unwrap().to_owned();
                fields_of(&object["spec"], &format!("{kind}.spec"), &mut used);
            }
        }
        let mut known = BTreeSet::new();
        for path in sorted(&release.join("crds")) {
            let crd = yaml(&std::fs::read_to_string(&path).unwrap());
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
            fields_in(
                &schema(&crd)["properties"]["spec"],
                &format!("{kind}.spec"),
                &mut known,
            );
        }
        let unused: Vec<_> = known.difference(&used).collect();
        assert!(unused.is_empty(), "{}: {unused:#?}", release.display());
    }
}

fn before() -> Value {
    json!({
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 9},
            "b": {"type": "string", "enum": ["One", "Two"]},
            "c": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^x"},
            "d": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"e": {"type": "string", "maxLength": 2}}}},
            "f": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string", "maxLength": 3}},
            "g": {"type": "integer", "default": 3},
            "h": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object"}}
        },
        "x-kubernetes-validations": [{"rule": "self.a > 1", "message": "a must be above 1"}]
    })
}

#[test]
fn what_is_narrower_is_told() {
    for (pointer, value, expected) in [
        ("/properties/b", json!(null), "b is gone"),
        ("/required/1", json!("c"), "c has become required"),
        ("/properties/a/minimum", json!(2), "a.minimum was 1, is 2"),
        ("/properties/a/maximum", json!(8), "a.maximum was 9, is 8"),
        (
            "/properties/g/minimum",
            json!(0),
            "g.minimum was absent, is 0",
        ),
        (
            "/properties/g/multipleOf",
            json!(2),
            "g.multipleOf was absent, is 2",
        ),
        (
            "/properties/c/maxLength",
            json!(4),
            "c.maxLength was 5, is 4",
        ),
        (
            "/properties/c/minLength",
            json!(2),
            "c.minLength was 1, is 2",
        ),
        (
            "/properties/c/pattern",
            json!("^y"),
            "c.pattern was \"^x\", is \"^y\"",
        ),
        (
            "/properties/b/enum",
            json!(["One"]),
            "b no longer accepts \"Two\"",
        ),
        (
            "/properties/c/enum",
            json!(["x"]),
            "c accepts only some values now",
        ),
        ("/properties/d/maxItems", json!(2), "d.maxItems was 3, is 2"),
        (
            "/properties/d/items/properties/e/maxLength",
            json!(1),
            "d[].e.maxLength was 2, is 1",
        ),
        (
            "/properties/d/items/properties/e",
            json!(null),
            "d[].e is gone",
        ),
        (
            "/properties/f/maxProperties",
            json!(1),
            "f.maxProperties was 2, is 1",
        ),
        (
            "/properties/f/additionalProperties/maxLength",
            json!(2),
            "f.*.maxLength was 3, is 2",
        ),
        (
            "/properties/f/additionalProperties",
            json!(null),
            "f no longer takes any key",
        ),
        (
            "/properties/a/type",
            json!("string"),
            "a.type was \"integer\", is \"string\"",
        ),
        ("/properties/g/default", json!(4), "g.default was 3, is 4"),
        (
            "/properties/h/x-kubernetes-list-map-keys",
            json!(["m"]),
            "h.x-kubernetes-list-map-keys was [\"n\"], is [\"m\"]",
        ),
        (
            "/x-kubernetes-validations/1",
            json!({"rule": "self.a < 5", "message": "m"}),
            "a rule has come: self.a < 5",
        ),
        (
            "/x-kubernetes-validations/0/rule",
            json!("self.a > 2"),
            "a rule has come: self.a > 2",
        ),
    ] {
        let mut after = before();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match after.pointer_mut(parent).unwrap() {
            Value::Object(fields) if value.is_null() => drop(fields.remove(key)),
            Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
            Value::Array(items) => items.push(value),
            other => panic!("{other}"),
        }
        assert_eq!(narrower(&before(), &after), [expected], "{pointer}");
    }
}

#[test]
fn what_is_wider_is_fine() {
    for (pointer, value) in [
        ("/properties/i", json!({"type": "string", "maxLength": 3})),
        ("/properties/a/minimum", json!(0)),
        ("/properties/a/maximum", json!(10)),
        ("/properties/b/enum", json!(["One", "Two", "Three"])),
        ("/properties/c/maxLength", json!(6)),
        ("/properties/c/pattern", json!(null)),
        (
            "/properties/d/items/properties/k",
            json!({"type": "string"}),
        ),
        ("/required", json!([])),
        ("/x-kubernetes-validations", json!([])),
    ] {
        let mut after = before();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let fields = after.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(key);
        } else {
            fields.insert(key.to_owned(), value);
        }
        assert_eq!(
            narrower(&before(), &after),
            Vec::<String>::new(),
            "{pointer}"
        );
    }
}
