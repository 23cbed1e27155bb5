//! What one member sends another: a reliable stream of bytes, as TCP makes one of a link that delays, queues and loses.
//!
//! The link is the testbed's model of one ([`Direction`]), in nanoseconds of virtual time. Whatever a member sends
//! another goes through one pipe: messages are cut into segments, share the link's rate, and come out whole and in
//! order. What the link loses costs time: it is sent again when a later segment is known to have arrived, or after a
//! timeout. Left out, for nobody here looks at it: handshakes, frames of acknowledgements (the sender knows of an
//! arrival the other direction's delay later, also while that one carries nothing), timeouts that double, and timeouts
//! while a segment still travels.

use std::collections::{BTreeMap, VecDeque};

use banyan_testbed::link::{Change, Counters, Direction, Nanos, Settings};

/// Of a message in one frame, and what Ethernet, IPv4 and TCP put before it.
const SEGMENT: u64 = 1448;
const HEADER: u64 = 66;

/// What may be under way at first (RFC 6928), and after a timeout.
const FIRST_WINDOW: u64 = 10 * (SEGMENT + HEADER);
const LEAST_WINDOW: u64 = SEGMENT + HEADER;

/// Added to the round trip: Linux waits no less for an acknowledgement.
const TIMEOUT: Nanos = 200_000_000;

/// One direction between two members, carrying messages `T` of calls.
#[derive(Debug)]
pub(crate) struct Pipe<T> {
    link: Direction<u64>,
    /// The other direction's delay: word of an arrival takes it.
    pub(crate) back: Nanos,
    /// To be sent, for the first time or again.
    unsent: VecDeque<Segment<T>>,
    /// In order of transmission, lost ones among them.
    flying: VecDeque<Flying<T>>,
    /// What arrived and the sender does not know of yet.
    acknowledging: VecDeque<Acknowledgement<T>>,
    /// Bytes of both.
    under_way: u64,
    /// How many bytes may be; doubles in a round trip up to the threshold, then grows by a segment.
    window: u64,
    threshold: u64,
    /// The window has been halved for whatever was sent before this segment.
    halved: u64,
    transmissions: u64,
    numbers: u64,
    /// The number that the receiver waits for, and what came before its turn.
    expected: u64,
    early: BTreeMap<u64, Option<T>>,
    round_trip: Nanos,
    heard: Nanos,
}

/// A piece of a message; the last one brings it.
#[derive(Debug)]
struct Segment<T> {
    call: u64,
    /// Its place in the pipe, from when it is sent first.
    number: Option<u64>,
    bytes: u64,
    message: Option<T>,
}

#[derive(Debug)]
struct Flying<T> {
    transmission: u64,
    sent: Nanos,
    segment: Segment<T>,
}

#[derive(Debug)]
struct Acknowledgement<T> {
    known: Nanos,
    round_trip: Nanos,
    bytes: u64,
    /// Sent before it, and not arrived.
    lost: Vec<Segment<T>>,
}

impl<T> Pipe<T> {
    pub(crate) fn new(settings: Settings, back: Nanos, seed: u64) -> Pipe<T> {
        Pipe {
            link: Direction::new(settings, seed),
            back,
            unsent: VecDeque::new(),
            flying: VecDeque::new(),
            acknowledging: VecDeque::new(),
            under_way: 0,
            window: FIRST_WINDOW,
            threshold: u64::MAX,
            halved: 0,
            transmissions: 0,
            numbers: 0,
            expected: 0,
            early: BTreeMap::new(),
            round_trip: 0,
            heard: 0,
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.link.settings()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.link.counters()
    }

    /// Puts a message of `call` behind what is there; [`Pipe::advance`] sends it.
    pub(crate) fn write(&mut self, call: u64, bytes: u64, message: T) {
        let mut left = bytes.max(1);
        while left > SEGMENT {
            self.unsent.push_back(Segment {
                call,
                number: None,
                bytes: SEGMENT + HEADER,
                message: None,
            });
            left -= SEGMENT;
        }
        self.unsent.push_back(Segment {
            call,
            number: None,
            bytes: left + HEADER,
            message: Some(message),
        });
    }

    /// Nobody waits for this call any more: what was not sent never is.
    pub(crate) fn cancel(&mut self, call: u64) {
        self.unsent
            .retain(|segment| segment.call != call || segment.number.is_some());
    }

    /// Changes the link at `now`.
    pub(crate) fn change(&mut self, now: Nanos, change: &Change) {
        self.link.change(now, change);
    }

    /// When [`Pipe::advance`] has something to do.
    pub(crate) fn poll_due(&self) -> Option<Nanos> {
        // Word of an arrival is of use when something is to be sent, or given up.
        let tail = !self.flying.is_empty() && self.link.poll_due().is_none();
        let of_use = tail || !self.unsent.is_empty();
        let mut known = self.acknowledging.iter();
        let known = known
            .find(|known| of_use || !known.lost.is_empty())
            .map(|known| known.known);
        [self.link.poll_due(), known, self.timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does everything that is due by `now`: the messages that have arrived, in order.
    pub(crate) fn advance(&mut self, now: Nanos) -> Vec<T> {
        let mut arrived = Vec::new();
        loop {
            while let Some((at, transmission)) = self.link.poll(now) {
                self.arrive(at, transmission, &mut arrived);
            }
            while let Some(known) = self.acknowledging.pop_front_if(|known| known.known <= now) {
                self.acknowledge(known);
            }
            if self.timeout().is_some_and(|at| at <= now) {
                self.time_out();
            }
            if !self.send(now) {
                return arrived;
            }
        }
    }

    /// The link keeps the order: whatever was sent before this and is not here is lost.
    fn arrive(&mut self, at: Nanos, transmission: u64, arrived: &mut Vec<T>) {
        let mut lost = Vec::new();
        while let Some(flying) = self.flying.pop_front() {
            if flying.transmission != transmission {
                lost.push(flying.segment);
                continue;
            }
            let last = self.acknowledging.back().map_or(0, |last| last.known);
            let known = (at + self.back).max(last);
            let segment = flying.segment;
            self.acknowledging.push_back(Acknowledgement {
                known,
                round_trip: known - flying.sent,
                bytes: segment.bytes,
                lost,
            });
            if segment.number == Some(self.expected) {
                self.expected += 1;
                arrived.extend(segment.message);
            } else if let Some(number) = segment.number {
                self.early.insert(number, segment.message);
            }
            while let Some(message) = self.early.remove(&self.expected) {
                self.expected += 1;
                arrived.extend(message);
            }
            return;
        }
    }

    fn acknowledge(&mut self, known: Acknowledgement<T>) {
        self.heard = known.known;
        self.round_trip = known.round_trip;
        // A window that was no limit says nothing of what the link would take.
        if self.under_way * 2 >= self.window {
            self.window += if self.window < self.threshold {
                known.bytes
            } else {
                known.bytes * LEAST_WINDOW / self.window
            };
        }
        self.under_way -= known.bytes;
        let first = known.lost.first().and_then(|segment| segment.number);
        if first.is_some_and(|number| number >= self.halved) {
            self.window = (self.window / 2).max(2 * LEAST_WINDOW);
            self.threshold = self.window;
            self.halved = self.numbers;
        }
        self.again(known.lost);
    }

    /// When the segments under way are given up: everything the link had is out, and no word came.
    fn timeout(&self) -> Option<Nanos> {
        let first = self.flying.front()?;
        let idle = self.link.poll_due().is_none() && self.acknowledging.is_empty();
        idle.then(|| self.heard.max(first.sent) + self.round_trip + TIMEOUT)
    }

    fn time_out(&mut self) {
        self.threshold = (self.window / 2).max(2 * LEAST_WINDOW);
        self.window = LEAST_WINDOW;
        self.halved = self.numbers;
        let lost = self.flying.drain(..).map(|flying| flying.segment).collect();
        self.again(lost);
    }

    /// In the order of their numbers, before what was never sent.
    fn again(&mut self, lost: Vec<Segment<T>>) {
        for segment in lost {
            self.under_way -= segment.bytes;
            let before =
                |other: &Segment<T>| other.number.is_some() && other.number < segment.number;
            let at = self.unsent.partition_point(before);
            self.unsent.insert(at, segment);
        }
    }

    /// Sends what the window allows; false when it was nothing.
    fn send(&mut self, now: Nanos) -> bool {
        let mut sent = false;
        let (window, under_way) = (self.window, self.under_way);
        let mut left = window.saturating_sub(under_way);
        let mut first = under_way == 0;
        while let Some(mut segment) = self
            .unsent
            .pop_front_if(|segment| first || segment.bytes <= left)
        {
            first = false;
            left = left.saturating_sub(segment.bytes);
            segment.number.get_or_insert_with(|| {
                self.numbers += 1;
                self.numbers - 1
            });
            self.transmissions += 1;
            self.under_way += segment.bytes;
            // Dropped at once is lost like any other.
            let _ = self.link.offer(now, segment.bytes, self.transmissions);
            self.flying.push_back(Flying {
                transmission: self.transmissions,
                sent: now,
                segment,
            });
            sent = true;
        }
        sent
    }
}

#[cfg(test)]
mod tests;
