//! What must hold, looked at from outside: calls, stores, viewers, and reasons given for switches.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::fault::{Fault, Touch};
use super::viewer::Viewer;
use super::world::{REPAIR, World};
use crate::clock::Instant;
use crate::testing::{EPOCH, STREAM, VIDEO};

/// A circle of two that think of each other as parents is found out within a round of keep-alives
/// and the repair of both.
const CIRCLE: Duration = Duration::from_secs(3);

/// After this long without any fault nobody has a reason to move, but for a carrier's return.
const QUIET: Duration = Duration::from_secs(15);

/// A returned carrier, or a parent of the plan, is joined this long after it came back, at the latest:
/// whoever failed three times in a minute is in quarantine for 45 s first, then has to be stable.
const RETURN: Duration = Duration::from_secs(75);

#[derive(Clone, Debug)]
struct Past {
    fault: Fault,
    began: Instant,
    ended: Option<Instant>,
    /// Members whose path led over it when it began.
    affected: usize,
    /// The ones fed over it directly.
    children: BTreeSet<String>,
    apart: bool,
}

impl Past {
    /// It was on, or had its effects, between `since` and now.
    fn within(&self, since: Instant) -> bool {
        self.ended.is_none_or(|ended| ended >= since)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Switch {
    at: Instant,
    member: String,
    from: String,
    to: String,
    cause: String,
}

impl std::fmt::Display for Switch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Switch {
            member,
            from,
            to,
            cause,
            ..
        } = self;
        write!(f, "{member} moved from {from} to {to}: {cause}")
    }
}

/// A member's store at the last look.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tip {
    session: (u32, usize),
    ordinal: u64,
    chunks: u64,
}

#[derive(Default)]
pub(super) struct Checks {
    past: Vec<Past>,
    pub(super) switched: Vec<Switch>,
    judged: usize,
    tips: HashMap<String, Tip>,
    /// The newest position of every call.
    calls: HashMap<u64, (u64, u32)>,
    crossed: usize,
    /// Events read of every member, by its start.
    read: HashMap<(String, u32), usize>,
    circle: Option<Instant>,
    orphans: bool,
    broken: Option<String>,
}

fn fail<T>(text: String) -> Result<T, String> {
    Err(text)
}

impl Checks {
    /// Notes a fault that began or ended.
    pub(super) fn fault(&mut self, touch: Touch, world: &World) {
        let now = Instant::now();
        if touch.over {
            let known = self.past.iter_mut().rev();
            for past in known.filter(|past| past.fault == touch.fault && past.ended.is_none()) {
                past.ended = Some(now);
            }
            return;
        }
        let mut affected = 0;
        let mut children = BTreeSet::new();
        for member in world.members() {
            let Some((parent, path)) = world.hop(member) else {
                continue;
            };
            let over = path
                .windows(2)
                .any(|hop| touch.fault.is_on_hop(&hop[0], &hop[1]));
            affected += usize::from(over);
            if parent.is_some_and(|parent| touch.fault.is_on_hop(&parent, member)) {
                children.insert(member.clone());
            }
        }
        // Whoever is fed over it can find another feeder by itself, or its children must move too.
        let can_repair = children.iter().all(|child| {
            let others = match world.parents.get(child) {
                Some(ranked) => ranked,
                None => &world.origins,
            };
            let parent = world.hop(child).and_then(|hop| hop.0);
            touch.fault != Fault::Plan(child.clone())
                && others.iter().any(|other| Some(other) != parent.as_ref())
        });
        let apart = can_repair
            && self.past.iter().all(|past| {
                past.ended
                    .is_some_and(|ended| now.saturating_duration_since(ended) > QUIET)
            });
        for past in &mut self.past {
            let since = now.saturating_duration_since(past.began);
            past.apart &= past.ended.is_some() && since > QUIET;
        }
        self.past.push(Past {
            fault: touch.fault,
            began: now,
            ended: None,
            affected,
            children,
            apart,
        });
    }

    /// Switches since the last look.
    pub(super) fn switches(&mut self, world: &World) -> Vec<Switch> {
        let known = self.switched.len();
        let clock = world.overlay.net.clock();
        for member in world.members() {
            let boot = world.boots.get(member).copied().unwrap_or_default();
            let events = world.overlay.members[member].recorder().events();
            let read = self.read.entry((member.clone(), boot)).or_default();
            for event in &events[*read..] {
                let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
                match event["event"].as_str().unwrap_or_default() {
                    "parent_switched" => {
                        let ago = clock.unix_ms() - event["unix_ms"].as_u64().unwrap_or_default();
                        self.switched.push(Switch {
                            at: Instant::now() - Duration::from_millis(ago),
                            member: member.clone(),
                            from: text("from"),
                            to: text("to"),
                            cause: text("cause"),
                        });
                    }
                    "gap" => {
                        self.broken
                            .get_or_insert(format!("{member} was told of a gap: {event}"));
                    }
                    _ => {}
                }
            }
            *read = events.len();
        }
        self.switched[known..].to_vec()
    }

    pub(super) fn step(&mut self, world: &World) -> Result<(), String> {
        self.orphans = world.orphans;
        self.switches(world);
        if let Some(broken) = &self.broken {
            return fail(broken.clone());
        }
        self.one_copy_per_call(world)?;
        self.positions(world)?;
        self.no_circle(world)?;
        self.causes()?;
        self.bounded()?;
        viewers(world)
    }

    fn one_copy_per_call(&mut self, world: &World) -> Result<(), String> {
        let crossed = world.overlay.net.crossed_since(self.crossed);
        self.crossed += crossed.len();
        for c in crossed.iter().filter(|c| !c.fetched) {
            let at = (c.number, c.part);
            if let Some(last) = self.calls.insert(c.call, at)
                && at <= last
            {
                let (from, to) = (&c.from, &c.to);
                return fail(format!(
                    "{from} sent {at:?} to {to} after {last:?}, in one call"
                ));
            }
        }
        Ok(())
    }

    /// What a store took since the last look is exactly what lies between its heads.
    fn positions(&mut self, world: &World) -> Result<(), String> {
        for member in world.members() {
            let core = &world.overlay.members[member];
            let Some(track) = core.find_track(STREAM, VIDEO) else {
                continue;
            };
            let boot = world.boots.get(member).copied().unwrap_or_default();
            let events = core.recorder().events();
            let ended = events.iter().filter(|e| e["event"] == "unsubscribed");
            let session = (boot, ended.count());
            let state = track.lock();
            let Some(tip) = state.store.tip().filter(|tip| tip.received) else {
                continue;
            };
            let now = Tip {
                session,
                ordinal: (tip.at.number - EPOCH) * 6 + u64::from(tip.at.part),
                chunks: state.chunks_in,
            };
            let Some(before) = self.tips.insert(member.clone(), now) else {
                continue;
            };
            if before.session != session {
                continue;
            }
            let moved = now.ordinal.checked_sub(before.ordinal);
            if moved != Some(now.chunks - before.chunks) {
                return fail(format!(
                    "{member} took {} chunks, and its head moved by {moved:?}",
                    now.chunks - before.chunks
                ));
            }
        }
        Ok(())
    }

    fn no_circle(&mut self, world: &World) -> Result<(), String> {
        let mut parents = BTreeMap::new();
        for member in world.members().filter(|member| world.is_alive(member)) {
            let Some((parent, path)) = world.hop(member) else {
                continue;
            };
            let distinct: BTreeSet<&String> = path.iter().collect();
            if distinct.len() != path.len() {
                return fail(format!("{member} accepted the path {path:?}"));
            }
            if let Some(parent) = parent {
                parents.insert(member.clone(), parent);
            }
        }
        let circle = parents.keys().find(|start| {
            let mut at = *start;
            for _ in 0..=parents.len() {
                match parents.get(at) {
                    Some(parent) if parent == *start => return true,
                    Some(parent) => at = parent,
                    None => return false,
                }
            }
            false
        });
        let now = Instant::now();
        match circle {
            None => self.circle = None,
            Some(member) => {
                let since = *self.circle.get_or_insert(now);
                if now.saturating_duration_since(since) > CIRCLE {
                    return fail(format!("{member} feeds itself: {parents:?}"));
                }
            }
        }
        Ok(())
    }

    /// Every switch since the last look had a reason that was real.
    fn causes(&mut self) -> Result<(), String> {
        let from = std::mem::replace(&mut self.judged, self.switched.len());
        for switch in &self.switched[from..] {
            let since = |ago: Duration| switch.at.checked_sub(ago).unwrap_or(switch.at);
            let any = |ago: Duration, test: &dyn Fn(&Fault) -> bool| {
                let mut past = self.past.iter();
                past.any(|past| past.within(since(ago)) && test(&past.fault))
            };
            let Switch { member, from, .. } = switch;
            let real = match switch.cause.as_str() {
                "HopSilent" => any(REPAIR, &|fault| fault.is_on_hop(from, member)),
                // A parent that lost its own path for too long ends the call.
                "ConnectionLost" => any(2 * REPAIR, &|fault| {
                    !matches!(fault, Fault::Slow(..)) || fault.is_on_hop(from, member)
                }),
                "GoAway" => any(4 * REPAIR, &|fault| *fault == Fault::Drain(from.clone())),
                "HeartbeatLost" => any(2 * REPAIR, &|fault| fault.concerns(from)),
                "MediaStalled" => any(2 * REPAIR, &|fault| {
                    *fault == Fault::Stall(from.clone()) || fault.is_on_hop(from, member)
                }),
                // By a plan, or home from whoever took it in.
                "Planned" => {
                    any(RETURN, &|fault| *fault == Fault::Plan(member.clone()))
                        || self.orphans && any(RETURN, &|_| true)
                }
                // The carrier was in trouble, or this root was, or the content server that it pulls
                // from meanwhile; or it had left the carrier for a reason, which was judged then: a
                // root whose carrier had nothing to give helps itself.
                "CarrierReturned" => {
                    let left = |before: &Switch| {
                        before.member == *member
                            && before.from == switch.to
                            && (since(RETURN)..switch.at).contains(&before.at)
                    };
                    self.switched.iter().any(left)
                        || any(RETURN, &|fault| {
                            fault.concerns(&switch.to)
                                || fault.concerns(member)
                                || fault.concerns(from)
                        })
                }
                "ParentRepairing" | "PathLoop" | "NotHere" | "Unready" => any(QUIET, &|_| true),
                _ => false,
            };
            if !real {
                return fail(format!("{switch}: nothing was the matter"));
            }
        }
        Ok(())
    }

    /// Few moves, and for a fault by itself only by those who are fed over it.
    fn bounded(&self) -> Result<(), String> {
        let allowed: usize = self.past.iter().map(|past| 2 * past.affected + 2).sum();
        if self.switched.len() > allowed {
            let (moves, faults) = (self.switched.len(), self.past.len());
            return fail(format!(
                "{moves} moves for {faults} faults, {allowed} at most"
            ));
        }
        for past in self.past.iter().filter(|past| past.apart) {
            for switch in &self.switched {
                let after = switch.at.saturating_duration_since(past.began);
                if switch.at >= past.began
                    && after < QUIET
                    && !["CarrierReturned", "Planned"].contains(&switch.cause.as_str())
                    && !past.children.contains(&switch.member)
                    && !matches!(past.fault, Fault::RootsApart | Fault::Slow(..))
                {
                    return fail(format!(
                        "{switch}, after {:?} alone, which fed {:?}",
                        past.fault, past.children
                    ));
                }
            }
        }
        Ok(())
    }

    /// All is well again: whoever is watched flows, near the clock.
    pub(super) fn end(&self, world: &World) -> Result<(), String> {
        let (number, _) = world.overlay.origins[&world.origins[0]].position();
        for viewer in &world.viewers {
            let (edge, since) = (&viewer.edge, viewer.since.elapsed());
            let next = viewer.next();
            if since > 2 * REPAIR && next.is_none_or(|next| next + 1 < number) {
                return fail(format!(
                    "at the end a viewer at {edge} waits for {next:?} of {number}"
                ));
            }
        }
        for member in world.members() {
            let Some((parent, path)) = world.hop(member) else {
                continue;
            };
            let core = &world.overlay.members[member];
            let track = core.find_track(STREAM, VIDEO).unwrap();
            let state = track.lock();
            let head = state.store.head().map_or(0, |head| head.number);
            let label = state.label();
            if label != "flowing" || head + 1 < number {
                return fail(format!(
                    "at the end {member} is {label} at {head} of {number}, from {parent:?} by {path:?}"
                ));
            }
        }
        Ok(())
    }
}

fn viewers(world: &World) -> Result<(), String> {
    let trouble = |viewer: &Viewer| Some((viewer.edge.clone(), viewer.trouble()?));
    match world.viewers.iter().find_map(trouble) {
        Some((edge, trouble)) => fail(format!("a viewer at {edge}: {trouble}")),
        None => Ok(()),
    }
}
