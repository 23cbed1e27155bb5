//! The planner at 100, 1 000 and 10 000 relays: CPU milliseconds to absorb one change, beside
//! planning from nothing in the same run.

use anyhow::Result;
use banyan_planner::{Demand, Input, Relay, Stream, plan};

use crate::report::{ROUNDS, Series, ratio};

/// One change among 10 000 relays is absorbed within this.
const BAR_MS: f64 = 50.0;

/// Measures the three sizes.
pub fn run() -> Result<()> {
    let mut budget = Series::new("planner budget");
    budget.values.push(BAR_MS);
    for relays in [100, 1_000, 10_000] {
        let input = overlay(relays);
        let mut changed = input.clone();
        // One edge leaves.
        let gone = changed.relays.pop().map(|relay| relay.name);
        changed.demand.retain(|d| Some(&d.relay) != gone.as_ref());
        let mut scratch = Series::new(format!("planner from nothing, {relays} relays"));
        let mut change = Series::new(format!("planner one change, {relays} relays"));
        for _ in 0..ROUNDS {
            let before = crate::cpu::own();
            let first = plan(&input, None)?;
            let middle = crate::cpu::own();
            let second = plan(&changed, Some(&first))?;
            let after = crate::cpu::own();
            scratch.push("cpu ms", (middle - before) as f64 / 1e6);
            change.push("cpu ms", (after - middle) as f64 / 1e6);
            anyhow::ensure!(second.moved_since(&first) <= 1, "one leaver moved others");
        }
        ratio(&change, &budget, 1.0);
    }
    Ok(())
}

/// Roots, two interior tiers and edges over ten zones; every edge wants one of three streams.
fn overlay(relays: usize) -> Input {
    let tiers = [4, relays / 100 + 2, relays / 10, relays];
    let mut input = Input {
        streams: ["clock", "bars", "talk"]
            .map(|name| Stream {
                name: name.into(),
                carriers: (0..4).map(|n| format!("root-{n}")).collect(),
                origins: vec!["lisbon".into()],
            })
            .into(),
        ..Default::default()
    };
    let names = ["root", "region", "city", "edge"];
    let taken = tiers[..3].iter().sum::<usize>();
    for (tier, name) in names.iter().enumerate() {
        let count = if tier == 3 {
            relays - taken.min(relays - 1)
        } else {
            tiers[tier]
        };
        for n in 0..count {
            let relay = format!("{name}-{n}");
            if tier == 3 {
                input.demand.push(Demand {
                    relay: relay.clone(),
                    streams: vec![input.streams[n % 3].name.clone()],
                });
            }
            input.relays.push(Relay {
                name: relay,
                tier: tier as u32,
                zone: format!("zone-{}", n % 10),
                host: String::new(),
                fan_out: if tier == 3 {
                    0
                } else {
                    (relays / 40 + 20) as u32
                },
            });
        }
    }
    input
}
