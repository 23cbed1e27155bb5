//! Files that list overlay neighbours, as projects keep them beside a topology: JSON of several shapes, XML, or lines.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Error;
use super::tree::{self, Element};

/// Overlay nodes by name or address, as the file calls them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// Node → its own addresses, and its neighbours.
    pub nodes: BTreeMap<String, Listed>,
    /// The rendezvous point.
    pub rendezvous: Option<String>,
    /// Content servers.
    pub servers: Vec<String>,
}

/// What a file lists of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its own addresses.
    pub addresses: Vec<String>,
    /// Whom it may connect to.
    pub neighbours: Vec<String>,
}

/// Reads a bootstrap file of any of the shapes.
pub fn parse(text: &str) -> Result<Overlay, Error> {
    if text.len() > super::MAX_BYTES {
        return Err(Error::Size { size: text.len() });
    }
    let overlay = match text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']) {
        markup if markup.starts_with('<') => of_xml(&tree::parse(markup)?),
        json if json.starts_with(['{', '[']) => {
            let value = serde_json::from_str(json).map_err(|error| Error::Bootstrap {
                reason: error.to_string(),
            })?;
            of_json(&value)
        }
        lines => of_lines(lines),
    };
    match overlay.nodes.is_empty() {
        true => Err(Error::Bootstrap {
            reason: "it lists no nodes".to_owned(),
        }),
        false => Ok(overlay),
    }
}

fn of_json(value: &Value) -> Overlay {
    let mut overlay = Overlay::default();
    match value {
        Value::Array(list) => nodes(list.iter().map(|node| (None, node)), &mut overlay),
        Value::Object(object) => {
            let lower = |key: &String| key.to_ascii_lowercase();
            let special = |key: &String| {
                is_rendezvous(&lower(key)) || is_servers(&lower(key)) || is_nodes(&lower(key))
            };
            for (key, value) in object {
                let key = lower(key);
                if is_rendezvous(&key) {
                    overlay.rendezvous = texts(value).into_iter().next();
                } else if is_servers(&key) {
                    overlay.servers = match value {
                        Value::Object(map) => map.keys().cloned().collect(),
                        value => texts(value),
                    };
                } else if is_nodes(&key) {
                    match value {
                        Value::Array(list) => {
                            nodes(list.iter().map(|node| (None, node)), &mut overlay)
                        }
                        Value::Object(map) => {
                            nodes(map.iter().map(|(k, v)| (Some(k), v)), &mut overlay)
                        }
                        _ => {}
                    }
                }
            }
            let plain = object.iter().filter(|(key, _)| !special(key));
            if overlay.nodes.is_empty() {
                nodes(plain.map(|(key, value)| (Some(key), value)), &mut overlay);
            }
        }
        _ => {}
    }
    overlay
}

fn nodes<'a>(list: impl Iterator<Item = (Option<&'a String>, &'a Value)>, overlay: &mut Overlay) {
    for (key, value) in list {
        let field = |accepted: fn(&str) -> bool| {
            let fields = value.as_object().into_iter().flatten();
            let found = fields.filter(|(key, _)| accepted(&key.to_ascii_lowercase()));
            found
                .flat_map(|(_, value)| texts(value))
                .collect::<Vec<_>>()
        };
        let name = key.cloned().or_else(|| field(is_name).into_iter().next());
        let addresses = field(is_address);
        let Some(name) = name.or_else(|| addresses.first().cloned()) else {
            continue;
        };
        let listed = overlay.nodes.entry(name).or_default();
        match value {
            Value::Object(_) => {
                listed.addresses.extend(addresses);
                listed.neighbours.extend(field(is_neighbours));
            }
            value => listed.neighbours.extend(texts(value)),
        }
    }
}

fn of_xml(root: &Element) -> Overlay {
    let mut overlay = Overlay::default();
    // Depth is bounded by the tree's own limit.
    collect(root, &mut overlay);
    overlay
}

fn collect(element: &Element, overlay: &mut Overlay) {
    let own = |element: &Element| {
        let named = element
            .attributes
            .iter()
            .find(|(key, _)| is_name(&key.to_ascii_lowercase()));
        let placed = element
            .attributes
            .iter()
            .find(|(key, _)| is_address(&key.to_ascii_lowercase()));
        let text = Some(element.text.trim()).filter(|text| !text.is_empty());
        named
            .or(placed)
            .map(|(_, value)| value.as_str())
            .or(text)
            .map(str::to_owned)
    };
    let tag = element.name.to_ascii_lowercase();
    if is_rendezvous(&tag) {
        overlay.rendezvous = own(element);
    } else if matches!(tag.as_str(), "server" | "source") {
        overlay.servers.extend(own(element));
    } else if matches!(tag.as_str(), "node" | "onode" | "peer")
        && let Some(name) = own(element)
    {
        let listed = overlay.nodes.entry(name).or_default();
        let attributes = element.attributes.iter();
        let addresses = attributes.filter(|(key, _)| is_address(&key.to_ascii_lowercase()));
        listed
            .addresses
            .extend(addresses.map(|(_, value)| value.clone()));
        let mut below: Vec<&Element> = element.children.iter().collect();
        while let Some(child) = below.pop() {
            let tag = child.name.to_ascii_lowercase();
            if is_neighbours(&tag) && child.children.is_empty()
                || tag == "neighbour"
                || tag == "neighbor"
            {
                listed.neighbours.extend(own(child));
            } else if is_address(&tag) {
                listed.addresses.extend(own(child));
            } else {
                below.extend(&child.children);
            }
        }
        listed.neighbours.sort();
        return;
    }
    for child in &element.children {
        collect(child, overlay);
    }
}

/// `node: a b c`, `node a,b`, `node -> a`; `rp node` and `server node` say roles.
fn of_lines(text: &str) -> Overlay {
    let mut overlay = Overlay::default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let separates =
            |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '=' | '>' | '|' | '[' | ']');
        let mut words = line
            .split(separates)
            .map(|word| word.trim_matches(|c| matches!(c, '"' | '\'' | '-')))
            .map(|word| word.strip_suffix(':').unwrap_or(word))
            .filter(|word| !word.is_empty())
            .map(str::to_owned);
        let Some(first) = words.next() else {
            continue;
        };
        let lower = first.to_ascii_lowercase();
        if is_rendezvous(&lower) {
            overlay.rendezvous = words.next();
        } else if is_servers(&lower) || lower == "server" {
            overlay.servers.extend(words);
        } else {
            overlay
                .nodes
                .entry(first)
                .or_default()
                .neighbours
                .extend(words);
        }
    }
    overlay
}

/// Texts in a value, however deep a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        // An address with more about it.
        Value::Object(object) => {
            let keys = object
                .iter()
                .filter(|(key, _)| is_name(key) || is_address(key));
            keys.flat_map(|(_, value)| texts(value)).take(1).collect()
        }
        _ => Vec::new(),
    }
}

fn is_rendezvous(key: &str) -> bool {
    matches!(
        key,
        "rp" | "rendezvous" | "rendezvouspoint" | "rendezvous_point" | "rendezvous-point"
    )
}

fn is_servers(key: &str) -> bool {
    matches!(key, "servers" | "sources" | "content_servers")
}

fn is_nodes(key: &str) -> bool {
    matches!(key, "nodes" | "overlay" | "topology" | "onodes")
}

fn is_name(key: &str) -> bool {
    matches!(key, "name" | "id" | "node" | "hostname")
}

fn is_address(key: &str) -> bool {
    matches!(
        key,
        "ip" | "ips" | "address" | "addresses" | "interfaces" | "interface"
    )
}

fn is_neighbours(key: &str) -> bool {
    matches!(
        key,
        "neighbours"
            | "neighbors"
            | "neighbour"
            | "neighbor"
            | "peers"
            | "adjacent"
            | "connections"
            | "neighbors_ips"
    )
}
