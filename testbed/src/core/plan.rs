//! One model of an export: nodes with their services, links with their options, regions, who runs what.

use std::collections::BTreeMap;

use banyan_control::layout::Member;

use super::metadata::Metadata;
use super::options::Options;
use super::{Error, Source};
use crate::model::{Interface, Node, NodeKind, ranked};

/// An export before it is text.
pub(super) struct Plan<'a> {
    pub(super) source: Source<'a>,
    pub(super) nodes: Vec<Planned<'a>>,
    pub(super) links: Vec<PlannedLink<'a>>,
    /// Label, left, top, right, bottom.
    pub(super) regions: Vec<(&'a str, [u32; 4])>,
    pub(super) metadata: String,
}

/// A CORE node.
pub(super) struct Planned<'a> {
    pub(super) node: &'a Node,
    /// Its model: `banyan-router`, `banyan-host`, `banyan-client`; none for a switch.
    pub(super) model: Option<&'static str>,
    pub(super) icon: &'static str,
    /// In the order they start.
    pub(super) services: Vec<&'static str>,
    pub(super) member: Option<&'a Member>,
    /// Edges from the nearest one, for a client.
    pub(super) edges: Vec<String>,
}

/// A link between two nodes.
pub(super) struct PlannedLink<'a> {
    pub(super) ends: [(&'a Node, &'a Interface); 2],
    pub(super) options: Options,
}

impl<'a> Plan<'a> {
    pub(super) fn of(source: &Source<'a>) -> Result<Self, Error> {
        let network = source.network;
        for node in &network.nodes {
            if !is_name(&node.name) {
                return Err(Error::Name {
                    name: node.name.clone(),
                });
            }
        }
        let members: BTreeMap<&str, &Member> = source
            .layout
            .members
            .iter()
            .map(|member| (member.name.as_str(), member))
            .collect();
        let edges: Vec<&str> = source
            .layout
            .members
            .iter()
            .filter(|member| member.role == banyan_control::roster::Role::Edge)
            .map(|member| member.name.as_str())
            .collect();
        let nodes = in_order(source).into_iter().map(|node| {
            let member = node.member.as_deref().and_then(|name| members.get(name));
            Planned {
                node,
                model: model_of(node.kind),
                icon: icon(node, member.copied()),
                services: services(node, member.copied()),
                member: member.copied(),
                edges: match node.watches.is_empty() {
                    true => Vec::new(),
                    false => ranked(network, &node.name, &edges),
                },
            }
        });
        let end = |end: &crate::model::End| {
            let node = network.node(&end.node)?;
            let interface = node.interfaces.iter().find(|i| i.index == end.interface)?;
            Some((node, interface))
        };
        let links = network.links.iter().filter_map(|link| {
            Some(PlannedLink {
                ends: [end(&link.ends[0])?, end(&link.ends[1])?],
                options: Options::of(&link.parameters),
            })
        });
        let metadata = Metadata {
            manifest: source.manifest.to_owned(),
        };
        Ok(Self {
            source: *source,
            nodes: nodes.collect(),
            links: links.collect(),
            regions: regions(&network.nodes),
            // A text in a structure always can be written.
            metadata: serde_json::to_string(&metadata).unwrap_or_default(),
        })
    }

    /// Rectangles of regions as the graphical interface keeps them.
    pub(super) fn shapes(&self) -> String {
        let shapes = self
            .regions
            .iter()
            .enumerate()
            .map(|(index, (label, area))| {
                serde_json::json!({
                    "canvas": 1, "type": "rectangle", "iconcoords": area, "label": label,
                    "fontfamily": "Arial", "fontsize": 12, "labelcolor": "#303030",
                    "color": COLOURS[index % COLOURS.len()], "border": "#909090", "width": 1,
                    "bold": false, "italic": false, "underline": false,
                })
            });
        serde_json::Value::Array(shapes.collect()).to_string()
    }

    /// Services that any node runs, each once, in the order they start.
    pub(super) fn nodes_with(&self, service: &str) -> Vec<&str> {
        let nodes = self
            .nodes
            .iter()
            .filter(|node| node.services.contains(&service));
        nodes.map(|node| node.node.name.as_str()).collect()
    }
}

/// What forwards, then members in the order of their starts, then who watches: CORE boots ten nodes at a time in the
/// order of the file, each until its services are valid, so nobody may wait for one that comes later.
fn in_order<'a>(source: &Source<'a>) -> Vec<&'a Node> {
    let members = &source.layout.members;
    let place = |node: &&Node| match &node.member {
        Some(name) => 1 + members.iter().take_while(|one| one.name != *name).count(),
        None if node.kind == NodeKind::Switch || node.forwards() => 0,
        None => usize::MAX,
    };
    let mut nodes: Vec<&Node> = source.network.nodes.iter().collect();
    nodes.sort_by_key(place);
    nodes
}

/// Names become a folder, a socket and unquoted words of commands.
pub(super) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A model of our own has no default services: `router` of CORE wants a routing daemon.
pub(crate) fn model_of(kind: NodeKind) -> Option<&'static str> {
    match kind {
        NodeKind::Router => Some("banyan-router"),
        NodeKind::Host => Some("banyan-host"),
        NodeKind::Client => Some("banyan-client"),
        NodeKind::Switch => None,
    }
}

fn icon(node: &Node, member: Option<&Member>) -> &'static str {
    use banyan_control::roster::Role;
    match (node.kind, member.map(|member| member.role)) {
        (NodeKind::Router, _) => "router",
        (NodeKind::Switch, _) => "switch",
        (NodeKind::Client, _) => "client",
        (NodeKind::Host, Some(Role::Control)) => "control",
        (NodeKind::Host, Some(Role::Origin)) => "server",
        (NodeKind::Host, Some(Role::Root)) => "root",
        (NodeKind::Host, Some(Role::Edge)) => "edge",
        (NodeKind::Host, Some(_)) => "relay",
        (NodeKind::Host, None) => "host",
    }
}

/// What a node starts: a list of its own replaces all defaults of CORE.
fn services(node: &Node, member: Option<&Member>) -> Vec<&'static str> {
    use banyan_control::roster::Role;
    let mut services = Vec::new();
    if node.kind == NodeKind::Switch {
        return services;
    }
    if node.forwards() {
        services.push("IPForward");
    }
    services.push("BanyanRoutes");
    services.extend(member.map(|member| match member.role {
        Role::Control => "BanyanControl",
        Role::Origin => "BanyanContentServer",
        _ => "BanyanRelay",
    }));
    if !node.watches.is_empty() {
        services.push("BanyanViewer");
    }
    services
}

/// A rectangle around all nodes of each region.
fn regions(nodes: &[Node]) -> Vec<(&str, [u32; 4])> {
    let mut areas: BTreeMap<&str, [u32; 4]> = BTreeMap::new();
    for node in nodes {
        let (x, y) = node.position;
        if let Some(region) = &node.region {
            let area = areas.entry(region).or_insert([x, y, x, y]);
            *area = [
                area[0].min(x),
                area[1].min(y),
                area[2].max(x),
                area[3].max(y),
            ];
        }
    }
    let grown = areas
        .into_iter()
        .map(|(label, [left, top, right, bottom])| {
            let less = |n: u32| n.saturating_sub(MARGIN).max(1);
            (
                label,
                [less(left), less(top), right + MARGIN, bottom + MARGIN],
            )
        });
    grown.collect()
}

/// Half an icon and its name.
const MARGIN: u32 = 45;
/// Pale ones, so that links stay visible.
const COLOURS: [&str; 6] = [
    "#eaf4ea", "#eaf0f8", "#f8f2e4", "#f4eaf4", "#eaf6f6", "#f6ecea",
];
