//! Worlds to plan.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::collections::{BTreeMap, BTreeSet};

use banyan_planner::{Demand, Input, Link, Relay, Rules, Stream};
use proptest::prelude::*;

pub fn relay(name: &str, tier: u32, zone: &str, host: &str, fan_out: u32) -> Relay {
    Relay {
        name: name.to_owned(),
        tier,
        zone: zone.to_owned(),
        host: host.to_owned(),
        fan_out,
    }
}

pub fn link(from: &str, to: &str, rtt_us: u32, loss_permille: u16) -> Link {
    Link {
        from: from.to_owned(),
        to: to.to_owned(),
        rtt_us,
        loss_permille,
        assumed: false,
    }
}

pub fn stream(name: &str, carriers: &[&str]) -> Stream {
    let carriers = carriers
        .iter()
        .map(|carrier| (*carrier).to_owned())
        .collect();
    Stream {
        name: name.to_owned(),
        carriers,
        origins: vec!["lisbon".to_owned()],
    }
}

pub fn demand(relay: &str, streams: &[&str]) -> Demand {
    Demand {
        relay: relay.to_owned(),
        streams: streams.iter().map(|stream| (*stream).to_owned()).collect(),
    }
}

/// Sizes and seeds of a world; [`World::input`] builds it.
#[derive(Debug, Clone)]
pub struct World {
    pub tiers: Vec<u32>,
    pub zones: u32,
    pub hosts: u32,
    pub spare: u32,
    pub links: Vec<(u32, u32, u32, u16)>,
    pub streams: Vec<(bool, Vec<u32>)>,
}

impl World {
    pub fn any(most_per_tier: u32, most_links: usize) -> impl Strategy<Value = World> {
        let link = (
            any::<u32>(),
            any::<u32>(),
            100_u32..80_000,
            prop_oneof![4 => Just(0_u16), 2 => 1_u16..40, 1 => Just(1000_u16)],
        );
        (
            proptest::collection::vec(1..=most_per_tier, 2..5),
            1_u32..4,
            1_u32..12,
            0_u32..4,
            proptest::collection::vec(link, 0..most_links),
            proptest::collection::vec(
                (any::<bool>(), proptest::collection::vec(any::<u32>(), 0..6)),
                0..4,
            ),
        )
            .prop_map(|(tiers, zones, hosts, spare, links, streams)| World {
                tiers,
                zones,
                hosts,
                spare,
                links,
                streams,
            })
    }

    pub fn input(&self) -> Input {
        let mut relays = Vec::new();
        for (tier, count) in (0_u32..).zip(&self.tiers) {
            let below = self.tiers.get(tier as usize + 1).copied().unwrap_or(0);
            let fan_out = if below == 0 {
                0
            } else {
                below.div_ceil(*count) + self.spare
            };
            for n in 0..*count {
                let zone = format!("zone-{}", (n * 7 + tier) % self.zones);
                // Hosts lie in one zone each, as machines do.
                let host = format!("host-{}-{zone}", (n * 5 + tier * 3) % self.hosts);
                relays.push(relay(&format!("t{tier}-{n}"), tier, &zone, &host, fan_out));
            }
        }
        let pick = |seed: u32| relays[seed as usize % relays.len()].name.clone();
        let mut seen = BTreeSet::new();
        let mut links = Vec::new();
        for (from, to, rtt_us, loss_permille) in &self.links {
            let (from, to) = (pick(*from), pick(*to));
            if from != to && seen.insert((from.clone(), to.clone())) {
                links.push(Link {
                    from,
                    to,
                    rtt_us: *rtt_us,
                    loss_permille: *loss_permille,
                    assumed: false,
                });
            }
        }
        let mut streams = Vec::new();
        let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (index, (hashed, seeds)) in self.streams.iter().enumerate() {
            let name = format!("s{index}");
            let carriers = (0..self.tiers[0])
                .rev()
                .map(|n| format!("t0-{n}"))
                .collect();
            streams.push(Stream {
                name: name.clone(),
                carriers: if *hashed { Vec::new() } else { carriers },
                origins: Vec::new(),
            });
            for seed in seeds {
                wanted.entry(pick(*seed)).or_default().push(name.clone());
            }
        }
        let demand = wanted
            .into_iter()
            .map(|(relay, streams)| Demand { relay, streams })
            .collect();
        Input {
            relays,
            links,
            streams,
            demand,
            rules: Rules::default(),
        }
    }
}
