//! Objects that earlier releases stored: they live on under today's definitions, and can be changed.

use std::path::PathBuf;

use banyan_tests::{Cluster, Stopwatch, workspace};

use super::{TOPOLOGIES, with_definitions};

#[test]
fn what_earlier_releases_stored_can_be_read_and_changed() {
    let _time = Stopwatch::start("releases");
    let Some(cluster) = with_definitions("what_earlier_releases_stored_can_be_read_and_changed")
    else {
        return;
    };
    let releases = files(&workspace().join("api/tests/release"));
    assert!(!releases.is_empty(), "there is no release to compare with");
    for release in releases {
        let version = release
            .file_name()
            .expect("a release must have a name")
            .to_string_lossy()
            .replace('.', "-");
        let space = format!("release-{version}");
        cluster.namespace(&space);
        define(cluster, &release.join("crds"));
        for object in files(&release.join("objects")) {
            let path = object.display().to_string();
            cluster
                .kubectl(&["-n", &space, "apply", "--server-side", "-f", &path])
                .ok();
        }
        let stored = cluster.list(&["-n", &space, "banyan"]);
        assert!(!stored.is_empty(), "{space} has no objects");

        define(cluster, &workspace().join("crds"));
        let read = cluster.list(&["-n", &space, "banyan"]);
        assert_eq!(read.len(), stored.len(), "{space} lost objects");
        // A change of anything makes the API server judge all of it by today's rules.
        cluster
            .kubectl(&["-n", &space, "label", "banyan", "--all", "touched=yes"])
            .ok();
    }
}

/// Applies definitions and waits until the API server serves them.
fn define(cluster: &Cluster, folder: &std::path::Path) {
    let path = folder.display().to_string();
    cluster
        .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &path])
        .ok();
    cluster.wait_defined();
    assert!(cluster.get(&["crd", TOPOLOGIES]).is_some());
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder must be readable").path())
        .collect();
    found.sort();
    found
}
