//! Where a newer schema accepts less than an older one, or means something else by it.

use serde_json::Value;

/// One sentence per place, in the order of the older schema.
pub(crate) fn narrower(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(old, new, "", &mut found);
    found
}

fn compare(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    limits(old, new, path, found);
    words(old, new, path, found);
    rules(old, new, path, found);
    for required in list(new, "required") {
        if !list(old, "required").contains(required) {
            let name = required.as_str().unwrap_or_default();
            found.push(format!("{} has become required", below(path, name)));
        }
    }
    for (name, inner) in old["properties"].as_object().into_iter().flatten() {
        let path = below(path, name);
        match new["properties"].get(name) {
            Some(newer) => compare(inner, newer, &path, found),
            None => found.push(format!("{path} is gone")),
        }
    }
    if old["items"].is_object() {
        compare(&old["items"], &new["items"], &format!("{path}[]"), found);
    }
    if old["additionalProperties"].is_object() {
        if new["additionalProperties"].is_object() {
            let (old, new) = (&old["additionalProperties"], &new["additionalProperties"]);
            compare(old, new, &format!("{path}.*"), found);
        } else {
            found.push(format!("{path} no longer takes any key"));
        }
    }
}

/// Numbers that bound.
fn limits(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    let lower = ["minimum", "minLength", "minItems", "minProperties"];
    let upper = ["maximum", "maxLength", "maxItems", "maxProperties"];
    for (keys, tightened) in [
        (lower, (|old, new| new > old) as fn(f64, f64) -> bool),
        (upper, |old, new| new < old),
    ] {
        for key in keys {
            let is_narrower = match (old[key].as_f64(), new[key].as_f64()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(old), Some(new)) => tightened(old, new),
            };
            if is_narrower {
                changed(old, new, path, key, found);
            }
        }
    }
}

/// What may only vanish, or not change at all.
fn words(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    for key in ["pattern", "format", "multipleOf"] {
        if old[key] != new[key] && !new[key].is_null() {
            changed(old, new, path, key, found);
        }
    }
    for key in [
        "type",
        "default",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
    ] {
        if old[key] != new[key] {
            changed(old, new, path, key, found);
        }
    }
    if old["enum"].is_null() && !new["enum"].is_null() {
        found.push(format!("{path} accepts only some values now"));
    }
    for value in list(old, "enum") {
        if !new["enum"].is_null() && !list(new, "enum").contains(value) {
            found.push(format!("{path} no longer accepts {value}"));
        }
    }
}

/// A rule that was not there may refuse what was accepted; whether it does, only a person can say.
fn rules(old: &Value, new: &Value, path: &str, found: &mut Vec<String>) {
    let key = "x-kubernetes-validations";
    let known: Vec<_> = list(old, key).iter().map(|rule| &rule["rule"]).collect();
    for rule in list(new, key) {
        if !known.contains(&&rule["rule"]) {
            let place = if path.is_empty() {
                String::new()
            } else {
                format!("{path}: ")
            };
            let rule = rule["rule"].as_str().unwrap_or_default();
            found.push(format!("{place}a rule has come: {rule}"));
        }
    }
}

fn changed(old: &Value, new: &Value, path: &str, key: &str, found: &mut Vec<String>) {
    let shown = |value: &Value| match value {
        Value::Null => "absent".to_owned(),
        value => value.to_string(),
    };
    let (old, new) = (shown(&old[key]), shown(&new[key]));
    found.push(format!("{path}.{key} was {old}, is {new}"));
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema[key].as_array().map_or(&[], Vec::as_slice)
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
