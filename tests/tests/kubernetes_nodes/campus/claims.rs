//! Files from a claim, which comes later than the server that wants it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use banyan_tests::{Stopwatch, fixtures, workspace};

use super::{READY, campus};

const SPACE: &str = "cinema";

#[test]
fn files_of_a_claim_play_once_there_is_one() {
    let time = Stopwatch::start("claims");
    let test = "files_of_a_claim_play_once_there_is_one";
    let Some(campus) = campus(test) else {
        return;
    };
    let Some(run) = campus.run() else {
        println!("SKIP {test}: an existing cluster's nodes do not see the files of this machine");
        return;
    };
    let Some(clip) = fixtures::fixture("bikes.mp4") else {
        fixtures::skip(test, "bikes.mp4 is missing; run scripts/fixtures.sh");
        return;
    };
    campus.namespace(SPACE);
    let example = fs::read_to_string(workspace().join("examples/kubernetes-media.yaml"))
        .expect("the example must be readable");
    campus.apply(SPACE, &example);
    let words = ["persistentvolumeclaim \"films", "not found"];
    campus.told(SPACE, "csrv/library", "Reachable", "Unschedulable", &words);

    // There is no provisioner here: volumes are folders, which both nodes see.
    let (films, prepared) = (run.join("claims/films"), run.join("claims/films-prepared"));
    for folder in [&films.join("feature"), &prepared] {
        fs::create_dir_all(folder).expect("a folder must be made");
    }
    fs::copy(clip, films.join("feature/talk.mp4")).expect("the clip must be copied");
    fs::set_permissions(&prepared, Permissions::from_mode(0o777)).expect("it must be writable");
    campus.apply(
        SPACE,
        &format!(
            "{}{}",
            claim("films", &films),
            claim("films-prepared", &prepared)
        ),
    );
    campus.wait_condition(SPACE, "csrv/library", "Ready", "True", READY);
    campus.wait_condition(SPACE, "stopo/cinema", "Ready", "True", READY);
    time.lap("the claims are bound and the film is prepared");
    assert!(
        fs::read_dir(&prepared).is_ok_and(|mut entries| entries.next().is_some()),
        "nothing was prepared into the claim"
    );

    let service = campus.service_ip(SPACE, "cinema");
    let url = format!("http://{service}/talk/index.m3u8");
    campus.wait_until("the stream is served", READY, || {
        campus.fetch(&url).is_some()
    });
    campus.0.watch(&url).unbroken("a viewer of the film");
    campus
        .kubectl(&["delete", "namespace", SPACE, "--wait=false"])
        .ok();
    campus
        .kubectl(&["delete", "pv", "films", "films-prepared", "--wait=false"])
        .ok();
}

/// A volume that is a folder of the nodes, and the claim it is for.
fn claim(name: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteOnce]
  storageClassName: ''
  hostPath: {{path: {folder}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: ''
  volumeName: {name}
  resources: {{requests: {{storage: 1Gi}}}}
"
    )
}
