//! The images alone, without an operator: they start under restricted pod security, find each other by cluster DNS,
//! and viewers lose nothing while every edge is replaced.

use std::time::Duration;

use banyan_tests::{Stopwatch, cluster, workspace};

#[test]
fn members_play_as_pods_while_every_edge_is_replaced() {
    let time = Stopwatch::start("members");
    let Some(cluster) = cluster::nodes("members_play_as_pods_while_every_edge_is_replaced") else {
        return;
    };
    time.lap("cluster");
    let manifest =
        std::fs::read_to_string(workspace().join("tests/manifests/kubernetes/members.yaml"))
            .expect("the manifest must be readable")
            .replace("localhost/", &prefix(&cluster.image_registry()));
    cluster.kubectl_with(&manifest, &["apply", "-f", "-"]).ok();
    for name in ["root", "edge", "origin"] {
        let deployment = format!("deployment/{name}");
        cluster.wait_condition(
            "members",
            &deployment,
            "Available",
            "True",
            Duration::from_secs(90),
        );
    }
    time.lap("available");

    let url = format!(
        "http://{}/kites/index.m3u8",
        cluster.service_ip("members", "viewers")
    );
    cluster.wait_until("the stream is served", Duration::from_secs(60), || {
        cluster.fetch(&url).is_some()
    });
    let nodes: Vec<String> = cluster
        .pods("members", "member=edge")
        .iter()
        .filter_map(|pod| pod["spec"]["nodeName"].as_str().map(str::to_owned))
        .collect();
    assert!(
        nodes.iter().any(|node| *node != nodes[0]),
        "edges should spread: {nodes:?}"
    );

    let viewer = cluster.watch(&url);
    cluster
        .kubectl(&["-n", "members", "rollout", "restart", "deployment/edge"])
        .ok();
    cluster
        .kubectl_within(
            Duration::from_secs(60),
            &[
                "-n",
                "members",
                "rollout",
                "status",
                "deployment/edge",
                "--timeout=55s",
            ],
        )
        .ok();
    time.lap("edges replaced");
    viewer.unbroken("the viewer through the Service");
    cluster
        .kubectl(&["delete", "namespace", "members", "--wait=false"])
        .ok();
}

fn prefix(registry: &str) -> String {
    match registry {
        "" => String::new(),
        registry => format!("{registry}/"),
    }
}
