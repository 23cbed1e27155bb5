//! The one module with `unsafe`: FFmpeg fields and functions that the wrapper crate leaves bare.
//!
//! Each function takes a wrapper by reference, so the pointer it reads or writes is live and not shared for the call.
#![allow(unsafe_code)]

use ffmpeg_next as ff;
use ffmpeg_next::ffi;

/// Colour description of a source, passed on to the encoder unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    pub(crate) primaries: ff::color::Primaries,
    pub(crate) transfer: ff::color::TransferCharacteristic,
    pub(crate) space: ff::color::Space,
}

/// Runs all of FFmpeg on its plain C code, for the whole process: float results then do not depend on the CPU.
pub(crate) fn force_plain_cpu() {
    // SAFETY: takes a number and stores it; called before any codec is opened.
    unsafe { ffi::av_force_cpu_flags(0) }
}

/// Rate limits and colour of a video encoder that is not open yet.
pub(crate) fn set_rate_and_colour(
    encoder: &mut ff::codec::encoder::video::Video,
    max_rate: u64,
    buffer: u64,
    colour: Option<Colour>,
) {
    // SAFETY: the context is owned by `encoder` and not yet opened; these are plain fields.
    unsafe {
        let context = encoder.as_mut_ptr();
        (*context).rc_max_rate = i64::try_from(max_rate).unwrap_or(i64::MAX);
        (*context).rc_buffer_size = i32::try_from(buffer).unwrap_or(i32::MAX);
        (*context).bit_rate = 0;
        (*context).color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
        (*context).chroma_sample_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
        if let Some(colour) = colour {
            (*context).color_primaries = colour.primaries.into();
            (*context).color_trc = colour.transfer.into();
            (*context).colorspace = colour.space.into();
        }
    }
}

/// The codec headers (SPS and PPS, or AudioSpecificConfig) of an open encoder.
pub(crate) fn extradata(context: &ff::codec::Context) -> Vec<u8> {
    // SAFETY: extradata points at extradata_size readable bytes, or is null with size 0.
    unsafe {
        let context = context.as_ptr();
        let size = usize::try_from((*context).extradata_size).unwrap_or(0);
        if (*context).extradata.is_null() || size == 0 {
            return Vec::new();
        }
        std::slice::from_raw_parts((*context).extradata, size).to_vec()
    }
}

/// Keeps a picture's type out of the encoder: a decoded frame says I, P or B, and x264 would obey.
pub(crate) fn clear_picture_type(frame: &mut ff::frame::Video) {
    // SAFETY: plain fields of a frame we hold mutably.
    unsafe {
        let frame = frame.as_mut_ptr();
        (*frame).pict_type = ffi::AVPictureType::AV_PICTURE_TYPE_NONE;
        (*frame).key_frame = 0;
    }
}

/// The quantiser (as lambda) for one picture of an intra encoder.
pub(crate) fn set_frame_quality(frame: &mut ff::frame::Video, quality: usize) {
    // SAFETY: a plain field of a frame we hold mutably.
    unsafe { (*frame.as_mut_ptr()).quality = i32::try_from(quality).unwrap_or(i32::MAX) }
}

/// Bit-exact muxing: no clock and no version in the file.
pub(crate) fn set_bitexact(output: &mut ff::format::context::Output) {
    // SAFETY: plain fields of a context we hold mutably, before its header is written.
    unsafe {
        let context = output.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_BITEXACT;
        (*context).avoid_negative_ts = 0;
    }
}

/// The clockwise rotation in degrees that a stream's display matrix asks for: 0, 90, 180 or 270.
pub(crate) fn rotation(matrix: &[u8]) -> u32 {
    let at = |i: usize| -> i64 {
        matrix
            .get(i * 4..i * 4 + 4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, |b: [u8; 4]| i64::from(i32::from_ne_bytes(b)))
    };
    // Rows [a b; c d] in 16.16: the sign pattern tells the quarter turn.
    let (a, b, c, d) = (at(0), at(1), at(3), at(4));
    if a.abs() + d.abs() >= b.abs() + c.abs() {
        if a < 0 && d < 0 { 180 } else { 0 }
    } else if b > 0 {
        90
    } else {
        270
    }
}
