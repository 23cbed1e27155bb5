//! The origin as a sidecar of somebody's own media server, which writes a file into a volume that both see.

use std::time::Duration;

use banyan_tests::{Stopwatch, cluster, workspace};

use super::{READY, campus};

const SPACE: &str = "studio";
/// What the example has for somebody's own image.
const THEIRS: &str = "image: registry.example.org/recorder:1";

#[test]
fn a_sidecar_never_waits_for_the_container_beside_it() {
    let time = Stopwatch::start("recorder");
    let Some(campus) = campus("a_sidecar_never_waits_for_the_container_beside_it") else {
        return;
    };
    campus.namespace(SPACE);
    let example = std::fs::read_to_string(workspace().join("examples/kubernetes-sidecar.yaml"))
        .expect("the example must be readable");
    assert!(example.contains(THEIRS), "the example has another image");
    let registry = campus.image_registry();

    // Beside a container that cannot even be pulled.
    let missing = format!("image: {registry}/banyan-test-recorder:missing");
    campus.apply(SPACE, &example.replace(THEIRS, &missing));
    campus.wait_condition(SPACE, "csrv/recorder", "Reachable", "True", READY);
    let pods = campus.pods(SPACE, "banyan.media/content-server=recorder");
    let status = &pods[0]["status"];
    let origin = &status["initContainerStatuses"][0];
    assert_eq!(origin["started"], true, "{status:#}");
    let theirs = &status["containerStatuses"][0];
    assert_eq!(theirs["name"], "recorder", "{status:#}");
    assert_eq!(theirs["started"], false, "{status:#}");
    let found = campus.get(&["-n", SPACE, "csrv/recorder"]);
    let found = found.expect("it was just there");
    assert_ne!(cluster::condition(&found, "Prepared"), Some("True"));
    time.lap("the origin beats, its neighbour is not there");

    // A neighbour that takes its time and then writes the file.
    let script = "sleep 4; cp /loop.mp4 /var/lib/recorder/part && \
                  mv /var/lib/recorder/part /var/lib/recorder/loop.mp4 && exec sleep 100000";
    let works = format!(
        "image: {registry}/banyan-test-recorder:1\n              command: [/bin/sh, -c, {script:?}]"
    );
    campus.apply(SPACE, &example.replace(THEIRS, &works));
    campus.wait_condition(SPACE, "csrv/recorder", "Ready", "True", READY);
    campus.wait_condition(SPACE, "stopo/studio-tree", "Ready", "True", READY);
    time.lap("the file is found and prepared");

    let url = format!(
        "http://{}/loop/index.m3u8",
        campus.service_ip(SPACE, "studio-tree")
    );
    campus.wait_until("the stream is served", Duration::from_secs(60), || {
        campus.fetch(&url).is_some()
    });
    let viewer = campus.0.watch(&url);
    viewer.unbroken("a viewer of the recorder");
    campus
        .kubectl(&["delete", "namespace", SPACE, "--wait=false"])
        .ok();
}
