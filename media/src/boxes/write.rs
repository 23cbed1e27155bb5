//! Writing one chunk from its samples.

/// One access unit in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Bytes in `mdat`.
    pub size: u32,
    /// Ticks.
    pub duration: u32,
    /// Presentation minus decode time, in ticks; may be negative.
    pub composition_offset: i32,
    /// Decodable without any other sample.
    pub sync: bool,
}

/// Writes a `moof` and `mdat`: 64-bit `tfdt`, `default-base-is-moof`, durations and flags that all
/// samples share in `tfhd`, a first sync sample as `first-sample-flags`, signed composition offsets
/// only when there are any.
///
/// `payload` holds the samples' bytes, in any number of slices, and has to be as long as their
/// sizes together; chunks are far below the 4 GiB that a box of this form can hold.
pub fn write_chunk(
    sequence: u32,
    track_id: u32,
    decode_time: u64,
    samples: &[Sample],
    payload: &[&[u8]],
) -> Vec<u8> {
    let payload_len: usize = payload.iter().map(|slice| slice.len()).sum();
    debug_assert_eq!(
        payload_len as u64,
        samples
            .iter()
            .map(|sample| u64::from(sample.size))
            .sum::<u64>(),
        "the payload must be as long as the samples together"
    );
    let shape = Shape::of(samples);
    let trun_len =
        20 + 4 * usize::from(shape.first_flags.is_some()) + samples.len() * shape.entry_len();
    let tfhd_len =
        16 + 4 * usize::from(shape.duration.is_some()) + 4 * usize::from(shape.flags.is_some());
    let traf_len = 8 + tfhd_len + TFDT_LEN + trun_len;
    let moof_len = 8 + MFHD_LEN + traf_len;

    let mut out = Vec::with_capacity(moof_len + 8 + payload_len);
    header(&mut out, moof_len, b"moof");
    header(&mut out, MFHD_LEN, b"mfhd");
    words(&mut out, &[0, sequence]);
    header(&mut out, traf_len, b"traf");
    header(&mut out, tfhd_len, b"tfhd");
    words(&mut out, &[shape.tfhd_flags(), track_id]);
    shape
        .duration
        .iter()
        .chain(&shape.flags)
        .for_each(|word| words(&mut out, &[*word]));
    header(&mut out, TFDT_LEN, b"tfdt");
    words(&mut out, &[VERSION_1]);
    out.extend_from_slice(&decode_time.to_be_bytes());
    header(&mut out, trun_len, b"trun");
    words(
        &mut out,
        &[shape.trun_flags(), word(samples.len()), word(moof_len + 8)],
    );
    shape
        .first_flags
        .iter()
        .for_each(|word| words(&mut out, &[*word]));
    for sample in samples {
        shape.entry(&mut out, sample);
    }
    header(&mut out, 8 + payload_len, b"mdat");
    payload
        .iter()
        .for_each(|slice| out.extend_from_slice(slice));
    out
}

/// Which fields are shared by all samples and which are written for each.
struct Shape {
    duration: Option<u32>,
    flags: Option<u32>,
    first_flags: Option<u32>,
    offsets: bool,
}

impl Shape {
    fn of(samples: &[Sample]) -> Shape {
        let first = samples.first();
        let duration = first.map(|first| first.duration);
        let rest_flags = samples
            .get(1)
            .or(first)
            .map(|sample| sample_flags(sample.sync));
        let first_flags = first.map(|first| sample_flags(first.sync));
        let shared = |sample: &Sample| Some(sample_flags(sample.sync)) == rest_flags;
        let flags = rest_flags.filter(|_| samples.iter().skip(1).all(shared));
        Shape {
            duration: duration
                .filter(|duration| samples.iter().all(|sample| sample.duration == *duration)),
            flags,
            first_flags: first_flags.filter(|_| flags.is_some() && first_flags != flags),
            offsets: samples.iter().any(|sample| sample.composition_offset != 0),
        }
    }

    fn tfhd_flags(&self) -> u32 {
        let duration = if self.duration.is_some() {
            TFHD_DURATION
        } else {
            0
        };
        DEFAULT_BASE_IS_MOOF | duration | if self.flags.is_some() { TFHD_FLAGS } else { 0 }
    }

    fn trun_flags(&self) -> u32 {
        let mut flags = VERSION_1 | TRUN_DATA_OFFSET | TRUN_SIZE;
        flags |= if self.first_flags.is_some() {
            TRUN_FIRST_FLAGS
        } else {
            0
        };
        flags |= if self.duration.is_none() {
            TRUN_DURATION
        } else {
            0
        };
        flags |= if self.flags.is_none() { TRUN_FLAGS } else { 0 };
        flags | if self.offsets { TRUN_OFFSETS } else { 0 }
    }

    fn entry_len(&self) -> usize {
        4 * (1
            + usize::from(self.duration.is_none())
            + usize::from(self.flags.is_none())
            + usize::from(self.offsets))
    }

    fn entry(&self, out: &mut Vec<u8>, sample: &Sample) {
        if self.duration.is_none() {
            words(out, &[sample.duration]);
        }
        words(out, &[sample.size]);
        if self.flags.is_none() {
            words(out, &[sample_flags(sample.sync)]);
        }
        if self.offsets {
            words(out, &[sample.composition_offset as u32]);
        }
    }
}

fn sample_flags(sync: bool) -> u32 {
    if sync {
        DEPENDS_ON_NONE
    } else {
        DEPENDS_ON_OTHERS | NON_SYNC
    }
}

fn header(out: &mut Vec<u8>, len: usize, kind: &[u8; 4]) {
    words(out, &[word(len)]);
    out.extend_from_slice(kind);
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    words
        .iter()
        .for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

fn word(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

const MFHD_LEN: usize = 16;
const TFDT_LEN: usize = 20;
const VERSION_1: u32 = 1 << 24;
pub(super) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
pub(super) const TFHD_DURATION: u32 = 0x08;
pub(super) const TFHD_SIZE: u32 = 0x10;
pub(super) const TFHD_FLAGS: u32 = 0x20;
pub(super) const TRUN_DATA_OFFSET: u32 = 0x001;
pub(super) const TRUN_FIRST_FLAGS: u32 = 0x004;
pub(super) const TRUN_DURATION: u32 = 0x100;
pub(super) const TRUN_SIZE: u32 = 0x200;
pub(super) const TRUN_FLAGS: u32 = 0x400;
pub(super) const TRUN_OFFSETS: u32 = 0x800;
pub(super) const NON_SYNC: u32 = 0x0001_0000;
const DEPENDS_ON_NONE: u32 = 0x0200_0000;
const DEPENDS_ON_OTHERS: u32 = 0x0100_0000;
