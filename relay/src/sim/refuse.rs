//! Bad input meets the precise status, and nothing else is disturbed.

use std::time::Duration;

use banyan_proto::server::MediaService;
use banyan_proto::v1::{self, beat_request, subscribe_request::From};
use futures::{StreamExt, stream};
use tonic::{Code, Status};

use crate::library::LibraryError;
use crate::rendezvous;
use crate::serve::Serving;
use crate::testing::overlay::{Overlay, pass};
use crate::testing::{STREAM, VIDEO, secret};

fn hello() -> Option<v1::Hello> {
    Some(secret().hello("reader-0", "boot"))
}

fn after(run: &str, number: u64) -> From {
    From::After(v1::After {
        run: run.into(),
        number,
        ..Default::default()
    })
}

/// The status a subscription ends with; `Ok` when a chunk came.
async fn subscribe(serving: &Serving, stream: &str, track: &str, from: From) -> Result<(), Status> {
    let request = v1::SubscribeRequest {
        hello: hello(),
        stream: stream.into(),
        track: track.into(),
        from: Some(from),
    };
    let mut frames = serving.subscribe(request).await?;
    while let Some(frame) = frames.next().await {
        if matches!(frame?, banyan_proto::frame::Frame::Chunk(_)) {
            return Ok(());
        }
    }
    Err(Status::ok("ended"))
}

#[tokio::test(start_paused = true)]
async fn every_impossible_subscription_has_its_own_status() {
    let overlay = Overlay::minimal(300);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(6)).await;
    let serving = Serving::new(overlay.members["edge-0"].clone());
    let head = watching.handle.view().borrow().head.clone().unwrap();
    let (run, number) = (head.run.as_str(), head.number);
    let live = || From::Live(v1::Live {});
    let wrong_hash = From::After(v1::After {
        run: run.into(),
        number,
        part: 0,
        hashed_number: number - 1,
        sha256: vec![1; 32].into(),
        ..Default::default()
    });
    let short_hash = From::After(v1::After {
        run: run.into(),
        number,
        sha256: vec![1; 3].into(),
        ..Default::default()
    });
    let table = [
        ("nowhere", VIDEO, live(), Code::NotFound, "nowhere"),
        (STREAM, "144p", live(), Code::NotFound, "144p"),
        ("../etc", VIDEO, live(), Code::InvalidArgument, "etc"),
        (STREAM, "a/b", live(), Code::InvalidArgument, "a/b"),
        (
            STREAM,
            VIDEO,
            after("bbbbbbbbbb", number),
            Code::FailedPrecondition,
            "bbbbbbbbbb",
        ),
        (STREAM, VIDEO, wrong_hash, Code::FailedPrecondition, "bytes"),
        (STREAM, VIDEO, short_hash, Code::InvalidArgument, "3 bytes"),
        (
            STREAM,
            VIDEO,
            after(run, number + 4),
            Code::OutOfRange,
            "ahead",
        ),
        (
            STREAM,
            VIDEO,
            after(run, u64::MAX),
            Code::OutOfRange,
            "clock",
        ),
        (
            STREAM,
            VIDEO,
            after("", number),
            Code::InvalidArgument,
            "run",
        ),
    ];
    for (stream, track, from, code, part) in table {
        let error = subscribe(&serving, stream, track, from).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(part), "{error}");
    }
    for good in [
        live(),
        after(run, number),
        after(run, number + 3),
        after(run, number - 3),
    ] {
        let ahead = matches!(&good, From::After(a) if a.number > number);
        let served = tokio::time::timeout(
            Duration::from_secs(if ahead { 9 } else { 3 }),
            subscribe(&serving, STREAM, VIDEO, good),
        );
        served.await.unwrap().unwrap();
    }
    let stranger = v1::SubscribeRequest {
        hello: None,
        stream: STREAM.into(),
        track: VIDEO.into(),
        from: Some(live()),
    };
    let error = serving.subscribe(stranger).await.err().unwrap();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert_eq!(overlay.counts("edge-0").lost, 0);
    assert!(
        overlay.members["edge-0"]
            .counters
            .subscriptions_refused
            .value()
            >= 11
    );
}

#[tokio::test(start_paused = true)]
async fn every_impossible_fetch_has_its_own_status() {
    let overlay = Overlay::minimal(301);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(6)).await;
    let serving = Serving::new(overlay.members["edge-0"].clone());
    let head = watching.handle.view().borrow().head.clone().unwrap();
    let good = v1::FetchRequest {
        hello: hello(),
        stream: STREAM.into(),
        track: VIDEO.into(),
        run: head.run.clone(),
        from_number: head.number - 1,
        to_number: head.number - 1,
        ..Default::default()
    };
    let ask = async |request: v1::FetchRequest| -> Result<usize, Status> {
        let mut frames = serving.fetch(request).await?;
        let mut chunks = 0;
        while let Some(frame) = frames.next().await {
            chunks += usize::from(matches!(frame?, banyan_proto::frame::Frame::Chunk(_)));
        }
        Ok(chunks)
    };
    assert_eq!(ask(good.clone()).await.unwrap(), 6);
    let with = |change: &dyn Fn(&mut v1::FetchRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let table = [
        (with(&|r| r.hops = 17), Code::FailedPrecondition, "17"),
        (with(&|r| r.hops = 16), Code::Unavailable, "17"),
        (
            with(&|r| r.to_number = r.from_number + 256),
            Code::InvalidArgument,
            "256",
        ),
        (
            with(&|r| r.to_number = u64::MAX),
            Code::InvalidArgument,
            "256",
        ),
        (with(&|r| r.run = "?".into()), Code::InvalidArgument, "?"),
        (
            with(&|r| r.stream = "nowhere".into()),
            Code::NotFound,
            "nowhere",
        ),
        (with(&|r| r.max_bytes = 10), Code::ResourceExhausted, "10"),
        (with(&|r| r.hello = None), Code::Unauthenticated, "Hello"),
    ];
    for (mut request, code, part) in table {
        if request.hops == 16 {
            // Not held here: it has to travel on, and may not.
            request.from_number = head.number - 6;
            request.to_number = request.from_number;
        }
        let error = ask(request).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(part), "{error}");
    }
    let far = with(&|r| {
        r.from_number += 10;
        r.to_number += 10;
    });
    assert_eq!(ask(far).await.unwrap_err().code(), Code::OutOfRange);
}

#[tokio::test(start_paused = true)]
async fn content_taken_back_ends_as_withdrawn_everywhere() {
    let overlay = Overlay::minimal(302);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(4)).await;
    overlay.origins["lisbon"].offered.send_replace(false);
    pass(Duration::from_secs(1)).await;
    let ended = watching.handle.view().borrow().ended;
    assert_eq!(ended.map(|e| e.withdrawn), Some(true));
    drop(watching);
    pass(Duration::from_secs(15)).await;
    let library = overlay.library("edge-0");
    assert!(library.catalog().borrow().withdrawn.contains(STREAM));
    assert!(matches!(
        library.track(STREAM, VIDEO).await.err(),
        Some(LibraryError::Withdrawn)
    ));
    let serving = Serving::new(overlay.members["edge-0"].clone());
    let ended = subscribe(&serving, STREAM, VIDEO, From::Live(v1::Live {})).await;
    assert_eq!(ended.unwrap_err().message(), "ended");
}

#[tokio::test(start_paused = true)]
async fn one_content_server_taking_it_back_moves_the_carrier_to_the_other() {
    let overlay = Overlay::campus(303);
    overlay.offered("edge-0").await;
    let _watching = overlay.watch("edge-0").await;
    pass(Duration::from_secs(4)).await;
    let carrier = overlay.roots_in_order()[0].clone();
    let active = overlay.parent(&carrier);
    overlay.origins[&active].offered.send_replace(false);
    pass(Duration::from_secs(5)).await;
    assert_ne!(overlay.parent(&carrier), active);
    let counts = overlay.counts("edge-0");
    assert_eq!((counts.lost, counts.repeated), (0, 0));
    assert!(
        overlay
            .library("edge-0")
            .catalog()
            .borrow()
            .offers
            .contains_key(STREAM)
    );
}

#[tokio::test(start_paused = true)]
async fn beats_of_strangers_and_impossible_ones_are_refused_and_counted() {
    let overlay = Overlay::minimal(304);
    let root = overlay.members["root-0"].clone();
    let hello = |name: &str| v1::BeatRequest {
        body: Some(beat_request::Body::Hello(secret().hello(name, "boot"))),
    };
    let beat = |late_permille| v1::BeatRequest {
        body: Some(beat_request::Body::Beat(v1::Beat {
            sequence: 1,
            late_permille,
            ..Default::default()
        })),
    };
    let ask = async |messages: Vec<v1::BeatRequest>| -> Result<usize, Status> {
        let messages = stream::iter(messages.into_iter().map(Ok));
        let mut replies = rendezvous::listen(root.clone(), messages).await?;
        let mut count = 0;
        while let Some(reply) = replies.next().await {
            reply?;
            count += 1;
        }
        Ok(count)
    };
    assert_eq!(ask(vec![hello("faro"), beat(1)]).await.unwrap(), 2);
    let mut forged = secret().hello("faro", "boot");
    forged.credential = b"faro.00".to_vec().into();
    let forged = v1::BeatRequest {
        body: Some(beat_request::Body::Hello(forged)),
    };
    for (messages, code) in [
        (vec![beat(1)], Code::Unauthenticated),
        (vec![forged, beat(1)], Code::Unauthenticated),
        (vec![hello("root-0"), beat(1)], Code::PermissionDenied),
        (vec![hello("faro"), beat(1001)], Code::InvalidArgument),
        (vec![hello("faro"), hello("lisbon")], Code::InvalidArgument),
        (vec![hello("faro"), beat(1), beat(1)], Code::InvalidArgument),
    ] {
        assert_eq!(ask(messages).await.unwrap_err().code(), code);
    }
    assert_eq!(root.counters.beats_refused.value(), 4);
    let edge = overlay.members["edge-0"].clone();
    let refused = rendezvous::listen(edge, stream::iter([Ok(hello("faro"))])).await;
    assert_eq!(refused.err().unwrap().code(), Code::Unimplemented);
}
