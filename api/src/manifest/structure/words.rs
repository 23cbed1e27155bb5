//! How findings speak: values shown short, patterns named, near misses suggested.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use super::Finding;
use crate::quantity::{BitRate, ByteSize, LinkDelay, Percentage, ResourceAmount, TimeSpan};

/// Pattern of a DNS label, as the schemas write it.
const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Pattern of a viewer address.
const HTTP_URL: &str = r"^https?://[^\s/?#]+(/[^\s?#]*)?$";

/// Longest value shown in a sentence.
const SHOWN_CHARACTERS: usize = 60;

/// What a pattern accepts, as the end of a sentence.
pub(super) fn described(pattern: &str) -> String {
    let known = [
        (
            DNS_LABEL,
            "a DNS label: lower-case letters, digits and inner dashes",
        ),
        (HTTP_URL, "an http:// or https:// address without query"),
        (TimeSpan::PATTERN, TimeSpan::ACCEPTED),
        (LinkDelay::PATTERN, LinkDelay::ACCEPTED),
        (BitRate::PATTERN, BitRate::ACCEPTED),
        (Percentage::PATTERN, Percentage::ACCEPTED),
        (ByteSize::PATTERN, ByteSize::ACCEPTED),
        (ResourceAmount::PATTERN, ResourceAmount::ACCEPTED),
    ];
    let found = known
        .iter()
        .find(|(known, _)| *known == pattern)
        .map(|(_, words)| (*words).to_owned());
    found.unwrap_or_else(|| format!("a text that matches {pattern}"))
}

/// Whether a text matches a pattern of our own schemas. Each pattern is compiled once.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    static COMPILED: Mutex<Option<HashMap<String, Regex>>> = Mutex::new(None);
    let mut guard = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = guard.get_or_insert_default();
    if let Some(known) = compiled.get(pattern) {
        return known.is_match(text);
    }
    match Regex::new(pattern) {
        Ok(regex) => compiled
            .entry(pattern.to_owned())
            .or_insert(regex)
            .is_match(text),
        Err(_) => false,
    }
}

/// Whether a value has a JSON schema type.
pub(super) fn has_type(expected: &str, value: &Value) -> bool {
    match expected {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        _ => false,
    }
}

/// A JSON schema type in words.
pub(super) fn type_name(expected: &str) -> &'static str {
    match expected {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "a number",
    }
}

/// A value as a sentence shows it.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) => format!("\"{}\"", shortened(text)),
        other => other.to_string(),
    }
}

/// A text as a sentence shows it: one line, not too long.
pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > SHOWN_CHARACTERS {
        short.push('…');
    }
    short
}

/// The finding for a field that does not exist.
pub(crate) fn unknown_field(path: &str, key: &str, accepted: &[&str]) -> Finding {
    let place = if path.is_empty() {
        "the object".to_owned()
    } else {
        path.to_owned()
    };
    let full = if path.is_empty() {
        shortened(key)
    } else {
        format!("{path}.{}", shortened(key))
    };
    let hint = did_you_mean(key, accepted);
    let list = if accepted.is_empty() {
        "no fields".to_owned()
    } else {
        list(accepted, "and")
    };
    Finding::new(
        full,
        format!("is not a known field{hint}; {place} accepts {list}"),
    )
}

/// `, did you mean x` when something accepted is close.
pub(super) fn did_you_mean(word: &str, accepted: &[&str]) -> String {
    if word.len() > SHOWN_CHARACTERS {
        return String::new();
    }
    let lower = word.to_lowercase();
    let closest = accepted
        .iter()
        .map(|known| (distance(&lower, &known.to_lowercase()), *known))
        .min();
    match closest {
        Some((steps, known)) if steps <= 1 + known.len() / 4 => format!(", did you mean {known}"),
        _ => String::new(),
    }
}

/// `a, b and c`.
pub(super) fn list(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [front @ .., back] => format!("{} {last} {back}", front.join(", ")),
    }
}

/// Edits between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
