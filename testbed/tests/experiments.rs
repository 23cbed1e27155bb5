//! Every shipped experiment is read and compiled against its manifest, each repetition of each variant.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use banyan_api::manifest;
use banyan_testbed::experiment::{conduct, file, schedule::Scene, variants};
use banyan_testbed::model::{self, Lock};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/experiments")
}

fn yaml_files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    // Manifests that only an experiment needs stand beside it.
    files.retain(|path| !path.display().to_string().contains("-network."));
    files.sort();
    files
}

#[test]
fn every_shipped_experiment_compiles_against_its_manifest() {
    let files = yaml_files();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_stem().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "last-mile",
            "relay-crash",
            "relays-vs-unicast",
            "second-server",
            "slow-short-path"
        ]
    );
    for path in &files {
        let text = std::fs::read_to_string(path).unwrap();
        let experiment = file::parse(&text, &path.display().to_string(), None)
            .unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        assert_eq!(
            Some(experiment.name.as_str()),
            path.file_stem().unwrap().to_str()
        );
        assert!(!experiment.about.is_empty());
        assert!(experiment.repetitions >= 5);
        let manifest_path = folder().join(&experiment.manifest);
        let manifest = std::fs::read_to_string(&manifest_path).unwrap();
        let valid = manifest::load(&[(&experiment.manifest, &manifest)]).unwrap();
        assert_eq!(valid.refusals().next(), None);
        let topology = &valid.topologies[0];
        let (network, _) = model::build(topology, &valid.servers, &Lock::default()).unwrap();
        let scene = Scene {
            network: &network,
            topology,
            servers: &valid.servers,
        };
        let job = conduct::plan(&experiment, scene)
            .unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
        let variants = variants::variants(&experiment).len();
        assert_eq!(job.runs.len(), variants * experiment.repetitions as usize);
        assert!(job.runs.iter().all(|run| !run.schedule.steps.is_empty()));
    }
}
