//! Content servers come and go while viewers watch.

use std::time::Duration;

use banyan_tests::{Stopwatch, workspace};

use super::{Campus, READY, SPACE, campus};

/// Offers one of the streams that lisbon and porto offer.
const FARO: &str = "
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: faro}
spec:
  topology: campus
  contents:
    - name: bars
      title: Colour bars
      source: {test: {pattern: bars, duration: 12s}}
      renditions: [{name: 360p, height: 360, videoBitrate: 600k, audioBitrate: 96k}]
";

#[test]
fn a_server_is_added_and_the_one_in_use_taken_away() {
    let time = Stopwatch::start("servers");
    let Some(campus) = campus("a_server_is_added_and_the_one_in_use_taken_away") else {
        return;
    };
    let viewer = campus.0.watch(&campus.stream("bars"));
    campus.apply(SPACE, FARO);
    campus.wait_condition(SPACE, "csrv/faro", "Ready", "True", READY);
    time.lap("faro is ready");
    viewer.unbroken("a viewer while faro was added");

    let used = campus.origin_of("bars");
    let viewers = ["bars", "clock"].map(|name| campus.0.watch(&campus.stream(name)));
    campus.remove(&used);
    campus.wait_object(
        SPACE,
        "stopo/campus",
        &format!("streams come from others than {used}"),
        READY,
        |object| {
            let streams = object["status"]["streams"].as_array();
            streams.is_some_and(|streams| {
                streams.len() == 2 && streams.iter().all(|stream| stream["origin"] != used)
            })
        },
    );
    time.lap(&format!("{used} is gone"));
    for viewer in viewers {
        viewer.unbroken(&format!("a viewer while {used} was taken away"));
    }

    // As it was: the two of the example.
    if used != "faro" {
        campus.remove("faro");
        time.lap("faro is gone");
    }
    let path = workspace().join("examples/campus.yaml");
    let path = path.display().to_string();
    campus.kubectl(&["-n", SPACE, "apply", "-f", &path]).ok();
}

impl Campus {
    /// The content server that a stream is carried from.
    #[track_caller]
    fn origin_of(self, stream: &str) -> String {
        let topology = self.wait_object(
            SPACE,
            "stopo/campus",
            &format!("{stream} has an origin"),
            READY,
            |object| carried(object, stream).is_some(),
        );
        carried(&topology, stream).expect("it was just there")
    }

    /// Deletes a content server; everything that was made for it must go.
    #[track_caller]
    fn remove(self, server: &str) {
        let name = format!("csrv/{server}");
        self.kubectl(&["-n", SPACE, "delete", &name, "--wait=false"])
            .ok();
        let kinds = "deployments,replicasets,pods,serviceaccounts,networkpolicies,configmaps,controllerrevisions";
        let selector = format!("app.kubernetes.io/instance={server}");
        let bound = Duration::from_secs(90);
        self.wait_until(&format!("nothing of {server} is left"), bound, || {
            let left = self
                .kubectl(&["-n", SPACE, "get", kinds, "-l", &selector, "-o", "name"])
                .ok();
            left.trim().is_empty()
        });
    }
}

fn carried(topology: &serde_json::Value, stream: &str) -> Option<String> {
    let streams = topology["status"]["streams"].as_array()?;
    let found = streams.iter().find(|found| found["name"] == stream)?;
    found["origin"].as_str().map(str::to_owned)
}
