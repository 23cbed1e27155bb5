//! `banyan core` as people call it: an export is a folder that comes back as its manifest and keeps what it gave;
//! what cannot be is one sentence and exit code 64.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn banyan(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_banyan"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn example(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_export_comes_back_and_a_second_one_keeps_identifiers() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = example("scenario-a.yaml");
    std::fs::write(folder.path().join("mine.yaml"), &manifest).unwrap();
    let export = ["core", "export", "-f", "mine.yaml", "-o", "out", "--json"];
    let output = banyan(folder.path(), &export);
    assert!(output.status.success(), "{}", said(&output));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&line["nodes"], &line["members"]), (&7.into(), &5.into()));
    let output = banyan(folder.path(), &["core", "import", "out/scenario.xml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), manifest);

    let lock = || std::fs::read_to_string(folder.path().join("out/manifest.lock.json")).unwrap();
    let before = lock();
    std::fs::create_dir(folder.path().join("out/run")).unwrap();
    std::fs::write(
        folder.path().join("mine.yaml"),
        manifest.replace("screen-1", "a-screen"),
    )
    .unwrap();
    let output = banyan(folder.path(), &export);
    assert!(output.status.success(), "{}", said(&output));
    let after = lock();
    for line in before.lines().filter(|line| line.contains(": ")) {
        assert!(
            after.contains(line.trim_end_matches(',')),
            "{line} is not in\n{after}"
        );
    }
    assert!(folder.path().join("out/start/a-screen.sh").is_file());
    assert!(!folder.path().join("out/start/screen-1.sh").exists());
    assert!(folder.path().join("out/run").is_dir());
}

#[test]
fn what_is_lost_on_import_goes_to_standard_error_and_into_json() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = "node n1 {\n type router\n model host\n}\nnode n2 {\n type router\n model router\n}\nnode n3 {\n type wlan\n}\nlink l1 {\n nodes {n1 n2}\n}\n";
    std::fs::write(folder.path().join("lab.imn"), drawn).unwrap();
    let output = banyan(
        folder.path(),
        &["core", "import", "lab.imn", "-o", "lab.yaml"],
    );
    assert!(
        output.status.success() && output.stdout.is_empty(),
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("not mapped: node \"n3\": an underlay has no wlan"),
        "{}",
        said(&output)
    );
    assert!(folder.path().join("lab.yaml").is_file());
    let output = banyan(folder.path(), &["core", "import", "lab.imn", "--json"]);
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["unmapped"].as_array().unwrap().len(), 1, "{line}");
}

#[test]
fn what_cannot_be_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.yaml"), example("scenario-a.yaml")).unwrap();
    std::fs::create_dir(folder.path().join("full")).unwrap();
    std::fs::write(folder.path().join("full/letter.txt"), "dear").unwrap();
    std::fs::write(folder.path().join("letter.imn"), "dear").unwrap();
    std::fs::write(
        folder.path().join("ring.yaml"),
        example("scenario-a.yaml").replace("{ends: [rp, c1]", "{ends: [s1, rp]"),
    )
    .unwrap();
    let cases: [(&[&str], &str); 5] = [
        (
            &["core", "export", "-f", "mine.yaml", "-o", "full"],
            "folder \"full\" holds other files; a new folder or one of an earlier export is accepted",
        ),
        (
            &["core", "export", "-f", "mine.yaml", "-o", "mine.yaml"],
            "folder \"mine.yaml\" is a file; a folder is accepted",
        ),
        (
            &["core", "import", "letter.imn"],
            "\"letter.imn\": line 1: \"dear\" begins no entry; accepted is node, link, annotation, canvas or option, as CORE saves .imn",
        ),
        (
            &["core", "import", "nothing.xml"],
            "topology \"nothing.xml\" cannot be read: No such file or directory (os error 2)",
        ),
        (
            &["core", "import", "full"],
            "topology \"full\" is a folder; a file is accepted",
        ),
    ];
    for (arguments, sentence) in cases {
        let output = banyan(folder.path(), arguments);
        assert_eq!(said(&output), format!("banyan: {sentence}\n"));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    let output = banyan(
        folder.path(),
        &["core", "export", "-f", "ring.yaml", "-o", "new"],
    );
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(!folder.path().join("new").exists());
}
