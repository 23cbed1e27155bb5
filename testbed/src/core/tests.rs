//! Exports of the examples: the checker finds nothing and sees every spoiled one, files are as agreed, Python and bash
//! run them, and what comes back by import is what went out.

mod experiments;
mod programs;
mod spoiled;

use std::collections::BTreeMap;
use std::path::PathBuf;

use banyan_api::manifest;
use banyan_api::model::Topology;
use banyan_control::layout::{self, Facts};

use super::*;
use crate::import;
use crate::model::{self, Listen};

const EXAMPLES: [(&str, &str); 4] = [
    ("a", include_str!("../../../examples/scenario-a.yaml")),
    ("b", include_str!("../../../examples/scenario-b.yaml")),
    ("c", include_str!("../../../examples/scenario-c.yaml")),
    ("campus", include_str!("../../../examples/campus.yaml")),
];

struct Exported {
    network: Network,
    layout: Layout,
    files: Vec<File>,
}

impl Exported {
    fn of(manifest: &str, folder: &str) -> Self {
        let valid = manifest::load(&[("example", manifest)]).unwrap();
        let topology = &valid.topologies[0];
        let (network, lock) = model::build(topology, &valid.servers, &Lock::default()).unwrap();
        let names = valid.servers.iter().map(|server| server.name.clone());
        let facts = Facts {
            epoch: EPOCH,
            addresses: &Listen(&network),
            configs: format!("{HERE}/configs"),
            media: MEDIA.to_owned(),
            caches: names
                .map(|n| (n.clone(), format!("{STATE}/cache/{n}")))
                .collect(),
            record: Some(format!("{STATE}/record")),
        };
        let layout = layout::build(topology, &valid.servers, &facts).unwrap();
        let source = Source {
            network: &network,
            layout: &layout,
            lock: &lock,
            manifest,
            folder,
        };
        let files = export(&source).unwrap();
        Self {
            network,
            layout,
            files,
        }
    }

    fn text(&self, path: &str) -> String {
        let file = self.files.iter().find(|file| file.path == path);
        String::from_utf8(file.unwrap().contents.clone()).unwrap()
    }
}

fn topology(manifest: &str) -> Topology {
    manifest::load(&[("manifest", manifest)])
        .unwrap()
        .topologies
        .remove(0)
}

#[test]
fn every_example_is_exported_without_a_fault_and_always_alike() {
    for (name, manifest) in EXAMPLES {
        let exported = Exported::of(manifest, "/srv/core");
        assert_eq!(
            check::export(&exported.files),
            Vec::<String>::new(),
            "{name}"
        );
        assert_eq!(
            exported.files,
            Exported::of(manifest, "/srv/core").files,
            "{name}"
        );
    }
}

#[test]
fn nodes_boot_in_the_order_in_which_members_start() {
    for (name, manifest) in EXAMPLES {
        let exported = Exported::of(manifest, "/srv/core");
        let drawing = import::read(&exported.text("scenario.xml")).unwrap();
        let network = &exported.network;
        let devices = drawing
            .nodes
            .iter()
            .filter_map(|node| network.node(&node.name));
        let devices = devices.filter(|node| node.kind != model::NodeKind::Switch);
        let place = |node: &model::Node| {
            let members = &exported.layout.members;
            let member = node.member.as_ref();
            let place = members.iter().position(|one| Some(&one.name) == member);
            place.map_or(if node.forwards() { 0 } else { usize::MAX }, |place| {
                place + 1
            })
        };
        let places: Vec<usize> = devices.map(place).collect();
        assert!(places.is_sorted(), "{name}: {places:?}");
        assert!(places.len() > exported.layout.members.len(), "{name}");
    }
}

/// `BANYAN_GOLDEN=write` writes them.
#[test]
fn files_of_scenario_b_are_as_agreed() {
    let exported = Exported::of(EXAMPLES[1].1, "/srv/core/scenario-b");
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/scenario-b");
    let kept = |path: &str| !path.ends_with(".png") && !path.starts_with("configs/");
    for file in exported.files.iter().filter(|file| kept(&file.path)) {
        let path = golden.join(&file.path);
        if std::env::var_os("BANYAN_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.contents).unwrap();
        }
        let agreed = std::fs::read(&path).unwrap_or_default();
        let (now, agreed) = (
            String::from_utf8_lossy(&file.contents),
            String::from_utf8_lossy(&agreed),
        );
        assert_eq!(
            now, agreed,
            "{}: BANYAN_GOLDEN=write writes it anew",
            file.path
        );
    }
}

#[test]
fn an_export_comes_back_as_it_was() {
    for (name, manifest) in EXAMPLES {
        let exported = Exported::of(manifest, "/srv/core");
        let imported = import::import(&exported.text("scenario.xml"), name, None).unwrap();
        assert_eq!(imported.unmapped, Vec::<String>::new(), "{name}");
        assert_eq!(imported.manifest, manifest, "{name}");
    }
}

#[test]
fn what_was_changed_in_core_is_in_the_manifest_and_members_stay() {
    let (_, manifest) = EXAMPLES[2];
    let exported = Exported::of(manifest, "/srv/core");
    let xml = exported.text("scenario.xml");
    let (x, y) = exported.network.node("o4").unwrap().position;
    let at = format!("<position x=\"{x}.0\" y=\"{y}.0\"/>");
    let moved = xml
        .replacen(
            "delay=\"10000\" bandwidth=\"50000000\"",
            "delay=\"33000\" bandwidth=\"50000000\"",
            1,
        )
        .replacen(&at, "<position x=\"311.7\" y=\"222.0\"/>", 1);
    assert_ne!(moved, xml);
    let imported = import::import(&moved, "c", None).unwrap();
    let (before, after) = (topology(manifest), topology(&imported.manifest));
    let (before, after) = (before.underlay.unwrap(), after.underlay.unwrap());
    let members =
        |underlay: &banyan_api::model::Underlay| -> BTreeMap<String, (String, Vec<String>)> {
            let nodes = underlay.nodes.iter();
            nodes
                .filter(|node| node.member.as_deref() != Some("control"))
                .map(|node| {
                    (
                        node.name.clone(),
                        (
                            node.member.clone().unwrap_or_default(),
                            node.watches.clone(),
                        ),
                    )
                })
                .collect()
        };
    assert_eq!(members(&before), members(&after));
    let node = after.nodes.iter().find(|node| node.name == "o4").unwrap();
    assert_eq!(node.position, Some((312, 222)));
    let changed = after.links.iter().filter(|link| link.delay_us == 33_000);
    assert_eq!(changed.count(), 1);
    let same = after
        .links
        .iter()
        .filter(|link| before.links.contains(link))
        .count();
    assert_eq!(same, before.links.len() - 1);
    assert!(
        imported.notes.contains(&"node \"o4\" has moved".to_owned()),
        "{:?}",
        imported.notes
    );
}

#[test]
fn an_earlier_exports_lock_keeps_identifiers() {
    let (_, manifest) = EXAMPLES[0];
    let exported = Exported::of(manifest, "/srv/core");
    let lock = Lock::parse(&exported.text("manifest.lock.json")).unwrap();
    let valid = manifest::load(&[("b", EXAMPLES[1].1)]).unwrap();
    let (grown, _) = model::build(&valid.topologies[0], &valid.servers, &lock).unwrap();
    for node in &exported.network.nodes {
        assert_eq!(
            grown.node(&node.name).map(|now| now.id),
            Some(node.id),
            "{}",
            node.name
        );
    }
}

#[test]
fn names_and_folders_that_core_or_bash_would_break_are_refused() {
    let long = "r".repeat(33);
    let manifest = EXAMPLES[0].1.replace("screen-1", &long);
    let valid = manifest::load(&[("example", &manifest)]).unwrap();
    let (network, lock) =
        model::build(&valid.topologies[0], &valid.servers, &Lock::default()).unwrap();
    let layout = Layout {
        topology: String::new(),
        members: Vec::new(),
    };
    let mut source = Source {
        network: &network,
        layout: &layout,
        lock: &lock,
        manifest: &manifest,
        folder: "/srv/core",
    };
    assert_eq!(
        export(&source).unwrap_err().to_string(),
        format!(
            "underlay node {long:?} cannot be a CORE node; accepted are 1 to 32 letters, digits and dashes"
        )
    );
    source.folder = "/srv/it's";
    assert!(matches!(export(&source), Err(Error::Folder { .. })));
}

#[test]
fn options_are_in_cores_units() {
    let parameters = model::Parameters {
        rate_bps: Some(8_000_000),
        delay_us: 5_000,
        jitter_us: 10,
        loss_per_100k: 1_250,
        buffer_bytes: 60_001,
    };
    let options = Options::of(&parameters);
    assert_eq!(options.loss, "1.25");
    assert_eq!(options.buffer, 41);
    assert!(!options.are_plain());
}
