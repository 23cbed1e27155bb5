//! From a manifest to a [`Network`]: completes the underlay, numbers everything, lays addresses and routes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use banyan_api::model::{self, NodeKind, Server, Topology, UnderlayLink};

use super::lock::{HOSTS, Lock};
use super::problem::Problem;
use super::segments::{self, Edge, Segment};
use super::{
    End, Interface, Link, Mac, Net, Network, Node, Parameters, Place, Route, Subnet, routes,
    underlay,
};

/// The network of a topology, and the lock with what is new in it. All problems of one kind are reported together.
pub fn build(
    topology: &Topology,
    servers: &[Server],
    lock: &Lock,
) -> Result<(Network, Lock), Vec<Problem>> {
    let complete = underlay::complete(topology, servers)?;
    let mut lock = lock.clone();
    let mut nodes = complete.underlay.nodes;
    nodes.sort_by(|one, other| (rank(one.kind), &one.name).cmp(&(rank(other.kind), &other.name)));
    let mut numbered: Vec<(u32, model::Node)> = nodes
        .into_iter()
        .map(|node| (lock.node(word(node.kind), &node.name), node))
        .collect();
    numbered.sort_by_key(|(id, _)| *id);
    let ids: Vec<u32> = numbered.iter().map(|(id, _)| *id).collect();
    let nodes: Vec<model::Node> = numbered.into_iter().map(|(_, node)| node).collect();
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let kinds: Vec<NodeKind> = nodes.iter().map(|node| node.kind).collect();

    let mut edges = edges(&complete.underlay.links, &names)?;
    edges.sort_by(|one, other| one.name.cmp(&other.name));
    let mut with_id: Vec<(u32, Edge)> = edges
        .into_iter()
        .map(|edge| (lock.link(&edge.name), edge))
        .collect();
    with_id.sort_by_key(|(id, _)| *id);
    let link_ids: Vec<u32> = with_id.iter().map(|(id, _)| *id).collect();
    let edges: Vec<Edge> = with_id.into_iter().map(|(_, edge)| edge).collect();
    in_one_piece(&names, &edges)?;
    let segments = segments::of(&kinds, &names, &edges)?;

    let mut build = Build {
        ids: &ids,
        nodes: &nodes,
        link_ids: &link_ids,
        edges: &edges,
        segments: &segments,
    };
    build.network(topology, complete.notes, lock)
}

struct Build<'a> {
    ids: &'a [u32],
    nodes: &'a [model::Node],
    link_ids: &'a [u32],
    edges: &'a [Edge],
    segments: &'a [Segment],
}

impl Build<'_> {
    fn network(
        &mut self,
        topology: &Topology,
        notes: Vec<String>,
        mut lock: Lock,
    ) -> Result<(Network, Lock), Vec<Problem>> {
        let subnets = self.subnets(&mut lock).map_err(|problem| vec![problem])?;
        let mut nodes = self.bare_nodes();
        let mut links = self.bare_links();
        for (index, edge) in self.edges.iter().enumerate() {
            let number = self.segment_of(index);
            for (side, node) in edge.ends.into_iter().enumerate() {
                let interface = self
                    .interface(node, index, &subnets[number], &mut lock)
                    .map_err(|problem| vec![problem])?;
                links[index].ends[side].interface = interface.index;
                nodes[node].interfaces.push(interface);
            }
        }
        for node in &mut nodes {
            node.interfaces.sort_by_key(|interface| interface.index);
        }
        let routes = self.routes(&nodes, &subnets);
        for (node, routes) in nodes.iter_mut().zip(routes) {
            node.routes = routes;
        }
        let mut subnets = subnets;
        subnets.sort_by_key(|subnet| subnet.number);
        let network = Network {
            topology: topology.name.clone(),
            members: members(&nodes),
            nodes,
            links,
            subnets,
            notes,
        };
        once(&network)?;
        Ok((network, lock))
    }

    fn subnets(&self, lock: &mut Lock) -> Result<Vec<Subnet>, Problem> {
        let mut subnets = Vec::new();
        for segment in self.segments {
            let number = lock.subnet(&segment.name);
            if number >= SUBNETS {
                return Err(Problem::Prefixes {
                    segment: segment.name.clone(),
                    most: SUBNETS,
                });
            }
            subnets.push(Subnet {
                number,
                name: segment.name.clone(),
                v4: v4(number, 0),
                v6: v6(number, 0),
            });
        }
        Ok(subnets)
    }

    fn bare_nodes(&self) -> Vec<Node> {
        let positions = positions(self.nodes);
        let nodes = self.nodes.iter().zip(self.ids).zip(positions);
        nodes
            .map(|((node, id), position)| Node {
                id: *id,
                name: node.name.clone(),
                kind: node.kind,
                position,
                region: node.region.clone(),
                member: node.member.clone(),
                watches: node.watches.clone(),
                interfaces: Vec::new(),
                routes: Vec::new(),
            })
            .collect()
    }

    fn bare_links(&self) -> Vec<Link> {
        let end = |node: usize| End {
            node: self.nodes[node].name.clone(),
            interface: 0,
        };
        let edges = self.edges.iter().zip(self.link_ids);
        edges
            .map(|(edge, id)| Link {
                id: *id,
                name: edge.name.clone(),
                ends: edge.ends.map(end),
                parameters: edge.parameters,
            })
            .collect()
    }

    fn segment_of(&self, edge: usize) -> usize {
        let mut segments = self.segments.iter();
        let found = segments.position(|segment| segment.edges.contains(&edge));
        found.unwrap_or_default()
    }

    fn interface(
        &self,
        node: usize,
        edge: usize,
        subnet: &Subnet,
        lock: &mut Lock,
    ) -> Result<Interface, Problem> {
        let (name, kind) = (&self.nodes[node].name, self.nodes[node].kind);
        let link = &self.edges[edge].name;
        let index = lock.interface(name, link);
        let host = match kind {
            NodeKind::Switch => None,
            NodeKind::Router => Some(FIRST_ROUTER),
            NodeKind::Host | NodeKind::Client => Some(FIRST_HOST),
        };
        let host = match host {
            None => None,
            Some(preferred) => {
                let host = lock.host(&subnet.name, name, link, preferred);
                Some(host.ok_or_else(|| Problem::Full {
                    segment: subnet.name.clone(),
                    most: HOSTS,
                })?)
            }
        };
        let [_, _, high, low] = self.ids[node].to_be_bytes();
        let [_, _, upper, lower] = index.to_be_bytes();
        Ok(Interface {
            index,
            name: format!("eth{index}"),
            mac: Mac([0x02, 0x00, high, low, upper, lower]),
            v4: host.map(|host| v4(subnet.number, host)),
            v6: host.map(|host| v6(subnet.number, host)),
            link: self.link_ids[edge],
            subnet: subnet.number,
        })
    }

    fn routes(&self, nodes: &[Node], subnets: &[Subnet]) -> Vec<Vec<Route>> {
        let hops = routes::of(self.nodes.len(), self.edges, self.segments);
        let by = |node: usize, edge: usize| {
            let mut interfaces = nodes[node].interfaces.iter();
            interfaces.find(|interface| interface.link == self.link_ids[edge])
        };
        let of = |node: usize| {
            let mut order: Vec<usize> = (0..subnets.len()).collect();
            order.sort_by_key(|segment| subnets[*segment].number);
            let found = order.into_iter().filter_map(|segment| {
                let hop = hops[node][segment]?;
                let (out, next) = (by(node, hop.out)?, by(hop.next, hop.at)?);
                let route = |to, via| Route {
                    to,
                    via,
                    interface: out.name.clone(),
                };
                let subnet = &subnets[segment];
                Some([
                    route(any(subnet.v4), IpAddr::V4(next.v4?.address)),
                    route(any(subnet.v6), IpAddr::V6(next.v6?.address)),
                ])
            });
            found.flatten().collect()
        };
        (0..nodes.len()).map(of).collect()
    }
}

fn members(nodes: &[Node]) -> BTreeMap<String, Place> {
    let placed = nodes.iter().filter_map(|node| {
        let first = node.interfaces.iter().find_map(|interface| interface.v4)?;
        let place = Place {
            node: node.name.clone(),
            address: first.address,
            addresses: node.addresses().collect(),
        };
        Some((node.member.clone()?, place))
    });
    placed.collect()
}

/// Links with checked ends and values, in the order of the manifest.
fn edges(links: &[UnderlayLink], names: &[&str]) -> Result<Vec<Edge>, Vec<Problem>> {
    let index: BTreeMap<&str, usize> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (*name, at))
        .collect();
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut edges = Vec::new();
    for link in links {
        let (one, other) = match link.ends.0 <= link.ends.1 {
            true => (&link.ends.0, &link.ends.1),
            false => (&link.ends.1, &link.ends.0),
        };
        let plain = format!("{one}--{other}");
        let count = seen.entry(plain.clone()).or_default();
        *count += 1;
        let name = match *count {
            1 => plain,
            n => format!("{plain}#{n}"),
        };
        let known = |end: &String| index.get(end.as_str()).copied();
        match (known(one), known(other)) {
            (Some(a), Some(b)) if a != b => {
                problems.extend(impossible(&name, link));
                edges.push(Edge {
                    name,
                    ends: [a, b],
                    parameters: parameters(link),
                });
            }
            (Some(_), _) => problems.push(Problem::End {
                link: name,
                end: other.clone(),
            }),
            (None, _) => problems.push(Problem::End {
                link: name,
                end: one.clone(),
            }),
        }
    }
    match problems.is_empty() {
        true => Ok(edges),
        false => Err(problems),
    }
}

/// Values that a manifest may hold and no link can have.
fn impossible(name: &str, link: &UnderlayLink) -> Vec<Problem> {
    let value = |field, value: String, accepted: &str| Problem::Value {
        link: name.to_owned(),
        field,
        value,
        accepted: accepted.to_owned(),
    };
    let mut problems = Vec::new();
    if let Some(rate) = link.bandwidth_bps.filter(|rate| !RATES.contains(rate)) {
        problems.push(value(
            "bandwidth",
            format!("{rate} bit/s"),
            "1k to 1000G (bit/s)",
        ));
    }
    if link.delay_us > MOST_DELAY_US {
        problems.push(value(
            "delay",
            format!("{} us", link.delay_us),
            "at most 60s",
        ));
    }
    if link.jitter_us > link.delay_us {
        problems.push(value(
            "jitter",
            format!("{} us", link.jitter_us),
            &format!("at most its delay, {} us", link.delay_us),
        ));
    }
    if link.loss_per_100k > 100_000 {
        let loss = format!("{} of 100000", link.loss_per_100k);
        problems.push(value("loss", loss, "0% to 100%"));
    }
    if let Some(buffer) = link.buffer_bytes.filter(|bytes| *bytes < FRAME) {
        problems.push(value(
            "buffer",
            format!("{buffer} bytes"),
            &format!("at least one frame of {FRAME} bytes"),
        ));
    }
    problems
}

fn parameters(link: &UnderlayLink) -> Parameters {
    Parameters {
        rate_bps: link.bandwidth_bps,
        delay_us: link.delay_us,
        jitter_us: link.jitter_us,
        loss_per_100k: link.loss_per_100k,
        buffer_bytes: link
            .buffer_bytes
            .unwrap_or_else(|| default_buffer(link.bandwidth_bps, link.delay_us)),
    }
}

/// What the delay holds both ways and fifty milliseconds of queue, at least a hundred packets: netem's own default is
/// twice the bandwidth-delay product or a thousand packets, which starves short links and long fast ones.
fn default_buffer(rate_bps: Option<u64>, delay_us: u64) -> u64 {
    let least = if rate_bps.is_some() { 100 } else { 1000 } * PACKET;
    let held_us = u128::from(2 * delay_us + QUEUE_US);
    let bits = held_us * u128::from(rate_bps.unwrap_or(UNLIMITED_BPS)) / 1_000_000;
    u64::try_from(bits.div_ceil(8)).map_or(u64::MAX, |bytes| bytes.max(least))
}

fn in_one_piece(names: &[&str], edges: &[Edge]) -> Result<(), Vec<Problem>> {
    let mut reached = BTreeSet::from([0]);
    let mut next = vec![0];
    while let Some(at) = next.pop() {
        for edge in edges.iter().filter(|edge| edge.ends.contains(&at)) {
            next.extend(edge.ends.into_iter().filter(|end| reached.insert(*end)));
        }
    }
    let away = (0..names.len()).filter(|node| !reached.contains(node));
    let problems: Vec<Problem> = away
        .map(|node| Problem::Apart {
            from: names[0].to_owned(),
            to: names[node].to_owned(),
        })
        .take(MOST_APART)
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

/// Nothing is given twice, also not by a lock file that somebody edited.
fn once(network: &Network) -> Result<(), Vec<Problem>> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for node in &network.nodes {
        let macs = node.interfaces.iter().map(|i| i.mac.to_string());
        for what in node.addresses().map(|a| a.to_string()).chain(macs) {
            if let Some(one) = seen.insert(what.clone(), &node.name) {
                problems.push(Problem::Shared {
                    what,
                    one: one.to_owned(),
                    other: node.name.clone(),
                });
            }
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

/// Given positions, and rows by kind for nodes without one, below everything that has one.
fn positions(nodes: &[model::Node]) -> Vec<(u32, u32)> {
    let given = nodes.iter().filter_map(|node| node.position);
    let below = given.map(|(_, y)| y).max().unwrap_or(0);
    let mut filled: BTreeMap<u32, u32> = BTreeMap::new();
    let mut place = |kind: NodeKind| {
        let row = rank(kind);
        let column = filled.entry(row).or_default();
        let (x, line) = (*column % COLUMNS, *column / COLUMNS);
        *column += 1;
        (
            STEP + x * STEP,
            below + STEP + row * STEP + line * (STEP / 2),
        )
    };
    nodes
        .iter()
        .map(|node| match node.position {
            Some((x, y)) => (x.max(1), y.max(1)),
            None => place(node.kind),
        })
        .collect()
}

fn rank(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::Router => 0,
        NodeKind::Switch => 1,
        NodeKind::Host => 2,
        NodeKind::Client => 3,
    }
}

fn word(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Router => "Router",
        NodeKind::Switch => "Switch",
        NodeKind::Host => "Host",
        NodeKind::Client => "Client",
    }
}

fn v4(subnet: u32, host: u32) -> Net<Ipv4Addr> {
    let [_, _, high, low] = subnet.to_be_bytes();
    Net {
        address: Ipv4Addr::new(10, high, low, host as u8),
        length: 24,
    }
}

fn v6(subnet: u32, host: u32) -> Net<Ipv6Addr> {
    let [a, b, c] = UNIQUE_LOCAL;
    Net {
        address: Ipv6Addr::new(a, b, c, subnet as u16, 0, 0, 0, host as u16),
        length: 64,
    }
}

fn any<A: Into<IpAddr> + Copy>(net: Net<A>) -> Net<IpAddr> {
    Net {
        address: net.address.into(),
        length: net.length,
    }
}

/// The prefix fd42:6e79:616e::/48, one /64 a subnet.
const UNIQUE_LOCAL: [u16; 3] = [0xfd42, 0x6e79, 0x616e];
/// One /24 of 10.0.0.0/8 each.
const SUBNETS: u32 = 1 << 16;
/// Routers come first in a subnet: tools that guess a gateway guess .1.
const FIRST_ROUTER: u32 = 1;
/// Hosts and clients from here, as network courses number them.
const FIRST_HOST: u32 = 10;
/// Rates that emulators accept and a stream could cross.
const RATES: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000_000;
const MOST_DELAY_US: u64 = 60_000_000;
/// The longest Ethernet frame of an interface with an MTU of 1500.
const FRAME: u64 = 1514;
const PACKET: u64 = 1500;
const QUEUE_US: u64 = 50_000;
/// Stands for no limit where a queue is sized.
const UNLIMITED_BPS: u64 = 1_000_000_000;
/// More sentences of one kind help nobody.
const MOST_APART: usize = 8;
/// Pixels between drawn nodes.
const STEP: u32 = 110;
const COLUMNS: u32 = 10;
