//! What tests need inside a cluster's network, as a process there: simulated members, a path to a server that can be
//! cut, many requests at once. Commands come on standard input, answers go to standard output, a line each; the end of
//! input ends the process.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use banyan_proto::v1::{self, attach_reply, attach_request::Body, control_client::ControlClient};
use banyan_proto::{transport, trust};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::Channel;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["members"] => runtime().block_on(members()),
        ["path", target] => {
            runtime().block_on(path(target.parse().expect("the target must be an address")))
        }
        ["requests", base, workers] => {
            requests(base, workers.parse().expect("workers must be a number"));
        }
        _ => panic!("{words:?} is not accepted; members, path ADDRESS and requests URL N are"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime must be buildable")
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any longer: the end of input follows.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Lines of standard input, for tasks.
fn lines() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A member to play, or new figures of one that is played already.
#[derive(Deserialize)]
struct Member {
    id: String,
    uri: String,
    token: String,
    role: String,
    #[serde(default)]
    sessions: u32,
}

/// Members of one process share this many connections to a server.
const CONNECTIONS: usize = 16;

async fn members() {
    let mut lines = lines();
    let mut played: HashMap<String, Arc<AtomicU32>> = HashMap::new();
    let mut channels: HashMap<(String, usize), Channel> = HashMap::new();
    while let Some(line) = lines.recv().await {
        let member: Member = serde_json::from_str(&line).expect("a line must be a member");
        if let Some(sessions) = played.get(&member.id) {
            sessions.store(member.sessions, Ordering::Relaxed);
            continue;
        }
        let sessions = Arc::new(AtomicU32::new(member.sessions));
        played.insert(member.id.clone(), sessions.clone());
        let channel = channels
            .entry((member.uri.clone(), played.len() % CONNECTIONS))
            .or_insert_with(|| {
                let endpoint = transport::endpoint(&member.uri).expect("a URI must be usable");
                endpoint.connect_lazy()
            })
            .clone();
        tokio::spawn(async move {
            let id = member.id.clone();
            let status = play(member, channel, sessions).await;
            let leader = status.metadata().get("banyan-leader");
            say(&json!({
                "id": id,
                "ended": status.message(),
                "code": status.code().to_string(),
                "leader": leader.and_then(|uri| uri.to_str().ok()),
            }));
        });
    }
}

/// Attaches and reports every second until the call ends.
async fn play(member: Member, channel: Channel, sessions: Arc<AtomicU32>) -> tonic::Status {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let hello = v1::Hello {
        protocol_min: transport::PROTOCOL,
        protocol_max: transport::PROTOCOL,
        boot_id: member.id.clone(),
        scheme: trust::SERVICE_ACCOUNT.to_owned(),
        credential: member.token.clone().into_bytes().into(),
        ..v1::Hello::default()
    };
    let request = |body| v1::AttachRequest { body: Some(body) };
    // Room for four.
    let _ = sender.try_send(request(Body::Hello(hello)));
    let outbound = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut client = ControlClient::new(channel);
    let mut replies = match client.attach(outbound).await {
        Ok(response) => response.into_inner(),
        Err(status) => return status,
    };
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sequence = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                sequence += 1;
                let report = v1::Report {
                    sequence,
                    role: member.role.clone(),
                    load: Some(v1::Load {
                        sessions: sessions.load(Ordering::Relaxed),
                        ..v1::Load::default()
                    }),
                    ..v1::Report::default()
                };
                if sender.send(request(Body::Report(report))).await.is_err() {
                    return tonic::Status::aborted("the call ended");
                }
            }
            reply = replies.message() => match reply {
                Ok(Some(reply)) => {
                    if let Some(attach_reply::Body::Welcome(welcome)) = reply.body {
                        say(&json!({"id": member.id, "slot": welcome.slot}));
                    }
                }
                Ok(None) => return tonic::Status::ok("ended"),
                Err(status) => return status,
            },
        }
    }
}

/// What a path does with connections.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Open,
    /// Connections are taken, and nothing comes through: packets get lost.
    Silent,
    /// Connections are closed: nobody is there.
    Closed,
}

/// Listens on loopback, says where, and passes bytes on as long as it is open.
async fn path(target: SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port must be free");
    let address = listener
        .local_addr()
        .expect("a listener must have an address");
    say(&json!({"address": address.to_string()}));
    let (way, told) = watch::channel(Way::Open);
    let mut lines = lines();
    loop {
        tokio::select! {
            line = lines.recv() => {
                let Some(line) = line else { return };
                way.send_replace(match line.as_str() {
                    "open" => Way::Open,
                    "silent" => Way::Silent,
                    "closed" => Way::Closed,
                    other => panic!("{other:?} is not accepted; open, silent and closed are"),
                });
                say(&json!({"way": line}));
            }
            accepted = listener.accept() => {
                let (near, _) = accepted.expect("a connection must be acceptable");
                tokio::spawn(carry(near, target, told.clone()));
            }
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    if *way.borrow_and_update() == Way::Open
        && let Ok(mut far) = TcpStream::connect(target).await
    {
        tokio::select! {
            // However it ends, both sides see it.
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
            _ = way.changed() => {}
        }
        if *way.borrow_and_update() != Way::Silent {
            return;
        }
        // Both ends stay open, and hear nothing.
        let _ = way.changed().await;
        return;
    }
    if *way.borrow_and_update() == Way::Silent {
        let _ = way.changed().await;
    }
}

/// A request; answers are in no order.
#[derive(Deserialize)]
struct Request {
    id: String,
    method: String,
    path: String,
    #[serde(default)]
    media: String,
    body: Value,
}

/// Sends every request of standard input, several at a time; an answer is a line. Says how long it took at the end.
fn requests(base: &str, workers: usize) {
    let began = Instant::now();
    let (sender, receiver) = mpsc::sync_channel::<Request>(workers);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let agent = ureq::Agent::new_with_config(
                    ureq::Agent::config_builder()
                        .http_status_as_error(false)
                        .timeout_global(Some(Duration::from_secs(30)))
                        .build(),
                );
                loop {
                    let next = receiver.lock().expect("no worker may fail").recv();
                    let Ok(request) = next else { return };
                    say(&answer(&agent, base, &request));
                }
            });
        }
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let request = serde_json::from_str(&line).expect("a line must be a request");
            sender.send(request).expect("workers must be there");
        }
        drop(sender);
    });
    say(&json!({"seconds": began.elapsed().as_secs_f64()}));
}

fn answer(agent: &ureq::Agent, base: &str, request: &Request) -> Value {
    let media = match request.media.as_str() {
        "" => "application/json",
        media => media,
    };
    let built = ureq::http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("{base}{}", request.path))
        .header("content-type", media)
        .body(request.body.to_string())
        .expect("a request must be buildable");
    match agent.run(built) {
        Ok(mut response) => {
            let status = response.status().as_u16();
            let body: Value = response
                .body_mut()
                .read_to_string()
                .ok()
                .and_then(|text| serde_json::from_str(&text).ok())
                .unwrap_or_default();
            json!({"id": request.id, "status": status, "body": body})
        }
        Err(error) => json!({"id": request.id, "status": 0, "body": error.to_string()}),
    }
}
