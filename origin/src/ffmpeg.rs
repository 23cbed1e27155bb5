//! Everything that touches FFmpeg: probing, forward decoding, shaping pictures, x264 and AAC encoders, init segments.
//!
//! The rest of the crate sees plain values and `Picture`s. `raw` is the only place with `unsafe`: it sets fields and calls
//! functions that the wrapper crate has no safe name for. Everything here blocks and belongs on a thread of its own.

pub(crate) mod audio;
pub(crate) mod encode;
pub(crate) mod init;
pub(crate) mod jpeg;
pub(crate) mod nal;
pub(crate) mod probe;
pub(crate) mod rate;
pub(crate) mod raw;
pub(crate) mod reader;
pub(crate) mod shape;

use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use ffmpeg_next as ff;

/// One decoded or drawn picture; FFmpeg frames are reference counted, so it is cheap to share behind an `Arc`.
pub(crate) type Picture = ff::frame::Video;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("cannot be opened as a video: {reason}; accepted: {ACCEPTED}")]
    Open { reason: String },
    #[error("holds no video stream; accepted: {ACCEPTED}")]
    NoVideo,
    #[error("has a video stream in a codec without decoder here ({codec}); accepted: {ACCEPTED}")]
    Codec { codec: String },
    #[error("carries no timestamps; accepted: {ACCEPTED}")]
    NoTimestamps,
    #[error(
        "is truncated: its index promises {promised_ms} ms of video, {found_ms} ms can be read; accepted: complete files"
    )]
    Truncated { promised_ms: u64, found_ms: u64 },
    #[error("has no picture that decodes; accepted: {ACCEPTED}")]
    NoPicture,
    #[error("{step} failed: {source}")]
    Step {
        step: &'static str,
        source: ff::Error,
    },
    #[error(
        "the encoder's headers of segment {local} differ from the track's; segments would not fit one init"
    )]
    Headers { local: u32 },
    #[error("the encoder gave {found} pictures for {expected}")]
    Pictures { expected: usize, found: usize },
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what went wrong when an FFmpeg call fails.
pub(crate) fn step(step: &'static str) -> impl Fn(ff::Error) -> Error {
    move |source| Error::Step { step, source }
}

/// Registers nothing (FFmpeg does that itself) but silences its log: our errors say what matters.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Only allocation-free registration happens inside; a failure would show at the first open.
        let _ = ff::init();
        ff::log::set_level(ff::log::Level::Quiet);
    });
}

/// Opens a file with demuxers that read nothing but that file: playlists and concatenations could name others.
pub(crate) fn open(path: &Path) -> Result<ff::format::context::Input> {
    start();
    let mut options = ff::Dictionary::new();
    options.set("protocol_whitelist", "file");
    options.set("format_whitelist", DEMUXERS);
    let path: PathBuf = path.into();
    ff::format::input_with_dictionary(&path, options).map_err(|source| Error::Open {
        reason: match source {
            ff::Error::InvalidData
            | ff::Error::Other {
                errno: ff::error::EINVAL,
            } => "it is not a known container, or its index is missing".to_owned(),
            other => other.to_string().to_lowercase(),
        },
    })
}

/// Version of all that turns pictures into bytes, for the prepared key: ours, and the codec library's.
pub(crate) fn packager() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let version = ff::codec::version();
        format!(
            "banyan 1, lavc {}.{}.{}",
            version >> 16,
            version >> 8 & 255,
            version & 255
        )
    })
}

pub(crate) const ACCEPTED: &str =
    "a complete MP4, MOV, Matroska, WebM, MPEG-TS, MPEG-PS, AVI, FLV, Ogg or ASF file with video";

const DEMUXERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,ogg,asf";
