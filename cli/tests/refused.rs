//! Configuration that can never work is refused in sentences, with exit code 64, before anything
//! starts.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

const ORCHARD: &str = "\
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: orchard}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  edge: {replicas: 1}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: pear}
spec:
  topology: orchard
  contents:
    - name: fig
      source: {test: {pattern: bars, duration: 4s}}
";

fn banyan(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan"))
        .args(arguments)
        .current_dir(folder)
        .env("TMPDIR", folder.join("tmp"))
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap()
}

/// Exactly these lines, code 64, nothing on standard output, nothing left behind.
fn refused(folder: &Path, arguments: &[&str], sentences: &[&str]) {
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    let output = banyan(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected: String = sentences.iter().map(|s| format!("banyan: {s}\n")).collect();
    assert_eq!(said, expected, "{arguments:?}");
    assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::read_dir(folder.join("tmp")).unwrap().count(), 0);
    assert!(!folder.join("cache").exists(), "{arguments:?}");
}

#[test]
fn each_fault_of_a_manifest_is_one_sentence_with_the_thing_the_value_and_what_is_accepted() {
    let source = "{test: {pattern: bars, duration: 4s}}";
    let long = format!("name: {}", "f".repeat(51));
    let cases = [
        (
            "fanOut: 4",
            "fanout: 4",
            "StreamTopology orchard: spec.rendezvous.fanout is not a known field, did you mean fanOut; spec.rendezvous accepts drainTimeout, fanOut, pod and replicas",
        ),
        (
            "fanOut: 4",
            "fanOut: 0",
            "StreamTopology orchard: spec.rendezvous.fanOut is 0; accepted is 1 to 1024",
        ),
        (
            "spec:\n  rendezvous",
            "spec:\n  originSelection: {weights: {latency: 50, loss: 30, load: 30}}\n  rendezvous",
            "StreamTopology orchard: spec.originSelection.weights is latency 50, load 30, loss 30, in sum 110: latency, loss and load must sum to 100",
        ),
        (
            "- name: fig",
            "- name: metrics",
            "ContentServer pear: spec.contents[0].name is \"metrics\": name must not be api, healthz, readyz, metrics or assets: edges serve their own pages there",
        ),
        (
            "name: fig",
            &long,
            "ContentServer pear: spec.contents[0].name is \"fffffffffffffffffffffffffffffffffffffffffffffffffff\" with 51 characters; accepted are 1 to 50 characters",
        ),
        (
            source,
            "{file: {path: /etc/passwd}}",
            "ContentServer pear: spec.contents[0].source.file.path is \"/etc/passwd\": path must be relative to the server's media root, without a leading slash",
        ),
        (
            source,
            "{file: {path: ../fig.mp4}}",
            "ContentServer pear: spec.contents[0].source.file.path is \"../fig.mp4\": path must stay below the server's media root: .. is not accepted",
        ),
        (
            "    - name: fig",
            "    - {name: fig, source: {test: {}}}\n    - name: fig",
            "ContentServer pear: spec.contents[1].name is \"fig\" a second time; accepted is each once",
        ),
        (
            source,
            "{test: {}, file: {path: a.mp4}}",
            "ContentServer pear: spec.contents[0].source is refused: source must have exactly one of file, test, rtsp, rtmp, srt or http",
        ),
        (
            source,
            "{rtsp: {url: \"rtsp://x/y\"}}",
            "ContentServer pear: spec.contents[0].source.rtsp is not supported yet; supported are file and test",
        ),
        (
            "topology: orchard",
            "topology: meadow",
            "ContentServer pear: spec.topology is \"meadow\", which does not exist; accepted are StreamTopologies in namespace \"default\": orchard",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (good, bad, sentence) in cases {
        assert!(ORCHARD.contains(good), "{good}");
        std::fs::write(folder.path().join("o.yaml"), ORCHARD.replacen(good, bad, 1)).unwrap();
        let sentence = format!("o.yaml: {sentence}");
        refused(folder.path(), &["up", "o.yaml"], &[&sentence]);
        refused(folder.path(), &["plan", "-f", "o.yaml"], &[&sentence]);
    }
}

#[test]
fn all_faults_of_a_manifest_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = ORCHARD
        .replace("fanOut: 4", "fanOut: 0")
        .replace("replicas: 1}", "replicas: 1, colour: red}")
        .replace("name: fig", "name: Fig");
    std::fs::write(folder.path().join("o.yaml"), text).unwrap();
    let output = banyan(folder.path(), &["up", "o.yaml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    for part in ["fanOut is 0", "colour is not a known field", "\"Fig\""] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.lines().count() >= 3, "{said}");
}

#[test]
fn files_that_cannot_be_read_are_named_with_what_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("o.yaml", ORCHARD.as_bytes());
    write("bytes.yaml", b"\xff\xfe");
    write("empty.yaml", b"");
    write("empty.mp4", b"");
    write("large.yaml", &vec![b'#'; (1 << 20) + 1]);
    let topology = ORCHARD.split("---").next().unwrap();
    write("alone.yaml", topology.as_bytes());
    let missing = "cannot be read: No such file or directory (os error 2)";
    let cases: [(&[&str], &[&str]); 8] = [
        (
            &["up", "gone.yaml"],
            &[&format!("manifest \"gone.yaml\" {missing}")],
        ),
        (
            &["up", "."],
            &["manifest \".\" is a folder; a YAML file is accepted"],
        ),
        (
            &["up", "bytes.yaml"],
            &["manifest \"bytes.yaml\" is not text; a YAML file is accepted"],
        ),
        (
            &["up", "large.yaml"],
            &["manifest \"large.yaml\" has 1048577 bytes; at most 1048576 are accepted"],
        ),
        (
            &["up", "alone.yaml"],
            &["alone.yaml: no ContentServer feeds topology \"orchard\"; at least one is needed"],
        ),
        (
            &["up", "--file", "gone.mp4", ".", "empty.mp4"],
            &[
                &format!("video \"gone.mp4\" {missing}"),
                "video \".\" is a folder; a video file is accepted",
                "video \"empty.mp4\" has 0 bytes; a video file is accepted",
            ],
        ),
        (
            &["up", "o.yaml", "--media", "nowhere"],
            &["media folder \"nowhere\" cannot be used: No such file or directory (os error 2)"],
        ),
        (
            &["plan", "-f", "o.yaml", "--measurements", "bytes.yaml"],
            &["measurements \"bytes.yaml\" are not as expected: expected value at line 1 column 1"],
        ),
    ];
    for (arguments, sentences) in cases {
        refused(folder.path(), arguments, sentences);
    }
}

#[test]
fn measurements_of_unknown_relays_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("o.yaml"), ORCHARD).unwrap();
    let measured = r#"{"links": [{"from": "root-0", "to": "edge-9", "rtt_us": 5}]}"#;
    std::fs::write(folder.path().join("m.json"), measured).unwrap();
    let output = banyan(
        folder.path(),
        &["plan", "-f", "o.yaml", "--measurements", "m.json"],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("\"edge-9\""), "{said}");
}

#[test]
fn a_wrong_command_line_ends_with_64_and_help_with_0() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code) in [
        (&["up"][..], 64),
        (&["up", "o.yaml", "--port", "80"], 64),
        (&["up", "o.yaml", "--file", "a.mp4"], 64),
        (&["dance"], 64),
        (&["--help"], 0),
        (&["up", "--help"], 0),
        (&["plan", "--help"], 0),
        (&["--version"], 0),
    ] {
        let output = banyan(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
    for command in ["up", "plan", "play", "crds"] {
        let output = banyan(folder.path(), &[command, "--help"]);
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(help.contains("Example"), "{command}: {help}");
    }
}

#[test]
fn a_future_epoch_and_a_bad_secret_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("o.yaml"), ORCHARD).unwrap();
    let output = banyan(folder.path(), &["up", "o.yaml", "--epoch", "99999999999"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(
        said.starts_with("banyan: epoch 99999999999 lies in the future"),
        "{said}"
    );
}

#[test]
fn a_plan_is_drawn_as_a_tree_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let text = ORCHARD.replace("edge: {replicas: 1}", "edge: {replicas: 2}");
    std::fs::write(folder.path().join("o.yaml"), text).unwrap();
    let output = banyan(folder.path(), &["plan", "-f", "o.yaml", "--explain"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let picture = "Topology orchard: 3 relays\n\nStream fig, from pear\nroot-0\n├─ edge-0\n└─ edge-1\n\nWhy\n";
    assert!(said.starts_with(picture), "{said}");
    assert!(said.contains("edge-0 <- root-0"), "{said}");
    let output = banyan(folder.path(), &["plan", "-f", "o.yaml", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["trees"]["fig"]["carrier"], "root-0");
}
