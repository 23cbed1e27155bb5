//! Where a content's pictures and sound come from: a file below the media root, or a generated test.

use std::path::{Component, Path, PathBuf};

use banyan_proto::v1;
use v1::content::Source as Wanted;

use crate::ffmpeg;
use crate::pattern::{Kind, PATTERNS};

/// A source that was found acceptable; nothing of it has been decoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An existing regular file, its links resolved.
    File {
        path: PathBuf,
        named: String,
    },
    Test {
        kind: Kind,
        duration_ms: u64,
    },
}

/// Why a content's source is refused; a sentence about the thing, the value and what is accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("source is missing; accepted: file or test")]
    None,
    #[error(
        "path {path:?} leaves the media root; accepted: a relative path below it, without \"..\""
    )]
    Outside { path: String },
    #[error(
        "file {path:?} does not exist below the media root; accepted: {}",
        ffmpeg::ACCEPTED
    )]
    Missing { path: String },
    #[error("{path:?} is a directory; accepted: {}", ffmpeg::ACCEPTED)]
    Directory { path: String },
    #[error("{path:?} is not a regular file; accepted: {}", ffmpeg::ACCEPTED)]
    Special { path: String },
    #[error("file {path:?} is empty (0 bytes); accepted: {}", ffmpeg::ACCEPTED)]
    Empty { path: String },
    #[error("file {path:?} cannot be read: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("test pattern {pattern:?} is unknown; accepted: {}", PATTERNS.join(", "))]
    Pattern { pattern: String },
    #[error(
        "test duration of {duration_ms} ms is not accepted; accepted: {MIN_TEST_MS} ms to {MAX_TEST_MS} ms"
    )]
    Duration { duration_ms: u64 },
}

/// Checks a content's source against the media root `root`.
pub(crate) fn resolve(content: &v1::Content, root: &Path) -> Result<Source, Error> {
    match content.source.as_ref().ok_or(Error::None)? {
        Wanted::File(file) => file_below(root, &file.path),
        Wanted::Test(test) => {
            let kind = Kind::parse(&test.pattern).ok_or_else(|| Error::Pattern {
                pattern: test.pattern.clone(),
            })?;
            if !(MIN_TEST_MS..=MAX_TEST_MS).contains(&test.duration_ms) {
                return Err(Error::Duration {
                    duration_ms: test.duration_ms,
                });
            }
            Ok(Source::Test {
                kind,
                duration_ms: test.duration_ms,
            })
        }
    }
}

fn file_below(root: &Path, named: &str) -> Result<Source, Error> {
    let path = || named.to_owned();
    let relative = Path::new(named);
    let plain = relative
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if named.is_empty() || !plain {
        return Err(Error::Outside { path: path() });
    }
    let read = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Error::Missing { path: path() }
        }
        _ => Error::Read {
            path: path(),
            source,
        },
    };
    let root = root.canonicalize().map_err(read)?;
    // Links are followed before the check, so none leads out.
    let found = root.join(relative).canonicalize().map_err(read)?;
    if !found.starts_with(&root) {
        return Err(Error::Outside { path: path() });
    }
    let facts = found.metadata().map_err(read)?;
    if facts.is_dir() {
        return Err(Error::Directory { path: path() });
    }
    if !facts.is_file() {
        return Err(Error::Special { path: path() });
    }
    if facts.len() == 0 {
        return Err(Error::Empty { path: path() });
    }
    std::fs::File::open(&found).map_err(read)?;
    Ok(Source::File {
        path: found,
        named: path(),
    })
}

const MIN_TEST_MS: u64 = 1_000;
/// A day; beyond it the cache would be the surprise.
const MAX_TEST_MS: u64 = 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn content(path: &str) -> v1::Content {
        v1::Content {
            source: Some(Wanted::File(v1::ContentFile { path: path.into() })),
            ..Default::default()
        }
    }

    #[test]
    fn sources_outside_the_media_root_and_unusable_ones_are_named() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("media");
        std::fs::create_dir_all(root.join("folder")).unwrap();
        std::fs::write(outer.path().join("secret.mp4"), b"x").unwrap();
        std::fs::write(root.join("empty.mp4"), b"").unwrap();
        std::fs::write(root.join("talk.mp4"), b"x").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret.mp4"), root.join("link.mp4")).unwrap();
        std::os::unix::fs::symlink(outer.path(), root.join("up")).unwrap();
        for (path, part) in [
            ("/etc/passwd", "leaves the media root"),
            ("../secret.mp4", "leaves the media root"),
            ("folder/../../secret.mp4", "leaves the media root"),
            ("link.mp4", "leaves the media root"),
            ("up/secret.mp4", "leaves the media root"),
            ("", "leaves the media root"),
            ("none.mp4", "\"none.mp4\" does not exist"),
            ("talk.mp4/deeper", "does not exist"),
            ("folder", "\"folder\" is a directory"),
            ("empty.mp4", "\"empty.mp4\" is empty (0 bytes)"),
        ] {
            let error = resolve(&content(path), &root).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("accepted: "),
                "{path}: {error}"
            );
        }
        assert!(matches!(
            resolve(&content("./talk.mp4"), &root),
            Ok(Source::File { .. })
        ));
    }

    #[test]
    fn unknown_patterns_and_odd_durations_are_named() {
        for (pattern, duration_ms, part) in [
            ("snow", 5_000, "accepted: clock, bars, mandelbrot"),
            ("bars", 10, "10 ms"),
            ("bars", u64::MAX, "ms"),
        ] {
            let test = v1::ContentTest {
                pattern: pattern.into(),
                duration_ms,
            };
            let content = v1::Content {
                source: Some(Wanted::Test(test)),
                ..Default::default()
            };
            let error = resolve(&content, Path::new("/")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
