//! Continuous AAC-LC on the asset's grid: frame j covers samples [1024 j, 1024 (j + 1)) counted from the first picture.
//!
//! Runs in a process of its own with plain C code (the result depends on the CPU's code path otherwise) and streams: neither
//! the decoded sound nor the coded frames are ever held whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use ff::codec::encoder;
use ff::format::sample::{Sample, Type};
use ff::{ChannelLayout, frame, software::resampling};
use ffmpeg_next as ff;

use super::{Error, Result, raw, step};
use crate::tone::Tone;

/// What the audio process is asked for.
#[derive(Clone, Debug)]
pub(crate) struct AudioJob {
    /// `None` = the test tone.
    pub(crate) path: Option<PathBuf>,
    /// Time of the first picture in the source, in nanoseconds.
    pub(crate) start_ns: i64,
    pub(crate) sample_rate: u32,
    pub(crate) bitrate: u64,
    /// Frames of 1024 samples to write.
    pub(crate) frames: u64,
    /// Sample from which on there is silence: sound fades out before it, so that loops meet without a click.
    pub(crate) fade_at: u64,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AudioError {
    #[error(transparent)]
    Media(#[from] Error),
    #[error("writing audio failed: {0}")]
    Write(#[from] std::io::Error),
}

/// Writes the init segment and then `job.frames` AAC frames, each with a four-byte length before it.
pub(crate) fn encode(job: &AudioJob, out: &mut dyn Write) -> Result<(), AudioError> {
    super::start();
    let mut encoder = AacEncoder::open(job)?;
    put(out, &super::init::init(&encoder.encoder, job.sample_rate)?)?;
    let mut sound = match &job.path {
        Some(path) => Sound::File(Box::new(FileSound::open(path, job)?)),
        None => Sound::Tone(Tone::new(job.sample_rate)),
    };
    let mut buffer = Stereo::default();
    let (mut written, mut number) = (0, 0);
    while written < job.frames {
        while buffer.len() < FRAME && sound.fill(&mut buffer)? {}
        buffer.pad_to(FRAME);
        buffer.fade(number * FRAME as u64, job.fade_at);
        for packet in encoder.push(&mut buffer, number)? {
            put(out, &packet)?;
            written += 1;
        }
        number += 1;
    }
    out.flush()?;
    Ok(())
}

fn put(out: &mut dyn Write, data: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(data.len()).map_err(std::io::Error::other)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(data)
}

/// Two channels of samples waiting to be coded.
#[derive(Default)]
pub(crate) struct Stereo {
    left: Vec<f32>,
    right: Vec<f32>,
}

impl Stereo {
    fn len(&self) -> usize {
        self.left.len()
    }

    pub(crate) fn push(&mut self, left: f32, right: f32) {
        self.left.push(left);
        self.right.push(right);
    }

    fn silence(&mut self, samples: usize) {
        self.left.resize(self.left.len() + samples, 0.0);
        self.right.resize(self.right.len() + samples, 0.0);
    }

    fn pad_to(&mut self, samples: usize) {
        if self.len() < samples {
            self.silence(samples - self.len());
        }
    }

    /// Fades the first frame's worth in at sample 0 and out before `end`; silence from there on.
    fn fade(&mut self, first: u64, end: u64) {
        for i in 0..FRAME.min(self.len()) {
            let at = first + i as u64;
            let gain = at.min(end.saturating_sub(at)).min(FADE) as f32 / FADE as f32;
            if gain < 1.0 {
                self.left[i] *= gain;
                self.right[i] *= gain;
            }
        }
    }
}

enum Sound {
    File(Box<FileSound>),
    Tone(Tone),
}

impl Sound {
    /// Appends some samples; false at the end.
    fn fill(&mut self, buffer: &mut Stereo) -> Result<bool> {
        match self {
            Self::File(file) => file.fill(buffer),
            Self::Tone(tone) => {
                for _ in 0..FRAME {
                    let (left, right) = tone.next_sample();
                    buffer.push(left, right);
                }
                Ok(true)
            }
        }
    }
}

/// A file's sound at the wanted rate in stereo, aligned to the first picture.
struct FileSound {
    input: ff::format::context::Input,
    stream: usize,
    time_base: ff::Rational,
    decoder: ff::decoder::Audio,
    resampler: Option<resampling::Context>,
    start_ns: i64,
    sample_rate: u32,
    /// Samples given so far; may start below zero when sound begins before the first picture.
    position: i64,
    started: bool,
    finished: bool,
}

impl FileSound {
    fn open(path: &Path, job: &AudioJob) -> Result<Self> {
        let input = super::open(path)?;
        let stream = input
            .streams()
            .best(ff::media::Type::Audio)
            .ok_or(Error::NoVideo)?;
        let mut context = ff::codec::Context::from_parameters(stream.parameters())
            .map_err(step("reading the audio parameters"))?;
        context.set_flags(ff::codec::Flags::BITEXACT);
        context.set_threading(ff::threading::Config {
            count: 1,
            ..Default::default()
        });
        let decoder = context
            .decoder()
            .audio()
            .map_err(step("opening the audio decoder"))?;
        let (stream, time_base) = (stream.index(), stream.time_base());
        Ok(Self {
            input,
            stream,
            time_base,
            decoder,
            resampler: None,
            start_ns: job.start_ns,
            sample_rate: job.sample_rate,
            position: 0,
            started: false,
            finished: false,
        })
    }

    fn fill(&mut self, buffer: &mut Stereo) -> Result<bool> {
        if self.finished {
            return Ok(false);
        }
        let mut decoded = frame::Audio::empty();
        match self.decoder.receive_frame(&mut decoded) {
            Ok(()) => {
                if decoded.channel_layout().is_empty() {
                    decoded
                        .set_channel_layout(ChannelLayout::default(i32::from(decoded.channels())));
                }
                self.place(&decoded, buffer);
                let converted = self.resample(&decoded)?;
                self.append(&converted, buffer);
            }
            Err(ff::Error::Eof) => {
                self.finished = true;
                if let Some(resampler) = &mut self.resampler {
                    let mut rest = frame::Audio::new(PLANAR, 4 * FRAME, ChannelLayout::STEREO);
                    if resampler.flush(&mut rest).is_ok() {
                        self.append(&rest, buffer);
                    }
                }
            }
            Err(ff::Error::Other {
                errno: ff::error::EAGAIN,
            }) => self.feed()?,
            Err(ff::Error::InvalidData) => {}
            Err(source) => {
                return Err(Error::Step {
                    step: "decoding audio",
                    source,
                });
            }
        }
        Ok(true)
    }

    fn feed(&mut self) -> Result<()> {
        let mut packet = ff::Packet::empty();
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => break,
                Ok(()) | Err(ff::Error::InvalidData) => {}
                Err(_) => {
                    return self
                        .decoder
                        .send_eof()
                        .map_err(step("draining the audio decoder"));
                }
            }
        }
        match self.decoder.send_packet(&packet) {
            Ok(()) | Err(ff::Error::InvalidData) => Ok(()),
            Err(source) => Err(Error::Step {
                step: "decoding audio",
                source,
            }),
        }
    }

    /// Starts where the sound's time says, and fills holes longer than a tenth of a second with silence.
    fn place(&mut self, decoded: &frame::Audio, buffer: &mut Stereo) {
        let Some(pts) = decoded.timestamp().or(decoded.pts()) else {
            self.started = true;
            return;
        };
        let base = (
            i128::from(self.time_base.0),
            i128::from(self.time_base.1.max(1)),
        );
        let ns = i128::from(pts) * base.0 * 1_000_000_000 / base.1 - i128::from(self.start_ns);
        let samples = (ns * i128::from(self.sample_rate) + 500_000_000).div_euclid(1_000_000_000);
        let wanted = i64::try_from(samples).unwrap_or(0);
        if !self.started {
            self.started = true;
            self.position = wanted.min(0);
        } else if wanted - self.position < i64::from(self.sample_rate / 10) {
            return;
        }
        let missing = usize::try_from((wanted - self.position).max(0)).unwrap_or(0);
        // A broken timestamp must not ask for hours of silence.
        let missing = missing.min(self.sample_rate as usize * MAX_HOLE_SECONDS);
        buffer.silence(missing);
        self.position += i64::try_from(missing).unwrap_or(0);
    }

    fn resample(&mut self, decoded: &frame::Audio) -> Result<frame::Audio> {
        let fits = self.resampler.as_ref().is_some_and(|resampler| {
            let input = resampler.input();
            (input.format, input.channel_layout, input.rate)
                == (decoded.format(), decoded.channel_layout(), decoded.rate())
        });
        if !fits {
            self.resampler = Some(
                resampling::Context::get(
                    decoded.format(),
                    decoded.channel_layout(),
                    decoded.rate(),
                    PLANAR,
                    ChannelLayout::STEREO,
                    self.sample_rate,
                )
                .map_err(step("preparing the resampler"))?,
            );
        }
        let room = decoded.samples() * self.sample_rate as usize / (decoded.rate().max(1) as usize)
            + FRAME;
        let mut converted = frame::Audio::new(PLANAR, room, ChannelLayout::STEREO);
        if let Some(resampler) = &mut self.resampler {
            resampler
                .run(decoded, &mut converted)
                .map_err(step("resampling"))?;
        }
        Ok(converted)
    }

    fn append(&mut self, sound: &frame::Audio, buffer: &mut Stereo) {
        let (left, right) = (sound.plane::<f32>(0), sound.plane::<f32>(1));
        let skip = usize::try_from(-self.position.min(0))
            .unwrap_or(0)
            .min(left.len());
        buffer.left.extend_from_slice(&left[skip..]);
        buffer.right.extend_from_slice(&right[skip..]);
        self.position += i64::try_from(left.len()).unwrap_or(0);
    }
}

struct AacEncoder {
    encoder: encoder::audio::Encoder,
}

impl AacEncoder {
    fn open(job: &AudioJob) -> Result<Self> {
        let codec = encoder::find_by_name("aac").ok_or(Error::Codec {
            codec: "aac".into(),
        })?;
        let mut context = ff::codec::Context::new_with_codec(codec);
        context.set_flags(ff::codec::Flags::BITEXACT | ff::codec::Flags::GLOBAL_HEADER);
        context.set_threading(ff::threading::Config {
            count: 1,
            ..Default::default()
        });
        let mut audio = context
            .encoder()
            .audio()
            .map_err(step("preparing the AAC encoder"))?;
        let rate = super::encode::signed(job.sample_rate);
        audio.set_rate(rate);
        audio.set_format(PLANAR);
        audio.set_channel_layout(ChannelLayout::STEREO);
        audio.set_channels(2);
        audio.set_time_base((1, rate));
        audio.set_bit_rate(usize::try_from(job.bitrate).unwrap_or(128_000));
        let encoder = audio
            .open_as(codec)
            .map_err(step("opening the AAC encoder"))?;
        Ok(Self { encoder })
    }

    fn push(&mut self, buffer: &mut Stereo, number: u64) -> Result<Vec<Vec<u8>>> {
        let mut input = frame::Audio::new(PLANAR, FRAME, ChannelLayout::STEREO);
        input.set_rate(self.encoder.rate());
        input
            .plane_mut::<f32>(0)
            .copy_from_slice(&buffer.left[..FRAME]);
        input
            .plane_mut::<f32>(1)
            .copy_from_slice(&buffer.right[..FRAME]);
        buffer.left.drain(..FRAME);
        buffer.right.drain(..FRAME);
        input.set_pts(Some(
            i64::try_from(number * FRAME as u64).unwrap_or(i64::MAX),
        ));
        self.encoder
            .send_frame(&input)
            .map_err(step("encoding audio"))?;
        let mut packets = Vec::new();
        let mut packet = ff::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) if packet.pts().is_some_and(|pts| pts >= 0) => {
                    packets.push(packet.data().unwrap_or_default().to_vec());
                }
                // Priming: what the decoder would give before sample 0.
                Ok(()) => {}
                Err(
                    ff::Error::Eof
                    | ff::Error::Other {
                        errno: ff::error::EAGAIN,
                    },
                ) => return Ok(packets),
                Err(source) => {
                    return Err(Error::Step {
                        step: "encoding audio",
                        source,
                    });
                }
            }
        }
    }
}

/// Makes this process compute as every other CPU would.
pub(crate) fn be_portable() {
    raw::force_plain_cpu();
}

pub(crate) const FRAME: usize = 1024;
/// 10 ms at 48 kHz.
const FADE: u64 = 480;
const MAX_HOLE_SECONDS: usize = 60;
const PLANAR: Sample = Sample::F32(Type::Planar);
