//! The number of edges follows their viewers: the operator's own loop, which does to `/scale` what a
//! HorizontalPodAutoscaler would.
//!
//! [`Scaler`] is pure: what edges report goes in with the time, the number wanted comes out. Growth is at once and
//! bounded; shrinking waits until nothing in the last [`WINDOW`] asked for more. What is not known changes nothing: an
//! edge that is not ready or not heard may carry any number of viewers.

use std::collections::VecDeque;
use std::time::Duration;

use banyan_api::StreamTopology;

use crate::members::Observed;

mod drive;

pub(crate) use drive::run;

/// How many edges there may be, and what one of them should carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Fewest edges; at least 1.
    pub min: u32,
    /// Most edges.
    pub max: u32,
    /// What one edge should carry.
    pub target: Target,
}

/// What one edge should carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Viewer sessions.
    Sessions(u64),
    /// Sent, in bit/s.
    Egress(u64),
}

/// The edges of one topology over time.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    /// What was called for, and when; not older than the window, but for one that covers its start.
    wishes: VecDeque<(Duration, u32)>,
    grown: Option<Duration>,
}

impl Rule {
    /// Of a topology that asks for it; `None` where it does not, or where its spec cannot be read.
    pub fn of(topology: &StreamTopology) -> Option<Rule> {
        let spec = &topology.spec;
        let autoscale = spec.edge.autoscale.as_ref().filter(|_| !spec.paused)?;
        let target = match (autoscale.target_sessions, &autoscale.target_egress) {
            (Some(sessions), None) => Target::Sessions(u64::try_from(sessions).ok()?),
            (None, Some(egress)) => Target::Egress(egress.bits_per_second().ok()?),
            _ => return None,
        };
        let min = u32::try_from(autoscale.min_replicas).ok()?.max(1);
        let max = u32::try_from(autoscale.max_replicas).ok()?.max(min);
        Some(Rule { min, max, target })
    }
}

impl Scaler {
    /// The number of edges that should be wanted, if it is another than `wanted`. `at` is monotonic.
    pub fn decide(
        &mut self,
        rule: Rule,
        wanted: u32,
        observed: &Observed,
        at: Duration,
    ) -> Option<u32> {
        let bounded = wanted.clamp(rule.min, rule.max);
        if bounded != wanted {
            self.wishes.clear();
            return Some(bounded);
        }
        let Some(wish) = wish(rule, wanted, observed) else {
            // What may be carried unseen is not to be taken away: the window begins anew.
            self.wishes.clear();
            return None;
        };
        self.wishes.push_back((at, wish));
        // The last one before the window says what was called for at its start.
        while self
            .wishes
            .get(1)
            .is_some_and(|(then, _)| at.saturating_sub(*then) >= WINDOW)
        {
            self.wishes.pop_front();
        }
        if wish > wanted {
            if self
                .grown
                .is_some_and(|then| at.saturating_sub(then) < PAUSE)
            {
                return None;
            }
            self.grown = Some(at);
            return Some(wish.min((wanted * 2).max(wanted + STEP)).min(rule.max));
        }
        let covered = self
            .wishes
            .front()
            .is_some_and(|(then, _)| at.saturating_sub(*then) >= WINDOW);
        let most = self
            .wishes
            .iter()
            .map(|(_, wish)| *wish)
            .max()
            .unwrap_or(wanted);
        (covered && most < wanted).then_some(most)
    }
}

/// The number that what edges carry now calls for; `None` where that is not known.
fn wish(rule: Rule, wanted: u32, observed: &Observed) -> Option<u32> {
    if !observed.known {
        return None;
    }
    let ready: Vec<_> = observed.edges.iter().filter(|edge| edge.ready).collect();
    let figure = |edge: &&crate::members::observed::Edge| match rule.target {
        Target::Sessions(_) => u64::from(edge.sessions),
        Target::Egress(_) => edge.egress_bps,
    };
    let (Target::Sessions(target) | Target::Egress(target)) = rule.target;
    let target = target.max(1);
    let total: u64 = ready.iter().map(figure).sum();
    let seen = ready.len() as u64;
    let complete = seen == observed.edges.len() as u64 && seen >= u64::from(wanted);
    let now = target.saturating_mul(wanted.into());
    // Within a tenth of it, it is what it should be.
    if total.abs_diff(now).saturating_mul(100) <= now.saturating_mul(TOLERANCE_PERCENT) {
        return complete.then_some(wanted);
    }
    let wish = u32::try_from(total.div_ceil(target)).unwrap_or(u32::MAX);
    let wish = wish.clamp(rule.min, rule.max);
    // Those that are seen may call for more without the others, and never for fewer.
    (complete || wish > wanted).then_some(wish)
}

/// How long nothing may have called for more before there are fewer: a break between two lectures is no reason.
pub const WINDOW: Duration = Duration::from_secs(300);

/// New edges need this long to take viewers; until then what is carried says nothing new.
const PAUSE: Duration = Duration::from_secs(15);

/// A step of growth may double, or add this many.
const STEP: u32 = 4;

/// Deviation from the target that changes nothing.
const TOLERANCE_PERCENT: u64 = 10;

#[cfg(test)]
mod tests;
