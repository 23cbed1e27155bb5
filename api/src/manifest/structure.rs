//! A value against an OpenAPI schema: unknown fields, types, enums, patterns, bounds, unique list keys.
//!
//! Only the keywords our own schemas use; a test holds that none is missed.

use std::collections::HashSet;

use serde_json::{Map, Value};

mod words;

pub(super) use words::unknown_field;
pub(crate) use words::{shortened, shown};

/// Something wrong at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path of the field.
    pub(crate) path: String,
    /// The value and what is accepted.
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// Whether one path is the other, or inside it.
pub(super) fn related(a: &str, b: &str) -> bool {
    let inside = |outer: &str, inner: &str| {
        !outer.is_empty()
            && inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    inside(a, b) || inside(b, a)
}

/// Removes explicit nulls, as an API server does for fields that are not nullable.
pub(super) fn drop_nulls(schema: &Value, value: &mut Value) {
    if preserves(schema) {
        return;
    }
    match value {
        Value::Object(map) => {
            map.retain(|_, field| !field.is_null());
            for (key, field) in map.iter_mut() {
                if let Some(inner) = field_schema(schema, key) {
                    drop_nulls(inner, field);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                items.iter_mut().for_each(|item| drop_nulls(inner, item));
            }
        }
        _ => {}
    }
}

/// Checks a value against a schema.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(schema, value, "", &mut findings);
    findings
}

fn walk(schema: &Value, value: &Value, path: &str, findings: &mut Vec<Finding>) {
    if let Some(expected) = schema.get("type").and_then(Value::as_str)
        && !words::has_type(expected, value)
    {
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let accepted =
            pattern.map_or_else(|| words::type_name(expected).to_owned(), words::described);
        findings.push(Finding::new(
            path,
            format!("is {}; accepted is {accepted}", shown(value)),
        ));
        return;
    }
    match value {
        Value::Object(map) => object(schema, map, path, findings),
        Value::Array(items) => array(schema, items, path, findings),
        Value::String(text) => string(schema, text, path, findings),
        Value::Number(_) => number(schema, value, path, findings),
        Value::Bool(_) | Value::Null => {}
    }
}

fn object(schema: &Value, map: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    let join = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let required = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for key in required
        .filter_map(Value::as_str)
        .filter(|key| !map.contains_key(*key))
    {
        findings.push(Finding::new(join(key), "is missing; it is required"));
    }
    limit(
        schema,
        "maxProperties",
        map.len(),
        "entries",
        path,
        findings,
    );
    for (key, field) in map {
        match field_schema(schema, key) {
            Some(inner) => walk(inner, field, &join(key), findings),
            // The root's own metadata has a schema of its own (`kinds::metadata`).
            None if path.is_empty()
                && ["apiVersion", "kind", "metadata"].contains(&key.as_str()) => {}
            None if path == "metadata" || preserves(schema) => {}
            None => {
                let known = schema.get("properties").and_then(Value::as_object);
                let mut accepted: Vec<&str> = known
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect();
                if path.is_empty() {
                    accepted = vec!["apiVersion", "kind", "metadata", "spec"];
                }
                findings.push(unknown_field(path, key, &accepted));
            }
        }
    }
}

fn array(schema: &Value, items: &[Value], path: &str, findings: &mut Vec<Finding>) {
    limit(schema, "maxItems", items.len(), "entries", path, findings);
    limit(schema, "minItems", items.len(), "entries", path, findings);
    if let Some(inner) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            walk(inner, item, &format!("{path}[{index}]"), findings);
        }
    }
    let keys: Vec<&str> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array);
            keys.into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect()
        }
        Some("set") => Vec::new(),
        _ => return,
    };
    let mut seen = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let (identity, at) = match keys.first() {
            None => (shown(item), format!("{path}[{index}]")),
            Some(first) => {
                let parts: Vec<&Value> = keys.iter().filter_map(|key| item.get(*key)).collect();
                if parts.len() < keys.len() {
                    continue; // reported as missing
                }
                let parts: Vec<String> = parts.into_iter().map(shown).collect();
                (parts.join(", "), format!("{path}[{index}].{first}"))
            }
        };
        if !seen.insert(identity.clone()) {
            findings.push(Finding::new(
                at,
                format!("is {identity} a second time; accepted is each once"),
            ));
        }
    }
}

fn string(schema: &Value, text: &str, path: &str, findings: &mut Vec<Finding>) {
    if let Some(accepted) = schema.get("enum").and_then(Value::as_array) {
        let accepted: Vec<&str> = accepted.iter().filter_map(Value::as_str).collect();
        if !accepted.contains(&text) {
            let hint = words::did_you_mean(text, &accepted);
            let list = words::list(&accepted, "or");
            findings.push(Finding::new(
                path,
                format!("is \"{}\"{hint}; accepted is {list}", shortened(text)),
            ));
        }
        return;
    }
    let length = text.chars().count();
    let bound = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    };
    let (min, max) = (
        bound("minLength").unwrap_or(0),
        bound("maxLength").unwrap_or(usize::MAX),
    );
    if length < min || length > max {
        let text = shortened(text);
        let message = format!(
            "is \"{text}\" with {length} characters; accepted are {min} to {max} characters"
        );
        findings.push(Finding::new(path, message));
        return;
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && !words::matches(pattern, text)
    {
        let accepted = words::described(pattern);
        findings.push(Finding::new(
            path,
            format!("is \"{}\"; accepted is {accepted}", shortened(text)),
        ));
    }
}

fn number(schema: &Value, value: &Value, path: &str, findings: &mut Vec<Finding>) {
    let Some(number) = value.as_i64() else { return };
    let bound = |key: &str| {
        schema
            .get(key)
            .and_then(Value::as_f64)
            .map(|bound| bound as i64)
    };
    let (format_min, format_max) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    let (min, max) = (
        bound("minimum").unwrap_or(format_min),
        bound("maximum").unwrap_or(format_max),
    );
    if number < min || number > max {
        findings.push(Finding::new(
            path,
            format!("is {number}; accepted is {min} to {max}"),
        ));
        return;
    }
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0)
        && number % step != 0
    {
        findings.push(Finding::new(
            path,
            format!("is {number}; accepted is a multiple of {step}"),
        ));
    }
}

fn limit(
    schema: &Value,
    key: &str,
    count: usize,
    what: &str,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(bound) = schema
        .get(key)
        .and_then(Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
    else {
        return;
    };
    let (broken, word) = if key.starts_with("max") {
        (count > bound, "at most")
    } else {
        (count < bound, "at least")
    };
    if broken {
        findings.push(Finding::new(
            path,
            format!("has {count} {what}; accepted are {word} {bound}"),
        ));
    }
}

fn field_schema<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(key))
        .or_else(|| {
            schema
                .get("additionalProperties")
                .filter(|inner| inner.is_object())
        })
}

fn preserves(schema: &Value) -> bool {
    schema
        .get("x-kubernetes-preserve-unknown-fields")
        .and_then(Value::as_bool)
        .unwrap_or(false)
}
