//! Attach on loopback, spoken by the generated client: who is let in, what is sent, what ends a call.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use banyan_control::roster::{Entry, Role, Roster};
use banyan_control::service::{Handle, Service, Settings};
use banyan_control::topology::{Limits, Now, State, Topology};
use banyan_proto::report::Said;
use banyan_proto::transport;
use banyan_proto::trust::RunSecret;
use banyan_proto::v1::control_client::ControlClient;
use banyan_proto::v1::{self, attach_reply, attach_request};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

struct Control {
    uri: String,
    page: String,
    handle: Handle,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn secret() -> RunSecret {
    RunSecret::new([3; 32])
}

fn roster(names: &[&str]) -> Roster {
    let entry = |name: &&str| Entry {
        dials: Default::default(),
        name: (*name).to_owned(),
        role: Role::Edge,
        tier: "edge".to_owned(),
        grpc: format!("http://{name}:1"),
        http: format!("http://{name}:2"),
        config: v1::Config {
            generation: 1,
            topology: "orchard".to_owned(),
            epoch: 5,
            ..Default::default()
        },
    };
    Roster {
        topology: "orchard".to_owned(),
        epoch: 5,
        members: names.iter().map(entry).collect(),
        plan: None,
    }
}

async fn control() -> Control {
    let grpc = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", grpc.local_addr().unwrap());
    let page = http.local_addr().unwrap().to_string();
    let shutdown = CancellationToken::new();
    let settings = Settings {
        roster: roster(&["edge-0", "edge-1"]),
        term: 42,
        limits: Limits::default(),
        changes: true,
    };
    let service = Service::new(settings, shutdown.clone());
    let handle = service.handle();
    let task =
        tokio::spawn(async move { service.run(Arc::new(secret()), grpc, http).await.unwrap() });
    Control {
        uri,
        page,
        handle,
        shutdown,
        task,
    }
}

struct Member {
    requests: mpsc::Sender<v1::AttachRequest>,
    replies: Streaming<v1::AttachReply>,
}

async fn call(control: &Control, first: attach_request::Body) -> Result<Member, Status> {
    let endpoint = transport::endpoint(&control.uri).unwrap();
    let (requests, stream) = mpsc::channel(8);
    let first = v1::AttachRequest { body: Some(first) };
    requests.send(first).await.unwrap();
    let replies = ControlClient::new(endpoint.connect().await.unwrap())
        .attach(ReceiverStream::new(stream))
        .await?
        .into_inner();
    Ok(Member { requests, replies })
}

async fn attach(control: &Control, member: &str) -> Member {
    let hello = secret().hello(member, "boot");
    let call = call(control, attach_request::Body::Hello(hello));
    call.await.unwrap()
}

impl Member {
    async fn reply(&mut self) -> Result<attach_reply::Body, Status> {
        let reply = tokio::time::timeout(Duration::from_secs(20), self.replies.message());
        Ok(reply.await.unwrap()?.unwrap().body.unwrap())
    }

    async fn report(&self, report: v1::Report) {
        let body = Some(attach_request::Body::Report(report));
        let request = v1::AttachRequest { body };
        self.requests.send(request).await.unwrap();
    }
}

fn report(sequence: u64, role: &str) -> v1::Report {
    v1::Report {
        sequence,
        role: role.to_owned(),
        pid: 77,
        ..Default::default()
    }
}

async fn until(control: &Control, what: &str, wanted: impl Fn(&Topology) -> bool) {
    let met = async {
        while !control.handle.read(|topology, _| wanted(topology)) {
            tokio::task::yield_now().await;
        }
    };
    let met = tokio::time::timeout(Duration::from_secs(20), met).await;
    assert!(met.is_ok(), "never: {what}");
}

fn state(control: &Control, member: &str) -> Option<State> {
    control.handle.read(|topology, _| topology.state(member))
}

#[tokio::test]
async fn a_member_is_welcomed_given_its_plan_and_shown_until_it_leaves() {
    let control = control().await;
    let mut member = attach(&control, "edge-0").await;
    let attach_reply::Body::Welcome(welcome) = member.reply().await.unwrap() else {
        panic!("the first reply must be Welcome");
    };
    assert_eq!((welcome.slot.as_str(), welcome.term), ("edge-0", 42));
    assert_eq!(welcome.config.unwrap().epoch, 5);
    let attach_reply::Body::Plan(plan) = member.reply().await.unwrap() else {
        panic!("the second reply must be the plan");
    };
    assert_eq!((plan.term, plan.version), (42, 1));
    member.report(report(1, "edge")).await;
    until(&control, "edge-0 is ready", |t| {
        t.state("edge-0") == Some(State::Ready)
    })
    .await;
    let view = control.handle.read(|topology, now| topology.view(now));
    assert_eq!(view.members[0].pid, 77);
    drop(member);
    until(&control, "the call is over", |t| t.sessions() == 0).await;
    assert_eq!(state(&control, "edge-0"), Some(State::Ready));
}

#[tokio::test]
async fn callers_without_the_secret_a_name_or_a_hello_are_refused_and_counted() {
    let control = control().await;
    let stranger = RunSecret::new([4; 32]).hello("edge-0", "boot");
    let unknown = secret().hello("edge-7", "boot");
    let cases = [
        (
            attach_request::Body::Hello(stranger),
            Code::Unauthenticated,
            "BANYAN_RUN_SECRET",
        ),
        (
            attach_request::Body::Hello(unknown),
            Code::PermissionDenied,
            "member \"edge-7\" is not part of topology \"orchard\"",
        ),
        (
            attach_request::Body::Report(report(1, "edge")),
            Code::Unauthenticated,
            "without Hello",
        ),
    ];
    for (first, code, part) in cases {
        let Err(status) = call(&control, first).await else {
            panic!("{part}: let in");
        };
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
    let refusals = control.handle.read(|t, _| t.refusals().clone());
    assert_eq!(refusals["Unauthenticated"], 2);
    assert_eq!(refusals["UnknownMember"], 1);
}

#[tokio::test]
async fn a_false_or_oversized_report_ends_the_call_and_changes_nothing() {
    let control = control().await;
    let oversized = v1::Report {
        tracks: vec![v1::TrackReport::default(); 2_000],
        ..report(1, "edge")
    };
    let cases = [
        (
            report(1, "root"),
            Code::PermissionDenied,
            "its role is edge",
        ),
        (oversized, Code::InvalidArgument, "2000; at most 1024"),
    ];
    for (bad, code, part) in cases {
        let mut member = attach(&control, "edge-0").await;
        member.report(bad).await;
        let status = loop {
            if let Err(status) = member.reply().await {
                break status;
            }
        };
        assert_eq!(status.code(), code, "{status}");
        assert!(status.message().contains(part), "{status}");
    }
    assert_eq!(state(&control, "edge-0"), Some(State::Starting));
}

#[tokio::test]
async fn a_second_call_of_a_member_ends_its_first_and_leaves_others_alone() {
    let control = control().await;
    let mut first = attach(&control, "edge-0").await;
    let mut other = attach(&control, "edge-1").await;
    for member in [&mut first, &mut other] {
        member.reply().await.unwrap();
        member.reply().await.unwrap();
    }
    let mut second = attach(&control, "edge-0").await;
    let status = first.reply().await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    second.reply().await.unwrap();
    other.report(report(1, "edge")).await;
    until(&control, "edge-1 is ready", |t| {
        t.state("edge-1") == Some(State::Ready)
    })
    .await;
}

#[tokio::test]
async fn a_changed_roster_reaches_attached_members_as_a_newer_plan() {
    let control = control().await;
    let mut member = attach(&control, "edge-0").await;
    member.reply().await.unwrap();
    member.reply().await.unwrap();
    let mut changed = roster(&["edge-0", "edge-1", "edge-2"]);
    changed.members[0].config.max_sessions = 9;
    control.handle.set_roster(changed);
    let attach_reply::Body::Plan(plan) = member.reply().await.unwrap() else {
        panic!("a plan must come");
    };
    assert_eq!((plan.version, plan.config.unwrap().max_sessions), (2, 9));
}

#[tokio::test]
async fn a_stop_ends_calls_with_unavailable_and_event_streams_at_once() {
    let control = control().await;
    let mut member = attach(&control, "edge-0").await;
    member.reply().await.unwrap();
    member.reply().await.unwrap();
    let mut events = TcpStream::connect(&control.page).await.unwrap();
    let request = "GET /api/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    events.write_all(request.as_bytes()).await.unwrap();
    let mut some = [0; 12];
    events.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    control.shutdown.cancel();
    assert_eq!(member.reply().await.unwrap_err().code(), Code::Unavailable);
    let mut rest = Vec::new();
    events.read_to_end(&mut rest).await.unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("event: topology"), "{rest}");
    drop((member, events));
    let stopped = tokio::time::timeout(Duration::from_secs(20), control.task);
    stopped.await.unwrap().unwrap();
}

fn newcomer(member: &str) -> attach_request::Body {
    let hello = v1::Hello {
        features: vec![banyan_proto::trust::BOOT.to_owned()],
        ..secret().hello(member, "boot")
    };
    attach_request::Body::Hello(hello)
}

#[tokio::test]
async fn a_new_member_is_told_its_name_and_configuration_once_something_is_above_it() {
    let control = control().await;
    let refused = call(&control, newcomer("edge-0")).await.err().unwrap();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(
        refused.message().contains("nothing is above \"edge-0\""),
        "{refused}"
    );

    let asking = call(&control, newcomer("edge-0"));
    let growing = async {
        let mut roster = roster(&["edge-0", "edge-1"]);
        let parent = v1::Peer {
            name: "root-0".to_owned(),
            uri: "http://root-0:1".to_owned(),
        };
        roster.members[0].config.parents = vec![parent];
        control.handle.set_roster(roster);
    };
    let (member, ()) = tokio::join!(asking, growing);
    let mut member = member.unwrap();
    let attach_reply::Body::Welcome(welcome) = member.reply().await.unwrap() else {
        panic!("no welcome");
    };
    assert_eq!((&*welcome.slot, welcome.term), ("edge-0", 42));
    assert_eq!(welcome.config.unwrap().parents[0].name, "root-0");
    assert!(
        member.replies.message().await.unwrap().is_none(),
        "the call is over"
    );
    let calls = control.handle.read(|topology, _| topology.sessions());
    assert_eq!(calls, 0, "asking is not attaching");

    let stranger = call(&control, newcomer("edge-7")).await.err().unwrap();
    assert_eq!(stranger.code(), tonic::Code::PermissionDenied);
    control.shutdown.cancel();
    control.task.await.unwrap();
}

/// The newest report of edge-0 that counts is the one that says `pid`.
async fn taken(control: &Control, pid: u32) {
    until(control, "the report is taken", |topology| {
        let now = Now {
            at: Duration::ZERO,
            unix_ms: 0,
        };
        topology.view(now).members[0].pid == pid
    })
    .await;
}

#[tokio::test]
async fn offers_cross_the_wire_once_a_call_and_an_older_member_says_them_every_time() {
    let control = control().await;
    let offer = v1::Offer {
        stream: "plum".to_owned(),
        poster: vec![7; 12_000].into(),
        ..Default::default()
    };
    let offers = |t: &Topology| t.offered("edge-0").len();
    let mut said = Said::default();
    let mut member = attach(&control, "edge-0").await;
    let mut bytes = 0;
    for sequence in 1..=10 {
        let whole = v1::Report {
            offers: vec![offer.clone()],
            pid: sequence,
            ..report(sequence.into(), "edge")
        };
        let sent = said.shorten(whole);
        bytes += sent.encoded_len();
        member.report(sent).await;
        taken(&control, sequence).await;
        assert_eq!(control.handle.read(|t, _| offers(t)), 1);
        if sequence == 1 {
            let kept = loop {
                if let attach_reply::Body::Kept(kept) = member.reply().await.unwrap() {
                    break kept;
                }
            };
            said.handle_kept(kept);
        }
    }
    assert!(
        (12_000..12_400).contains(&bytes),
        "{bytes} bytes in ten reports"
    );

    let mut older = attach(&control, "edge-0").await;
    for sequence in 1..=2 {
        let whole = v1::Report {
            offers: vec![offer.clone()],
            pid: 100 + sequence,
            ..report(sequence.into(), "edge")
        };
        older.report(whole).await;
        taken(&control, 100 + sequence).await;
    }
    assert_eq!(control.handle.read(|t, _| offers(t)), 1);
    // It would take an unknown reply for the end of the call.
    control.shutdown.cancel();
    loop {
        match older.reply().await {
            Ok(attach_reply::Body::Kept(kept)) => panic!("{kept:?}"),
            Ok(_) => {}
            Err(_) => break,
        }
    }
}
