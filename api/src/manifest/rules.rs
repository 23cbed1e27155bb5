//! CEL rules of the schema, evaluated here as an API server would.

use kube::core::cel::{CompiledSchema, ErrorKind, Validator};
use serde_json::{Map, Value};

use super::structure::{self, Finding};

/// Evaluates all rules. `sound` says that the schema itself found nothing: then a rule that cannot be evaluated is
/// reported too; otherwise it only repeats what the schema said.
pub(super) fn check(schema: &CompiledSchema, value: &Value, sound: bool) -> Vec<Finding> {
    let Err(errors) = Validator::new().validate_compiled(schema, value, None) else {
        return Vec::new();
    };
    errors
        .into_iter()
        .filter(|error| sound || error.kind == ErrorKind::ValidationFailure)
        .map(|error| {
            let path = match error.field_path.trim_start_matches('.') {
                // The schema does not describe metadata, so a rule about the name cannot give its path to an API server.
                "" if error.message.starts_with(NAME_PATH) => NAME_PATH.to_owned(),
                path => path.to_owned(),
            };
            let message = match at(value, &path) {
                Some(found) if is_scalar(found) => {
                    format!("is {}: {}", structure::shown(found), error.message)
                }
                Some(Value::Object(fields))
                    if !fields.is_empty() && fields.values().all(Value::is_i64) =>
                {
                    format!("is {}: {}", amounts(fields, &error.message), error.message)
                }
                _ => format!("is refused: {}", error.message),
            };
            Finding { path, message }
        })
        .collect()
}

const NAME_PATH: &str = "metadata.name";

/// Numbers as a sentence shows them, with their sum where a rule is about it.
fn amounts(fields: &Map<String, Value>, rule: &str) -> String {
    let shown: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let shown = shown.join(", ");
    if !rule.contains(SUM) {
        return shown;
    }
    let sum: i128 = fields
        .values()
        .filter_map(Value::as_i64)
        .map(i128::from)
        .sum();
    format!("{shown}, in sum {sum}")
}

/// In the message of a rule about a sum.
const SUM: &str = "must sum to";

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// The value at a path such as `spec.relays[0].fanOut`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut current = value;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, indices) = part
            .split_once('[')
            .map_or((part, ""), |(key, rest)| (key, rest));
        if !key.is_empty() {
            current = current.get(key)?;
        }
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            current = current.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
        }
    }
    Some(current)
}
