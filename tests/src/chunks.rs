//! What a segment says of itself, read with a parser that is not ours.

use mp4_atom::{Atom, Decode, Moof, Moov};

/// One `moof`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub sequence: u32,
    pub decode_time: u64,
    pub duration: u64,
    pub samples: u64,
}

/// Duration that samples of an initialisation segment have unless told otherwise, and its time scale.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    pub timescale: u32,
    pub sample_duration: u32,
}

/// Reads an initialisation segment with one track.
#[track_caller]
pub fn defaults(init: &[u8]) -> Defaults {
    let (_, mut moov) = boxes(init)
        .into_iter()
        .find(|(kind, _)| kind == Moov::KIND.as_ref())
        .expect("an init must hold a moov");
    let moov = Moov::decode(&mut moov).expect("a moov must be readable");
    assert_eq!(moov.trak.len(), 1, "an init must describe one track");
    let trex = moov.mvex.as_ref().and_then(|mvex| mvex.trex.first());
    Defaults {
        timescale: moov.trak[0].mdia.mdhd.timescale,
        sample_duration: trex.map_or(0, |trex| trex.default_sample_duration),
    }
}

/// Reads the chunks of a segment.
#[track_caller]
pub fn chunks(segment: &[u8], defaults: Defaults) -> Vec<Chunk> {
    let mut found = Vec::new();
    for (kind, mut bytes) in boxes(segment) {
        if kind != *Moof::KIND.as_ref() {
            continue;
        }
        let moof = Moof::decode(&mut bytes).expect("a moof must be readable");
        assert_eq!(moof.traf.len(), 1, "a chunk must hold one track");
        let traf = &moof.traf[0];
        let usual = traf
            .tfhd
            .default_sample_duration
            .unwrap_or(defaults.sample_duration);
        let samples: Vec<u64> = traf
            .trun
            .iter()
            .flat_map(|trun| trun.samples.iter())
            .map(|sample| u64::from(sample.duration.unwrap_or(usual)))
            .collect();
        found.push(Chunk {
            sequence: moof.mfhd.sequence_number,
            decode_time: traf
                .tfdt
                .as_ref()
                .expect("a chunk must have a tfdt")
                .base_media_decode_time,
            duration: samples.iter().sum(),
            samples: samples.len() as u64,
        });
    }
    assert!(!found.is_empty(), "a segment must hold a chunk");
    found
}

/// Top-level boxes, header included.
#[track_caller]
fn boxes(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (size, kind) = match bytes.first_chunk::<8>() {
            Some(&[a, b, c, d, kind @ ..]) => (u32::from_be_bytes([a, b, c, d]) as usize, kind),
            None => panic!("{} bytes are no box", bytes.len()),
        };
        assert!(
            (8..=bytes.len()).contains(&size),
            "a box of {size} bytes in {}",
            bytes.len()
        );
        found.push((kind, &bytes[..size]));
        bytes = &bytes[size..];
    }
    found
}
