//! Who has which identifier and address: kept in a file beside what was generated, so that a network that grows does
//! not move what it had. Entries of nodes that went stay: an identifier is never given to another.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Identifiers by name. An empty one gives everything anew, in the order of kinds and names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Of nodes, by `Kind/name`; from 1.
    #[serde(default)]
    nodes: BTreeMap<String, u32>,
    /// Of links, by name; from 1.
    #[serde(default)]
    links: BTreeMap<String, u32>,
    /// Of subnets, by name; from 0.
    #[serde(default)]
    subnets: BTreeMap<String, u32>,
    /// Of interfaces within their node, by `node/link`; from 0.
    #[serde(default)]
    interfaces: BTreeMap<String, u32>,
    /// Of hosts within their subnet, by `subnet/node/link`; from 1.
    #[serde(default)]
    hosts: BTreeMap<String, u32>,
}

impl Lock {
    /// Reads what [`text`](Self::text) wrote.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let lock: Self = serde_json::from_str(text).map_err(|error| Problem::Lock {
            reason: error.to_string(),
        })?;
        distinct("node identifier", &lock.nodes, |_| "")?;
        distinct("link identifier", &lock.links, |_| "")?;
        distinct("subnet", &lock.subnets, |_| "")?;
        let first = |key: &str| key.split('/').next().unwrap_or_default().len();
        distinct("interface", &lock.interfaces, |key| &key[..first(key)])?;
        distinct("host number", &lock.hosts, |key| &key[..first(key)])?;
        let mut nodes = lock.nodes.iter();
        if let Some((name, id)) = nodes.find(|(_, id)| !(1..=HIGHEST).contains(*id)) {
            return Err(Problem::Lock {
                reason: format!("node {name:?} has identifier {id}, not 1 to {HIGHEST}"),
            });
        }
        let mut interfaces = lock.interfaces.iter();
        if let Some((name, index)) = interfaces.find(|(_, index)| **index > HIGHEST) {
            return Err(Problem::Lock {
                reason: format!("interface {name:?} has index {index}, not 0 to {HIGHEST}"),
            });
        }
        let mut hosts = lock.hosts.iter();
        if let Some((name, host)) = hosts.find(|(_, host)| !(1..=HOSTS).contains(*host)) {
            return Err(Problem::Lock {
                reason: format!("host {name:?} has number {host}, not 1 to {HOSTS}"),
            });
        }
        Ok(lock)
    }

    /// As a file.
    pub fn text(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        // Maps of texts to numbers always can be written.
        text.unwrap_or_default() + "\n"
    }

    pub(super) fn node(&mut self, kind: &str, name: &str) -> u32 {
        numbered(&mut self.nodes, format!("{kind}/{name}"), 1)
    }

    pub(super) fn link(&mut self, name: &str) -> u32 {
        numbered(&mut self.links, name.to_owned(), 1)
    }

    pub(super) fn subnet(&mut self, name: &str) -> u32 {
        numbered(&mut self.subnets, name.to_owned(), 0)
    }

    pub(super) fn interface(&mut self, node: &str, link: &str) -> u32 {
        lowest(
            &mut self.interfaces,
            &format!("{node}/"),
            link,
            0..=HIGHEST,
            0,
        )
        .unwrap_or(HIGHEST)
    }

    /// The number of a host in its subnet, from `preferred` on, else below; none when all are taken.
    pub(super) fn host(
        &mut self,
        subnet: &str,
        node: &str,
        link: &str,
        preferred: u32,
    ) -> Option<u32> {
        let key = format!("{node}/{link}");
        lowest(
            &mut self.hosts,
            &format!("{subnet}/"),
            &key,
            1..=HOSTS,
            preferred,
        )
    }
}

/// The number of a key, or the one above all that were ever given.
fn numbered(numbers: &mut BTreeMap<String, u32>, key: String, first: u32) -> u32 {
    let next = numbers.values().max().map_or(first, |most| most + 1);
    *numbers.entry(key).or_insert(next)
}

/// The number of a key below a prefix, or the lowest free one, those from `preferred` on first.
fn lowest(
    numbers: &mut BTreeMap<String, u32>,
    prefix: &str,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
    preferred: u32,
) -> Option<u32> {
    let key = format!("{prefix}{key}");
    if let Some(number) = numbers.get(&key) {
        return Some(*number);
    }
    let below = numbers.range(prefix.to_owned()..);
    let mut taken: Vec<u32> = below
        .take_while(|(key, _)| key.starts_with(prefix))
        .map(|(_, number)| *number)
        .collect();
    taken.sort_unstable();
    let free = |number: &u32| taken.binary_search(number).is_err();
    let above = (preferred.max(*range.start())..=*range.end()).find(free);
    let number = above.or_else(|| range.clone().find(free))?;
    numbers.insert(key, number);
    Some(number)
}

fn distinct(
    what: &str,
    numbers: &BTreeMap<String, u32>,
    group: impl Fn(&str) -> &str,
) -> Result<(), Problem> {
    let mut seen: HashMap<(&str, u32), &str> = HashMap::new();
    for (key, number) in numbers {
        if let Some(one) = seen.insert((group(key), *number), key) {
            return Err(Problem::Shared {
                what: format!("{what} {number}"),
                one: one.to_owned(),
                other: key.clone(),
            });
        }
    }
    Ok(())
}

/// Two bytes of a hardware address hold it.
const HIGHEST: u32 = 0xffff;
/// Hosts of a /24, without its first address and its broadcast address.
pub(super) const HOSTS: u32 = 254;
