//! The operator's leader loses its way to the API server, and nothing else: no node, no member, no standby is touched.

use std::time::Duration;

use banyan_tests::Stopwatch;
use banyan_tests::cluster::Write;
use banyan_tests::wait::poll_gently;
use serde_json::Value;

use super::{Campus, SPACE, SYSTEM, campus};

/// From the last renewal others wait 15 s, and they look every two.
const EXPIRED: Duration = Duration::from_secs(90);

#[test]
fn a_leader_cut_off_from_the_api_server_ends_before_another_leads() {
    let time = Stopwatch::start("cut-off leader");
    let test = "a_leader_cut_off_from_the_api_server_ends_before_another_leads";
    let Some(campus) = campus(test) else {
        return;
    };
    let before = campus.members();
    let viewer = campus.watch();
    let old = campus.leader().expect("somebody must lead");
    let pod = campus.operator_pod(&old);
    let address = pod["status"]["podIP"].as_str().expect("it has an address");
    let Some(cut) = campus.cut_off(address) else {
        println!("SKIP {test}: the network of an existing cluster is not ours to cut");
        return;
    };
    time.lap(&format!("{old} is cut off"));
    let new = poll_gently(EXPIRED, || campus.leader().filter(|holder| *holder != old));
    let new = new.unwrap_or_else(|| panic!("nobody else leads\n{}", campus.tell(SYSTEM)));
    time.lap(&format!("{new} leads"));

    // By itself: the kubelet reaches its pod, and nobody told it to end.
    let ended = poll_gently(EXPIRED, || ended(&campus.operator_pod(&old)));
    let ended = ended.unwrap_or_else(|| panic!("it did not end\n{}", campus.tell(SYSTEM)));
    println!("  the cut-off leader ended: {ended}");
    assert_eq!(ended["exitCode"], 1, "{ended}");
    let lease = campus.lease().expect("the Lease must be there");
    let acquired = lease["spec"]["acquireTime"].as_str().expect("it is held");
    let finished = ended["finishedAt"].as_str().expect("it has ended");
    // Times of containers are whole seconds.
    let second = |time: &str| time.get(..19).map(str::to_owned);
    assert!(
        second(finished) <= second(acquired),
        "it ended at {finished}, and {new} led from {acquired} on"
    );

    // The new one does the work.
    let policy = "networkpolicy/campus-hall";
    campus.kubectl(&["-n", SPACE, "delete", policy]).ok();
    let bound = Duration::from_secs(60);
    campus.wait_until("a deleted child is made again", bound, || {
        campus.get(&["-n", SPACE, policy]).is_some()
    });
    drop(cut);
    campus.operator_is_back();
    time.lap("healed");
    viewer.unbroken("a viewer while the leader was cut off");
    campus.ready();
    assert_eq!(before, campus.members(), "pods before and after");
    assert_eq!(campus.leader().as_ref(), Some(&new), "who leads");

    let writes = campus.writes(":banyan");
    let by = |pod: &str| -> Vec<&Write> {
        let writes = writes.iter().filter(|write| write.pod == pod);
        writes
            .filter(|write| write.resource != "tokenreviews")
            .collect()
    };
    assert!(!by(&old).is_empty() && !by(&new).is_empty(), "of the log");
    let mut late = by(&old);
    late.retain(|write| write.at.as_str() > acquired);
    assert!(
        late.is_empty(),
        "{old} wrote after {new} led from {acquired} on: {late:#?}"
    );
}

/// How the operator's container in this pod ended last.
fn ended(pod: &Value) -> Option<Value> {
    let status = &pod["status"]["containerStatuses"][0];
    [&status["state"], &status["lastState"]]
        .iter()
        .map(|state| &state["terminated"])
        .find(|terminated| terminated.is_object())
        .cloned()
}

impl Campus {
    #[track_caller]
    fn lease(self) -> Option<Value> {
        self.get(&["-n", "kube-system", "lease/banyan-operator"])
    }

    /// Name of the pod that leads.
    #[track_caller]
    fn leader(self) -> Option<String> {
        let lease = self.lease()?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        let (pod, _) = holder.rsplit_once('_')?;
        Some(pod.to_owned())
    }

    #[track_caller]
    fn operator_pod(self, name: &str) -> Value {
        self.get(&["-n", SYSTEM, "pod", name])
            .unwrap_or_else(|| panic!("there is no pod {name}"))
    }
}
