//! Everything a topology refers to, from the caches.

use std::time::Duration;

use banyan_api::{ContentServer, StreamTopology};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;

use crate::apply::Owner;
use crate::build::TopologyChildren;
use crate::conditions::Sight;
use crate::conditions::topology::Seen;
use crate::context::Context;
use crate::controllers::{Error, complete, seen};

/// Field manager of a topology's children.
const MANAGER: &str = "banyan-operator/topology";

/// A topology and what belongs to it.
pub(super) struct Found<'a> {
    pub(super) object: &'a StreamTopology,
    pub(super) owner: Owner,
    pub(super) name: String,
    pub(super) servers: Vec<ContentServer>,
    pub(super) revisions: Vec<ControllerRevision>,
}

/// Looks it all up.
pub(super) fn find<'a>(object: &'a StreamTopology, context: &Context) -> Result<Found<'a>, Error> {
    complete(context)?;
    let (namespace, name) = crate::controllers::key(object);
    let uid = object.uid().unwrap_or_default();
    let revisions = context
        .caches
        .controlled::<ControllerRevision>(&namespace, &uid);
    Ok(Found {
        object,
        servers: context.caches.feeding(&namespace, &name),
        revisions: revisions.iter().map(|one| (**one).clone()).collect(),
        owner: Owner {
            namespace,
            uid,
            manager: MANAGER,
        },
        name,
    })
}

impl Found<'_> {
    /// Newer pod templates that wait: the topology's own and its content servers'.
    pub(super) fn updates(&self, children: &TopologyChildren, context: &Context) -> Vec<String> {
        let of_servers = self.servers.iter().flat_map(|server| {
            let key = crate::controllers::key(server);
            let updates = context.updates.of(&key);
            updates
                .into_iter()
                .map(move |update| format!("server {:?}: {update}", key.1))
        });
        children.updates.iter().cloned().chain(of_servers).collect()
    }
}

/// What members told, and when that will be judged anew though nothing changed.
pub(super) fn seen(object: &StreamTopology, context: &Context) -> (Sight<Seen>, Option<Duration>) {
    let key = crate::controllers::key(object);
    let observed = context.members.observed(&key.0, &key.1);
    context
        .sights
        .judge(key, &observed, context.led.time(), seen::of_topology)
}
