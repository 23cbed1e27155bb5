//! From coded frames to a segment's bytes: its parts as chunks, with the times and numbers of loop 0.

use banyan_media::{Sample, Timeline, boxes};

use crate::ffmpeg::encode::Coded;

/// A video segment. Decode times run on without a break over fresh encoders: picture i of the segment in decoding order is
/// decoded at i, shown where the encoder said; composition offsets may be negative, so no edit list is needed.
pub(crate) fn video(timeline: &Timeline, local: u32, coded: &[Coded]) -> Vec<u8> {
    let den = timeline.frame_rate.den;
    let samples: Vec<Sample> = coded
        .iter()
        .enumerate()
        .map(|(at, picture)| Sample {
            size: length(&picture.data),
            duration: den,
            composition_offset: i32::try_from((picture.shown - at as i64) * i64::from(den))
                .unwrap_or(0),
            sync: picture.key,
        })
        .collect();
    let data: Vec<&[u8]> = coded.iter().map(|c| c.data.as_slice()).collect();
    let start = timeline.video(u64::from(local)).start;
    chunks(
        timeline,
        local,
        start,
        &timeline.video_part_frames(),
        &samples,
        &data,
    )
}

/// An audio segment of the frames given, all 1024 samples long.
pub(crate) fn audio(timeline: &Timeline, local: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let samples: Vec<Sample> = frames
        .iter()
        .map(|frame| Sample {
            size: length(frame),
            duration: FRAME,
            composition_offset: 0,
            sync: true,
        })
        .collect();
    let data: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let start = timeline.audio(u64::from(local)).timing.start;
    let parts =
        Timeline::audio_part_frames(u32::try_from(frames.len()).unwrap_or(0), timeline.parts);
    chunks(timeline, local, start, &parts, &samples, &data)
}

fn chunks(
    timeline: &Timeline,
    local: u32,
    start: u64,
    parts: &[u32],
    samples: &[Sample],
    data: &[&[u8]],
) -> Vec<u8> {
    let mut segment = Vec::new();
    let (mut at, mut time) = (0, start);
    for (part, frames) in (0u32..).zip(parts) {
        let range = at..(at + *frames as usize).min(samples.len());
        let sequence = timeline.chunk_ordinal(u64::from(local), part);
        let (samples, data) = (&samples[range.clone()], &data[range.clone()]);
        segment.extend_from_slice(&boxes::write_chunk(sequence, TRACK_ID, time, samples, data));
        time += samples.iter().map(|s| u64::from(s.duration)).sum::<u64>();
        at = range.end;
    }
    segment
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

/// FFmpeg's muxer numbers the only track of an init segment so.
pub(crate) const TRACK_ID: u32 = 1;
const FRAME: u32 = 1024;
