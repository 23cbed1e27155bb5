//! Positions, and the ledger that says what a reader lost, saw twice or saw late.
//!
//! Every resume, switch, fetch and proof speaks in positions. The ledger counts them as sets, not
//! in time windows, and remembers only its holes, so a reader may run for weeks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A chunk within a run and track: segment number, then part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Segment number: epoch + n.
    pub number: u64,
    /// Part within the segment, from 0.
    pub part: u32,
}

impl Position {
    /// The position of that segment and part.
    pub fn new(number: u64, part: u32) -> Position {
        Position { number, part }
    }

    /// The position after this one.
    pub fn next(self, last_in_segment: bool) -> Position {
        if last_in_segment {
            return Position {
                number: self.number.saturating_add(1),
                part: 0,
            };
        }
        Position {
            part: self.part.saturating_add(1),
            ..self
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.part)
    }
}

/// What a ledger has counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Arrivals, repeated ones included.
    pub chunks: u64,
    /// Positions between the first and the newest that have not arrived.
    pub lost: u64,
    /// Arrivals of a position that had arrived before.
    pub repeated: u64,
    /// First arrivals below the newest position.
    pub out_of_order: u64,
    /// Runs seen beyond the first.
    pub run_changes: u64,
}

/// How one chunk arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// First of its run.
    First,
    /// Directly after the newest.
    Next,
    /// Ahead of the next position: so many were skipped.
    Skipped(u64),
    /// Seen before.
    Repeated,
    /// Below the newest, and not seen before.
    OutOfOrder,
}

/// Counts the chunks of one track by position.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    counts: Counts,
    runs: BTreeMap<String, Run>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// Takes in one chunk.
    pub fn record(&mut self, run: &str, position: Position, last_in_segment: bool) -> Arrival {
        self.counts.chunks += 1;
        let Some(known) = self.runs.get_mut(run) else {
            if !self.runs.is_empty() {
                self.counts.run_changes += 1;
            }
            self.runs
                .insert(run.to_owned(), Run::new(position, last_in_segment));
            return Arrival::First;
        };
        let (arrival, recovered) = known.record(position, last_in_segment);
        match arrival {
            Arrival::First | Arrival::Next => {}
            Arrival::Skipped(skipped) => {
                self.counts.lost = self.counts.lost.saturating_add(skipped)
            }
            Arrival::Repeated => self.counts.repeated += 1,
            Arrival::OutOfOrder => self.counts.out_of_order += 1,
        }
        if recovered {
            self.counts.lost = self.counts.lost.saturating_sub(1);
        }
        arrival
    }

    /// Takes in one whole segment, for readers that fetch no parts. One ledger counts either
    /// segments or chunks.
    pub fn record_segment(&mut self, run: &str, number: u64) -> Arrival {
        self.record(run, Position::new(number, 0), true)
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The newest position of that run.
    pub fn newest(&self, run: &str) -> Option<Position> {
        self.runs.get(run).map(|run| run.newest)
    }
}

/// What is known of one run.
#[derive(Clone, Debug)]
struct Run {
    first: Position,
    newest: Position,
    newest_is_last: bool,
    /// Parts of a whole segment, from the last chunk that ended one.
    parts: Option<u32>,
    /// Arrived although below the first.
    early: BTreeSet<Position>,
    /// Skipped ranges by their start: end (exclusive) and the parts of a whole segment in them.
    holes: BTreeMap<Position, (Position, u32)>,
}

impl Run {
    fn new(position: Position, last_in_segment: bool) -> Run {
        Run {
            first: position,
            newest: position,
            newest_is_last: last_in_segment,
            parts: last_in_segment.then(|| position.part.saturating_add(1)),
            early: BTreeSet::new(),
            holes: BTreeMap::new(),
        }
    }

    /// How it arrived, and whether it had been counted as lost.
    fn record(&mut self, position: Position, last_in_segment: bool) -> (Arrival, bool) {
        if position > self.newest {
            return (self.advance(position, last_in_segment), false);
        }
        if position < self.first {
            let new = self.early.insert(position);
            return (
                if new {
                    Arrival::OutOfOrder
                } else {
                    Arrival::Repeated
                },
                false,
            );
        }
        match self.fill(position) {
            Some(counted) => (Arrival::OutOfOrder, counted),
            None => (Arrival::Repeated, false),
        }
    }

    fn advance(&mut self, position: Position, last_in_segment: bool) -> Arrival {
        let expected = self.newest.next(self.newest_is_last);
        let mut skipped = 0;
        if expected < position {
            let parts = self.parts.unwrap_or(1).max(expected.part.saturating_add(1));
            skipped = hole_len(expected, position, parts);
            self.holes.insert(expected, (position, parts));
        }
        self.newest = position;
        self.newest_is_last = last_in_segment;
        if last_in_segment {
            self.parts = Some(position.part.saturating_add(1));
        }
        if skipped == 0 {
            Arrival::Next
        } else {
            Arrival::Skipped(skipped)
        }
    }

    /// Takes `position` out of the hole it lies in; says whether it had been counted as lost, which
    /// a part beyond the assumed length of its segment had not.
    fn fill(&mut self, position: Position) -> Option<bool> {
        let (&from, &(to, parts)) = self.holes.range(..=position).next_back()?;
        if position >= to {
            return None;
        }
        self.holes.remove(&from);
        if from < position {
            self.holes.insert(from, (position, parts));
        }
        let after = position.next(false);
        if after < to {
            self.holes.insert(after, (to, parts));
        }
        Some(position.number == to.number || position.part < parts)
    }
}

/// Positions in [from, to), whole segments having `parts` parts.
fn hole_len(from: Position, to: Position, parts: u32) -> u64 {
    if from.number == to.number {
        return u64::from(to.part.saturating_sub(from.part));
    }
    let between = to.number - from.number - 1;
    let tail = u64::from(parts.saturating_sub(from.part));
    between
        .saturating_mul(u64::from(parts))
        .saturating_add(tail)
        .saturating_add(u64::from(to.part))
}

#[cfg(test)]
mod tests;
