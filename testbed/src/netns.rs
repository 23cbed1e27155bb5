//! A network as network namespaces: which commands make it, as text. Pure; whoever runs them does so inside a user,
//! mount, PID and network namespace of its own, which the kernel takes down with its first process.
//!
//! Every node with addresses is a namespace of its name. A switch is a bridge in the *fabric*, the namespace that all
//! of this is made in and that no node can see. A link that shapes frames, or is to be captured, is a pair of TAP
//! devices of the link process, which makes them in the fabric; any other link is a veth pair.

use std::fmt::Write;

use crate::link::Settings;
use crate::linkd;
use crate::model::{End, Interface, Link, Network, Node, NodeKind, Parameters};

/// How a network is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For the link process; none where no link needs it.
    pub links: linkd::Config,
    /// For `ip -batch` in the fabric, once the link process has made its devices.
    pub fabric: String,
    /// For each namespace.
    pub nodes: Vec<NodePlan>,
}

/// How a node is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    /// Name of the node and of its namespace.
    pub name: String,
    /// Kernel settings: path below /proc/sys, value. Before its interfaces are up.
    pub settings: Vec<(String, String)>,
    /// For `ip -batch` in the namespace.
    pub batch: String,
}

/// What a run wants beyond the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    /// Of chance on all links.
    pub seed: u64,
    /// All links through the link process, so that any can be captured, counted and changed.
    pub all_emulated: bool,
    /// Bound of [`linkd::Config::late_bound_us`].
    pub late_bound_us: u64,
    /// Largest packet of every device in bytes; 1500 otherwise.
    pub mtu: Option<u32>,
}

/// Plans the namespaces of a network.
pub fn plan(network: &Network, wishes: Wishes) -> Plan {
    let emulated = |link: &&Link| wishes.all_emulated || needs_emulation(&link.parameters);
    let links = network.links.iter().filter(emulated);
    Plan {
        links: linkd::Config {
            links: links.map(|link| emulated_link(link, wishes.seed)).collect(),
            late_bound_us: wishes.late_bound_us,
        },
        fabric: fabric(network, &|link| emulated(&link), wishes.mtu),
        nodes: hosts(network).map(node).collect(),
    }
}

/// Whether a plain pair of devices would not do.
pub fn needs_emulation(parameters: &Parameters) -> bool {
    let Parameters {
        rate_bps,
        delay_us,
        jitter_us,
        loss_per_100k,
        buffer_bytes: _,
    } = parameters;
    rate_bps.is_some() || *delay_us > 0 || *jitter_us > 0 || *loss_per_100k > 0
}

/// A link as the link process is told of it.
fn emulated_link(link: &Link, seed: u64) -> linkd::Link {
    let parameters = &link.parameters;
    let settings = Settings {
        rate_bps: parameters.rate_bps,
        delay_us: parameters.delay_us,
        jitter_us: parameters.jitter_us,
        loss_per_100k: parameters.loss_per_100k,
        queue_bytes: parameters.buffer_bytes,
        up: true,
    };
    linkd::Link {
        name: link.name.clone(),
        devices: devices(link),
        settings: [settings; 2],
        // Far apart for neighbouring identifiers.
        seed: seed.wrapping_add(u64::from(link.id).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    }
}

/// Names of a link's two devices while they are in the fabric.
fn devices(link: &Link) -> [String; 2] {
    [format!("l{}a", link.id), format!("l{}b", link.id)]
}

/// Nodes that are namespaces.
pub fn hosts(network: &Network) -> impl Iterator<Item = &Node> {
    let nodes = network.nodes.iter();
    nodes.filter(|node| node.kind != NodeKind::Switch)
}

fn fabric(network: &Network, emulated: &dyn Fn(&Link) -> bool, mtu: Option<u32>) -> String {
    let mut batch = Batch::default();
    let switches = network.nodes.iter();
    for switch in switches.filter(|node| node.kind == NodeKind::Switch) {
        // Members of a segment are a tree: there is no loop to find, and nobody to wait for.
        batch.line(format!(
            "link add name {} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            bridge(switch)
        ));
        batch.line(format!("link set dev {} up", bridge(switch)));
    }
    for link in &network.links {
        let devices = devices(link);
        if !emulated(link) {
            batch.line(format!(
                "link add name {} type veth peer name {}",
                devices[0], devices[1]
            ));
        }
        for (device, end) in devices.iter().zip(&link.ends) {
            let Some((node, interface)) = find(network, end) else {
                continue;
            };
            if let Some(mtu) = mtu {
                batch.line(format!("link set dev {device} mtu {mtu}"));
            }
            if emulated(link) {
                batch.line(format!("link set dev {device} txqueuelen {QUEUE}"));
            }
            if node.kind == NodeKind::Switch {
                batch.line(format!("link set dev {device} master {} up", bridge(node)));
            } else {
                // A hardware address is set while a device is down; it takes the address along.
                batch.line(format!("link set dev {device} address {}", interface.mac));
                batch.line(format!(
                    "link set dev {device} netns {} name {}",
                    node.name, interface.name
                ));
            }
        }
    }
    batch.0
}

fn find<'a>(network: &'a Network, end: &End) -> Option<(&'a Node, &'a Interface)> {
    let node = network.node(&end.node)?;
    let interface = node
        .interfaces
        .iter()
        .find(|one| one.index == end.interface)?;
    Some((node, interface))
}

fn bridge(switch: &Node) -> String {
    format!("b{}", switch.id)
}

fn node(node: &Node) -> NodePlan {
    let mut batch = Batch::default();
    batch.line("link set dev lo up".to_owned());
    for interface in &node.interfaces {
        let name = &interface.name;
        if let Some(net) = &interface.v4 {
            batch.line(format!("addr add {net} dev {name}"));
        }
        if let Some(net) = &interface.v6 {
            batch.line(format!("addr add {net} dev {name} nodad"));
        }
        batch.line(format!("link set dev {name} up"));
    }
    for route in &node.routes {
        let (to, via, interface) = (&route.to, &route.via, &route.interface);
        // An address of an interface that came up a moment ago is not yet everybody's neighbour.
        batch.line(format!(
            "route replace {to} via {via} dev {interface} onlink"
        ));
    }
    NodePlan {
        name: node.name.clone(),
        settings: settings(node.forwards()),
        batch: batch.0,
    }
}

/// Addresses are the manifest's alone, from the first packet; packets go where the routes say.
fn settings(forwards: bool) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut set = |path: &str, value: &str| settings.push((path.to_owned(), value.to_owned()));
    for which in ["all", "default"] {
        set(&format!("net/ipv6/conf/{which}/accept_dad"), "0");
        set(&format!("net/ipv6/conf/{which}/dad_transmits"), "0");
        set(&format!("net/ipv6/conf/{which}/accept_ra"), "0");
        set(&format!("net/ipv6/conf/{which}/router_solicitations"), "0");
        // The way there and the way back may differ.
        set(&format!("net/ipv4/conf/{which}/rp_filter"), "0");
    }
    if forwards {
        set("net/ipv4/ip_forward", "1");
        set("net/ipv6/conf/all/forwarding", "1");
    }
    settings
}

#[derive(Default)]
struct Batch(String);

impl Batch {
    fn line(&mut self, line: String) {
        let _ = writeln!(self.0, "{line}");
    }
}

/// Frames that may wait for the link process: a third of a second of a link of 100 Mbit/s, so that a pause of the
/// machine does not look like a full queue.
const QUEUE: u32 = 3_000;

#[cfg(test)]
mod tests;
