//! The HTTP side without sockets; events on a paused clock.

use std::time::Duration;

use axum::body::Body;
use banyan_proto::v1;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::roster::{Entry, Role, Roster};
use crate::service::{Service, Settings};
use crate::topology::Limits;

fn service() -> Service {
    let entry = |name: &str, role| Entry {
        dials: Default::default(),
        name: name.to_owned(),
        role,
        tier: String::new(),
        grpc: format!("http://{name}:1"),
        http: format!("http://{name}:2"),
        config: v1::Config::default(),
    };
    Service::new(
        Settings {
            roster: Roster {
                topology: "orchard".to_owned(),
                epoch: 9,
                members: vec![entry("root-0", Role::Root), entry("edge-0", Role::Edge)],
                plan: None,
            },
            term: 1,
            limits: Limits::default(),
            changes: true,
        },
        CancellationToken::new(),
    )
}

fn offer(service: &Service, sequence: u64, stream: &str) {
    service.shared().with(|topology, now| {
        let attached = topology
            .handle_hello("root-0", &v1::Hello::default(), now)
            .unwrap();
        let report = v1::Report {
            sequence,
            role: "root".to_owned(),
            offers: vec![v1::Offer {
                stream: stream.to_owned(),
                poster: Bytes::from_static(b"\xff\xd8jpeg"),
                ..Default::default()
            }],
            ..Default::default()
        };
        topology
            .handle_report(attached.session, report, now)
            .unwrap();
    });
}

async fn get_text(service: &Service, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = service.router().oneshot(request).await.unwrap();
    let status = response.status();
    let origin = response.headers()["access-control-allow-origin"].clone();
    assert_eq!(origin, "*", "{path}");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn every_path_answers_with_its_status_and_may_be_read_by_any_page() {
    let service = service();
    offer(&service, 1, "harvest");
    for (path, status, part) in [
        ("/", 200, "<!doctype html>"),
        ("/healthz", 200, "ok"),
        ("/readyz", 200, "ready"),
        (
            "/metrics",
            200,
            "banyan_members{role=\"root\",state=\"ready\"} 1",
        ),
        ("/api/topology", 200, "\"topology\":\"orchard\""),
        ("/api/origins", 200, "[]"),
        ("/api/streams", 200, "http://edge-0:2/harvest/index.m3u8"),
        ("/harvest/poster.jpg", 200, "jpeg"),
        (
            "/reaping/poster.jpg",
            404,
            "stream \"reaping\" is not offered",
        ),
        ("/api/nothing", 404, "nothing is served at \"/api/nothing\""),
        ("/../../etc/passwd", 404, "nothing is served"),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "nothing is served"),
    ] {
        let (got, text) = get_text(&service, path).await;
        assert_eq!(got.as_u16(), status, "{path}: {text}");
        let found = text.to_lowercase().contains(&part.to_lowercase());
        assert!(found, "{path}: {text}");
    }
}

#[tokio::test]
async fn a_stopping_control_plane_is_not_ready() {
    let service = service();
    service.shutdown().cancel();
    assert_eq!(
        get_text(&service, "/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(get_text(&service, "/healthz").await.0, StatusCode::OK);
}

/// Reads events with the virtual time of their arrival.
struct Events {
    body: Body,
    text: String,
    started: tokio::time::Instant,
}

impl Events {
    async fn open(service: &Service) -> Self {
        let request = Request::get("/api/events").body(Body::empty()).unwrap();
        let response = service.router().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            text: String::new(),
            started: tokio::time::Instant::now(),
        }
    }

    async fn next(&mut self) -> Option<(Duration, serde_json::Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (kind, data) = event.split_once('\n').unwrap();
                assert_eq!(kind, "event: topology");
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                self.text = rest.to_owned();
                return Some((self.started.elapsed(), data));
            }
            let frame = self.body.frame().await?.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&frame).unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_begin_with_a_snapshot_follow_changes_at_two_per_second_and_beat_when_idle() {
    let service = Arc::new(service());
    let publisher = service.clone();
    tokio::spawn(async move { publisher.publish().await });
    tokio::task::yield_now().await;

    let mut events = Events::open(&service).await;
    let (after, first) = events.next().await.unwrap();
    assert_eq!(after, Duration::ZERO);
    assert_eq!(first["streams"].as_array().unwrap().len(), 0);

    // Ten changes in a second make at most three events, the last of which shows the last change.
    let changer = service.clone();
    tokio::spawn(async move {
        for n in 0..10 {
            offer(&changer, n + 1, &format!("stream-{n}"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut seen = 0;
    loop {
        let (after, view) = events.next().await.unwrap();
        seen += 1;
        if view["streams"][0]["name"] == "stream-9" {
            assert!(after <= Duration::from_millis(1_500), "{after:?}");
            break;
        }
    }
    assert!(seen <= 3, "{seen} events");

    // Idle now, but for the one change that the offer's age makes.
    let mut last = events.started.elapsed();
    for _ in 0..4 {
        let (after, _) = events.next().await.unwrap();
        assert!(after - last <= Duration::from_secs(5), "{:?}", after - last);
        last = after;
    }

    service.shutdown().cancel();
    while events.next().await.is_some() {}
}

#[tokio::test]
async fn event_clients_are_bounded() {
    let service = service();
    let router = service.router();
    let open = || {
        let request = Request::get("/api/events").body(Body::empty()).unwrap();
        router.clone().oneshot(request)
    };
    let mut held = Vec::new();
    for _ in 0..256 {
        let response = open().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        held.push(response);
    }
    assert_eq!(
        open().await.unwrap().status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    held.pop();
    assert_eq!(open().await.unwrap().status(), StatusCode::OK);
}

async fn post(service: &Service, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = service.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let shared = response
        .headers()
        .contains_key("access-control-allow-origin");
    assert!(!shared, "{path} is for no other page");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_member_is_asked_to_leave_by_those_who_may() {
    let service = service();
    let own = ("x-banyan", "1");
    let drain = "/api/members/root-0/drain";
    let (status, text) = post(&service, drain, &[own]).await;
    assert!(status == 409 && text.contains("not attached"), "{text}");
    offer(&service, 1, "harvest");
    for (path, headers, status, part) in [
        (drain, vec![], 403, "x-banyan"),
        (
            drain,
            vec![own, ("host", "a:1"), ("origin", "http://b:1")],
            403,
            "another origin",
        ),
        (
            drain,
            vec![own, ("host", "a:1"), ("origin", "null")],
            403,
            "another origin",
        ),
        (
            "/api/members/root-9/drain",
            vec![own],
            404,
            "it has root-0, edge-0",
        ),
        (
            "/api/members/..%2froot-0/drain",
            vec![own],
            404,
            "has no member",
        ),
        (
            drain,
            vec![own, ("host", "a:1"), ("origin", "http://a:1")],
            202,
            "asked",
        ),
        (drain, vec![own], 202, "asked"),
    ] {
        let (got, text) = post(&service, path, &headers).await;
        assert_eq!(got, status, "{path} {headers:?}: {text}");
        assert!(text.contains(part), "{text}");
    }
    for method in ["GET", "OPTIONS", "DELETE"] {
        let request = Request::builder().method(method).uri(drain);
        let request = request.body(Body::empty()).unwrap();
        let response = service.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-headers")
        );
    }
    let (_, view) = get_text(&service, "/api/topology").await;
    assert!(view.contains("\"drain\":\"asked\""), "{view}");
    let mut fixed = self::service();
    fixed.forbid_changes();
    assert_eq!(post(&fixed, drain, &[own]).await.0, 403);
}
