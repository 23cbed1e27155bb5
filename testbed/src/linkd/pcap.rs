//! Captures in the classic pcap format, which every analyser reads: a header of 24 bytes, then 16 bytes before each
//! frame, in this machine's byte order, times in nanoseconds (magic a1b23c4d), link type Ethernet.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use super::{Nanos, SECOND, now};

pub(super) struct Pcap<W: Write = BufWriter<File>> {
    out: W,
    /// From the monotonic clock to the time of day.
    offset: i128,
}

impl Pcap {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let wall = clock_gettime(ClockId::Realtime);
        let wall = i128::from(wall.tv_sec) * i128::from(SECOND) + i128::from(wall.tv_nsec);
        Self::to(
            BufWriter::new(File::create(path)?),
            wall - i128::from(now()),
        )
    }
}

impl<W: Write> Pcap<W> {
    fn to(mut out: W, offset: i128) -> io::Result<Self> {
        for word in [MAGIC, VERSION, 0, 0, SNAP, ETHERNET] {
            out.write_all(&word.to_ne_bytes())?;
        }
        out.flush()?;
        Ok(Self { out, offset })
    }

    /// A frame that cannot be written is missing from the capture, not from the link.
    pub(super) fn write(&mut self, at: Nanos, frame: &[u8]) {
        let at = i128::from(at) + self.offset;
        let length = frame.len() as u32;
        let (second, nanos) = (at / i128::from(SECOND), at % i128::from(SECOND));
        let mut record = Vec::with_capacity(16 + frame.len());
        for word in [second as u32, nanos as u32, length, length] {
            record.extend(word.to_ne_bytes());
        }
        record.extend(frame);
        let _ = self.out.write_all(&record).and_then(|()| self.out.flush());
    }
}

const MAGIC: u32 = 0xa1b2_3c4d;
/// 2.4, as two halves in this machine's order.
const VERSION: u32 = if cfg!(target_endian = "little") {
    (4 << 16) | 2
} else {
    (2 << 16) | 4
};
const SNAP: u32 = 65_535;
const ETHERNET: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_a_header_and_a_record_for_each_frame() {
        let mut out = Vec::new();
        let mut pcap = Pcap::to(&mut out, 1_700_000_000 * i128::from(SECOND)).unwrap();
        pcap.write(SECOND + 5, &[7; 60]);
        assert_eq!(out.len(), 24 + 16 + 60);
        let word = |at: usize| u32::from_ne_bytes(out[at..at + 4].try_into().unwrap());
        assert_eq!([word(0), word(16), word(20)], [MAGIC, SNAP, 1]);
        let half = |at: usize| u16::from_ne_bytes(out[at..at + 2].try_into().unwrap());
        assert_eq!((half(4), half(6)), (2, 4));
        assert_eq!(
            [word(24), word(28), word(32), word(36)],
            [1_700_000_001, 5, 60, 60]
        );
        assert_eq!(out[40..], [7; 60]);
    }
}
