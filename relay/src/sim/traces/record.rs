//! Records a trace: a process that serves, one that reads, and the machine's load between them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banyan_proto::server::MediaServer;
use banyan_proto::transport;
use banyan_proto::v1::{self, subscribe_request::From};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::clock::{Clock, Instant};
use crate::connector::{Connector, Dialled};
use crate::core::lock;
use crate::testing::origin::{Content, Origin};
use crate::testing::{EPOCH, STREAM, VIDEO, secret};

/// How finely the reader's own pauses are noticed, and which are worth a line.
const TICK: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(8);

/// Set for the process that serves.
const SERVES: &str = "BANYAN_TRACE_SERVES";

/// The serving process: says its port, and ends with its input.
#[test]
fn serve() {
    if std::env::var_os(SERVES).is_none() {
        println!("nothing to serve: `record` starts this as a process of its own");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    let clock = Clock::starting_at(Duration::from_secs(EPOCH + 30));
    let content = Content {
        payload: 40_000,
        ..Content::default()
    };
    let origin = Origin::new("lisbon", clock, content);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    println!("port {}", listener.local_addr().unwrap().port());
    runtime.spawn(
        transport::server()
            .add_service(MediaServer::new(Arc::new(origin)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn record() {
    let Ok(file) = std::env::var("BANYAN_TRACE") else {
        println!("nothing to record: BANYAN_TRACE names no file");
        return;
    };
    let seconds = std::env::var("BANYAN_TRACE_SECONDS").map_or(60, |text| text.parse().unwrap());
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "sim::traces::record::serve"])
        .env(SERVES, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("port ")?.1.to_owned()))
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let text = runtime.block_on(read(&format!("http://127.0.0.1:{port}"), seconds));
    drop(server.stdin.take());
    server.wait().unwrap();
    std::fs::write(file, text).unwrap();
}

async fn read(uri: &str, seconds: u64) -> String {
    let peer = v1::Peer {
        name: "lisbon".into(),
        uri: uri.to_owned(),
    };
    let request = v1::SubscribeRequest {
        hello: Some(secret().hello("edge-7", "boot")),
        stream: STREAM.into(),
        track: VIDEO.into(),
        from: Some(From::Live(v1::Live {})),
    };
    let mut source = Dialled
        .link(&peer)
        .unwrap()
        .subscribe(request)
        .await
        .unwrap();
    // What comes at once belongs to joining.
    source.next().await.unwrap();
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let pauses = Arc::new(Mutex::new(String::new()));
    let ticking = {
        let pauses = pauses.clone();
        tokio::spawn(async move {
            loop {
                let due = Instant::now() + TICK;
                tokio::time::sleep_until(due).await;
                let now = Instant::now();
                if now - due > PAUSE {
                    let us = |at: Instant| (at - start).as_micros();
                    let _ = writeln!(lock(&pauses), "p,{},{}", us(due), us(now));
                }
            }
        })
    };
    let mut text = format!(
        "# arrivals of {seconds} s at a member, recorded by relay/src/sim/traces/record.rs\n"
    );
    let mut count = 0;
    while Instant::now() < end {
        source.next().await.unwrap().unwrap();
        count += 1;
        let _ = writeln!(text, "m,{}", (Instant::now() - start).as_micros());
    }
    ticking.abort();
    assert!(
        count as u64 > 5 * seconds,
        "{count} messages in {seconds} s"
    );
    text.push_str(&lock(&pauses));
    text
}
