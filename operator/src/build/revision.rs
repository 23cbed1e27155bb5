//! Stored pod templates: a template stays as it was rendered until the user changes what it was rendered from.
//!
//! A ControllerRevision holds the hash of what the user wrote and the template. Its name carries a hash of both, so
//! its data never has to change. Which one rules is decided here; the caller stores it before it applies the
//! Deployment, and removes the others.

use std::collections::BTreeMap;

use banyan_api::annotations::TEMPLATE_HASH;
use banyan_api::stream_topology::UpgradePolicy;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::owner::Owner;

/// What is rendered now.
pub(super) struct Wanted {
    /// Of the Deployment, and so the beginning of the revision's name.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Of what the user wrote.
    pub(super) hash: String,
    pub(super) template: PodTemplateSpec,
    pub(super) policy: UpgradePolicy,
}

/// What is used.
pub(super) struct Kept {
    pub(super) template: PodTemplateSpec,
    pub(super) revision: ControllerRevision,
    /// What a newer rendering would change, when it waits.
    pub(super) update: Option<String>,
}

/// What a revision holds. Read by every later version: fields may be added, never changed.
#[derive(Serialize, Deserialize)]
struct Data {
    /// Of what the user wrote.
    spec: String,
    template: PodTemplateSpec,
}

/// Chooses between the stored template and the new one.
pub(super) fn keep(owner: &Owner, wanted: &Wanted, stored: &[ControllerRevision]) -> Kept {
    let rendered = marked(&wanted.template);
    let ours: Vec<Stored> = stored
        .iter()
        .filter(|revision| owner.controls(&revision.metadata))
        .filter_map(|revision| Stored::read(revision, &wanted.name))
        .collect();
    // After a crash there may be two; the younger one is what was to be applied.
    let fitting = ours
        .iter()
        .filter(|stored| stored.data.spec == wanted.hash)
        .filter(|stored| {
            wanted.policy == UpgradePolicy::OnSpecChange || stored.data.template == rendered
        })
        .max_by_key(|stored| stored.number);
    let last = ours.iter().map(|stored| stored.number).max();
    let (template, number, name, data) = match fitting {
        Some(stored) => (
            stored.data.template.clone(),
            stored.number,
            stored.name.clone(),
            stored.raw.clone(),
        ),
        None => {
            let data = Data {
                spec: wanted.hash.clone(),
                template: rendered.clone(),
            };
            let raw = serde_json::to_value(data).expect("a pod template must be JSON");
            let name = format!("{}-{}", wanted.name, short(&hash(&raw)));
            (rendered.clone(), last.unwrap_or(0) + 1, name, raw)
        }
    };
    Kept {
        update: (template != rendered).then(|| difference(&template, &rendered)),
        revision: ControllerRevision {
            metadata: owner.child(name, wanted.labels.clone()),
            data: Some(RawExtension(data)),
            revision: number,
        },
        template,
    }
}

/// A revision that is there.
struct Stored {
    name: String,
    number: i64,
    data: Data,
    raw: Value,
}

impl Stored {
    /// None for a revision of another Deployment, or one that cannot be read.
    fn read(revision: &ControllerRevision, deployment: &str) -> Option<Self> {
        let name = revision.metadata.name.clone()?;
        let hash = name.strip_prefix(deployment)?.strip_prefix('-')?;
        if hash.len() != SHORT || hash.contains('-') {
            return None;
        }
        let raw = revision.data.as_ref()?.0.clone();
        Some(Self {
            number: revision.revision,
            data: serde_json::from_value(raw.clone()).ok()?,
            raw,
            name,
        })
    }
}

/// Hash of what a user wrote, whatever the order of fields. A field that is added to the spec later must be absent
/// here at its default, or every pod rolls when the operator is upgraded; nothing else changes a hash.
pub(super) fn hash(written: &impl Serialize) -> String {
    let value = serde_json::to_value(written).expect("a spec must be JSON");
    let mut text = String::new();
    canonical(&value, &mut text);
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// JSON with sorted keys and without nulls.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().filter(|(_, value)| !value.is_null()).collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// The template with its own hash as an annotation.
fn marked(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    let hash = short(&hash(&template));
    let metadata = template.metadata.get_or_insert_default();
    metadata
        .annotations
        .get_or_insert_default()
        .insert(TEMPLATE_HASH.to_owned(), hash);
    template
}

/// Characters of a hash in a name.
const SHORT: usize = 8;

fn short(hash: &str) -> String {
    hash.chars().take(SHORT).collect()
}

/// One sentence about the first difference that a person would ask for.
fn difference(old: &PodTemplateSpec, new: &PodTemplateSpec) -> String {
    let images = |template: &PodTemplateSpec| -> Vec<String> {
        let spec = template.spec.iter();
        spec.flat_map(|spec| {
            spec.containers
                .iter()
                .chain(spec.init_containers.iter().flatten())
        })
        .filter_map(|container| container.image.clone())
        .collect()
    };
    let (old, new) = (images(old), images(new));
    let changed = old.iter().zip(&new).find(|(old, new)| old != new);
    match changed {
        Some((old, new)) => format!("runs image {old:?}, this operator's is {new:?}"),
        None => "runs a pod template of an earlier operator".to_owned(),
    }
}
