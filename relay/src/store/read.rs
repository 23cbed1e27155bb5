//! Reading the store: cursors of children, and lookups by name.

use banyan_proto::frame::FramedChunk;
use banyan_proto::v1;

use super::{Cursor, Store};
use crate::library::Ended;

/// How far ahead of the head a resume may lie.
const FUTURE_SEGMENTS: u64 = 3;

/// What a cursor meets.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The chunk, and where to go on.
    Chunk(FramedChunk, Cursor),
    /// Nothing yet.
    Wait,
    /// Listed and not held: fetch this segment, then ask again.
    Fetch {
        run: String,
        number: u64,
    },
    /// Never to be had here; go on at `to`.
    Gap {
        run: String,
        to: Cursor,
    },
    Ended(Ended),
}

/// Where a child begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    At(Cursor),
    /// No segment is held from its beginning yet.
    NotYet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartError {
    /// `FAILED_PRECONDITION`.
    OtherRun { ours: String },
    /// `FAILED_PRECONDITION`.
    OtherBytes { number: u64 },
    /// `OUT_OF_RANGE`.
    Future { head: u64 },
}

/// Where a named segment or part is.
#[derive(Clone, Debug)]
pub(crate) enum Located {
    Whole(Vec<FramedChunk>),
    Part(FramedChunk),
    /// It is running or next.
    Coming,
    Fetch,
    Gap,
    Gone,
    Future,
}

impl Store {
    /// The latest segment held from its first chunk.
    pub(crate) fn live_start(&self) -> Start {
        self.ring
            .iter()
            .rev()
            .find(|(_, held)| held.first_part == 0 && !held.chunks.is_empty())
            .map_or(Start::NotYet, |(&number, _)| {
                Start::At(Cursor { number, part: 0 })
            })
    }

    /// The place after a position that a child says it holds.
    pub(crate) fn resume(&self, after: &v1::After) -> Result<Start, StartError> {
        let other = || StartError::OtherRun {
            ours: self.tip().map(|tip| tip.run.clone()).unwrap_or_default(),
        };
        if let Some(entry) = self.index.get(&after.hashed_number)
            && !after.sha256.is_empty()
            && !entry.sha256.is_empty()
            && entry.sha256 != after.sha256
        {
            return Err(StartError::OtherBytes {
                number: after.hashed_number,
            });
        }
        let Some(tip) = self.tip() else {
            return Ok(Start::NotYet);
        };
        match self.index.get(&after.number) {
            Some(entry) if entry.info.run != after.run => return Err(other()),
            Some(_) => {}
            None if after.number >= tip.at.number && tip.run != after.run => return Err(other()),
            None => {}
        }
        if after.number > tip.at.number + FUTURE_SEGMENTS {
            return Err(StartError::Future {
                head: tip.at.number,
            });
        }
        // A cursor behind the last part of a segment moves on by itself.
        Ok(Start::At(Cursor {
            number: after.number,
            part: after.part.saturating_add(1),
        }))
    }

    /// What a cursor at `at` meets.
    pub(crate) fn step(&self, mut at: Cursor) -> Step {
        let Some(tip) = self.tip().filter(|tip| tip.received).cloned() else {
            return self.nothing_more();
        };
        loop {
            let entry = self.index.get(&at.number);
            if let Some(held) = self.ring.get(&at.number) {
                if let Some(chunk) = held.part(at.part) {
                    let next = Cursor {
                        part: at.part + 1,
                        ..at
                    };
                    return Step::Chunk(chunk.clone(), next);
                }
                let passed = at.part >= held.first_part;
                if passed && held.complete {
                    at = next_segment(at);
                    continue;
                }
                if passed && at.number == tip.at.number {
                    return self.nothing_more();
                }
            }
            if at.number > tip.at.number {
                return self.nothing_more();
            }
            match entry {
                Some(entry) if entry.complete && !entry.info.gap => {
                    if !entry.partial && at.part as usize >= entry.info.part_durations.len() {
                        at = next_segment(at);
                        continue;
                    }
                    return Step::Fetch {
                        run: entry.info.run.clone(),
                        number: at.number,
                    };
                }
                // The front of the running segment is missing; it can be fetched once it is whole.
                Some(_) if at.number == tip.at.number => return self.nothing_more(),
                // Nothing follows in the segment that was over when this member began.
                None if self
                    .began_after
                    .is_some_and(|last| at.number == last.number && at.part > last.part) =>
                {
                    at = next_segment(at);
                    continue;
                }
                _ => {}
            }
            return self.gap_from(at);
        }
    }

    fn nothing_more(&self) -> Step {
        self.ended().map_or(Step::Wait, Step::Ended)
    }

    /// The next place behind `at` where something is held or can be fetched.
    fn gap_from(&self, at: Cursor) -> Step {
        let run = self.tip().map(|tip| tip.run.clone()).unwrap_or_default();
        let to = self
            .index
            .range(at.number + 1..)
            .find(|(number, entry)| {
                (entry.complete && !entry.info.gap) || self.ring.contains_key(number)
            })
            .map(|(&number, _)| Cursor {
                number,
                part: self
                    .ring
                    .get(&number)
                    .map_or(0, |held| if held.complete { 0 } else { held.first_part }),
            });
        match to {
            Some(to) => Step::Gap { run, to },
            None => self.nothing_more(),
        }
    }

    /// Where segment `number` of `run` is.
    pub(crate) fn locate(&self, run: &str, number: u64, part: Option<u32>) -> Located {
        let Some(head) = self.head() else {
            return Located::Coming;
        };
        let next = head.number + 1;
        if number > next {
            return Located::Future;
        }
        if number == next {
            return if self.ended().is_some() {
                Located::Gone
            } else {
                Located::Coming
            };
        }
        let Some(entry) = self.index.get(&number) else {
            return Located::Gone;
        };
        if entry.info.run != run {
            return Located::Gone;
        }
        if entry.info.gap {
            return Located::Gap;
        }
        if let Some(part) = part
            && entry.is_listable()
            && part as usize >= entry.info.part_durations.len()
        {
            return Located::Gone;
        }
        if let Some(held) = self.ring.get(&number) {
            match part {
                None if held.is_whole() => return Located::Whole(held.chunks.clone()),
                Some(part) => {
                    if let Some(chunk) = held.part(part) {
                        return Located::Part(chunk.clone());
                    }
                }
                None => {}
            }
        }
        let running = head.number == number && !head.segment_complete;
        if entry.complete && !running {
            return Located::Fetch;
        }
        if number == head.number {
            if self.ended().is_some() {
                return Located::Gone;
            }
            return Located::Coming;
        }
        Located::Gap // left unfinished by a change of run
    }

    /// The head of a segment known here, to be compared with a child's.
    pub(crate) fn last_whole(&self) -> Option<(u64, bytes::Bytes)> {
        self.index
            .iter()
            .rev()
            .find(|(_, entry)| entry.complete && !entry.sha256.is_empty())
            .map(|(&number, entry)| (number, entry.sha256.clone()))
    }
}

fn next_segment(at: Cursor) -> Cursor {
    Cursor {
        number: at.number + 1,
        part: 0,
    }
}
