//! Questions about objects that most tests ask: conditions, pods, and what to tell when a wait was in vain.

use std::time::Duration;

use serde_json::Value;

use super::Cluster;
use crate::wait;

/// Status of one of an object's conditions.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)?["status"]
        .as_str()
}

/// Name of the definition of StreamTopologies.
pub const TOPOLOGIES: &str = "streamtopologies.banyan.media";
/// Name of the definition of ContentServers.
pub const SERVERS: &str = "contentservers.banyan.media";

impl Cluster {
    /// Makes both kinds known.
    #[track_caller]
    pub fn define(&self) {
        let folder = crate::workspace().join("crds").display().to_string();
        self.kubectl(&["apply", "--server-side", "-f", &folder])
            .ok();
        self.wait_defined();
    }

    /// Waits until both kinds are served.
    #[track_caller]
    pub fn wait_defined(&self) {
        for name in [TOPOLOGIES, SERVERS] {
            let object = format!("crd/{name}");
            let bound = Duration::from_secs(10);
            self.wait_condition("default", &object, "Established", "True", bound);
        }
    }

    /// Makes a namespace under restricted pod security, as users are told to.
    #[track_caller]
    pub fn namespace(&self, name: &str) {
        self.kubectl_with(
            &format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, \
                 labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
            ),
            &["apply", "-f", "-"],
        )
        .ok();
    }

    /// Waits until an object's condition has this status; fails with the object's status and the events around it.
    #[track_caller]
    pub fn wait_condition(
        &self,
        namespace: &str,
        object: &str,
        kind: &str,
        status: &str,
        bound: Duration,
    ) -> Value {
        self.wait_object(
            namespace,
            object,
            &format!("{kind}={status}"),
            bound,
            |found| condition(found, kind) == Some(status),
        )
    }

    /// Waits until an object is as wanted; fails with its status and the events around it.
    #[track_caller]
    pub fn wait_object(
        &self,
        namespace: &str,
        object: &str,
        what: &str,
        bound: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut last = None;
        let found = wait::poll_gently(bound, || {
            last = self.get(&["-n", namespace, object]);
            last.as_ref().filter(|object| wanted(object)).cloned()
        });
        found.unwrap_or_else(|| {
            let status = last.map(|object| format!("{:#}", object["status"]));
            panic!(
                "{object} in {namespace}: {what} not within {bound:?}\nstatus: {}\n{}",
                status.as_deref().unwrap_or("there is no such object"),
                self.tell(namespace)
            )
        })
    }

    /// Waits until `condition` holds, which may ask the cluster; fails with `what` after `bound`.
    #[track_caller]
    pub fn wait_until(&self, what: &str, bound: Duration, condition: impl Fn() -> bool) {
        let held = wait::poll_gently(bound, || condition().then_some(()));
        assert!(held.is_some(), "not within {bound:?}: {what}");
    }

    /// What someone would look at first: pods, events, and the ends of the pods' logs.
    pub fn tell(&self, namespace: &str) -> String {
        let mut told = String::new();
        for arguments in [
            &["-n", namespace, "get", "pods", "-o", "wide"][..],
            &["-n", namespace, "get", "events", "--sort-by=.lastTimestamp"],
        ] {
            let output = self.kubectl(arguments);
            let lines: Vec<&str> = output.out.lines().collect();
            let from = lines.len().saturating_sub(40);
            told += &lines[from..].join("\n");
            told += "\n";
        }
        for pod in self.list(&["-n", namespace, "pods"]) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            let logs = self.kubectl(&[
                "-n",
                namespace,
                "logs",
                name,
                "--all-containers",
                "--tail=15",
            ]);
            told += &format!("--- {name}\n{}{}", logs.out, logs.err);
        }
        told
    }

    /// Pods by a label selector that are not being deleted.
    #[track_caller]
    pub fn pods(&self, namespace: &str, selector: &str) -> Vec<Value> {
        self.list(&["-n", namespace, "pods", "-l", selector])
            .into_iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .collect()
    }

    /// Address of a Service.
    #[track_caller]
    pub fn service_ip(&self, namespace: &str, name: &str) -> String {
        let service = self
            .get(&["-n", namespace, "service", name])
            .unwrap_or_else(|| panic!("there is no Service {name} in {namespace}"));
        service["spec"]["clusterIP"]
            .as_str()
            .expect("a Service must have an address")
            .to_owned()
    }
}
