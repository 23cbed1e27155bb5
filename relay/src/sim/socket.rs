//! The same parts over real sockets: a content server, a root, a relay and an edge on loopback.

use std::sync::Arc;
use std::time::Duration;

use banyan_media::position::{Ledger, Position};
use banyan_proto::server::MediaServer;
use banyan_proto::transport;
use banyan_proto::v1::{self, beat_request, rendezvous_client::RendezvousClient};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::assembly::Relay;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::Role;
use crate::testing::origin::{Content, Origin};
use crate::testing::{EPOCH, STREAM, VIDEO, config, secret};

async fn relay(member: &str, role: Role, dynamic: v1::Config) -> Relay {
    let config = Config {
        member: member.to_owned(),
        role,
        topology: "quay".into(),
        grpc: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        advertise: None,
        dynamic,
        control: None,
        memory_budget: 64 << 20,
        record: None,
        leave: crate::leave::Manner::default(),
        max_egress: None,
        parents: None,
    };
    Relay::bind(config, secret()).await.unwrap()
}

fn below(parent: &Relay) -> v1::Config {
    let mut config = config(&[], &[]);
    config.parents = vec![v1::Peer {
        name: parent.core().member().to_owned(),
        uri: format!("http://{}", parent.grpc_address),
    }];
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_cross_three_hops_of_real_sockets_unbroken() {
    let bound = Duration::from_secs(30);
    // The origin's own clock: half a minute into the stream, as in simulations.
    let clock = Clock::starting_at(Duration::from_secs(EPOCH + 30));
    let origin = Origin::new("lisbon", clock, Content::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin_uri = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = transport::server()
        .add_service(MediaServer::new(Arc::new(origin.clone())))
        .serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            stop.clone().cancelled_owned(),
        );
    let origin_task = tokio::spawn(serving);

    let root = relay("root-0", Role::Root, config(&[], &[])).await;
    let mid = relay("mid-0", Role::Relay, below(&root)).await;
    let edge = relay("edge-0", Role::Edge, below(&mid)).await;
    let root_uri = format!("http://{}", root.grpc_address);
    let http = edge.http_address;
    let library = edge.core().library();
    let root_core = root.core().clone();
    let mut running = Vec::new();
    for member in [root, mid, edge] {
        running.push(tokio::spawn(member.run(stop.clone())));
    }

    let channel = transport::endpoint(&root_uri).unwrap();
    let mut beats = RendezvousClient::new(channel.connect().await.unwrap());
    let hello = beat_request::Body::Hello(secret().hello("lisbon", "boot"));
    let beat = beat_request::Body::Beat(v1::Beat {
        sequence: 1,
        endpoints: vec![origin_uri],
        contents: vec![STREAM.into()],
        ..Default::default()
    });
    let messages = [hello, beat].map(|body| v1::BeatRequest { body: Some(body) });
    let mut echoes = beats
        .beat(tokio_stream::iter(messages))
        .await
        .unwrap()
        .into_inner();
    let welcome = echoes.message().await.unwrap().unwrap();
    assert!(format!("{welcome:?}").contains("root-0"));
    assert!(echoes.message().await.unwrap().is_some());

    let mut catalog = library.catalog();
    let offered = catalog.wait_for(|view| view.offers.contains_key(STREAM));
    timeout(bound, offered).await.unwrap().unwrap();
    let handle = library.track(STREAM, VIDEO).await.unwrap();
    let _demand = handle.demand();
    let mut view = handle.view();
    let mut ledger = Ledger::new();
    let mut last = None;
    while ledger.counts().chunks < 12 {
        timeout(bound, view.changed()).await.unwrap().unwrap();
        let head = view.borrow_and_update().head.clone().unwrap();
        let at = (head.number, head.part);
        if last.replace(at) == Some(at) {
            continue;
        }
        if ledger.counts().chunks > 0 || head.part > 0 {
            let bytes = handle.part(&head.run, at.0, at.1).await.unwrap();
            assert_eq!(bytes, origin.payload(VIDEO, at.0, at.1));
            ledger.record(&head.run, Position::new(at.0, at.1), head.segment_complete);
        }
    }
    let counts = ledger.counts();
    assert_eq!((counts.repeated, counts.out_of_order), (0, 0), "{counts:?}");
    let view = view.borrow().clone();
    for segment in &view.segments[..6] {
        let parts = handle.segment(&segment.run, segment.number).await.unwrap();
        assert_eq!(parts[0], origin.payload(VIDEO, segment.number, 0));
    }
    let path = library.status().tracks[0].path.clone();
    assert_eq!(path, ["lisbon", "root-0", "mid-0", "edge-0"]);
    assert_eq!(root_core.origin_status()[0].state, "Active");
    assert!(tokio::net::TcpStream::connect(http).await.is_ok());

    let taken = Relay::bind(
        Config {
            grpc: http,
            ..config_of(http)
        },
        secret(),
    );
    let error = taken.await.err().unwrap().to_string();
    assert!(
        error.contains(&http.to_string()) && error.contains("in use"),
        "{error}"
    );

    stop.cancel();
    for member in running {
        timeout(bound, member).await.unwrap().unwrap().unwrap();
    }
    timeout(bound, origin_task).await.unwrap().unwrap().unwrap();
}

fn config_of(http: std::net::SocketAddr) -> Config {
    Config {
        member: "edge-1".into(),
        role: Role::Edge,
        topology: "quay".into(),
        grpc: http,
        http,
        advertise: None,
        dynamic: config(&[], &["mid-0"]),
        control: None,
        memory_budget: 64 << 20,
        record: None,
        leave: crate::leave::Manner::default(),
        max_egress: None,
        parents: None,
    }
}
