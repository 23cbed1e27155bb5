//! What preparing a content means: its key, its timeline, its tracks. Pure of encoding; reads the source once.

use std::path::{Path, PathBuf};

use banyan_media::{FrameRate, Packaging, Timeline, TimelineError, name};
use banyan_proto::v1;

use crate::digest;
use crate::ffmpeg::encode::VideoSpec;
use crate::ffmpeg::probe::{Probe, probe};
use crate::ffmpeg::{self};
use crate::ladder::Ladder;
use crate::pattern::{self, Pattern};
use crate::source::{self, Source};

/// Everything preparation and serving need to know of one asset.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) key: String,
    pub(crate) content_digest: [u8; 32],
    pub(crate) packaging: Packaging,
    pub(crate) timeline: Timeline,
    pub(crate) pictures: Pictures,
    pub(crate) video: Vec<VideoTrack>,
    pub(crate) audio: Option<AudioTrack>,
}

/// Where pictures come from.
#[derive(Clone, Debug)]
pub(crate) enum Pictures {
    File { path: PathBuf, probe: Probe },
    Pattern(Pattern),
}

#[derive(Clone, Debug)]
pub(crate) struct VideoTrack {
    pub(crate) name: String,
    pub(crate) spec: VideoSpec,
}

#[derive(Clone, Debug)]
pub(crate) struct AudioTrack {
    pub(crate) sample_rate: u32,
    pub(crate) bitrate: u64,
}

/// Why a content cannot be prepared at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("content {content:?}: {source}")]
    Source {
        content: String,
        source: source::Error,
    },
    #[error("content {content:?}: file {file:?} {source}")]
    Media {
        content: String,
        file: String,
        source: ffmpeg::Error,
    },
    #[error("content {content:?}: file {file:?} cannot be read: {source}")]
    Read {
        content: String,
        file: String,
        source: std::io::Error,
    },
    #[error("content {content:?}: {source}")]
    Timeline {
        content: String,
        source: TimelineError,
    },
    #[error("content {content:?}: rendition name {rendition:?} is not usable: {source}")]
    Rendition {
        content: String,
        rendition: String,
        source: name::NameError,
    },
    #[error(
        "content {content:?}: rendition {rendition:?} is listed twice; accepted: distinct names"
    )]
    Twice { content: String, rendition: String },
}

impl Plan {
    /// Resolves, digests and probes `content`. Blocks while it reads the file.
    pub(crate) fn make(
        content: &v1::Content,
        packaging: Packaging,
        root: &Path,
        cache: &Path,
    ) -> Result<Self, Error> {
        let named = || content.name.clone();
        check_renditions(content)?;
        let source = source::resolve(content, root).map_err(|source| Error::Source {
            content: named(),
            source,
        })?;
        let (pictures, ladder, content_digest, frames) = match source {
            Source::File { path, named: file } => {
                let read = |source| Error::Read {
                    content: named(),
                    file: file.clone(),
                    source,
                };
                let digest = digest::of_file(&path, &cache.join("digests")).map_err(read)?;
                let probe = probe(&path).map_err(|source| Error::Media {
                    content: named(),
                    file: file.clone(),
                    source,
                })?;
                let ladder =
                    Ladder::choose(&content.renditions, probe.video.width, probe.video.height);
                let frames = probe.video.frames;
                (Pictures::File { path, probe }, ladder, digest, frames)
            }
            Source::Test { kind, duration_ms } => {
                let ladder = Ladder::choose(&content.renditions, TEST_SIZE.0, TEST_SIZE.1);
                let (width, height) = ladder
                    .video
                    .iter()
                    .map(|r| (r.width, r.height))
                    .max()
                    .unwrap_or(TEST_SIZE);
                let test = match &content.source {
                    Some(v1::content::Source::Test(test)) => test.pattern.as_str(),
                    _ => "",
                };
                let digest = digest::of_test(&content.name, test, duration_ms, width, height);
                let pattern = Pattern {
                    kind,
                    name: named(),
                    width,
                    height,
                };
                let frames = (duration_ms * pattern::RATE).div_ceil(1000);
                (Pictures::Pattern(pattern), ladder, digest, frames)
            }
        };
        let frame_rate = pictures.frame_rate();
        let sample_rate = pictures.sample_rate();
        let timeline =
            Timeline::choose(frame_rate, frames, &packaging, sample_rate).map_err(|source| {
                Error::Timeline {
                    content: named(),
                    source,
                }
            })?;
        let description = ladder.describe((frame_rate.num, frame_rate.den), sample_rate);
        let key = name::prepared_key(
            &content_digest,
            &description,
            &packaging.to_string(),
            ffmpeg::packager(),
        );
        let colour = pictures.colour();
        let video = ladder
            .video
            .iter()
            .map(|rung| VideoTrack {
                name: rung.name.clone(),
                spec: VideoSpec {
                    width: rung.width,
                    height: rung.height,
                    frame_rate,
                    max_rate: rung.bitrate,
                    colour,
                },
            })
            .collect();
        let title = if content.title.is_empty() {
            named()
        } else {
            content.title.clone()
        };
        Ok(Self {
            name: named(),
            title,
            key,
            content_digest,
            packaging,
            timeline,
            pictures,
            video,
            audio: sample_rate.map(|sample_rate| AudioTrack {
                sample_rate,
                bitrate: ladder.audio_bitrate,
            }),
        })
    }

    /// Names of all tracks, video first.
    pub(crate) fn track_names(&self) -> impl Iterator<Item = String> + '_ {
        let video = self.video.iter().map(|v| v.name.clone());
        video.chain(self.audio.iter().map(|_| AUDIO.to_owned()))
    }

    /// Whether audio's last segment comes in two lengths.
    pub(crate) fn has_long_audio(&self) -> bool {
        let (_, short, long) = self.timeline.audio_local(self.timeline.segments - 1);
        self.audio.is_some() && short != long
    }
}

impl Pictures {
    fn frame_rate(&self) -> FrameRate {
        match self {
            Self::File { probe, .. } => probe.video.frame_rate,
            Self::Pattern(_) => FrameRate {
                num: pattern::RATE as u32,
                den: 1,
            },
        }
    }

    /// 44.1 kHz stays; everything else becomes 48 kHz.
    fn sample_rate(&self) -> Option<u32> {
        match self {
            Self::File { probe, .. } => probe.audio.as_ref().map(|a| {
                if a.sample_rate == 44_100 {
                    44_100
                } else {
                    48_000
                }
            }),
            Self::Pattern(_) => Some(48_000),
        }
    }

    fn colour(&self) -> Option<ffmpeg::raw::Colour> {
        match self {
            Self::File { probe, .. } => probe.video.colour,
            Self::Pattern(_) => None,
        }
    }
}

fn check_renditions(content: &v1::Content) -> Result<(), Error> {
    let mut seen = std::collections::BTreeSet::new();
    for rendition in &content.renditions {
        let (content, rendition) = (content.name.clone(), rendition.name.clone());
        if !seen.insert(rendition.clone()) {
            return Err(Error::Twice { content, rendition });
        }
        if let Err(source) = name::check_track_name(&rendition) {
            return Err(Error::Rendition {
                content,
                rendition,
                source,
            });
        }
    }
    Ok(())
}

/// The audio track's name.
pub(crate) const AUDIO: &str = "audio";
const TEST_SIZE: (u32, u32) = (1280, 720);
