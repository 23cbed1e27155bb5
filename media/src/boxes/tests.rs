//! Boxes against mp4-atom, against files FFmpeg wrote, and against arbitrary bytes.

use mp4_atom::{Any, DecodeMaybe, Moof, TrunSamples};
use proptest::prelude::*;

use super::*;

/// FFmpeg: 64x36 H.264 High with B-frames at 30000/1001.
const PATTERN: &[u8] = include_bytes!("fixtures/pattern.mp4");
/// FFmpeg: one second of stereo AAC-LC at 44.1 kHz in three fragments.
const TONE: &[u8] = include_bytes!("fixtures/tone.mp4");

fn samples() -> impl Strategy<Value = Vec<(Sample, Vec<u8>)>> {
    let sample = |constant: bool| {
        let bytes = prop::collection::vec(any::<u8>(), 0..40);
        let duration = if constant {
            Just(1001u32).boxed()
        } else {
            (0u32..100_000).boxed()
        };
        let offset = prop_oneof![Just(0i32), any::<i32>()];
        (bytes, duration, offset, any::<bool>()).prop_map(
            |(bytes, duration, composition_offset, sync)| {
                (
                    Sample {
                        size: bytes.len() as u32,
                        duration,
                        composition_offset,
                        sync,
                    },
                    bytes,
                )
            },
        )
    };
    any::<bool>().prop_flat_map(move |constant| prop::collection::vec(sample(constant), 1..20))
}

fn chunk(sequence: u32, track_id: u32, time: u64, samples: &[(Sample, Vec<u8>)]) -> Vec<u8> {
    let heads: Vec<Sample> = samples.iter().map(|(sample, _)| *sample).collect();
    let payload: Vec<&[u8]> = samples.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    write_chunk(sequence, track_id, time, &heads, &payload)
}

/// Sample flags and bytes as a decoder would find them, by mp4-atom.
fn decode(chunk: &[u8]) -> (Moof, Vec<(Sample, Vec<u8>)>) {
    let mut rest = chunk;
    let Some(Any::Moof(moof)) = Any::decode_maybe(&mut rest).unwrap() else {
        panic!("no moof")
    };
    let Some(Any::Mdat(mdat)) = Any::decode_maybe(&mut rest).unwrap() else {
        panic!("no mdat")
    };
    assert!(rest.is_empty());
    assert_eq!(moof.traf.len(), 1);
    let (tfhd, trun) = (&moof.traf[0].tfhd, &moof.traf[0].trun[0]);
    let mut at = trun.data_offset.unwrap() as usize;
    assert_eq!(at, chunk.len() - mdat.data.len(), "data offset");
    let TrunSamples::Explicit(entries) = &trun.samples else {
        panic!("sizes are per sample")
    };
    let samples = entries
        .iter()
        .map(|entry| {
            let size = entry.size.unwrap();
            let bytes = chunk[at..at + size as usize].to_vec();
            at += size as usize;
            let flags = entry.flags.or(tfhd.default_sample_flags).unwrap();
            let sample = Sample {
                size,
                duration: entry.duration.or(tfhd.default_sample_duration).unwrap(),
                composition_offset: i32::try_from(entry.cts.unwrap_or(0)).unwrap(),
                sync: flags & 0x1_0000 == 0,
            };
            (sample, bytes)
        })
        .collect();
    assert_eq!(at, chunk.len(), "samples fill mdat");
    (moof, samples)
}

proptest! {
    #[test]
    fn a_written_chunk_is_read_back_by_another_library(
        sequence in any::<u32>(), track_id in 1u32.., time in any::<u64>(), samples in samples(),
    ) {
        let bytes = chunk(sequence, track_id, time, &samples);
        let (moof, found) = decode(&bytes);
        prop_assert_eq!(&found, &samples);
        prop_assert_eq!(moof.mfhd.sequence_number, sequence);
        prop_assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time, time);
        prop_assert!(moof.traf[0].tfhd.default_base_is_moof);
        prop_assert_eq!(moof.traf[0].tfhd.track_id, track_id);
        let facts = inspect_chunk(&bytes).unwrap();
        let expected = ChunkFacts {
            sequence,
            track_id,
            decode_time: time,
            duration: samples.iter().map(|(sample, _)| u64::from(sample.duration)).sum(),
            samples: samples.len() as u32,
            first_sync: samples[0].0.sync,
            data_len: samples.iter().map(|(_, bytes)| bytes.len()).sum(),
        };
        prop_assert_eq!(facts, expected);
    }

    #[test]
    fn a_patched_chunk_equals_one_written_with_the_new_values(
        (from, to) in (any::<(u32, u64)>(), any::<(u32, u64)>()), samples in samples(),
    ) {
        let mut bytes = chunk(from.0, 1, from.1, &samples);
        patch_chunk(&mut bytes, to.0, to.1).unwrap();
        prop_assert_eq!(bytes, chunk(to.0, 1, to.1, &samples));
    }

    #[test]
    fn a_segment_splits_into_the_chunks_it_was_made_of(parts in prop::collection::vec(samples(), 1..6)) {
        let chunks: Vec<Vec<u8>> =
            parts.iter().enumerate().map(|(index, part)| chunk(index as u32, 1, 0, part)).collect();
        let segment = chunks.concat();
        let ranges = split_chunks(&segment).unwrap();
        let split: Vec<&[u8]> = ranges.into_iter().map(|range| &segment[range]).collect();
        prop_assert_eq!(split, chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_everything(&bytes);
    }

    #[test]
    fn arbitrary_boxes_never_panic(
        boxes in prop::collection::vec((0usize..KINDS.len(), any::<Option<u32>>(), prop::collection::vec(any::<u8>(), 0..60)), 0..8),
        depth in 0usize..4,
    ) {
        let mut bytes = Vec::new();
        for (kind, size, body) in boxes {
            bytes.extend(size.unwrap_or(body.len() as u32 + 8).to_be_bytes());
            bytes.extend(KINDS[kind]);
            bytes.extend(body);
        }
        for kind in [b"traf", b"moof", b"stsd", b"moov"].iter().take(depth) {
            bytes = [&(bytes.len() as u32 + 8).to_be_bytes(), kind.as_slice(), &bytes].concat();
        }
        read_everything(&bytes);
    }

    #[test]
    fn damaged_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        words in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![Just(0u32), Just(1), Just(u32::MAX), any::<u32>()]), 0..3),
        end in any::<prop::sample::Index>(), cut in any::<bool>(), tone in any::<bool>(),
    ) {
        let file = if tone { TONE } else { PATTERN };
        let heads = if tone { 900 } else { 1000 };
        let mut bytes = file.to_vec();
        for (index, value) in edits {
            bytes[index.index(heads)] = value;
        }
        for (index, value) in words {
            let at = index.index(heads - 4);
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        if cut {
            bytes.truncate(end.index(file.len()));
        }
        read_everything(&bytes);
        let init = bytes.len().min(if tone { 692 } else { 739 });
        read_everything(&bytes[init..]);
    }
}

const KINDS: [&[u8; 4]; 10] = [
    b"moof", b"mdat", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"moov", b"trak", b"free",
];

fn read_everything(bytes: &[u8]) {
    let _ = inspect_init(bytes);
    let _ = inspect_chunk(bytes);
    for range in split_chunks(bytes).unwrap_or_default() {
        let _ = inspect_chunk(&bytes[range]);
    }
    let before = bytes.to_vec();
    let mut patched = bytes.to_vec();
    match patch_chunk(&mut patched, 7, 1 << 40) {
        Ok(()) => assert_eq!(patched.len(), before.len()),
        Err(_) => assert_eq!(patched, before, "a refused patch must change nothing"),
    }
}

fn after_init(file: &[u8]) -> &[u8] {
    let (_, rest) = file.split_at(
        file.windows(4)
            .position(|window| window == b"moof")
            .unwrap()
            - 4,
    );
    rest
}

#[test]
fn init_segments_written_by_ffmpeg_are_understood() {
    let video = inspect_init(PATTERN).unwrap();
    assert_eq!(
        video,
        InitFacts {
            track_id: 1,
            timescale: 30_000,
            handler: "vide".into(),
            codec: "avc1.64000a".into(),
            width: 64,
            height: 36,
            sample_rate: 0,
            channels: 0,
        }
    );
    let audio = inspect_init(TONE).unwrap();
    assert_eq!(
        audio,
        InitFacts {
            track_id: 1,
            timescale: 44_100,
            handler: "soun".into(),
            codec: "mp4a.40.2".into(),
            width: 0,
            height: 0,
            sample_rate: 44_100,
            channels: 2,
        }
    );
}

#[test]
fn chunks_written_by_ffmpeg_are_understood_and_patched() {
    let segment = after_init(TONE);
    let chunks = split_chunks(segment).unwrap();
    assert_eq!(chunks.len(), 3);
    let mut time = None;
    for range in chunks {
        let facts = inspect_chunk(&segment[range.clone()]).unwrap();
        assert!(facts.first_sync);
        assert!(
            time.is_none_or(|time| time == facts.decode_time),
            "{facts:?}"
        );
        time = Some(facts.decode_time + facts.duration);
        let mut patched = segment[range].to_vec();
        patch_chunk(&mut patched, 9, 1 << 20).unwrap();
        let moved = inspect_chunk(&patched).unwrap();
        assert_eq!(
            moved,
            ChunkFacts {
                sequence: 9,
                decode_time: 1 << 20,
                ..facts
            }
        );
    }
    let video = inspect_chunk(after_init(PATTERN)).unwrap();
    assert_eq!(
        (video.samples, video.duration, video.first_sync),
        (12, 12 * 1001, true)
    );
}

#[test]
fn malformed_chunks_are_refused_with_what_is_wrong() {
    let sample = Sample {
        size: 3,
        duration: 1,
        composition_offset: 0,
        sync: true,
    };
    let good = write_chunk(1, 1, 0, &[sample], &[b"abc"]);
    let sentence = |bytes: &[u8]| inspect_chunk(bytes).unwrap_err().to_string();
    assert_eq!(
        sentence(&[]),
        "no \"moof\" in \"chunk\": exactly one is accepted"
    );
    assert_eq!(
        sentence(&good[..good.len() - 1]),
        format!(
            "box at byte 100 is cut short: it has to end within {} bytes",
            good.len() - 1
        )
    );
    let undersized = [&7u32.to_be_bytes(), b"moof".as_slice()].concat();
    assert_eq!(
        sentence(&undersized),
        "box at byte 0 says it is 7 bytes long: at least its header is accepted"
    );
    let twice = [good.clone(), good.clone()].concat();
    assert_eq!(
        sentence(&twice),
        "more than one \"moof\" in \"chunk\": exactly one is accepted"
    );
    let mut beyond = good.clone();
    let size_at = good.len() - 3 - 8 - 4;
    beyond[size_at..size_at + 4].copy_from_slice(&4u32.to_be_bytes());
    assert_eq!(
        sentence(&beyond),
        "end of the sample data is 112, which does not fit the end of mdat of 111"
    );
    assert_eq!(
        split_chunks(&good[..100]).unwrap_err().to_string(),
        "no \"mdat\" in \"segment\": exactly one is accepted"
    );
    assert_eq!(
        split_chunks(b"").unwrap_err().to_string(),
        "no \"moof\" in \"segment\": exactly one is accepted"
    );
}

#[test]
fn a_forged_sample_count_costs_nothing() {
    let sample = Sample {
        size: 3,
        duration: 1,
        composition_offset: 0,
        sync: true,
    };
    let mut chunk = write_chunk(1, 1, 0, &[sample], &[b"abc"]);
    let count = chunk
        .windows(4)
        .position(|window| window == b"trun")
        .unwrap()
        + 8;
    chunk[count..count + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(
        inspect_chunk(&chunk),
        Err(BoxError::Truncated { what: "trun", .. })
    ));
}

#[test]
fn boxes_before_a_moof_belong_to_its_chunk() {
    let sample = Sample {
        size: 1,
        duration: 1,
        composition_offset: 0,
        sync: true,
    };
    let one = write_chunk(1, 1, 0, &[sample], &[b"x"]);
    let free = [&8u32.to_be_bytes(), b"free".as_slice()].concat();
    let segment = [&free, &one, &free, &one].map(Vec::as_slice).concat();
    let len = one.len() + 8;
    assert_eq!(split_chunks(&segment).unwrap(), [0..len, len..2 * len]);
    let trailing = [one.as_slice(), &free].concat();
    assert!(split_chunks(&trailing).is_err());
}
