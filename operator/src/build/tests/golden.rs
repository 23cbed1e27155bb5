//! Every child of three manifests as YAML, compared with `golden/`.
//!
//! `BANYAN_GOLDEN=write cargo test -p banyan-operator golden` writes the files anew; the difference is then read in
//! review. Other checks (schemas of Kubernetes, linters) read the same files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_yaml_ng::Value;

use super::{CAMPUS, FULL, SIDECAR, release, world};

const HEADER: &str =
    "# Written by `BANYAN_GOLDEN=write cargo test -p banyan-operator golden`; do not edit.\n";

#[test]
fn campus_is_built_as_it_was() {
    compare("campus", CAMPUS);
}

#[test]
fn a_manifest_with_every_field_is_built_as_it_was() {
    compare("full", FULL);
}

#[test]
fn a_sidecar_is_built_as_it_was() {
    compare("sidecar", SIDECAR);
}

/// All children of a manifest by file name.
fn render(yaml: &str) -> BTreeMap<String, String> {
    let world = world(yaml);
    let mut files = BTreeMap::new();
    let children = world.topology_with(&release(), &[]).unwrap();
    let super::TopologyChildren {
        config,
        accounts,
        services,
        deployments,
        budgets,
        policies,
        revisions,
        update_available,
        updates: _,
    } = children;
    assert!(!update_available, "nothing is stored yet");
    add(&mut files, &[config]);
    add(&mut files, &accounts);
    add(&mut files, &services);
    add(&mut files, &deployments);
    add(&mut files, &budgets);
    add(&mut files, &policies);
    add(&mut files, &revisions);
    let secret = crate::build::run_secret(&world.topology, "0".repeat(64)).unwrap();
    add(&mut files, &[secret]);
    for index in 0..world.servers.len() {
        let super::ServerChildren {
            config,
            account,
            deployment,
            policy,
            revisions,
            update_available,
            updates: _,
        } = world.server_with(index, &release(), &[]).unwrap();
        assert!(!update_available, "nothing is stored yet");
        add(&mut files, &[config]);
        add(&mut files, account.as_slice());
        add(&mut files, &[deployment]);
        add(&mut files, policy.as_slice());
        add(&mut files, &revisions);
    }
    files
}

fn add<T: Serialize>(files: &mut BTreeMap<String, String>, objects: &[T]) {
    for object in objects {
        let value = serde_yaml_ng::to_value(object).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let name = format!(
            "{}-{}.yaml",
            text(&value["kind"]).to_lowercase(),
            text(&value["metadata"]["name"])
        );
        let yaml = format!("{HEADER}{}", serde_yaml_ng::to_string(&value).unwrap());
        let twice = files.insert(name.clone(), yaml);
        assert_eq!(twice, None, "{name} is built twice");
    }
}

fn compare(case: &str, yaml: &str) {
    let built = render(yaml);
    assert_eq!(built, render(yaml), "building is deterministic");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/build/golden")
        .join(case);
    if std::env::var_os("BANYAN_GOLDEN").is_some_and(|value| value == "write") {
        write(&folder, &built);
    }
    let expected: BTreeMap<String, String> = entries(&folder)
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&built),
        names(&expected),
        "files of {}",
        folder.display()
    );
    for (name, text) in &built {
        assert_eq!(text, &expected[name], "{case}/{name}");
    }
}

fn write(folder: &Path, files: &BTreeMap<String, String>) {
    std::fs::create_dir_all(folder).unwrap();
    for stale in entries(folder) {
        std::fs::remove_file(stale).unwrap();
    }
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}; see the head of this file", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}
