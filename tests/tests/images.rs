//! The image archives that are written without an engine: the same input gives the same bytes, and what is in them is
//! what a node may run without root.

use std::path::Path;
use std::process::Command;

use banyan_tests::{Stopwatch, binary, fixtures, workspace};
use serde_json::Value;

#[test]
fn an_image_depends_on_its_input_only() {
    let _time = Stopwatch::start("images");
    if !fixtures::has_tool("dpkg-query") {
        fixtures::skip(
            "an_image_depends_on_its_input_only",
            "dpkg-query, which tells packages' versions; a Debian system has it",
        );
        return;
    }
    let work = tempfile::tempdir().expect("a temporary folder must open");
    let (first, second) = (
        write(work.path(), "first.tar"),
        write(work.path(), "second.tar"),
    );
    assert!(first == second, "two runs gave different archives");

    let archive = work.path().join("first.tar");
    let index = json(&archive, "index.json");
    let manifest = blob(&archive, &index["manifests"][0]);
    let config = blob(&archive, &manifest["config"]);
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "/banyan-relay");
    let packages = config["config"]["Labels"]["banyan.media/debian-packages"]
        .as_str()
        .unwrap_or_default();
    assert!(packages.contains("libc6="), "{packages}");

    // The libraries, then the binary; nobody gains rights by a file.
    let layers = manifest["layers"].as_array().expect("there must be layers");
    assert_eq!(layers.len(), 2);
    let listed: String = layers
        .iter()
        .map(|layer| {
            let content = member(&archive, &path_of(layer));
            let file = work.path().join("layer.tar.gz");
            std::fs::write(&file, content).expect("a temporary file must take a layer");
            tar(&["--list", "--verbose", "--gzip", "--file"], &file, &[])
        })
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    assert!(listed.contains("banyan-relay"), "{listed}");
    assert!(
        listed.contains("ld-linux"),
        "the loader is missing: {listed}"
    );
    for line in listed.lines() {
        let mode = line.split_whitespace().next().unwrap_or_default();
        assert!(!mode.contains('s'), "a file changes who runs it: {line}");
    }
}

/// Writes the relay's image and gives its bytes.
fn write(folder: &Path, name: &str) -> Vec<u8> {
    let out = folder.join(name);
    let done = Command::new("python3")
        .arg(workspace().join("images/oci.py"))
        .arg("--out")
        .arg(&out)
        .args([
            "--name",
            "localhost/banyan-relay:test",
            "--entrypoint",
            "/banyan-relay",
        ])
        .arg("--libraries")
        .arg(format!(
            "{}=/banyan-relay",
            binary("banyan-relay").display()
        ))
        .output()
        .expect("python3 must start");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    std::fs::read(out).expect("the archive must be readable")
}

fn tar(options: &[&str], archive: &Path, names: &[&str]) -> Vec<u8> {
    let done = Command::new("tar")
        .args(options)
        .arg(archive)
        .args(names)
        .output()
        .expect("tar must start");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

fn member(archive: &Path, name: &str) -> Vec<u8> {
    tar(&["--extract", "--to-stdout", "--file"], archive, &[name])
}

fn json(archive: &Path, name: &str) -> Value {
    serde_json::from_slice(&member(archive, name)).expect("it must be JSON")
}

/// Where a described blob lies in the archive.
fn path_of(described: &Value) -> String {
    let digest = described["digest"]
        .as_str()
        .expect("a blob must have a digest");
    format!("blobs/{}", digest.replace(':', "/"))
}

fn blob(archive: &Path, described: &Value) -> Value {
    json(archive, &path_of(described))
}
