//! What cannot be prepared says so in one sentence, and the contents beside it play on.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use support::*;

fn small_film(path: &Path) {
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x90:rate=25:duration=3",
        "-c:v",
        "libx264",
        "-y",
    ];
    let faststart = ["-movflags", "+faststart", path.to_str().unwrap()];
    quiet("ffmpeg", &[&arguments[..], &faststart].concat());
}

#[tokio::test]
async fn every_unusable_source_says_what_is_wrong_and_what_is_accepted() {
    let mut world = World::new().with_test("garden", 2000);
    let media = world.media.path().to_path_buf();
    small_film(&media.join("film.mp4"));
    let film = std::fs::read(media.join("film.mp4")).unwrap();
    std::fs::create_dir(media.join("folder.mp4")).unwrap();
    std::fs::write(media.join("empty.mp4"), b"").unwrap();
    std::fs::write(
        media.join("text.mp4"),
        "This is not a video, whatever its name says.\n".repeat(50),
    )
    .unwrap();
    std::fs::write(media.join("no-index.mp4"), &film[..600]).unwrap();
    std::fs::write(media.join("cut.mp4"), &film[..film.len() / 2]).unwrap();
    std::fs::write(
        media.join("noise.mp4"),
        (0..60_000u32)
            .map(|i| (i.wrapping_mul(i).wrapping_mul(31) >> 3) as u8)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    let list = format!(
        "#EXTM3U\n#EXTINF:3,\nfile://{}\n",
        media.join("film.mp4").display()
    );
    std::fs::write(media.join("list.mp4"), list).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", media.join("link.mp4")).unwrap();
    quiet(
        "ffmpeg",
        &[
            "-f",
            "lavfi",
            "-i",
            "sine=duration=2",
            "-y",
            media.join("sound.mp4").to_str().unwrap(),
        ],
    );

    let cases = [
        (
            "missing",
            "none.mp4",
            "file \"none.mp4\" does not exist below the media root",
        ),
        ("folder", "folder.mp4", "\"folder.mp4\" is a directory"),
        (
            "empty",
            "empty.mp4",
            "file \"empty.mp4\" is empty (0 bytes)",
        ),
        (
            "text",
            "text.mp4",
            "file \"text.mp4\" cannot be opened as a video",
        ),
        (
            "no-index",
            "no-index.mp4",
            "file \"no-index.mp4\" cannot be opened as a video",
        ),
        (
            "cut",
            "cut.mp4",
            "file \"cut.mp4\" is truncated: its index promises 3000 ms",
        ),
        (
            "noise",
            "noise.mp4",
            "file \"noise.mp4\" cannot be opened as a video",
        ),
        (
            "list",
            "list.mp4",
            "file \"list.mp4\" cannot be opened as a video",
        ),
        (
            "sound",
            "sound.mp4",
            "file \"sound.mp4\" holds no video stream",
        ),
        (
            "link",
            "link.mp4",
            "path \"link.mp4\" leaves the media root",
        ),
        (
            "absolute",
            "/etc/hostname",
            "path \"/etc/hostname\" leaves the media root",
        ),
        (
            "upwards",
            "../film.mp4",
            "path \"../film.mp4\" leaves the media root",
        ),
    ];
    for (name, path, _) in cases {
        world = world.with_file(name, path);
    }
    let running = world.start().await;
    for (name, _, part) in cases {
        let status = running.content(name, |c| c["state"] == "failed").await;
        let error = status["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("content {name:?}: ")), "{error}");
        assert!(
            error.contains(part) && error.contains("accepted: "),
            "{name}: {error}"
        );
        assert!(!error.contains('\n'), "one sentence: {error}");
    }
    running.complete("garden").await;
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    let got = receive(&mut reader, |r| r.chunks.len() == 4).await.unwrap();
    assert_eq!(got.chunks.len(), 4);
    running.server.stop().await;
}

#[tokio::test]
async fn a_file_that_appears_later_is_taken_up() {
    let world = World::new().with_file("film", "film.mp4");
    let running = world.start().await;
    running.content("film", |c| c["state"] == "failed").await;
    small_film(&world.media.path().join("film.mp4"));
    running.complete("film").await;
    running.server.stop().await;
}

/// Every write to a full device fails; the store's folder is put on one.
#[tokio::test]
async fn a_full_disk_fails_the_content_with_a_sentence_and_is_retried() {
    let world = World::new()
        .with_test("garden", 3000)
        .with_test("orchid", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    running.complete("orchid").await;
    running.server.stop().await;
    // One asset's next segment cannot be written: its temporary file is a door to a full device.
    let folders: Vec<_> = std::fs::read_dir(world.cache.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let assets: Vec<_> = folders
        .iter()
        .filter(|f| f.join("asset.json").exists())
        .collect();
    let of_garden = assets
        .iter()
        .find(|f| {
            std::fs::read_to_string(f.join("asset.json"))
                .unwrap()
                .contains("\"garden\"")
        })
        .unwrap();
    let track = of_garden.join("90p");
    std::fs::remove_file(track.join("1.m4s")).unwrap();
    std::fs::remove_file(track.join("segments.log")).unwrap();
    std::os::unix::fs::symlink("/dev/full", track.join("segments.log")).unwrap();

    let running = world.start().await;
    let status = running.content("garden", |c| c["state"] == "failed").await;
    let error = status["error"].as_str().unwrap();
    assert!(
        error.contains("content \"garden\"") && error.contains("no space is left"),
        "{error}"
    );
    running.complete("orchid").await;
    let left = std::fs::read_dir(&track)
        .unwrap()
        .map(|e| e.unwrap().path());
    assert_eq!(
        left.filter(|p| p.extension().is_some_and(|e| e == "tmp"))
            .count(),
        0
    );

    std::fs::remove_file(track.join("segments.log")).unwrap();
    running.complete("garden").await;
    running.server.stop().await;
}

#[tokio::test]
async fn a_segment_damaged_on_disk_is_a_gap_once_and_then_made_again() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let track = world.asset_folder().join("90p");
    for local in 0..3 {
        let path = track.join(format!("{local}.m4s"));
        let mut data = std::fs::read(&path).unwrap();
        data[200] ^= 1;
        std::fs::write(path, data).unwrap();
    }
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    // Gaps at first, chunks again once the segments were made anew.
    let is_gap = |m: &banyan_proto::v1::media_message::Body| {
        matches!(m, banyan_proto::v1::media_message::Body::Gap(_))
    };
    let got = receive(&mut reader, |r| {
        r.messages.iter().any(is_gap) && r.chunks.len() >= 9
    })
    .await
    .unwrap();
    assert!(got.messages.iter().any(is_gap) && got.chunks.len() >= 9);
    running.server.stop().await;
}

#[test]
fn the_executable_refuses_bad_starts_with_the_right_exit_code() {
    let world = World::new();
    let config = world.cache.path().join("config.json");
    std::fs::write(&config, serde_json::to_vec(&world.config).unwrap()).unwrap();
    let bad = world.cache.path().join("bad.json");
    std::fs::write(&bad, "{\"epoch\": 5, \"colour\": 1}").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let run = |config: &Path, grpc: &str, secret: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_banyan-origin"));
        command.args([
            "--member",
            "lisbon",
            "--topology",
            TOPOLOGY,
            "--http",
            "127.0.0.1:0",
            "--grpc",
            grpc,
        ]);
        command
            .arg("--config")
            .arg(config)
            .arg("--media")
            .arg(world.media.path());
        command
            .arg("--cache")
            .arg(world.cache.path().join("c"))
            .env_remove("BANYAN_RUN_SECRET");
        if let Some(secret) = secret {
            command.env("BANYAN_RUN_SECRET", secret);
        }
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let hex = secret().to_hex();
    let any = "127.0.0.1:0";
    for (got, code, part) in [
        (run(&config, any, None), 64, "BANYAN_RUN_SECRET"),
        (run(&config, any, Some("12")), 64, "64 hexadecimal digits"),
        (run(&bad, any, Some(&hex)), 64, "colour"),
        (
            run(&world.cache.path().join("none.json"), any, Some(&hex)),
            64,
            "none.json",
        ),
        (run(&config, &taken, Some(&hex)), 1, taken.as_str()),
        (run(&config, "nonsense", Some(&hex)), 64, "nonsense"),
    ] {
        assert_eq!(got.0, Some(code), "{}", got.1);
        assert!(got.1.contains(part), "{}", got.1);
    }
}

#[test]
fn sigterm_and_the_end_of_standard_input_end_it_with_zero() {
    let world = World::new().with_test("garden", 20_000);
    let config = world.cache.path().join("config.json");
    std::fs::write(&config, serde_json::to_vec(&world.config).unwrap()).unwrap();
    for by_signal in [true, false] {
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
            .arg(world.cache.path().join("c"))
            .env("BANYAN_RUN_SECRET", secret().to_hex())
            .env("BANYAN_EXIT_ON_STDIN_EOF", "1")
            .env("RUST_LOG", "info")
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("content is being prepared") {
            line.clear();
            assert!(
                std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0,
                "it ended early"
            );
        }
        let stdin = child.stdin.take();
        if by_signal {
            let id = i32::try_from(child.id()).unwrap();
            let pid = rustix::process::Pid::from_raw(id).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        } else {
            drop(stdin);
        }
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut log, &mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
        assert!(!rest.contains("panicked"), "{rest}");
    }
}
