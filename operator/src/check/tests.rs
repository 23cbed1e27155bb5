//! What is accepted on the command line, and what counts as an answer.

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;

#[test]
fn targets_are_http_or_tcp_with_a_port() {
    assert_eq!(
        target("http://larch.grove.svc:8081/readyz").unwrap(),
        Target {
            url: "http://larch.grove.svc:8081/readyz".to_owned(),
            authority: "larch.grove.svc:8081".to_owned(),
            path: Some("/readyz".to_owned()),
        }
    );
    assert_eq!(
        target("http://larch:80").unwrap().path.as_deref(),
        Some("/")
    );
    assert_eq!(target("tcp://larch:7400").unwrap().path, None);
    for bad in [
        "larch:7400",
        "tcp://larch",
        "tcp://:1",
        "tcp://larch:7400/x",
        "https://larch:1/",
        "http://larch:port/",
    ] {
        let sentence = target(bad).unwrap_err();
        assert_eq!(
            sentence,
            format!("{bad:?}; accepted are http://HOST:PORT/PATH and tcp://HOST:PORT")
        );
    }
}

#[test]
fn times_have_a_unit() {
    assert_eq!(span("30s").unwrap(), Duration::from_secs(30));
    assert_eq!(span("250ms").unwrap(), Duration::from_millis(250));
    assert_eq!(span("2m").unwrap(), Duration::from_secs(120));
    assert_eq!(span("1m30s").unwrap(), Duration::from_secs(90));
    for bad in ["30", "s", "", "3d", "-1s", "1.5s"] {
        assert!(span(bad).is_err(), "{bad}");
    }
}

/// Answers requests with these status lines, one per connection.
async fn server(answers: &'static [&'static str]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for answer in answers {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = [0; 1024];
            let read = socket.read(&mut asked).await.unwrap();
            assert!(asked[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

fn arguments(within: Duration, url: String) -> Arguments {
    Arguments {
        within,
        targets: vec![target(&url).unwrap()],
    }
}

#[tokio::test]
async fn it_asks_again_until_the_answer_is_200() {
    let address = server(&[
        "HTTP/1.1 503 Service Unavailable\r\n\r\nnot yet",
        "HTTP/1.1 200 OK\r\n\r\nok",
    ])
    .await;
    let within = Duration::from_secs(30);
    let asked = ask_all(&arguments(within, format!("http://{address}/readyz"))).await;
    assert_eq!(asked, Ok(()));
}

#[tokio::test]
async fn it_says_what_the_last_answer_was() {
    let address = server(&["HTTP/1.1 503 Service Unavailable\r\n\r\nrefused by lease\n"]).await;
    let url = format!("http://{address}/readyz");
    let asked = ask_all(&arguments(Duration::ZERO, url.clone())).await;
    assert_eq!(
        asked,
        Err(format!(
            "{url} within 0 s: HTTP/1.1 503 Service Unavailable refused by lease"
        ))
    );
}

#[tokio::test]
async fn a_connection_is_enough_for_tcp_and_a_closed_port_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("tcp://{address}");
    assert_eq!(
        ask_all(&arguments(Duration::ZERO, url.clone())).await,
        Ok(())
    );
    drop(listener);
    let sentence = ask_all(&arguments(Duration::ZERO, url)).await.unwrap_err();
    assert!(sentence.contains("refused"), "{sentence}");
}
