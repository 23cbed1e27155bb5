//! One decoder that runs forward and answers "the picture shown at frame index i", holes repeating the previous one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ffmpeg_next as ff;

use super::probe::{VideoFacts, frame_index};
use super::{Error, Picture, Result, step};

/// Pictures of a file by frame index. Indexes must not go backwards; `seek` opens the file anew where that is needed.
pub(crate) struct Reader {
    input: ff::format::context::Input,
    decoder: ff::decoder::Video,
    facts: VideoFacts,
    shown: Option<Arc<Picture>>,
    ahead: Option<(u64, Arc<Picture>)>,
    drained: bool,
}

impl Reader {
    /// Opens `path` so that `frame` may be asked from `from` on.
    pub(crate) fn open(path: &Path, facts: &VideoFacts, from: u64) -> Result<Self> {
        let path: PathBuf = path.into();
        let mut input = super::open(&path)?;
        let stream = input.stream(facts.stream).ok_or(Error::NoVideo)?;
        let mut context = ff::codec::Context::from_parameters(stream.parameters())
            .map_err(step("reading the video parameters"))?;
        context.set_flags(ff::codec::Flags::BITEXACT);
        context.set_threading(ff::threading::Config {
            kind: ff::threading::Type::Frame,
            count: DECODER_THREADS,
            ..Default::default()
        });
        let decoder = context
            .decoder()
            .video()
            .map_err(step("opening the decoder"))?;
        if let Some(target) = seek_target(from, facts) {
            // A seek that fails leaves the reader at the start: slower, equally right.
            let _ = input.seek(target, ..target.saturating_add(1));
        }
        Ok(Self {
            input,
            decoder,
            facts: facts.clone(),
            shown: None,
            ahead: None,
            drained: false,
        })
    }

    /// The picture at `index`: the last one at or before it; before the first one, the first.
    pub(crate) fn frame(&mut self, index: u64) -> Result<Arc<Picture>> {
        loop {
            match &self.ahead {
                Some((at, _)) if *at > index && self.shown.is_some() => break,
                Some((at, picture)) if *at > index => {
                    return Ok(Arc::clone(picture));
                }
                _ => {}
            }
            if let Some((_, picture)) = self.ahead.take() {
                self.shown = Some(picture);
            }
            match self.decode()? {
                Some(next) => self.ahead = Some(next),
                None => break,
            }
        }
        self.shown.clone().ok_or(Error::NoPicture)
    }

    fn decode(&mut self) -> Result<Option<(u64, Arc<Picture>)>> {
        loop {
            let mut picture = Picture::empty();
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    let Some(pts) = picture.timestamp().or(picture.pts()) else {
                        continue;
                    };
                    let index = frame_index(
                        pts - self.facts.start,
                        self.facts.time_base,
                        self.facts.frame_rate,
                    );
                    return Ok(Some((index, Arc::new(picture))));
                }
                Err(ff::Error::Eof) => return Ok(None),
                Err(ff::Error::Other {
                    errno: ff::error::EAGAIN,
                }) => self.feed()?,
                // A damaged picture is a hole.
                Err(ff::Error::InvalidData) => {}
                Err(source) => {
                    return Err(Error::Step {
                        step: "decoding",
                        source,
                    });
                }
            }
        }
    }

    fn feed(&mut self) -> Result<()> {
        if self.drained {
            return Ok(());
        }
        let mut packet = ff::Packet::empty();
        loop {
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.facts.stream => break,
                Ok(()) | Err(ff::Error::InvalidData) => {}
                Err(_) => {
                    self.drained = true;
                    return self
                        .decoder
                        .send_eof()
                        .map_err(step("draining the decoder"));
                }
            }
        }
        match self.decoder.send_packet(&packet) {
            Ok(()) | Err(ff::Error::InvalidData) => Ok(()),
            Err(source) => Err(Error::Step {
                step: "decoding",
                source,
            }),
        }
    }
}

/// Where to seek (in FFmpeg's microseconds) for pictures from `from` on, when that saves enough decoding.
///
/// The margin covers open GOPs and gradual refresh: pictures right after a seek point may be wrong, those 10 s later are not.
fn seek_target(from: u64, facts: &VideoFacts) -> Option<i64> {
    let seconds = |frames: u64| {
        i128::from(frames) * i128::from(facts.frame_rate.den) * 1_000_000
            / i128::from(facts.frame_rate.num)
    };
    let target = seconds(from) - SEEK_MARGIN_US;
    if target < SEEK_WORTH_US {
        return None;
    }
    let start = i128::from(facts.start) * i128::from(facts.time_base.0) * 1_000_000
        / i128::from(facts.time_base.1.max(1));
    i64::try_from(start + target).ok()
}

const SEEK_MARGIN_US: i128 = 10_000_000;
const SEEK_WORTH_US: i128 = 20_000_000;
/// Decoding is a tenth of encoding; two threads keep ahead of the encoders without taking their cores.
const DECODER_THREADS: usize = 2;
