//! Segments from disk to frames: read off the async threads, patched to their place in the loop, hashed and framed once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use banyan_media::{Kind, Timeline, boxes};
use banyan_proto::frame::FramedChunk;
use banyan_proto::v1;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::store::{self, Store};

/// One emitted segment.
pub(crate) struct Segment {
    pub(crate) chunks: Vec<FramedChunk>,
    /// Of all payloads together.
    pub(crate) sha256: [u8; 32],
}

/// The segments of one track, the last few used kept ready.
pub(super) struct Segments {
    store: Arc<Store>,
    maker: Arc<Maker>,
    recent: Mutex<VecDeque<(u64, Cell)>>,
}

type Cell = Arc<OnceCell<Arc<Segment>>>;

struct Maker {
    timeline: Timeline,
    kind: Kind,
    track: String,
    run: String,
    epoch: u64,
}

impl Segments {
    pub(super) fn new(
        store: Arc<Store>,
        timeline: Timeline,
        kind: Kind,
        track: &str,
        run: &str,
        epoch: u64,
    ) -> Self {
        let maker = Maker {
            timeline,
            kind,
            track: track.to_owned(),
            run: run.to_owned(),
            epoch,
        };
        Self {
            store,
            maker: Arc::new(maker),
            recent: Mutex::default(),
        }
    }

    pub(super) async fn get(&self, n: u64) -> Result<Arc<Segment>, Arc<store::Error>> {
        let cell = self.cell(n);
        let made = cell.get_or_try_init(|| async {
            let (store, maker) = (Arc::clone(&self.store), Arc::clone(&self.maker));
            match tokio::task::spawn_blocking(move || maker.make(&store, n)).await {
                Ok(result) => result.map(Arc::new).map_err(Arc::new),
                Err(_) => Err(Arc::new(self.absent(n))),
            }
        });
        made.await.cloned()
    }

    fn cell(&self, n: u64) -> Cell {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = recent.iter().find(|(number, _)| *number == n) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        if recent.len() >= KEPT {
            recent.pop_front();
        }
        recent.push_back((n, Arc::clone(&cell)));
        cell
    }

    fn absent(&self, n: u64) -> store::Error {
        store::Error::Absent {
            track: self.maker.track.clone(),
            local: self.maker.timeline.locate(n).local,
        }
    }
}

impl Maker {
    fn make(&self, store: &Store, n: u64) -> Result<Segment, store::Error> {
        let timeline = &self.timeline;
        let local = timeline.locate(n).local;
        let variant = match self.kind {
            Kind::Video => banyan_media::Variant::Short,
            Kind::Audio => timeline.audio(n).variant,
        };
        let mut data = store.get(&self.track, local, variant)?;
        let timing = timeline.timing(self.kind, n);
        let unfit = || store::Error::Absent {
            track: self.track.clone(),
            local,
        };
        let ranges = boxes::split_chunks(&data).map_err(|_| unfit())?;
        if ranges.len() != timing.parts.len() {
            return Err(unfit());
        }
        let mut start = timing.start;
        for ((range, part), duration) in ranges.iter().zip(0u32..).zip(&timing.parts) {
            let sequence = timeline.chunk_ordinal(n, part);
            boxes::patch_chunk(&mut data[range.clone()], sequence, start).map_err(|_| unfit())?;
            start += u64::from(*duration);
        }
        let sha256: [u8; 32] = Sha256::digest(&data).into();
        let data = Bytes::from(data);
        let last = ranges.len().saturating_sub(1);
        let mut start = timing.start;
        let mut chunks = Vec::with_capacity(ranges.len());
        for (index, (range, duration)) in ranges.into_iter().zip(timing.parts).enumerate() {
            let head = v1::ChunkHead {
                run: self.run.clone(),
                track: self.track.clone(),
                number: self.epoch + n,
                part: u32::try_from(index).unwrap_or(u32::MAX),
                last_in_segment: index == last,
                independent: index == 0,
                start,
                duration,
                discontinuity_sequence: 0,
                sha256: if index == last {
                    Bytes::copy_from_slice(&sha256)
                } else {
                    Bytes::new()
                },
                key_id: Bytes::new(),
            };
            start += u64::from(duration);
            chunks.push(FramedChunk::new(head, data.slice(range)));
        }
        Ok(Segment { chunks, sha256 })
    }
}

/// The segment in release, the one before for late joiners, the one ahead for early ones, and some for back-fill.
const KEPT: usize = 6;
