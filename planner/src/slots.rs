//! Who hangs below whom while homes are assigned, and where slots are free.

use std::collections::{BTreeMap, BTreeSet};

use crate::cost::{Cost, PRIOR_OTHER_ZONE, PRIOR_SAME_HOST, PRIOR_SAME_ZONE, TIER_SKIP};
use crate::graph::{Graph, Id};

/// Assignments and free slots. Invariant: a member is in the free sets exactly while it has a free slot.
pub(crate) struct Slots<'a> {
    graph: &'a Graph,
    parent: Vec<Option<Id>>,
    children: Vec<Vec<Id>>,
    /// Per tier: members with a free slot by number of children.
    free: Vec<BTreeSet<(u32, Id)>>,
    /// The same per zone.
    free_in_zone: Vec<BTreeMap<u32, BTreeSet<(u32, Id)>>>,
}

/// A possible parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) cost: Cost,
    pub(crate) load: u32,
    pub(crate) id: Id,
}

impl<'a> Slots<'a> {
    pub(crate) fn new(graph: &'a Graph) -> Self {
        let tiers = graph.tiers().len();
        let mut slots = Self {
            graph,
            parent: vec![None; graph.len() as usize],
            children: vec![Vec::new(); graph.len() as usize],
            free: vec![BTreeSet::new(); tiers],
            free_in_zone: vec![BTreeMap::new(); tiers],
        };
        (0..graph.len()).for_each(|id| slots.list(id));
        slots
    }

    pub(crate) fn parent(&self, relay: Id) -> Option<Id> {
        self.parent[relay as usize]
    }

    pub(crate) fn children(&self, member: Id) -> &[Id] {
        &self.children[member as usize]
    }

    pub(crate) fn load(&self, member: Id) -> u32 {
        self.children[member as usize].len() as u32
    }

    pub(crate) fn is_free(&self, member: Id) -> bool {
        self.load(member) < self.graph.fan_out(member)
    }

    /// Hangs a relay below a member, which must have a free slot.
    pub(crate) fn attach(&mut self, relay: Id, parent: Id) {
        self.detach(relay);
        self.unlist(parent);
        self.children[parent as usize].push(relay);
        self.parent[relay as usize] = Some(parent);
        self.list(parent);
    }

    /// Takes a relay from its parent, if it has one.
    pub(crate) fn detach(&mut self, relay: Id) {
        if let Some(parent) = self.parent[relay as usize].take() {
            self.unlist(parent);
            self.children[parent as usize].retain(|child| *child != relay);
            self.list(parent);
        }
    }

    fn list(&mut self, member: Id) {
        if self.is_free(member) {
            let (tier, zone, entry) = self.entry(member);
            self.free[tier].insert(entry);
            self.free_in_zone[tier]
                .entry(zone)
                .or_default()
                .insert(entry);
        }
    }

    fn unlist(&mut self, member: Id) {
        let (tier, zone, entry) = self.entry(member);
        self.free[tier].remove(&entry);
        if let Some(set) = self.free_in_zone[tier].get_mut(&zone) {
            set.remove(&entry);
        }
    }

    fn entry(&self, member: Id) -> (usize, u32, (u32, Id)) {
        (
            self.graph.tier(member) as usize,
            self.graph.zone(member),
            (self.load(member), member),
        )
    }

    /// The nearest member of a higher tier with a free slot and a cost below `limit`; of equals the least loaded.
    pub(crate) fn nearest_free(&self, relay: Id, limit: Cost) -> Option<Candidate> {
        let graph = self.graph;
        let tier = graph.tier(relay);
        let mut search = Search { best: None, limit };
        for (other, cost) in graph.links(relay) {
            if graph.tier(*other) < tier && cost.is_some() && self.is_free(*other) {
                search.offer(self.candidate(relay, *other));
            }
        }
        for above in (0..tier).rev() {
            let skip = Cost::from(tier - 1 - above) * TIER_SKIP;
            if !search.may_improve(skip + PRIOR_SAME_HOST) {
                break;
            }
            for mate in graph.host_mates(relay) {
                if graph.tier(*mate) == above
                    && self.is_free(*mate)
                    && !graph.is_known(relay, *mate)
                {
                    search.offer(self.candidate(relay, *mate));
                }
            }
            let unknown = |(_, id): &&(u32, Id)| !graph.is_known(relay, *id);
            let zone = self.free_in_zone[above as usize].get(&graph.zone(relay));
            if search.may_improve(skip + PRIOR_SAME_ZONE)
                && let Some((_, id)) = zone.and_then(|zone| zone.iter().find(unknown))
            {
                search.offer(self.candidate(relay, *id));
            }
            // Only reached when nobody of the own zone is left, so the scan skips known links at most.
            if search.may_improve(skip + PRIOR_OTHER_ZONE)
                && let Some((_, id)) = self.free[above as usize].iter().find(unknown)
            {
                search.offer(self.candidate(relay, *id));
            }
        }
        search.best
    }

    /// The nearest member of a higher tier, free or not, with a cost below `limit`.
    pub(crate) fn nearest_any(&self, relay: Id, limit: Cost) -> Option<Candidate> {
        let graph = self.graph;
        let tier = graph.tier(relay);
        let mut search = Search { best: None, limit };
        for (other, cost) in graph.links(relay) {
            if graph.tier(*other) < tier && cost.is_some() {
                search.offer(self.candidate(relay, *other));
            }
        }
        for above in (0..tier).rev() {
            let skip = Cost::from(tier - 1 - above) * TIER_SKIP;
            if !search.may_improve(skip + PRIOR_SAME_HOST) {
                break;
            }
            let unknown = |id: &&Id| !graph.is_known(relay, **id);
            let mates = graph
                .host_mates(relay)
                .iter()
                .filter(|mate| graph.tier(**mate) == above);
            let zone = graph.zones(above).members(graph.zone(relay));
            let first = mates.chain(zone).find(unknown);
            if let Some(id) = first {
                search.offer(self.candidate(relay, *id));
            } else if search.may_improve(skip + PRIOR_OTHER_ZONE)
                && let Some(id) = graph.tiers()[above as usize]
                    .clone()
                    .find(|id| !graph.is_known(relay, *id))
            {
                search.offer(self.candidate(relay, id));
            }
        }
        search.best
    }

    fn candidate(&self, relay: Id, id: Id) -> Option<Candidate> {
        self.graph.cost(relay, id).map(|cost| Candidate {
            cost,
            load: self.load(id),
            id,
        })
    }
}

struct Search {
    best: Option<Candidate>,
    limit: Cost,
}

impl Search {
    fn offer(&mut self, candidate: Option<Candidate>) {
        if let Some(candidate) = candidate
            && candidate.cost < self.limit
            && self.best.is_none_or(|best| candidate < best)
        {
            self.best = Some(candidate);
        }
    }

    /// Whether a candidate of this cost could still win, equals included (they may be less loaded).
    fn may_improve(&self, cost: Cost) -> bool {
        cost < self.limit && self.best.is_none_or(|best| cost <= best.cost)
    }
}
