//! One segment: what is known of it, and what is held of it.

use banyan_proto::frame::FramedChunk;
use banyan_proto::v1;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What is known of a segment, held or not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// `run` is always filled in.
    pub(crate) info: v1::SegmentInfo,
    /// All parts are in `info`.
    pub(crate) complete: bool,
    /// Its first parts were never seen, so `info` does not tell the whole segment.
    pub(crate) partial: bool,
    pub(crate) sha256: Bytes,
}

/// The bytes of a segment, from `first_part` on.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) first_part: u32,
    pub(crate) chunks: Vec<FramedChunk>,
    pub(crate) complete: bool,
    pub(crate) bytes: usize,
    hasher: Option<Sha256>,
    hash: Option<[u8; 32]>,
}

// === impl Entry ===

impl Entry {
    /// A whole segment as a parent lists it.
    pub(crate) fn listed(info: v1::SegmentInfo) -> Entry {
        Entry {
            info,
            complete: true,
            partial: false,
            sha256: Bytes::new(),
        }
    }

    /// A segment whose first known chunk is `head`.
    pub(crate) fn opened(head: &v1::ChunkHead) -> Entry {
        Entry {
            info: v1::SegmentInfo {
                number: head.number,
                start: head.start,
                duration: 0,
                part_durations: Vec::new(),
                discontinuity_sequence: head.discontinuity_sequence,
                gap: false,
                run: head.run.clone(),
            },
            complete: false,
            partial: head.part > 0,
            sha256: Bytes::new(),
        }
    }

    /// A segment that is entered at `head`, by a member that began in the middle of it: what the parent
    /// listed of its front is known, so that it can be listed, and fetched, as any other.
    pub(crate) fn entered(head: &v1::ChunkHead, listed: Option<&v1::SegmentInfo>) -> Entry {
        let opened = Entry::opened(head);
        let fits = |info: &&v1::SegmentInfo| {
            info.number == head.number
                && (info.run.is_empty() || info.run == head.run)
                && !info.gap
                && info.part_durations.len() >= head.part as usize
        };
        let Some(listed) = listed.filter(fits).filter(|_| head.part > 0) else {
            return opened;
        };
        let front = listed.part_durations[..head.part as usize].to_vec();
        Entry {
            info: v1::SegmentInfo {
                start: listed.start,
                duration: front.iter().map(|ticks| u64::from(*ticks)).sum(),
                part_durations: front,
                ..opened.info
            },
            partial: false,
            ..opened
        }
    }

    /// A segment that a Gap passed over.
    pub(crate) fn missing(number: u64, run: &str, before: Option<&Entry>) -> Entry {
        let mut info = v1::SegmentInfo {
            number,
            gap: true,
            run: run.to_owned(),
            ..Default::default()
        };
        if let Some(before) = before {
            info.start = before.info.start + before.info.duration;
            info.duration = before.info.duration;
            info.discontinuity_sequence = before.info.discontinuity_sequence;
            if info.run.is_empty() {
                info.run.clone_from(&before.info.run);
            }
        }
        Entry {
            info,
            complete: true,
            partial: false,
            sha256: Bytes::new(),
        }
    }

    /// A playlist may name it as a whole segment.
    pub(crate) fn is_listable(&self) -> bool {
        self.complete && !self.partial && !self.info.gap
    }

    pub(crate) fn last_part(&self) -> u32 {
        (self.info.part_durations.len() as u32).saturating_sub(1)
    }

    /// Adds a chunk to what is known; parts already listed stay as they are.
    pub(crate) fn extend(&mut self, head: &v1::ChunkHead) {
        if !self.complete && (self.partial || head.part as usize >= self.info.part_durations.len())
        {
            self.info.part_durations.push(head.duration);
            self.info.duration += u64::from(head.duration);
        }
        if head.last_in_segment {
            self.complete = true;
            self.sha256 = head.sha256.clone();
        }
    }

    /// Takes the facts of a whole segment from its chunks.
    pub(crate) fn adopt_whole(&mut self, chunks: &[FramedChunk]) {
        let discontinuity = self.info.discontinuity_sequence;
        if let Some(first) = chunks.first() {
            *self = Entry::opened(&first.head);
            self.info.discontinuity_sequence = discontinuity;
        }
        for chunk in chunks {
            self.extend(&chunk.head);
        }
    }
}

// === impl Held ===

impl Held {
    pub(crate) fn new(head: &v1::ChunkHead) -> Held {
        Held {
            first_part: head.part,
            chunks: Vec::new(),
            complete: false,
            bytes: 0,
            hasher: (head.part == 0).then(Sha256::new),
            hash: None,
        }
    }

    pub(crate) fn push(&mut self, chunk: FramedChunk) {
        self.bytes += chunk.framed_len();
        self.complete = chunk.head.last_in_segment;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk.payload);
        }
        if self.complete {
            self.hash = self.hasher.take().map(|hasher| hasher.finalize().into());
        }
        self.chunks.push(chunk);
    }

    /// The bytes held are whole and are not those that were hashed at the origin.
    pub(crate) fn disagrees_with(&self, expected: &[u8]) -> bool {
        match self.hash {
            Some(hash) => !expected.is_empty() && hash != expected,
            None => false,
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.complete && self.first_part == 0
    }

    pub(crate) fn part(&self, part: u32) -> Option<&FramedChunk> {
        self.chunks.get(part.checked_sub(self.first_part)? as usize)
    }
}

/// True when `chunks` are one segment from its first part to its last, and its hash holds.
pub(crate) fn is_whole_segment(chunks: &[FramedChunk]) -> bool {
    let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else {
        return false;
    };
    let in_order = chunks.iter().enumerate().all(|(at, chunk)| {
        chunk.head.part as usize == at
            && chunk.head.number == first.head.number
            && chunk.head.run == first.head.run
            && chunk.head.last_in_segment == (at + 1 == chunks.len())
    });
    let mut held = Held::new(&first.head);
    for chunk in chunks {
        held.push(chunk.clone());
    }
    in_order && !held.disagrees_with(&last.head.sha256)
}
