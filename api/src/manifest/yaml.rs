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
        match Value::deserialize(part) {
            Ok(Value::Null) => {}
            Ok(value) => documents.push(Document { number, value }),
            Err(error) => {
                let reason = error.to_string().replace('\n', " ");
                return (
                    documents,
                    Some(format!("is not YAML (document {number}): {reason}")),
                );
            }
        }
    }
    (documents, None)
}
