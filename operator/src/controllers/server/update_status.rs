//! A content server's status.

use std::time::Duration;

use banyan_api::validate::Refusal;
use banyan_api::{ContentServer, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use crate::apply::Error;
use crate::build::names;
use crate::conditions::server::{Facts, Seen, status};
use crate::conditions::{Failure, Sight, Workload};
use crate::context::Context;
use crate::events::transitions;

/// What the steps before found.
pub(super) struct Outcome<'a> {
    pub(super) refusals: &'a [Refusal],
    pub(super) failures: &'a [Failure],
    pub(super) seen: Sight<&'a Seen>,
}

/// Writes the status, if it says something new; gives the time after which it would.
pub(super) async fn update(
    object: &ContentServer,
    outcome: &Outcome<'_>,
    context: &Context,
) -> Result<Option<Duration>, Error> {
    let (namespace, name) = crate::controllers::key(object);
    let stored = context
        .server_statuses
        .stored(object, object.status.as_ref());
    let object = ContentServer {
        status: stored.clone(),
        ..object.clone()
    };
    let deployment = context
        .caches
        .child::<Deployment>(&namespace, &names::server(&name));
    let pods = context
        .caches
        .pods(&namespace, &[(labels::CONTENT_SERVER, &name)]);
    let pods = pods.iter().map(|pod| -> &Pod { pod });
    let workload = Workload::of(&name, 1, deployment.as_deref(), pods);
    let uid = object.uid().unwrap_or_default();
    let judged = status(&Facts {
        object: &object,
        refusals: outcome.refusals,
        failures: outcome.failures,
        workload: Some(&workload),
        seen: outcome.seen,
        since_written: context.server_statuses.since_written(&uid),
        now: Timestamp::now(),
    });
    if stored.as_ref() == Some(&judged.status) {
        return Ok(judged.revisit);
    }
    context
        .server_statuses
        .write(&context.client, &context.writes, &object, &judged.status)
        .await?;
    let before = stored.unwrap_or_default().conditions;
    let happenings = transitions(&before, &judged.status.conditions);
    context
        .events
        .tell(&object.object_ref(&()), happenings)
        .await;
    Ok(judged.revisit)
}
