//! Layouts of the shipped examples, to the character, and what must hold of every layout.

use std::path::Path;

use banyan_api::manifest;

use super::*;

/// Ports by a rule that any reader can check: control 1, then hundreds by role.
struct Fixed;

impl Addresses for Fixed {
    fn grpc(&self, member: &str) -> String {
        format!("{member}.test:1")
    }

    fn http(&self, member: &str) -> String {
        format!("{member}.test:2")
    }
}

fn example(name: &str) -> (Topology, Vec<Server>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut valid = manifest::load(&[(name, &text)]).unwrap();
    (valid.topologies.remove(0), valid.servers)
}

fn facts(servers: &[Server]) -> Facts<'static> {
    Facts {
        epoch: 1_700_000_000,
        addresses: &Fixed,
        configs: "/run/configs".to_owned(),
        media: "/media".to_owned(),
        caches: servers
            .iter()
            .map(|server| (server.name.clone(), format!("/cache/{}", server.name)))
            .collect(),
        record: None,
    }
}

fn golden(name: &str) {
    let (topology, servers) = example(&format!("{name}.yaml"));
    let layout = build(&topology, &servers, &facts(&servers)).unwrap();
    let text = serde_json::to_string_pretty(&layout).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    if std::env::var_os("BANYAN_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let lines = || text.lines().zip(expected.lines());
    if let Some((now, was)) = lines().find(|(now, was)| now != was) {
        panic!("{name}: {now:?} was {was:?}; run with BANYAN_GOLDEN=1 to accept");
    }
    assert_eq!(text.len(), expected.len(), "{name} ends differently");
}

#[test]
fn minimal_is_laid_out_to_the_character() {
    golden("minimal");
}

#[test]
fn campus_is_laid_out_to_the_character() {
    golden("campus");
}

fn configs(layout: &Layout) -> BTreeMap<String, banyan_proto::v1::Config> {
    let relays_and_origins = layout.members.iter().filter(|m| m.role != Role::Control);
    relays_and_origins
        .map(|m| {
            let config = serde_json::from_str(&m.files[0].contents).unwrap();
            (m.name.clone(), config)
        })
        .collect()
}

#[test]
fn every_relay_has_parents_of_higher_tiers_and_everybody_knows_all_roots() {
    let (topology, servers) = example("campus.yaml");
    let layout = build(&topology, &servers, &facts(&servers)).unwrap();
    let tier_of = |name: &str| {
        let index = |tier: &Tier| tier.members().any(|member| member == name);
        topology.tiers.iter().position(index).unwrap()
    };
    let roots: Vec<String> = topology.roots().members().collect();
    for (name, config) in configs(&layout) {
        let known: Vec<_> = config.roots.iter().map(|root| root.name.clone()).collect();
        assert_eq!(known, roots, "{name}");
        let origin = servers.iter().any(|server| server.name == name);
        assert_eq!(origin, !config.contents.is_empty(), "{name}");
        if origin || roots.contains(&name) {
            assert!(config.parents.is_empty(), "{name}");
            continue;
        }
        assert!(
            config.parents.len() >= 2,
            "{name} has one parent: {config:?}"
        );
        for (rank, parent) in config.parents.iter().enumerate() {
            // A sibling is the last resort of an orphan.
            let last = rank + 1 == config.parents.len();
            let above = tier_of(&parent.name) < tier_of(&name) + usize::from(last && rank > 1);
            assert!(above, "{name} <- {parent:?}");
            assert_eq!(parent.uri, format!("http://{}.test:1", parent.name));
        }
    }
}

#[test]
fn first_parents_keep_to_the_fan_out_of_their_tier() {
    let (topology, servers) = example("campus.yaml");
    let layout = build(&topology, &servers, &facts(&servers)).unwrap();
    let mut children: BTreeMap<String, u32> = BTreeMap::new();
    for config in configs(&layout).into_values() {
        if let Some(first) = config.parents.first() {
            *children.entry(first.name.clone()).or_default() += 1;
        }
    }
    for tier in &topology.tiers {
        for member in tier.members() {
            let fed = children.get(&member).copied().unwrap_or(0);
            assert!(
                fed <= tier.fan_out,
                "{member} feeds {fed} of {}",
                tier.fan_out
            );
        }
    }
}

#[test]
fn the_control_planes_file_is_its_roster() {
    let (topology, servers) = example("minimal.yaml");
    let facts = facts(&servers);
    let layout = build(&topology, &servers, &facts).unwrap();
    let control = &layout.members[0];
    assert_eq!(control.role, Role::Control);
    let roster: Roster = serde_json::from_str(&control.files[0].contents).unwrap();
    assert_eq!(roster, super::roster(&topology, &servers, &facts).unwrap());
    assert_eq!(roster.members.len() + 1, layout.members.len());
}

#[test]
fn no_layout_carries_a_secret() {
    let (topology, servers) = example("campus.yaml");
    let layout = build(&topology, &servers, &facts(&servers)).unwrap();
    let text = serde_json::to_string(&layout).unwrap();
    assert!(!text.to_lowercase().contains("secret"));
}

#[test]
fn a_server_with_the_name_of_a_slot_is_refused() {
    let (topology, mut servers) = example("minimal.yaml");
    servers[0].name = topology.roots().members().next().unwrap();
    let error = build(&topology, &servers, &facts(&servers)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "member name \"root-0\" is taken twice; a content server may not have the name of a slot or \"control\""
    );
}

#[test]
fn a_recording_run_says_so_to_every_member_but_control() {
    let (topology, servers) = example("minimal.yaml");
    let recording = Facts {
        record: Some("/rec".to_owned()),
        ..facts(&servers)
    };
    for member in build(&topology, &servers, &recording).unwrap().members {
        let told = member
            .arguments
            .windows(2)
            .any(|pair| pair == ["--record", "/rec"]);
        assert_eq!(told, member.role != Role::Control, "{}", member.name);
    }
}

/// Every link by a way of its own.
struct Detoured;

impl Addresses for Detoured {
    fn grpc(&self, member: &str) -> String {
        Fixed.grpc(member)
    }

    fn http(&self, member: &str) -> String {
        Fixed.http(member)
    }

    fn dialled(&self, from: &str, to: &str) -> String {
        format!("http://{from}-to-{to}.test:3")
    }
}

#[test]
fn every_uri_in_a_configuration_is_the_one_that_its_member_dials() {
    let (topology, servers) = example("campus.yaml");
    let facts = Facts {
        addresses: &Detoured,
        ..facts(&servers)
    };
    for (member, config) in configs(&build(&topology, &servers, &facts).unwrap()) {
        for peer in config.parents.iter().chain(&config.roots) {
            let expected = format!("http://{member}-to-{}.test:3", peer.name);
            assert_eq!(peer.uri, expected, "{member}");
        }
    }
}
