//! `.imn` of CORE before 9: lists of Tcl. Read command by command and word by word, whatever the layout; the text is
//! never evaluated.

use super::Error;
use super::drawing::{Drawing, DrawnLink, DrawnNode};

/// A word of a list, without the braces or quotes around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    text: &'a str,
    line: usize,
    braced: bool,
}

pub(super) fn read(text: &str) -> Result<Drawing, Error> {
    let mut drawing = Drawing::default();
    let mut words = words(text, 1)?.into_iter().flatten().peekable();
    while let Some(word) = words.next() {
        match word.text {
            "node" | "link" | "annotation" if !word.braced => {
                let (Some(name), Some(body)) = (words.next(), words.next()) else {
                    return Err(unfinished(word));
                };
                if !body.braced {
                    return Err(unfinished(word));
                }
                match word.text {
                    "node" => node(name.text, body, &mut drawing)?,
                    "link" => link(name.text, body, &mut drawing)?,
                    _ => annotation(body, &mut drawing)?,
                }
            }
            "canvas" | "option" if !word.braced => {
                words.next();
                words.next_if(|word| word.braced);
            }
            other => {
                let shown: String = other.chars().take(24).collect();
                return Err(Error::Format {
                    line: word.line,
                    what: format!("{shown:?} begins no entry"),
                    accepted: "node, link, annotation, canvas or option, as CORE saves .imn",
                });
            }
        }
    }
    Ok(drawing)
}

fn unfinished(word: Word<'_>) -> Error {
    Error::Format {
        line: word.line,
        what: format!("{:?} has no name and body", word.text),
        accepted: "an entry such as node n1 { … }",
    }
}

fn node(id: &str, body: Word<'_>, drawing: &mut Drawing) -> Result<(), Error> {
    let mut node = DrawnNode {
        id: id.to_owned(),
        name: id.to_owned(),
        ..DrawnNode::default()
    };
    let (mut kind, mut model) = (String::new(), String::new());
    for command in words(body.text, body.line)? {
        let Some((key, rest)) = command.split_first() else {
            continue;
        };
        let value = rest.first().copied();
        let text = value.map(|word| word.text).unwrap_or_default();
        match key.text {
            "type" => kind = text.to_ascii_lowercase(),
            "model" => model = text.to_ascii_lowercase(),
            "network-config" => {
                if let Some(value) = value {
                    network_config(value.text, &mut node);
                }
            }
            "iconcoords" => node.position = pair(rest),
            "services" => node.services.extend(items(rest)),
            "custom-config" => drawing
                .unmapped
                .push(format!("node {id}: a custom configuration of a service")),
            // Drawn, or said by links as well.
            "interface-peer" | "canvas" | "labelcoords" | "hidden" | "custom-image" | "cpu"
            | "mirror" => {}
            "ipsec-config"
            | "custom-command"
            | "custom-pre-config-commands"
            | "custom-post-config-commands"
            | "icon"
            | "topology" => {
                drawing.unmapped.push(format!("node {id}: {}", key.text));
            }
            other => {
                let shown: String = other.chars().take(24).collect();
                drawing.unmapped.push(format!("node {id}: {shown}"));
            }
        }
    }
    // A container's model says what it is; a network's type does.
    node.model = match kind.as_str() {
        "router" | "" if !model.is_empty() => model,
        "" => "pc".to_owned(),
        kind => kind.to_owned(),
    };
    drawing.nodes.push(node);
    Ok(())
}

/// Lines of a router's configuration: its name and its addresses.
fn network_config(text: &str, node: &mut DrawnNode) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("hostname"), Some(name), _) => {
                node.name = name.trim_matches(['"', '{', '}']).to_owned();
            }
            (Some("ip" | "ipv6"), Some("address"), Some(address)) => {
                let plain = address.split('/').next().unwrap_or_default();
                node.addresses.extend(plain.parse::<std::net::IpAddr>());
            }
            _ => {}
        }
    }
}

fn link(id: &str, body: Word<'_>, drawing: &mut Drawing) -> Result<(), Error> {
    let mut link = DrawnLink::default();
    let mut ends = Vec::new();
    for command in words(body.text, body.line)? {
        let Some((key, rest)) = command.split_first() else {
            continue;
        };
        match key.text {
            "nodes" => ends = items(rest),
            "bandwidth" | "delay" | "jitter" | "ber" | "loss" | "duplicate" | "dup" => {
                let values = items(rest);
                if values.windows(2).any(|pair| pair[0] != pair[1]) {
                    drawing.unmapped.push(format!(
                        "link {id}: {} differs by direction; links of an underlay are alike both ways, the first value is taken",
                        key.text
                    ));
                }
                let value = values.first().map(String::as_str).unwrap_or_default();
                if let Err(why) = link.set(key.text, value) {
                    drawing.unmapped.push(format!("link {id}: {why}"));
                }
            }
            "color" | "width" | "mirror" | "direct" => {}
            other => {
                let shown: String = other.chars().take(24).collect();
                drawing.unmapped.push(format!("link {id}: {shown}"));
            }
        }
    }
    match <[String; 2]>::try_from(ends) {
        Ok([one, other]) => {
            link.ends = (one, other);
            drawing.links.push(link);
        }
        Err(ends) => drawing
            .unmapped
            .push(format!("link {id}: it joins {} nodes", ends.len())),
    }
    Ok(())
}

fn annotation(body: Word<'_>, drawing: &mut Drawing) -> Result<(), Error> {
    let (mut label, mut area) = (String::new(), Vec::new());
    for command in words(body.text, body.line)? {
        let Some((key, rest)) = command.split_first() else {
            continue;
        };
        match key.text {
            "label" => label = items(rest).join(" "),
            "iconcoords" => {
                let numbers = items(rest);
                area = numbers
                    .iter()
                    .filter_map(|n| n.parse::<f64>().ok())
                    .collect();
            }
            _ => {}
        }
    }
    if let [a, b, c, d] = area.as_slice()
        && area.iter().all(|n| n.is_finite())
        && !label.trim().is_empty()
    {
        let area = [a.min(*c), b.min(*d), a.max(*c), b.max(*d)];
        drawing.regions.push((label.trim().to_owned(), area));
    }
    Ok(())
}

/// The items of a value: of a list in braces, or of the words themselves.
fn items(rest: &[Word<'_>]) -> Vec<String> {
    let texts = rest.iter().flat_map(|word| word.text.split_whitespace());
    texts
        .map(|text| text.trim_matches(['{', '}', '"']).to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

fn pair(rest: &[Word<'_>]) -> Option<(f64, f64)> {
    let items = items(rest);
    let number = |at: usize| -> Option<f64> {
        let number: f64 = items.get(at)?.parse().ok()?;
        number.is_finite().then_some(number)
    };
    Some((number(0)?, number(1)?))
}

/// Commands (lines, or parts between semicolons) of words. Braces keep their inside together, lines included.
fn words(text: &str, first_line: usize) -> Result<Vec<Vec<Word<'_>>>, Error> {
    let bytes = text.as_bytes();
    let mut commands = vec![Vec::new()];
    let (mut at, mut line) = (0, first_line);
    while at < bytes.len() {
        match bytes[at] {
            b'\n' | b';' => {
                line += usize::from(bytes[at] == b'\n');
                at += 1;
                commands.push(Vec::new());
            }
            // A line that goes on.
            b'\\' if bytes[at + 1..].starts_with(b"\n") || bytes[at + 1..].starts_with(b"\r\n") => {
                line += 1;
                at += if bytes[at + 1] == b'\r' { 3 } else { 2 };
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            b'#' if commands.last().is_none_or(Vec::is_empty) => {
                at += bytes[at..]
                    .iter()
                    .position(|b| *b == b'\n')
                    .unwrap_or(bytes.len() - at);
            }
            open @ (b'{' | b'"') => {
                let end = closing(bytes, at, open).ok_or_else(|| Error::Format {
                    line,
                    what: format!("{:?} is not closed", char::from(open)),
                    accepted: "a list whose braces and quotes come in pairs",
                })?;
                let word = Word {
                    text: &text[at + 1..end],
                    line,
                    braced: open == b'{',
                };
                push(&mut commands, word);
                line += bytes[at..end].iter().filter(|b| **b == b'\n').count();
                at = end + 1;
            }
            _ => {
                let ends = |b: &u8| b.is_ascii_whitespace() || matches!(b, b';' | b'{' | b'"');
                let length = bytes[at..]
                    .iter()
                    .position(ends)
                    .unwrap_or(bytes.len() - at);
                let word = Word {
                    text: &text[at..at + length.max(1)],
                    line,
                    braced: false,
                };
                push(&mut commands, word);
                at += length.max(1);
            }
        }
    }
    commands.retain(|command| !command.is_empty());
    Ok(commands)
}

fn push<'a>(commands: &mut [Vec<Word<'a>>], word: Word<'a>) {
    if let Some(command) = commands.last_mut() {
        command.push(word);
    }
}

/// Where the brace or quote at `start` closes. An unescaped one counts; braces nest, quotes do not.
fn closing(bytes: &[u8], start: usize, open: u8) -> Option<usize> {
    let (mut depth, mut at) = (0usize, start);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' if open == b'"' && at > start => return Some(at),
            b'{' if open == b'{' => depth += 1,
            b'}' if open == b'{' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}
