//! Manifests without a cluster: YAML in, checked objects and their meaning out.
//!
//! The steps are those of an API server (unknown fields, defaults, schema, CEL), then what only code can check. All
//! problems are collected; none of the steps stops at the first. A text of arbitrary bytes yields problems, never a
//! panic.

use std::fmt;

use crate::content_server::ContentServer;
use crate::model::{Server, Topology};
use crate::stream_topology::StreamTopology;
use crate::validate;

mod kinds;
mod rules;
pub(crate) mod structure;
mod yaml;

pub use kinds::Kind;

/// Largest manifest text; an API server takes no more in one request.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;

/// One thing that is wrong, as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// File the object came from.
    pub file: String,
    /// Kind and name of the object, or the document's number; empty for the file itself.
    pub object: String,
    /// Path of the field, such as `spec.relays[0].fanOut`; empty for the object itself.
    pub field: String,
    /// The value and what is accepted.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if !self.object.is_empty() {
            write!(f, "{}: ", self.object)?;
        }
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// An object and the file it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// File the object came from.
    pub file: String,
    /// The object with defaults applied.
    pub resource: T,
}

/// Objects of one or more files, each valid by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// StreamTopologies in file order.
    pub topologies: Vec<Located<StreamTopology>>,
    /// ContentServers in file order.
    pub servers: Vec<Located<ContentServer>>,
}

/// What the manifests mean, once everything fits together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated {
    /// Topologies in file order.
    pub topologies: Vec<Topology>,
    /// Servers in file order.
    pub servers: Vec<Server>,
    /// Fields whose behaviour does not exist yet, or not in every world.
    pub unsupported: Vec<Unsupported>,
    /// Things that are allowed but rarely meant.
    pub notes: Vec<Problem>,
}

/// A field that is valid but does not do what it says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unsupported {
    /// The field and one sentence about it.
    pub problem: Problem,
    /// Whether the result would differ from what was asked for.
    pub effect: Effect,
}

/// What an unsupported field means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Effect {
    /// The user would get something else: refuse.
    Refused,
    /// It has no meaning in a local world: carry on.
    Ignored,
}

impl Validated {
    /// Fields that a run must refuse.
    pub fn refusals(&self) -> impl Iterator<Item = &Problem> {
        self.unsupported
            .iter()
            .filter(|u| u.effect == Effect::Refused)
            .map(|u| &u.problem)
    }
}

impl Manifests {
    /// Adds the objects of another file.
    pub fn extend(&mut self, other: Manifests) {
        self.topologies.extend(other.topologies);
        self.servers.extend(other.servers);
    }

    /// Checks the objects against each other and resolves them.
    pub fn validate(&self) -> Result<Validated, Vec<Problem>> {
        let problems = validate::across(self, &[]);
        if problems.is_empty() {
            validate::resolve(self)
        } else {
            Err(problems)
        }
    }
}

/// Reads one file; every object in it is checked by itself.
pub fn parse(text: &str, file: &str) -> Result<Manifests, Vec<Problem>> {
    let read = kinds::read(text, file);
    if read.problems.is_empty() {
        Ok(read.manifests)
    } else {
        Err(read.problems)
    }
}

/// Reads files, given as (name, text), and checks everything, also across files.
pub fn load(files: &[(&str, &str)]) -> Result<Validated, Vec<Problem>> {
    let mut manifests = Manifests::default();
    let mut problems = Vec::new();
    let mut broken = Vec::new();
    for (file, text) in files {
        let read = kinds::read(text, file);
        manifests.extend(read.manifests);
        problems.extend(read.problems);
        broken.extend(read.broken);
    }
    problems.extend(validate::across(&manifests, &broken));
    if problems.is_empty() {
        validate::resolve(&manifests)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests;
