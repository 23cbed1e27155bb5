//! What a link should show from inside, and whether it does. Pure: numbers in, sentences out.
//!
//! Only what a busy machine cannot spoil is judged: the least round trip, the share lost, bytes since the start, the
//! best window.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::model::{Link, Network, Node, NodeKind, Parameters};

/// A way between two neighbours, or between two nodes with switches between them, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// Names of the links on it.
    pub links: Vec<String>,
    /// Name of the node that sends.
    pub from: String,
    /// Name of the node that receives.
    pub to: String,
    /// Where it receives.
    pub address: Ipv4Addr,
    /// All of it taken together.
    pub expected: Parameters,
}

/// What was seen on a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Least round trip, in microseconds.
    pub rtt_min_us: u64,
    /// Round trips tried.
    pub round_trips: u64,
    /// Datagrams sent one way.
    pub sent: u64,
    /// Of these, arrived.
    pub arrived: u64,
    /// Bits per second of whole frames in the best window; none where no rate is set.
    pub best_bps: Option<u64>,
    /// Most bytes that were ever ahead of the rate since the start.
    pub ahead_bytes: i64,
}

/// All ways worth measuring, both directions of each.
pub fn ways(network: &Network) -> Vec<Way> {
    let mut ways = Vec::new();
    for link in &network.links {
        let ends = [&link.ends[0], &link.ends[1]].map(|end| network.node(&end.node));
        let [Some(one), Some(other)] = ends else {
            continue;
        };
        if one.kind != NodeKind::Switch && other.kind != NodeKind::Switch {
            ways.extend(both(&[link], one, other));
        }
    }
    // A switch has no address to send from: two of its links are measured together, the first with each other.
    for switch in network
        .nodes
        .iter()
        .filter(|node| node.kind == NodeKind::Switch)
    {
        let mut spokes = network.links.iter().filter_map(|link| {
            let far = far_end(link, &switch.name)?;
            let node = network.node(far)?;
            (node.kind != NodeKind::Switch).then_some((link, node))
        });
        if let Some((first, one)) = spokes.next() {
            for (link, other) in spokes {
                ways.extend(both(&[first, link], one, other));
            }
        }
    }
    // A link between two switches is measured between the nodes nearest to it on either side.
    for link in &network.links {
        let sides = [&link.ends[0], &link.ends[1]].map(|end| behind(network, &end.node, link));
        let [Some((there, one)), Some((back, other))] = sides else {
            continue;
        };
        let links: Vec<&Link> = there.into_iter().rev().chain([link]).chain(back).collect();
        ways.extend(both(&links, one, other));
    }
    ways
}

/// The nearest node with addresses behind a switch at the end of `from`, and the links that lead there; none where
/// that end is no switch, or nobody is behind it.
fn behind<'a>(
    network: &'a Network,
    switch: &'a str,
    from: &'a Link,
) -> Option<(Vec<&'a Link>, &'a Node)> {
    if network.node(switch)?.kind != NodeKind::Switch {
        return None;
    }
    let mut next = VecDeque::from([(switch, Vec::new())]);
    while let Some((at, way)) = next.pop_front() {
        // Switches are a tree: only the link that led here leads back.
        let came = way.last().map_or(from.id, |link: &&Link| link.id);
        for link in network.links.iter().filter(|link| link.id != came) {
            let far = far_end(link, at).and_then(|far| network.node(far));
            let Some(node) = far else {
                continue;
            };
            let mut way = way.clone();
            way.push(link);
            if node.kind != NodeKind::Switch {
                return Some((way, node));
            }
            next.push_back((&node.name, way));
        }
    }
    None
}

fn far_end<'a>(link: &'a Link, near: &str) -> Option<&'a str> {
    let [one, other] = &link.ends;
    match near {
        near if near == one.node => Some(&other.node),
        near if near == other.node => Some(&one.node),
        _ => None,
    }
}

fn both(links: &[&Link], one: &Node, other: &Node) -> Vec<Way> {
    let address = |node: &Node, link: &Link| {
        let interface = node.interfaces.iter().find(|one| one.link == link.id)?;
        Some(interface.v4?.address)
    };
    let (Some(first), Some(last)) = (links.first(), links.last()) else {
        return Vec::new();
    };
    let way = |from: &Node, to: &Node, address: Option<Ipv4Addr>| {
        Some(Way {
            links: links.iter().map(|link| link.name.clone()).collect(),
            from: from.name.clone(),
            to: to.name.clone(),
            address: address?,
            expected: together(links),
        })
    };
    let there = way(one, other, address(other, last));
    let back = way(other, one, address(one, first));
    there.into_iter().chain(back).collect()
}

/// Links one behind the other.
fn together(links: &[&Link]) -> Parameters {
    let all = || links.iter().map(|link| &link.parameters);
    let kept = all().fold(1.0, |kept, one| kept * (1.0 - one.loss()));
    Parameters {
        rate_bps: all().filter_map(|one| one.rate_bps).min(),
        delay_us: all().map(|one| one.delay_us).sum(),
        jitter_us: all().map(|one| one.jitter_us).sum(),
        loss_per_100k: ((1.0 - kept) * 100_000.0).round() as u32,
        buffer_bytes: all().map(|one| one.buffer_bytes).min().unwrap_or(0),
    }
}

impl Way {
    /// Least and most that the least round trip may be, in microseconds.
    pub fn rtt_bounds_us(&self) -> (u64, u64) {
        let delay = 2 * self.expected.delay_us;
        let slack = |rtt: u64| SLACK_US + rtt / 20;
        let least = delay.saturating_sub(2 * self.expected.jitter_us);
        // Clocks do not run backwards: below the delay there is only the resolution of the measurement.
        (least.saturating_sub(slack(least)), delay + slack(delay))
    }

    /// Least and most datagrams that may be lost of `sent`.
    pub fn loss_bounds(&self, sent: u64) -> (u64, u64) {
        let mean = sent as f64 * self.expected.loss();
        let deviation = SIGMAS * (mean * (1.0 - self.expected.loss())).sqrt();
        let most = (mean + deviation).ceil().min(sent as f64);
        ((mean - deviation).floor().max(0.0) as u64, most as u64)
    }

    /// Whether this is the way of the manifest; a sentence for each thing that is not.
    pub fn judge(&self, seen: &Seen) -> Vec<String> {
        let name = format!(
            "{} to {} over {}",
            self.from,
            self.to,
            self.links.join(" and ")
        );
        let mut faults = Vec::new();
        let (least, most) = self.rtt_bounds_us();
        if !(least..=most).contains(&seen.rtt_min_us) {
            faults.push(format!(
                "{name}: the least round trip is {} us; {least} to {most} us are expected",
                seen.rtt_min_us
            ));
        }
        let lost = seen.sent.saturating_sub(seen.arrived);
        let (least, most) = self.loss_bounds(seen.sent);
        if !(least..=most).contains(&lost) {
            faults.push(format!(
                "{name}: {lost} of {} datagrams were lost; {least} to {most} are expected",
                seen.sent
            ));
        }
        let Some(rate) = self.expected.rate_bps else {
            return faults;
        };
        let best = seen.best_bps.unwrap_or(0);
        if best < rate / 100 * BEST_PERCENT {
            faults.push(format!(
                "{name}: {best} bit/s in the best window; at least {BEST_PERCENT} % of {rate} bit/s are expected"
            ));
        }
        if seen.ahead_bytes > BURST_BYTES {
            faults.push(format!(
                "{name}: {} bytes ahead of {rate} bit/s; at most {BURST_BYTES} bytes are expected",
                seen.ahead_bytes
            ));
        }
        faults
    }
}

/// Bytes as they arrive, against a rate.
#[derive(Debug)]
pub struct Flow {
    rate_bps: u64,
    start: u64,
    bytes: u64,
    ahead: i64,
    best_bps: u64,
    /// Bytes that arrived in each slot of the time since the start.
    slots: BTreeMap<u64, u64>,
}

impl Flow {
    /// Nothing can be sent before `start`, in nanoseconds.
    pub fn new(rate_bps: u64, start: u64) -> Self {
        Self {
            rate_bps,
            start,
            bytes: 0,
            ahead: i64::MIN,
            best_bps: 0,
            slots: BTreeMap::new(),
        }
    }

    /// A frame of so many bytes arrived at `now`.
    pub fn arrived(&mut self, now: u64, bytes: u64) {
        let since = now.saturating_sub(self.start);
        self.bytes += bytes;
        let allowed = u128::from(since) * u128::from(self.rate_bps) / 8_000_000_000;
        let allowed = i64::try_from(allowed).unwrap_or(i64::MAX);
        self.ahead = self.ahead.max(self.bytes as i64 - allowed);
        let slot = since / SLOT_NS;
        *self.slots.entry(slot).or_default() += bytes;
        // The slot of this moment is not over: the window ends with the one before.
        let window = slot.saturating_sub(SLOTS)..slot;
        if slot >= SLOTS {
            let bytes: u64 = self.slots.range(window).map(|(_, bytes)| bytes).sum();
            self.best_bps = self.best_bps.max(bytes * 8_000_000_000 / (SLOTS * SLOT_NS));
        }
        self.slots.retain(|at, _| at + 2 * SLOTS > slot);
    }

    /// Whether enough has been seen.
    pub fn is_enough(&self) -> bool {
        self.best_bps >= self.rate_bps / 100 * BEST_PERCENT
    }

    /// Most bytes that were ever ahead of the rate, and bits per second of the best window.
    pub fn summary(&self) -> (i64, u64) {
        (self.ahead.max(0), self.best_bps)
    }
}

/// What two ends and a kernel add to a round trip, besides a twentieth.
const SLACK_US: u64 = 2_000;
/// One in three hundred thousand runs is outside by chance.
const SIGMAS: f64 = 4.5;
/// Of the rate, in the best window.
const BEST_PERCENT: u64 = 80;
/// Two full frames: the one that is on its way, and what rounding leaves.
const BURST_BYTES: i64 = 3_028;
const SLOT_NS: u64 = 50_000_000;
/// A window of a second.
const SLOTS: u64 = 20;

#[cfg(test)]
mod tests {
    use banyan_api::manifest;

    use super::*;
    use crate::model;

    #[test]
    fn every_link_is_on_a_way_those_between_switches_as_well() {
        let text = include_str!("../../tests/manifests/link-truth.yaml");
        let valid = manifest::load(&[("link-truth.yaml", text)]).unwrap();
        let lock = model::Lock::default();
        let (network, _) = model::build(&valid.topologies[0], &valid.servers, &lock).unwrap();
        let ways = ways(&network);
        for link in &network.links {
            let on = ways.iter().filter(|way| way.links.contains(&link.name));
            assert!(on.count() >= 2, "{} is not measured", link.name);
        }
        let [there, back] = &ways[ways.len() - 2..] else {
            panic!("there must be two ways");
        };
        assert_eq!([&there.from, &there.to], [&back.to, &back.from]);
        assert_eq!([&*there.from, &*there.to], ["far", "hub"]);
        assert_eq!(there.links, ["annex--far", "annex--switch", "hub--switch"]);
        assert_eq!(there.expected.delay_us, 20_000);
        assert_eq!(there.expected.rate_bps, Some(20_000_000));
        let address = |name: &str| network.node(name).and_then(|node| node.addresses().next());
        assert_eq!(address("far"), Some(back.address.into()));
    }

    fn way(rate_bps: Option<u64>, loss_per_100k: u32) -> Way {
        Way {
            links: vec!["a--b".to_owned()],
            from: "a".to_owned(),
            to: "b".to_owned(),
            address: Ipv4Addr::LOCALHOST,
            expected: Parameters {
                rate_bps,
                delay_us: 25_000,
                jitter_us: 0,
                loss_per_100k,
                buffer_bytes: 1,
            },
        }
    }

    #[test]
    fn a_way_is_judged_by_its_least_round_trip_and_its_loss() {
        let seen = |rtt_min_us, arrived| Seen {
            rtt_min_us,
            sent: 1_000,
            arrived,
            ..Seen::default()
        };
        let good = way(None, 1_000);
        assert_eq!(good.judge(&seen(50_300, 990)), Vec::<String>::new());
        assert_eq!(good.judge(&seen(60_000, 990)).len(), 1);
        assert_eq!(good.judge(&seen(40_000, 990)).len(), 1);
        assert_eq!(
            good.judge(&seen(50_300, 900)),
            ["a to b over a--b: 100 of 1000 datagrams were lost; 0 to 25 are expected"]
        );
        assert_eq!(way(None, 0).loss_bounds(1_000), (0, 0));
        assert_eq!(way(None, 100_000).loss_bounds(1_000), (1_000, 1_000));
    }

    #[test]
    fn a_flow_at_its_rate_is_enough_after_a_window_and_one_above_it_is_found_out() {
        // 1250 bytes a millisecond are 10 Mbit/s.
        let flow = |rate: u64, milliseconds: u64| {
            let mut flow = Flow::new(rate, 5);
            for at in 1..=milliseconds {
                flow.arrived(5 + at * 1_000_000, 1_250);
            }
            flow
        };
        assert!(!flow(10_000_000, 900).is_enough());
        let good = flow(10_000_000, 1_100);
        assert!(good.is_enough());
        assert_eq!(good.summary(), (0, 10_000_000));
        let slow = flow(20_000_000, 5_000);
        assert!(!slow.is_enough());
        assert_eq!(flow(5_000_000, 1_000).summary().0, 625_000);
    }
}
