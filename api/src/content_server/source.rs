//! Contents: their sources and renditions.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::{BitRate, TimeSpan};

/// One content of a server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['api', 'healthz', 'readyz', 'metrics', 'assets'])")
        .message("name must not be api, healthz, readyz, metrics or assets: edges serve their own pages there")
        .field_path(".name")
)]
pub struct Content {
    /// Name of the stream, as viewers see it in URLs.
    #[schemars(
        length(min = 1, max = 50),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,

    /// What viewers read; the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 120))]
    pub title: Option<String>,

    /// Where the media comes from: exactly one member.
    pub source: Source,

    /// Encoded variants. Empty means: passed through when that is safe, else one variant at the source's size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub renditions: Vec<Rendition>,
}

/// Where media comes from: exactly one member is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "[has(self.file), has(self.test), has(self.rtsp), has(self.rtmp), has(self.srt), has(self.http)].filter(x, x).size() == 1"
    ).message("source must have exactly one of file, test, rtsp, rtmp, srt or http")
)]
pub struct Source {
    /// A file below the server's media root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
    /// A generated picture with a burnt-in clock and a tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<TestSource>,
    /// A feed pulled over RTSP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.url.startsWith('rtsp://') || self.url.startsWith('rtsps://')")
        .message("rtsp.url must start with rtsp:// or rtsps://"))]
    pub rtsp: Option<UrlSource>,
    /// A feed pulled over RTMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.url.startsWith('rtmp://') || self.url.startsWith('rtmps://')")
        .message("rtmp.url must start with rtmp:// or rtmps://"))]
    pub rtmp: Option<UrlSource>,
    /// A feed pulled over SRT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.url.startsWith('srt://')").message("srt.url must start with srt://"))]
    pub srt: Option<UrlSource>,
    /// A feed pulled over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.url.startsWith('http://') || self.url.startsWith('https://')")
        .message("http.url must start with http:// or https://"))]
    pub http: Option<UrlSource>,
}

/// A file below the server's media root.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FileSource {
    /// Path relative to the server's media root (`--media`, in Kubernetes the volume), without `..`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/')")
        .message("path must be relative to the server's media root, without a leading slash"))]
    #[x_kube(validation = Rule::new("!self.matches('(^|/)[.][.](/|$)')")
        .message("path must stay below the server's media root: .. is not accepted"))]
    #[x_kube(validation = Rule::new("!self.contains('\\\\') && !self.endsWith('/')")
        .message("path must name a file with forward slashes"))]
    pub path: String,

    /// Whether the file is looped as a live channel, offered on demand, or both.
    #[serde(default)]
    pub mode: FileMode,
}

/// How a file is offered.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    #[default]
    /// Looped as a live channel.
    Live,
    /// Offered from its beginning to each viewer.
    OnDemand,
    /// Both.
    LiveAndOnDemand,
}

/// A generated picture with a burnt-in clock and a tone.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.duration) >= duration('2s') && duration(self.duration) <= duration('1h')")
        .message("duration must be from 2s to 1h").field_path(".duration")
)]
pub struct TestSource {
    /// What the picture shows.
    #[serde(default)]
    pub pattern: Pattern,
    /// Length of one loop, 2s to 1h.
    #[serde(default = "TestSource::default_duration")]
    pub duration: TimeSpan,
}

impl TestSource {
    fn default_duration() -> TimeSpan {
        TimeSpan::from("20s")
    }
}

/// What a test picture shows.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    #[default]
    /// A running clock.
    Clock,
    /// Colour bars.
    Bars,
    /// A moving Mandelbrot set.
    Mandelbrot,
}

impl Pattern {
    /// All patterns.
    pub const ALL: [Self; 3] = [Self::Clock, Self::Bars, Self::Mandelbrot];

    /// The name manifests and origins use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Bars => "bars",
            Self::Mandelbrot => "mandelbrot",
        }
    }
}

/// A feed pulled from a URL.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct UrlSource {
    /// Where the feed is.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
}

/// One encoded variant of a content.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.name in ['audio', 'text'])")
        .message("name must not be audio or text: other tracks have these names").field_path(".name")
)]
pub struct Rendition {
    /// Name of the track, such as 720p.
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Picture height in lines, even, 64 to 4320; the width follows the source's shape.
    #[schemars(range(min = 64, max = 4320), extend("multipleOf" = 2))]
    pub height: i32,
    /// Video bit rate, such as 2500k; chosen by the height when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_bitrate: Option<BitRate>,
    /// Audio bit rate, such as 128k.
    #[serde(default = "Rendition::default_audio_bitrate")]
    pub audio_bitrate: BitRate,
}

impl Rendition {
    fn default_audio_bitrate() -> BitRate {
        BitRate::from("128k")
    }
}
