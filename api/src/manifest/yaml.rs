//! Text to documents. The YAML crate bounds depth and alias expansion; the caller bounds the size.

use serde::Deserialize;
use serde_json::Value;

/// A document and where it stands.
pub(super) struct Document {
    /// Counted from 1, empty documents included.
    pub(super) number: usize,
    /// Content.
    pub(super) value: Value,
}

/// Splits a text into its documents; empty ones are left out. Stops at the first syntax error.
pub(super) fn documents(text: &str) -> (Vec<Document>, Option<String>) {
    let mut documents = Vec::new();
    for (index, part) in serde_yaml_ng::Deserializer::from_str(text).enumerate() {
        let number = index + 1;
        // Through YAML's own value, which refuses a key that stands twice; JSON's would take the last.
        let read = serde_yaml_ng::Value::deserialize(part).map_err(|error| error.to_string());
        match read.and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()))
        {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(Document { number, value }),
            Err(reason) => {
                let reason = reason.replace('\n', " ");
                return (
                    documents,
                    Some(format!("is not YAML (document {number}): {reason}")),
                );
            }
        }
    }
    (documents, None)
}
