//! What breaks, when, and for how long; never so much that an edge is left without a path.

use std::collections::BTreeSet;
use std::time::Duration;

use banyan_testbed::link::Change;
use rand::Rng;
use rand::rngs::StdRng;

use super::world::{REPAIR, World};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    Kill(String),
    Freeze(String),
    /// Told to go, and gone two seconds later.
    Drain(String),
    Cut(String, String),
    /// What the first sends does not reach the second.
    OneWay(String, String),
    Reset(String, String),
    /// What the first sends takes longer.
    Slow(String, String, Change),
    /// No root hears another.
    RootsApart,
    /// A content server lives and sends no media.
    Stall(String),
    /// Another order of its parents: no fault, but a move.
    Plan(String),
}

impl Fault {
    pub(super) fn concerns(&self, name: &str) -> bool {
        match self {
            Fault::Kill(a) | Fault::Freeze(a) | Fault::Drain(a) => a == name,
            Fault::Stall(a) | Fault::Plan(a) => a == name,
            Fault::Cut(a, b) | Fault::OneWay(a, b) | Fault::Reset(a, b) | Fault::Slow(a, b, ..) => {
                a == name || b == name
            }
            Fault::RootsApart => name.starts_with("root"),
        }
    }

    /// The hop from `parent` to `child` does not carry as it should.
    pub(super) fn is_on_hop(&self, parent: &str, child: &str) -> bool {
        match self {
            Fault::Kill(a) | Fault::Freeze(a) | Fault::Drain(a) => a == parent || a == child,
            Fault::Stall(a) => a == parent,
            Fault::Plan(a) => a == child,
            Fault::RootsApart => self.concerns(parent) && self.concerns(child),
            _ => self.concerns(parent) && self.concerns(child),
        }
    }

    /// A member that is of no use while it lasts.
    fn spoils(&self, name: &str) -> bool {
        match self {
            Fault::Kill(a) | Fault::Freeze(a) | Fault::Drain(a) | Fault::Stall(a) => a == name,
            _ => false,
        }
    }

    fn spoils_hop(&self, parent: &str, child: &str) -> bool {
        match self {
            Fault::Cut(..) | Fault::OneWay(..) | Fault::Slow(..) => self.is_on_hop(parent, child),
            _ => false,
        }
    }
}

/// A fault began, or was put right.
#[derive(Clone, Debug)]
pub(super) struct Touch {
    pub(super) fault: Fault,
    pub(super) over: bool,
}

/// Nobody may be fed for so long at most: well within what players have listed.
const OUTAGE: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Active {
    fault: Fault,
    ends: Duration,
    /// A drained member still has to go.
    goes: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Faults {
    /// When they begin, soonest last.
    due: Vec<Duration>,
    active: Vec<Active>,
    /// Put right a moment ago: whoever it was does not carry again yet.
    recovering: Vec<Active>,
    length: Duration,
    pub(super) count: usize,
}

impl Faults {
    /// One seed in eight has none, one in four a single one; the others one every few seconds.
    pub(super) fn random(rng: &mut StdRng) -> Faults {
        let mut due = Vec::new();
        let mut at = Duration::from_millis(rng.random_range(0..3000));
        let wanted = match rng.random_range(0..8) {
            0 => 0,
            1 | 2 => 1,
            _ => rng.random_range(2..=8),
        };
        for _ in 0..wanted {
            due.push(at);
            // Some come together, most apart.
            at += match rng.random_range(0..4) {
                0 => Duration::from_millis(rng.random_range(0..300)),
                1 => Duration::from_millis(rng.random_range(300..2000)),
                _ => Duration::from_millis(rng.random_range(2000..9000)),
            };
        }
        due.reverse();
        Faults {
            due,
            active: Vec::new(),
            recovering: Vec::new(),
            length: at + Duration::from_secs(12),
            count: 0,
        }
    }

    /// From the first to the end of the last.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Begins and ends what is due.
    pub(super) fn step(
        &mut self,
        rng: &mut StdRng,
        now: Duration,
        world: &mut World,
    ) -> Vec<Touch> {
        let mut touches = Vec::new();
        self.recovering
            .retain(|active| active.ends + 2 * REPAIR > now);
        for active in &mut self.active {
            if let (Some(goes), Fault::Drain(name)) = (active.goes, &active.fault)
                && goes <= now
            {
                active.goes = None;
                world.kill(name);
            }
        }
        let (over, active) = self.active.drain(..).partition(|active| active.ends <= now);
        self.active = active;
        let over: Vec<Active> = over;
        for active in over {
            end(&active.fault, world);
            touches.push(Touch {
                fault: active.fault.clone(),
                over: true,
            });
            self.recovering.push(active);
        }
        while self.due.last().is_some_and(|at| *at <= now) {
            self.due.pop();
            // A choice that would leave somebody without a path is made anew, a few times.
            let chosen = (0..10).find_map(|_| {
                let (fault, lasts) = choose(rng, world)?;
                if self.leaves_paths(&fault, world) {
                    return Some((fault, lasts));
                }
                // An outage that the window outlasts; one at a time.
                let alone = self.active.is_empty() && self.recovering.is_empty();
                (world.outages && alone).then_some((fault, lasts.min(OUTAGE)))
            });
            let Some((fault, lasts)) = chosen else {
                continue;
            };
            begin(&fault, world);
            self.count += 1;
            touches.push(Touch {
                fault: fault.clone(),
                over: false,
            });
            let drains = matches!(fault, Fault::Drain(_));
            self.active.push(Active {
                fault,
                ends: now + lasts,
                goes: drains.then(|| now + Duration::from_secs(2)),
            });
        }
        touches
    }

    /// With this fault too, every edge that lives has a path of members and links that are well.
    fn leaves_paths(&self, fault: &Fault, world: &World) -> bool {
        let faults: Vec<&Fault> = self
            .active
            .iter()
            .chain(&self.recovering)
            .map(|active| &active.fault)
            .chain([fault])
            .collect();
        let active = |name: &str| faults.iter().any(|fault| fault.spoils(name));
        let carries = |from: &str, to: &str| !faults.iter().any(|fault| fault.spoils_hop(from, to));
        let mut fed: BTreeSet<&str> = BTreeSet::new();
        for root in &world.roots {
            let mut origins = world.origins.iter();
            if !active(root) && origins.any(|o| !active(o) && carries(o, root)) {
                fed.insert(root);
            }
        }
        for member in world.relays.iter().chain(&world.edges) {
            // Roots take in whoever has nobody else.
            let also = if world.orphans { &world.roots[..] } else { &[] };
            let mut parents = world.parents[member].iter().chain(also);
            if !active(member) && parents.any(|p| fed.contains(p.as_str()) && carries(p, member)) {
                fed.insert(member);
            }
        }
        let mut needed = world.edges.iter().filter(|edge| !active(edge));
        needed.all(|edge| fed.contains(edge.as_str()))
    }
}

fn choose(rng: &mut StdRng, world: &World) -> Option<(Fault, Duration)> {
    let member = |rng: &mut StdRng| {
        let all: Vec<&String> = world.members().chain(&world.origins).collect();
        // Twice as often somebody who feeds others.
        let mut name = all[rng.random_range(0..all.len())];
        if name.starts_with("edge") {
            name = all[rng.random_range(0..all.len())];
        }
        name.clone()
    };
    let ms =
        |rng: &mut StdRng, from: u64, to: u64| Duration::from_millis(rng.random_range(from..to));
    let lasts = ms(rng, 800, 8000);
    Some(match rng.random_range(0..15) {
        0..=2 => (Fault::Kill(up(member(rng), world)?), lasts),
        3 => (Fault::Freeze(up(member(rng), world)?), ms(rng, 20, 280)),
        4 | 5 => (Fault::Freeze(up(member(rng), world)?), ms(rng, 300, 6000)),
        6 => {
            let name = up(member(rng), world)?;
            if world.origins.contains(&name) {
                return None;
            }
            (Fault::Drain(name), Duration::from_secs(2) + lasts)
        }
        7 => {
            let (parent, child) = hop(rng, world)?;
            (Fault::Cut(parent, child), lasts)
        }
        8 => {
            let (parent, child) = hop(rng, world)?;
            if rng.random_bool(0.6) {
                (Fault::OneWay(parent, child), lasts)
            } else {
                (Fault::OneWay(child, parent), lasts)
            }
        }
        9 => {
            let (parent, child) = hop(rng, world)?;
            (Fault::Reset(parent, child), Duration::ZERO)
        }
        10 => {
            let (parent, child) = hop(rng, world)?;
            let (least, varies) = (
                rng.random_range(0..300_000),
                rng.random_range(1000..400_000),
            );
            let change = Change {
                delay_us: Some(least + varies / 2),
                jitter_us: Some(varies / 2),
                ..Change::default()
            };
            (Fault::Slow(parent, child, change), lasts)
        }
        11 | 12 => {
            let name = world.origins[rng.random_range(0..world.origins.len())].clone();
            (Fault::Stall(up(name, world)?), lasts)
        }
        13 => (Fault::Plan(up(member(rng), world)?), Duration::ZERO),
        _ if world.roots.len() > 1 => (Fault::RootsApart, lasts),
        _ => return None,
    })
}

/// Only what is well can break.
fn up(name: String, world: &World) -> Option<String> {
    (world.is_alive(&name) && !world.leaving.contains(&name)).then_some(name)
}

/// A hop in use.
fn hop(rng: &mut StdRng, world: &World) -> Option<(String, String)> {
    let members: Vec<&String> = world.members().collect();
    let child = members[rng.random_range(0..members.len())].clone();
    let parent = world.hop(&child)?.0?;
    Some((parent, child))
}

fn begin(fault: &Fault, world: &mut World) {
    let net = world.overlay.net.clone();
    match fault {
        Fault::Kill(name) => world.kill(name),
        Fault::Freeze(name) => world.overlay.freeze(name),
        Fault::Drain(name) => {
            world.leaving.insert(name.clone());
            world.overlay.members[name].drain();
        }
        Fault::Cut(a, b) => net.cut(a, b, true),
        Fault::OneWay(from, to) => net.block(from, to, true),
        Fault::Reset(a, b) => net.reset(a, b),
        Fault::Slow(from, to, change) => net.change(from, to, change),
        Fault::RootsApart => apart(world, true),
        Fault::Stall(name) => {
            world.overlay.origins[name].held.send_replace(true);
        }
        Fault::Plan(name) => {
            world.plan(name);
        }
    }
}

fn end(fault: &Fault, world: &mut World) {
    let net = world.overlay.net.clone();
    match fault {
        Fault::Kill(name) | Fault::Drain(name) => {
            if world.origins.contains(name) {
                world.overlay.thaw(name);
            } else {
                world.boot(name);
            }
        }
        Fault::Freeze(name) => world.overlay.thaw(name),
        Fault::Cut(a, b) => net.cut(a, b, false),
        Fault::OneWay(from, to) => net.block(from, to, false),
        Fault::Reset(..) | Fault::Plan(_) => {}
        Fault::Stall(name) => {
            world.overlay.origins[name].held.send_replace(false);
        }
        Fault::Slow(from, to, ..) => net.usual(from, to),
        Fault::RootsApart => apart(world, false),
    }
}

fn apart(world: &World, blocked: bool) {
    for (at, a) in world.roots.iter().enumerate() {
        for b in &world.roots[at + 1..] {
            world.overlay.net.cut(a, b, blocked);
        }
    }
}
