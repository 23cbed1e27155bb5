//! What a member holds of one track: a ring of segments of framed chunks, and the window's index.
//!
//! Pure: chunks and positions in, chunks and decisions out. The index outlives the bytes, so that a
//! playlist depends on the head alone; what is listed and not held is fetched. Invariants: the live
//! sequence never goes back and never repeats; a segment number belongs to one run; the newest two
//! segments are never evicted.

use std::collections::{BTreeMap, VecDeque};

use banyan_proto::frame::FramedChunk;
use banyan_proto::v1;
use bytes::Bytes;

use crate::library::Ended;

mod bounds;
mod entry;
mod read;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use entry::is_whole_segment;
use entry::{Entry, Held};
pub(crate) use read::{Located, Start, StartError, Step};

/// The next wanted position of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) number: u64,
    pub(crate) part: u32,
}

/// Why a chunk was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// At or before the head.
    Duplicate,
    /// Before a boundary that a change of run must wait for.
    BeforeBoundary,
    /// Positions are missing in front of it and no Gap said so: the link is broken.
    Jump { expected: Cursor },
    /// The same number belongs to another run, or the head contradicts itself.
    Contradiction(&'static str),
}

/// What a taken chunk changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) bytes: usize,
    /// The segment is whole and its hash disagrees; its bytes were dropped.
    pub(crate) hash_mismatch: bool,
    /// The segment is over and its front was never received: fetch it whole.
    pub(crate) lacks_front: bool,
}

/// The last position received live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) run: String,
    pub(crate) at: Cursor,
    /// `None` when only a child's word for the position is known.
    pub(crate) last_in_segment: Option<bool>,
    /// False for a position adopted from a child: nothing was received yet.
    pub(crate) received: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    descriptions: Vec<v1::Description>,
    inits: Vec<(String, Bytes)>,
    index: BTreeMap<u64, Entry>,
    ring: BTreeMap<u64, Held>,
    tip: Option<Tip>,
    /// The next chunk taken must open a segment of a later number: a change of run.
    boundary: bool,
    /// Added to the discontinuity sequence of arriving heads.
    discontinuity_offset: u64,
    discontinuity: u64,
    /// The hash that came with an adopted position, to be passed up.
    adopted_hash: (u64, Bytes),
    /// Run and discontinuity sequence that children already know, until media arrives.
    adopted_sequence: Option<(String, u64)>,
    /// The segment at the parent's head as the parent listed it, until media arrives.
    listed_head: Option<v1::SegmentInfo>,
    /// The adopted position, when it proved to be the last of its segment.
    began_after: Option<Cursor>,
    ended: Option<Ended>,
    bytes: usize,
    stamps: VecDeque<(u64, u64)>,
}

impl Store {
    /// Segments kept: `2 × window + 2`.
    pub(super) fn retention(&self) -> u64 {
        2 * self.window() + 2
    }

    pub(crate) fn window(&self) -> u64 {
        u64::from(self.description().map_or(0, |d| d.window_segments).max(1))
    }

    /// The description of the newest run.
    pub(crate) fn description(&self) -> Option<&v1::Description> {
        match &self.tip {
            Some(tip) if tip.received => self.description_of(&tip.run),
            _ => self.descriptions.last(),
        }
    }

    pub(crate) fn description_of(&self, run: &str) -> Option<&v1::Description> {
        self.descriptions.iter().find(|d| d.run == run)
    }

    pub(crate) fn init(&self, run: &str) -> Option<&Bytes> {
        self.inits
            .iter()
            .find_map(|(r, data)| (r == run).then_some(data))
    }

    pub(crate) fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    pub(crate) fn discontinuity(&self) -> u64 {
        self.discontinuity
    }

    /// The run that a reader at `at` meets.
    pub(crate) fn run_at(&self, at: Cursor) -> Option<String> {
        let entry = self.index.get(&at.number);
        entry
            .map(|entry| entry.info.run.clone())
            .or_else(|| self.tip.as_ref().map(|tip| tip.run.clone()))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Enough is known to write a playlist and to serve a child.
    pub(crate) fn is_described(&self) -> bool {
        !self.descriptions.is_empty()
    }

    // ---- what arrives -------------------------------------------------------------------------

    pub(crate) fn describe(&mut self, description: v1::Description) {
        self.ended = None;
        self.descriptions.retain(|d| d.run != description.run);
        self.descriptions.push(description);
    }

    pub(crate) fn add_init(&mut self, run: &str, data: Bytes) {
        if self.init(run).is_none() {
            self.inits.push((run.to_owned(), data));
        }
    }

    /// Adopts a child's position as the place to begin, for a member that holds nothing; of two
    /// children's, the earlier.
    pub(crate) fn adopt(&mut self, after: &v1::After) {
        let at = Cursor {
            number: after.number,
            part: after.part.min(u32::MAX - 2),
        };
        let received = self.tip.as_ref().is_some_and(|tip| tip.received);
        let known = self
            .adopted_sequence
            .as_ref()
            .map_or(0, |(_, known)| *known);
        if !received && after.discontinuity_sequence > known {
            self.adopted_sequence = Some((after.run.clone(), after.discontinuity_sequence));
        }
        let earlier = match &self.tip {
            None => true,
            Some(tip) => !tip.received && tip.run == after.run && at < tip.at,
        };
        if earlier {
            let run = &after.run;
            self.adopted_hash = (after.hashed_number, after.sha256.clone());
            self.tip = Some(Tip {
                run: run.to_owned(),
                at,
                last_in_segment: None,
                received: false,
            });
        }
    }

    /// The next chunk comes from an encoding that cannot be joined: it starts at a boundary.
    pub(crate) fn expect_boundary(&mut self) {
        self.boundary = true;
    }

    pub(crate) fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
    }

    /// Takes over what the parent lists: whole segments before its head.
    pub(crate) fn merge_index(&mut self, index: &v1::Index) {
        let Some(run) = self.descriptions.last().map(|d| d.run.clone()) else {
            return;
        };
        let offset = self.pending_offset(&run);
        for info in &index.segments {
            if info.number >= index.head_number {
                self.listed_head = Some(info.clone());
                continue; // its chunks tell
            }
            let known = self.index.get(&info.number);
            if known.is_some_and(|e| e.is_listable() || info.gap) {
                continue;
            }
            let mut info = info.clone();
            if info.run.is_empty() {
                info.run.clone_from(&run);
            }
            if known.is_some_and(|e| e.info.run != info.run) {
                continue;
            }
            info.discontinuity_sequence += offset;
            self.index.insert(info.number, Entry::listed(info));
        }
        self.trim();
    }

    /// The first chunk received opens the segment behind an adopted position: that one was the last
    /// of its own, which is therefore whole, and listed as the parent told.
    fn begin_after_adopted(&mut self, head: &v1::ChunkHead, listed: Option<&v1::SegmentInfo>) {
        let Some(tip) = &self.tip else { return };
        let at = tip.at;
        if tip.received || head.part != 0 || head.number != at.number + 1 {
            return;
        }
        self.began_after = Some(at);
        if let Some(info) = listed
            && info.number == at.number
            && info.part_durations.len() == at.part as usize + 1
        {
            let mut info = info.clone();
            if info.run.is_empty() {
                info.run.clone_from(&tip.run);
            }
            info.discontinuity_sequence += self.discontinuity_offset;
            let entry = Entry::listed(info);
            self.index.entry(at.number).or_insert(entry);
        }
    }

    /// What the offset will be once a chunk of `run` is taken.
    fn pending_offset(&self, run: &str) -> u64 {
        let told = self
            .description_of(run)
            .map_or(0, |d| d.discontinuity_sequence);
        self.offset(run, told).unwrap_or(self.discontinuity_offset)
    }

    /// The offset that a chunk of `run`, told under the sequence `told`, brings; `None` when it goes
    /// on as before.
    fn offset(&self, run: &str, told: u64) -> Option<u64> {
        match &self.tip {
            Some(tip) if tip.received => (tip.run != run || self.boundary)
                .then(|| (self.discontinuity + 1).saturating_sub(told)),
            _ => self
                .adopted_sequence
                .as_ref()
                .map(|(adopted, known)| (known + u64::from(adopted != run)).saturating_sub(told)),
        }
    }

    /// Takes the next live chunk.
    pub(crate) fn take(
        &mut self,
        mut head: v1::ChunkHead,
        payload: Bytes,
        stamp: u64,
    ) -> Result<Taken, Refusal> {
        self.check_order(&head)?;
        let turned = self
            .tip
            .as_ref()
            .is_some_and(|tip| tip.received && (tip.run != head.run || self.boundary));
        if turned {
            self.fill_missing(head.number);
        }
        if let Some(offset) = self.offset(&head.run, head.discontinuity_sequence) {
            self.discontinuity_offset = offset;
        }
        let listed = self.listed_head.take();
        self.begin_after_adopted(&head, listed.as_ref());
        self.adopted_sequence = None;
        self.boundary = false;
        head.discontinuity_sequence += self.discontinuity_offset;
        self.discontinuity = head.discontinuity_sequence;
        self.ended = None;

        let at = Cursor {
            number: head.number,
            part: head.part,
        };
        self.tip = Some(Tip {
            run: head.run.clone(),
            at,
            last_in_segment: Some(head.last_in_segment),
            received: true,
        });
        let entry = self
            .index
            .entry(head.number)
            .or_insert_with(|| Entry::entered(&head, listed.as_ref()));
        entry.extend(&head);
        if !self.ring.contains_key(&head.number) {
            self.stamps.push_back((stamp, head.number));
        }
        let held = self
            .ring
            .entry(head.number)
            .or_insert_with(|| Held::new(&head));
        let expected_hash = head.sha256.clone();
        let before = held.bytes;
        held.push(FramedChunk::new(head, payload));
        let bytes = held.bytes - before;
        self.bytes += bytes;
        let mut taken = Taken {
            bytes,
            hash_mismatch: false,
            lacks_front: held.complete && held.first_part > 0,
        };
        if held.complete && held.disagrees_with(&expected_hash) {
            taken.hash_mismatch = true;
            self.drop_bytes(at.number);
        }
        self.trim();
        Ok(taken)
    }

    fn check_order(&self, head: &v1::ChunkHead) -> Result<(), Refusal> {
        let at = Cursor {
            number: head.number,
            part: head.part,
        };
        if head.number == u64::MAX || head.part == u32::MAX {
            return Err(Refusal::Contradiction("position is out of range"));
        }
        let Some(tip) = &self.tip else {
            return Ok(());
        };
        if at <= tip.at {
            return Err(Refusal::Duplicate);
        }
        if tip.received && (tip.run != head.run || self.boundary) {
            if head.number == tip.at.number {
                return if self.boundary {
                    Err(Refusal::BeforeBoundary)
                } else {
                    Err(Refusal::Contradiction("run changes inside a segment"))
                };
            }
            // Numbers between the runs, if any, were never part of one sequence.
            return if head.part == 0 {
                Ok(())
            } else {
                Err(Refusal::BeforeBoundary)
            };
        }
        let same = Cursor {
            number: tip.at.number,
            part: tip.at.part + 1,
        };
        let next = Cursor {
            number: tip.at.number + 1,
            part: 0,
        };
        let follows = match tip.last_in_segment {
            Some(true) => at == next,
            Some(false) => at == same,
            None => at == same || at == next,
        };
        if follows {
            Ok(())
        } else {
            Err(Refusal::Jump {
                expected: match tip.last_in_segment {
                    Some(true) => next,
                    _ => same,
                },
            })
        }
    }

    /// The parent will never serve `[from, to)`: the live sequence goes on at `to`.
    pub(crate) fn gap(&mut self, gap: &v1::Gap) {
        let to = Cursor {
            number: gap.to_number,
            part: gap.to_part,
        };
        // A gap that ends at or before the head, or that would be longer than any window, says nothing.
        if self.tip.as_ref().is_some_and(|tip| to <= tip.at) || to.number == 0 {
            return;
        }
        self.fill_missing(to.number);
        let (at, last) = if to.part == 0 {
            (
                Cursor {
                    number: to.number - 1,
                    part: u32::MAX - 1,
                },
                Some(true),
            )
        } else {
            (
                Cursor {
                    number: to.number,
                    part: to.part - 1,
                },
                Some(false),
            )
        };
        let run = match &self.tip {
            Some(tip) if gap.run.is_empty() => tip.run.clone(),
            _ => gap.run.clone(),
        };
        let received = self.tip.as_ref().is_some_and(|tip| tip.received);
        self.tip = Some(Tip {
            run,
            at,
            last_in_segment: last,
            received,
        });
        self.trim();
    }

    pub(crate) fn discontinuity_of(&self, number: u64) -> Option<u64> {
        self.index
            .get(&number)
            .map(|entry| entry.info.discontinuity_sequence)
    }

    /// The position to resume after, with the hash of the last whole segment known.
    pub(crate) fn after(&self) -> Option<v1::After> {
        let tip = self.tip.as_ref()?;
        let part = match self.index.get(&tip.at.number) {
            Some(entry) if entry.is_listable() => tip.at.part.min(entry.last_part()),
            _ => tip.at.part,
        };
        let (hashed_number, sha256) = self
            .last_whole()
            .unwrap_or_else(|| self.adopted_hash.clone());
        Some(v1::After {
            run: tip.run.clone(),
            number: tip.at.number,
            part,
            hashed_number,
            sha256,
            discontinuity_sequence: match &self.adopted_sequence {
                Some((_, known)) => *known,
                // In the parent's own count, which a restarted parent has forgotten.
                None => self.discontinuity.saturating_sub(self.discontinuity_offset),
            },
        })
    }

    /// Forgets an adopted position at which nothing was received.
    pub(crate) fn unadopt(&mut self) {
        if self.tip.as_ref().is_some_and(|tip| !tip.received) {
            self.tip = None;
        }
    }

    /// Lists the numbers between the head and `to` as gaps, so that numbering stays whole.
    fn fill_missing(&mut self, to: u64) {
        let Some(tip) = &self.tip else { return };
        let (run, tip) = (tip.run.clone(), tip.at.number);
        for number in tip.max(to.saturating_sub(self.retention()))..to {
            let before = self.index.range(..number).next_back().map(|(_, e)| e);
            let placeholder = Entry::missing(number, &run, before);
            self.index.entry(number).or_insert(placeholder);
        }
    }

    /// Puts a fetched whole segment into the ring. False when it is of no use here.
    pub(crate) fn put_segment(&mut self, chunks: &[FramedChunk], stamp: u64) -> bool {
        let Some(first) = chunks.first() else {
            return false;
        };
        let number = first.head.number;
        let Some(tip) = &self.tip else { return false };
        let running = number == tip.at.number && tip.last_in_segment != Some(true);
        if number > tip.at.number || running || number < self.oldest_kept() {
            return false;
        }
        if self
            .ring
            .get(&number)
            .is_some_and(|held| held.complete && held.first_part == 0)
        {
            return false;
        }
        if self
            .index
            .get(&number)
            .is_some_and(|entry| entry.info.run != first.head.run)
        {
            return false;
        }
        self.drop_bytes(number);
        let mut held = Held::new(&first.head);
        for chunk in chunks {
            held.push(chunk.clone());
        }
        self.bytes += held.bytes;
        let entry = self
            .index
            .entry(number)
            .or_insert_with(|| Entry::opened(&first.head));
        entry.adopt_whole(chunks);
        self.ring.insert(number, held);
        // Fetched segments are the first to go.
        self.stamps.push_front((stamp, number));
        true
    }
}
