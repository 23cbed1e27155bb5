//! Who goes when a tier shrinks: pods that are not ready, then those with the fewest viewers, then the highest slots.
//! They are marked before the Deployment is lowered, so that Kubernetes takes them and no other.

use std::collections::BTreeMap;

use banyan_api::{annotations, labels};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::error::{Error, sentence};
use super::writes::{Target, Writes};

/// Field manager of the marks.
const MANAGER: &str = "banyan-operator/scale";

/// What a marked pod costs; pods without a mark cost nothing.
const COST: &str = "-1000";

/// Marks the pods of a tier that shall go when it has `replicas` members; takes marks off all others.
pub async fn mark(
    client: &kube::Client,
    writes: &Writes,
    namespace: &str,
    (topology, tier): (&str, &str),
    replicas: usize,
    viewers: &BTreeMap<u32, u64>,
) -> Result<(), Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let selector = format!("{}={topology},{}={tier}", labels::TOPOLOGY, labels::TIER);
    let list = api.list(&ListParams::default().labels(&selector)).await;
    let pods = list
        .map_err(|error| Error::Failed {
            verb: "list",
            kind: "Pod".to_owned(),
            name: selector,
            message: sentence(&error),
        })?
        .items;
    let victims = victims(&pods, replicas, viewers);
    for pod in &pods {
        let name = pod.name_any();
        let goes = victims.contains(&name);
        let marked = pod
            .annotations()
            .get(annotations::POD_DELETION_COST)
            .map(String::as_str)
            == Some(COST);
        if goes == marked {
            continue;
        }
        let target = Target {
            verb: "patch",
            kind: "Pod",
            name: &name,
        };
        let mut patch = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "uid": pod.uid()}});
        if goes {
            patch["metadata"]["annotations"] = json!({annotations::POD_DELETION_COST: COST});
        }
        let params = PatchParams::apply(MANAGER).force();
        match writes
            .send(target, api.patch(&name, &params, &Patch::Apply(&patch)))
            .await?
        {
            Ok(_) => {}
            // Gone by itself.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(Error::of("patch", "Pod", &name, &error)),
        }
    }
    Ok(())
}

/// Names of the pods that go.
fn victims(pods: &[Pod], replicas: usize, viewers: &BTreeMap<u32, u64>) -> Vec<String> {
    let mut staying: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect();
    let excess = staying.len().saturating_sub(replicas);
    staying.sort_by_key(|pod| {
        let slot = pod.annotations().get(annotations::SLOT);
        let number: Option<u32> = slot.and_then(|slot| slot.parse().ok());
        let watched = number
            .and_then(|number| viewers.get(&number))
            .copied()
            .unwrap_or(0);
        (
            ready(pod),
            watched,
            std::cmp::Reverse(number.unwrap_or(u32::MAX)),
            pod.name_any(),
        )
    });
    staying
        .iter()
        .take(excess)
        .map(|pod| pod.name_any())
        .collect()
}

fn ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(slot: u32, ready: bool) -> Pod {
        let status = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": format!("pod-{slot}"), "annotations": {annotations::SLOT: slot.to_string()}},
            "status": {"conditions": [{"type": "Ready", "status": status}]},
        }))
        .unwrap()
    }

    #[test]
    fn idle_edges_go_before_watched_ones_and_broken_ones_before_all() {
        let pods = [pod(0, true), pod(1, true), pod(2, true), pod(3, false)];
        let viewers = BTreeMap::from([(2, 9), (0, 1)]);
        assert!(victims(&pods, 4, &viewers).is_empty());
        assert_eq!(victims(&pods, 2, &viewers), ["pod-3", "pod-1"]);
        assert_eq!(victims(&pods, 1, &viewers), ["pod-3", "pod-1", "pod-0"]);
    }

    #[test]
    fn without_viewers_the_highest_slots_go() {
        let pods = [pod(0, true), pod(10, true), pod(2, true)];
        assert_eq!(victims(&pods, 1, &BTreeMap::new()), ["pod-10", "pod-2"]);
    }
}
