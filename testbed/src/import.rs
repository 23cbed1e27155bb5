//! Topologies of CORE read back: `.imn` files of its old versions, `.xml` files of its new ones, our own exports.
//!
//! A reader ([`imn`], [`xml`]) makes a [`Drawing`]; [`interpret`] makes a manifest of it, with an overlay from a
//! bootstrap file where there is one ([`bootstrap`]). What has no counterpart is listed, never dropped in silence.
//! Files come from anywhere: they yield a manifest or a sentence, and never a panic.

pub mod bootstrap;
mod drawing;
mod imn;
mod interpret;
mod names;
mod ours;
mod roles;
mod tree;
mod write;
mod xml;

#[cfg(test)]
mod tests;

pub use self::drawing::{Drawing, DrawnLink, DrawnNode};
pub(crate) use self::tree::{Element, parse as element};

/// A manifest made of a drawing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Imported {
    /// The manifest: a StreamTopology with an underlay and the ContentServers that feed it.
    pub manifest: String,
    /// What could not be mapped, one sentence each.
    pub unmapped: Vec<String>,
    /// What was decided, one sentence each.
    pub notes: Vec<String>,
}

/// Why a file is no drawing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Too much text.
    #[error("the file has {size} bytes; at most {MAX_BYTES} are accepted")]
    Size {
        /// How much.
        size: usize,
    },
    /// Not the format it should be.
    #[error("line {line}: {what}; accepted is {accepted}")]
    Format {
        /// Where.
        line: usize,
        /// What is there.
        what: String,
        /// What would do.
        accepted: &'static str,
    },
    /// Nothing in it.
    #[error("the file draws no nodes; accepted is a topology that CORE saved as .imn or .xml")]
    Empty,
    /// More than a manifest may hold.
    #[error("the file draws {count} {what}; a manifest holds at most {most}")]
    Many {
        /// How many.
        count: usize,
        /// Of what.
        what: &'static str,
        /// How many may be.
        most: usize,
    },
    /// A bootstrap file that is not understood.
    #[error(
        "the bootstrap file is not understood: {reason}; accepted are JSON, XML and lines `node: neighbour neighbour`"
    )]
    Bootstrap {
        /// Why.
        reason: String,
    },
}

/// Reads a topology file and makes a manifest of it.
///
/// `name` is what the StreamTopology is called where the file does not say; `bootstrap` the text of a file that lists
/// overlay neighbours.
pub fn import(text: &str, name: &str, bootstrap: Option<&str>) -> Result<Imported, Error> {
    let drawing = read(text)?;
    if let Some(imported) = ours::again(&drawing) {
        return Ok(imported);
    }
    let overlay = bootstrap.map(bootstrap::parse).transpose()?;
    let mut imported = interpret::manifest(&drawing, name, overlay.as_ref())?;
    for sentence in imported.unmapped.iter_mut().chain(&mut imported.notes) {
        *sentence = one_line(sentence);
    }
    Ok(imported)
}

/// A sentence stays one, whatever the names in it are.
fn one_line(sentence: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut rest = sentence.chars().map(plain);
    let mut line: String = rest.by_ref().take(LONGEST_SENTENCE).collect();
    if rest.next().is_some() {
        line.push('…');
    }
    line
}

fn within(what: &'static str, count: usize, most: usize) -> Result<(), Error> {
    match count > most {
        true => Err(Error::Many { count, what, most }),
        false => Ok(()),
    }
}

/// Reads a topology file of either format.
pub fn read(text: &str) -> Result<Drawing, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::Size { size: text.len() });
    }
    let text = text.trim_start_matches('\u{feff}');
    let drawing = match text.trim_start().starts_with('<') {
        true => xml::read(text)?,
        false => imn::read(text)?,
    };
    match drawing.nodes.is_empty() {
        true => Err(Error::Empty),
        false => Ok(drawing),
    }
}

/// As many as a manifest holds.
const MOST_NODES: usize = 256;
/// Characters; longer ones quote a name that is none.
const LONGEST_SENTENCE: usize = 400;
/// Far above any topology that was drawn by hand.
pub const MAX_BYTES: usize = 8 << 20;
