//! Whole connections: keep-alive, stalls, limits, HTTP/2, shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::connection::Protocol;
use super::super::{Egress, Options, serve};
use super::{EPOCH, Fake, PEER, edge, segment_bytes, segment_path};

/// A client of one connection over a pipe that holds `capacity` bytes.
fn connect(
    edge: &Arc<Egress<Fake>>,
    protocol: Protocol,
    capacity: usize,
) -> (DuplexStream, tokio::task::JoinHandle<()>) {
    let (client, server) = tokio::io::duplex(capacity);
    (
        client,
        tokio::spawn(edge.clone().connection(PEER, server, protocol)),
    )
}

/// The connection's end, within a bound of virtual time.
async fn ended(connection: tokio::task::JoinHandle<()>) {
    let end = tokio::time::timeout(Duration::from_secs(60), connection);
    end.await.expect("the connection must end").unwrap();
}

/// Reads one HTTP/1.1 response with a length.
async fn response(client: &mut DuplexStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body).await.unwrap();
    (head, body)
}

#[tokio::test(start_paused = true)]
async fn one_connection_carries_many_requests() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    let (mut client, _) = connect(&edge, Protocol::Http1, 64 * 1024);
    for n in 97..=100 {
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
            segment_path("360p", n)
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = response(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("\r\ndate: "), "{head}");
        assert_eq!(body, segment_bytes(EPOCH + n));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_closed_after_ten_seconds() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    // The pipe is smaller than the response.
    let (mut client, connection) = connect(&edge, Protocol::Http1, 64);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        segment_path("360p", 100)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let asked = Instant::now();
    ended(connection).await;
    assert_eq!(asked.elapsed(), Duration::from_secs(10));
    assert_eq!(edge.metrics.stalled.get(), 1);
    assert_eq!(edge.metrics.connections.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_takes_something_is_kept() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    let (mut client, connection) = connect(&edge, Protocol::Http1, 64);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        segment_path("360p", 100)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut taken = Vec::new();
    let expected = segment_bytes(EPOCH + 100);
    while !taken.ends_with(&expected) {
        tokio::time::sleep(Duration::from_secs(9)).await;
        let mut some = [0; 64];
        let length = client.read(&mut some).await.unwrap();
        assert_ne!(length, 0, "closed after {} bytes", taken.len());
        taken.extend_from_slice(&some[..length]);
    }
    assert_eq!(edge.metrics.stalled.get(), 0);
    drop(client);
    ended(connection).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_dribbles_its_request_is_closed() {
    let edge = edge(&Fake::new());
    let (mut client, connection) = connect(&edge, Protocol::Http1, 1024);
    let started = Instant::now();
    let dribble = async {
        for byte in b"GET /healthz HTTP/1.1\r\nhost: a\r\nx: "
            .iter()
            .chain([b'y'].iter().cycle())
        {
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = dribble => {}
        () = ended(connection) => {}
    }
    assert!(
        started.elapsed() <= Duration::from_secs(31),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_oversized_head_is_refused() {
    let edge = edge(&Fake::new());
    let (mut client, _) = connect(&edge, Protocol::Http1, 64 * 1024);
    let request = format!(
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    client.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"HTTP/1.1 431");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_its_waiting_request() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    let (mut client, connection) = connect(&edge, Protocol::Http1, 1024);
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        segment_path("360p", 101)
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let demand = || fake.0.demand.load(Ordering::Relaxed);
    for _ in 0..1000 {
        if demand() > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(demand(), 1);
    drop(client);
    ended(connection).await;
    assert_eq!(demand(), 0);
}

#[tokio::test(start_paused = true)]
async fn http2_serves_the_same_and_closes_a_client_that_opens_no_window() {
    let edge = edge(&Fake::new().with_head("360p", 100));
    let (client, connection) = connect(&edge, Protocol::Http2, 64 * 1024);
    let (mut sender, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(100)
        .handshake(TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(driver);
    let request = http::Request::get(format!("http://a{}", segment_path("360p", 100)));
    let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request.clone()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, segment_bytes(EPOCH + 100));

    let unread = sender.send_request(request).await.unwrap();
    let asked = Instant::now();
    ended(connection).await;
    let waited = asked.elapsed();
    assert!((10.0..13.0).contains(&waited.as_secs_f64()), "{waited:?}");
    assert_eq!(edge.metrics.stalled.get(), 1);
    drop(unread);
}

#[tokio::test]
async fn a_listener_serves_both_protocols_and_finishes_on_shutdown() {
    let fake = Fake::new().with_head("360p", 100);
    let demand = fake.0.demand.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let options = Options::default();
    let impatient = options.impatient.clone();
    let served = tokio::spawn(serve(fake, options, listener, shutdown.clone()));

    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut sender, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(tcp))
        .await
        .unwrap();
    let driver = tokio::spawn(driver);
    let request = http::Request::get(format!("http://{address}/healthz"));
    let answer = sender
        .send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (answer.version(), answer.status().as_u16()),
        (http::Version::HTTP_2, 200)
    );

    // One request is on hold and one connection idle when shutdown begins.
    let mut held = TcpStream::connect(address).await.unwrap();
    let idle = TcpStream::connect(address).await.unwrap();
    let path = segment_path("360p", 101);
    held.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let waiting = async {
        while demand.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap();
    shutdown.cancel();
    impatient.cancel();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(5), held.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    tokio::time::timeout(Duration::from_secs(3), served)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    drop((idle, sender));
    driver.abort();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the listener is closed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lame_duck_serves_on_and_closes_between_responses() {
    let fake = Fake::new().with_head("360p", 100);
    let (options, shutdown) = (Options::default(), CancellationToken::new());
    let lame_duck = options.lame_duck.clone();
    let edge = Egress::new(fake.clone(), options, shutdown.clone());
    let ask = |n| {
        format!(
            "GET {} HTTP/1.1\r\nhost: a\r\n\r\n",
            segment_path("360p", n)
        )
    };
    // One between two requests, one that waits for what comes next.
    let (mut idle, idling) = connect(&edge, Protocol::Http1, 64 * 1024);
    idle.write_all(ask(99).as_bytes()).await.unwrap();
    assert!(!response(&mut idle).await.0.contains("connection: close"));
    let (mut held, holding) = connect(&edge, Protocol::Http1, 64 * 1024);
    held.write_all(ask(101).as_bytes()).await.unwrap();
    tokio::task::yield_now().await;

    lame_duck.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    idle.write_all(ask(100).as_bytes()).await.unwrap();
    let (head, body) = response(&mut idle).await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("connection: close"),
        "{head}"
    );
    assert_eq!(body, segment_bytes(EPOCH + 100));
    ended(idling).await;
    let (mut new, newcomer) = connect(&edge, Protocol::Http1, 64 * 1024);
    new.write_all(ask(100).as_bytes()).await.unwrap();
    assert!(response(&mut new).await.0.starts_with("HTTP/1.1 200"));
    ended(newcomer).await;

    shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(500)).await;
    fake.set_head("360p", 101, 2);
    let (head, body) = response(&mut held).await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("connection: close"),
        "{head}"
    );
    assert_eq!(body, segment_bytes(EPOCH + 101));
    ended(holding).await;
}
