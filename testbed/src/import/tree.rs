//! XML as a tree of elements: what readers of topologies and bootstrap files need, and no more.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::Error;

/// An element.
#[derive(Clone, Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first attribute of several names: CORE renamed some.
    pub(crate) fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.attribute(name))
    }

    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Grandchildren `inner` of all children `outer`.
    pub(crate) fn below(&self, outer: &str, inner: &str) -> impl Iterator<Item = &Element> {
        let outer = self
            .children
            .iter()
            .filter(move |child| child.name == outer);
        let inner = inner.to_owned();
        outer
            .flat_map(|child| &child.children)
            .filter(move |child| child.name == inner)
    }
}

/// The root element of a text.
pub(crate) fn parse(text: &str) -> Result<Element, Error> {
    let line = |position: u64| {
        let upto = usize::try_from(position)
            .unwrap_or(text.len())
            .min(text.len());
        text.as_bytes()[..upto]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
            + 1
    };
    let wrong = |position: u64, what: String| Error::Format {
        line: line(position),
        what,
        accepted: "well-formed XML",
    };
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    loop {
        let event = reader
            .read_event()
            .map_err(|error| wrong(reader.error_position(), error.to_string()))?;
        let at = reader.buffer_position();
        match event {
            Event::Start(start) if open.len() > DEEPEST => {
                let name = start.name().as_ref().to_owned();
                return Err(wrong(at, format!("<{name}> is nested {DEEPEST} deep")));
            }
            Event::Start(start) => {
                open.push(element(&start).map_err(|why| wrong(at, why))?);
            }
            Event::Empty(start) => {
                let element = element(&start).map_err(|why| wrong(at, why))?;
                append(&mut open, element);
            }
            Event::End(_) => {
                // The reader matches ends to starts; the root stays.
                if open.len() > 1
                    && let Some(element) = open.pop()
                {
                    append(&mut open, element);
                }
            }
            Event::Text(text) => write(&mut open, &text.xml10_content()),
            Event::CData(data) => write(&mut open, &data.xml10_content()),
            Event::GeneralRef(reference) => {
                let known = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => named(&reference.xml10_content()),
                    Err(error) => return Err(wrong(at, error.to_string())),
                };
                // Entities of a document type are not followed.
                write(&mut open, &known.map(String::from).unwrap_or_default());
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if open.len() > 1 {
        let name = &open[open.len() - 1].name;
        return Err(wrong(text.len() as u64, format!("<{name}> is not closed")));
    }
    let mut root = open.pop().unwrap_or_default();
    match root.children.is_empty() {
        true => Err(wrong(0, "there is no element".to_owned())),
        false => Ok(root.children.swap_remove(0)),
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        // Each is compared with all before it.
        if attributes.len() == MOST_ATTRIBUTES {
            let name = start.name().as_ref().to_owned();
            return Err(format!(
                "<{name}> has more than {MOST_ATTRIBUTES} attributes"
            ));
        }
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute
            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
            .map_err(|error| error.to_string())?;
        attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(Element {
        name: start.name().as_ref().to_owned(),
        attributes,
        children: Vec::new(),
        text: String::new(),
    })
}

fn append(open: &mut [Element], element: Element) {
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

fn write(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text += text;
    }
}

fn named(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// CORE writes eight.
const MOST_ATTRIBUTES: usize = 64;
/// CORE nests four deep.
const DEEPEST: usize = 32;
