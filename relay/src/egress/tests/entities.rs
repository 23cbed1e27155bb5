//! Bodies, validators, ranges and codings.

use std::io::Read;

use flate2::read::GzDecoder;
use http::{Method, StatusCode};

use super::{EPOCH, Fake, RUN, ask, edge, get, segment_bytes, segment_path};

const MEDIA: [&str; 3] = ["content-type", "etag", "cache-control"];

#[tokio::test(start_paused = true)]
async fn a_segment_is_its_parts_end_to_end() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    let whole = get(&edge, &segment_path("360p", 99)).await;
    assert_eq!(whole.body, segment_bytes(EPOCH + 99));
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let mut parts = Vec::new();
    for part in 0..super::PARTS {
        let path = format!("/kites/{RUN}/360p/{}.{part}.m4s", EPOCH + 99);
        parts.extend_from_slice(&get(&edge, &path).await.body);
    }
    assert_eq!(whole.body, parts);
}

#[tokio::test(start_paused = true)]
async fn ranges_cut_the_same_bytes_across_parts() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    let path = segment_path("360p", 99);
    let whole = segment_bytes(EPOCH + 99);
    let length = whole.len();
    for (range, from, to) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=0-".to_owned(), 0, length),
        ("bytes=90-250".to_owned(), 90, 251),
        ("bytes=-7".to_owned(), length - 7, length),
        (format!("bytes={}-", length - 1), length - 1, length),
        ("bytes=100-99999".to_owned(), 100, length),
    ] {
        let answer = ask(&edge, Method::GET, &path, &[("range", &range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(answer.body, whole.slice(from..to), "{range}");
        assert_eq!(
            answer.header("content-range"),
            format!("bytes {from}-{}/{length}", to - 1)
        );
        assert_eq!(answer.header("content-length"), (to - from).to_string());
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let answer = ask(&edge, Method::GET, &path, &[("range", &range)]).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes */{length}"));
    }
    for range in ["bytes=5-1", "bytes=0-1,3-4", "lines=1-2", "bytes=x"] {
        let answer = ask(&edge, Method::GET, &path, &[("range", range)]).await;
        assert_eq!(
            (answer.status, &answer.body),
            (StatusCode::OK, &whole),
            "{range}"
        );
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn if_range_applies_only_to_the_same_entity() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    let path = segment_path("360p", 99);
    let etag = get(&edge, &path).await.header("etag").to_owned();
    for (validator, status) in [
        (etag.as_str(), StatusCode::PARTIAL_CONTENT),
        ("\"another\"", StatusCode::OK),
        (&format!("W/{etag}"), StatusCode::OK),
        ("Sat, 21 Nov 2026 09:00:00 GMT", StatusCode::OK),
    ] {
        let headers = [("range", "bytes=0-9"), ("if-range", validator)];
        assert_eq!(
            ask(&edge, Method::GET, &path, &headers).await.status,
            status,
            "{validator}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_entity_already_held_is_not_sent_again() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    for path in [
        segment_path("360p", 99),
        "/kites/360p.m3u8".to_owned(),
        "/kites/index.m3u8".to_owned(),
    ] {
        let first = get(&edge, &path).await;
        let etag = first.header("etag").to_owned();
        assert!(etag.starts_with('"'), "strong: {etag}");
        for held in [
            etag.clone(),
            format!("W/{etag}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            let answer = ask(&edge, Method::GET, &path, &[("if-none-match", &held)]).await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{path} {held}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("etag"), etag);
            assert_eq!(
                answer.header("cache-control"),
                first.header("cache-control")
            );
        }
        let other = ask(&edge, Method::GET, &path, &[("if-none-match", "\"x\"")]).await;
        assert_eq!(other.status, StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn tags_name_one_thing_each() {
    let edge = edge(&Fake::new().with_head("360p", 100).with_head("audio", 100));
    let mut tags = std::collections::BTreeSet::new();
    for path in [
        segment_path("360p", 99),
        segment_path("360p", 98),
        segment_path("audio", 99),
        format!("/kites/{RUN}/360p/{}.0.m4s", EPOCH + 99),
        format!("/kites/{RUN}/360p/{}.1.m4s", EPOCH + 99),
        format!("/kites/{RUN}/360p/init.mp4"),
        format!("/kites/{RUN}/audio/init.mp4"),
        "/kites/360p.m3u8".to_owned(),
        "/kites/audio.m3u8".to_owned(),
        "/kites/index.m3u8".to_owned(),
        "/kites/poster.jpg".to_owned(),
    ] {
        assert!(
            tags.insert(get(&edge, &path).await.header("etag").to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn head_gives_the_headers_of_get_without_a_body() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    for path in [
        segment_path("360p", 99),
        "/kites/360p.m3u8".to_owned(),
        "/kites/index.m3u8".to_owned(),
        "/kites/poster.jpg".to_owned(),
        "/plums/index.m3u8".to_owned(),
        "/healthz".to_owned(),
    ] {
        let mut got = get(&edge, &path).await;
        let mut head = ask(&edge, Method::HEAD, &path, &[]).await;
        assert_eq!(head.status, got.status, "{path}");
        assert!(head.body.is_empty() && !got.body.is_empty(), "{path}");
        assert_eq!(
            head.header("content-length"),
            got.body.len().to_string(),
            "{path}"
        );
        // A refusal's VARY and the rest must agree too.
        got.headers.remove("date");
        head.headers.remove("date");
        assert_eq!(head.headers, got.headers, "{path}");
    }
    let ranged = ask(
        &edge,
        Method::HEAD,
        &segment_path("360p", 99),
        &[("range", "bytes=0-1")],
    )
    .await;
    assert_eq!(
        ranged.status,
        StatusCode::OK,
        "ranges are defined for GET only"
    );
}

#[tokio::test(start_paused = true)]
async fn gzip_carries_the_same_text_under_a_tag_of_its_own() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    for path in ["/kites/360p.m3u8", "/kites/index.m3u8"] {
        let plain = get(&edge, path).await;
        let packed = ask(&edge, Method::GET, path, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(packed.header("content-encoding"), "gzip");
        let mut text = Vec::new();
        GzDecoder::new(&packed.body[..])
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(plain.body, text, "{path}");
        assert_ne!(plain.header("etag"), packed.header("etag"));
        for answer in [&plain, &packed] {
            assert_eq!(answer.header("vary"), "accept-encoding");
        }
        let headers = [
            ("accept-encoding", "gzip"),
            ("if-none-match", packed.header("etag")),
        ];
        let again = ask(&edge, Method::GET, path, &headers).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED);
        let headers = [("if-none-match", packed.header("etag"))];
        assert_eq!(
            ask(&edge, Method::GET, path, &headers).await.status,
            StatusCode::OK
        );
    }
    let media = ask(
        &edge,
        Method::GET,
        &segment_path("360p", 99),
        &[("accept-encoding", "gzip")],
    )
    .await;
    assert_eq!(media.header("content-encoding"), "");
    assert!(MEDIA.iter().all(|name| !media.header(name).is_empty()));
}
