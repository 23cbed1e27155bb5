//! Names: prepared keys, run ids, stream and track names, and the URLs that media is served under.
//!
//! A URL has exactly one spelling. Anything that could be written two ways (signs, leading zeros,
//! percent-encoding, empty path segments) is refused, so caches and proofs can compare strings.

use std::fmt;

use thiserror::Error;

/// The key under which prepared segments are stored, hexadecimal: equal inputs give equal bytes.
///
/// `ladder` and `packaging` are canonical texts ([`crate::Packaging`]'s `Display`); every field is
/// hashed with its length, so no two lists of fields collide.
pub fn prepared_key(
    content_digest: &[u8; 32],
    ladder: &str,
    packaging: &str,
    packager_version: &str,
) -> String {
    digest(
        "banyan prepared key",
        &[
            content_digest,
            ladder.as_bytes(),
            packaging.as_bytes(),
            packager_version.as_bytes(),
        ],
    )
    .to_hex()
    .to_string()
}

/// The run of a stream: equal on every origin that prepared the same bytes for the same epoch.
pub fn run_id(stream: &str, prepared_key: &str, epoch: u64) -> String {
    let hash = digest(
        "banyan run",
        &[
            stream.as_bytes(),
            prepared_key.as_bytes(),
            &epoch.to_be_bytes(),
        ],
    );
    let mut text = data_encoding::BASE32_NOPAD.encode(hash.as_bytes());
    text.truncate(RUN_LEN);
    text.make_ascii_lowercase();
    text
}

/// Refuses a stream name that is not a DNS label of at most 50 characters, or that is reserved.
pub fn check_stream_name(name: &str) -> Result<(), NameError> {
    if RESERVED_STREAMS.contains(&name) {
        return Err(NameError::Reserved {
            what: "stream",
            name: name.to_owned(),
        });
    }
    check_label("stream", name)
}

/// Refuses a track name that is not a DNS label of at most 50 characters, or that is reserved.
pub fn check_track_name(name: &str) -> Result<(), NameError> {
    if RESERVED_TRACKS.contains(&name) {
        return Err(NameError::Reserved {
            what: "track",
            name: name.to_owned(),
        });
    }
    check_label("track", name)
}

/// Refuses a run that is not 10 characters of lower-case base32.
pub fn check_run(run: &str) -> Result<(), NameError> {
    let base32 = run
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    if run.len() == RUN_LEN && base32 {
        return Ok(());
    }
    Err(NameError::Run(excerpt(run)))
}

/// Something an edge serves under a URL. `Display` writes the path that [`Resource::parse`] reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Resource {
    /// `/{stream}/index.m3u8`
    Multivariant {
        /// Stream name.
        stream: String,
    },
    /// `/{stream}/manifest.mpd`
    Manifest {
        /// Stream name.
        stream: String,
    },
    /// `/{stream}/{track}.m3u8`
    Playlist {
        /// Stream name.
        stream: String,
        /// Track name.
        track: String,
    },
    /// `/{stream}/{run}/{track}/init.mp4`
    Init {
        /// Stream name.
        stream: String,
        /// Run id.
        run: String,
        /// Track name.
        track: String,
    },
    /// `/{stream}/{run}/{track}/{number}.m4s`
    Segment {
        /// Stream name.
        stream: String,
        /// Run id.
        run: String,
        /// Track name.
        track: String,
        /// Segment number.
        number: u64,
    },
    /// `/{stream}/{run}/{track}/{number}.{part}.m4s`
    Part {
        /// Stream name.
        stream: String,
        /// Run id.
        run: String,
        /// Track name.
        track: String,
        /// Segment number.
        number: u64,
        /// Part within the segment.
        part: u32,
    },
    /// `/{stream}/poster.jpg`
    Poster {
        /// Stream name.
        stream: String,
    },
}

impl Resource {
    /// Reads a URL path (no query).
    pub fn parse(path: &str) -> Result<Resource, NameError> {
        let not_found = || NameError::NotFound(excerpt(path));
        if path.contains('%') {
            return Err(NameError::PercentEncoded(excerpt(path)));
        }
        let mut pieces = path.strip_prefix('/').ok_or_else(not_found)?.split('/');
        let stream = pieces.next().unwrap_or_default();
        if stream.starts_with('~') {
            return Err(NameError::TokenPrefix(excerpt(path)));
        }
        let second = pieces.next().ok_or_else(not_found)?;
        let rest = (pieces.next(), pieces.next(), pieces.next());
        check_stream_name(stream)?;
        let stream = stream.to_owned();
        match rest {
            (None, None, None) => parse_stream_file(stream, second, not_found),
            (Some(_), ..) if second == VOD => Err(not_found()),
            (Some(track), Some(file), None) => {
                parse_track_file(stream, second, track, file, not_found)
            }
            _ => Err(not_found()),
        }
    }

    /// The stream it belongs to.
    pub fn stream(&self) -> &str {
        match self {
            Resource::Multivariant { stream }
            | Resource::Manifest { stream }
            | Resource::Playlist { stream, .. }
            | Resource::Init { stream, .. }
            | Resource::Segment { stream, .. }
            | Resource::Part { stream, .. }
            | Resource::Poster { stream } => stream,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::Multivariant { stream } => write!(f, "/{stream}/index.m3u8"),
            Resource::Manifest { stream } => write!(f, "/{stream}/manifest.mpd"),
            Resource::Playlist { stream, track } => write!(f, "/{stream}/{track}.m3u8"),
            Resource::Init { stream, run, track } => write!(f, "/{stream}/{run}/{track}/init.mp4"),
            Resource::Segment {
                stream,
                run,
                track,
                number,
            } => {
                write!(f, "/{stream}/{run}/{track}/{number}.m4s")
            }
            Resource::Part {
                stream,
                run,
                track,
                number,
                part,
            } => {
                write!(f, "/{stream}/{run}/{track}/{number}.{part}.m4s")
            }
            Resource::Poster { stream } => write!(f, "/{stream}/poster.jpg"),
        }
    }
}

/// Why a name or path is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// The path names nothing that is served.
    #[error("nothing is served at \"{0}\"")]
    NotFound(String),
    /// `/~token/` paths are kept for signed URLs.
    #[error(
        "path \"{0}\" starts with the reserved prefix \"/~\": paths start with a stream's name"
    )]
    TokenPrefix(String),
    /// The path is percent-encoded.
    #[error(
        "path \"{0}\" holds a percent sign: names need no encoding and are accepted only as they are"
    )]
    PercentEncoded(String),
    /// The name is used for something else.
    #[error("{what} name \"{name}\" is reserved: choose another than {}", reserved(.what))]
    Reserved {
        /// Stream or track.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Not a DNS label.
    #[error(
        "{what} name \"{name}\" is not a DNS label: accepted are 1 to 50 characters a-z, 0-9 and -, neither first nor last a -"
    )]
    Label {
        /// Stream or track.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Not a run id.
    #[error("run \"{0}\" is not a run id: accepted are 10 characters a-z and 2-7")]
    Run(String),
    /// Not a canonical decimal number.
    #[error(
        "{what} \"{text}\" is not a number: accepted are decimal digits without sign or leading zero, at most {most}"
    )]
    Number {
        /// Segment number or part.
        what: &'static str,
        /// What was written.
        text: String,
        /// The largest accepted.
        most: u64,
    },
}

impl NameError {
    /// Whether nothing is there (HTTP 404), as opposed to a malformed request (HTTP 400).
    pub fn is_not_found(&self) -> bool {
        matches!(self, NameError::NotFound(_) | NameError::Reserved { .. })
    }
}

fn parse_stream_file(
    stream: String,
    file: &str,
    not_found: impl Fn() -> NameError,
) -> Result<Resource, NameError> {
    match file {
        "index.m3u8" => return Ok(Resource::Multivariant { stream }),
        "manifest.mpd" => return Ok(Resource::Manifest { stream }),
        "poster.jpg" => return Ok(Resource::Poster { stream }),
        _ => {}
    }
    let track = file.strip_suffix(".m3u8").ok_or_else(not_found)?;
    check_track_name(track)?;
    Ok(Resource::Playlist {
        stream,
        track: track.to_owned(),
    })
}

fn parse_track_file(
    stream: String,
    run: &str,
    track: &str,
    file: &str,
    not_found: impl Fn() -> NameError,
) -> Result<Resource, NameError> {
    let numbers = file.strip_suffix(".m4s");
    if numbers.is_none() && file != "init.mp4" {
        return Err(not_found());
    }
    check_run(run)?;
    check_track_name(track)?;
    let (run, track) = (run.to_owned(), track.to_owned());
    let Some(numbers) = numbers else {
        return Ok(Resource::Init { stream, run, track });
    };
    match numbers.split_once('.') {
        None => Ok(Resource::Segment {
            stream,
            run,
            track,
            number: number("segment number", numbers, u64::MAX)?,
        }),
        Some((segment, part)) => {
            let part = number("part", part, u64::from(u32::MAX))? as u32;
            Ok(Resource::Part {
                stream,
                run,
                track,
                number: number("segment number", segment, u64::MAX)?,
                part,
            })
        }
    }
}

/// A decimal number in its only accepted spelling.
fn number(what: &'static str, text: &str, most: u64) -> Result<u64, NameError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text.len() == 1 || !text.starts_with('0'));
    canonical
        .then(|| text.parse::<u64>().ok())
        .flatten()
        .filter(|&value| value <= most)
        .ok_or_else(|| NameError::Number {
            what,
            text: excerpt(text),
            most,
        })
}

fn check_label(what: &'static str, name: &str) -> Result<(), NameError> {
    let characters = name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if (1..=LABEL_LEN).contains(&name.len())
        && characters
        && !name.starts_with('-')
        && !name.ends_with('-')
    {
        return Ok(());
    }
    Err(NameError::Label {
        what,
        name: excerpt(name),
    })
}

fn reserved(what: &str) -> String {
    if what == "track" {
        RESERVED_TRACKS.join(", ")
    } else {
        RESERVED_STREAMS.join(", ")
    }
}

/// At most 80 characters of what was written, for a message.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(80) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn digest(domain: &str, fields: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for field in std::iter::once(&domain.as_bytes()).chain(fields) {
        hasher.update(&(field.len() as u64).to_be_bytes());
        hasher.update(field);
    }
    hasher.finalize()
}

/// 50 bits: two runs of one stream collide once in 10^15.
const RUN_LEN: usize = 10;
/// Leaves room for suffixes within the 63 characters of a DNS label.
const LABEL_LEN: usize = 50;
const RESERVED_STREAMS: [&str; 5] = ["api", "healthz", "readyz", "metrics", "assets"];
/// `index.m3u8` is the multivariant playlist.
const RESERVED_TRACKS: [&str; 1] = ["index"];
/// On-demand playback is not served yet.
const VOD: &str = "vod";

#[cfg(test)]
mod tests;
