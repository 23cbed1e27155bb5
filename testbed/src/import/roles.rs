//! Who is what in a drawing that does not say: which node is a server, which a viewer, which carries the overlay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::bootstrap::Overlay;
use super::drawing::Drawing;

/// Positions of nodes in the drawing, by what they do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    /// Content servers.
    pub(super) servers: Vec<usize>,
    /// The rendezvous point.
    pub(super) root: Option<usize>,
    /// Relays by depth, from the first tier below the root.
    pub(super) tiers: Vec<Vec<usize>>,
    /// Edges.
    pub(super) edges: Vec<usize>,
    /// Viewers.
    pub(super) clients: Vec<usize>,
    /// Pairs that a bootstrap file lists.
    pub(super) pairs: BTreeSet<(usize, usize)>,
    /// What was decided.
    pub(super) notes: Vec<String>,
    /// What has no counterpart.
    pub(super) unmapped: Vec<String>,
}

impl Roles {
    pub(super) fn of(drawing: &Drawing, overlay: Option<&Overlay>) -> Self {
        let mut roles = Self::default();
        let ways = ways(drawing);
        match overlay {
            Some(overlay) => roles.listed(drawing, overlay, &ways),
            None => roles.guessed(drawing, &ways),
        }
        roles
    }

    /// With a bootstrap file: its nodes are the overlay.
    fn listed(&mut self, drawing: &Drawing, overlay: &Overlay, ways: &[Vec<usize>]) {
        let find = |name: &str, unmapped: &mut Vec<String>| {
            let found = resolve(drawing, name);
            if found.is_none() {
                let sentence = format!(
                    "the bootstrap file names {name:?}, which no node of the drawing has as its name or address"
                );
                if !unmapped.contains(&sentence) {
                    unmapped.push(sentence);
                }
            }
            found
        };
        let mut members = BTreeSet::new();
        for (name, listed) in &overlay.nodes {
            let names = std::iter::once(name).chain(&listed.addresses);
            let known: Vec<usize> = names.filter_map(|name| resolve(drawing, name)).collect();
            let Some(own) = known
                .first()
                .copied()
                .or_else(|| find(name, &mut self.unmapped))
            else {
                continue;
            };
            if known.iter().any(|other| *other != own) {
                self.unmapped.push(format!(
                    "the bootstrap file gives {name:?} addresses of several nodes; the first is taken"
                ));
            }
            members.insert(own);
            for neighbour in &listed.neighbours {
                if let Some(other) =
                    find(neighbour, &mut self.unmapped).filter(|other| *other != own)
                {
                    members.insert(other);
                    self.pairs.insert((own.min(other), own.max(other)));
                }
            }
        }
        for server in &overlay.servers {
            self.servers.extend(find(server, &mut self.unmapped));
        }
        if let Some(name) = &overlay.rendezvous {
            self.root = find(name, &mut self.unmapped);
        }
        if self.servers.is_empty() {
            self.servers = self.likely_servers(drawing, &members);
        }
        self.servers.dedup();
        for server in &self.servers {
            members.remove(server);
        }
        members.extend(self.root);
        self.clients = with_model(drawing, &["pc", "client"]);
        self.clients
            .retain(|node| !members.contains(node) && !self.servers.contains(node));
        for node in members
            .iter()
            .filter(|node| drawing.nodes[**node].model == "pc")
        {
            self.notes.push(format!(
                "node {:?} is a PC and in the overlay: it becomes a host that carries the stream; add a Client beside it for a viewer",
                drawing.nodes[*node].name
            ));
        }
        if self.root.is_none() {
            self.root = self.nearest_to_servers(drawing, &members, ways);
        }
        self.by_depth(drawing, &members);
    }

    /// Tiers by steps from the root along listed pairs; who feeds nobody is an edge.
    fn by_depth(&mut self, drawing: &Drawing, members: &BTreeSet<usize>) {
        let Some(root) = self.root else {
            return;
        };
        let mut beside: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (one, other) in self
            .pairs
            .iter()
            .filter(|(a, b)| members.contains(a) && members.contains(b))
        {
            beside.entry(*one).or_default().push(*other);
            beside.entry(*other).or_default().push(*one);
        }
        let mut depths = BTreeMap::from([(root, 0usize)]);
        let mut feeding = BTreeSet::new();
        let mut next = VecDeque::from([root]);
        while let Some(at) = next.pop_front() {
            let depth = depths[&at];
            for neighbour in beside.get(&at).into_iter().flatten() {
                if !depths.contains_key(neighbour) {
                    depths.insert(*neighbour, depth + 1);
                    feeding.insert(at);
                    next.push_back(*neighbour);
                }
            }
        }
        for (node, depth) in &depths {
            if *depth == 0 {
                continue;
            }
            if !feeding.contains(node) {
                self.edges.push(*node);
                continue;
            }
            while self.tiers.len() < *depth {
                self.tiers.push(Vec::new());
            }
            self.tiers[*depth - 1].push(*node);
        }
        self.tiers.retain(|tier| !tier.is_empty());
        for node in members.iter().filter(|node| !depths.contains_key(node)) {
            self.unmapped.push(format!(
                "overlay node {:?} has no way to the rendezvous point over listed neighbours",
                drawing.nodes[*node].name
            ));
        }
        self.pairs
            .retain(|(one, other)| depths.contains_key(one) && depths.contains_key(other));
    }

    /// Without one: the router nearest to the servers is the rendezvous point, each router with viewers an edge.
    fn guessed(&mut self, drawing: &Drawing, ways: &[Vec<usize>]) {
        self.servers = self.likely_servers(drawing, &BTreeSet::new());
        self.clients = with_model(drawing, &["pc", "client"]);
        self.clients.retain(|node| !self.servers.contains(node));
        let mut carriers: BTreeSet<usize> = with_model(drawing, ROUTERS).into_iter().collect();
        if carriers.len() < 2 {
            // A network without routers of its own: anything with an address that is neither end.
            let others = (0..drawing.nodes.len())
                .filter(|node| !is_network(&drawing.nodes[*node].model))
                .filter(|node| !self.servers.contains(node) && !self.clients.contains(node));
            carriers.extend(others);
        }
        self.root = self.nearest_to_servers(drawing, &carriers, ways);
        let root = self.root;
        let mut edges = BTreeSet::new();
        for client in &self.clients {
            edges.extend(nearest(ways, *client, |node| {
                carriers.contains(&node) && Some(node) != root
            }));
        }
        if edges.is_empty() {
            let others = carriers.iter().copied().filter(|node| Some(*node) != root);
            edges.extend(others.take(1));
        }
        self.edges = edges.into_iter().collect();
        if let Some(root) = root {
            self.notes.push(format!(
                "without a bootstrap file the overlay is a guess: {:?}, the nearest to a server, is the rendezvous point, and routers next to viewers are edges",
                drawing.nodes[root].name
            ));
        }
    }

    fn likely_servers(&mut self, drawing: &Drawing, members: &BTreeSet<usize>) -> Vec<usize> {
        let mut servers = with_model(drawing, &["host", "server"]);
        servers.retain(|node| !members.contains(node) || drawing.nodes.len() < 4);
        if servers.is_empty() {
            let named = |node: &usize| {
                let name = drawing.nodes[*node].name.to_ascii_lowercase();
                let tail = name.strip_prefix('s').unwrap_or("x");
                name.starts_with("server")
                    || name.starts_with("stream")
                    || !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit())
            };
            let all =
                (0..drawing.nodes.len()).filter(|node| !is_network(&drawing.nodes[*node].model));
            servers = all
                .filter(named)
                .filter(|node| !members.contains(node))
                .collect();
        }
        let names: Vec<&str> = servers
            .iter()
            .map(|node| drawing.nodes[*node].name.as_str())
            .collect();
        if !names.is_empty() {
            self.notes.push(format!(
                "taken as content servers: {}; each offers a test picture until its contents are named",
                names.join(", ")
            ));
        }
        servers
    }

    fn nearest_to_servers(
        &self,
        drawing: &Drawing,
        candidates: &BTreeSet<usize>,
        ways: &[Vec<usize>],
    ) -> Option<usize> {
        let named = candidates.iter().find(|node| {
            let name = drawing.nodes[**node].name.to_ascii_lowercase();
            matches!(
                name.as_str(),
                "rp" | "rendezvous" | "rendezvouspoint" | "rendezvous-point"
            )
        });
        let near = || {
            let from = self.servers.first()?;
            nearest(ways, *from, |node| candidates.contains(&node))
        };
        named
            .copied()
            .or_else(near)
            .or_else(|| candidates.first().copied())
    }
}

/// Neighbours in the drawing.
fn ways(drawing: &Drawing) -> Vec<Vec<usize>> {
    let index: BTreeMap<&str, usize> = drawing
        .nodes
        .iter()
        .enumerate()
        .map(|(at, node)| (node.id.as_str(), at))
        .collect();
    let mut ways = vec![Vec::new(); drawing.nodes.len()];
    for link in &drawing.links {
        let ends = (index.get(&*link.ends.0), index.get(&*link.ends.1));
        if let (Some(&one), Some(&other)) = ends {
            ways[one].push(other);
            ways[other].push(one);
        }
    }
    ways
}

/// The first node by steps, then by order, that is wanted.
fn nearest(ways: &[Vec<usize>], from: usize, wanted: impl Fn(usize) -> bool) -> Option<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut now = vec![from];
    while !now.is_empty() {
        let mut next: Vec<usize> = now.iter().flat_map(|at| ways[*at].clone()).collect();
        next.retain(|node| seen.insert(*node));
        next.sort_unstable();
        if let Some(found) = next.iter().find(|node| wanted(**node)) {
            return Some(*found);
        }
        now = next;
    }
    None
}

/// By address, else by name whatever its case, else by identifier.
fn resolve(drawing: &Drawing, name: &str) -> Option<usize> {
    let name = name.trim();
    // `10.0.0.1:5000` and `10.0.0.1/24` are addresses as well.
    let plain = name.split(['/', ':']).next().unwrap_or(name);
    let address: Option<std::net::IpAddr> = name.parse().ok().or_else(|| plain.parse().ok());
    let mut nodes = drawing.nodes.iter();
    match address {
        Some(address) => nodes.position(|node| node.addresses.contains(&address)),
        None => nodes
            .position(|node| node.name.eq_ignore_ascii_case(name))
            .or_else(|| drawing.nodes.iter().position(|node| node.id == name)),
    }
}

fn with_model(drawing: &Drawing, models: &[&str]) -> Vec<usize> {
    let nodes = drawing.nodes.iter().enumerate();
    nodes
        .filter(|(_, node)| models.contains(&node.model.as_str()))
        .map(|(at, _)| at)
        .collect()
}

/// What passes frames and has no address.
pub(super) fn is_network(model: &str) -> bool {
    SWITCHES.contains(&model) || NETWORKS.contains(&model)
}

/// Models that forward packets.
pub(super) const ROUTERS: &[&str] = &[
    "router", "prouter", "mdr", "xorp", "static", "quagga", "frr",
];
/// Networks that become switches.
pub(super) const SWITCHES: &[&str] = &["switch", "lanswitch", "hub", "peer_to_peer"];
/// Networks that an underlay does not have.
pub(super) const NETWORKS: &[&str] = &[
    "wlan",
    "wireless_lan",
    "wireless",
    "emane",
    "emane_net",
    "rj45",
    "tunnel",
    "ktunnel",
    "control_net",
    "tap_bridge",
];
