//! Plans from reports: what each member is told, and how gently that changes.
//!
//! Everyone begins with the parents it reports, else with those of its static configuration, and who
//! is fed stays there until the control plane has heard for a while and the world then changes: one
//! that starts anew moves nobody. From then on the planner is asked again when what
//! members report has changed: it is given where everyone *is*, and its answer is approached in
//! rounds. A round moves few relays that work where they are ([`most_moves`]); orphans have moved
//! already and are only told that it is well. The next round waits until this one is carried out.
//! When the planner finds no tree, the last plan stands.

mod outlook;
mod steps;

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_planner as planner;
use banyan_proto::v1;

use self::outlook::Outlook;
use self::steps::Move;
use crate::roster::{Role, Roster};

/// What is known of one relay at a tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its last report counts.
    pub(super) ready: bool,
    /// Children may be planned below it.
    pub(super) serves: bool,
    /// It is given no child more: it turned somebody away lately, or is not heard.
    pub(super) refusing: bool,
    /// Who feeds it, track by track.
    pub(super) feeders: Vec<String>,
    /// Its parents were given by hand, these: it is told no others.
    pub(super) fixed: Option<Vec<String>>,
    /// The plan it answered last.
    pub(super) acked: Option<(u64, u64)>,
}

/// Everything that was told, and the round under way.
#[derive(Debug, Default)]
pub(super) struct Planning {
    term: u64,
    /// Grows with every change of anybody's configuration.
    version: u64,
    /// Relays, fan-outs and prior costs; none for a topology whose parents are fixed.
    base: Option<planner::Input>,
    tiers: BTreeMap<String, u32>,
    addresses: Addresses,
    told: BTreeMap<String, Told>,
    round: Option<Round>,
    /// Where everyone was at the last tick.
    homes: BTreeMap<String, String>,
    /// Members that a child left without being told to, and when.
    left: BTreeMap<String, Duration>,
    /// What the last plan was made from.
    outlook: Option<Outlook>,
    /// Moves that the last round had no room for.
    waiting: usize,
    /// Moves that were planned and not carried out: taken for impossible for a while.
    failed: BTreeMap<(String, String), Duration>,
    next: Duration,
    rounds: u64,
    moves: u64,
    problem: Option<String>,
    /// Members were told that it is well where they are; where they belong comes next.
    again: bool,
}

#[derive(Debug)]
struct Told {
    config: v1::Config,
    version: u64,
    /// Whether the member has been heard, so that what it is told is what it does already.
    adopted: bool,
}

#[derive(Debug)]
struct Round {
    /// Who moves, to whom, told with which version.
    movers: Vec<(String, String, u64)>,
    until: Duration,
}

/// The planner's work in figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Progress {
    /// Of the newest plan of anybody.
    pub version: u64,
    /// Rounds that changed something.
    pub rounds: u64,
    /// Relays whose first parent a round changed while the old one still served.
    pub moves: u64,
    /// Moves that wait for a later round.
    pub waiting: usize,
    /// Why the last plan stands although the world changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Planning {
    pub(super) fn new(roster: &Roster, term: u64) -> Self {
        let mut planning = Self {
            term,
            version: 1,
            ..Self::default()
        };
        planning.follow(roster);
        planning
    }

    /// The roster may have changed. Who stays keeps the parents that stay.
    pub(super) fn follow(&mut self, roster: &Roster) {
        let first = self.told.is_empty();
        self.base.clone_from(&roster.plan);
        if let Some(base) = &mut self.base {
            base.rules.balance = true;
            base.rules.minimum_gain_us = base.rules.minimum_gain_us.max(WORTHWHILE_US);
        }
        let relays = self.base.iter().flat_map(|base| &base.relays);
        self.tiers = relays.map(|r| (r.name.clone(), r.tier)).collect();
        self.addresses = Addresses::of(roster);
        let mut before = std::mem::take(&mut self.told);
        let mut version = self.version;
        for entry in &roster.members {
            let mut config = entry.config.clone();
            let old = before.remove(&entry.name);
            let managed = self.tiers.contains_key(&entry.name);
            if let Some(old) = old.as_ref().filter(|_| managed) {
                let kept: Vec<v1::Peer> = old
                    .config
                    .parents
                    .iter()
                    .filter_map(|peer| self.addresses.peer(&entry.name, &peer.name))
                    .collect();
                if !kept.is_empty() {
                    config.parents = kept;
                }
            }
            let told = match old {
                Some(old) if old.config == config => old,
                old => {
                    if !first {
                        version += 1;
                    }
                    Told {
                        config,
                        version,
                        adopted: old.map_or(!managed || entry.role == Role::Root, |o| o.adopted),
                    }
                }
            };
            self.told.insert(entry.name.clone(), told);
        }
        self.version = version;
        let tiers = &self.tiers;
        self.failed
            .retain(|(relay, to), _| tiers.contains_key(relay) && tiers.contains_key(to));
        self.outlook = None;
    }

    /// The configuration for a Welcome: none while it could contradict what the member does.
    pub(super) fn welcome(&self, member: &str) -> Option<v1::Config> {
        let told = self.told.get(member).filter(|told| told.adopted)?;
        Some(told.config.clone())
    }

    /// The configuration that a member has or is to start with.
    pub(super) fn told(&self, member: &str) -> Option<&v1::Config> {
        self.told.get(member).map(|told| &told.config)
    }

    /// Term and version of what a member is to know.
    pub(super) fn due(&self, member: &str) -> Option<(u64, u64)> {
        let told = self.told.get(member).filter(|told| told.adopted)?;
        Some((self.term, told.version))
    }

    /// The plan for a member.
    pub(super) fn plan(&self, member: &str) -> Option<v1::Plan> {
        let told = self.told.get(member).filter(|told| told.adopted)?;
        Some(v1::Plan {
            term: self.term,
            version: told.version,
            config: Some(told.config.clone()),
        })
    }

    /// Ranked parents as told, for display.
    pub(super) fn parents(&self, member: &str) -> Vec<String> {
        let told = self.told.get(member);
        let peers = told.into_iter().flat_map(|told| &told.config.parents);
        peers.map(|peer| peer.name.clone()).collect()
    }

    /// The parent that a member was told to take first.
    fn first(&self, member: &str) -> Option<&str> {
        let first = self.told.get(member)?.config.parents.first()?;
        Some(first.name.as_str())
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            version: self.version,
            rounds: self.rounds,
            moves: self.moves,
            waiting: self.waiting,
            problem: self.problem.clone(),
        }
    }

    pub(super) fn tier(&self, member: &str) -> Option<u32> {
        self.tiers.get(member).copied()
    }

    /// A member speaks for the first time: the parents it has are taken as if they had been told.
    pub(super) fn adopt(&mut self, member: &str, parents: &[String]) {
        let Some(tier) = self.tier(member) else {
            return;
        };
        let fits =
            |name: &String| name != member && self.tier(name).is_some_and(|above| above <= tier);
        let first_is_above = parents
            .first()
            .and_then(|name| self.tier(name))
            .is_some_and(|above| above < tier);
        let usable = first_is_above && parents.iter().all(fits);
        let peers = usable.then(|| -> Vec<v1::Peer> {
            let known = parents.iter();
            known
                .filter_map(|name| self.addresses.peer(member, name))
                .collect()
        });
        let Some(told) = self.told.get_mut(member).filter(|told| !told.adopted) else {
            return;
        };
        told.adopted = true;
        if let Some(peers) = peers.filter(|peers| *peers != told.config.parents) {
            told.config.parents = peers;
            self.version += 1;
            told.version = self.version;
        }
    }

    /// Plans anew if it is time and something changed; whether anybody is to be told something.
    /// While it is `settling`, nobody is moved whose parent serves.
    pub(super) fn tick(
        &mut self,
        seen: &BTreeMap<String, Seen>,
        links: &[planner::Link],
        settling: bool,
        at: Duration,
    ) -> bool {
        let Some(homes) = self.homes(seen) else {
            return false;
        };
        self.notice_flights(homes, at);
        if at < self.next || !self.is_round_over(seen, at) {
            return false;
        }
        self.failed.retain(|_, until| at < *until);
        let Some(outlook) = self.look(seen, links) else {
            return false;
        };
        if self.outlook.as_ref() == Some(&outlook) && !self.again {
            return false;
        }
        self.again = false;
        self.next = at + PACE;
        let target = self.target(&outlook);
        let changed = match target {
            Ok(target) => {
                self.problem = None;
                let most = match settling {
                    true => 0,
                    false => most_moves(outlook.homes.len()),
                };
                self.approach(&target, &outlook, seen, most, at)
            }
            Err(error) => {
                self.problem = Some(error.to_string());
                self.waiting = 0;
                false
            }
        };
        self.outlook = Some(outlook);
        changed
    }

    /// Whether the last round was carried out by all who can, or had its time.
    fn is_round_over(&mut self, seen: &BTreeMap<String, Seen>, at: Duration) -> bool {
        let Some(round) = &self.round else {
            return true;
        };
        let open = |(relay, to, version): &&(String, String, u64)| {
            seen.get(relay).is_some_and(|seen| {
                let answered = seen.acked >= Some((self.term, *version));
                let fed = seen.feeders.is_empty() || seen.feeders.contains(to);
                seen.ready && !(answered && fed)
            })
        };
        let left: Vec<_> = round.movers.iter().filter(open).collect();
        if !left.is_empty() && at < round.until {
            return false;
        }
        for (relay, to, _) in left {
            let link = (relay.clone(), to.clone());
            self.failed.insert(link, at + FAILED_FOR);
        }
        self.round = None;
        true
    }

    /// Where every relay is.
    fn homes(&self, seen: &BTreeMap<String, Seen>) -> Option<BTreeMap<String, String>> {
        let relays = self.base.as_ref()?.relays.iter();
        let below = relays.filter(|relay| relay.tier > 0);
        let homes = below.filter_map(|relay| {
            let home = self.home(&relay.name, relay.tier, seen.get(&relay.name))?;
            Some((relay.name.clone(), home))
        });
        Some(homes.collect())
    }

    /// Who left a parent without being told knows something of it that control will hear later.
    fn notice_flights(&mut self, homes: BTreeMap<String, String>, at: Duration) {
        self.left
            .retain(|_, since| at.saturating_sub(*since) <= SUSPECTED_FOR);
        for (relay, home) in &homes {
            let told = self.told.get(relay).map(|told| &told.config.parents);
            let first = told.and_then(|parents| parents.first());
            if let Some(old) = self.homes.get(relay).filter(|old| *old != home)
                && first.is_none_or(|first| first.name != *home)
            {
                self.left.insert(old.clone(), at);
            }
        }
        self.homes = homes;
    }

    /// Where a relay is: below who feeds most of its tracks, else where it was told to be.
    fn home(&self, relay: &str, tier: u32, seen: Option<&Seen>) -> Option<String> {
        let told = &self.told.get(relay)?.config.parents.first()?.name;
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for feeder in seen.into_iter().flat_map(|seen| &seen.feeders) {
            if self.tier(feeder).is_some_and(|above| above < tier) {
                *votes.entry(feeder).or_default() += 1;
            }
        }
        let best = votes
            .into_iter()
            .max_by_key(|(name, count)| (*count, *name == told, std::cmp::Reverse(*name)));
        Some(best.map_or(told, |(name, _)| name).clone())
    }

    /// The best plan near to where everyone is. Slots of the absent are given away only in need.
    fn target(&self, outlook: &Outlook) -> Result<planner::Plan, planner::PlanError> {
        let previous = self.previous(&outlook.homes);
        planner::plan(&outlook.input, Some(&previous)).or_else(|error| {
            if outlook.absent.is_empty() {
                return Err(error);
            }
            let mut present = outlook.input.clone();
            let gone = |name: &String| outlook.absent.contains(name);
            present.relays.retain(|relay| !gone(&relay.name));
            present.links.retain(|l| !gone(&l.from) && !gone(&l.to));
            planner::plan(&present, Some(&previous)).map_err(|_| error)
        })
    }

    fn previous(&self, homes: &BTreeMap<String, String>) -> planner::Plan {
        let basis = planner::Basis {
            measured: false,
            skipped_tiers: 0,
        };
        let homes = homes.iter().map(|(relay, home)| {
            let told = self.told.get(relay);
            let ranked = told.into_iter().flat_map(|told| &told.config.parents);
            let backups = ranked
                .filter(|peer| peer.name != *home)
                .map(|peer| planner::Backup {
                    member: planner::Name::from(peer.name.as_str()),
                    cost_us: 0,
                    basis,
                    kind: planner::BackupKind::OtherZone,
                })
                .collect();
            let home = planner::Home {
                parent: planner::Name::from(home.as_str()),
                cost_us: 0,
                basis,
                choice: planner::Choice::Nearest,
                backups,
            };
            (planner::Name::from(relay.as_str()), home)
        });
        planner::Plan {
            homes: homes.collect(),
            trees: BTreeMap::new(),
        }
    }

    /// One round towards `target`, of at most so many moves of those who could stay.
    fn approach(
        &mut self,
        target: &planner::Plan,
        outlook: &Outlook,
        seen: &BTreeMap<String, Seen>,
        most: usize,
        at: Duration,
    ) -> bool {
        let serves = |name: &str| seen.get(name).is_none_or(|seen| seen.serves);
        let is_ready = |name: &str| {
            let seen = seen.get(name);
            seen.is_some_and(|seen| seen.ready && seen.fixed.is_none())
        };
        let mut load: BTreeMap<&str, u32> = BTreeMap::new();
        for home in outlook.homes.values() {
            *load.entry(home).or_default() += 1;
        }
        let room: BTreeMap<&str, u32> = outlook
            .input
            .relays
            .iter()
            .map(|relay| (relay.name.as_str(), relay.fan_out))
            .collect();
        let wanted: Vec<Move<'_>> = target
            .homes
            .iter()
            .filter_map(|(relay, home)| {
                let from = outlook.homes.get(relay.as_str())?.as_str();
                (from != home.parent.as_str() && is_ready(relay.as_str())).then(|| Move {
                    relay: relay.as_str(),
                    from,
                    to: home.parent.as_str(),
                    urgent: !serves(from),
                })
            })
            .collect();
        let over = load
            .iter()
            .filter(|(name, load)| room.get(*name) < Some(*load));
        let over: Vec<&str> = over.map(|(name, _)| *name).collect();
        // Who repaired by itself is told first that it is well: a member moves for a new first
        // parent, and a plan that crosses a repair on its way must not undo it.
        let known = |m: &&Move<'_>| m.urgent || self.first(m.relay) == Some(m.from);
        let moves: Vec<Move<'_>> = wanted.iter().filter(known).copied().collect();
        let chosen = steps::choose(&moves, load, &room, most);
        let again = match most {
            // What a control plane finds it leaves alone, but for members that feed too many.
            0 => over.iter().any(|name| serves(name)),
            _ => moves.len() < wanted.len(),
        };
        let calm = wanted.iter().filter(|m| !m.urgent).count();
        let made = chosen.values().filter(|m| !m.urgent).count();
        self.waiting = calm - made;

        let mut movers = Vec::new();
        let mut changed = false;
        for (relay, home) in &target.homes {
            let relay = relay.as_str();
            let Some(now_at) = outlook.homes.get(relay).filter(|_| is_ready(relay)) else {
                // Nobody is told things behind its back: it would jump when it returns.
                continue;
            };
            let first = chosen.get(relay).map_or(now_at.as_str(), |m| m.to);
            let backups = home.backups.iter().map(|backup| backup.member.as_str());
            let ranked = std::iter::once(first).chain(
                std::iter::once(home.parent.as_str())
                    .chain(backups)
                    .filter(|name| *name != first),
            );
            let peers: Vec<v1::Peer> = ranked
                .filter_map(|name| self.addresses.peer(relay, name))
                .collect();
            let Some(told) = self.told.get_mut(relay) else {
                continue;
            };
            if peers.is_empty() || told.config.parents == peers {
                continue;
            }
            let moved = told.config.parents.first() != peers.first() && first != now_at;
            told.config.parents = peers;
            self.version += 1;
            told.version = self.version;
            changed = true;
            if moved {
                movers.push((relay.to_owned(), first.to_owned(), self.version));
            }
        }
        self.again = again;
        self.rounds += u64::from(changed);
        self.moves += made as u64;
        self.round = (!movers.is_empty()).then_some(Round {
            movers,
            until: at + ROUND_PATIENCE,
        });
        changed
    }
}

/// Relays that may be moved in one round although they work where they are. A move is two
/// subscriptions for a moment: a tenth at a time, nobody's uplink doubles.
pub(super) fn most_moves(relays: usize) -> usize {
    (relays / 10).max(1)
}

/// How members reach each other.
#[derive(Debug, Default)]
struct Addresses {
    common: BTreeMap<String, String>,
    own: BTreeMap<String, BTreeMap<String, String>>,
}

impl Addresses {
    fn of(roster: &Roster) -> Self {
        let entries = roster.members.iter();
        let own = entries.clone().filter(|entry| !entry.dials.is_empty());
        Self {
            common: entries.map(|e| (e.name.clone(), e.grpc.clone())).collect(),
            own: own.map(|e| (e.name.clone(), e.dials.clone())).collect(),
        }
    }

    /// `name` as `member` reaches it.
    fn peer(&self, member: &str, name: &str) -> Option<v1::Peer> {
        let common = self.common.get(name)?;
        let own = self.own.get(member).and_then(|dials| dials.get(name));
        Some(v1::Peer {
            name: name.to_owned(),
            uri: own.unwrap_or(common).clone(),
        })
    }
}

/// Reports come every second: twice that shows what the last round did.
const PACE: Duration = Duration::from_secs(2);
/// Make-before-break takes a segment or two; who has not moved by now cannot.
const ROUND_PATIENCE: Duration = Duration::from_secs(15);
/// A parent that was left unasked is given nobody for so long: longer than it takes to call it lost.
const SUSPECTED_FOR: Duration = Duration::from_secs(8);
/// What running members are not moved for: a viewer cannot tell five milliseconds.
const WORTHWHILE_US: u32 = 5_000;
/// A move that failed is not asked for again before this.
const FAILED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
