//! Booting against a control plane of a few lines, over loopback.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use banyan_proto::redirect;
use banyan_proto::v1::control_server::{Control, ControlServer};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming};

use super::*;
use crate::config::{Arguments, Start};
use crate::testing::{config, peer};

type Reply = Result<v1::Welcome, Status>;

/// Answers in order, the last for ever; keeps what it was asked with.
#[derive(Clone, Default)]
struct Desk {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    asked: Arc<Mutex<Vec<v1::Hello>>>,
}

#[tonic::async_trait]
impl Control for Desk {
    type AttachStream = stream::Iter<std::vec::IntoIter<Result<v1::AttachReply, Status>>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let first = request.into_inner().message().await?.and_then(|m| m.body);
        if let Some(Body::Hello(hello)) = first {
            self.asked.lock().unwrap().push(hello);
        }
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            let last = replies.front().cloned();
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                last
            }
        };
        let welcome = reply.unwrap()?;
        let body = Some(attach_reply::Body::Welcome(welcome));
        let replies = vec![Ok(v1::AttachReply { body })];
        Ok(Response::new(stream::iter(replies)))
    }
}

impl Desk {
    async fn serve(replies: impl IntoIterator<Item = Reply>) -> (Desk, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let desk = Desk {
            replies: Arc::new(Mutex::new(replies.into_iter().collect())),
            asked: Arc::default(),
        };
        let server = transport::server().add_service(ControlServer::new(desk.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (desk, uri)
    }
}

fn asking(folder: &Path, role: &str, control: &str) -> Asking {
    std::fs::write(folder.join("token"), "the-token\n").unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let arguments = [
        "banyan-relay",
        "--role",
        role,
        "--topology",
        "quay",
        "--grpc",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--advertise",
        "http://10.0.0.4:7400",
        "--control",
        control,
        "--service-account-token",
        &path("token"),
        "--pod-name",
        "quay-edge-5d9f-x2x",
        "--config",
        &path("tier.json"),
    ];
    match Arguments::parse_from(arguments).resolve().unwrap() {
        Start::Ask(asking) => *asking,
        Start::Known(known) => panic!("{known:?}"),
    }
}

fn welcome(slot: &str, config: v1::Config) -> Reply {
    Ok(v1::Welcome {
        slot: slot.to_owned(),
        config: Some(config),
        ..Default::default()
    })
}

#[tokio::test]
async fn a_member_is_whom_the_leader_says_and_shows_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, uri) = Desk::serve([
        Err(Status::unavailable("nothing is above \"edge-3\" yet")),
        welcome("edge-3", config(&[], &[])),
        welcome("edge-3", config(&[], &["mid-1"])),
    ])
    .await;
    let (_, standby) = Desk::serve([Err(redirect::standby(Some(&uri)))]).await;
    let (member, told) = ask(&asking(folder.path(), "edge", &standby), Duration::MAX).await;
    assert_eq!(member, "edge-3");
    assert_eq!(told.parents, [peer("mid-1")], "only what holds is taken");
    let asked = leader.asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert_eq!(&*asked[0].credential, b"the-token");
    assert_eq!(asked[0].features, [BOOT]);
}

#[tokio::test]
async fn without_an_answer_the_file_rules_under_the_pods_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = config(&["root-0"], &["mid-0", "mid-1", "mid-2", "mid-3", "root-0"]);
    let text = serde_json::to_string(&file).unwrap();
    std::fs::write(folder.path().join("tier.json"), text).unwrap();
    // Nothing listens on port 1.
    let asking = asking(folder.path(), "edge", "http://127.0.0.1:1");
    let (member, told) = ask(&asking, Duration::ZERO).await;
    assert_eq!(member, "quay-edge-5d9f-x2x");
    let names = |config: &v1::Config| -> Vec<String> {
        config.parents.iter().map(|p| p.name.clone()).collect()
    };
    let (mut told, mut all) = (names(&told), names(&file));
    assert_ne!(told, all, "in an order of its own");
    assert_eq!(told[4], "root-0", "but the nearest tier first");
    told.sort();
    all.sort();
    assert_eq!(told, all);
}

#[test]
fn a_root_is_the_one_that_the_others_know_at_its_address_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let asking = asking(folder.path(), "root", "http://127.0.0.1:1");
    let write = |roots: &[(&str, &str)]| {
        let mut file = config(&[], &[]);
        file.roots = roots
            .iter()
            .map(|(name, uri)| v1::Peer {
                name: (*name).to_owned(),
                uri: (*uri).to_owned(),
            })
            .collect();
        let text = serde_json::to_string(&file).unwrap();
        std::fs::write(folder.path().join("tier.json"), text).unwrap();
    };
    write(&[
        ("root-0", "http://10.0.0.3:7400"),
        ("root-1", "http://10.0.0.4:7400"),
    ]);
    assert_eq!(from_file(&asking).unwrap().0, "root-1");
    for strangers in [&[("root-0", "http://10.0.0.3:7400")][..], &[]] {
        write(strangers);
        let error = from_file(&asking).unwrap_err().to_string();
        assert!(error.contains("list of roots"), "{error}");
    }
}

async fn status(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: m\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text.lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn who_waits_is_alive_and_unready_and_keeps_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = http.local_addr().unwrap().to_string();
    let (desk, uri) = Desk::serve([Err(Status::unavailable("not yet"))]).await;
    let waiting = tokio::spawn(wait(asking(folder.path(), "edge", &uri), http));
    assert!(status(&address, "/healthz").await.contains("200"));
    assert!(status(&address, "/readyz").await.contains("503"));
    desk.replies
        .lock()
        .unwrap()
        .push_back(welcome("edge-0", config(&[], &["mid-1"])));
    let (config, http) = waiting.await.unwrap().unwrap();
    assert_eq!(config.member, "edge-0");
    assert_eq!(http.local_addr().unwrap().to_string(), address);
    TcpStream::connect(&address).await.unwrap();
}
