//! From the renditions a manifest asks for to the ones that make sense for a source: never above it, always even.

use banyan_proto::v1;

/// The renditions of one asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ladder {
    pub(crate) video: Vec<Rung>,
    /// Bit/s.
    pub(crate) audio_bitrate: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Cap in bit/s.
    pub(crate) bitrate: u64,
}

impl Ladder {
    /// Renditions above the source are left out; if all are, the lowest becomes the source's size. None asked for = one at
    /// source size.
    pub(crate) fn choose(wanted: &[v1::Rendition], width: u32, height: u32) -> Self {
        let source = even(height);
        let mut fitting: Vec<&v1::Rendition> = wanted
            .iter()
            .filter(|r| r.height > 0 && even(r.height) <= source)
            .collect();
        if fitting.is_empty() {
            fitting.extend(wanted.iter().min_by_key(|r| r.height));
        }
        let rung = |name: String, height: u32, bitrate: u64| {
            let height = even(height.min(source));
            let width = even(scaled(width, height, source));
            let bitrate = if bitrate == 0 {
                default_bitrate(width, height)
            } else {
                bitrate
            };
            Rung {
                name,
                width,
                height,
                bitrate,
            }
        };
        let mut video: Vec<Rung> = fitting
            .iter()
            .map(|r| {
                rung(
                    r.name.clone(),
                    if r.height == 0 { source } else { r.height },
                    r.video_bitrate,
                )
            })
            .collect();
        if video.is_empty() {
            video.push(rung(format!("{source}p"), source, 0));
        }
        let audio = wanted.iter().map(|r| r.audio_bitrate).max().unwrap_or(0);
        Self {
            video,
            audio_bitrate: if audio == 0 {
                128_000
            } else {
                audio.clamp(32_000, 512_000)
            },
        }
    }

    /// All that decides the bytes, as text for the prepared key.
    pub(crate) fn describe(&self, frame_rate: (u32, u32), sample_rate: Option<u32>) -> String {
        use std::fmt::Write;
        let mut text = format!("h264 crf23 veryfast bf0 {}/{}", frame_rate.0, frame_rate.1);
        for rung in &self.video {
            let _ = write!(
                text,
                ";{}={}x{}@{}",
                rung.name, rung.width, rung.height, rung.bitrate
            );
        }
        if let Some(rate) = sample_rate {
            let _ = write!(text, ";audio=aac-lc {rate}x2@{}", self.audio_bitrate);
        }
        text
    }
}

/// A cap that suits H.264 at this size: about 2.5 Mbit/s at 720p, 0.9 at 360p, 4.5 at 1080p.
fn default_bitrate(width: u32, height: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    (pixels * 2 + 300_000 + pixels.isqrt() * 400).next_multiple_of(50_000)
}

fn scaled(width: u32, height: u32, source: u32) -> u32 {
    let wide =
        (u64::from(width) * u64::from(height) + u64::from(source) / 2) / u64::from(source.max(1));
    u32::try_from(wide).unwrap_or(u32::MAX)
}

/// Down to even; H.264 4:2:0 has no odd sizes, and x264 wants at least a macroblock.
fn even(size: u32) -> u32 {
    (size & !1).max(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Names = &'static [(&'static str, u32)];

    fn wanted(heights: Names) -> Vec<v1::Rendition> {
        heights
            .iter()
            .map(|(name, height)| v1::Rendition {
                name: (*name).into(),
                height: *height,
                ..Default::default()
            })
            .collect()
    }

    #[test]
    fn renditions_never_exceed_the_source_and_are_even() {
        type Case = (Names, (u32, u32), &'static [(&'static str, u32, u32)]);
        let cases: [Case; 6] = [
            (
                &[("720p", 720), ("360p", 360)],
                (1280, 720),
                &[("720p", 1280, 720), ("360p", 640, 360)],
            ),
            (
                &[("1080p", 1080), ("360p", 360)],
                (1280, 720),
                &[("360p", 640, 360)],
            ),
            (
                &[("1080p", 1080), ("720p", 720)],
                (176, 144),
                &[("720p", 176, 144)],
            ),
            (&[], (640, 272), &[("272p", 640, 272)]),
            (&[("odd", 361)], (1279, 719), &[("odd", 640, 360)]),
            (&[("tall", 640)], (720, 1280), &[("tall", 360, 640)]),
        ];
        for (heights, (width, height), expected) in cases {
            let ladder = Ladder::choose(&wanted(heights), width, height);
            let got: Vec<_> = ladder
                .video
                .iter()
                .map(|r| (r.name.as_str(), r.width, r.height))
                .collect();
            assert_eq!(got, expected, "{heights:?} of {width}x{height}");
        }
    }

    #[test]
    fn default_caps_grow_with_the_picture() {
        let caps: Vec<u64> = [(640, 360), (1280, 720), (1920, 1080)]
            .map(|(w, h)| default_bitrate(w, h))
            .into();
        assert!(caps[0] > 600_000 && caps[0] < 1_200_000, "{caps:?}");
        assert!(caps[1] > 2_000_000 && caps[1] < 3_000_000, "{caps:?}");
        assert!(caps[2] > 4_000_000 && caps[2] < 6_000_000, "{caps:?}");
    }
}
