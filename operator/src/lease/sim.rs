//! Many elections, one simulated API server, one simulated time. Every candidate has a clock of its own: another
//! start, up to a tenth faster or slower, and a wall clock that means nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Answer, Ask, Candidate, Election, End, Record, Timing};

/// A driver's request timeout, on the candidate's clock.
const PATIENCE: Duration = Duration::from_secs(3);

/// One candidate and its way to the API server.
pub(super) struct Peer {
    pub(super) election: Election,
    pub(super) alive: bool,
    /// No request arrives and no answer returns.
    pub(super) cut: bool,
    /// Answers are lost, requests arrive.
    pub(super) deaf: bool,
    pub(super) ended: Option<End>,
    /// Terms it led in.
    pub(super) terms: Vec<u64>,
    rate: f64,
    offset: f64,
    wall: i64,
    pending: Option<(u64, Ask, Duration)>,
    number: u32,
}

#[derive(Debug)]
enum Event {
    Wake(usize),
    Arrive(usize, u64, Ask),
    Reply(usize, u64, Answer),
    Timeout(usize, u64),
}

/// Everything.
pub(super) struct World {
    pub(super) now: f64,
    pub(super) peers: Vec<Peer>,
    pub(super) lease: Option<(Record, u64)>,
    /// Seconds a request or an answer takes at most.
    pub(super) latency: f64,
    pub(super) random: StdRng,
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    events: Vec<Option<Event>>,
    versions: u64,
    operations: u64,
    /// The highest term anyone led in.
    pub(super) highest: u64,
    log: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: 0.0,
            peers: Vec::new(),
            lease: None,
            latency: 0.05,
            random: StdRng::seed_from_u64(seed),
            queue: BinaryHeap::new(),
            events: Vec::new(),
            versions: 0,
            operations: 0,
            highest: 0,
            log: Vec::new(),
        }
    }

    /// Starts a process of `release`; its number is its index.
    pub(super) fn start(&mut self, release: &str) -> usize {
        let index = self.peers.len();
        let rate = self.random.random_range(0.9..1.1);
        self.peers.push(Peer {
            election: Election::new(candidate(index, 0, release), Timing::default()),
            alive: true,
            cut: false,
            deaf: false,
            ended: None,
            terms: Vec::new(),
            rate,
            offset: self.random.random_range(0.0..1000.0),
            wall: self.random.random_range(0..4_000_000_000_000_000),
            pending: None,
            number: 0,
        });
        self.schedule(0.0, Event::Wake(index));
        index
    }

    /// The process is killed and comes back under its name, knowing nothing.
    pub(super) fn restart(&mut self, index: usize, release: &str) {
        let peer = &mut self.peers[index];
        peer.number += 1;
        peer.election = Election::new(candidate(index, peer.number, release), Timing::default());
        peer.alive = true;
        peer.ended = None;
        peer.pending = None;
        self.schedule(0.0, Event::Wake(index));
    }

    pub(super) fn kill(&mut self, index: usize) {
        self.peers[index].alive = false;
        self.peers[index].pending = None;
    }

    pub(super) fn resign(&mut self, index: usize) {
        self.peers[index].election.resign();
        if self.peers[index].pending.is_none() {
            self.schedule(0.0, Event::Wake(index));
        }
    }

    pub(super) fn leaders(&self) -> Vec<usize> {
        (0..self.peers.len())
            .filter(|index| self.leads(*index))
            .collect()
    }

    fn leads(&self, index: usize) -> bool {
        let peer = &self.peers[index];
        peer.alive && peer.election.leading(self.local(index)).is_some()
    }

    fn local(&self, index: usize) -> Duration {
        let peer = &self.peers[index];
        Duration::from_secs_f64(peer.offset + self.now * peer.rate)
    }

    fn schedule(&mut self, delay: f64, event: Event) {
        let at = ((self.now + delay) * 1e6) as u64;
        self.events.push(Some(event));
        let order = self.events.len() as u64;
        self.queue.push(Reverse((at, order, self.events.len() - 1)));
    }

    /// Runs for `seconds`; after every event, at most one leads.
    pub(super) fn run(&mut self, seconds: f64) {
        let end = self.now + seconds;
        while let Some(Reverse((at, _, _))) = self.queue.peek() {
            let at = *at as f64 / 1e6;
            if at > end {
                break;
            }
            let Some(Reverse((_, _, index))) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(at);
            if let Some(event) = self.events[index].take() {
                self.handle(event);
            }
            let leaders = self.leaders();
            assert!(
                leaders.len() <= 1,
                "at {:.3} s these lead: {leaders:?}\n{}",
                self.now,
                self.log.join("\n")
            );
        }
        self.now = end;
    }

    /// Runs until somebody leads; how long that took.
    pub(super) fn run_until_led(&mut self, most: f64) -> f64 {
        let begin = self.now;
        while self.leaders().is_empty() {
            assert!(
                self.now - begin < most,
                "nobody leads after {most} s\n{}",
                self.log.join("\n")
            );
            self.run(0.05);
        }
        self.now - begin
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake(index) => self.step(index),
            Event::Arrive(index, operation, ask) => {
                let peer = &self.peers[index];
                if peer.cut {
                    return;
                }
                let deaf = peer.deaf;
                let answer = self.serve(&ask);
                self.log
                    .push(format!("{:8.3} {index} {ask:?} -> {answer:?}", self.now));
                if !deaf {
                    let delay = self.random.random_range(0.0..self.latency);
                    self.schedule(delay, Event::Reply(index, operation, answer));
                }
            }
            Event::Reply(index, operation, answer) => {
                if !self.peers[index].cut {
                    self.deliver(index, operation, answer);
                }
            }
            Event::Timeout(index, operation) => self.deliver(index, operation, Answer::Failed),
        }
    }

    fn deliver(&mut self, index: usize, operation: u64, answer: Answer) {
        let now = self.local(index);
        let led = self.leads(index);
        let peer = &mut self.peers[index];
        match &peer.pending {
            Some((pending, ..)) if *pending == operation && peer.alive => {}
            _ => return,
        }
        let Some((_, ask, sent)) = peer.pending.take() else {
            return;
        };
        peer.election.answer(&ask, sent, now, answer);
        if !led && self.leads(index) {
            let super::Place::Leading { term } = self.peers[index].election.place(now) else {
                panic!("leading without a term");
            };
            assert!(
                term > self.highest,
                "at {:.3} s {index} leads in term {term} after {}\n{}",
                self.now,
                self.highest,
                self.log.join("\n")
            );
            self.highest = term;
            self.peers[index].terms.push(term);
        }
        self.step(index);
    }

    fn step(&mut self, index: usize) {
        let now = self.local(index);
        let peer = &mut self.peers[index];
        if !peer.alive || peer.pending.is_some() || peer.ended.is_some() {
            return;
        }
        let wall = peer.wall + i64::try_from(now.as_micros()).unwrap();
        match peer.election.ask(now, wall) {
            Ask::Stop(end) => {
                self.log
                    .push(format!("{:8.3} {index} ended: {end}", self.now));
                peer.ended = Some(end);
            }
            Ask::Wait(until) => {
                let delay = (until.saturating_sub(now)).as_secs_f64() / peer.rate + 1e-5;
                self.schedule(delay, Event::Wake(index));
            }
            ask => {
                self.operations += 1;
                let operation = self.operations;
                peer.pending = Some((operation, ask.clone(), now));
                let rate = peer.rate;
                let delay = self.random.random_range(0.0..self.latency);
                self.schedule(delay, Event::Arrive(index, operation, ask));
                self.schedule(
                    PATIENCE.as_secs_f64() / rate,
                    Event::Timeout(index, operation),
                );
            }
        }
    }

    /// What an API server does.
    fn serve(&mut self, ask: &Ask) -> Answer {
        match (ask, &self.lease) {
            (Ask::Read, Some((record, version))) => Answer::Found {
                record: record.clone(),
                version: version.to_string(),
            },
            (Ask::Create(record), None) => self.put(record.clone()),
            (Ask::Replace { version, record }, Some((_, now))) if *version == now.to_string() => {
                self.put(record.clone())
            }
            (Ask::Create(_) | Ask::Replace { .. }, _) => Answer::Conflict,
            _ => Answer::Missing,
        }
    }

    fn put(&mut self, record: Record) -> Answer {
        let created = self
            .lease
            .as_ref()
            .map_or(1_800_000_000 + self.now as i64, |(old, _)| old.created);
        let record = Record { created, ..record };
        // A write that changes nothing makes no new version, as with a real one.
        if self.lease.as_ref().is_none_or(|(old, _)| *old != record) {
            self.versions += 1;
            self.lease = Some((record, self.versions));
        }
        Answer::Written {
            version: self.versions.to_string(),
            created,
        }
    }
}

fn candidate(index: usize, number: u32, release: &str) -> Candidate {
    Candidate {
        identity: format!("pod-{index}_{number}"),
        release: release.to_owned(),
        address: format!("http://192.0.2.{index}:7400"),
    }
}
