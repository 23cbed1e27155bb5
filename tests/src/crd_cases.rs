//! The table of `tests/manifests/crd`: manifests with what becomes of them. Two judges are asked: the checks without a
//! cluster (`api/tests/crd_cases.rs`) and a real API server (`tests/tests/kubernetes_api/table.rs`).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A manifest and what becomes of it.
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The manifest.
    pub object: Value,
    /// A change of it once it is stored, as a merge patch; then the answer to that counts.
    pub then: Option<Value>,
    /// What the refusal says; `None` = it is accepted.
    pub refused: Option<String>,
    /// What is stored, by JSON pointer.
    pub gives: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    base: Value,
    cases: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    merge: Map<String, Value>,
    then: Option<Value>,
    refused: Option<String>,
    #[serde(default)]
    gives: BTreeMap<String, Value>,
}

/// The cases of both kinds, each with the kind's plural.
pub fn all() -> [(&'static str, Vec<Case>); 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/manifests/crd");
    let read = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).expect("the table must be readable");
        let table: Table = serde_yaml_ng::from_str(&text).expect("the table must be a table");
        let case = |row: Row| Case {
            object: merged(&table.base, &Value::Object(row.merge)),
            name: row.name,
            then: row.then,
            refused: row.refused,
            gives: row.gives,
        };
        table.cases.into_iter().map(case).collect()
    };
    [
        ("streamtopologies", read("stream-topologies.yaml")),
        ("contentservers", read("content-servers.yaml")),
    ]
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
