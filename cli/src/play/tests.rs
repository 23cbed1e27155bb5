//! `play` against small servers in this process: an edge made of a function, and a Media service.
//!
//! `kites` has 1 s segments of two parts; video counts in 1/25 s, audio in 1/48000 s.

mod edge;
mod member;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use banyan_media::Sample;
use banyan_media::boxes::write_chunk;
use clap::Parser;
use tokio_util::sync::CancellationToken;

use super::report::Report;
use super::target::Target;
use super::{Args, duration, play, progress};
use edge::{Edge, Shape};

const RUN: &str = "abcdefghij";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    play: Args,
}

fn args(words: &[&str]) -> Args {
    Cli::try_parse_from(["play"].iter().chain(words))
        .unwrap()
        .play
}

/// Plays the targets and gives the report as JSON.
async fn report(words: &[&str]) -> serde_json::Value {
    let args = args(words);
    let target = Target::parse(&args.targets)
        .unwrap()
        .resolve(&args.control)
        .await
        .unwrap();
    let report: Report = play(&args, target, &progress(&args)).await.unwrap();
    assert!(!report.to_string().is_empty());
    serde_json::to_value(&report).unwrap()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn timescale(track: &str) -> u32 {
    if track == "audio" { 48_000 } else { 25 }
}

/// The chunks of segment `n`.
fn chunks(track: &str, n: u64) -> Vec<Vec<u8>> {
    let second = u64::from(timescale(track));
    let halves = [second / 2, second - second / 2];
    let mut start = n * second;
    halves
        .iter()
        .enumerate()
        .map(|(part, &duration)| {
            let size = 500 + part as u32;
            let sample = Sample {
                size,
                duration: duration as u32,
                composition_offset: 0,
                sync: part == 0,
            };
            let chunk = write_chunk(
                (n * 2) as u32 + part as u32,
                1,
                start,
                &[sample],
                &[&vec![n as u8; size as usize]],
            );
            start += duration;
            chunk
        })
        .collect()
}

/// An init of one H.264 track, as small as a reader accepts.
fn init(track: &str) -> Vec<u8> {
    fn boxed(kind: &[u8; 4], pieces: &[&[u8]]) -> Vec<u8> {
        let body = pieces.concat();
        let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend_from_slice(kind);
        out.extend(body);
        out
    }
    let zeros = [0u8; 64];
    let rate = timescale(track).to_be_bytes();
    let tkhd = boxed(b"tkhd", &[&zeros[..12], &1u32.to_be_bytes(), &zeros[..64]]);
    let mdhd = boxed(b"mdhd", &[&zeros[..12], &rate, &zeros[..8]]);
    let handler = if track == "audio" { b"soun" } else { b"vide" };
    let hdlr = boxed(b"hdlr", &[&zeros[..8], handler, &zeros[..13]]);
    let avcc = boxed(b"avcC", &[&[1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0, 0]]);
    let avc1 = boxed(
        b"avc1",
        &[&zeros[..24], &[2, 128, 1, 104], &zeros[..50], &avcc],
    );
    let stsd = boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1], &avc1]);
    let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd])]);
    let mdia = boxed(b"mdia", &[&mdhd, &hdlr, &minf]);
    boxed(b"moov", &[&boxed(b"trak", &[&tkhd, &mdia])])
}

#[test]
fn the_test_media_is_readable() {
    let facts = banyan_media::boxes::inspect_init(&init("360p")).unwrap();
    assert_eq!((facts.timescale, facts.codec.as_str()), (25, "avc1.64001f"));
    let segment = chunks("360p", 7).concat();
    let split = banyan_media::boxes::split_chunks(&segment).unwrap();
    assert_eq!(split.len(), 2);
}

#[test]
fn lengths_of_time_are_read_and_nonsense_is_refused() {
    for (text, millis) in [
        ("10s", 10_000),
        ("1500ms", 1500),
        ("2m", 120_000),
        ("1.5s", 1500),
        ("3", 3000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "s", "-1s", "0s", "10x", "1e9s", "10 s", "99999h"] {
        assert!(duration(text).unwrap_err().contains("accepted"), "{text}");
    }
}

#[tokio::test]
async fn a_finished_stream_is_played_once_from_end_to_end() {
    let edge = Edge::start(Shape::finished(6)).await;
    let report = report(&[&edge.url(), "--for", "20s"]).await;
    let expected: u64 = ["360p", "audio"]
        .iter()
        .map(|track| {
            (0..6)
                .map(|n| chunks(track, n).concat().len() as u64)
                .sum::<u64>()
        })
        .sum();
    for (field, value) in [
        ("segments", 12),
        ("chunks", 24),
        ("lost", 0),
        ("repeated", 0),
        ("out_of_order", 0),
        ("switches", 0),
        ("fault_count", 0),
        ("stalls", 0),
        ("viewers", 1),
        ("playing", 1),
    ] {
        assert_eq!(report[field], value, "{field} in {report}");
    }
    assert_eq!(report["tracks"]["360p"]["chunks"], 12);
    assert_eq!(report["renditions"], serde_json::json!({ "360p": 6 }));
    assert_eq!(report["rendition_changes"], 0);
    let video: usize = (0..6).map(|n| chunks("360p", n).concat().len()).sum();
    assert_eq!(report["mean_bitrate_bps"], video * 8 / 6);
    assert!(
        report["tracks"].get("720p").is_none(),
        "the other rendition is left alone"
    );
    assert!(report["bytes"].as_u64().unwrap() > expected);
    assert!(report["startup_ms"].as_u64().unwrap() < 2000);
    assert!(edge.asked("720p").is_empty());
}

#[tokio::test]
async fn a_live_stream_is_followed_three_target_durations_behind() {
    let edge = Edge::start(Shape::live()).await;
    let report = report(&[&edge.url(), "--for", "3500ms"]).await;
    assert_eq!(report["lost"], 0, "{report}");
    assert_eq!(report["fault_count"], 0, "{report}");
    assert_eq!(report["stalls"], 0, "{report}");
    assert!(report["segments"].as_u64().unwrap() >= 8, "{report}");
    let played = report["played_ms"].as_u64().unwrap();
    assert!((2000..3700).contains(&played), "{report}");
    // A reload comes at most a target duration after the segment's end; the rest is a busy machine.
    let p50 = report["latency_ms"]["p50"].as_u64().unwrap();
    assert!(p50 < 2000, "{report}");
    let first = edge
        .asked("360p/")
        .into_iter()
        .find(|path| path.ends_with(".m4s"))
        .unwrap();
    let number: u64 = first
        .rsplit('/')
        .next()
        .unwrap()
        .trim_end_matches(".m4s")
        .parse()
        .unwrap();
    let head = edge.epoch() + edge.started_head();
    assert!(
        (head - 3..=head - 1).contains(&number),
        "{first} at head {head}"
    );
}

#[tokio::test]
async fn one_media_playlist_is_one_track() {
    let edge = Edge::start(Shape::finished(4)).await;
    let url = edge.url().replace("index", "720p");
    let report = report(&[&url, "--for", "20s"]).await;
    assert_eq!(report["tracks"]["720p"]["chunks"], 8, "{report}");
    assert_eq!(report["segments"], 4);
}

#[tokio::test]
async fn named_tracks_are_played_alone() {
    let edge = Edge::start(Shape::finished(4)).await;
    let report = report(&[&edge.url(), "--for", "20s", "--track", "audio"]).await;
    assert_eq!(report["chunks"], 8, "{report}");
    assert!(edge.asked("360p").is_empty() && edge.asked("720p").is_empty());
}

#[tokio::test]
async fn a_missing_segment_is_lost_and_told() {
    let edge = Edge::start(Shape {
        missing: Some(2),
        ..Shape::finished(6)
    })
    .await;
    let report = report(&[&edge.url(), "--for", "20s"]).await;
    assert_eq!(report["lost"], 4, "two parts of two tracks: {report}");
    assert_eq!(report["chunks"], 20);
    assert!(
        report["faults"].to_string().contains("404 Not Found: gone"),
        "{report}"
    );
}

#[tokio::test]
async fn a_rendition_that_is_none_is_told_with_what_is_accepted() {
    let edge = Edge::start(Shape::finished(3)).await;
    let report = report(&[&edge.url(), "--for", "20s", "--rendition", "adaptiv"]).await;
    assert_eq!(report["chunks"], 0);
    let sentence =
        "the stream has no rendition \"adaptiv\"; accepted: 360p, 720p, lowest, highest, adaptive";
    assert_eq!(report["faults"][0], sentence);
}

#[tokio::test]
async fn a_hole_in_decode_times_is_a_fault() {
    let edge = Edge::start(Shape {
        shifted: Some(3),
        ..Shape::finished(6)
    })
    .await;
    let report = report(&[&edge.url(), "--for", "20s", "--track", "360p"]).await;
    assert_eq!(
        (&report["chunks"], &report["lost"]),
        (&12.into(), &0.into()),
        "{report}"
    );
    assert!(
        report["faults"][0].as_str().unwrap().contains("75 was due"),
        "{report}"
    );
}

#[tokio::test]
async fn an_adaptive_viewer_climbs_and_gives_way_without_a_loss() {
    let edge = Edge::start(Shape {
        slow: Some(3),
        ..Shape::finished(8)
    })
    .await;
    let report = report(&[&edge.url(), "--for", "30s", "--rendition", "adaptive"]).await;
    for (field, value) in [
        ("segments", 16),
        ("chunks", 32),
        ("lost", 0),
        ("repeated", 0),
        ("out_of_order", 0),
        ("run_changes", 0),
        ("rendition_changes", 2),
        ("fault_count", 0),
    ] {
        assert_eq!(report[field], value, "{field} in {report}");
    }
    assert_eq!(report["tracks"]["video"]["chunks"], 16, "{report}");
    let of = |track: &str| report["renditions"][track].as_u64().unwrap();
    assert_eq!(of("360p") + of("720p"), 8, "{report}");
    let fetched = |track: &str| -> Vec<u64> {
        let paths = edge.asked(&format!("/{track}/")).into_iter();
        let numbers = paths.filter_map(|path| {
            let name = path.rsplit('/').next()?;
            name.strip_suffix(".m4s")?.parse::<u64>().ok()
        });
        numbers.map(|number| number - edge.epoch()).collect()
    };
    let (low, high) = (fetched("360p"), fetched("720p"));
    assert_eq!(low.first(), Some(&0), "it begins with the lowest");
    assert!(high.contains(&4) && high.contains(&5), "{high:?}");
    // Audio that came meanwhile may count for the first of four slow segments, not for the other three.
    assert_eq!(low.last(), Some(&7), "{low:?}");
}

#[tokio::test]
async fn another_edge_takes_over_without_a_loss() {
    let (first, second) = (
        Edge::start(Shape {
            dies_after: Some(6),
            ..Shape::finished(6)
        })
        .await,
        Edge::start(Shape::finished(6)).await,
    );
    let report = report(&[&first.url(), &second.url(), "--for", "20s"]).await;
    for (field, value) in [
        ("chunks", 24),
        ("lost", 0),
        ("repeated", 0),
        ("switches", 1),
        ("fault_count", 0),
    ] {
        assert_eq!(report[field], value, "{field} in {report}");
    }
}

#[tokio::test]
async fn an_edge_that_stands_still_is_left_without_a_loss() {
    let first = Edge::start(Shape {
        freezes_after: Some(6),
        ..Shape::finished(6)
    });
    let first = first.await;
    let second = Edge::start(Shape {
        epoch: Some(first.epoch()),
        ..Shape::finished(6)
    });
    let second = second.await;
    let report = report(&[&first.url(), &second.url(), "--for", "20s"]).await;
    for (field, value) in [
        ("chunks", 24),
        ("lost", 0),
        ("repeated", 0),
        ("switches", 1),
    ] {
        assert_eq!(report[field], value, "{field} in {report}");
    }
}

#[tokio::test]
async fn an_edge_that_answers_but_has_nothing_new_is_left() {
    let first = Edge::start(Shape {
        cut_off: true,
        ..Shape::live()
    });
    let first = first.await;
    let second = Edge::start(Shape {
        epoch: Some(first.epoch()),
        ..Shape::live()
    });
    let second = second.await;
    let report = report(&[&first.url(), &second.url(), "--for", "6s"]).await;
    assert_eq!(
        (&report["lost"], &report["repeated"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    let switches = report["switches"].as_u64().unwrap();
    assert!((1..=2).contains(&switches), "{report}");
    // Three at first, and more only from the second.
    assert!(report["segments"].as_u64().unwrap() > 6, "{report}");
}

#[tokio::test]
async fn many_viewers_are_one_report_and_tell_themselves_apart() {
    let edge = Edge::start(Shape::finished(3)).await;
    let report = report(&[&edge.url(), "--for", "20s", "--viewers", "5"]).await;
    assert_eq!(
        (&report["viewers"], &report["playing"]),
        (&5.into(), &5.into()),
        "{report}"
    );
    assert_eq!(report["chunks"], 5 * 12);
    let asked = edge.asked("sid=");
    let sids: std::collections::BTreeSet<_> = asked
        .iter()
        .map(|path| path.rsplit('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(sids.len(), 5);
}

#[tokio::test]
async fn a_name_is_looked_up_and_an_unknown_one_is_told_with_the_known() {
    let edge = Edge::start(Shape::finished(3)).await;
    let control = edge.base();
    let found = report(&["kites", "--control", &control, "--for", "20s"]).await;
    assert_eq!(found["chunks"], 12, "{found}");
    let lookup = |name: &'static str, control: String| async move {
        let error = Target::Stream(name.into())
            .resolve(&control)
            .await
            .unwrap_err();
        error.to_string()
    };
    assert!(
        lookup("plums", control.clone())
            .await
            .contains("knows kites, boats")
    );
    assert!(lookup("boats", control).await.contains("no edge"));
    assert!(
        lookup("kites", "https://a".into())
            .await
            .contains("http://HOST:PORT")
    );
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    assert!(
        lookup("kites", format!("http://{closed}"))
            .await
            .contains("could not ask")
    );
}

#[tokio::test]
async fn nothing_played_is_exit_code_one_and_a_bad_target_sixty_four() {
    let edge = Edge::start(Shape::finished(3)).await;
    let code = |words: &[&str]| super::run(args(words));
    let same = |a: ExitCode, b: u8| format!("{a:?}") == format!("{:?}", ExitCode::from(b));
    let plums = edge.url().replace("kites", "plums");
    assert!(same(
        code(&[&plums, "--for", "1s", "--json"]).await.unwrap(),
        1
    ));
    assert!(same(
        code(&[&edge.url(), "--for", "9s", "--json"]).await.unwrap(),
        0
    ));
    assert!(same(
        code(&["https://127.0.0.1/kites/index.m3u8"]).await.unwrap(),
        64
    ));
    assert!(same(
        code(&["grpc://127.0.0.1:1/kites", "--rendition", "adaptive"])
            .await
            .unwrap(),
        64
    ));
}

/// Ends a server with its test.
struct Stop(CancellationToken);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
