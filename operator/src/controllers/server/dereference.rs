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
}

/// Looks it all up.
pub(super) fn find<'a>(object: &'a ContentServer, context: &Context) -> Result<Found<'a>, Error> {
    complete(context)?;
    let namespace = object.namespace().unwrap_or_default();
    let uid = object.uid().unwrap_or_default();
    let revisions = context
        .caches
        .controlled::<ControllerRevision>(&namespace, &uid);
    Ok(Found {
        object,
        topology: context.caches.topology(&namespace, &object.spec.topology),
        revisions: revisions.iter().map(|one| (**one).clone()).collect(),
        owner: Owner {
            namespace,
            uid,
            manager: MANAGER,
        },
    })
}

/// What the server's pod falls back to while control is away; empty while members were not told of it.
pub(super) fn configs(object: &ContentServer, context: &Context) -> BTreeMap<String, String> {
    let (namespace, name) = crate::controllers::key(object);
    context
        .members
        .server_configs(&namespace, &object.spec.topology, &name)
}

/// What members told, and when that will be judged anew though nothing changed.
pub(super) fn seen(object: &ContentServer, context: &Context) -> (Sight<Seen>, Option<Duration>) {
    let (namespace, name) = crate::controllers::key(object);
    let topology = object.spec.topology.clone();
    let observed = context.members.observed(&namespace, &topology);
    context.sights.judge(
        (namespace, topology),
        &observed,
        context.led.time(),
        |observed| seen::of_server(observed, &name),
    )
}
