//! FFmpeg's command line as the referee of what is decodable and what it shows.

use std::path::Path;
use std::process::{Command, Stdio};

/// One decoded picture or audio frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub pts: i64,
    pub duration: i64,
    pub size: u64,
    pub md5: String,
}

/// What came out of a decoder.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub frames: Vec<Frame>,
    pub warnings: String,
}

impl Decoded {
    /// Hashes of the frames, in order.
    pub fn hashes(&self) -> Vec<&str> {
        self.frames.iter().map(|frame| frame.md5.as_str()).collect()
    }
}

/// Decodes the only track of an init and the segments that follow it.
#[track_caller]
pub fn decode(init: &[u8], segments: &[Vec<u8>]) -> Decoded {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file must open");
    let mut write = |bytes: &[u8]| {
        std::io::Write::write_all(&mut file, bytes).expect("a temporary file must be writable")
    };
    write(init);
    segments.iter().for_each(|segment| write(segment));
    decode_file(file.path())
}

/// Decodes the only track of a file.
#[track_caller]
pub fn decode_file(path: &Path) -> Decoded {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "warning", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:0",
            "-fps_mode",
            "passthrough",
            "-copyts",
            "-f",
            "framemd5",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg must start; install the Debian package ffmpeg");
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "ffmpeg cannot decode {}: {warnings}",
        path.display()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let frames = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let number = |at: usize| {
                fields[at]
                    .parse::<i64>()
                    .unwrap_or_else(|_| panic!("framemd5 line {line:?}"))
            };
            Frame {
                pts: number(2),
                duration: number(3),
                size: u64::try_from(number(4)).expect("a size must not be negative"),
                md5: fields[5].to_owned(),
            }
        });
    Decoded {
        frames: frames.collect(),
        warnings,
    }
}

/// Makes a clip with FFmpeg's generators.
#[track_caller]
pub fn generate(arguments: &[&str], path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-y"])
        .args(arguments)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg must start; install the Debian package ffmpeg");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
