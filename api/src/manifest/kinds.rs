//! Documents to objects: which kind a document is, and what is checked of it.

use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::structure::{self, Finding};
use super::{Located, MAX_MANIFEST_BYTES, Manifests, Problem, rules, yaml};
use crate::{API_VERSION, names, schema, validate};

/// The two kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ContentServer.
    ContentServer,
    /// StreamTopology.
    StreamTopology,
}

impl Kind {
    /// The kind as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContentServer => "ContentServer",
            Self::StreamTopology => "StreamTopology",
        }
    }

    fn schema(self) -> &'static KindSchema {
        static CONTENT_SERVER: LazyLock<KindSchema> =
            LazyLock::new(|| KindSchema::of(schema::open_api(&schema::content_server())));
        static STREAM_TOPOLOGY: LazyLock<KindSchema> =
            LazyLock::new(|| KindSchema::of(schema::open_api(&schema::stream_topology())));
        match self {
            Self::ContentServer => &CONTENT_SERVER,
            Self::StreamTopology => &STREAM_TOPOLOGY,
        }
    }
}

struct KindSchema {
    raw: Value,
    compiled: CompiledSchema,
}

impl KindSchema {
    fn of(raw: Value) -> Self {
        let compiled = compile_schema(&raw);
        Self { raw, compiled }
    }
}

/// What one file held.
#[derive(Default)]
pub(super) struct Read {
    pub(super) manifests: Manifests,
    pub(super) problems: Vec<Problem>,
    /// Objects that exist but are not valid, so that references to them are not reported as well.
    pub(super) broken: Vec<(Kind, String)>,
}

/// Metadata that a manifest may carry; the rest would be dropped in silence by an API server.
const METADATA: [&str; 11] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "finalizers",
];

/// Reads one file.
pub(super) fn read(text: &str, file: &str) -> Read {
    let mut read = Read::default();
    let whole_file = |message: String| Problem {
        file: file.to_owned(),
        object: String::new(),
        field: String::new(),
        message,
    };
    if text.len() > MAX_MANIFEST_BYTES {
        let size = text.len();
        read.problems.push(whole_file(format!(
            "is {size} bytes long; accepted are at most {MAX_MANIFEST_BYTES}"
        )));
        return read;
    }
    let (documents, failure) = yaml::documents(text);
    read.problems.extend(failure.map(whole_file));
    if documents.is_empty() && read.problems.is_empty() {
        read.problems.push(whole_file(
            "is empty; accepted are ContentServer and StreamTopology objects".to_owned(),
        ));
    }
    for document in documents {
        read_document(&mut read, file, document);
    }
    read
}

fn read_document(read: &mut Read, file: &str, document: yaml::Document) {
    let unnamed = format!("document {}", document.number);
    let problem = |object: &str, finding: Finding| Problem {
        file: file.to_owned(),
        object: object.to_owned(),
        field: finding.path,
        message: finding.message,
    };
    let (kind, object) = match kind_of(document.value) {
        Ok(found) => found,
        Err(finding) => return read.problems.push(problem(&unnamed, finding)),
    };
    let name = object
        .get("metadata")
        .and_then(|m| m.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let title = match name.as_str() {
        "" => format!("{} ({unnamed})", kind.as_str()),
        name => format!("{} {}", kind.as_str(), structure::shortened(name)),
    };
    let (findings, kept) = match kind {
        Kind::ContentServer => {
            let (findings, resource) = check(kind, object, validate::content_server);
            let resource = resource.map(|resource| Located {
                file: file.to_owned(),
                resource,
            });
            (
                findings,
                resource.map(|located| read.manifests.servers.push(located)),
            )
        }
        Kind::StreamTopology => {
            let (findings, resource) = check(kind, object, validate::stream_topology);
            let resource = resource.map(|resource| Located {
                file: file.to_owned(),
                resource,
            });
            (
                findings,
                resource.map(|located| read.manifests.topologies.push(located)),
            )
        }
    };
    if kept.is_none() {
        read.broken.push((kind, name));
    }
    read.problems
        .extend(findings.into_iter().map(|finding| problem(&title, finding)));
}

fn kind_of(value: Value) -> Result<(Kind, Map<String, Value>), Finding> {
    const ACCEPTED: &str = "accepted are ContentServer and StreamTopology";
    let Value::Object(object) = value else {
        return Err(Finding::new(
            "",
            format!("is {}; {ACCEPTED} objects", structure::shown(&value)),
        ));
    };
    match object.get("apiVersion") {
        Some(Value::String(version)) if version == API_VERSION => {}
        Some(other) => {
            return Err(Finding::new(
                "apiVersion",
                format!("is {}; accepted is {API_VERSION}", structure::shown(other)),
            ));
        }
        None => {
            return Err(Finding::new(
                "apiVersion",
                format!("is missing; accepted is {API_VERSION}"),
            ));
        }
    }
    match object.get("kind").map(|kind| (kind, kind.as_str())) {
        Some((_, Some("ContentServer"))) => Ok((Kind::ContentServer, object)),
        Some((_, Some("StreamTopology"))) => Ok((Kind::StreamTopology, object)),
        Some((other, _)) => Err(Finding::new(
            "kind",
            format!("is {}; {ACCEPTED}", structure::shown(other)),
        )),
        None => Err(Finding::new("kind", format!("is missing; {ACCEPTED}"))),
    }
}

/// Runs every check of one object; gives the object only when none found anything.
fn check<T: DeserializeOwned>(
    kind: Kind,
    mut object: Map<String, Value>,
    semantic: fn(&T) -> Vec<Finding>,
) -> (Vec<Finding>, Option<T>) {
    // Status belongs to the operator; an exported object may carry it.
    object.remove("status");
    let mut findings = metadata(&object);
    let schema = kind.schema();
    let mut value = Value::Object(object);
    structure::drop_nulls(&schema.raw, &mut value);
    let value = apply_defaults(&schema.raw, &value);
    findings.extend(structure::check(&schema.raw, &value));
    let sound = findings.is_empty();
    add(&mut findings, rules::check(&schema.compiled, &value, sound));
    let resource = match serde_json::from_value::<T>(value) {
        Ok(resource) => resource,
        Err(error) => {
            if findings.is_empty() {
                // The schema is looser than its type; still a sentence, never a panic.
                findings.push(Finding::new("", format!("cannot be read: {error}")));
            }
            return (findings, None);
        }
    };
    add(&mut findings, semantic(&resource));
    let resource = findings.is_empty().then_some(resource);
    (findings, resource)
}

/// Adds findings of a later step, but for those about fields an earlier step already refused.
fn add(findings: &mut Vec<Finding>, later: Vec<Finding>) {
    let fresh: Vec<Finding> = later
        .into_iter()
        .filter(|new| {
            !findings
                .iter()
                .any(|old| structure::related(&old.path, &new.path))
        })
        .collect();
    findings.extend(fresh);
}

fn metadata(object: &Map<String, Value>) -> Vec<Finding> {
    let name_missing = || Finding::new("metadata.name", "is missing; every object needs a name");
    let Some(metadata) = object.get("metadata") else {
        return vec![name_missing()];
    };
    let Value::Object(metadata) = metadata else {
        return vec![Finding::new(
            "metadata",
            format!("is {}; accepted is an object", structure::shown(metadata)),
        )];
    };
    let mut findings: Vec<Finding> = metadata
        .keys()
        .filter(|key| !METADATA.contains(&key.as_str()))
        .map(|key| structure::unknown_field("metadata", key, &METADATA))
        .collect();
    match metadata.get("name") {
        Some(Value::String(name)) if !name.is_empty() => {}
        None | Some(Value::Null) => findings.push(name_missing()),
        Some(other) => {
            let found = structure::shown(other);
            findings.push(Finding::new(
                "metadata.name",
                format!("is {found}; accepted is a text that is not empty"),
            ));
        }
    }
    match metadata.get("namespace") {
        None | Some(Value::Null) => {}
        Some(Value::String(namespace)) if names::is_dns_label(namespace) => {}
        Some(other) => {
            let found = structure::shown(other);
            findings.push(Finding::new(
                "metadata.namespace",
                format!("is {found}; accepted is a DNS label"),
            ));
        }
    }
    findings
}
