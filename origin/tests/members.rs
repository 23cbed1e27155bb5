//! A content server among others: it beats to roots, attaches to control, and needs neither to serve.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use std::pin::Pin;
use std::sync::Arc;

use banyan_proto::trust::Authenticator;
use banyan_proto::v1::{self, attach_reply, attach_request, beat_reply, beat_request};
use futures::Stream;
use prost::Message;
use support::*;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A root that echoes; a control plane that hands out one plan after the first report.
#[derive(Clone)]
struct Fake {
    beats: mpsc::Sender<(String, v1::Beat)>,
    attached: mpsc::Sender<attach_request::Body>,
    plans: Arc<Mutex<mpsc::Receiver<v1::Plan>>>,
    hang_up: Arc<Notify>,
}

#[tonic::async_trait]
impl v1::rendezvous_server::Rendezvous for Fake {
    type BeatStream = Replies<v1::BeatReply>;

    async fn beat(
        &self,
        request: Request<Streaming<v1::BeatRequest>>,
    ) -> Result<Response<Self::BeatStream>, Status> {
        let mut inward = request.into_inner();
        let Some(beat_request::Body::Hello(hello)) = inward.message().await?.and_then(|m| m.body)
        else {
            return Err(Status::unauthenticated("no hello"));
        };
        let caller = secret().authenticate(Some(&hello)).await?;
        let beats = self.beats.clone();
        let replies = inward.filter_map(move |message| match message.ok()?.body? {
            beat_request::Body::Beat(beat) => {
                let echo = v1::Echo {
                    sequence: beat.sequence,
                    sent_unix_ns: beat.sent_unix_ns,
                    echoed_unix_ns: beat.sent_unix_ns,
                    roots: Vec::new(),
                };
                // A full queue means that the test has seen enough.
                let _ = beats.try_send((caller.member.clone(), beat));
                Some(Ok(v1::BeatReply {
                    body: Some(beat_reply::Body::Echo(echo)),
                }))
            }
            beat_request::Body::Hello(_) => None,
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

#[tonic::async_trait]
impl v1::control_server::Control for Fake {
    type AttachStream = Replies<v1::AttachReply>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut inward = request.into_inner();
        let (outward, replies) = mpsc::channel(8);
        let (attached, plans) = (self.attached.clone(), Arc::clone(&self.plans));
        let hang_up = Arc::clone(&self.hang_up);
        let reply = |body| Ok(v1::AttachReply { body: Some(body) });
        tokio::spawn(async move {
            let mut plans = plans.lock().await;
            loop {
                let answer = tokio::select! {
                    message = inward.message() => {
                        let Ok(Some(v1::AttachRequest { body: Some(body) })) = message else { return };
                        let answer = match &body {
                            attach_request::Body::Hello(_) => {
                                Some(attach_reply::Body::Welcome(v1::Welcome::default()))
                            }
                            attach_request::Body::Report(report) if report.offers_version > 0 => {
                                let offers_version = report.offers_version;
                                Some(attach_reply::Body::Kept(v1::Kept { offers_version }))
                            }
                            _ => None,
                        };
                        let _ = attached.try_send(body);
                        let Some(answer) = answer else { continue };
                        answer
                    }
                    Some(plan) = plans.recv() => attach_reply::Body::Plan(plan),
                    () = hang_up.notified() => return,
                };
                if outward.send(reply(answer)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(replies))))
    }
}

struct Outside {
    uri: String,
    beats: mpsc::Receiver<(String, v1::Beat)>,
    attached: mpsc::Receiver<attach_request::Body>,
    /// Sent to whoever is attached.
    plans: mpsc::Sender<v1::Plan>,
    /// Ends the call, once for each notification.
    hang_up: Arc<Notify>,
}

async fn outside() -> Outside {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (beat_sender, beats) = mpsc::channel(64);
    let (attach_sender, attached) = mpsc::channel(64);
    let (plans, plan_receiver) = mpsc::channel(8);
    let hang_up = Arc::new(Notify::new());
    let fake = Fake {
        hang_up: Arc::clone(&hang_up),
        beats: beat_sender,
        attached: attach_sender,
        plans: Arc::new(Mutex::new(plan_receiver)),
    };
    let router = banyan_proto::transport::server()
        .add_service(v1::rendezvous_server::RendezvousServer::new(fake.clone()))
        .add_service(v1::control_server::ControlServer::new(fake));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    Outside {
        uri,
        beats,
        attached,
        plans,
        hang_up,
    }
}

async fn next<T>(receiver: &mut mpsc::Receiver<T>) -> T {
    tokio::time::timeout(BOUND, receiver.recv())
        .await
        .expect("in time")
        .unwrap()
}

#[tokio::test]
async fn every_root_hears_beats_with_contents_load_and_measured_trips() {
    let (mut one, mut two) = (outside().await, outside().await);
    let mut world = World::new()
        .with_test("garden", 2000)
        .with_file("later", "later.mp4");
    let root = |name: &str, uri: &str| v1::Peer {
        name: name.into(),
        uri: uri.into(),
    };
    // The third is nobody: dialling it must not keep the others waiting.
    world.config.roots = vec![
        root("root-0", &one.uri),
        root("root-1", &two.uri),
        root("root-2", "http://127.0.0.1:1"),
    ];
    let running = world.start().await;
    for outside in [&mut one, &mut two] {
        let mut last = 0;
        let beat = loop {
            let (member, beat) = next(&mut outside.beats).await;
            assert_eq!(member, "lisbon");
            assert_eq!(beat.sequence, last + 1, "no beat is skipped");
            last = beat.sequence;
            if beat.contents == ["garden"]
                && beat.rtt_median_us > 0
                && !beat.preparing.is_empty()
                && beat.load.unwrap().memory_bytes > 0
            {
                break beat;
            }
        };
        assert_eq!(
            beat.endpoints,
            [format!("http://{}", running.server.grpc())]
        );
        assert!(beat.rtt_min_us <= beat.rtt_median_us && beat.catalog_version >= 1);
        assert_eq!(beat.preparing[0].content, "later");
        assert!(beat.preparing[0].error.contains("later.mp4"));
    }
    let parents = running.server.status()["parents"].clone();
    let states: Vec<&str> = parents
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["connected", "connected", "connecting"]);
    running.server.stop().await;
}

#[tokio::test]
async fn newer_plans_are_applied_whole_and_bad_or_old_ones_refused_with_the_reason() {
    let world = World::new().with_test("garden", 2000);
    let mut newer = World::new().with_test("orchid", 2000).config;
    newer.generation = 5;
    let mut bad = newer.clone();
    (bad.generation, bad.segment_duration_ms) = (6, 3);
    let mut moved = newer.clone();
    (moved.generation, moved.epoch) = (7, EPOCH + 1);
    let plan = |term, version, config| v1::Plan {
        term,
        version,
        config: Some(config),
    };
    let plans = vec![
        plan(1, 2, newer.clone()),
        plan(1, 1, newer.clone()),
        plan(1, 3, bad),
        plan(1, 4, moved),
    ];
    let mut control = outside().await;
    for plan in plans {
        control.plans.send(plan).await.unwrap();
    }
    let mut options = world.options();
    options.control = Some(control.uri.clone());
    let server = banyan_origin::Server::start(options).await.unwrap();
    let mut acks = Vec::new();
    let mut reports = Vec::new();
    while acks.len() < 4 || reports.len() < 2 {
        match next(&mut control.attached).await {
            attach_request::Body::Ack(ack) => acks.push(ack),
            attach_request::Body::Report(report) => reports.push(report),
            attach_request::Body::Hello(hello) => assert_eq!(hello.member_uid, "lisbon"),
        }
    }
    assert_eq!(
        (reports[0].role.as_str(), reports[1].sequence),
        ("origin", reports[0].sequence + 1)
    );
    let told: Vec<(u64, bool)> = acks.iter().map(|ack| (ack.version, ack.accepted)).collect();
    assert_eq!(told, [(2, true), (1, false), (3, false), (4, false)]);
    for (ack, part) in acks[1..]
        .iter()
        .zip(["is older", "segment_duration_ms is 3", "epoch"])
    {
        assert!(ack.reason.contains(part), "{}", ack.reason);
    }
    let names = |status: &serde_json::Value| {
        status["contents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    tokio::time::timeout(BOUND, async {
        while names(&server.status()) != ["orchid"] {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    server.stop().await;
}

#[tokio::test]
async fn offers_travel_once_a_call_and_again_to_the_next_control_plane() {
    let world = World::new().with_test("garden", 2000);
    let mut control = outside().await;
    let running = world
        .start_with(|options| options.control = Some(control.uri.clone()))
        .await;
    running.complete("garden").await;
    let mut calls = 0;
    let mut whole = Vec::new();
    let mut short = Vec::new();
    while calls < 2 || short.is_empty() {
        match next(&mut control.attached).await {
            attach_request::Body::Hello(_) => {
                calls += 1;
                whole.clear();
                short.clear();
            }
            attach_request::Body::Ack(_) => {}
            attach_request::Body::Report(report) if report.offers_unchanged => {
                assert!(report.offers.is_empty());
                short.push(report);
                if calls == 1 && short.len() == 3 {
                    control.hang_up.notify_one();
                }
            }
            attach_request::Body::Report(report) if report.offers.is_empty() => {
                assert_eq!(report.offers_version, 0, "nothing offered yet");
            }
            attach_request::Body::Report(report) => {
                assert!(short.is_empty() || report.offers_version > short[0].offers_version);
                whole.push(report);
            }
        }
    }
    assert_eq!(calls, 2);
    let (whole, short) = (whole.last().unwrap(), &short[0]);
    assert_eq!(whole.offers[0].stream, "garden");
    assert_eq!(whole.offers_version, short.offers_version);
    let (before, after) = (whole.encoded_len(), short.encoded_len());
    assert!(before > 1_000 && after < 150, "{before} and {after} bytes");
    running.server.stop().await;
}

#[tokio::test]
async fn a_withdrawn_content_ends_its_subscriptions_and_the_others_go_on() {
    let world = World::new()
        .with_test("garden", 2000)
        .with_test("orchid", 2000);
    let control = outside().await;
    let running = world
        .start_with(|options| options.control = Some(control.uri.clone()))
        .await;
    running.complete("garden").await;
    running.complete("orchid").await;
    let mut ending = running.subscribe("garden", "90p", live()).await.unwrap();
    let mut staying = running.subscribe("orchid", "90p", live()).await.unwrap();
    receive(&mut ending, |r| r.chunks.len() == 2).await.unwrap();

    let mut newer = world.config.clone();
    newer.generation = 2;
    newer.contents.remove(0);
    let plan = v1::Plan {
        term: 1,
        version: 1,
        config: Some(newer),
    };
    control.plans.send(plan).await.unwrap();

    let got = receive(&mut ending, |_| false).await.unwrap();
    let Some(v1::media_message::Body::End(end)) = got.messages.last() else {
        panic!("{:?}", got.messages.last());
    };
    assert!(end.withdrawn);
    let status = running
        .subscribe("garden", "90p", live())
        .await
        .err()
        .unwrap();
    assert_eq!(status.code(), tonic::Code::NotFound);
    let got = receive(&mut staying, |r| r.chunks.len() == 9)
        .await
        .unwrap();
    assert_eq!(got.chunks.len(), 9);
    running.server.stop().await;
}
