//! Which status, sentence and MIME type each name gets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, StatusCode};
use proptest::prelude::*;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::body::Sending;
use super::super::{Egress, Options};
use super::{EPOCH, Fake, RUN, ask, edge, get, segment_path};
use crate::library::Ended;

#[tokio::test(start_paused = true)]
async fn every_name_has_its_status_and_a_sentence_that_names_it() {
    let fake = Fake::new().with_head("360p", 100).with_head("audio", 100);
    fake.carried("360p")
        .kept_from
        .store(EPOCH + 90, Ordering::Relaxed);
    fake.change("360p", |view| view.segments[1].gap = true);
    let edge = edge(&fake);
    let of = |track: &str, n: u64| segment_path(track, n);
    let table = [
        ("/kites/index.m3u8".to_owned(), 200, ""),
        ("/kites/360p.m3u8".to_owned(), 200, ""),
        (format!("/kites/{RUN}/360p/init.mp4"), 200, ""),
        (of("360p", 100), 200, ""),
        (format!("/kites/{RUN}/360p/{}.2.m4s", EPOCH + 100), 200, ""),
        ("/kites/poster.jpg".to_owned(), 200, ""),
        ("/healthz".to_owned(), 200, ""),
        ("/readyz".to_owned(), 200, ""),
        ("/metrics".to_owned(), 200, ""),
        ("/api/member".to_owned(), 200, ""),
        ("/api/streams".to_owned(), 200, ""),
        // Not there.
        (
            "/plums/index.m3u8".to_owned(),
            404,
            "no stream \"plums\" here; offered: kites",
        ),
        (
            "/kites/4k.m3u8".to_owned(),
            404,
            "no track \"4k\"; it has 720p, 360p, audio",
        ),
        (of("360p", 80), 404, "no longer kept"),
        (of("360p", 98), 404, "never received"),
        (
            format!("/kites/zzzzzzzzzz/360p/{}.m4s", EPOCH + 100),
            404,
            "no longer kept",
        ),
        (
            "/kites/zzzzzzzzzz/360p/init.mp4".to_owned(),
            404,
            "no longer kept",
        ),
        (
            "/kites/manifest.mpd".to_owned(),
            404,
            "DASH is not supported yet",
        ),
        ("/kites/vod/index.m3u8".to_owned(), 404, "nothing is served"),
        ("/favicon.ico".to_owned(), 404, "nothing is served"),
        ("/".to_owned(), 404, "/api/streams"),
        // Taken back, too far ahead, no path.
        (
            "/boats/index.m3u8".to_owned(),
            410,
            "\"boats\" was taken back",
        ),
        (
            "/boats/360p.m3u8".to_owned(),
            410,
            "\"boats\" was taken back",
        ),
        (of("360p", 102), 400, "too far ahead"),
        ("/kites/720p.m3u8".to_owned(), 503, "every parent refused"),
        (of("720p", 100), 503, "every parent refused"),
        // Malformed.
        ("/Kites/index.m3u8".to_owned(), 400, "DNS label"),
        ("/kites/%2e%2e/index.m3u8".to_owned(), 400, "percent"),
        (format!("/kites/{RUN}/360p/007.m4s"), 400, "leading zero"),
        (
            "/~token/kites/index.m3u8".to_owned(),
            400,
            "reserved prefix",
        ),
    ];
    for (path, status, sentence) in table {
        let answer = get(&edge, &path).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{path}: {}",
            answer.text_or_bytes()
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        if status != 200 {
            assert!(
                answer.text().contains(sentence),
                "{path}: {}",
                answer.text()
            );
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        }
        assert_eq!(
            answer.header("retry-after"),
            if status == 503 { "1" } else { "" },
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn types_and_cache_times_follow_the_kind() {
    let fake = Fake::new().with_head("360p", 100).with_head("audio", 100);
    let edge = edge(&fake);
    let immutable = "public, max-age=31536000, immutable";
    let hls = "application/vnd.apple.mpegurl";
    for (path, content_type, cache) in [
        ("/kites/index.m3u8".to_owned(), hls, "public, max-age=5"),
        ("/kites/360p.m3u8".to_owned(), hls, "public, max-age=1"),
        (
            format!("/kites/{RUN}/360p/init.mp4"),
            "video/mp4",
            immutable,
        ),
        (segment_path("360p", 99), "video/mp4", immutable),
        (segment_path("audio", 99), "audio/mp4", immutable),
        (
            format!("/kites/{RUN}/audio/{}.0.m4s", EPOCH + 99),
            "audio/mp4",
            immutable,
        ),
        (
            "/kites/poster.jpg".to_owned(),
            "image/jpeg",
            "public, max-age=60",
        ),
        ("/api/streams".to_owned(), "application/json", "no-store"),
    ] {
        let answer = get(&edge, &path).await;
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("cache-control"), cache, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_json_for_a_client_that_asks_for_json() {
    let edge = edge(&Fake::new());
    let accept = [("accept", "application/json")];
    let answer = ask(&edge, Method::GET, "/plums/index.m3u8", &accept).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["status"], 404);
    assert!(body["error"].as_str().unwrap().contains("plums"));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_refused_and_a_preflight_is_answered() {
    let edge = edge(&Fake::new());
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::TRACE,
    ] {
        let answer = ask(&edge, method, "/kites/index.m3u8", &[]).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS");
    }
    let headers = [
        ("origin", "http://page"),
        ("access-control-request-headers", "range"),
    ];
    let answer = ask(&edge, Method::OPTIONS, &segment_path("360p", 1), &headers).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("Range")
    );
    assert!(
        answer
            .header("access-control-expose-headers")
            .contains("Content-Range")
    );
    assert_eq!(
        answer.header("access-control-allow-methods"),
        "GET, HEAD, OPTIONS"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_before_a_parent_told_its_catalogue() {
    let fake = Fake::new();
    fake.change_catalog(|catalog| {
        catalog.offers.clear();
        catalog.known = false;
    });
    let edge = edge(&fake);
    let answer = get(&edge, "/kites/index.m3u8").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "1");
    fake.change_catalog(|catalog| catalog.known = true);
    let answer = get(&edge, "/kites/index.m3u8").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("nothing is offered"));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_what_is_next_is_held_and_released_by_the_new_head() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    for (path, n, part) in [
        (segment_path("360p", 101), 101, 2),
        (format!("/kites/{RUN}/360p/{}.1.m4s", EPOCH + 102), 102, 1),
    ] {
        let asked = Instant::now();
        let request = async { (get(&edge, &path).await, asked.elapsed()) };
        let head = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert_eq!(
                fake.0.demand.load(Ordering::Relaxed),
                1,
                "the open request is demand"
            );
            fake.set_head("360p", n, part);
        };
        let ((answer, waited), ()) = tokio::join!(request, head);
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(waited, Duration::from_millis(1500));
        assert_eq!(fake.0.demand.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_for_what_is_next_gives_up_after_three_target_durations() {
    let fake = Fake::new().with_head("360p", 100).with_head("audio", 0);
    fake.change("audio", |view| *view = Default::default());
    let edge = edge(&fake);
    for path in [
        segment_path("360p", 101),
        format!("/kites/{RUN}/360p/{}.0.m4s", EPOCH + 101),
        "/kites/audio.m3u8".to_owned(),
    ] {
        let asked = Instant::now();
        let answer = get(&edge, &path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(asked.elapsed(), Duration::from_secs(6), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(
            answer.text().contains("within 6000 ms"),
            "{}",
            answer.text()
        );
        assert_eq!(
            fake.0.demand.load(Ordering::Relaxed),
            0,
            "demand ends with the request"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn withdrawal_while_a_request_waits_is_gone() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    let withdraw = async {
        tokio::task::yield_now().await;
        fake.change("360p", |view| view.ended = Some(Ended { withdrawn: true }));
    };
    let path = segment_path("360p", 101);
    let (answer, ()) = tokio::join!(get(&edge, &path), withdraw);
    assert_eq!(answer.status, StatusCode::GONE);
    assert_eq!(
        get(&edge, "/kites/360p.m3u8").await.status,
        StatusCode::GONE
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_patience_releases_waiting_requests() {
    let fake = Fake::new().with_head("360p", 100);
    let (shutdown, options) = (CancellationToken::new(), Options::default());
    let impatient = options.impatient.clone();
    let edge = Egress::new(fake.clone(), options, shutdown.clone());
    assert_eq!(get(&edge, "/readyz").await.status, StatusCode::OK);
    let stop = async {
        tokio::task::yield_now().await;
        shutdown.cancel();
        impatient.cancel();
    };
    let asked = Instant::now();
    let path = segment_path("360p", 101);
    let (answer, ()) = tokio::join!(get(&edge, &path), stop);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(
        get(&edge, "/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(get(&edge, "/healthz").await.status, StatusCode::OK);
    // What is there is still served.
    assert_eq!(
        get(&edge, &segment_path("360p", 100)).await.status,
        StatusCode::OK
    );
}

fn any_path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9.~%-]{0,12}",
        Just("kites".to_owned()),
        Just(RUN.to_owned()),
        Just("360p".to_owned()),
        Just("..".to_owned()),
        "[0-9]{1,30}\\.m4s",
        "[0-9]{1,12}\\.[0-9]{1,12}\\.m4s",
        "[a-z0-9]{1,8}\\.m3u8",
        "[!-~]{0,12}",
    ];
    proptest::collection::vec(piece, 0..7).prop_map(|pieces| format!("/{}", pieces.join("/")))
}

proptest! {
    #[test]
    fn any_path_gets_an_answer_that_is_no_server_error(path in any_path(), head in 0u64..200) {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let answer = runtime.block_on(async {
            let edge = edge(&Fake::new().with_head("360p", head).with_head("audio", head));
            let request = http::Request::get(uri).body(()).unwrap();
            edge.handle(super::PEER, &Arc::<Sending>::default(), request).await
        });
        let status = answer.status().as_u16();
        // 503 is a true answer for a track without a path, and for a part that does not come.
        prop_assert!(status < 500 || status == 503, "{path}: {status}");
    }
}
