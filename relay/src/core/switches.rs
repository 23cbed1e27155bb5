//! Changes of who feeds a track: the newest for reports, all of them counted by cause.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use banyan_proto::v1;

use super::{Core, lock};

/// How many travel in every report: more than happen between two reports of a healthy tree.
const NEWEST: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Switches {
    sequence: u64,
    newest: VecDeque<v1::Switch>,
    /// By cause, and of those the ones to or from a content server.
    parents: BTreeMap<String, u64>,
    origins: BTreeMap<String, u64>,
}

impl Switches {
    fn push(&mut self, mut switch: v1::Switch, unix_ms: u64) {
        self.sequence += 1;
        switch.sequence = self.sequence;
        switch.at_unix_ms = unix_ms;
        // Of an idle stream nothing moves but the choice.
        if !switch.track.is_empty() {
            *self.parents.entry(switch.cause.clone()).or_default() += 1;
        }
        if switch.origin {
            *self.origins.entry(switch.cause.clone()).or_default() += 1;
        }
        if self.newest.len() == NEWEST {
            self.newest.pop_front();
        }
        self.newest.push_back(switch);
    }

    /// Oldest first.
    pub(super) fn newest(&self) -> Vec<v1::Switch> {
        self.newest.iter().cloned().collect()
    }

    pub(super) fn write(&self, text: &mut String) {
        let table = [
            (
                "parent_switches",
                "Moves of a track to another parent, by cause",
                &self.parents,
            ),
            (
                "origin_switches",
                "Moves of a track (or of an idle stream's choice) to or from a content server, by cause",
                &self.origins,
            ),
        ];
        for (name, help, counts) in table {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "# HELP banyan_{name}_total {help}.\n# TYPE banyan_{name}_total counter\n"
            );
            for (cause, count) in counts {
                let _ = writeln!(text, "banyan_{name}_total{{cause=\"{cause}\"}} {count}");
            }
        }
    }
}

impl Core {
    /// A track has another parent from now on. Sequence and time are given here.
    pub(crate) fn switched(&self, switch: v1::Switch) {
        lock(&self.switches).push(switch, self.clock.unix_ms());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_in_order_and_all_are_counted_by_cause() {
        let mut switches = Switches::default();
        for n in 0..20 {
            let switch = v1::Switch {
                track: "720p".to_owned(),
                cause: if n % 2 == 0 { "Planned" } else { "HopSilent" }.to_owned(),
                origin: n == 1,
                ..Default::default()
            };
            switches.push(switch, 1000 + n);
        }
        let newest = switches.newest();
        assert_eq!(newest.len(), NEWEST);
        assert_eq!((newest[0].sequence, newest[15].sequence), (5, 20));
        assert_eq!(newest[15].at_unix_ms, 1019);
        let mut text = String::new();
        switches.write(&mut text);
        for line in [
            "banyan_parent_switches_total{cause=\"HopSilent\"} 10",
            "banyan_parent_switches_total{cause=\"Planned\"} 10",
            "banyan_origin_switches_total{cause=\"HopSilent\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        assert!(!text.contains("origin_switches_total{cause=\"Planned\"}"));
    }
}
