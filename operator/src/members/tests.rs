//! Pods come and go, members attach: the whole of it around a mock API server and real calls.

use std::sync::atomic::{AtomicUsize, Ordering};

use banyan_proto::transport;
use banyan_proto::trust::{BOOT, SERVICE_ACCOUNT};
use banyan_proto::v1::{self, attach_reply, attach_request, control_client::ControlClient};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::place::tests::desired;
use super::review::tests::{client, review, reviewed};
use super::state::{Due, Found};
use super::*;
use crate::lease::fence::Fence;
use crate::metrics::Metrics;

/// A pod as the API server has it.
fn object(name: &str, labels: &Value, account: &str, ip: &str, slot: Option<u32>) -> core::Pod {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "harbour", "uid": format!("uid-{name}"), "labels": labels,
            "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "spec": {"serviceAccountName": account, "containers": []},
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    });
    if let Some(slot) = slot {
        pod["metadata"]["annotations"] = json!({"banyan.media/slot": slot.to_string()});
    }
    serde_json::from_value(pod).unwrap()
}

fn relay(name: &str, tier: &str, ip: &str, slot: Option<u32>) -> core::Pod {
    let labels = json!({"banyan.media/topology": "quay", "banyan.media/tier": tier});
    object(name, &labels, &format!("quay-{tier}"), ip, slot)
}

fn origin(name: &str, ip: &str) -> core::Pod {
    let labels = json!({"banyan.media/content-server": name});
    object(
        &format!("{name}-origin-1"),
        &labels,
        &format!("{name}-origin"),
        ip,
        None,
    )
}

fn members() -> Members {
    Members::new(Settings {
        grpc: "127.0.0.1:0".parse().unwrap(),
        http: "127.0.0.1:0".parse().unwrap(),
        watch_namespace: None,
    })
}

/// Leads in term 5, with these pods and the topology of the tests.
fn leading(pods: &[core::Pod]) -> Members {
    let members = members();
    let read = pods.iter().filter_map(pod::Pod::read).collect();
    members.change(|state| state.set_pods(read));
    members.set_topology("harbour", "quay", Some(desired()));
    members.change(|state| state.lead(Some(5), None));
    members
}

fn given(due: &Due) -> Vec<(&str, u32)> {
    due.slots
        .iter()
        .map(|(pod, slot)| (&*pod.name, *slot))
        .collect()
}

fn roster(members: &Members) -> Vec<String> {
    let state = members.state();
    let served = state
        .served(&("harbour".to_owned(), "quay".to_owned()))
        .unwrap();
    served.handle.read(|topology, _| {
        let entries = topology.roster().members.iter();
        entries.map(|entry| entry.name.clone()).collect()
    })
}

#[tokio::test]
async fn slots_are_given_once_and_rosters_follow_the_pods() {
    let members = leading(&[
        relay("r-a", "root", "10.0.0.1", Some(0)),
        relay("e-a", "edge", "10.0.2.1", None),
        origin("dock", "10.0.3.1"),
    ]);
    assert_eq!(roster(&members), ["dock", "root-0"]);
    let due = members.state().due();
    assert_eq!(given(&due), [("e-a", 0)]);
    assert!(members.state().due().slots.is_empty(), "told once");
    // The API server's answer comes before events that are older.
    members.change(|state| state.see_pod(&relay("e-a", "edge", "10.0.2.1", Some(0))));
    assert_eq!(roster(&members), ["dock", "root-0", "edge-0"]);
    members.change(|state| state.see_pod(&relay("e-a", "edge", "10.0.2.1", None)));
    assert_eq!(roster(&members), ["dock", "root-0", "edge-0"]);
    // A roll: the new one stands beside the old one, and stays where it is when that has gone.
    members.change(|state| state.see_pod(&relay("e-b", "edge", "10.0.2.2", None)));
    assert_eq!(given(&members.state().due()), [("e-b", 1)]);
    members.change(|state| state.see_pod(&relay("e-b", "edge", "10.0.2.2", Some(1))));
    members.change(|state| state.forget_pod(&relay("e-a", "edge", "10.0.2.1", Some(0))));
    assert_eq!(roster(&members), ["dock", "root-0", "edge-1"]);
    // Who keeps files of the members is told, though no status shows it.
    let key = ("harbour".to_owned(), "quay".to_owned());
    members.state().news(Duration::from_secs(1));
    members.change(|state| state.see_pod(&relay("e-b", "edge", "10.0.2.3", Some(1))));
    assert_eq!(members.state().news(Duration::from_secs(2)), [key].into());
    assert!(members.state().news(Duration::from_secs(3)).is_empty());
    // Nobody's pods, and pods of topologies that are gone, change nothing.
    members.change(|state| state.see_pod(&object("x", &json!({}), "x", "10.0.9.9", None)));
    members.set_topology("harbour", "quay", None);
    assert!(members.state().all_served().next().is_none());
}

#[tokio::test]
async fn a_slot_that_could_not_be_written_is_given_again_as_it_was() {
    let members = leading(&[
        relay("e-a", "edge", "10.0.2.1", None),
        relay("e-b", "edge", "10.0.2.2", None),
    ]);
    let due = members.state().due();
    assert_eq!(given(&due), [("e-a", 0), ("e-b", 1)]);
    members.state().retry(&due.slots[1].0);
    assert_eq!(given(&members.state().due()), [("e-a", 0), ("e-b", 1)]);
}

#[tokio::test]
async fn a_standby_writes_nothing_and_whoever_leads_next_finds_everybody_where_they_were() {
    let pods = [
        relay("r-a", "root", "10.0.0.1", Some(3)),
        relay("e-a", "edge", "10.0.2.1", None),
    ];
    let members = leading(&pods);
    members.change(|state| state.lead(None, Some("http://10.0.8.8:7400".to_owned())));
    assert_eq!(members.state().due(), Due::default());
    assert!(members.state().all_served().next().is_none());
    members.change(|state| state.lead(Some(6), None));
    assert_eq!(roster(&members), ["root-3"]);
    let before_the_list = super::tests::members();
    before_the_list.set_topology("harbour", "quay", Some(desired()));
    before_the_list.change(|state| state.lead(Some(6), None));
    assert!(
        before_the_list.state().all_served().next().is_none(),
        "nobody is known to be missing"
    );
}

#[tokio::test]
async fn pods_that_are_to_drain_are_evicted_until_they_leave() {
    let mut drained = relay("e-a", "edge", "10.0.2.1", Some(0));
    let annotations = drained.metadata.annotations.as_mut().unwrap();
    annotations.insert("banyan.media/drain".to_owned(), String::new());
    let members = leading(std::slice::from_ref(&drained));
    assert_eq!(members.state().due().drains.len(), 1);
    assert_eq!(members.state().due().drains.len(), 1, "until it leaves");
    let stamp = drained.metadata.creation_timestamp.clone();
    drained.metadata.deletion_timestamp = stamp;
    members.change(|state| state.see_pod(&drained));
    assert!(members.state().due().drains.is_empty());
    assert_eq!(roster(&members), ["edge-0"], "until it is gone");
}

#[tokio::test]
async fn a_pod_is_a_member_only_under_the_account_of_its_tier() {
    let members = leading(&[
        relay("e-a", "edge", "10.0.2.1", Some(0)),
        origin("dock", "10.0.3.1"),
    ]);
    let find =
        |pod: &str, uid: &str, account: &str| members.state().find("harbour", pod, uid, account);
    assert!(
        matches!(find("e-a", "uid-e-a", "quay-edge"), Found::Member { name, .. } if name == "edge-0")
    );
    assert!(matches!(
        find("dock-origin-1", "uid-dock-origin-1", "dock-origin"),
        Found::Member { name, .. } if name == "dock"
    ));
    assert!(
        matches!(find("e-a", "uid-e-a", "quay-root"), Found::Nobody(why) if why.contains("quay-root"))
    );
    assert!(matches!(
        find("e-a", "another", "quay-edge"),
        Found::Soon(_)
    ));
    assert!(matches!(
        find("e-z", "uid-e-z", "quay-edge"),
        Found::Soon(_)
    ));
    let other = Desired {
        accounts: [("edge".to_owned(), "video".to_owned())].into(),
        ..desired()
    };
    members.set_topology("harbour", "quay", Some(other));
    assert!(
        matches!(find("e-a", "uid-e-a", "quay-edge"), Found::Nobody(why) if why.contains("\"video\""))
    );
}

#[tokio::test]
async fn files_are_the_same_while_nobody_comes_or_goes() {
    let members = leading(&[
        relay("r-a", "root", "10.0.0.1", Some(0)),
        relay("m-a", "mid", "10.0.1.1", Some(0)),
    ]);
    let configs = members.configs("harbour", "quay");
    let names: Vec<_> = configs.keys().map(String::as_str).collect();
    assert_eq!(names, ["edge.json", "mid.json", "root.json"]);
    let edge: v1::Config = serde_json::from_str(&configs["edge.json"]).unwrap();
    assert_eq!(edge.parents[0].uri, "http://10.0.1.1:7400");
    let mut busy = relay("r-a", "root", "10.0.0.1", Some(0));
    busy.metadata.resource_version = Some("99".to_owned());
    members.change(|state| state.see_pod(&busy));
    assert_eq!(members.configs("harbour", "quay"), configs);
    let server = members.server_configs("harbour", "quay", "dock");
    assert!(server["origin.json"].contains("ferry"));
    assert!(
        members
            .server_configs("harbour", "quay", "nobody")
            .is_empty()
    );
}

/// A replica with its sockets open, at an API server that knows one token.
struct Replica {
    uri: String,
    page: String,
    members: Members,
    term: watch::Sender<Option<u64>>,
    leader: watch::Sender<Option<String>>,
    patched: Arc<AtomicUsize>,
    shutdown: CancellationToken,
}

async fn replica(term: Option<u64>, leader: Option<&str>) -> Replica {
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let settings = Settings {
        grpc: free(),
        http: free(),
        watch_namespace: Some("harbour".to_owned()),
    };
    let patched = Arc::new(AtomicUsize::new(0));
    let count = patched.clone();
    let unslotted = || relay("e-a", "edge", "10.0.2.1", None);
    let client = client(move |method, path, body| {
        if path.contains("tokenreviews") {
            let pod = body["spec"]["token"].as_str().unwrap().to_owned();
            let status = reviewed("harbour", "quay-edge", &pod, &format!("uid-{pod}"));
            return (201, review(status));
        }
        if method == ::http::Method::PATCH {
            assert!(
                path.contains("fieldManager=banyan-operator%2Fmembers"),
                "{path}"
            );
            assert_eq!(body["metadata"]["uid"], "uid-e-a");
            count.fetch_add(1, Ordering::Relaxed);
            let slot = body["metadata"]["annotations"]["banyan.media/slot"].as_str();
            let slot = slot.unwrap().parse().unwrap();
            let pod = relay("e-a", "edge", "10.0.2.1", Some(slot));
            return (200, serde_json::to_value(pod).unwrap());
        }
        if path.contains("watch=") {
            return (
                200,
                json!({"type": "BOOKMARK", "object": {
                "apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "2"}}}),
            );
        }
        let items = vec![relay("m-a", "mid", "10.0.1.1", Some(0)), unslotted()];
        (
            200,
            json!({"apiVersion": "v1", "kind": "PodList",
            "metadata": {"resourceVersion": "1"}, "items": items}),
        )
    });
    let members = Members::new(settings.clone());
    members.set_topology("harbour", "quay", Some(desired()));
    let (term, leads) = watch::channel(term);
    let (leader, led) = watch::channel(leader.map(str::to_owned));
    let shutdown = CancellationToken::new();
    let leadership = Leadership {
        term: leads,
        leader: led,
    };
    let (running, stop) = (members.clone(), shutdown.clone());
    let writes = Writes::new(Fence::open(), Metrics::default());
    tokio::spawn(async move { running.run(client, writes, leadership, stop).await });
    members.synced().await;
    Replica {
        uri: format!("http://{}", settings.grpc),
        page: settings.http.to_string(),
        members,
        term,
        leader,
        patched,
        shutdown,
    }
}

impl Replica {
    async fn ask(&self, pod: &str, features: &[&str]) -> Result<v1::Welcome, Status> {
        let hello = v1::Hello {
            protocol_min: transport::PROTOCOL,
            protocol_max: transport::PROTOCOL,
            scheme: SERVICE_ACCOUNT.to_owned(),
            credential: pod.as_bytes().to_vec().into(),
            features: features.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let body = Some(attach_request::Body::Hello(hello));
        let channel = transport::endpoint(&self.uri)
            .unwrap()
            .connect()
            .await
            .unwrap();
        let first = tokio_stream::iter([v1::AttachRequest { body }]);
        let mut replies = ControlClient::new(channel)
            .attach(first)
            .await?
            .into_inner();
        match replies.message().await?.and_then(|reply| reply.body) {
            Some(attach_reply::Body::Welcome(welcome)) => Ok(welcome),
            other => panic!("{other:?}"),
        }
    }

    async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(&self.page).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text
    }
}

#[tokio::test]
async fn a_pod_is_given_a_slot_and_told_who_it_is() {
    let replica = replica(Some(5), None).await;
    let welcome = replica.ask("e-a", &[BOOT]).await.unwrap();
    assert_eq!((&*welcome.slot, welcome.term), ("edge-0", 5));
    assert_eq!(welcome.config.unwrap().parents[0].name, "mid-0");
    assert_eq!(replica.patched.load(Ordering::Relaxed), 1, "written once");
    let stranger = replica.ask("e-z", &[BOOT]).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    assert!(stranger.message().contains("\"e-z\""), "{stranger}");
    // The account of this token is not that of the pod's tier.
    let other = replica.ask("m-a", &[BOOT]).await.unwrap_err();
    assert_eq!(other.code(), Code::Unauthenticated);
    assert!(other.message().contains("quay-mid"), "{other}");
    replica.shutdown.cancel();
}

#[tokio::test]
async fn the_page_and_the_api_of_each_topology_stand_under_its_name() {
    let replica = replica(Some(5), None).await;
    let mut changes = std::pin::pin!(replica.members.changes());
    assert_eq!(changes.next().await.unwrap().1, "quay");
    let index = replica.get("/api/topologies").await;
    assert!(
        index.contains("\"page\":\"topologies/harbour/quay/\""),
        "{index}"
    );
    for (path, part) in [
        ("/", "topologies/harbour/quay/"),
        ("/topologies/harbour/quay", "location: quay/"),
        ("/topologies/harbour/quay/", "text/html"),
        (
            "/topologies/harbour/quay/api/topology?x=1",
            "\"topology\":\"quay\"",
        ),
        ("/topologies/harbour/quay/api/streams", "[]"),
        ("/topologies/harbour/none/", "\"none\""),
        ("/healthz", "ok"),
    ] {
        let text = replica.get(path).await;
        assert!(text.contains(part), "{path}: {text}");
    }
    replica.shutdown.cancel();
}

#[tokio::test]
async fn a_standby_names_the_leader_and_serves_once_it_leads() {
    let replica = replica(None, Some("http://leader.invalid:7400")).await;
    let refused = replica.ask("e-a", &[BOOT]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let mut target = banyan_proto::redirect::Target::new(&replica.uri);
    assert!(target.ended(&refused), "{refused:?}");
    assert_eq!(target.uri(), "http://leader.invalid:7400");
    let page = replica.get("/topologies/harbour/quay/").await;
    assert!(
        page.contains("503") && page.contains("leader.invalid"),
        "{page}"
    );
    assert_eq!(replica.patched.load(Ordering::Relaxed), 0);
    replica.leader.send_replace(None);
    replica.term.send_replace(Some(6));
    assert_eq!(replica.ask("e-a", &[BOOT]).await.unwrap().term, 6);
    replica.shutdown.cancel();
}
