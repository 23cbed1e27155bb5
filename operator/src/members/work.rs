//! What the leader writes: slots on pods, and evictions of pods that are to drain.

use std::time::Duration;

use banyan_api::annotations;
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1 as core;
use kube::api::{EvictParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::Members;
use super::pod::Pod;
use crate::apply::writes::{Target, Writes};

/// Writes what is due, and again what could not be written, for ever.
pub(crate) async fn run(members: &Members, client: Client, writes: Writes) {
    let mut changes = members.0.changed.subscribe();
    loop {
        changes.mark_unchanged();
        let due = members.state().due();
        let mut tasks: Vec<BoxFuture<'_, bool>> = Vec::new();
        for (pod, slot) in due.slots {
            tasks.push(Box::pin(write_slot(
                members,
                client.clone(),
                &writes,
                pod,
                slot,
            )));
        }
        for pod in due.drains {
            tasks.push(Box::pin(evict(client.clone(), &writes, pod)));
        }
        let written: Vec<bool> = stream::iter(tasks)
            .buffer_unordered(WRITING)
            .collect()
            .await;
        let settled = written.into_iter().all(|written| written);
        let again = async {
            match settled {
                true => std::future::pending().await,
                false => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            () = again => {}
        }
        if !settled {
            // Whatever changed meanwhile, what fails is not tried in a hurry.
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether the slot is on the pod, or the pod gone.
async fn write_slot(
    members: &Members,
    client: Client,
    writes: &Writes,
    pod: Pod,
    slot: u32,
) -> bool {
    let api: Api<core::Pod> = Api::namespaced(client, &pod.namespace);
    let patch = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod.name,
            // Of no other pod of this name.
            "uid": pod.uid,
            "annotations": { annotations::SLOT: slot.to_string() },
        },
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&patch);
    let asked = api.patch(&pod.name, &parameters, &patch);
    let problem = match writes.send(target("patch", &pod), asked).await {
        Ok(Ok(written)) => {
            tracing::info!(
                pod = pod.name,
                namespace = pod.namespace,
                slot,
                "slot given"
            );
            members.change(|state| state.see_pod(&written));
            return true;
        }
        // Gone, or another by that name.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return true,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        pod = pod.name,
        namespace = pod.namespace,
        slot,
        problem,
        "the slot of a pod cannot be written; trying again"
    );
    members.state().retry(&pod);
    false
}

/// Whether the pod has been told to go; a budget may not allow it yet.
async fn evict(client: Client, writes: &Writes, pod: Pod) -> bool {
    let api: Api<core::Pod> = Api::namespaced(client, &pod.namespace);
    let parameters = EvictParams::default();
    let asked = api.evict(&pod.name, &parameters);
    let problem = match writes.send(target("create", &pod), asked).await {
        Ok(Ok(_)) => {
            tracing::info!(
                pod = pod.name,
                namespace = pod.namespace,
                "evicted, as its annotation asks"
            );
            // Seen as leaving when the watch says so.
            return true;
        }
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => return true,
        Ok(Err(kube::Error::Api(status))) if status.code == 429 => {
            tracing::debug!(
                pod = pod.name,
                "a disruption budget does not allow its eviction yet"
            );
            return false;
        }
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(
        pod = pod.name,
        namespace = pod.namespace,
        problem,
        "a pod cannot be evicted; trying again"
    );
    false
}

fn target<'a>(verb: &'static str, pod: &'a Pod) -> Target<'a> {
    Target {
        verb,
        kind: "Pod",
        name: &pod.name,
    }
}

/// Who writes the annotations of pods.
const MANAGER: &str = "banyan-operator/members";

const WRITING: usize = 8;
const AGAIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
