//! Who owns the children: name, namespace and the reference they carry.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::collections::BTreeMap;

use super::Error;

pub(super) struct Owner {
    pub(super) name: String,
    namespace: Option<String>,
    pub(super) reference: OwnerReference,
}

impl Owner {
    pub(super) fn of<K: kube::Resource<DynamicType = ()>>(object: &K) -> Result<Self, Error> {
        let meta = object.meta();
        let name = meta.name.clone().unwrap_or_default();
        let missing = |field| Error::Identity {
            kind: kind_of::<K>(),
            name: name.clone(),
            field,
        };
        if name.is_empty() {
            return Err(missing("name"));
        }
        let uid = meta.uid.clone().ok_or_else(|| missing("UID"))?;
        Ok(Self {
            namespace: meta.namespace.clone(),
            reference: OwnerReference {
                api_version: banyan_api::API_VERSION.to_owned(),
                kind: kind_of::<K>().to_owned(),
                name: name.clone(),
                uid,
                controller: Some(true),
                block_owner_deletion: Some(true),
            },
            name,
        })
    }

    /// Metadata of a child.
    pub(super) fn child(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: self.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![self.reference.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// Whether `meta` is a child of this very object.
    pub(super) fn controls(&self, meta: &ObjectMeta) -> bool {
        meta.owner_references
            .iter()
            .flatten()
            .any(|owner| owner.controller == Some(true) && owner.uid == self.reference.uid)
    }
}

fn kind_of<K: kube::Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()).as_ref() {
        "ContentServer" => "ContentServer",
        _ => "StreamTopology",
    }
}
