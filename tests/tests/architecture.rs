//! The dependency table of the architecture, held over `cargo metadata`, and rules of the sources that no compiler
//! knows: who may use whom, who never links Kubernetes or FFmpeg, what the pure crates stay away from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use banyan_tests::{Stopwatch, workspace};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Package → packages of the workspace it may use. A package that is not listed is refused: add it with its reason.
const MAY_USE: &[(&str, &[&str])] = &[
    ("banyan-api", &[]),
    ("banyan-proto", &[]),
    ("banyan-media", &[]),
    ("banyan-planner", &[]),
    (
        "banyan-control",
        &["banyan-api", "banyan-proto", "banyan-planner"],
    ),
    (
        "banyan-operator",
        &["banyan-api", "banyan-proto", "banyan-control"],
    ),
    ("banyan-testbed", &["banyan-api", "banyan-control"]),
    ("banyan-origin", &["banyan-proto", "banyan-media"]),
    ("banyan-relay", &["banyan-proto", "banyan-media"]),
    (
        "banyan",
        &[
            "banyan-api",
            "banyan-proto",
            "banyan-media",
            "banyan-planner",
            "banyan-control",
            "banyan-testbed",
        ],
    ),
    // Not part of the product: they stand outside and look in.
    ("banyan-tests", &["banyan-proto", "banyan-media"]),
    (
        "banyan-bench",
        &[
            "banyan-proto",
            "banyan-media",
            "banyan-planner",
            "banyan-relay",
        ],
    ),
];

/// Package → external packages that may not be reached by its normal dependencies.
const NEVER: &[(&str, &[&str])] = &[
    (
        "banyan-media",
        &[
            "tokio",
            "kube",
            "kube-client",
            "tonic",
            "hyper",
            "axum",
            "ffmpeg-sys-next",
            "rand",
        ],
    ),
    (
        "banyan-planner",
        &[
            "tokio",
            "kube",
            "kube-client",
            "tonic",
            "hyper",
            "axum",
            "ffmpeg-sys-next",
            "rand",
        ],
    ),
    (
        "banyan-proto",
        &[
            "kube",
            "kube-core",
            "kube-client",
            "k8s-openapi",
            "ffmpeg-sys-next",
        ],
    ),
    (
        "banyan-relay",
        &[
            "kube",
            "kube-core",
            "kube-client",
            "k8s-openapi",
            "ffmpeg-sys-next",
        ],
    ),
    (
        "banyan-origin",
        &["kube", "kube-core", "kube-client", "k8s-openapi"],
    ),
    ("banyan-api", &["kube-client", "tonic", "ffmpeg-sys-next"]),
    ("banyan-control", &["kube-client", "ffmpeg-sys-next"]),
    ("banyan-testbed", &["kube-client", "ffmpeg-sys-next"]),
    ("banyan", &["kube-client", "ffmpeg-sys-next"]),
];

#[test]
fn workspace_dependencies_follow_the_table() {
    let _watch = Stopwatch::start("architecture: table");
    let metadata = metadata();
    let table: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let members: BTreeSet<&str> = metadata
        .workspace_packages()
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let Some(allowed) = table.get(name) else {
            panic!("{name} is not in the table of tests/tests/architecture.rs");
        };
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            if members.contains(used) && dependency.kind != DependencyKind::Development {
                assert!(
                    allowed.contains(&used),
                    "{name} uses {used}, which the table does not allow"
                );
            }
        }
    }
    let missing: Vec<_> = table
        .keys()
        .filter(|name| !members.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "the table lists packages that do not exist: {missing:?}"
    );
}

#[test]
fn services_and_pure_crates_link_nothing_they_must_not() {
    for (name, never) in NEVER {
        let reached = reached(name);
        let found: Vec<_> = never
            .iter()
            .filter(|package| reached.contains(**package))
            .collect();
        assert!(
            found.is_empty(),
            "{name} reaches {found:?} by its normal dependencies"
        );
    }
}

#[test]
fn only_the_origin_links_ffmpeg() {
    let metadata = metadata();
    let linking: Vec<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| reached(name).contains("ffmpeg-sys-next"))
        .collect();
    assert_eq!(linking, ["banyan-origin"]);
}

#[test]
fn sources_keep_the_house_rules() {
    let sources = files(&workspace(), &|path| {
        path.extension().is_some_and(|ext| ext == "rs")
    });
    assert!(
        sources.len() > 50,
        "only {} sources were found",
        sources.len()
    );
    let mut faults = Vec::new();
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source must be readable");
        let name = path
            .strip_prefix(workspace())
            .expect("a source must lie in the workspace")
            .display();
        if !text.starts_with("//!") {
            faults.push(format!("{name} does not open with //!"));
        }
        if path.file_name().is_some_and(|file| file == "mod.rs") {
            faults.push(format!("{name}: use foo.rs and foo/, not mod.rs"));
        }
        let lines = text.lines().count();
        if lines > HARD_LIMIT {
            faults.push(format!(
                "{name} has {lines} lines, at most {HARD_LIMIT} are accepted"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_readme_names_every_example() {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("README.md must exist");
    let examples = files(&workspace().join("examples"), &|path| {
        path.extension().is_some_and(|ext| ext == "yaml")
    });
    assert!(!examples.is_empty(), "there must be examples");
    for example in examples {
        let name = example
            .strip_prefix(workspace())
            .expect("an example must lie in the workspace")
            .display()
            .to_string();
        assert!(readme.contains(&name), "README.md does not mention {name}");
    }
}

#[test]
fn an_orphaned_crate_manifest_is_not_left_behind() {
    let metadata = metadata();
    let known: BTreeSet<PathBuf> = metadata
        .workspace_packages()
        .iter()
        .map(|p| p.manifest_path.clone().into_std_path_buf())
        .collect();
    for manifest in files(&workspace(), &|path| {
        path.file_name().is_some_and(|name| name == "Cargo.toml")
    }) {
        let root = workspace().join("Cargo.toml");
        assert!(
            manifest == root || known.contains(&manifest),
            "{} belongs to no workspace member",
            manifest.display()
        );
    }
}

fn metadata() -> Metadata {
    // For this host only: other platforms' dependencies need not be on this machine.
    let version = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc must run");
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = text
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc must name its host");
    MetadataCommand::new()
        .manifest_path(workspace().join("Cargo.toml"))
        .other_options(["--filter-platform".to_owned(), host.to_owned()])
        .exec()
        .expect("cargo metadata must succeed")
}

/// Packages that `name` is built with when it is built alone: another member's features are not its own.
fn reached(name: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}", "--package", name])
        .current_dir(workspace())
        .output()
        .expect("cargo tree must run");
    assert!(
        tree.status.success(),
        "cargo tree of {name}: {}",
        String::from_utf8_lossy(&tree.stderr)
    );
    String::from_utf8_lossy(&tree.stdout)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// Files of the working tree, without what is fetched or built.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if !["target", "node_modules", "dist", ".git", "artifacts"]
                .iter()
                .any(|skipped| name == *skipped)
            {
                found.extend(files(&path, wanted));
            }
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A longer file holds a second noun.
const HARD_LIMIT: usize = 600;
