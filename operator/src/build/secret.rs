//! The run secret: what members of one topology show each other.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::names;
use super::owner::Owner;

pub(super) fn run(owner: &Owner, hex: String) -> Secret {
    use banyan_api::labels::{
        INSTANCE, MANAGED_BY, MANAGED_BY_VALUE, NAME, NAME_VALUE, PART_OF, TOPOLOGY,
    };
    // Without the version: it is made once and outlives the operator that made it.
    let labels = [
        (NAME, NAME_VALUE),
        (INSTANCE, &owner.name),
        (PART_OF, &owner.name),
        (MANAGED_BY, MANAGED_BY_VALUE),
        (TOPOLOGY, &owner.name),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Secret {
        metadata: owner.child(names::run_secret(&owner.name), BTreeMap::from(labels)),
        type_: Some("Opaque".to_owned()),
        immutable: Some(true),
        data: Some(BTreeMap::from([(
            names::RUN_SECRET_KEY.to_owned(),
            ByteString(hex.into_bytes()),
        )])),
        ..Secret::default()
    }
}
