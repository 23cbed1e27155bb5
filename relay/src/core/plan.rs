//! What the plan asks of a relay or an edge, and who takes it in when nobody of the plan lives.

use std::collections::BTreeSet;

use banyan_proto::{carrier, v1};

use super::{Core, Role, lock};
use crate::clock::Instant;
use crate::upstream::Cause;

impl Core {
    /// Parents given by hand: from now on no configuration names others.
    pub(crate) fn fix_parents(&self, parents: Vec<v1::Peer>) {
        if self.fixed_parents.set(parents).is_ok() {
            self.configure(v1::Config::clone(&self.config()));
        }
    }

    pub(crate) fn has_fixed_parents(&self) -> bool {
        self.fixed_parents.get().is_some()
    }

    /// A configuration as this member takes it.
    pub(crate) fn as_fixed(&self, config: v1::Config) -> v1::Config {
        match self.fixed_parents.get() {
            Some(parents) => crate::neighbors::fix(config, parents),
            None => config,
        }
    }

    /// Grows whenever a configuration names another first parent. One that ranks the others anew
    /// moves nobody: it may have crossed a repair on its way.
    pub(crate) fn plan_number(&self) -> u64 {
        *lock(&self.plan)
    }

    pub(super) fn note_plan(&self, old: &v1::Config, new: &v1::Config) {
        let first = |config: &v1::Config| config.parents.first().map(|peer| peer.name.clone());
        if first(old) != first(new) {
            *lock(&self.plan) += 1;
        }
    }

    /// The parent that the plan names first, unless it is the one in use.
    pub(super) fn planned_parent(&self, current: &str) -> Option<(v1::Peer, Cause)> {
        let config = self.config();
        let first = config
            .parents
            .iter()
            .find(|peer| peer.name != self.options.member)?;
        (first.name != current).then(|| (first.clone(), Cause::Planned))
    }

    /// For an orphan that somebody else took in: the parents of the plan that have answered for long
    /// enough to go home to, best first.
    pub(crate) fn homes(&self, current: &str, now: Instant) -> Vec<v1::Peer> {
        let (mut parents, _) = self.parents_and_siblings();
        if self.options.role == Role::Root || parents.iter().any(|peer| peer.name == current) {
            return Vec::new();
        }
        let since = lock(&self.connected_since);
        let stable =
            |at: &Instant| now.saturating_duration_since(*at) >= self.options.tuning.stable;
        parents.retain(|peer| since.get(&peer.name).is_some_and(stable));
        parents
    }

    /// The ranked parents of the plan, parted: those above, and siblings, who take this member in
    /// only when nobody above does. Whom the plan names first is a parent, whatever its tier, and so
    /// is everybody given by hand.
    pub(super) fn parents_and_siblings(&self) -> (Vec<v1::Peer>, Vec<v1::Peer>) {
        let me = self.options.member.as_str();
        let by_hand = self.has_fixed_parents();
        let config = self.config();
        let ranked = config.parents.iter().filter(|peer| peer.name != me);
        let (above, siblings): (Vec<_>, Vec<_>) = ranked
            .enumerate()
            .partition(|(at, peer)| by_hand || *at == 0 || tier(&peer.name) != tier(me));
        let peers = |ranked: Vec<(usize, &v1::Peer)>| {
            ranked.into_iter().map(|(_, peer)| peer.clone()).collect()
        };
        (peers(above), peers(siblings))
    }

    /// Who takes this member in when every parent of the plan has failed: the roots, then members
    /// that might have been its parents, then siblings, the plan's first. Each orphan has an order
    /// of its own, so that they spread; paths guard against circles.
    pub(crate) fn fallbacks(&self) -> Vec<v1::Peer> {
        let (above, siblings) = self.fallbacks_and_siblings();
        above.into_iter().chain(siblings).collect()
    }

    /// The same, parted: a sibling may be just as cut off.
    pub(crate) fn fallbacks_and_siblings(&self) -> (Vec<v1::Peer>, Vec<v1::Peer>) {
        if self.options.role == Role::Root {
            return Default::default();
        }
        let config = self.config();
        let me = self.options.member.as_str();
        let spread = |peers: &[v1::Peer]| {
            let mut peers = peers.to_vec();
            peers.sort_by_cached_key(|peer| (carrier::weight(&peer.name, me), peer.name.clone()));
            peers
        };
        let (siblings, above): (Vec<_>, Vec<_>) = config
            .candidates
            .iter()
            .cloned()
            .partition(|peer| tier(&peer.name) == tier(me));
        let (parents, planned) = self.parents_and_siblings();
        let mut known: BTreeSet<String> = parents.into_iter().map(|peer| peer.name).collect();
        known.insert(me.to_owned());
        let mut new = |peers: [Vec<v1::Peer>; 2]| -> Vec<v1::Peer> {
            let peers = peers.into_iter().flatten();
            peers
                .filter(|peer| known.insert(peer.name.clone()))
                .collect()
        };
        let above = new([spread(&config.roots), spread(&above)]);
        (above, new([planned, spread(&siblings)]))
    }
}

/// Of a slot such as `hall-2`.
fn tier(slot: &str) -> &str {
    slot.rsplit_once('-').map_or(slot, |(tier, _)| tier)
}
