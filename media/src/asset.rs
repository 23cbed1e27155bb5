//! The descriptor of a prepared asset: `asset.json` in the asset's folder.
//!
//! Whoever prepares, serves or checks an asset shares this shape. Reading it validates the
//! timeline, so a damaged file is an error and never a panic.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timeline;

/// What a track carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Video => "video",
            Kind::Audio => "audio",
        })
    }
}

/// A prepared asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The prepared key, hexadecimal: see [`crate::name::prepared_key`].
    pub key: String,
    /// BLAKE3 of the content's bytes, hexadecimal.
    pub content_digest: String,
    /// What a page shows.
    pub title: String,
    /// Version of the packager that wrote the segments.
    pub packager: String,
    /// How the asset is cut and looped.
    pub timeline: Timeline,
    /// Video renditions and audio.
    pub tracks: Vec<AssetTrack>,
}

impl Asset {
    /// The track of that name.
    pub fn track(&self, name: &str) -> Option<&AssetTrack> {
        self.tracks.iter().find(|track| track.name == name)
    }
}

/// One track of an asset. Sizes that do not apply to its kind are 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetTrack {
    /// The rendition's name for video, `audio` for audio.
    pub name: String,
    /// What it carries.
    pub kind: Kind,
    /// RFC 6381, e.g. `avc1.64001f`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Audio channels.
    pub channels: u32,
    /// BCP 47, when known.
    pub language: Option<String>,
    /// Ticks per second of its times.
    pub timescale: u32,
    /// The track id in its init segment and chunks.
    pub track_id: u32,
    /// Bits per second of the largest segment, measured.
    pub peak_bandwidth: u64,
    /// Bits per second over the whole asset, measured.
    pub average_bandwidth: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameRate, Packaging};

    fn asset() -> Asset {
        let packaging = Packaging {
            segment_ms: 2000,
            part_ms: 333,
            window_segments: 6,
        };
        let rate = FrameRate { num: 25, den: 1 };
        Asset {
            key: "00ff".into(),
            content_digest: "abcd".into(),
            title: "Harbour at dawn".into(),
            packager: "1".into(),
            timeline: Timeline::choose(rate, 500, &packaging, Some(48_000)).unwrap(),
            tracks: vec![AssetTrack {
                name: "720p".into(),
                kind: Kind::Video,
                codec: "avc1.64001f".into(),
                width: 1280,
                height: 720,
                sample_rate: 0,
                channels: 0,
                language: None,
                timescale: 25,
                track_id: 1,
                peak_bandwidth: 2_000_000,
                average_bandwidth: 1_500_000,
            }],
        }
    }

    #[test]
    fn a_descriptor_survives_the_disk() {
        let text = serde_json::to_string(&asset()).unwrap();
        let back: Asset = serde_json::from_str(&text).unwrap();
        assert_eq!(back, asset());
        assert_eq!(
            back.track("720p").map(|track| track.kind),
            Some(Kind::Video)
        );
        assert!(text.contains(r#""kind":"video""#));
    }

    #[test]
    fn a_descriptor_with_an_impossible_timeline_is_refused() {
        let text = serde_json::to_string(&asset()).unwrap();
        let broken = text.replace(r#""segments":10"#, r#""segments":0"#);
        assert_ne!(text, broken);
        let error = serde_json::from_str::<Asset>(&broken)
            .unwrap_err()
            .to_string();
        assert!(error.contains("segments"), "{error}");
    }
}
