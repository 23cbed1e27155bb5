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

/// As a world that knows its members places them.
fn with_slots(topology: &Topology, slots: &[&[u32]]) -> Topology {
    let mut topology = topology.clone();
    for (tier, slots) in topology.tiers.iter_mut().zip(slots) {
        tier.slots = Some(slots.to_vec());
    }
    topology
}

#[test]
fn members_that_exist_are_laid_out_and_no_others() {
    let (topology, servers) = example("campus.yaml");
    assert_eq!(topology.tiers.len(), 3, "roots, one interior tier, edges");
    let full: Vec<Vec<u32>> = topology
        .tiers
        .iter()
        .map(|t| (0..t.replicas).collect())
        .collect();
    let mut surge = full.clone();
    // A roll: one more everywhere, the first edge gone already.
    for slots in &mut surge {
        slots.push(slots.len() as u32);
    }
    surge[2].remove(0);
    let slots: Vec<&[u32]> = surge.iter().map(Vec::as_slice).collect();
    let world = with_slots(&topology, &slots);
    let roster = roster(&world, &servers, &facts(&servers)).unwrap();
    let edges: Vec<String> = world.edges().members().collect();
    assert!(!edges.contains(&"edge-0".to_owned()));
    let named: Vec<_> = roster.of_role(Role::Edge).map(|e| e.name.clone()).collect();
    assert_eq!(named, edges);
    for entry in &roster.members {
        let below_roots = matches!(entry.role, Role::Relay | Role::Edge);
        assert_eq!(below_roots, !entry.config.parents.is_empty(), "{entry:?}");
        assert_eq!(entry.config.roots.len(), world.roots().members().count());
    }
}

#[test]
fn a_tree_without_roots_gives_parents_only_where_something_is_above() {
    let (topology, servers) = example("campus.yaml");
    let world = with_slots(&topology, &[&[], &[0, 1], &[0]]);
    let roster = roster(&world, &servers, &facts(&servers)).unwrap();
    for entry in &roster.members {
        let parents: Vec<_> = entry
            .config
            .parents
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        match entry.role {
            Role::Edge => assert_eq!(parents.len(), 2, "{parents:?}"),
            _ => assert!(parents.is_empty(), "{parents:?}"),
        }
        assert!(entry.config.roots.is_empty());
    }
    let empty = with_slots(&topology, &[&[], &[], &[]]);
    assert!(
        super::roster(&empty, &[], &facts(&[]))
            .unwrap()
            .members
            .is_empty()
    );
}

#[test]
fn too_small_a_fan_out_is_still_refused_where_members_are_only_planned() {
    let (mut topology, servers) = example("campus.yaml");
    for tier in &mut topology.tiers {
        tier.fan_out = 0;
    }
    let error = roster(&topology, &servers, &facts(&servers)).unwrap_err();
    assert!(error.to_string().contains("no tree fits"), "{error}");
}

#[test]
fn a_fallback_lists_everyone_above_and_what_a_server_offers_before_it_runs() {
    let (topology, servers) = example("campus.yaml");
    let world = with_slots(&topology, &[&[0, 2], &[1], &[]]);
    let fallback = fallback(&world, &servers, &facts(&servers));
    let parents = |tier: &str| -> Vec<String> {
        let config = &fallback.tiers[tier];
        config
            .parents
            .iter()
            .map(|peer| peer.name.clone())
            .collect()
    };
    let interior = &topology.tiers[1].name;
    assert!(parents("root").is_empty());
    assert_eq!(parents(interior), ["root-0", "root-2"]);
    assert_eq!(
        parents("edge"),
        [format!("{interior}-1"), "root-0".into(), "root-2".into()]
    );
    for server in &servers {
        let config = &fallback.servers[&server.name];
        assert_eq!(config.contents.len(), server.contents.len());
        assert_eq!(config.roots.len(), 2);
    }
}
