//! What reports say of each relay, as the planner needs it. Unknown is not dead: a relay that is
//! lost still serves for a grace, and for as long as a child says that it is fed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_proto::v1;

use super::planning::Seen;
use super::{State, Topology};

impl Topology {
    /// Plans anew if it is time; whether anybody is to be told something.
    pub(super) fn replan(&mut self, waited: Duration, at: Duration) -> bool {
        if self.informed.is_none() && (waited >= self.limits.startup || self.is_complete()) {
            self.informed = Some(at);
        }
        let Some(since) = self.informed else {
            return false;
        };
        let settling = at.saturating_sub(since) < self.limits.settling;
        let seen = self.seen(at);
        let links = self.links.believed(at);
        self.planning.tick(&seen, &links, settling, at)
    }

    /// Whether everyone that stands in the tree has reported.
    fn is_complete(&self) -> bool {
        let mut relays = self
            .members
            .iter()
            .filter(|(name, _)| self.planning.tier(name).is_some());
        relays.all(|(_, member)| member.state() == State::Ready)
    }

    fn seen(&self, at: Duration) -> BTreeMap<String, Seen> {
        let vouched: BTreeSet<&str> = self
            .members
            .values()
            .filter(|member| member.state() == State::Ready)
            .filter_map(|member| member.report())
            .flat_map(feeders)
            .collect();
        let relays = self
            .members
            .iter()
            .filter(|(name, _)| self.planning.tier(name).is_some());
        relays
            .map(|(name, member)| {
                let ready = member.state() == State::Ready;
                let report = member.report().filter(|_| ready);
                let draining =
                    report.is_some_and(|report| report.draining) || member.drain().is_some();
                let gone = member
                    .lost_for(at)
                    .is_some_and(|span| span > self.limits.planned_around)
                    && !vouched.contains(name.as_str());
                let seen = Seen {
                    ready,
                    serves: !draining && !gone,
                    // Who is not heard keeps the children that stay with it and is given none.
                    refusing: !ready
                        || !member.is_attached()
                        || member.refused_within(REFUSING, at),
                    feeders: report
                        .into_iter()
                        .flat_map(feeders)
                        .map(str::to_owned)
                        .collect(),
                    fixed: report
                        .filter(|report| report.parents_fixed)
                        .map(|report| report.parents.clone()),
                    acked: member.acked,
                };
                (name.clone(), seen)
            })
            .collect()
    }
}

/// Who feeds the tracks that flow.
fn feeders(report: &v1::Report) -> impl Iterator<Item = &str> {
    let flowing = report
        .tracks
        .iter()
        .filter(|track| track.state() == v1::FlowState::Flowing && !track.parent.is_empty());
    flowing.map(|track| track.parent.as_str())
}

/// A relay that turned somebody away is full for a while, not for one report.
const REFUSING: Duration = Duration::from_secs(10);
