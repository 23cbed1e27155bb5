//! What stands where: the manifest's underlay, checked and completed, or one made for a manifest that has none.

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::model::{Node, NodeKind, Server, Topology, Underlay, UnderlayLink};
use banyan_api::names;

use super::problem::Problem;

/// The underlay with every member in it, and what was decided on the way.
pub(super) struct Complete {
    pub(super) underlay: Underlay,
    pub(super) notes: Vec<String>,
}

/// The manifest's underlay with control added where it has no place; or a star of all members.
pub(super) fn complete(topology: &Topology, servers: &[Server]) -> Result<Complete, Vec<Problem>> {
    let members = members(topology, servers);
    let Some(given) = &topology.underlay else {
        return star(topology, servers, &members).map_err(|problem| vec![problem]);
    };
    let problems = check(topology, servers, given, &members);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut complete = Complete {
        underlay: given.clone(),
        notes: Vec::new(),
    };
    if !is_placed(given, names::CONTROL) {
        beside_the_root(topology, &mut complete);
    }
    within(complete.underlay.nodes.len()).map_err(|problem| vec![problem])?;
    Ok(complete)
}

/// Servers first, then tiers from the roots down; control comes extra.
fn members(topology: &Topology, servers: &[Server]) -> Vec<String> {
    let tiers = topology.tiers.iter();
    let servers = servers.iter().map(|server| server.name.clone());
    servers
        .chain(tiers.flat_map(|tier| tier.members()))
        .collect()
}

fn is_placed(underlay: &Underlay, member: &str) -> bool {
    let mut nodes = underlay.nodes.iter();
    nodes.any(|node| node.member.as_deref() == Some(member))
}

fn check(
    topology: &Topology,
    servers: &[Server],
    underlay: &Underlay,
    members: &[String],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let known: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    let contents = servers.iter().flat_map(|server| &server.contents);
    let streams: BTreeSet<&str> = contents.map(|content| content.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut placed: BTreeMap<&str, &str> = BTreeMap::new();
    for node in &underlay.nodes {
        let name = &node.name;
        if !seen.insert(name.as_str()) {
            problems.push(Problem::Name { name: name.clone() });
        }
        if let Some(member) = &node.member {
            if !known.contains(member.as_str()) && member != names::CONTROL {
                problems.push(Problem::Member {
                    node: name.clone(),
                    member: member.clone(),
                    topology: topology.name.clone(),
                });
            } else if let Some(one) = placed.insert(member, name) {
                problems.push(Problem::Twice {
                    member: member.clone(),
                    one: one.to_owned(),
                    other: name.clone(),
                });
            }
        }
        let strange = |stream: &&String| !streams.contains(stream.as_str());
        for stream in node.watches.iter().filter(strange) {
            problems.push(Problem::Stream {
                node: name.clone(),
                stream: stream.clone(),
                topology: topology.name.clone(),
            });
        }
    }
    let absent = |member: &&String| !placed.contains_key(member.as_str());
    problems.extend(
        members
            .iter()
            .filter(absent)
            .map(|member| Problem::Unplaced {
                member: member.clone(),
            }),
    );
    problems
}

/// A node of control's own at the first root's, on a link that costs nothing.
fn beside_the_root(topology: &Topology, complete: &mut Complete) {
    let root = topology.roots().members().next().unwrap_or_default();
    let nodes = &complete.underlay.nodes;
    let mut of = nodes
        .iter()
        .filter(|node| node.member.as_deref() == Some(&root));
    let Some(at) = of.next() else {
        return;
    };
    let mut node = node(
        &unused(&complete.underlay, names::CONTROL),
        NodeKind::Host,
        Some(names::CONTROL),
    );
    node.position = at.position.map(|(x, y)| (x + 80, y + 80));
    node.region = at.region.clone();
    complete.notes.push(format!(
        "no underlay node runs control: it gets node {:?} beside {root:?}, on a link without delay or limit",
        node.name
    ));
    let link = link(&at.name, &node.name, 0, None);
    complete.underlay.nodes.push(node);
    complete.underlay.links.push(link);
}

/// One router in the middle, every member on a host of its own, and one client that watches everything.
fn star(topology: &Topology, servers: &[Server], members: &[String]) -> Result<Complete, Problem> {
    within(members.len() + 3)?;
    let mut underlay = Underlay::default();
    let all = members.iter().map(String::as_str).chain([names::CONTROL]);
    for member in all {
        let host = node(member, NodeKind::Host, Some(member));
        underlay.nodes.push(host);
    }
    let router = unused(&underlay, "net");
    let mut viewer = node(&unused(&underlay, "viewers"), NodeKind::Client, None);
    let contents = servers.iter().flat_map(|server| &server.contents);
    let streams: BTreeSet<&String> = contents.map(|content| &content.name).collect();
    viewer.watches = streams.into_iter().cloned().collect();
    underlay.nodes.push(viewer);
    let to_router = |node: &Node| link(&router, &node.name, DELAY_US, Some(RATE_BPS));
    underlay.links = underlay.nodes.iter().map(to_router).collect();
    underlay.nodes.push(node(&router, NodeKind::Router, None));
    let note = format!(
        "topology {:?} has no underlay: every member gets a host at router {router:?}, {} ms and {} Mbit/s away",
        topology.name,
        DELAY_US / 1000,
        RATE_BPS / 1_000_000
    );
    Ok(Complete {
        underlay,
        notes: vec![note],
    })
}

fn node(name: &str, kind: NodeKind, member: Option<&str>) -> Node {
    Node {
        name: name.to_owned(),
        kind,
        position: None,
        region: None,
        member: member.map(str::to_owned),
        watches: Vec::new(),
    }
}

fn link(one: &str, other: &str, delay_us: u64, bandwidth_bps: Option<u64>) -> UnderlayLink {
    UnderlayLink {
        ends: (one.to_owned(), other.to_owned()),
        bandwidth_bps,
        delay_us,
        jitter_us: 0,
        loss_per_100k: 0,
        buffer_bytes: None,
    }
}

/// The name, or the name with a number that no node has.
fn unused(underlay: &Underlay, name: &str) -> String {
    let taken = |name: &str| underlay.nodes.iter().any(|node| node.name == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
    candidates
        .find(|name| !taken(name))
        .unwrap_or_else(|| name.to_owned())
}

fn within(nodes: usize) -> Result<(), Problem> {
    match nodes > MOST_NODES {
        true => Err(Problem::Nodes {
            nodes,
            most: MOST_NODES,
        }),
        false => Ok(()),
    }
}

/// What a manifest may list, and control and the made-up nodes beside.
const MOST_NODES: usize = 260;
/// Of each link of a star: any two members are a short internet path apart.
const DELAY_US: u64 = 5_000;
const RATE_BPS: u64 = 100_000_000;
