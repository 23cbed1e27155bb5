//! What Deployments and pods say, as API servers and kubelets write it.

use banyan_api::StreamTopology;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::conditions::{Workload, address};

fn object<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn deployment(status: Value) -> Deployment {
    object(json!({"metadata": {"name": "grove-edge", "generation": 3}, "status": status}))
}

fn judged(status: Value, pods: &[Value]) -> Workload {
    let pods: Vec<Pod> = pods.iter().map(|pod| object(pod.clone())).collect();
    Workload::of("edge", 2, Some(&deployment(status)), &pods)
}

#[test]
fn a_roll_is_over_when_all_pods_are_new_and_no_old_one_is_left() {
    let full =
        json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2});
    assert!(judged(full, &[]).complete());
    for (status, rolling) in [
        (
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}),
            true,
        ),
        (
            json!({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}),
            true,
        ),
        (
            json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1, "readyReplicas": 2}),
            true,
        ),
        (
            json!({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}),
            false,
        ),
        (json!({}), true),
    ] {
        let workload = judged(status.clone(), &[]);
        assert_eq!(
            (workload.rolling, workload.complete()),
            (rolling, false),
            "{status}"
        );
    }
    let none = Workload::of("edge", 2, None, &[]);
    assert_eq!((none.rolling, none.ready), (true, 0));
}

#[test]
fn each_trouble_of_pods_is_found_and_quoted() {
    let container = |state: Value| {
        json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
            "name": "relay", "image": "banyan-relay:0.1.0", "imageID": "", "ready": false, "restartCount": 0,
            "state": state
        }]}})
    };
    let waiting = |reason: &str, message: &str| {
        container(json!({"waiting": {"reason": reason, "message": message}}))
    };
    let unscheduled = json!({"metadata": {"name": "p"}, "status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/2 nodes are available: persistentvolumeclaim \"films\" not found."
    }]}});
    let mut crashing = container(json!({"running": {}}));
    crashing["status"]["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 64, "message": "no such role\n"}});
    for (pod, expected) in [
        (
            waiting("ErrImagePull", "manifest unknown"),
            (
                "ImagePullFailed",
                "edge: container \"relay\" cannot pull its image",
                "manifest unknown",
            ),
        ),
        (
            waiting("ImagePullBackOff", "Back-off pulling image"),
            (
                "ImagePullFailed",
                "edge: container \"relay\" cannot pull its image",
                "Back-off pulling image",
            ),
        ),
        (
            waiting(
                "CreateContainerConfigError",
                "secret \"grove-run\" not found",
            ),
            (
                "ContainerNotStarted",
                "edge: container \"relay\" cannot be started",
                "secret \"grove-run\" not found",
            ),
        ),
        (
            unscheduled,
            (
                "Unschedulable",
                "edge: a pod cannot be scheduled",
                "0/2 nodes are available: persistentvolumeclaim \"films\" not found.",
            ),
        ),
        (
            crashing,
            (
                "ContainerFailing",
                "edge: container \"relay\" keeps ending",
                "it ended with code 64 and said \"no such role\"",
            ),
        ),
    ] {
        // Two pods with one trouble tell it once.
        let problems = judged(json!({}), &[pod.clone(), pod.clone()]).problems;
        let told: Vec<(&str, &str, &str)> = problems
            .iter()
            .map(|p| (p.reason, p.what.as_str(), p.words.as_str()))
            .collect();
        assert_eq!(told, [expected]);
        let mut leaving = pod;
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(judged(json!({}), &[leaving]).problems, []);
    }
    assert_eq!(
        judged(json!({}), &[waiting("ContainerCreating", "")]).problems,
        []
    );
}

#[test]
fn a_quota_and_a_stalled_roll_are_told_by_the_deployment() {
    let condition = |type_: &str, status: &str, reason: &str| json!({"conditions": [{"type": type_, "status": status, "reason": reason, "message": "exceeded quota: small"}]});
    for (status, expected) in [
        (
            condition("ReplicaFailure", "True", "FailedCreate"),
            Some("PodsRefused"),
        ),
        (
            condition("Progressing", "False", "ProgressDeadlineExceeded"),
            Some("ProgressDeadlineExceeded"),
        ),
        (
            condition("Progressing", "True", "NewReplicaSetAvailable"),
            None,
        ),
    ] {
        let problems = judged(status, &[]).problems;
        assert_eq!(problems.first().map(|p| p.reason), expected);
    }
}

#[test]
fn the_address_is_what_viewers_can_open() {
    let mut topology = StreamTopology::new("grove", Default::default());
    let service = |type_: &str, port: i32, balancer: Value| -> Service {
        object(json!({
            "metadata": {"name": "grove", "namespace": "media"},
            "spec": {"type": type_, "ports": [{"port": port, "nodePort": 30080}]},
            "status": {"loadBalancer": balancer}
        }))
    };
    let none = || json!({});
    for (service, expected) in [
        (
            service("ClusterIP", 80, none()),
            Some("http://grove.media.svc"),
        ),
        (
            service("ClusterIP", 8000, none()),
            Some("http://grove.media.svc:8000"),
        ),
        (
            service("NodePort", 80, none()),
            Some("http://grove.media.svc, port 30080 of every Node"),
        ),
        (service("LoadBalancer", 80, none()), None),
        (
            service(
                "LoadBalancer",
                443,
                json!({"ingress": [{"ip": "2001:db8::1"}]}),
            ),
            Some("http://[2001:db8::1]:443"),
        ),
        (
            service(
                "LoadBalancer",
                80,
                json!({"ingress": [{"hostname": "lb.example.org"}]}),
            ),
            Some("http://lb.example.org"),
        ),
    ] {
        assert_eq!(address::of(&topology, Some(&service)).as_deref(), expected);
    }
    topology.spec.edge.public_url = Some("https://live.example.org".to_owned());
    assert_eq!(
        address::of(&topology, None).as_deref(),
        Some("https://live.example.org")
    );
}
