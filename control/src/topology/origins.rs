//! The table of content servers, joined from what the roots hear.

use std::collections::BTreeSet;

use banyan_proto::v1;

use super::Topology;
use super::view::{Origin, Preparation};
use crate::roster::Role;

/// State of a content server that no root hears.
pub const SILENT: &str = "Silent";

const ACTIVE: &str = "Active";

impl Topology {
    /// Every configured content server. Each root measures on its own: figures are of the root
    /// that pulls from the server, else of the first that hears it.
    pub fn origins(&self) -> Vec<Origin> {
        self.roster
            .of_role(Role::Origin)
            .map(|entry| {
                let heard = self.heard(&entry.name);
                let feeds: BTreeSet<&String> = heard.iter().flat_map(|o| &o.feeds).collect();
                let best = heard
                    .iter()
                    .find(|origin| origin.state == ACTIVE)
                    .or_else(|| heard.iter().find(|origin| origin.state != SILENT))
                    .or_else(|| heard.first());
                let mut row = best.map_or_else(|| unheard(&entry.name), |origin| row(origin));
                row.feeds = feeds.into_iter().cloned().collect();
                row
            })
            .collect()
    }

    fn heard(&self, source: &str) -> Vec<&v1::OriginReport> {
        self.roster
            .of_role(Role::Root)
            .filter_map(|root| self.fresh(&root.name))
            .flat_map(|report| &report.origins)
            .filter(|origin| origin.source == source)
            .collect()
    }
}

fn row(origin: &v1::OriginReport) -> Origin {
    Origin {
        source: origin.source.clone(),
        metric: origin.metric,
        contents: origin.contents.clone(),
        state: origin.state.clone(),
        reason: origin.reason.clone(),
        rtt_us: origin.rtt_us,
        late_permille: origin.late_permille,
        load_permille: origin.load_permille,
        clock_offset_us: origin.clock_offset_us,
        feeds: Vec::new(),
        preparing: origin
            .preparing
            .iter()
            .map(|preparation| Preparation {
                content: preparation.content.clone(),
                permille: preparation.permille,
                remaining_ms: preparation.remaining_ms,
                error: preparation.error.clone(),
            })
            .collect(),
    }
}

fn unheard(source: &str) -> Origin {
    Origin {
        source: source.to_owned(),
        metric: 0,
        contents: Vec::new(),
        state: SILENT.to_owned(),
        reason: SILENT.to_owned(),
        rtt_us: 0,
        late_permille: 0,
        load_permille: 0,
        clock_offset_us: 0,
        feeds: Vec::new(),
        preparing: Vec::new(),
    }
}
