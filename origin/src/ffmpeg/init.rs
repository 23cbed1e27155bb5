//! Init segments, written by FFmpeg's MP4 muxer into memory.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use ff::format::context::StreamIo;
use ffmpeg_next as ff;

use super::{Error, Result, raw, step};

/// `ftyp` and `moov` for what an open encoder makes, in ticks of 1/`timescale` s.
pub(crate) fn init(encoder: &ff::codec::Context, timescale: u32) -> Result<Vec<u8>> {
    let sink = Sink::default();
    let io = StreamIo::from_write(sink.clone()).map_err(step("opening the muxer"))?;
    let mut output =
        ff::format::output_to_stream(io, None, Some("mp4")).map_err(step("opening the muxer"))?;
    raw::set_bitexact(&mut output);
    {
        let mut stream = output
            .add_stream_with(encoder)
            .map_err(step("opening the muxer"))?;
        stream.set_time_base((1, super::encode::signed(timescale)));
    }
    let mut options = ff::Dictionary::new();
    options.set(
        "movflags",
        "cmaf+frag_custom+empty_moov+default_base_moof+skip_trailer",
    );
    options.set("use_editlist", "0");
    options.set("video_track_timescale", &timescale.to_string());
    output
        .write_header_with(options)
        .map_err(step("writing the init segment"))?;
    // Dropping the muxer flushes its buffer into the sink; no trailer follows.
    drop(output);
    let bytes = std::mem::take(&mut *sink.0.lock().unwrap_or_else(PoisonError::into_inner));
    if bytes.is_empty() {
        return Err(Error::Step {
            step: "writing the init segment",
            source: ff::Error::Unknown,
        });
    }
    Ok(bytes)
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
