//! The network that a manifest describes: nodes, links, subnets, addresses, routes. Pure and deterministic.
//!
//! Identifiers and addresses do not move when nodes are added: [`Lock`] remembers who has which. What a world does
//! with the network (namespaces, CORE) is none of this module's business.

mod addresses;
mod build;
mod lock;
mod problem;
mod ranked;
mod routes;
mod segments;
#[cfg(test)]
mod tests;
mod underlay;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use banyan_api::model::NodeKind;

pub use self::addresses::{GRPC, HTTP, Listen};
pub use self::build::build;
pub use self::lock::Lock;
pub use self::problem::Problem;
pub use self::ranked::ranked;

/// A whole network, ready to be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Name of the StreamTopology.
    pub topology: String,
    /// Ascending by identifier.
    pub nodes: Vec<Node>,
    /// Ascending by identifier.
    pub links: Vec<Link>,
    /// Ascending by number.
    pub subnets: Vec<Subnet>,
    /// Where each member runs; slots, content servers, `control`.
    pub members: BTreeMap<String, Place>,
    /// What was decided where the manifest is silent, as sentences.
    pub notes: Vec<String>,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Stable, from 1.
    pub id: u32,
    /// A DNS label, unique.
    pub name: String,
    /// What it is. A switch has interfaces without addresses; every other node forwards packets where it has several.
    pub kind: NodeKind,
    /// Where it is drawn: pixels from the left, from the top, each at least 1.
    pub position: (u32, u32),
    /// Region it lies in.
    pub region: Option<String>,
    /// Member that runs here.
    pub member: Option<String>,
    /// Streams that viewers here watch.
    pub watches: Vec<String>,
    /// Ascending by index.
    pub interfaces: Vec<Interface>,
    /// One per family and subnet that the node is not attached to; the longest prefix is the only one.
    pub routes: Vec<Route>,
}

/// A node's end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Stable within the node, from 0; may have gaps once links were removed.
    pub index: u32,
    /// `eth<index>`.
    pub name: String,
    /// Locally administered, unique in the network.
    pub mac: Mac,
    /// IPv4 address and prefix length; none on a switch.
    pub v4: Option<Net<Ipv4Addr>>,
    /// IPv6 address and prefix length; none on a switch.
    pub v6: Option<Net<Ipv6Addr>>,
    /// Identifier of the link.
    pub link: u32,
    /// Number of the subnet.
    pub subnet: u32,
}

/// A link between two nodes; its parameters hold in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Stable, from 1.
    pub id: u32,
    /// `a--b`, with `#2` behind it where a second link joins the same two; unique.
    pub name: String,
    /// In the order of names.
    pub ends: [End; 2],
    /// How it behaves.
    pub parameters: Parameters,
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Name of the node.
    pub node: String,
    /// Index of its interface.
    pub interface: u32,
}

/// How a link behaves, in base units, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Rate in bit/s; `None` = not limited.
    pub rate_bps: Option<u64>,
    /// One-way delay in microseconds.
    pub delay_us: u64,
    /// Variation of the delay in microseconds, either way.
    pub jitter_us: u64,
    /// Packets lost of a hundred thousand; [`loss`](Self::loss) is the fraction.
    pub loss_per_100k: u32,
    /// Queue in bytes, also of what the delay holds.
    pub buffer_bytes: u64,
}

/// Everything that shares one link layer: a link between two nodes with addresses, or switches and all around them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Stable, from 0.
    pub number: u32,
    /// The link's name, or that of its first switch.
    pub name: String,
    /// Its IPv4 prefix.
    pub v4: Net<Ipv4Addr>,
    /// Its IPv6 prefix.
    pub v6: Net<Ipv6Addr>,
}

/// An address, or a prefix, and its length in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net<A> {
    /// The address.
    pub address: A,
    /// Bits of the prefix.
    pub length: u8,
}

/// A way to a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Prefix it leads to.
    pub to: Net<IpAddr>,
    /// Next node's address, in a subnet of this node.
    pub via: IpAddr,
    /// Name of the interface it leaves by.
    pub interface: String,
}

/// Where a member runs, and how others reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Name of the node.
    pub node: String,
    /// The one address by which members and viewers know it: that of its first interface.
    pub address: Ipv4Addr,
    /// All its addresses: interfaces in order, IPv4 before IPv6.
    pub addresses: Vec<IpAddr>,
}

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// A text that is not the address it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {accepted}")]
pub struct NotOne {
    /// What was written.
    pub text: String,
    /// What is accepted, as the end of a sentence.
    pub accepted: &'static str,
}

impl Network {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The link of that name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }
}

impl Node {
    /// Whether packets for others pass through: every node with addresses and more than one interface forwards.
    pub fn forwards(&self) -> bool {
        self.kind != NodeKind::Switch && self.interfaces.len() > 1
    }

    /// All its addresses: interfaces in order, IPv4 before IPv6.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.interfaces.iter().flat_map(|interface| {
            let v4 = interface.v4.map(|net| IpAddr::V4(net.address));
            let v6 = interface.v6.map(|net| IpAddr::V6(net.address));
            v4.into_iter().chain(v6)
        })
    }
}

impl Parameters {
    /// Share of packets lost, 0 to 1.
    pub fn loss(&self) -> f64 {
        f64::from(self.loss_per_100k) / 100_000.0
    }
}

// === impl Net ===

impl<A: fmt::Display> fmt::Display for Net<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl<A: FromStr> FromStr for Net<A> {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(address, length)| {
            Some(Self {
                address: address.parse().ok()?,
                length: length.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| NotOne {
            text: text.to_owned(),
            accepted: "an address and a prefix length, such as 10.0.0.1/24",
        })
    }
}

impl<A: fmt::Display> Serialize for Net<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, A: FromStr> Deserialize<'de> for Net<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

// === impl Mac ===

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}")
    }
}

impl FromStr for Mac {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        let whole = bytes.iter_mut().all(|byte| {
            let part = parts.next().filter(|part| part.len() == 2);
            part.and_then(|part| u8::from_str_radix(part, 16).ok())
                .map(|read| *byte = read)
                .is_some()
        });
        match whole && parts.next().is_none() {
            true => Ok(Self(bytes)),
            false => Err(NotOne {
                text: text.to_owned(),
                accepted: "a hardware address such as 02:00:00:01:00:00",
            }),
        }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
