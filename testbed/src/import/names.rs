//! Names of a drawing as a manifest accepts them.

use std::collections::HashSet;

/// Gives each name once.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A DNS label of at most `most` characters, close to the text and not given before.
    pub(super) fn unique(&mut self, text: &str, most: usize) -> String {
        let label = label(text, most);
        let numbered = (2..).map(|number| {
            let tail = format!("-{number}");
            let kept = label.get(..most - tail.len()).unwrap_or(&label);
            format!("{}{tail}", kept.trim_end_matches('-'))
        });
        let mut candidates = std::iter::once(label.clone()).chain(numbered);
        let name = candidates
            .find(|name| !self.0.contains(name))
            .unwrap_or_default();
        self.0.insert(name.clone());
        name
    }
}

/// Lower-case letters, digits and inner dashes.
pub(super) fn label(text: &str, most: usize) -> String {
    let mut label = String::new();
    for character in text.chars() {
        match character.to_ascii_lowercase() {
            plain @ ('a'..='z' | '0'..='9') => label.push(plain),
            _ if label.ends_with('-') || label.is_empty() => {}
            _ => label.push('-'),
        }
        if label.len() >= most {
            break;
        }
    }
    let label = label.trim_end_matches('-');
    match label {
        "" => "n".to_owned(),
        label => label.to_owned(),
    }
}
