//! Reading and patching chunks.

use std::ops::Range;

use super::reader::{Found, Reader};
use super::write::{
    DEFAULT_BASE_IS_MOOF, NON_SYNC, TFHD_DURATION, TFHD_FLAGS, TFHD_SIZE, TRUN_DATA_OFFSET,
    TRUN_DURATION, TRUN_FIRST_FLAGS, TRUN_FLAGS, TRUN_OFFSETS, TRUN_SIZE,
};
use super::{BoxError, Result};

/// What a chunk says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkFacts {
    /// `mfhd` sequence number.
    pub sequence: u32,
    /// Track id.
    pub track_id: u32,
    /// `tfdt` of the first sample.
    pub decode_time: u64,
    /// Sum of the samples' durations, in ticks.
    pub duration: u64,
    /// Number of samples.
    pub samples: u32,
    /// Whether the first sample is decodable by itself.
    pub first_sync: bool,
    /// Bytes in `mdat`.
    pub data_len: usize,
}

/// Ranges of the chunks of a segment, which together are the whole of it. Boxes before a `moof`
/// (`styp`, `prft`, `emsg`) belong to its chunk.
pub fn split_chunks(segment: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut reader = Reader::new(segment, 0..segment.len());
    let mut chunks = Vec::new();
    let (mut start, mut moof) = (0, false);
    while let Some(found) = reader.next_box()? {
        match &found.kind {
            b"moof" if moof => {
                return Err(BoxError::Missing {
                    what: "mdat",
                    within: "chunk",
                });
            }
            b"moof" => moof = true,
            b"mdat" if !moof => {
                return Err(BoxError::Missing {
                    what: "moof",
                    within: "chunk",
                });
            }
            b"mdat" => {
                chunks.push(start..found.body.end);
                (start, moof) = (found.body.end, false);
            }
            _ if moof => return Err(unexpected(found.kind)),
            _ => {}
        }
    }
    if start != segment.len() || chunks.is_empty() {
        return Err(BoxError::Missing {
            what: if moof { "mdat" } else { "moof" },
            within: "segment",
        });
    }
    Ok(chunks)
}

/// Gives a chunk another sequence number and decode time; nothing else changes, and nothing at all
/// when it returns an error.
pub fn patch_chunk(chunk: &mut [u8], sequence: u32, decode_time: u64) -> Result<()> {
    let layout = Layout::read(chunk)?;
    let time = layout.decode_time_at;
    if layout.long_time {
        chunk[time..time + 8].copy_from_slice(&decode_time.to_be_bytes());
    } else {
        let narrow = u32::try_from(decode_time).map_err(|_| BoxError::Mismatch {
            what: "decode time",
            value: decode_time,
            against: "32-bit tfdt with a maximum",
            limit: u64::from(u32::MAX),
        })?;
        chunk[time..time + 4].copy_from_slice(&narrow.to_be_bytes());
    }
    chunk[layout.sequence_at..layout.sequence_at + 4].copy_from_slice(&sequence.to_be_bytes());
    Ok(())
}

/// Reads a chunk's facts, and checks that its samples lie within its `mdat`.
pub fn inspect_chunk(chunk: &[u8]) -> Result<ChunkFacts> {
    let layout = Layout::read(chunk)?;
    let mut field = Reader::new(chunk, layout.sequence_at..chunk.len());
    let sequence = field.u32("mfhd")?;
    let mut field = Reader::new(chunk, layout.decode_time_at..chunk.len());
    let decode_time = if layout.long_time {
        field.u64("tfdt")?
    } else {
        u64::from(field.u32("tfdt")?)
    };
    let defaults = Defaults::read(Reader::new(chunk, layout.tfhd.body.clone()))?;
    let mut total = Run::default();
    let mut boxes = Reader::new(chunk, layout.traf.clone());
    while let Some(found) = boxes.next_box()? {
        if found.kind == *b"trun" {
            total.add(&defaults, Reader::new(chunk, found.body))?;
        }
    }
    let first_sync = total.first_sync.ok_or(BoxError::Missing {
        what: "sample",
        within: "chunk",
    })?;
    let data = layout.mdat.start - layout.moof_start..layout.mdat.end - layout.moof_start;
    total.check_within(data.start as u64, data.end as u64)?;
    Ok(ChunkFacts {
        sequence,
        track_id: defaults.track_id,
        decode_time,
        duration: total.duration,
        samples: total.samples,
        first_sync,
        data_len: layout.mdat.len(),
    })
}

/// Where the parts of a chunk lie.
struct Layout {
    moof_start: usize,
    sequence_at: usize,
    decode_time_at: usize,
    long_time: bool,
    tfhd: Found,
    traf: Range<usize>,
    mdat: Range<usize>,
}

impl Layout {
    fn read(chunk: &[u8]) -> Result<Layout> {
        let top = Reader::new(chunk, 0..chunk.len());
        let moof = top.only("moof", "chunk")?;
        let mdat = top.only("mdat", "chunk")?;
        if mdat.start < moof.body.end {
            return Err(BoxError::Missing {
                what: "mdat",
                within: "chunk after its moof",
            });
        }
        let inside = Reader::new(chunk, moof.body.clone());
        let mut mfhd = Reader::new(chunk, inside.only("mfhd", "moof")?.body);
        mfhd.version_flags("mfhd")?;
        let sequence_at = mfhd.position();
        mfhd.u32("mfhd")?;
        let traf = inside.only("traf", "moof")?;
        let inside = Reader::new(chunk, traf.body.clone());
        let tfhd = inside.only("tfhd", "traf")?;
        let mut tfdt = Reader::new(chunk, inside.only("tfdt", "traf")?.body);
        let (version, _) = tfdt.version_flags("tfdt")?;
        let decode_time_at = tfdt.position();
        let long_time = version > 0;
        tfdt.skip("tfdt", if long_time { 8 } else { 4 })?;
        Ok(Layout {
            moof_start: moof.start,
            sequence_at,
            decode_time_at,
            long_time,
            tfhd,
            traf: traf.body,
            mdat: mdat.body,
        })
    }
}

/// What `tfhd` says for samples that say nothing.
struct Defaults {
    track_id: u32,
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
}

impl Defaults {
    fn read(mut tfhd: Reader<'_>) -> Result<Defaults> {
        let (_, flags) = tfhd.version_flags("tfhd")?;
        if flags & BASE_DATA_OFFSET != 0 || flags & DEFAULT_BASE_IS_MOOF == 0 {
            return Err(BoxError::Unsupported {
                what: "tfhd flags",
                value: format!("{flags:#08x}"),
                accepted: "default-base-is-moof without base-data-offset",
            });
        }
        let track_id = tfhd.u32("tfhd")?;
        if flags & DESCRIPTION_INDEX != 0 {
            tfhd.skip("tfhd", 4)?;
        }
        let mut optional = |bit| {
            if flags & bit != 0 {
                tfhd.u32("tfhd").map(Some)
            } else {
                Ok(None)
            }
        };
        Ok(Defaults {
            track_id,
            duration: optional(TFHD_DURATION)?,
            size: optional(TFHD_SIZE)?,
            flags: optional(TFHD_FLAGS)?,
        })
    }
}

/// Sums over the sample runs of a chunk. Data offsets count from the start of `moof`.
#[derive(Default)]
struct Run {
    samples: u32,
    duration: u64,
    first_sync: Option<bool>,
    data_start: Option<u64>,
    data_end: u64,
    /// Where a run without an offset of its own begins.
    next_data: u64,
}

impl Run {
    fn add(&mut self, defaults: &Defaults, mut trun: Reader<'_>) -> Result<()> {
        let (_, flags) = trun.version_flags("trun")?;
        let count = trun.u32("trun")?;
        if flags & TRUN_DATA_OFFSET != 0 {
            self.next_data = u64::from(trun.u32("trun")?);
        } else if self.data_start.is_none() {
            return Err(BoxError::Missing {
                what: "data offset",
                within: "trun",
            });
        }
        self.data_start = Some(self.next_data.min(self.data_start.unwrap_or(u64::MAX)));
        let first_flags = if flags & TRUN_FIRST_FLAGS != 0 {
            Some(trun.u32("trun")?)
        } else {
            None
        };
        let per_sample = flags & (TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_OFFSETS);
        let (mut duration, mut size, mut entry_flags) = (0u64, 0u64, None);
        // Shared fields are multiplied and others end with the box: a forged count costs no time.
        for index in 0..if per_sample == 0 { 0 } else { count } {
            let mut each = |bit| {
                if flags & bit != 0 {
                    trun.u32("trun")
                } else {
                    Ok(0)
                }
            };
            duration += u64::from(each(TRUN_DURATION)?);
            size += u64::from(each(TRUN_SIZE)?);
            let sample_flags = each(TRUN_FLAGS)?;
            each(TRUN_OFFSETS)?;
            if index == 0 && flags & TRUN_FLAGS != 0 {
                entry_flags = Some(sample_flags);
            }
        }
        if flags & TRUN_DURATION == 0 {
            duration =
                u64::from(count) * u64::from(required(defaults.duration, "sample duration")?);
        }
        if flags & TRUN_SIZE == 0 {
            size = u64::from(count) * u64::from(required(defaults.size, "sample size")?);
        }
        if count > 0 && self.first_sync.is_none() {
            let flags = required(
                first_flags.or(entry_flags).or(defaults.flags),
                "sample flags",
            )?;
            self.first_sync = Some(flags & NON_SYNC == 0);
        }
        self.samples = self.samples.saturating_add(count);
        self.duration = self.duration.saturating_add(duration);
        self.next_data = self.next_data.saturating_add(size);
        self.data_end = self.data_end.max(self.next_data);
        Ok(())
    }

    fn check_within(&self, start: u64, end: u64) -> Result<()> {
        let outside = |what, value, against, limit| {
            Err(BoxError::Mismatch {
                what,
                value,
                against,
                limit,
            })
        };
        match self.data_start {
            Some(from) if from < start => {
                outside("start of the sample data", from, "start of mdat", start)
            }
            _ if self.data_end > end => {
                outside("end of the sample data", self.data_end, "end of mdat", end)
            }
            _ => Ok(()),
        }
    }
}

fn required(value: Option<u32>, what: &'static str) -> Result<u32> {
    value.ok_or(BoxError::Missing {
        what,
        within: "tfhd or trun",
    })
}

fn unexpected(kind: [u8; 4]) -> BoxError {
    BoxError::Unsupported {
        what: "box between moof and mdat",
        value: format!("\"{}\"", kind.escape_ascii()),
        accepted: "none",
    }
}

const BASE_DATA_OFFSET: u32 = 0x01;
const DESCRIPTION_INDEX: u32 = 0x02;
