//! Everything a topology refers to, from the caches.

use std::collections::BTreeMap;

use banyan_api::{ContentServer, StreamTopology};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;

use crate::apply::Owner;
use crate::context::Context;
use crate::controllers::Error;

/// Field manager of a topology's children.
const MANAGER: &str = "banyan-operator/topology";

/// A topology and what belongs to it.
pub(super) struct Found<'a> {
    pub(super) object: &'a StreamTopology,
    pub(super) owner: Owner,
    pub(super) name: String,
    pub(super) servers: Vec<ContentServer>,
    pub(super) revisions: Vec<ControllerRevision>,
    pub(super) configs: BTreeMap<String, String>,
}

/// Looks it all up.
pub(super) fn find<'a>(object: &'a StreamTopology, context: &Context) -> Result<Found<'a>, Error> {
    if let Some(missing) = context.caches.missing() {
        return Err(Error::Unread(missing));
    }
    let (namespace, name) = crate::controllers::key(object);
    let uid = object.uid().unwrap_or_default();
    let revisions = context
        .caches
        .controlled::<ControllerRevision>(&namespace, &uid);
    Ok(Found {
        object,
        servers: context.caches.feeding(&namespace, &name),
        revisions: revisions.iter().map(|one| (**one).clone()).collect(),
        configs: BTreeMap::new(),
        owner: Owner {
            namespace,
            uid,
            manager: MANAGER,
        },
        name,
    })
}
