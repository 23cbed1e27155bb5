//! What a file holds: one pass over its packets, without decoding.

use std::path::Path;

use banyan_media::rate::FrameRate;
use ffmpeg_next as ff;

use super::raw::{self, Colour};
use super::{Error, Result, rate, step};

/// Facts of a source file that preparation is planned from.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    pub(crate) video: VideoFacts,
    pub(crate) audio: Option<AudioFacts>,
}

#[derive(Clone, Debug)]
pub(crate) struct VideoFacts {
    pub(crate) stream: usize,
    /// Seconds per tick.
    pub(crate) time_base: (i32, i32),
    /// Ticks of the first picture.
    pub(crate) start: i64,
    pub(crate) frame_rate: FrameRate,
    /// Pictures at `frame_rate` from the first to the end of the last.
    pub(crate) frames: u64,
    /// Size as shown: square pixels, rotation applied.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Clockwise quarter turns, in degrees.
    pub(crate) rotation: u32,
    pub(crate) colour: Option<Colour>,
}

#[derive(Clone, Debug)]
pub(crate) struct AudioFacts {
    pub(crate) sample_rate: u32,
}

/// Reads the whole file once; every failure is a sentence about the file.
pub(crate) fn probe(path: &Path) -> Result<Probe> {
    let mut input = super::open(path)?;
    let stream = input
        .streams()
        .best(ff::media::Type::Video)
        .filter(|s| {
            !s.disposition()
                .contains(ff::format::stream::Disposition::ATTACHED_PIC)
        })
        .ok_or(Error::NoVideo)?;
    let index = stream.index();
    let base = stream.time_base();
    let codec = stream.parameters().id();
    let promised = stream.duration().max(0);
    let declared = Some(stream.avg_frame_rate())
        .filter(|r| r.0 > 0 && r.1 > 0)
        .map(|r| (r.0.unsigned_abs(), r.1.unsigned_abs()));
    let rotation = stream
        .side_data()
        .find(|side| side.kind() == ff::codec::packet::side_data::Type::DisplayMatrix)
        .map_or(0, |side| raw::rotation(side.data()));
    let decoder = ff::codec::Context::from_parameters(stream.parameters())
        .map_err(step("reading the video parameters"))?
        .decoder()
        .video()
        .map_err(|_| Error::Codec {
            codec: codec.name().to_owned(),
        })?;
    let (width, height) = shown_size(&decoder, rotation);
    if width < 16 || height < 16 {
        return Err(Error::NoPicture);
    }
    let colour = Colour {
        primaries: decoder.color_primaries(),
        transfer: decoder.color_transfer_characteristic(),
        space: decoder.color_space(),
    };
    drop(decoder);
    let audio = input
        .streams()
        .best(ff::media::Type::Audio)
        .and_then(|stream| ff::codec::Context::from_parameters(stream.parameters()).ok())
        .and_then(|context| context.decoder().audio().ok())
        .filter(|decoder| decoder.rate() > 0 && decoder.channels() > 0)
        .map(|decoder| AudioFacts {
            sample_rate: decoder.rate(),
        });

    let times = presentation_times(&mut input, index)?;
    let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else {
        return Err(Error::NoTimestamps);
    };
    let (num, den) = (base.0.unsigned_abs().max(1), base.1.unsigned_abs().max(1));
    let frame_rate = rate::guess(&times, num, den, declared);
    let millis =
        |ticks: i64| (i128::from(ticks) * i128::from(num) * 1000 / i128::from(den)).max(0) as u64;
    let found_ms = millis(last - first);
    if promised > 0 && millis(promised) > found_ms + found_ms / 10 + 1000 {
        return Err(Error::Truncated {
            promised_ms: millis(promised),
            found_ms,
        });
    }
    let frames = frame_index(last - first, (base.0, base.1), frame_rate) + 1;
    Ok(Probe {
        video: VideoFacts {
            stream: index,
            time_base: (base.0, base.1),
            start: first,
            frame_rate,
            frames,
            width,
            height,
            rotation,
            colour: Some(colour),
        },
        audio,
    })
}

/// round(ticks · seconds per tick · frames per second), never below zero.
pub(crate) fn frame_index(ticks: i64, base: (i32, i32), rate: FrameRate) -> u64 {
    let numerator = i128::from(ticks) * i128::from(base.0) * i128::from(rate.num);
    let denominator = i128::from(base.1.max(1)) * i128::from(rate.den);
    let rounded = (2 * numerator + denominator).div_euclid(2 * denominator);
    u64::try_from(rounded.max(0)).unwrap_or(0)
}

/// All presentation times of a stream, sorted. A read error ends the list, as the end of the file does: what is missing
/// shows in the length.
fn presentation_times(input: &mut ff::format::context::Input, index: usize) -> Result<Vec<i64>> {
    let mut times = Vec::new();
    let mut packet = ff::Packet::empty();
    let mut broken = 0;
    loop {
        match packet.read(input) {
            Ok(()) if packet.stream() == index && packet.size() > 0 && !packet.is_corrupt() => {
                times.extend(packet.pts().or(packet.dts()));
            }
            Ok(()) => {}
            Err(ff::Error::InvalidData) if broken < 1000 => broken += 1,
            Err(_) => break,
        }
    }
    times.sort_unstable();
    times.dedup();
    Ok(times)
}

fn shown_size(decoder: &ff::decoder::Video, rotation: u32) -> (u32, u32) {
    let aspect = decoder.aspect_ratio();
    let (num, den) = if aspect.0 > 0 && aspect.1 > 0 {
        (
            u64::from(aspect.0.unsigned_abs()),
            u64::from(aspect.1.unsigned_abs()),
        )
    } else {
        (1, 1)
    };
    let width = (u64::from(decoder.width()) * num + den / 2) / den;
    let width = u32::try_from(width).unwrap_or(decoder.width());
    if rotation % 180 == 90 {
        (decoder.height(), width)
    } else {
        (width, decoder.height())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_indexes_are_rounded_times() {
        let rate = FrameRate {
            num: 30_000,
            den: 1001,
        };
        for frame in 0..2000u64 {
            // Millisecond timestamps, as Matroska writes them.
            let ms = i64::try_from((frame * 1001 * 1000 + 15_000) / 30_000).unwrap();
            assert_eq!(frame_index(ms, (1, 1000), rate), frame);
        }
        assert_eq!(frame_index(-40, (1, 1000), rate), 0);
    }
}
