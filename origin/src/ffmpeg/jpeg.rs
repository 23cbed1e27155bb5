//! A poster: one JPEG of bounded size.

use ff::codec::encoder;
use ffmpeg_next as ff;

use super::shape::Shaper;
use super::{Error, Picture, Result, step};

/// `picture` as a JPEG at most `width` wide and `limit` bytes long.
pub(crate) fn poster(
    picture: &Picture,
    size: (u32, u32),
    rotation: u32,
    limit: usize,
) -> Result<Vec<u8>> {
    super::start();
    let shaped = Shaper::for_jpeg(size.0, size.1, rotation).shape(picture)?;
    for quality in [4, 8, 14, 24, 31] {
        let data = encode(&shaped, quality)?;
        if data.len() <= limit {
            return Ok(data);
        }
    }
    Ok(Vec::new())
}

fn encode(picture: &Picture, quality: usize) -> Result<Vec<u8>> {
    let codec = encoder::find_by_name("mjpeg").ok_or(Error::Codec {
        codec: "mjpeg".into(),
    })?;
    let mut context = ff::codec::Context::new_with_codec(codec);
    context.set_flags(ff::codec::Flags::BITEXACT | ff::codec::Flags::QSCALE);
    context.set_threading(ff::threading::Config {
        count: 1,
        ..Default::default()
    });
    let mut video = context
        .encoder()
        .video()
        .map_err(step("preparing the poster"))?;
    video.set_width(picture.width());
    video.set_height(picture.height());
    video.set_format(ff::format::Pixel::YUVJ420P);
    video.set_time_base((1, 25));
    video.set_quality(quality * FF_QP2LAMBDA);
    let mut encoder = video
        .open_as(codec)
        .map_err(step("opening the poster encoder"))?;
    let mut frame = Picture::new(picture.format(), picture.width(), picture.height());
    for plane in 0..3 {
        frame.data_mut(plane).copy_from_slice(picture.data(plane));
    }
    super::raw::clear_picture_type(&mut frame);
    super::raw::set_frame_quality(&mut frame, quality * FF_QP2LAMBDA);
    frame.set_pts(Some(0));
    encoder
        .send_frame(&frame)
        .map_err(step("encoding the poster"))?;
    encoder.send_eof().map_err(step("encoding the poster"))?;
    let mut packet = ff::Packet::empty();
    encoder
        .receive_packet(&mut packet)
        .map_err(step("encoding the poster"))?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

/// FFmpeg's factor between a quantiser and its lambda.
const FF_QP2LAMBDA: usize = 118;
