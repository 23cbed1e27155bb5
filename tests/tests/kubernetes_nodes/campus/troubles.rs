//! Bad input whose trouble only shows when pods are to run: conditions tell it in the words of whoever noticed.

use std::time::Duration;

use serde_json::Value;

use super::Campus;

/// From applying to a condition that tells.
const TOLD: Duration = Duration::from_secs(120);
const ILL: &str = "ill";
const SMALL: &str = "small";

/// No Node has the label that edges want, the claim of one server is not there; the other's image is not (see
/// `lifecycle.rs`).
const MANIFEST: &str = "
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: ill}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  edge:
    replicas: 1
    pod: {nodeSelector: {disk: holographic}}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: unclaimed}
spec:
  topology: ill
  contents: [{name: talk, source: {file: {path: talk.mp4}}}]
  workload: {managed: {media: {persistentVolumeClaim: films}}}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: unpulled}
spec:
  topology: ill
  contents: [{name: bars, source: {test: {pattern: bars, duration: 12s}}}]
";

/// No pod fits into the quota of its namespace.
const REFUSED: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: tight}
spec: {hard: {pods: '0'}}
---
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: refused}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  edge: {replicas: 1}
";

impl Campus {
    /// While the chart's image of content servers is `image`, which is nowhere.
    #[track_caller]
    pub(super) fn tells_troubles(self, image: &str) {
        for (space, manifest) in [(ILL, MANIFEST), (SMALL, REFUSED)] {
            self.namespace(space);
            self.apply(space, manifest);
        }
        let nodes = ["didn't match Pod's node affinity/selector"];
        let labelled = "banyan.media/topology=ill,banyan.media/later=yes";
        self.wait_until("pods have the label of the later build", TOLD, || {
            !self.pods(ILL, labelled).is_empty()
        });
        for kind in ["Progressing", "Degraded", "RelaysAvailable"] {
            self.told(ILL, "stopo/ill", kind, "Unschedulable", &nodes);
            let quota = ["exceeded quota: tight"];
            self.told(SMALL, "stopo/refused", kind, "PodsRefused", &quota);
        }
        let claim = ["persistentvolumeclaim \"films\" not found"];
        self.told(ILL, "csrv/unclaimed", "Reachable", "Unschedulable", &claim);
        let pull = ["container \"origin\" cannot pull its image", image];
        self.told(ILL, "csrv/unpulled", "Reachable", "ImagePullFailed", &pull);
        for space in [ILL, SMALL] {
            self.kubectl(&["delete", "namespace", space, "--wait=false"])
                .ok();
        }
    }

    /// Waits until a condition has this reason and tells these words.
    #[track_caller]
    pub(super) fn told(self, space: &str, object: &str, kind: &str, reason: &str, words: &[&str]) {
        let what = format!("{kind} tells {reason}: {words:?}");
        let found = self.wait_object(space, object, &what, TOLD, |found| {
            message(found, kind, reason)
                .is_some_and(|message| words.iter().all(|word| message.contains(word)))
        });
        if let Some(message) = message(&found, kind, reason) {
            println!("  {object} {kind} {reason}: {message}");
        }
    }
}

fn message<'a>(object: &'a Value, kind: &str, reason: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind && condition["reason"] == reason)?["message"]
        .as_str()
}
