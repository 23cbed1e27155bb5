//! Assets on disk: the same bytes whoever makes them, decodable, and made again only where they are missing.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use banyan_media::{Asset, Kind};
use support::*;

async fn prepared(world: &World, name: &str) -> BTreeMap<String, Vec<u8>> {
    let running = world.start().await;
    running.complete(name).await;
    running.server.stop().await;
    files(&world.asset_folder())
}

/// A small film with B-frames, holes, sound that starts late, made by FFmpeg's generators.
fn film(path: &Path) {
    quiet(
        "ffmpeg",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=200x120:rate=30000/1001:duration=4.3",
            "-itsoffset",
            "0.31",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=500:duration=3:sample_rate=44100",
            "-vf",
            "select='not(between(n,50,61))'",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-bf",
            "3",
            "-preset",
            "ultrafast",
            "-c:a",
            "aac",
            "-ac",
            "1",
            "-y",
            path.to_str().unwrap(),
        ],
    );
}

#[tokio::test]
async fn one_worker_two_workers_another_server_and_a_resumed_one_make_equal_bytes() {
    let alone = World {
        workers: Some(1),
        ..World::new().with_file("film", "film.mp4")
    };
    film(&alone.media.path().join("film.mp4"));
    let reference = prepared(&alone, "film").await;
    assert!(reference.len() > 10, "{:?}", reference.keys());

    let mut pair = World {
        workers: Some(2),
        member: "porto".into(),
        ..World::new().with_file("film", "other-name.mp4")
    };
    // It joins elsewhere in the loop, so it prepares in another order.
    pair.after_epoch = 1002.0;
    std::fs::copy(
        alone.media.path().join("film.mp4"),
        pair.media.path().join("other-name.mp4"),
    )
    .unwrap();
    assert_eq!(prepared(&pair, "film").await, reference);

    // What a kill leaves: some segments, half a temporary file, half a line, no descriptor.
    let folder = pair.asset_folder();
    for gone in [
        "asset.json",
        "90p/1.m4s",
        "90p/3.m4s",
        "audio/2.m4s",
        "audio/init.mp4",
        "poster.jpg",
    ] {
        std::fs::remove_file(folder.join(gone)).unwrap();
    }
    std::fs::write(folder.join("90p/1.tmp"), b"half").unwrap();
    let log = folder.join("90p/segments.log");
    let text = std::fs::read(&log).unwrap();
    std::fs::write(&log, &text[..text.len() - 20]).unwrap();
    let kept = std::fs::metadata(folder.join("90p/2.m4s"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(prepared(&pair, "film").await, reference);
    let logged_last = String::from_utf8_lossy(&text)
        .lines()
        .last()
        .unwrap()
        .starts_with("2 ");
    if !logged_last {
        let now = std::fs::metadata(folder.join("90p/2.m4s"))
            .unwrap()
            .modified()
            .unwrap();
        assert_eq!(now, kept, "what was there is not made again");
    }
}

#[tokio::test]
async fn a_server_killed_in_the_middle_goes_on_to_the_same_bytes() {
    let reference = prepared(&World::new().with_test("garden", 12_000), "garden").await;
    let world = World::new().with_test("garden", 12_000);
    let config = world.cache.path().join("config.json");
    std::fs::write(&config, serde_json::to_vec(&world.config).unwrap()).unwrap();
    let cache = world.cache.path().join("assets");
    for round in 1.. {
        let mut child = Command::new(env!("CARGO_BIN_EXE_banyan-origin"))
            .args([
                "--member",
                "lisbon",
                "--topology",
                TOPOLOGY,
                "--grpc",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
            ])
            .arg("--config")
            .arg(&config)
            .arg("--media")
            .arg(world.media.path())
            .arg("--cache")
            .arg(&cache)
            .env("BANYAN_RUN_SECRET", secret().to_hex())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let count = || {
            let keys = std::fs::read_dir(&cache).into_iter().flatten().flatten();
            let segments = keys
                .filter_map(|key| std::fs::read_dir(key.path().join("90p")).ok())
                .flatten()
                .flatten();
            segments
                .filter(|f| f.path().extension().is_some_and(|e| e == "m4s"))
                .count()
        };
        let complete = || {
            let keys = std::fs::read_dir(&cache).into_iter().flatten().flatten();
            keys.filter(|key| key.path().join("asset.json").exists())
                .count()
                == 1
        };
        // Killed after four more segments each time, until nothing is left to do.
        let before = count();
        tokio::time::timeout(BOUND, async {
            while !complete() && count() < before + 4 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await
        .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        if complete() {
            assert!(round > 1, "it has to be killed at least once");
            break;
        }
    }
    assert_eq!(files(&asset_folder(&cache)), reference);
}

#[tokio::test]
async fn every_picture_and_sample_of_the_timeline_is_there_and_decodes_quietly() {
    let world = World::new().with_file("film", "film.mp4");
    film(&world.media.path().join("film.mp4"));
    prepared(&world, "film").await;
    let folder = world.asset_folder();
    let asset: Asset =
        serde_json::from_slice(&std::fs::read(folder.join("asset.json")).unwrap()).unwrap();
    let timeline = &asset.timeline;
    assert_eq!(
        (timeline.frame_rate.num, timeline.frame_rate.den),
        (30_000, 1001)
    );
    assert_eq!(timeline.sample_rate, Some(44_100));
    for track in &asset.tracks {
        let mut file = std::fs::read(folder.join(&track.name).join("init.mp4")).unwrap();
        for local in 0..timeline.segments {
            let long = folder.join(&track.name).join(format!("{local}.long.m4s"));
            let short = folder.join(&track.name).join(format!("{local}.m4s"));
            file.extend(
                std::fs::read(&long)
                    .or_else(|_| std::fs::read(short))
                    .unwrap(),
            );
        }
        let path = world.cache.path().join("whole.mp4");
        std::fs::write(&path, file).unwrap();
        let hashes = frame_hashes(&path);
        let expected = match track.kind {
            Kind::Video => u64::from(timeline.segments) * u64::from(timeline.frames_per_segment),
            Kind::Audio => timeline.audio_frames_needed(),
        };
        assert_eq!(hashes.len() as u64, expected, "{}", track.name);
        let times = quiet(
            "ffprobe",
            &[
                "-show_entries",
                "packet=pts",
                "-of",
                "csv=p=0",
                path.to_str().unwrap(),
            ],
        );
        let times: Vec<u64> = times
            .lines()
            .map(|t| t.trim_end_matches(',').parse().unwrap())
            .collect();
        let tick = if track.kind == Kind::Video {
            1001
        } else {
            1024
        };
        let even: Vec<u64> = (0..expected).map(|i| i * tick).collect();
        assert_eq!(times, even, "presentation times of {}", track.name);
        if track.kind == Kind::Video {
            // Time 50 to 61 has no picture of its own; the film goes on at 62 where it would have.
            assert_eq!(
                expected,
                129 + pad(timeline.segments, timeline.frames_per_segment)
            );
        }
    }
}

/// Pictures that hold the last one, so that segments come out even.
fn pad(segments: u32, frames: u32) -> u64 {
    u64::from(segments) * u64::from(frames) - 129
}
