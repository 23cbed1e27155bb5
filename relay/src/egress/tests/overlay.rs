//! The egress on the real core, on a campus in memory under virtual time.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::{Egress, Options};
use super::get;
use crate::library::Library;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{STREAM, VIDEO, WINDOW};

async fn edge(overlay: &Overlay, name: &str) -> Arc<Egress<Library>> {
    overlay.offered(name).await;
    let shutdown = CancellationToken::new();
    Egress::new(overlay.library(name), Options::default(), shutdown)
}

fn playlist() -> String {
    format!("/{STREAM}/{VIDEO}.m3u8")
}

/// The listed segments: path, and number.
fn listed(text: &str) -> Vec<(String, u64)> {
    let uris = text.lines().filter(|line| line.ends_with(".m4s"));
    uris.map(|uri| {
        let file = uri.rsplit('/').next().unwrap();
        (
            format!("/{STREAM}/{uri}"),
            file.trim_end_matches(".m4s").parse().unwrap(),
        )
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn edges_started_twenty_seconds_apart_serve_equal_playlists_and_bytes() {
    let overlay = Overlay::campus(200);
    let first = edge(&overlay, "edge-0").await;
    assert_eq!(get(&first, &playlist()).await.status, StatusCode::OK);
    for _ in 0..10 {
        pass(Duration::from_secs(2)).await;
        get(&first, &playlist()).await;
    }
    let second = edge(&overlay, "edge-1").await;
    assert_eq!(get(&second, &playlist()).await.status, StatusCode::OK);
    // From the second segment boundary on.
    pass(Duration::from_millis(4100)).await;
    for _ in 0..12 {
        let (a, b) = (
            get(&first, &playlist()).await,
            get(&second, &playlist()).await,
        );
        assert_eq!(a.text(), b.text());
        assert_eq!(a.header("etag"), b.header("etag"));
        assert_eq!(listed(a.text()).len(), WINDOW as usize);
        pass(Duration::from_millis(500)).await;
    }
    let origin = &overlay.origins["lisbon"];
    let text = get(&second, &playlist()).await.text().to_owned();
    for (path, number) in listed(&text) {
        let (a, b) = (get(&first, &path).await, get(&second, &path).await);
        let expected: Vec<u8> = (0..6)
            .flat_map(|part| origin.payload(VIDEO, number, part))
            .collect();
        assert_eq!(a.body, expected, "{path}");
        assert_eq!(b.body, expected, "{path}");
        assert_eq!(a.header("etag"), b.header("etag"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_segment_and_part_are_held_until_released_and_farther_is_refused() {
    let overlay = Overlay::campus(201);
    let edge = edge(&overlay, "edge-0").await;
    let text = get(&edge, &playlist()).await.text().to_owned();
    let (path, newest) = listed(&text).pop().unwrap();
    let at = |number: u64| path.replace(&newest.to_string(), &number.to_string());
    let asked = Instant::now();
    let next = get(&edge, &at(newest + 1)).await;
    assert_eq!(next.status, StatusCode::OK);
    assert!(
        asked.elapsed() <= Duration::from_millis(2100),
        "{:?}",
        asked.elapsed()
    );
    let part = at(newest + 2).replace(".m4s", ".1.m4s");
    let asked = Instant::now();
    assert_eq!(get(&edge, &part).await.status, StatusCode::OK);
    assert!(
        asked.elapsed() <= Duration::from_millis(800),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(
        get(&edge, &at(newest + 9)).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        get(&edge, &at(newest - 3000)).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test(start_paused = true)]
async fn chunks_stop_when_the_last_viewer_has_been_gone_for_ten_seconds() {
    let overlay = Overlay::campus(202);
    let edge = edge(&overlay, "edge-0").await;
    for _ in 0..5 {
        assert_eq!(get(&edge, &playlist()).await.status, StatusCode::OK);
        pass(Duration::from_secs(2)).await;
    }
    let left = Instant::now();
    pass(Duration::from_secs(30)).await;
    let received = overlay.received("edge-0");
    let newest = received.iter().map(|crossed| crossed.at).max().unwrap();
    let after = newest.saturating_duration_since(left);
    // The last request came two seconds before `left`.
    assert!(after <= Duration::from_millis(8500), "{after:?}");
    assert!(
        after >= Duration::from_secs(6),
        "demand lasts for a while: {after:?}"
    );
    assert_eq!(
        get(&edge, &playlist()).await.status,
        StatusCode::OK,
        "and comes back"
    );
}

#[tokio::test(start_paused = true)]
async fn content_taken_back_is_gone_and_nothing_else_is() {
    let overlay = Overlay::minimal(203);
    let edge = edge(&overlay, "edge-0").await;
    let text = get(&edge, &playlist()).await.text().to_owned();
    let (path, _) = listed(&text).pop().unwrap();
    assert_eq!(get(&edge, &path).await.status, StatusCode::OK);
    overlay.origins["lisbon"].offered.send_replace(false);
    pass(Duration::from_secs(8)).await;
    let index = format!("/{STREAM}/index.m3u8");
    for path in [&index, &playlist(), &path] {
        assert_eq!(get(&edge, path).await.status, StatusCode::GONE, "{path}");
    }
    assert_eq!(
        get(&edge, "/plums/index.m3u8").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(get(&edge, "/readyz").await.status, StatusCode::OK);
}
