//! One fresh x264 per segment and rendition: closed GOP, one thread, the same bytes on every CPU.

use ff::codec::encoder;
use ffmpeg_next as ff;

use super::raw::{self, Colour};
use super::{Error, Picture, Result, nal, step};
use banyan_media::rate::FrameRate;

/// What a rendition's encoder is opened with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoSpec {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frame_rate: FrameRate,
    /// Cap R in bit/s; the buffer is one second of it.
    pub(crate) max_rate: u64,
    pub(crate) colour: Option<Colour>,
}

/// One coded picture, in decoding order.
#[derive(Clone, Debug)]
pub(crate) struct Coded {
    /// Display index within the segment.
    pub(crate) shown: i64,
    pub(crate) key: bool,
    /// Length-prefixed NAL units.
    pub(crate) data: Vec<u8>,
}

pub(crate) struct VideoEncoder {
    encoder: encoder::video::Encoder,
    coded: Vec<Coded>,
    next: i64,
}

impl VideoEncoder {
    pub(crate) fn open(spec: &VideoSpec) -> Result<Self> {
        super::start();
        let codec = encoder::find_by_name("libx264").ok_or(Error::Codec {
            codec: "libx264".into(),
        })?;
        let mut context = ff::codec::Context::new_with_codec(codec);
        context.set_flags(
            ff::codec::Flags::CLOSED_GOP
                | ff::codec::Flags::BITEXACT
                | ff::codec::Flags::GLOBAL_HEADER,
        );
        // Frame or slice threads of x264 are not deterministic under rate control.
        context.set_threading(ff::threading::Config {
            count: 1,
            ..Default::default()
        });
        let mut video = context.encoder().video().map_err(step("preparing x264"))?;
        video.set_width(spec.width);
        video.set_height(spec.height);
        video.set_format(ff::format::Pixel::YUV420P);
        video.set_aspect_ratio((1, 1));
        let (num, den) = (signed(spec.frame_rate.num), signed(spec.frame_rate.den));
        video.set_time_base((den, num));
        video.set_frame_rate(Some((num, den)));
        // No reordering: every demuxer then agrees on presentation times (FFmpeg's shows negative composition offsets one
        // frame late), a part covers exactly its interval, and a join shows its first picture at once. It costs 0 to 16 %.
        video.set_max_b_frames(0);
        raw::set_rate_and_colour(&mut video, spec.max_rate, spec.max_rate, spec.colour);
        let mut options = ff::Dictionary::new();
        options.set("preset", "veryfast");
        options.set("crf", "23");
        options.set("x264-params", X264);
        let encoder = video
            .open_as_with(codec, options)
            .map_err(step("opening x264"))?;
        Ok(Self {
            encoder,
            coded: Vec::new(),
            next: 0,
        })
    }

    /// SPS and PPS in Annex B: equal for every segment of a track.
    pub(crate) fn headers(&self) -> Vec<u8> {
        raw::extradata(&self.encoder)
    }

    /// The init segment for what this encoder makes.
    pub(crate) fn init(&self, frame_rate: FrameRate) -> Result<Vec<u8>> {
        super::init::init(&self.encoder, frame_rate.num)
    }

    pub(crate) fn push(&mut self, picture: &mut Picture) -> Result<()> {
        raw::clear_picture_type(picture);
        picture.set_pts(Some(self.next));
        self.next += 1;
        self.encoder.send_frame(picture).map_err(step("encoding"))?;
        self.collect()
    }

    /// All pictures of the segment, in decoding order.
    pub(crate) fn finish(mut self) -> Result<Vec<Coded>> {
        self.encoder.send_eof().map_err(step("draining x264"))?;
        self.collect()?;
        let expected = usize::try_from(self.next).unwrap_or(0);
        if self.coded.len() != expected {
            return Err(Error::Pictures {
                expected,
                found: self.coded.len(),
            });
        }
        Ok(self.coded)
    }

    fn collect(&mut self) -> Result<()> {
        let mut packet = ff::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => self.coded.push(Coded {
                    shown: packet.pts().unwrap_or(0),
                    key: packet.is_key(),
                    data: nal::length_prefixed(packet.data().unwrap_or_default()),
                }),
                Err(
                    ff::Error::Eof
                    | ff::Error::Other {
                        errno: ff::error::EAGAIN,
                    },
                ) => return Ok(()),
                Err(source) => {
                    return Err(Error::Step {
                        step: "encoding",
                        source,
                    });
                }
            }
        }
    }
}

pub(super) fn signed(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// `min-keyint=infinite` would only log a parse error, hence the number. `cpu-independent` makes SIMD levels agree;
/// `stitchable` keeps the headers free of content, so that one init fits all segments.
const X264: &str = "cpu-independent=1:stitchable=1:keyint=infinite:min-keyint=1000000:open-gop=0";
