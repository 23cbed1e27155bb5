//! Everything a content server refers to, from the caches.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_api::{ContentServer, StreamTopology};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;

use crate::apply::Owner;
use crate::conditions::Sight;
use crate::conditions::server::Seen;
use crate::context::Context;
use crate::controllers::{Error, complete, seen};

/// Field manager of a server's children.
const MANAGER: &str = "banyan-operator/server";

/// A content server and what belongs to it.
pub(super) struct Found<'a> {
    pub(super) object: &'a ContentServer,
    pub(super) topology: Option<StreamTopology>,
    pub(super) owner: Owner,
    pub(super) revisions: Vec<ControllerRevision>,
    pub(super) configs: BTreeMap<String, String>,
}

/// Looks it all up.
pub(super) fn find<'a>(object: &'a ContentServer, context: &Context) -> Result<Found<'a>, Error> {
    complete(&context.caches)?;
    let namespace = object.namespace().unwrap_or_default();
    let uid = object.uid().unwrap_or_default();
    let revisions = context
        .caches
        .controlled::<ControllerRevision>(&namespace, &uid);
    Ok(Found {
        object,
        topology: context.caches.topology(&namespace, &object.spec.topology),
        revisions: revisions.iter().map(|one| (**one).clone()).collect(),
        configs: context.members.server_configs(
            &namespace,
            &object.spec.topology,
            &object.name_any(),
        ),
        owner: Owner {
            namespace,
            uid,
            manager: MANAGER,
        },
    })
}

/// What members told, and when that will be judged anew though nothing changed.
pub(super) fn seen(object: &ContentServer, context: &Context) -> (Sight<Seen>, Option<Duration>) {
    let (namespace, name) = crate::controllers::key(object);
    let topology = object.spec.topology.clone();
    let observed = context.members.observed(&namespace, &topology);
    context
        .sights
        .judge((namespace, topology), &observed, context.led.time(), |observed| {
            seen::of_server(observed, &name)
        })
}
