//! A capture as an analyser reads it: the classic pcap format, every field of which must be as it is laid down.

use std::path::Path;

/// A frame as it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub at_ns: u64,
    pub bytes: Vec<u8>,
}

impl Frame {
    /// Hardware address of the sender, as `02:00:…`.
    pub fn source(&self) -> String {
        let pairs: Vec<String> = self.bytes[6..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        pairs.join(":")
    }
}

/// All frames of a file; fails at the first thing that an analyser would not accept.
#[track_caller]
pub fn frames(path: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(path).expect("a capture must be readable");
    match parse(&bytes) {
        Ok(frames) => frames,
        Err(fault) => panic!("{}: {fault}", path.display()),
    }
}

fn parse(mut bytes: &[u8]) -> Result<Vec<Frame>, String> {
    let [magic, version, zone, accuracy, longest, kind] = words(&mut bytes)?;
    let expected = [MAGIC, VERSION, 0, 0, ETHERNET];
    if [magic, version, zone, accuracy, kind] != expected {
        return Err(format!(
            "the header says {magic:#x} {version:#x} {zone} {accuracy} {kind}"
        ));
    }
    let mut frames: Vec<Frame> = Vec::new();
    while !bytes.is_empty() {
        let [second, nanos, kept, length] = words(&mut bytes)?;
        if nanos >= 1_000_000_000 || kept != length || kept > longest || kept < ETHERNET_HEADER {
            return Err(format!(
                "record {} says {nanos} ns, {kept} of {length} bytes",
                frames.len()
            ));
        }
        let (frame, rest) = bytes
            .split_at_checked(kept as usize)
            .ok_or_else(|| format!("record {} is cut off", frames.len()))?;
        bytes = rest;
        let at_ns = u64::from(second) * 1_000_000_000 + u64::from(nanos);
        if frames.last().is_some_and(|last| last.at_ns > at_ns) {
            return Err(format!("record {} is older than the last", frames.len()));
        }
        frames.push(Frame {
            at_ns,
            bytes: frame.to_vec(),
        });
    }
    Ok(frames)
}

fn words<const N: usize>(bytes: &mut &[u8]) -> Result<[u32; N], String> {
    let (head, rest) = bytes.split_at_checked(4 * N).ok_or("a header is cut off")?;
    *bytes = rest;
    let mut words = [0; N];
    for (word, four) in words.iter_mut().zip(head.chunks_exact(4)) {
        *word = u32::from_ne_bytes([four[0], four[1], four[2], four[3]]);
    }
    Ok(words)
}

/// Times in nanoseconds, in this machine's byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
/// 2.4: two halves, the major one first in memory.
const VERSION: u32 = u32::from_ne_bytes({
    let ([a, b], [c, d]) = (2_u16.to_ne_bytes(), 4_u16.to_ne_bytes());
    [a, b, c, d]
});
const ETHERNET: u32 = 1;
const ETHERNET_HEADER: u32 = 14;
