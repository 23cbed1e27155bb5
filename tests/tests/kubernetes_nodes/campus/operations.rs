//! What an administrator does on a normal day. A viewer who watches through it loses nothing and sees nothing twice.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_tests::Stopwatch;

use super::{Campus, SETTLED, SPACE, campus};

#[test]
fn a_pod_of_each_role_is_deleted() {
    let time = Stopwatch::start("delete");
    let Some(campus) = campus("a_pod_of_each_role_is_deleted") else {
        return;
    };
    for role in ["edge", "hall", "root", "lisbon"] {
        let viewer = campus.watch();
        let pods = campus.role(role);
        let name = pods[0]["metadata"]["name"]
            .as_str()
            .expect("a pod must have a name");
        campus
            .kubectl(&["-n", SPACE, "delete", "pod", name, "--wait=false"])
            .ok();
        campus.settled();
        time.lap(&format!("{name} replaced"));
        viewer.unbroken(&format!("a viewer while {name} was deleted"));
        campus.ready();
    }
}

#[test]
fn every_tier_is_rolled() {
    let time = Stopwatch::start("roll");
    let Some(campus) = campus("every_tier_is_rolled") else {
        return;
    };
    for tier in ["root", "hall", "edge"] {
        let before = campus.members();
        let viewer = campus.watch();
        campus.restart(tier);
        campus.settled();
        time.lap(&format!("{tier} rolled"));
        viewer.unbroken(&format!("a viewer while {tier} rolled"));
        let after = campus.members();
        for pod in campus.role(tier) {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default();
            assert!(
                !before.contains_key(name),
                "{name} of {tier} was not replaced"
            );
        }
        let others = |all: &BTreeMap<String, String>| {
            let mut others = all.clone();
            others.retain(|name, _| !name.starts_with(&format!("campus-{tier}-")));
            others
        };
        assert_eq!(
            others(&before),
            others(&after),
            "only {tier} should be replaced"
        );
        campus.ready();
    }
}

#[test]
fn edges_are_added_and_taken_away() {
    let time = Stopwatch::start("scale");
    let Some(campus) = campus("edges_are_added_and_taken_away") else {
        return;
    };
    for replicas in [6, 3, 4] {
        let viewer = campus.watch();
        campus.scale(replicas);
        time.lap(&format!("{replicas} edges"));
        viewer.unbroken(&format!("a viewer while edges became {replicas}"));
    }
    campus.ready();
}

#[test]
fn a_node_is_drained() {
    let time = Stopwatch::start("drain");
    let Some(campus) = campus("a_node_is_drained") else {
        return;
    };
    let node = "n2";
    let viewer = campus.watch();
    let drained = campus.kubectl_within(
        Duration::from_secs(150),
        &[
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--timeout=140s",
        ],
    );
    time.lap("drained");
    campus.settled();
    let left = campus.pods(SPACE, "").into_iter();
    let left = left.filter(|pod| pod["spec"]["nodeName"] == node).count();
    campus.kubectl(&["uncordon", node]).ok();
    drained.ok();
    assert_eq!(left, 0, "pods on the drained node");
    viewer.unbroken("a viewer while a node was drained");
    campus.ready();
    // Pods do not move back by themselves; later tests want both nodes in use.
    for tier in ["root", "hall", "edge"] {
        campus.restart(tier);
    }
    campus.settled();
}

impl Campus {
    /// Rolls a tier as an administrator does.
    #[track_caller]
    fn restart(self, tier: &str) {
        let deployment = format!("deployment/campus-{tier}");
        self.kubectl(&["-n", SPACE, "rollout", "restart", &deployment])
            .ok();
    }

    /// Scales the edges as an administrator does.
    #[track_caller]
    fn scale(self, replicas: usize) {
        let count = format!("--replicas={replicas}");
        self.kubectl(&["-n", SPACE, "scale", "stopo/campus", &count])
            .ok();
        self.wait_object(
            SPACE,
            "deployment/campus-edge",
            &format!("{replicas} replicas"),
            SETTLED,
            |deployment| deployment["spec"]["replicas"] == replicas,
        );
        self.settled();
        assert_eq!(self.role("edge").len(), replicas);
    }
}
