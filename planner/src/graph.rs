//! The input as indices: relays sorted by tier and name, so the order of the input is forgotten here.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::cost::{self, Cost, PRIOR_OTHER_ZONE, PRIOR_SAME_HOST, PRIOR_SAME_ZONE, TIER_SKIP};
use crate::plan::{Basis, Name};
use crate::{Input, PlanError};

/// A relay's index. Smaller indices never stand in lower tiers.
pub(crate) type Id = u32;

/// Relays, places and known links.
pub(crate) struct Graph {
    names: Vec<Name>,
    ids: HashMap<Name, Id>,
    /// Tier as the input counts, for messages.
    given_tier: Vec<u32>,
    /// Tier counted without gaps.
    tier: Vec<u32>,
    zone: Vec<u32>,
    host: Vec<u32>,
    fan_out: Vec<u32>,
    /// Members of each tier.
    members: Vec<Range<Id>>,
    /// Members of each tier by zone.
    zones: Vec<Zones>,
    /// Members of each host.
    hosts: Vec<Vec<Id>>,
    /// Known links of each relay, sorted by the other end; `None` is down.
    links: Vec<Vec<(Id, Option<Cost>)>>,
    /// Of those, the ones that nobody measured: (relay, other).
    assumed: HashSet<(Id, Id)>,
    /// Only known links exist.
    closed: bool,
}

impl Graph {
    pub(crate) fn new(input: &Input) -> Result<Self, PlanError> {
        let mut order: Vec<usize> = (0..input.relays.len()).collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (&input.relays[*a], &input.relays[*b]);
            a.tier.cmp(&b.tier).then_with(|| a.name.cmp(&b.name))
        });
        let sorted: Vec<_> = order
            .into_iter()
            .map(|index| &input.relays[index])
            .collect();
        let names: Vec<Name> = sorted
            .iter()
            .map(|relay| Name::from(relay.name.as_str()))
            .collect();
        let mut ids = HashMap::with_capacity(names.len());
        for (id, name) in (0..).zip(&names) {
            if ids.insert(name.clone(), id).is_some() {
                return Err(PlanError::DuplicateRelay {
                    name: name.to_string(),
                });
            }
        }
        if sorted.first().is_none_or(|relay| relay.tier != 0) {
            return Err(PlanError::NoRoots);
        }
        let mut zone_ids = Interner::default();
        let mut host_ids = Interner::default();
        let mut graph = Self {
            given_tier: sorted.iter().map(|relay| relay.tier).collect(),
            fan_out: sorted.iter().map(|relay| relay.fan_out).collect(),
            zone: sorted
                .iter()
                .map(|relay| zone_ids.id(&relay.zone))
                .collect(),
            // A relay without a host stands on one of its own; its name cannot clash with a given host.
            host: sorted
                .iter()
                .map(|relay| match relay.host.as_str() {
                    "" => host_ids.fresh(),
                    host => host_ids.id(host),
                })
                .collect(),
            tier: Vec::with_capacity(names.len()),
            members: Vec::new(),
            zones: Vec::new(),
            hosts: vec![Vec::new(); host_ids.next as usize],
            links: vec![Vec::new(); names.len()],
            assumed: HashSet::new(),
            closed: input.rules.closed,
            names,
            ids,
        };
        graph.index();
        graph.connect(input)?;
        Ok(graph)
    }

    fn index(&mut self) {
        for id in 0..self.len() {
            let new_tier =
                id == 0 || self.given_tier[id as usize] != self.given_tier[id as usize - 1];
            if new_tier {
                self.members.push(id..id);
                self.zones.push(Zones::default());
            }
            let tier = self.members.len() - 1;
            self.members[tier].end = id + 1;
            self.zones[tier].push(self.zone[id as usize], id);
            self.hosts[self.host[id as usize] as usize].push(id);
            self.tier.push(tier as u32);
        }
    }

    fn connect(&mut self, input: &Input) -> Result<(), PlanError> {
        // (other, listed in the direction other -> relay, cost): the listed direction wins over the mirrored one.
        let mut known: Vec<Vec<(Id, bool, Option<Cost>)>> = vec![Vec::new(); self.names.len()];
        for link in &input.links {
            let place = || format!("the link from \"{}\" to \"{}\"", link.from, link.to);
            let from = self.id(&link.from, place)?;
            let to = self.id(&link.to, place)?;
            if from == to {
                return Err(PlanError::SelfLink {
                    name: link.from.clone(),
                });
            }
            if link.loss_permille > 1_000 {
                let (from, to) = (link.from.clone(), link.to.clone());
                return Err(PlanError::Loss {
                    from,
                    to,
                    loss: link.loss_permille,
                });
            }
            let cost = cost::measured(link.rtt_us, link.loss_permille);
            if link.assumed {
                self.assumed.extend([(to, from), (from, to)]);
            }
            known[to as usize].push((from, true, cost));
            known[from as usize].push((to, false, cost));
        }
        for (to, mut known) in known.into_iter().enumerate() {
            known.sort_unstable_by_key(|(other, listed, _)| (*other, !*listed));
            for pair in known.windows(2) {
                if let [(a, true, _), (b, true, _)] = pair
                    && a == b
                {
                    let (from, to) = (
                        self.names[*a as usize].to_string(),
                        self.names[to].to_string(),
                    );
                    return Err(PlanError::DuplicateLink { from, to });
                }
            }
            known.dedup_by_key(|(other, _, _)| *other);
            self.links[to] = known
                .into_iter()
                .map(|(other, _, cost)| (other, cost))
                .collect();
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> Id {
        self.names.len() as Id
    }

    pub(crate) fn id(&self, name: &str, place: impl FnOnce() -> String) -> Result<Id, PlanError> {
        self.find(name).ok_or_else(|| PlanError::UnknownRelay {
            place: place(),
            name: name.to_owned(),
        })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Id> {
        self.ids.get(name).copied()
    }

    pub(crate) fn name(&self, id: Id) -> &Name {
        &self.names[id as usize]
    }

    pub(crate) fn tier(&self, id: Id) -> u32 {
        self.tier[id as usize]
    }

    pub(crate) fn given_tier(&self, id: Id) -> u32 {
        self.given_tier[id as usize]
    }

    pub(crate) fn zone(&self, id: Id) -> u32 {
        self.zone[id as usize]
    }

    pub(crate) fn host(&self, id: Id) -> u32 {
        self.host[id as usize]
    }

    pub(crate) fn fan_out(&self, id: Id) -> u32 {
        self.fan_out[id as usize]
    }

    pub(crate) fn roots(&self) -> Range<Id> {
        self.members[0].clone()
    }

    pub(crate) fn below_roots(&self) -> Range<Id> {
        self.members[0].end..self.len()
    }

    pub(crate) fn tiers(&self) -> &[Range<Id>] {
        &self.members
    }

    /// Members of a tier by zone.
    pub(crate) fn zones(&self, tier: u32) -> &Zones {
        &self.zones[tier as usize]
    }

    /// Members on the same host.
    pub(crate) fn host_mates(&self, id: Id) -> &[Id] {
        &self.hosts[self.host(id) as usize]
    }

    /// Known links of a relay.
    pub(crate) fn links(&self, id: Id) -> &[(Id, Option<Cost>)] {
        &self.links[id as usize]
    }

    /// Whether the link between two relays is known.
    pub(crate) fn is_known(&self, relay: Id, other: Id) -> bool {
        let links = self.links(relay);
        !links.is_empty() && links.binary_search_by_key(&other, |(id, _)| *id).is_ok()
    }

    /// Cost for `relay` of having `parent`; `None` when the link is down, or may not be.
    pub(crate) fn cost(&self, relay: Id, parent: Id) -> Option<Cost> {
        let skipped = self.skipped_tiers(relay, parent);
        let links = self.links(relay);
        let link = match links.binary_search_by_key(&parent, |(id, _)| *id) {
            Ok(index) => links[index].1?,
            Err(_) if self.closed && self.tier(relay).max(self.tier(parent)) > 0 => return None,
            Err(_) if self.host(relay) == self.host(parent) => PRIOR_SAME_HOST,
            Err(_) if self.zone(relay) == self.zone(parent) => PRIOR_SAME_ZONE,
            Err(_) => PRIOR_OTHER_ZONE,
        };
        Some(link + Cost::from(skipped) * TIER_SKIP)
    }

    fn skipped_tiers(&self, relay: Id, parent: Id) -> u32 {
        let apart = self.tier(relay).saturating_sub(self.tier(parent));
        apart.saturating_sub(1)
    }

    /// What [`Self::cost`] is made of.
    pub(crate) fn basis(&self, relay: Id, parent: Id) -> Basis {
        Basis {
            measured: self.is_known(relay, parent) && !self.assumed.contains(&(relay, parent)),
            skipped_tiers: self.skipped_tiers(relay, parent),
        }
    }

    pub(crate) fn unreachable(&self, relay: Id) -> PlanError {
        PlanError::Unreachable {
            relay: self.name(relay).to_string(),
            tier: self.given_tier(relay),
        }
    }
}

/// Members of a tier by zone, zones in order of their numbers.
#[derive(Default)]
pub(crate) struct Zones(Vec<(u32, Vec<Id>)>);

impl Zones {
    fn push(&mut self, zone: u32, id: Id) {
        match self.0.binary_search_by_key(&zone, |(zone, _)| *zone) {
            Ok(index) => self.0[index].1.push(id),
            Err(index) => self.0.insert(index, (zone, vec![id])),
        }
    }

    /// Members of one zone; empty when the tier has none there.
    pub(crate) fn members(&self, zone: u32) -> &[Id] {
        let found = self.0.binary_search_by_key(&zone, |(zone, _)| *zone);
        found.map_or(&[], |index| &self.0[index].1)
    }

    pub(crate) fn all(&self) -> &[(u32, Vec<Id>)] {
        &self.0
    }
}

/// Gives texts small numbers in order of appearance.
#[derive(Default)]
struct Interner<'a> {
    known: HashMap<&'a str, u32>,
    next: u32,
}

impl<'a> Interner<'a> {
    fn id(&mut self, text: &'a str) -> u32 {
        if let Some(id) = self.known.get(text) {
            return *id;
        }
        let id = self.fresh();
        self.known.insert(text, id);
        id
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }
}
