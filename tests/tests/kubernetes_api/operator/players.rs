//! Members without nodes: pods that look as if a kubelet ran them, and processes that attach as they would.

use std::time::Duration;

use banyan_tests::cluster::Helper;
use banyan_tests::{Cluster, wait};
use serde_json::{Value, json};

use super::SOON;

/// Annotation with the slot that the operator gave to a pod.
const SLOT: &str = "banyan.media/slot";

/// Members that a test plays.
pub(super) struct Players {
    cluster: &'static Cluster,
    space: &'static str,
    helper: Helper,
    /// Ends of addresses that were given.
    given: u8,
}

impl Players {
    pub(super) fn new(cluster: &'static Cluster, space: &'static str) -> Self {
        Self {
            cluster,
            space,
            helper: cluster.helper(&["members"]),
            given: 0,
        }
    }

    /// Pods of a tier that are not told to go, once there are so many.
    #[track_caller]
    pub(super) fn pods(&self, topology: &str, tier: &str, count: usize) -> Vec<Value> {
        let selector = format!("banyan.media/topology={topology},banyan.media/tier={tier}");
        let found = wait::poll_gently(SOON, || {
            let pods = self.cluster.pods(self.space, &selector);
            (pods.len() == count).then_some(pods)
        });
        found.unwrap_or_else(|| panic!("there are not {count} pods of {tier}"))
    }

    /// Makes a pod ready, and waits for its slot.
    #[track_caller]
    pub(super) fn ready(&mut self, pod: &Value) -> u32 {
        let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
        self.given += 1;
        let ip = format!("10.244.9.{}", self.given);
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let patch = status.to_string();
        let pod = format!("pod/{name}");
        let mut patched = vec!["-n", self.space, "patch", &pod, "--subresource=status"];
        patched.extend(["--type=merge", "-p", &patch]);
        self.cluster.kubectl(&patched).ok();
        let slotted = self
            .cluster
            .wait_object(self.space, &pod, "it has a slot", SOON, |found| {
                found["metadata"]["annotations"][SLOT].is_string()
            });
        let slot = slotted["metadata"]["annotations"][SLOT].as_str();
        slot.and_then(|slot| slot.parse().ok())
            .expect("a slot must be a number")
    }

    /// Attaches as a pod that is ready, with so many viewers; once attached, tells their new number.
    #[track_caller]
    pub(super) fn attach(&mut self, uri: &str, pod: &Value, role: &str, sessions: u32) {
        let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
        let account = pod["spec"]["serviceAccountName"]
            .as_str()
            .expect("a pod has an account");
        let mut asked = vec!["-n", self.space, "create", "token", account];
        asked.extend(["--bound-object-kind", "Pod", "--bound-object-name", name]);
        asked.extend(["--audience", "banyan.media"]);
        let token = self.cluster.kubectl(&asked).ok();
        let line = json!({"id": name, "uri": uri, "token": token.trim(), "role": role, "sessions": sessions});
        self.helper.send(&line.to_string());
        let answer = self.helper.answer(SOON);
        assert!(answer["slot"].is_string(), "{name}: {answer}");
    }

    /// Asks to attach with a token that is none; gives what was answered.
    #[track_caller]
    pub(super) fn stranger(&mut self, uri: &str) -> Value {
        let line = json!({"id": "stranger", "uri": uri, "token": "none", "role": "edge"});
        self.helper.send(&line.to_string());
        self.helper.answer(Duration::from_secs(30))
    }
}

/// The slot on a pod.
pub(super) fn slot(pod: &Value) -> Option<&str> {
    pod["metadata"]["annotations"][SLOT].as_str()
}
