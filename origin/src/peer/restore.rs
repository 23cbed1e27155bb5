//! From chunks as a peer emitted them, somewhere in the loop, to the segment as it is stored. Pure.

use banyan_media::boxes;
use banyan_proto::v1;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Refused, Wanted};
use crate::prepare::TRACK_ID;

/// Checks all there is to check of a segment, then gives its chunks the numbers and times of loop 0.
pub(super) fn restore(
    wanted: &Wanted<'_>,
    chunks: &[(v1::ChunkHead, Bytes)],
) -> Result<Vec<u8>, Refused> {
    check_heads(wanted, chunks)?;
    let timeline = wanted.timeline;
    let local = u64::from(timeline.locate(wanted.n).local);
    let (from, to) = (timeline.video(wanted.n), timeline.video(local));
    let frames = timeline.video_part_frames();
    let (mut from_time, mut to_time) = (from.start, to.start);
    let mut segment = Vec::with_capacity(chunks.iter().map(|(_, data)| data.len()).sum());
    for (((part, (_, data)), duration), frames) in
        (0u32..).zip(chunks).zip(&from.parts).zip(&frames)
    {
        let unfit = |_| Refused::Unfit { part };
        let facts = boxes::inspect_chunk(data).map_err(unfit)?;
        let fits = facts.sequence == timeline.chunk_ordinal(wanted.n, part)
            && facts.track_id == TRACK_ID
            && facts.decode_time == from_time
            && facts.duration == u64::from(*duration)
            && facts.samples == *frames
            && (facts.first_sync || part > 0);
        if !fits {
            return Err(Refused::Unfit { part });
        }
        let at = segment.len();
        segment.extend_from_slice(data);
        let sequence = timeline.chunk_ordinal(local, part);
        boxes::patch_chunk(&mut segment[at..], sequence, to_time).map_err(unfit)?;
        from_time += u64::from(*duration);
        to_time += u64::from(*duration);
    }
    Ok(segment)
}

/// Exactly the parts asked for, in order, and the bytes that were hashed where they were made.
fn check_heads(wanted: &Wanted<'_>, chunks: &[(v1::ChunkHead, Bytes)]) -> Result<(), Refused> {
    let parts = wanted.timeline.parts as usize;
    if chunks.len() != parts {
        let came = chunks.len();
        return Err(Refused::Parts { came, parts });
    }
    let mut hash = Sha256::new();
    for (part, (head, data)) in (0u32..).zip(chunks) {
        let asked = head.run == wanted.run
            && head.track == wanted.track
            && head.number == wanted.number()
            && head.part == part
            && head.last_in_segment == (part as usize + 1 == parts);
        if !asked {
            return Err(Refused::Position {
                run: head.run.clone(),
                track: head.track.clone(),
                number: head.number,
                part: head.part,
            });
        }
        hash.update(data);
    }
    let told = chunks.last().map(|(head, _)| &head.sha256[..]);
    if told != Some(&hash.finalize()[..]) {
        return Err(Refused::Damaged);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use banyan_media::{FrameRate, Sample, Timeline};

    fn timeline() -> Timeline {
        Timeline {
            frame_rate: FrameRate { num: 25, den: 1 },
            frames_per_segment: 25,
            segments: 3,
            parts: 3,
            sample_rate: None,
        }
    }

    /// Segment `n` as its maker writes it.
    fn emitted(n: u64) -> Vec<(v1::ChunkHead, Bytes)> {
        let timeline = timeline();
        let timing = timeline.video(n);
        let mut start = timing.start;
        let mut chunks = Vec::new();
        let parts = (0u32..).zip(timeline.video_part_frames());
        for (part, frames) in parts {
            let samples: Vec<Sample> = (0..frames)
                .map(|at| Sample {
                    size: 4,
                    duration: 1,
                    composition_offset: 0,
                    sync: part == 0 && at == 0,
                })
                .collect();
            let data = vec![&b"data"[..]; frames as usize];
            let sequence = timeline.chunk_ordinal(n, part);
            let data = boxes::write_chunk(sequence, TRACK_ID, start, &samples, &data);
            start += u64::from(frames);
            let head = v1::ChunkHead {
                run: "run".into(),
                track: "90p".into(),
                number: 1000 + n,
                part,
                last_in_segment: part == 2,
                ..Default::default()
            };
            chunks.push((head, Bytes::from(data)));
        }
        rehash(&mut chunks);
        chunks
    }

    fn rehash(chunks: &mut [(v1::ChunkHead, Bytes)]) {
        let whole: Vec<u8> = chunks.iter().flat_map(|(_, data)| data.to_vec()).collect();
        if let Some((head, _)) = chunks.last_mut() {
            head.sha256 = Sha256::digest(&whole).to_vec().into();
        }
    }

    fn restored(n: u64, chunks: &[(v1::ChunkHead, Bytes)]) -> Result<Vec<u8>, Refused> {
        let timeline = timeline();
        let wanted = Wanted {
            timeline: &timeline,
            stream: "garden",
            track: "90p",
            run: "run",
            epoch: 1000,
            n,
            init: None,
        };
        restore(&wanted, chunks)
    }

    #[test]
    fn a_segment_of_any_loop_becomes_that_of_loop_zero() {
        for local in 0..3 {
            let original: Vec<u8> = emitted(local)
                .iter()
                .flat_map(|(_, data)| data.to_vec())
                .collect();
            for n in [local, local + 3, local + 3_000_000_000] {
                assert_eq!(restored(n, &emitted(n)).unwrap(), original, "{n}");
            }
        }
    }

    #[test]
    fn what_is_not_the_segment_asked_for_is_refused_with_the_reason() {
        type Break = fn(&mut Vec<(v1::ChunkHead, Bytes)>);
        let cases: [(Break, &str); 9] = [
            (|c| c.clear(), "0 parts came"),
            (|c| c.truncate(2), "2 parts came"),
            (|c| c.swap(0, 1), "not asked for"),
            (|c| c[1].0.run = "other".into(), "run \"other\""),
            (|c| c[1].0.number += 3, "not asked for"),
            (|c| c[2].0.sha256 = Bytes::new(), "SHA-256"),
            (|c| c[0].1 = Bytes::from_static(b"data"), "SHA-256"),
            (
                |c| {
                    c[1].1 = Bytes::from_static(b"data");
                    rehash(c);
                },
                "part 1",
            ),
            (
                // Another segment's bytes under the right heads.
                |c| {
                    for (ours, other) in c.iter_mut().zip(emitted(5)) {
                        ours.1 = other.1;
                    }
                    rehash(c);
                },
                "part 0",
            ),
        ];
        for (break_it, part) in cases {
            let mut chunks = emitted(4);
            break_it(&mut chunks);
            let error = restored(4, &chunks).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
