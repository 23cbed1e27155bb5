//! What a member says of itself, and how it counts and limits viewers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::super::{Egress, Options, Source};
use super::{Fake, edge, get};

#[tokio::test(start_paused = true)]
async fn readiness_is_the_members_own_and_never_the_upstreams() {
    let fake = Fake::new();
    let edge = edge(&fake);
    fake.change_catalog(|catalog| {
        catalog.offers.clear();
        catalog.known = false;
    });
    assert_eq!(get(&edge, "/readyz").await.status, StatusCode::OK);
    *fake.0.ready.lock().unwrap() = false;
    assert_eq!(
        get(&edge, "/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_that_serves_no_viewers_says_so() {
    let fake = Fake::new().with_head("360p", 100);
    let options = Options {
        serve_media: false,
        ..Options::default()
    };
    let relay = Egress::new(fake, options, CancellationToken::new());
    for path in [
        "/kites/index.m3u8",
        "/kites/360p.m3u8",
        "/api/streams",
        "/kites/poster.jpg",
    ] {
        let answer = get(&relay, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text().contains("serves no viewers"));
    }
    for path in ["/healthz", "/readyz", "/metrics", "/api/member"] {
        assert_eq!(get(&relay, path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn roots_alone_show_the_content_servers_they_hear() {
    use crate::core::Role;
    use crate::testing::{clock, config, net::Net, options};
    let net = Net::new(clock(), 0);
    for (role, expected) in [
        (Role::Root, StatusCode::OK),
        (Role::Edge, StatusCode::NOT_FOUND),
    ] {
        let core = crate::core::Core::new(options("a", role, config(&["a"], &["b"]), &net));
        let beat = banyan_proto::v1::Beat {
            sequence: 1,
            rtt_min_us: 300,
            rtt_median_us: 400,
            endpoints: vec!["http://lisbon:1".into()],
            contents: vec!["kites".into()],
            clock_offset_us: -7,
            ..Default::default()
        };
        let call = core.beat_call_began("lisbon");
        core.beat("lisbon", call, beat).unwrap();
        let options = Options {
            serve_media: false,
            ..Options::default()
        };
        let egress = Egress::new(core.library(), options, CancellationToken::new());
        let answer = get(&egress, "/api/origins").await;
        assert_eq!(answer.status, expected, "{}", answer.text());
        let metrics = get(&egress, "/metrics").await;
        let shown = metrics
            .text()
            .contains("banyan_origin_rtt_seconds{source=\"lisbon\"} 0.0004");
        assert_eq!(shown, role == Role::Root);
        for figure in banyan_proto::load::gauges(&Default::default()) {
            let families = metrics
                .text()
                .matches(&format!("# TYPE {} ", figure.name))
                .count();
            assert_eq!(families, 1, "{}", figure.name);
        }
        if role == Role::Root {
            let rows: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(rows[0]["source"], "lisbon");
            assert_eq!(
                (&rows[0]["state"], &rows[0]["reason"]),
                (&"Standby".into(), &"".into())
            );
            assert_eq!(rows[0]["clock_offset_us"], -7);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn streams_and_metrics_tell_of_viewers() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    for sid in ["a", "b", "a"] {
        get(&edge, &format!("/kites/360p.m3u8?sid={sid}")).await;
    }
    let streams: serde_json::Value =
        serde_json::from_slice(&get(&edge, "/api/streams").await.body).unwrap();
    let kites = &streams[0];
    assert_eq!(kites["name"], "kites");
    assert_eq!(kites["viewers"], 2);
    assert_eq!(kites["playlist"], "/kites/index.m3u8");
    assert_eq!(kites["poster"], "/kites/poster.jpg");
    assert_eq!(kites["tracks"][0]["frame_rate"], "25/1");
    assert_eq!(kites["tracks"][2]["kind"], "audio");
    assert_eq!(kites["source"], "lisbon");
    let member: serde_json::Value =
        serde_json::from_slice(&get(&edge, "/api/member").await.body).unwrap();
    assert_eq!(member["member"], "edge-7");
    let metrics = get(&edge, "/metrics").await;
    for line in [
        "banyan_fetches_coalesced_total 5",
        "banyan_http_sessions 2",
        "banyan_http_playlist_renders_total 1",
        "banyan_http_requests_total{kind=\"playlist\",status=\"200\"} 3",
    ] {
        assert!(
            metrics.text().lines().any(|found| found == line),
            "{line}\n{}",
            metrics.text()
        );
    }
    // The core hears of them, and of their leaving.
    let mut reported = Default::default();
    edge.report(&mut reported);
    assert_eq!(fake.0.viewers.lock().unwrap()["kites/360p"], 2);
    tokio::time::advance(Duration::from_secs(10)).await;
    edge.report(&mut reported);
    assert_eq!(fake.0.viewers.lock().unwrap()["kites/360p"], 0);
}

#[tokio::test(start_paused = true)]
async fn an_edge_without_room_serves_on_whom_it_serves() {
    let fake = Fake::new().with_head("360p", 100).with_head("audio", 100);
    let edge = edge(&fake);
    let ok = async |path: &str| get(&edge, path).await.status == StatusCode::OK;
    assert!(ok("/kites/audio.m3u8?sid=a").await);
    fake.0.room.store(500_000, Ordering::Relaxed);
    assert!(ok("/kites/360p.m3u8?sid=a").await, "already here");
    let answer = get(&edge, "/kites/360p.m3u8?sid=b").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), "1");
    let text = answer.text();
    assert!(
        text.contains("360p needs 800000") && text.contains("500000 bit/s"),
        "{text}"
    );
    assert!(ok("/kites/audio.m3u8?sid=b").await, "that much fits");
}

#[tokio::test(start_paused = true)]
async fn a_full_edge_turns_new_viewers_away() {
    let fake = Fake::new().with_head("360p", 100);
    fake.0.max_sessions.store(1, Ordering::Relaxed);
    let edge = edge(&fake);
    assert_eq!(fake.max_sessions(), 1);
    assert_eq!(
        get(&edge, "/kites/360p.m3u8?sid=a").await.status,
        StatusCode::OK
    );
    let answer = get(&edge, "/kites/360p.m3u8?sid=b").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("1 viewers already"));
    assert_eq!(fake.0.turned_away.load(Ordering::Relaxed), 1);
    assert_eq!(
        get(&edge, "/kites/index.m3u8?sid=b").await.status,
        StatusCode::OK
    );
    assert_eq!(
        get(&edge, "/kites/360p.m3u8?sid=a").await.status,
        StatusCode::OK
    );
}
