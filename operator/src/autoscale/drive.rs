//! Patches `/scale` of topologies whose scaler says so.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_api::StreamTopology;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use super::Scaler;
use crate::apply::writes::{Target, Writes};
use crate::members::Members;

/// Decides every few seconds while this replica leads, for ever.
pub(crate) async fn run(members: &Members, client: Client, writes: Writes) {
    let began = Instant::now();
    let mut scalers: BTreeMap<(String, String), Scaler> = BTreeMap::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let scaled = members.scaled();
        scalers.retain(|key, _| scaled.iter().any(|(known, ..)| known == key));
        for (key, rule, wanted) in scaled {
            let observed = members.observed(&key.0, &key.1);
            let scaler = scalers.entry(key.clone()).or_default();
            if let Some(replicas) = scaler.decide(rule, wanted, &observed, began.elapsed()) {
                scale(client.clone(), &writes, &key, wanted, replicas).await;
            }
        }
    }
}

async fn scale(
    client: Client,
    writes: &Writes,
    (namespace, name): &(String, String),
    wanted: u32,
    replicas: u32,
) {
    let api: Api<StreamTopology> = Api::namespaced(client, namespace);
    let patch = json!({ "spec": { "replicas": replicas } });
    let parameters = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let target = Target {
        verb: "patch",
        kind: "StreamTopology/scale",
        name,
    };
    let patch = Patch::Merge(&patch);
    let asked = api.patch_scale(name, &parameters, &patch);
    let problem = match writes.send(target, asked).await {
        Ok(Ok(_)) => {
            tracing::info!(
                namespace,
                topology = name,
                from = wanted,
                to = replicas,
                "edges scaled"
            );
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    // Decided anew at the next look.
    tracing::warn!(
        namespace,
        topology = name,
        replicas,
        problem,
        "edges cannot be scaled"
    );
}

/// Who writes `spec.edge.replicas`.
const MANAGER: &str = "banyan-operator/autoscale";

/// As often as a HorizontalPodAutoscaler looks.
const EVERY: Duration = Duration::from_secs(15);
