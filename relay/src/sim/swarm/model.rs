//! A network in a queue: hops with delay and order, members that die, freeze and come back.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::queue::Queued;
use super::{Fault, What};
use crate::clock::Instant;
use crate::upstream::{Cause, Order, Told, Tuning, Upstream};

/// Virtual milliseconds since the beginning.
pub(super) type Ms = u64;

/// Microseconds: what the queue counts in.
pub(super) type Us = u64;

const KEEP_ALIVE: Us = 100_000;
const PART: Us = 333_000;

/// Two members may think of each other as parents for so long.
const CIRCLE: Us = 3_000_000;

/// A parent left, and why.
#[derive(Clone, Debug)]
pub(super) struct Why {
    pub(super) at: Ms,
    pub(super) member: usize,
    pub(super) parent: usize,
    pub(super) cause: Cause,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The content servers release the next chunk.
    Release,
    /// A machine wants to be asked.
    Poll {
        due: Us,
    },
    /// A child asks to be fed.
    Ask {
        child: usize,
        call: u64,
        after: Option<u64>,
    },
    /// From the parent, over a call.
    Message {
        call: u64,
        message: Message,
    },
    /// A parent's keep-alive for a call is due.
    KeepAlive {
        call: u64,
    },
    Begin(Fault),
    End(What),
}

#[derive(Clone, Debug)]
pub(super) enum Message {
    Alive(Told),
    Flows,
    Chunk(u64),
    Broken(Cause),
}

#[derive(Debug)]
struct Child {
    name: usize,
    call: u64,
    /// The next chunk for it; `None` until it flows.
    next: Option<u64>,
    after: Option<u64>,
    sent: Us,
}

struct Member {
    name: String,
    /// `None` for a content server.
    machine: Option<Upstream>,
    alive: bool,
    frozen_until: Us,
    /// The call to the parent in use.
    call: u64,
    head: Option<u64>,
    unavailable: bool,
    children: Vec<Child>,
    told: Told,
    poll_at: Option<Us>,
}

pub(super) struct Model {
    base: Instant,
    now: Us,
    rng: StdRng,
    tuning: Tuning,
    parents: Vec<Vec<usize>>,
    roots: std::ops::Range<usize>,
    members: Vec<Member>,
    queue: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
    calls: u64,
    /// Per direction: base delay, when the last message arrives, blocked until.
    hops: HashMap<(usize, usize), (Us, Us, Us)>,
    released: u64,
    pub(super) left: Vec<Why>,
    /// (when, member, parent), whenever a member began to flow.
    fed: Vec<(Ms, usize, usize)>,
    circle_since: Option<Us>,
}

impl Model {
    pub(super) fn new(parents: Vec<Vec<usize>>, origins: usize, roots: usize, seed: u64) -> Model {
        let mut model = Model {
            base: Instant::now(),
            now: 0,
            rng: StdRng::seed_from_u64(seed),
            tuning: Tuning::default(),
            members: Vec::new(),
            roots: origins..origins + roots,
            parents,
            queue: BinaryHeap::new(),
            sequence: 0,
            calls: 0,
            hops: HashMap::new(),
            released: 100,
            left: Vec::new(),
            fed: Vec::new(),
            circle_since: None,
        };
        for at in 0..model.parents.len() {
            model.members.push(Member {
                name: format!("m{at}"),
                machine: None,
                alive: true,
                frozen_until: 0,
                call: 0,
                head: (at < origins).then_some(100),
                unavailable: false,
                children: Vec::new(),
                told: Told {
                    path: vec![format!("m{at}")],
                    ..Told::default()
                },
                poll_at: None,
            });
            model.boot(at);
        }
        model.after(PART, 0, Event::Release);
        model
    }

    /// A budget that healthy hops do not keep.
    pub(super) fn hasty(&mut self) {
        self.tuning.silence = Duration::from_millis(90);
        (0..self.members.len()).for_each(|at| self.boot(at));
    }

    pub(super) fn plan(&mut self, fault: &Fault) {
        self.at(fault.from * 1000, 0, Event::Begin(*fault));
        self.at(fault.to * 1000, 0, Event::End(fault.what));
    }

    pub(super) fn is_flowing(&self, member: usize) -> bool {
        let machine = self.members[member].machine.as_ref();
        machine.is_some_and(Upstream::is_flowing)
    }

    /// Chunks behind the newest one.
    pub(super) fn lag(&self, member: usize) -> u64 {
        self.released - self.members[member].head.unwrap_or(0)
    }

    pub(super) fn parent(&self, member: usize) -> Option<usize> {
        let name = self.members[member].machine.as_ref()?.parent()?;
        name[1..].parse().ok()
    }

    /// Who fed `member` just before `at`.
    pub(super) fn fed_by(&self, member: usize, at: Ms) -> Option<usize> {
        let mut before = self.fed.iter().filter(|f| f.1 == member && f.0 <= at);
        before.next_back().map(|f| f.2)
    }

    // ---- the queue ----------------------------------------------------------------------------

    fn at(&mut self, at: Us, whose: usize, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Queued {
            at,
            sequence: self.sequence,
            whose,
            event,
        }));
    }

    fn after(&mut self, delay: Us, whose: usize, event: Event) {
        self.at(self.now + delay, whose, event);
    }

    /// Over the hop, in order, behind whatever blocks it.
    fn send(&mut self, from: usize, to: usize, event: Event) {
        let rng = &mut self.rng;
        let hop = self.hops.entry((from, to)).or_insert_with(|| {
            // Most hops are short, some are half around the world.
            let long = rng.random_range(0..10) == 0;
            (
                rng.random_range(200..if long { 90_000 } else { 8_000 }),
                0,
                0,
            )
        });
        let jitter = rng.random_range(0..hop.0 / 2 + 1);
        let at = (self.now + hop.0 + jitter).max(hop.1).max(hop.2);
        hop.1 = at;
        self.at(at, to, event);
    }

    pub(super) fn run(&mut self, end: Ms) -> Result<(), String> {
        while let Some(Reverse(mut queued)) = self.queue.pop() {
            if queued.at > end * 1000 {
                return Ok(());
            }
            self.now = queued.at;
            let thaws = self.members[queued.whose].frozen_until;
            let outside = matches!(
                queued.event,
                Event::Begin(_) | Event::End(_) | Event::Release
            );
            if !outside && thaws > queued.at {
                // It finds this when it wakes, in the order in which it came.
                queued.at = thaws;
                self.queue.push(Reverse(queued));
                continue;
            }
            let Queued { whose, event, .. } = queued;
            self.handle(whose, event)?;
        }
        Ok(())
    }

    fn handle(&mut self, whose: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Release => {
                self.release();
                return self.circles();
            }
            Event::Poll { due } if self.members[whose].poll_at == Some(due) => {
                self.members[whose].poll_at = None;
                self.poll(whose);
                self.tell(whose);
            }
            Event::Poll { .. } => {}
            Event::Ask { child, call, after } => self.asked(whose, child, call, after),
            Event::Message { call, message } => self.message(whose, call, message)?,
            Event::KeepAlive { call } => self.keep_alive(whose, call),
            Event::Begin(fault) => self.begin(fault),
            Event::End(what) => self.end(what),
        }
        Ok(())
    }

    // ---- members ------------------------------------------------------------------------------

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    fn boot(&mut self, at: usize) {
        if self.parents[at].is_empty() {
            return;
        }
        let now = self.instant();
        let mut machine = Upstream::new(&self.members[at].name, self.tuning, now);
        let name = |at: &usize| self.members[*at].name.clone();
        let fallbacks: Vec<usize> = match self.roots.contains(&at) {
            true => Vec::new(),
            false => self.roots.clone().collect(),
        };
        machine.rank(
            self.parents[at].iter().map(name),
            fallbacks.iter().map(name),
            [],
        );
        machine.start(now);
        let member = &mut self.members[at];
        member.machine = Some(machine);
        member.head = None;
        member.call = 0;
        member.unavailable = false;
        self.poll(at);
        self.tell(at);
    }

    /// Obeys the machine until it waits, and tells children what changed.
    fn poll(&mut self, at: usize) {
        let now = self.instant();
        loop {
            let Some(machine) = self.members[at].machine.as_mut() else {
                return;
            };
            let flowed = machine.is_flowing();
            match machine.poll(now) {
                Order::Wait(until) => {
                    // Rounded up: a timer never fires early.
                    let due = ((until - self.base).as_micros() as Us + 1).max(self.now);
                    // One that was set for sooner finds nothing to do then, and sets this one.
                    if self.members[at].poll_at.is_none_or(|known| known > due) {
                        self.members[at].poll_at = Some(due);
                        self.at(due, at, Event::Poll { due });
                    }
                    return;
                }
                Order::Subscribe { parent, .. } => {
                    let parent: usize = parent[1..].parse().unwrap();
                    self.calls += 1;
                    self.members[at].call = self.calls;
                    let ask = Event::Ask {
                        child: at,
                        call: self.calls,
                        after: self.members[at].head,
                    };
                    self.send(at, parent, ask);
                }
                Order::Leave { parent, cause } => {
                    let parent: usize = parent[1..].parse().unwrap();
                    let call = std::mem::take(&mut self.members[at].call);
                    if flowed {
                        self.left.push(Why {
                            at: self.now / 1000,
                            member: at,
                            parent,
                            cause,
                        });
                    }
                    self.members[parent].children.retain(|c| c.call != call);
                }
                Order::Exhausted => {
                    self.members[at].unavailable = true;
                    let (waiting, served): (Vec<_>, Vec<_>) =
                        std::mem::take(&mut self.members[at].children)
                            .into_iter()
                            .partition(|child| child.next.is_none());
                    self.members[at].children = served;
                    for child in waiting {
                        self.refuse(at, &child, Cause::ConnectionLost);
                    }
                }
            }
        }
    }

    fn refuse(&mut self, from: usize, child: &Child, cause: Cause) {
        let message = Event::Message {
            call: child.call,
            message: Message::Broken(cause),
        };
        self.send(from, child.name, message);
    }

    fn told(&self, at: usize) -> Told {
        let member = &self.members[at];
        match &member.machine {
            Some(machine) => machine.told(self.instant()),
            None => member.told.clone(),
        }
    }

    /// A changed path, or state, is said at once.
    fn tell(&mut self, at: usize) {
        let told = self.told(at);
        let known = &self.members[at].told;
        let same = known.path == told.path
            && std::mem::discriminant(&known.flow) == std::mem::discriminant(&told.flow);
        self.members[at].told = told.clone();
        if same {
            return;
        }
        let children: Vec<(usize, u64)> = self.members[at]
            .children
            .iter()
            .map(|child| (child.name, child.call))
            .collect();
        for (child, call) in children {
            let message = Message::Alive(told.clone());
            self.send(at, child, Event::Message { call, message });
        }
    }

    fn asked(&mut self, at: usize, child: usize, call: u64, after: Option<u64>) {
        let child = Child {
            name: child,
            call,
            next: None,
            after,
            sent: self.now,
        };
        let member = &self.members[at];
        if !member.alive || member.unavailable {
            return self.refuse(at, &child, Cause::ConnectionLost);
        }
        let message = Message::Alive(self.told(at));
        self.send(at, child.name, Event::Message { call, message });
        self.members[at].children.push(child);
        self.after(KEEP_ALIVE, at, Event::KeepAlive { call });
        self.serve(at);
    }

    /// Describes the track to who waits for it, and sends what is new to everybody.
    fn serve(&mut self, at: usize) {
        let member = &self.members[at];
        let flows = member.machine.as_ref().is_none_or(Upstream::is_flowing);
        let Some(head) = member.head.filter(|_| member.alive) else {
            return;
        };
        let mut children = std::mem::take(&mut self.members[at].children);
        for child in &mut children {
            let call = child.call;
            if child.next.is_none() && flows {
                child.next = Some(child.after.map_or(head, |after| after + 1));
                let message = Message::Flows;
                self.send(at, child.name, Event::Message { call, message });
            }
            let Some(next) = child.next else { continue };
            for chunk in next..=head {
                let message = Message::Chunk(chunk);
                self.send(at, child.name, Event::Message { call, message });
                child.sent = self.now;
            }
            child.next = Some(next.max(head + 1));
        }
        self.members[at].children = children;
    }

    fn keep_alive(&mut self, at: usize, call: u64) {
        let told = self.told(at);
        let now = self.now;
        let Some(child) = self.members[at]
            .children
            .iter_mut()
            .find(|c| c.call == call)
        else {
            return;
        };
        let due = child.sent + KEEP_ALIVE;
        if due > now {
            return self.at(due, at, Event::KeepAlive { call });
        }
        child.sent = now;
        let name = child.name;
        let message = Message::Alive(told);
        self.send(at, name, Event::Message { call, message });
        self.after(KEEP_ALIVE, at, Event::KeepAlive { call });
    }

    fn message(&mut self, at: usize, call: u64, message: Message) -> Result<(), String> {
        let now = self.instant();
        let member = &mut self.members[at];
        if !member.alive || member.call != call {
            return Ok(());
        }
        let Some(machine) = member.machine.as_mut() else {
            return Ok(());
        };
        let flowed = machine.is_flowing();
        let chunk = matches!(message, Message::Chunk(_));
        match message {
            Message::Broken(cause) => machine.on_failure(cause),
            Message::Alive(told) => {
                machine.on_message(now);
                machine.on_told(told);
            }
            Message::Flows => {
                machine.on_message(now);
                machine.on_flowing(now);
                member.unavailable = false;
            }
            Message::Chunk(number) => {
                machine.on_message(now);
                if member.head.is_some_and(|head| number != head + 1) {
                    return Err(format!(
                        "{} ms: {at} has {:?} and was sent {number}",
                        self.now / 1000,
                        member.head
                    ));
                }
                member.head = Some(number);
            }
        }
        if let (false, true, Some(parent)) = (flowed, self.is_flowing(at), self.parent(at)) {
            self.fed.push((self.now / 1000, at, parent));
        }
        self.poll(at);
        if !chunk {
            self.tell(at);
        }
        self.serve(at);
        Ok(())
    }

    fn release(&mut self) {
        self.released += 1;
        for at in 0..self.members.len() {
            if self.members[at].machine.is_none() && self.parents[at].is_empty() {
                self.members[at].head = Some(self.released);
                if self.members[at].alive && self.members[at].frozen_until <= self.now {
                    self.serve(at);
                }
            }
        }
        self.after(PART, 0, Event::Release);
    }

    // ---- faults -------------------------------------------------------------------------------

    fn begin(&mut self, fault: Fault) {
        let until = fault.to * 1000;
        match fault.what {
            What::Kill(at) => {
                self.members[at].alive = false;
                self.members[at].frozen_until = 0;
                if let Some(parent) = self.parent(at) {
                    let call = self.members[at].call;
                    self.members[parent].children.retain(|c| c.call != call);
                }
                for child in std::mem::take(&mut self.members[at].children) {
                    self.refuse(at, &child, Cause::ConnectionLost);
                }
                if !self.parents[at].is_empty() {
                    self.members[at].machine = None;
                }
                self.members[at].poll_at = None;
            }
            What::Freeze(at) => {
                let frozen = &mut self.members[at].frozen_until;
                *frozen = until.max(*frozen);
            }
            What::Block(a, b) => self.block(a, b, until),
            What::Cut(a, b) => {
                self.block(a, b, until);
                self.block(b, a, until);
            }
            What::Reset(a, b) => {
                let (gone, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.members[a].children)
                    .into_iter()
                    .partition(|child| child.name == b);
                self.members[a].children = stay;
                for child in gone {
                    self.refuse(a, &child, Cause::ConnectionLost);
                }
            }
        }
    }

    fn end(&mut self, what: What) {
        match what {
            What::Kill(at) => {
                self.members[at].alive = true;
                self.boot(at);
            }
            What::Freeze(_) | What::Block(..) | What::Cut(..) | What::Reset(..) => {}
        }
    }

    fn block(&mut self, from: usize, to: usize, until: Us) {
        let hop = self.hops.entry((from, to)).or_insert((1_000, 0, 0));
        hop.2 = until.max(hop.2);
    }

    fn circles(&mut self) -> Result<(), String> {
        let circle = (0..self.members.len()).find(|start| {
            let mut at = *start;
            for _ in 0..self.members.len() {
                match self.parent(at) {
                    Some(parent) if parent == *start => return true,
                    Some(parent) => at = parent,
                    None => return false,
                }
            }
            false
        });
        match circle {
            None => self.circle_since = None,
            Some(member) => {
                let since = *self.circle_since.get_or_insert(self.now);
                if self.now - since > CIRCLE {
                    return Err(format!("{} ms: {member} feeds itself", self.now / 1000));
                }
            }
        }
        Ok(())
    }
}
