//! What a child sees: a real gRPC server and client, on a channel clock of our choosing.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use banyan_origin::Manner;
use banyan_proto::v1::{self, media_message::Body, subscribe_request::From};
use sha2::{Digest, Sha256};
use support::*;
use tonic::Code;

const PARTS: u32 = 3;

fn after(run: &str, n: u64, part: u32) -> From {
    From::After(v1::After {
        run: run.into(),
        number: EPOCH + n,
        part,
        ..Default::default()
    })
}

fn range(stream: &str, track: &str, run: &str, from: u64, to: u64) -> v1::FetchRequest {
    v1::FetchRequest {
        hello: hello(),
        stream: stream.into(),
        track: track.into(),
        run: run.into(),
        init: true,
        from_number: EPOCH + from,
        to_number: EPOCH + to,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_live_subscriber_gets_the_segment_in_release_and_then_each_chunk_once() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    for track in ["90p", "audio"] {
        let mut reader = running.subscribe("garden", track, live()).await.unwrap();
        let got = receive(&mut reader, |r| r.chunks.len() == 3 * PARTS as usize)
            .await
            .unwrap();
        let (description, index) = (got.description(), got.index());
        assert_eq!((description.epoch, description.window_segments), (EPOCH, 6));
        let first = got.places()[0].0;
        let expected: Vec<_> = (first..first + 3)
            .flat_map(|n| (0..PARTS).map(move |p| (n, p)))
            .collect();
        assert_eq!(got.places(), expected, "{track}");
        assert_eq!(index.head_number, EPOCH + first);
        assert!(
            index.segments.len() >= 6 && index.segments.last().unwrap().number == index.head_number
        );
        let mut next = got.chunks[0].0.start;
        for (head, payload) in &got.chunks {
            let facts = banyan_media::boxes::inspect_chunk(payload).unwrap();
            assert_eq!(
                (facts.decode_time, facts.duration),
                (head.start, u64::from(head.duration))
            );
            assert_eq!(
                head.start, next,
                "no hole in {track} at {}.{}",
                head.number, head.part
            );
            assert_eq!(head.independent, head.part == 0);
            assert_eq!(head.last_in_segment, head.part == PARTS - 1);
            next += u64::from(head.duration);
        }
        for segment in got.chunks.chunks(PARTS as usize) {
            let whole: Vec<u8> = segment
                .iter()
                .flat_map(|(_, payload)| payload.to_vec())
                .collect();
            assert_eq!(
                segment.last().unwrap().0.sha256[..],
                Sha256::digest(&whole)[..]
            );
        }
    }
    running.server.stop().await;
}

#[tokio::test]
async fn chunks_are_released_when_their_end_passes_and_silence_is_filled() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    let got = receive(&mut reader, |r| r.chunks.len() >= 2 * PARTS as usize)
        .await
        .unwrap();
    // Between two parts of a third of a second at least one keep-alive of 100 ms fits; it never names a head beyond what was sent.
    let alive: Vec<_> = got
        .messages
        .iter()
        .filter_map(|m| {
            if let Body::KeepAlive(alive) = m {
                Some(alive)
            } else {
                None
            }
        })
        .collect();
    assert!(alive.len() >= 2, "{} keep-alives", alive.len());
    let last = got.chunks.last().unwrap().0.clone();
    for alive in alive {
        assert_eq!(alive.path, ["lisbon"]);
        assert!((alive.head_number, alive.head_part) <= (last.number, last.part));
    }
    running.server.stop().await;
}

#[tokio::test]
async fn a_resume_is_exact_and_up_to_three_segments_ahead_are_accepted() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    let got = receive(&mut reader, |r| r.chunks.len() == PARTS as usize)
        .await
        .unwrap();
    let run = got.description().run;
    let (n, _) = got.places()[0];
    let hash = got.chunks.last().unwrap().0.sha256.clone();

    let agreeing = From::After(v1::After {
        run: run.clone(),
        number: EPOCH + n,
        part: 1,
        hashed_number: EPOCH + n,
        sha256: hash.clone(),
        ..Default::default()
    });
    let mut reader = running.subscribe("garden", "90p", agreeing).await.unwrap();
    let resumed = receive(&mut reader, |r| r.chunks.len() == 2).await.unwrap();
    assert_eq!(resumed.places(), [(n, 2), (n + 1, 0)]);
    assert_eq!(resumed.chunks[0].1, got.chunks[2].1);

    let disagreeing = From::After(v1::After {
        run: run.clone(),
        number: EPOCH + n,
        part: 1,
        hashed_number: EPOCH + n,
        sha256: vec![0; 32].into(),
        ..Default::default()
    });
    let cases = [
        (disagreeing, Code::FailedPrecondition, "SHA-256 differs"),
        (
            after("aaaaaaaaaa", n, 0),
            Code::FailedPrecondition,
            "run \"aaaaaaaaaa\"",
        ),
        (after(&run, n + 40, 0), Code::OutOfRange, "in the future"),
        (
            From::After(v1::After {
                run: run.clone(),
                number: 7,
                ..Default::default()
            }),
            Code::OutOfRange,
            "before",
        ),
        (after(&run, n, 99), Code::InvalidArgument, "parts 0 to 2"),
    ];
    for (from, code, part) in cases {
        let status = running
            .subscribe("garden", "90p", from)
            .await
            .err()
            .unwrap();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }

    // A little ahead: accepted, told nothing early, then served on schedule.
    let ahead = fresh_head(&running).await + 1;
    let mut reader = running
        .subscribe("garden", "90p", after(&run, ahead, 0))
        .await
        .unwrap();
    let got = receive(&mut reader, |r| !r.chunks.is_empty())
        .await
        .unwrap();
    assert_eq!(got.places(), [(ahead, 1)]);
    running.server.stop().await;
}

async fn fresh_head(running: &Running) -> u64 {
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    receive(&mut reader, |r| !r.chunks.is_empty())
        .await
        .unwrap()
        .places()[0]
        .0
}

#[tokio::test]
async fn a_position_before_the_window_begins_with_a_gap() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let head = fresh_head(&running).await;
    let run = banyan_run(&running).await;
    let mut reader = running
        .subscribe("garden", "90p", after(&run, head - 100, 2))
        .await
        .unwrap();
    let got = receive(&mut reader, |r| r.chunks.len() == 1).await.unwrap();
    let gap = got
        .messages
        .iter()
        .find_map(|m| {
            if let Body::Gap(gap) = m {
                Some(gap.clone())
            } else {
                None
            }
        })
        .unwrap();
    assert_eq!((gap.from_number, gap.from_part), (EPOCH + head - 99, 0));
    assert_eq!((gap.to_number, gap.to_part), (EPOCH + got.places()[0].0, 0));
    assert!(got.places()[0].0 + 6 >= head);
    running.server.stop().await;
}

async fn banyan_run(running: &Running) -> String {
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    receive(&mut reader, |r| !r.chunks.is_empty())
        .await
        .unwrap()
        .description()
        .run
}

#[tokio::test]
async fn fetch_gives_what_was_released_and_nothing_of_the_future() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let (head, run) = (fresh_head(&running).await, banyan_run(&running).await);
    let got = fetch(
        &running.client,
        range("garden", "90p", &run, head - 5, head - 4),
    )
    .await
    .unwrap();
    assert!(got.init().len() > 100);
    let expected: Vec<_> = (head - 5..head - 3)
        .flat_map(|n| (0..PARTS).map(move |p| (n, p)))
        .collect();
    assert_eq!(got.places(), expected);

    let init_only = v1::FetchRequest {
        from_number: 5,
        to_number: 4,
        ..range("garden", "90p", &run, 0, 0)
    };
    let got = fetch(&running.client, init_only).await.unwrap();
    assert!(got.chunks.is_empty() && !got.init().is_empty());

    // Up to the head and not beyond, however far the request reaches.
    let got = fetch(
        &running.client,
        range("garden", "90p", &run, head - 1, head + 1000),
    )
    .await
    .unwrap();
    assert!(got.places().len() >= PARTS as usize && got.places().last().unwrap().0 <= head + 3);

    let capped = v1::FetchRequest {
        max_bytes: 30_000,
        ..range("garden", "90p", &run, 0, head)
    };
    let got = fetch(&running.client, capped).await.unwrap();
    let bytes: usize = got.chunks.iter().map(|(_, payload)| payload.len()).sum();
    assert!(
        bytes <= 30_000 && bytes > 10_000 && got.places()[0] == (0, 0),
        "{bytes}"
    );

    for (request, code, part) in [
        (
            range("garden", "90p", &run, head + 50, head + 50),
            Code::OutOfRange,
            "not released",
        ),
        (
            v1::FetchRequest {
                from_number: 3,
                ..range("garden", "90p", &run, 0, 1)
            },
            Code::OutOfRange,
            "before",
        ),
        (
            range("garden", "90p", "bbbbbbbbbb", 0, 1),
            Code::FailedPrecondition,
            "bbbbbbbbbb",
        ),
        (
            range("garden", "180p", &run, 0, 1),
            Code::NotFound,
            "it has 90p, audio",
        ),
        (
            range("orchid", "90p", &run, 0, 1),
            Code::NotFound,
            "\"orchid\"",
        ),
        (
            v1::FetchRequest {
                hops: 17,
                ..range("garden", "90p", &run, 0, 1)
            },
            Code::InvalidArgument,
            "17",
        ),
        (
            v1::FetchRequest {
                max_bytes: 10,
                ..range("garden", "90p", &run, 0, 1)
            },
            Code::ResourceExhausted,
            "cap",
        ),
        (
            v1::FetchRequest {
                hello: None,
                ..range("garden", "90p", &run, 0, 1)
            },
            Code::Unauthenticated,
            "Hello",
        ),
    ] {
        let status = fetch(&running.client, request).await.err().unwrap();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
    running.server.stop().await;
}

#[tokio::test]
async fn strangers_and_unknown_names_are_refused_precisely() {
    let world = World::new()
        .with_test("garden", 3000)
        .with_file("later", "later.mp4");
    let running = world.start().await;
    running.complete("garden").await;
    let wrong = banyan_proto::trust::RunSecret::new([8; 32]).hello("root-0", "boot");
    let request = v1::SubscribeRequest {
        hello: Some(wrong),
        ..subscribe_request("garden", "90p", live())
    };
    let cases = [
        (request, Code::Unauthenticated, "run"),
        (
            subscribe_request("orchid", "90p", live()),
            Code::NotFound,
            "\"orchid\"",
        ),
        (
            subscribe_request("garden", "4k", live()),
            Code::NotFound,
            "\"4k\"",
        ),
        (
            subscribe_request("later", "90p", live()),
            Code::Unavailable,
            "\"later\"",
        ),
    ];
    for (request, code, part) in cases {
        let status = running.client.subscribe(request).await.err().unwrap();
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
    running.server.stop().await;
}

#[tokio::test]
async fn the_catalogue_describes_every_track_and_a_stop_says_go_away() {
    let world = World::new().with_test("garden", 3000);
    let running = world.start().await;
    running.complete("garden").await;
    let mut reader = running
        .client
        .catalog(v1::CatalogRequest { hello: hello() })
        .await
        .unwrap();
    let snapshot = loop {
        match reader.next().await.unwrap().unwrap() {
            v1::catalog_message::Body::Snapshot(snapshot) => break snapshot,
            other => assert!(
                matches!(other, v1::catalog_message::Body::Welcome(_)),
                "{other:?}"
            ),
        }
    };
    let offer = &snapshot.offers[0];
    assert_eq!(
        (offer.stream.as_str(), offer.source.as_str(), offer.epoch),
        ("garden", "lisbon", EPOCH)
    );
    assert_eq!(
        (
            offer.target_duration_ms,
            offer.part_target_ms,
            offer.duration_ms
        ),
        (1003, 360, 3000)
    );
    assert!(offer.poster.starts_with(&[0xff, 0xd8]) && offer.poster.len() <= 65_536);
    let video = &offer.tracks[0];
    assert!(video.codec.starts_with("avc1.64"), "{}", video.codec);
    assert_eq!(
        (
            video.width,
            video.height,
            video.frame_rate_num,
            video.frame_rate_den
        ),
        (160, 90, 25, 1)
    );
    assert!(video.peak_bandwidth >= video.average_bandwidth && video.average_bandwidth > 1000);
    let audio = &offer.tracks[1];
    assert_eq!(
        (audio.codec.as_str(), audio.sample_rate, audio.channels),
        ("mp4a.40.2", 48_000, 2)
    );

    // Told to leave: it says so, serves on until its child has gone, and takes nobody new.
    let mut media = running.subscribe("garden", "90p", live()).await.unwrap();
    let (client, server) = (running.client.clone(), running.server);
    let reading = tokio::spawn(async move {
        let told = |r: &Received| r.messages.iter().any(|m| matches!(m, Body::GoAway(_)));
        let got = receive(&mut media, told).await.unwrap();
        assert!(told(&got), "{:?}", got.messages.last());
        let new = client
            .subscribe(subscribe_request("garden", "90p", live()))
            .await;
        let refused = new.err().unwrap();
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.message().contains("leaving"), "{refused}");
        receive(&mut media, |r| r.chunks.len() == 4)
            .await
            .unwrap()
            .chunks
            .len()
    });
    let manner = Manner {
        lame_duck: std::time::Duration::from_millis(300),
        drain: BOUND,
    };
    let began = std::time::Instant::now();
    let hurry = tokio_util::sync::CancellationToken::new();
    let leaving = tokio::spawn(async move { server.leave(manner, &hurry).await });
    assert_eq!(reading.await.unwrap(), 4);
    leaving.await.unwrap();
    assert!(began.elapsed() < BOUND / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn twenty_five_loops_are_one_clean_stream_with_sound_in_step() {
    // Three seconds of 25 frames and 1024-sample frames: 140.625 sound frames a loop, so both variants occur.
    let mut world = World::new().with_test("garden", 3000);
    world.after_epoch = 200.0;
    let running = world.start().await;
    running.complete("garden").await;
    let run = banyan_run(&running).await;
    let loops = 25u64;
    let folder = tempfile::tempdir().unwrap();
    let video = fetch(
        &running.client,
        range("garden", "90p", &run, 0, loops * 3 - 1),
    )
    .await
    .unwrap();
    let audio = fetch(
        &running.client,
        range("garden", "audio", &run, 0, loops * 3 - 1),
    )
    .await
    .unwrap();
    assert_eq!(
        (video.chunks.len(), audio.chunks.len()),
        ((loops * 9) as usize, (loops * 9) as usize)
    );

    let (mut next, mut samples) = ([0u64; 2], 0u64);
    for (index, (scale, received)) in [(25u64, &video), (48_000, &audio)].into_iter().enumerate() {
        for (head, payload) in &received.chunks {
            let facts = banyan_media::boxes::inspect_chunk(payload).unwrap();
            assert_eq!(
                facts.decode_time, next[index],
                "{}.{}",
                head.number, head.part
            );
            next[index] += facts.duration;
            if index == 1 {
                samples += facts.duration;
                // A segment's sound starts within one AAC frame of its pictures.
                let n = head.number - EPOCH;
                if head.part == 0 {
                    let offset = (head.start as i64) - (n * 48_000) as i64;
                    assert!(offset.abs() <= 1024, "segment {n} is {offset} samples off");
                }
            }
        }
        assert_eq!(
            next[index] / scale,
            loops * 3,
            "whole seconds of track {index}"
        );
    }
    assert!(
        samples.abs_diff(loops * 3 * 48_000) <= 512,
        "{samples} samples"
    );

    for (name, received, frames) in [
        ("v.mp4", &video, loops * 75),
        ("a.mp4", &audio, samples / 1024),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, received.file()).unwrap();
        let hashes = frame_hashes(&path);
        assert_eq!(hashes.len() as u64, frames, "{name}");
        if name == "v.mp4" {
            // Every loop shows the same pictures.
            for pictures in hashes.chunks(75) {
                assert_eq!(pictures, &hashes[..75]);
            }
        }
    }
    running.server.stop().await;
}

#[tokio::test]
async fn a_stream_is_offered_and_whole_while_its_rest_is_still_being_prepared() {
    // Slow enough to be seen in the middle: ten minutes on one worker.
    let mut world = World::new().with_test("garden", 600_000);
    (world.workers, world.after_epoch) = (Some(1), 10.0);
    let running = world.start().await;
    let status = running.content("garden", |c| c["state"] == "offered").await;
    assert!(status["permille"].as_u64().unwrap() < 1000, "{status}");
    let mut reader = running.subscribe("garden", "90p", live()).await.unwrap();
    let got = receive(&mut reader, |r| r.chunks.len() == 9).await.unwrap();
    // Joined at the segment before the first prepared one, at most that is missing.
    let gaps: Vec<_> = got
        .messages
        .iter()
        .filter(|m| matches!(m, Body::Gap(_)))
        .collect();
    assert!(gaps.len() <= 1, "{gaps:?}");
    running.server.stop().await;
}

#[tokio::test]
async fn http_tells_health_readiness_metrics_and_the_member() {
    let world = World::new().with_test("garden", 2000);
    let running = world.start().await;
    running.complete("garden").await;
    let address = running.server.http();
    let get = |path: &'static str| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for (path, part) in [
        ("/healthz", "200 OK"),
        ("/readyz", "200 OK"),
        (
            "/metrics",
            "banyan_content_prepared_permille{content=\"garden\",state=\"offered\"} 1000",
        ),
        ("/api/member", "\"role\":\"origin\""),
        ("/other", "404"),
    ] {
        let answer = get(path).await;
        assert!(answer.contains(part), "{path}: {answer}");
    }
    running.server.stop().await;
}
