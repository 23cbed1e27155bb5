//! Backups: who stands in for a parent.
//!
//! A backup comes from a higher tier, so it is never a descendant, and shares neither zone nor host with the parent
//! where the graph allows; the last one is a sibling with another parent. A previous backup stays while none of a better
//! kind exists and none is nearer by more than the hysteresis. New ones are spread by hash, so that the children of a
//! dead parent do not all meet at one member.

use crate::Rules;
use crate::cost::{Cost, worth};
use crate::graph::{Graph, Id};
use crate::plan::{Backup, BackupKind, Home};
use crate::slots::Slots;

/// Ranked backups of every relay, by index; empty for roots.
pub(crate) fn rank(
    graph: &Graph,
    slots: &Slots<'_>,
    rules: &Rules,
    previous: &[Option<&Home>],
) -> Vec<Vec<Backup>> {
    let mut ranked = vec![Vec::new(); graph.len() as usize];
    for relay in graph.below_roots() {
        let Some(parent) = slots.parent(relay) else {
            continue;
        };
        let old: Vec<Id> = previous[relay as usize]
            .iter()
            .flat_map(|home| &home.backups)
            .filter_map(|backup| graph.find(backup.member.as_str()))
            .collect();
        let seeker = Seeker {
            graph,
            slots,
            relay,
            parent,
            start: spread(graph.name(relay).as_str()),
        };
        ranked[relay as usize] = seeker.backups(rules, &old);
    }
    ranked
}

struct Seeker<'a> {
    graph: &'a Graph,
    slots: &'a Slots<'a>,
    relay: Id,
    parent: Id,
    /// Where the walk over members starts, so that relays spread.
    start: u64,
}

/// A possible backup; smaller is better.
type Found = (BackupKind, Cost, Id);

impl Seeker<'_> {
    fn backups(&self, rules: &Rules, old: &[Id]) -> Vec<Backup> {
        let mut chosen: Vec<Found> = Vec::with_capacity(rules.backups + 1);
        while chosen.len() < rules.backups {
            let Some(fresh) = self.best(&chosen) else {
                break;
            };
            let kept = old
                .iter()
                .filter_map(|id| self.found(*id))
                .filter(|found| !taken(&chosen, found.2))
                .min();
            let gain = Cost::from(rules.minimum_gain_us);
            chosen.push(match kept {
                Some(kept)
                    if kept.0 <= fresh.0
                        && !worth(kept.1, fresh.1, rules.hysteresis_percent, gain) =>
                {
                    kept
                }
                _ => fresh,
            });
        }
        chosen.sort_unstable();
        let sibling = old
            .iter()
            .find_map(|id| self.sibling(*id))
            .or_else(|| self.any_sibling());
        let all = chosen.into_iter().chain(sibling);
        all.map(|(kind, cost_us, id)| Backup {
            member: self.graph.name(id).clone(),
            cost_us,
            basis: self.graph.basis(self.relay, id),
            kind,
        })
        .collect()
    }

    /// The best member of a higher tier that is not chosen yet.
    fn best(&self, chosen: &[Found]) -> Option<Found> {
        let measured = self
            .graph
            .links(self.relay)
            .iter()
            .filter_map(|(id, _)| self.found(*id));
        let measured = measured.filter(|found| !taken(chosen, found.2)).min();
        let kinds = [
            BackupKind::OtherZone,
            BackupKind::OtherHost,
            BackupKind::SameHost,
        ];
        kinds.into_iter().find_map(|kind| {
            let measured = measured.filter(|found| found.0 == kind);
            [measured, self.walk(kind, chosen)]
                .into_iter()
                .flatten()
                .min_by_key(|found| (found.0, found.1))
        })
    }

    /// The nearest unmeasured member of one kind: nearest tier first, own zone first, then zones and members in an
    /// order of the relay's own.
    fn walk(&self, kind: BackupKind, chosen: &[Found]) -> Option<Found> {
        let graph = self.graph;
        let own = graph.zone(self.relay);
        let avoided = graph.zone(self.parent);
        let fits = |id: &Id| {
            !graph.is_known(self.relay, *id)
                && !taken(chosen, *id)
                && self.found(*id).is_some_and(|found| found.0 == kind)
        };
        for tier in (0..graph.tier(self.relay)).rev() {
            let zones = graph.zones(tier);
            let inside = |members: &[Id]| rotated(members, self.start >> 32).copied().find(fits);
            let id = if kind == BackupKind::OtherZone {
                let near = (own != avoided)
                    .then(|| inside(zones.members(own)))
                    .flatten();
                let others = rotated(zones.all(), self.start)
                    .filter(|(zone, _)| *zone != avoided && *zone != own);
                near.or_else(|| others.into_iter().find_map(|(_, members)| inside(members)))
            } else {
                inside(zones.members(avoided))
            };
            if let Some(id) = id {
                return self.found(id);
            }
        }
        None
    }

    /// A higher member as a backup, if it can be one.
    fn found(&self, id: Id) -> Option<Found> {
        let graph = self.graph;
        let above =
            graph.tier(id) < graph.tier(self.relay) && id != self.parent && graph.fan_out(id) > 0;
        let cost = graph.cost(self.relay, id).filter(|_| above)?;
        let kind = if graph.host(id) == graph.host(self.parent) {
            BackupKind::SameHost
        } else if graph.zone(id) == graph.zone(self.parent) {
            BackupKind::OtherHost
        } else {
            BackupKind::OtherZone
        };
        Some((kind, cost, id))
    }

    /// A relay of the same tier as a last resort, if it would not be an orphan of the same death.
    fn sibling(&self, id: Id) -> Option<Found> {
        let graph = self.graph;
        let fits = id != self.relay
            && graph.tier(id) == graph.tier(self.relay)
            && self
                .slots
                .parent(id)
                .is_some_and(|parent| parent != self.parent);
        let cost = graph.cost(self.relay, id).filter(|_| fits)?;
        Some((BackupKind::Sibling, cost, id))
    }

    /// Own zone first; among others as the walk goes. Only so many are looked at, as most relays have other parents.
    fn any_sibling(&self) -> Option<Found> {
        const LOOKED_AT: usize = 64;
        let tier = self.graph.tier(self.relay);
        let zones = self.graph.zones(tier);
        let own = rotated(zones.members(self.graph.zone(self.relay)), self.start).take(LOOKED_AT);
        let zones = rotated(zones.all(), self.start).take(LOOKED_AT);
        let others = zones.filter_map(|(_, members)| rotated(members, self.start >> 32).next());
        own.chain(others).find_map(|id| self.sibling(*id))
    }
}

fn taken(chosen: &[Found], id: Id) -> bool {
    chosen.iter().any(|found| found.2 == id)
}

/// All items, beginning at `start` modulo their number.
fn rotated<T>(items: &[T], start: u64) -> impl Iterator<Item = &T> {
    let begin = if items.is_empty() {
        0
    } else {
        (start % items.len() as u64) as usize
    };
    items[begin..].iter().chain(&items[..begin])
}

/// A number of the name's own: FNV-1a through the finaliser of SplitMix64, the same on every machine.
fn spread(name: &str) -> u64 {
    let mut hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
