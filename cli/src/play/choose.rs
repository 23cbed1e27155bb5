//! Which tracks of a stream to play.

use banyan_media::Kind;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Exactly these tracks.
    Tracks(Vec<String>),
    /// One video rendition and the first audio.
    Video(Rendition),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rendition {
    Lowest,
    Highest,
    /// Another whenever the link allows or asks for it, over HLS; the lowest to begin with.
    Adaptive,
    Named(String),
}

/// A track as a playlist or an offer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Peak, in bits per second.
    pub(super) bandwidth: u64,
    /// What adaptation reckons with: the mean where it is known.
    pub(super) rate: u64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("the stream has no track {name:?}; it has {}", .known.join(", "))]
    Unknown { name: String, known: Vec<String> },
    #[error(
        "the stream has no rendition {name:?}; accepted: {}, lowest, highest, adaptive", .known.join(", ")
    )]
    UnknownRendition { name: String, known: Vec<String> },
    #[error("the stream has no track that can be played")]
    Nothing,
}

// === impl Wanted ===

impl Wanted {
    pub(super) fn new(tracks: &[String], rendition: &str) -> Self {
        if !tracks.is_empty() {
            return Self::Tracks(tracks.to_vec());
        }
        Self::Video(match rendition {
            "lowest" => Rendition::Lowest,
            "highest" => Rendition::Highest,
            "adaptive" => Rendition::Adaptive,
            name => Rendition::Named(name.to_owned()),
        })
    }

    pub(super) fn adaptive() -> Self {
        Self::Video(Rendition::Adaptive)
    }

    /// The tracks to play, or to begin with, out of those there are.
    pub(super) fn choose(&self, tracks: &[Candidate]) -> Result<Vec<Candidate>, Error> {
        fn names<'a>(tracks: impl Iterator<Item = &'a Candidate>) -> Vec<String> {
            tracks.map(|track| track.name.clone()).collect()
        }
        let chosen = match self {
            Self::Tracks(wanted) => {
                let named = |name: &String| {
                    let track = tracks.iter().find(|track| track.name == *name);
                    track.cloned().ok_or_else(|| Error::Unknown {
                        name: name.clone(),
                        known: names(tracks.iter()),
                    })
                };
                wanted.iter().map(named).collect::<Result<Vec<_>, _>>()?
            }
            Self::Video(rendition) => {
                let videos = || tracks.iter().filter(|track| track.kind == Kind::Video);
                let video = match rendition {
                    Rendition::Lowest | Rendition::Adaptive => {
                        videos().min_by_key(|track| track.bandwidth).cloned()
                    }
                    Rendition::Highest => videos().max_by_key(|track| track.bandwidth).cloned(),
                    Rendition::Named(name) => {
                        let video = videos().find(|track| track.name == *name);
                        Some(video.cloned().ok_or_else(|| Error::UnknownRendition {
                            name: name.clone(),
                            known: names(videos()),
                        })?)
                    }
                };
                let audio = tracks
                    .iter()
                    .find(|track| track.kind == Kind::Audio)
                    .cloned();
                video.into_iter().chain(audio).collect()
            }
        };
        if chosen.is_empty() {
            return Err(Error::Nothing);
        }
        Ok(chosen)
    }
}

#[cfg(test)]
mod tests {
    use banyan_media::Kind;

    use super::{Candidate, Error, Wanted};

    fn tracks() -> Vec<Candidate> {
        let track = |name: &str, kind, bandwidth| Candidate {
            name: name.into(),
            kind,
            bandwidth,
            rate: bandwidth,
        };
        vec![
            track("720p", Kind::Video, 3_000_000),
            track("360p", Kind::Video, 800_000),
            track("audio", Kind::Audio, 128_000),
            track("commentary", Kind::Audio, 64_000),
        ]
    }

    fn names(wanted: &Wanted) -> Result<Vec<String>, Error> {
        Ok(wanted
            .choose(&tracks())?
            .into_iter()
            .map(|track| track.name)
            .collect())
    }

    #[test]
    fn a_rendition_comes_with_the_first_audio_and_tracks_come_alone() {
        assert_eq!(
            names(&Wanted::new(&[], "lowest")).unwrap(),
            ["360p", "audio"]
        );
        assert_eq!(
            names(&Wanted::new(&[], "highest")).unwrap(),
            ["720p", "audio"]
        );
        assert_eq!(names(&Wanted::new(&[], "720p")).unwrap(), ["720p", "audio"]);
        assert_eq!(names(&Wanted::adaptive()).unwrap(), ["360p", "audio"]);
        assert_eq!(
            names(&Wanted::new(&["commentary".into()], "lowest")).unwrap(),
            ["commentary"]
        );
    }

    #[test]
    fn an_unknown_track_is_named_with_those_there_are() {
        let error = names(&Wanted::new(&["4k".into()], "lowest")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the stream has no track \"4k\"; it has 720p, 360p, audio, commentary"
        );
        for name in ["adaptiv", "audio"] {
            let error = names(&Wanted::new(&[], name)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the stream has no rendition {name:?}; accepted: 720p, 360p, lowest, highest, adaptive"
                )
            );
        }
        assert_eq!(Wanted::new(&[], "lowest").choose(&[]), Err(Error::Nothing));
    }
}
