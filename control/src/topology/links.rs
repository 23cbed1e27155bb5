//! What is known of links, from the probes that members report: steady values for the planner.
//!
//! Probes of a loaded machine jump. The least of a minute's round trips does not, so that is what
//! counts; a few lost probes are weather; and a value that has changed is believed when it has been
//! another for [`DWELL`]. A link that feeds somebody is not down, whatever its probes say.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_planner::Link;
use banyan_proto::v1;

/// Links by receiver and sender.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<(String, String), Held>);

#[derive(Debug)]
struct Held {
    believed: Option<Value>,
    /// Another value, and since when it has been seen.
    seen: Option<(Value, Duration)>,
    heard: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    rtt_us: u32,
    loss_permille: u16,
}

impl Links {
    /// What `member` reports of the candidates `is_known` says are real.
    pub(super) fn hear(
        &mut self,
        member: &str,
        report: &v1::Report,
        at: Duration,
        is_known: impl Fn(&str) -> bool,
    ) {
        for probe in &report.probes {
            if probe.samples < ENOUGH || !is_known(&probe.peer) {
                continue;
            }
            let feeds = report.tracks.iter().any(|t| t.parent == probe.peer);
            let Some(value) = Value::of(probe, feeds) else {
                continue;
            };
            let link = (member.to_owned(), probe.peer.clone());
            let held = self.0.entry(link).or_insert(Held {
                believed: None,
                seen: None,
                heard: at,
            });
            held.heard = at;
            held.hear(value, at);
        }
    }

    /// Values that hold; those not heard of for long are forgotten.
    pub(super) fn believed(&mut self, at: Duration) -> Vec<Link> {
        self.0
            .retain(|_, held| at.saturating_sub(held.heard) <= FORGOTTEN);
        let links = self.0.iter().filter_map(|((to, from), held)| {
            let value = held.believed?;
            Some(Link {
                from: from.clone(),
                to: to.clone(),
                rtt_us: value.rtt_us,
                loss_permille: value.loss_permille,
                assumed: false,
            })
        });
        links.collect()
    }

    /// Forgets links of members that are gone.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.0
            .retain(|(to, from), _| is_known(to) && is_known(from));
    }
}

impl Held {
    fn hear(&mut self, value: Value, at: Duration) {
        if self
            .believed
            .is_some_and(|believed| believed.is_like(value))
        {
            self.seen = None;
            return;
        }
        match self.seen {
            Some((seen, since)) if seen.is_like(value) => {
                if at.saturating_sub(since) >= DWELL {
                    self.believed = Some(value);
                    self.seen = None;
                }
            }
            _ => self.seen = Some((value, at)),
        }
    }
}

impl Value {
    fn of(probe: &v1::ProbeReport, feeds: bool) -> Option<Self> {
        let loss = match probe.loss_permille {
            _ if feeds => 0,
            // Nobody has ever answered: a member of another version, or one that is not there yet.
            loss if loss >= 1000 => 1000,
            loss if loss < WEATHER => 0,
            loss => loss as u16,
        };
        let silent = probe.rtt_median_us == 0;
        (!(silent && loss < 1000)).then_some(Self {
            rtt_us: probe.rtt_min_us,
            loss_permille: loss,
        })
    }

    /// Whether the difference would be no reason for anything.
    fn is_like(self, other: Self) -> bool {
        let (low, high) = (self.rtt_us.min(other.rtt_us), self.rtt_us.max(other.rtt_us));
        let near = high - low <= SAME_US || u64::from(high) * 5 <= u64::from(low) * 6;
        near && self.loss_permille.abs_diff(other.loss_permille) < 100
    }
}

/// Half a window of probes.
const ENOUGH: u32 = 6;
/// Loss in permille below which probes say nothing: two of twelve.
const WEATHER: u32 = 250;
/// A new value is believed after this.
const DWELL: Duration = Duration::from_secs(30);
/// Round trips that differ by less are one: what scheduling does to a small machine.
const SAME_US: u32 = 2_000;
/// A link of which nobody has spoken for so long is unknown again.
const FORGOTTEN: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(ms: u32, loss_permille: u32) -> v1::ProbeReport {
        v1::ProbeReport {
            peer: "hall-1".to_owned(),
            rtt_min_us: ms * 1_000,
            rtt_median_us: ms * 1_000,
            loss_permille,
            samples: 12,
        }
    }

    fn hear(links: &mut Links, second: u64, probe: v1::ProbeReport) -> Option<(u32, u16)> {
        let report = v1::Report {
            probes: vec![probe],
            ..Default::default()
        };
        let at = Duration::from_secs(second);
        links.hear("edge-0", &report, at, |_| true);
        let link = links.believed(at).pop()?;
        Some((link.rtt_us, link.loss_permille))
    }

    #[test]
    fn a_value_is_believed_when_it_has_lasted() {
        let mut links = Links::default();
        assert_eq!(hear(&mut links, 0, probe(20, 0)), None);
        assert_eq!(hear(&mut links, 29, probe(21, 0)), None);
        assert_eq!(hear(&mut links, 30, probe(20, 0)), Some((20_000, 0)));
        // A storm of ten seconds changes nothing.
        assert_eq!(hear(&mut links, 40, probe(90, 0)), Some((20_000, 0)));
        assert_eq!(hear(&mut links, 50, probe(20, 0)), Some((20_000, 0)));
        assert_eq!(hear(&mut links, 60, probe(90, 0)), Some((20_000, 0)));
        assert_eq!(hear(&mut links, 90, probe(92, 0)), Some((92_000, 0)));
        // Noise below the threshold is the same value.
        assert_eq!(hear(&mut links, 200, probe(93, 0)), Some((92_000, 0)));
    }

    #[test]
    fn a_few_lost_probes_are_weather_and_all_lost_are_a_link_that_is_down() {
        let mut links = Links::default();
        hear(&mut links, 0, probe(20, 166));
        assert_eq!(hear(&mut links, 30, probe(20, 166)), Some((20_000, 0)));
        hear(&mut links, 60, probe(0, 1000));
        assert_eq!(hear(&mut links, 90, probe(0, 1000)), Some((0, 1000)));
    }

    #[test]
    fn who_feeds_is_not_down_and_what_is_not_heard_is_forgotten() {
        let mut links = Links::default();
        let report = v1::Report {
            probes: vec![probe(0, 1000)],
            tracks: vec![v1::TrackReport {
                parent: "hall-1".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        for second in [0, 40, 80] {
            links.hear("edge-0", &report, Duration::from_secs(second), |_| true);
        }
        assert!(links.believed(Duration::from_secs(80)).is_empty());
        hear(&mut links, 100, probe(20, 0));
        assert!(hear(&mut links, 130, probe(20, 0)).is_some());
        assert!(links.believed(Duration::from_secs(500)).is_empty());
    }
}
