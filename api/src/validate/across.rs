//! References between objects.

use std::collections::{BTreeSet, HashMap};

use super::namespace;
use super::topology::{Member, member, tier_size};
use crate::content_server::ContentServer;
use crate::manifest::{Kind, Located, Manifests, Problem};
use crate::names::parse_slot;
use crate::stream_topology::StreamTopology;

/// Checks objects against each other. `broken` names objects that exist but were refused already.
pub(crate) fn across(manifests: &Manifests, broken: &[(Kind, String)]) -> Vec<Problem> {
    let mut problems = duplicates(manifests);
    for server in &manifests.servers {
        problems.extend(references(manifests, broken, server));
    }
    let servers_broken = broken.iter().any(|(kind, _)| *kind == Kind::ContentServer);
    if !servers_broken {
        for topology in &manifests.topologies {
            problems.extend(outward(manifests, topology));
        }
    }
    problems
}

fn duplicates(manifests: &Manifests) -> Vec<Problem> {
    let servers = manifests
        .servers
        .iter()
        .map(|s| (Kind::ContentServer, &s.file, &s.resource.metadata));
    let topologies = manifests
        .topologies
        .iter()
        .map(|t| (Kind::StreamTopology, &t.file, &t.resource.metadata));
    let mut seen: HashMap<(&str, &str, String), &str> = HashMap::new();
    let mut problems = Vec::new();
    for (kind, file, meta) in topologies.chain(servers) {
        let name = meta.name.clone().unwrap_or_default();
        if let Some(first) = seen.insert((kind.as_str(), namespace(meta), name.clone()), file) {
            let message = format!(
                "is \"{name}\", which {first} has already; accepted is each {} once",
                kind.as_str()
            );
            problems.push(problem(file, kind, &name, "metadata.name", message));
        }
    }
    problems
}

fn references(
    manifests: &Manifests,
    broken: &[(Kind, String)],
    server: &Located<ContentServer>,
) -> Vec<Problem> {
    let Located { file, resource } = server;
    let name = resource.metadata.name.clone().unwrap_or_default();
    let wanted = &resource.spec.topology;
    let own = namespace(&resource.metadata);
    if broken
        .iter()
        .any(|(kind, other)| *kind == Kind::StreamTopology && other == wanted)
    {
        return Vec::new();
    }
    let Some(topology) = find(manifests, own, wanted) else {
        let known: Vec<&str> = manifests
            .topologies
            .iter()
            .filter(|t| namespace(&t.resource.metadata) == own)
            .filter_map(|t| t.resource.metadata.name.as_deref())
            .collect();
        let accepted = if known.is_empty() {
            format!("there is no StreamTopology in namespace \"{own}\"")
        } else {
            format!(
                "accepted are StreamTopologies in namespace \"{own}\": {}",
                known.join(", ")
            )
        };
        let message = format!("is \"{wanted}\", which does not exist; {accepted}");
        return vec![problem(
            file,
            Kind::ContentServer,
            &name,
            "spec.topology",
            message,
        )];
    };
    match parse_slot(&name).filter(|(tier, _)| tier_size(&topology.spec, tier).is_some()) {
        Some((tier, _)) => {
            let message = format!(
                "is \"{name}\", a name that members of tier \"{tier}\" have; accepted is any other name"
            );
            vec![problem(
                file,
                Kind::ContentServer,
                &name,
                "metadata.name",
                message,
            )]
        }
        None => Vec::new(),
    }
}

/// What a topology says about servers and their streams.
fn outward(manifests: &Manifests, topology: &Located<StreamTopology>) -> Vec<Problem> {
    let Located { file, resource } = topology;
    let name = resource.metadata.name.clone().unwrap_or_default();
    let feeding = || {
        manifests.servers.iter().map(|s| &s.resource).filter(|s| {
            s.spec.topology == name && namespace(&s.metadata) == namespace(&resource.metadata)
        })
    };
    let servers: BTreeSet<&str> = feeding()
        .filter_map(|s| s.metadata.name.as_deref())
        .collect();
    let streams: BTreeSet<&str> = feeding()
        .flat_map(|s| &s.spec.contents)
        .map(|c| c.name.as_str())
        .collect();
    let stranger = |member_name: &str| {
        matches!(member(&resource.spec, member_name), Member::Other)
            && !servers.contains(member_name)
    };
    let not_a_member = |member_name: &str| {
        format!(
            "is \"{member_name}\"; accepted are slots such as edge-0, ContentServers that feed \"{name}\", and control"
        )
    };
    let mut problems = Vec::new();
    let mut report = |field: String, message: String| {
        problems.push(problem(file, Kind::StreamTopology, &name, &field, message));
    };
    for (index, entry) in resource.spec.overlay.neighbors.iter().enumerate() {
        let at = format!("spec.overlay.neighbors[{index}]");
        if stranger(&entry.member) {
            report(format!("{at}.member"), not_a_member(&entry.member));
        }
        for (number, peer) in entry
            .peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| stranger(peer))
        {
            report(format!("{at}.peers[{number}]"), not_a_member(peer));
        }
    }
    for (index, node) in resource
        .spec
        .underlay
        .iter()
        .flat_map(|u| &u.nodes)
        .enumerate()
    {
        let at = format!("spec.underlay.nodes[{index}]");
        if let Some(name) = node.member.as_ref().filter(|name| stranger(name)) {
            report(format!("{at}.member"), not_a_member(name));
        }
        for (number, stream) in node
            .watches
            .iter()
            .enumerate()
            .filter(|(_, s)| !streams.contains(s.as_str()))
        {
            let message = format!(
                "is \"{stream}\"; accepted are contents of ContentServers that feed \"{name}\""
            );
            report(format!("{at}.watches[{number}]"), message);
        }
    }
    problems
}

fn find<'a>(
    manifests: &'a Manifests,
    in_namespace: &str,
    name: &str,
) -> Option<&'a StreamTopology> {
    manifests
        .topologies
        .iter()
        .map(|located| &located.resource)
        .find(|t| {
            t.metadata.name.as_deref() == Some(name) && namespace(&t.metadata) == in_namespace
        })
}

pub(super) fn problem(file: &str, kind: Kind, name: &str, field: &str, message: String) -> Problem {
    Problem {
        file: file.to_owned(),
        object: format!("{} {name}", kind.as_str()),
        field: field.to_owned(),
        message,
    }
}
