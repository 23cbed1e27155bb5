//! Bad requests against a running overlay, over gRPC and HTTP, while a viewer plays: each gets its precise status,
//! nobody panics, and the viewer loses nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use banyan_proto::v1;
use banyan_tests::grpc::{Caller, framed};
use banyan_tests::hls::{self, Playlist};
use banyan_tests::{Overlay, Stopwatch, http, wait_until};
use bytes::{BufMut, Bytes, BytesMut};
use tonic::Code;

const SUBSCRIBE: &str = "/banyan.v1.Media/Subscribe";
const FETCH: &str = "/banyan.v1.Media/Fetch";
const CATALOG: &str = "/banyan.v1.Media/Catalog";
const BEAT: &str = "/banyan.v1.Rendezvous/Beat";
const ATTACH: &str = "/banyan.v1.Control/Attach";
const WATCH: u32 = 20;
const SETTLED: Duration = Duration::from_secs(20);

#[test]
fn bad_requests_get_their_status_and_the_viewer_loses_nothing() {
    let watch = Stopwatch::start("bad_requests");
    let overlay = Overlay::from("tests/manifests/plain.yaml").up();
    watch.lap("ready");
    let edge = overlay.edges()[0].clone();
    let mut viewer = overlay.play(&format!("{edge}/pulse/index.m3u8"), WATCH);
    let playlist = hls::playlist(&edge, "pulse", "90p");

    refuse_strangers(&overlay);
    watch.lap("strangers");
    refuse_noise(&overlay);
    watch.lap("noise");
    refuse_positions_over_grpc(&overlay, &playlist);
    watch.lap("positions over gRPC");
    refuse_over_http(&edge, &playlist);
    watch.lap("HTTP");
    survive_raw_bytes(&overlay);
    watch.lap("raw bytes");

    let faults = std::mem::take(&mut *FAULTS.lock().expect("no holder may panic"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(
        viewer.is_watching(),
        "the viewer must have watched all of it"
    );
    let report = viewer.report(Duration::from_secs(90));
    report.assert_unbroken("the viewer");
    assert!(overlay.all_ready(), "{}", overlay.topology());
}

/// Wrong secret, no greeting, another scheme, a protocol of the future.
fn refuse_strangers(overlay: &Overlay) {
    let stranger = Caller::new(&"0".repeat(64), "edge-0");
    let member = Caller::new(overlay.secret(), "edge-0");
    let claiming = v1::Hello {
        credential: Bytes::from_static(b"edge-0."),
        ..member.hello()
    };
    let borrowed = {
        let text = String::from_utf8(member.hello().credential.to_vec())
            .expect("a credential must be text");
        let other = text.replacen("edge-0", "root-0", 1);
        v1::Hello {
            credential: Bytes::from(other),
            ..member.hello()
        }
    };
    let greetings = [
        (
            "a wrong secret",
            Some(stranger.hello()),
            Code::Unauthenticated,
        ),
        ("no greeting", None, Code::Unauthenticated),
        ("an empty credential", Some(claiming), Code::Unauthenticated),
        (
            "the credential of another name",
            Some(borrowed),
            Code::Unauthenticated,
        ),
        (
            "an unknown scheme",
            Some(v1::Hello {
                scheme: "password".into(),
                ..member.hello()
            }),
            Code::Unauthenticated,
        ),
        (
            "a future protocol",
            Some(v1::Hello {
                protocol_min: 99,
                protocol_max: 99,
                ..member.hello()
            }),
            Code::FailedPrecondition,
        ),
    ];
    for (what, hello, code) in greetings {
        for name in ["faro", "root-0", "edge-0"] {
            let uri = overlay.grpc_of(name);
            let (stream, track) = ("pulse".to_owned(), "90p".to_owned());
            let subscribe = v1::SubscribeRequest {
                hello: hello.clone(),
                stream: stream.clone(),
                track: track.clone(),
                ..Default::default()
            };
            let fetch = v1::FetchRequest {
                hello: hello.clone(),
                stream,
                track,
                init: true,
                ..Default::default()
            };
            let catalog = v1::CatalogRequest {
                hello: hello.clone(),
            };
            assert_status(
                &format!("{what}: subscribe at {name}"),
                &member.call(&uri, SUBSCRIBE, &subscribe),
                &[code],
            );
            assert_status(
                &format!("{what}: fetch at {name}"),
                &member.call(&uri, FETCH, &fetch),
                &[code],
            );
            assert_status(
                &format!("{what}: catalog at {name}"),
                &member.call(&uri, CATALOG, &catalog),
                &[code],
            );
        }
        let body = hello.clone().map(v1::beat_request::Body::Hello);
        let beat = v1::BeatRequest { body };
        assert_status(
            &format!("{what}: beat"),
            &member.call(&overlay.grpc_of("root-0"), BEAT, &beat),
            &[code],
        );
        let attach = v1::AttachRequest {
            body: hello.map(v1::attach_request::Body::Hello),
        };
        let control = overlay.grpc_of("control");
        assert_status(
            &format!("{what}: attach"),
            &member.call(&control, ATTACH, &attach),
            &[code],
        );
    }
}

/// Messages that are none, too large, cut short or flagged as compressed.
fn refuse_noise(overlay: &Overlay) {
    let caller = Caller::new(overlay.secret(), "edge-0");
    let prefix = |flag: u8, len: u32, body: &[u8]| {
        let mut bytes = BytesMut::new();
        bytes.put_u8(flag);
        bytes.put_u32(len);
        bytes.put_slice(body);
        bytes.freeze()
    };
    let huge = framed(&vec![0x0a; 17 << 20]);
    let large = [
        Code::OutOfRange,
        Code::ResourceExhausted,
        Code::InvalidArgument,
    ];
    let broken = [
        Code::Internal,
        Code::InvalidArgument,
        Code::DataLoss,
        Code::Unimplemented,
    ];
    let cases: [(&str, Bytes, &[Code]); 6] = [
        ("noise", framed(b"\xff\xff\xff\xff no message"), &broken),
        ("a message of 17 MiB", huge, &large),
        ("a length of 4 GiB", prefix(0, u32::MAX, b"x"), &large),
        ("a message cut short", prefix(0, 1000, b"\x0a\x02"), &broken),
        ("a compressed message", prefix(1, 4, b"\x0a\x02ab"), &broken),
        ("no message at all", Bytes::new(), &broken),
    ];
    for (what, body, codes) in cases {
        for (name, path) in [
            ("faro", SUBSCRIBE),
            ("root-0", SUBSCRIBE),
            ("edge-0", FETCH),
            ("edge-0", CATALOG),
            ("root-0", BEAT),
            ("control", ATTACH),
        ] {
            // A bidirectional call without a message is a caller who said nothing.
            let silent = body.is_empty() && (path == BEAT || path == ATTACH);
            let codes = if silent {
                &[Code::Unauthenticated, Code::InvalidArgument][..]
            } else {
                codes
            };
            let status = caller.raw(&overlay.grpc_of(name), path, body.clone());
            assert_status(&format!("{what}: {path} at {name}"), &status, codes);
        }
    }
    let status = caller.raw(
        &overlay.grpc_of("edge-0"),
        "/banyan.v1.Media/Dance",
        framed(b""),
    );
    assert_status("an unknown method", &status, &[Code::Unimplemented]);
}

/// Unknown streams and tracks, positions of the future and of another run, too many hops.
fn refuse_positions_over_grpc(overlay: &Overlay, playlist: &Playlist) {
    let caller = Caller::new(overlay.secret(), "edge-1");
    let head = playlist.head();
    let fetch = |stream: &str, track: &str, run: &str, from: u64| v1::FetchRequest {
        stream: stream.into(),
        track: track.into(),
        run: run.into(),
        from_number: from,
        to_number: from,
        deadline_ms: 2_000,
        max_bytes: 1 << 20,
        ..Default::default()
    };
    let run = playlist.run.as_str();
    // A member that has just started says UNAVAILABLE of what it does not know: more may still arrive.
    let unknown = v1::FetchRequest {
        hello: Some(caller.hello()),
        ..fetch("nowhere", "90p", run, head)
    };
    wait_until("members know what is offered", SETTLED, || {
        ["root-0", "edge-0"].iter().all(|name| {
            caller.call(&overlay.grpc_of(name), FETCH, &unknown).code() != Code::Unavailable
        })
    });
    let other_run = [Code::NotFound, Code::FailedPrecondition];
    for name in ["faro", "root-0", "edge-0"] {
        let uri = overlay.grpc_of(name);
        // What comes before the end, such as Welcome, does not count.
        let refused = |what: &str, request: v1::FetchRequest, codes: &[Code]| {
            let status = match caller.fetch(&uri, request) {
                // A Gap says that these positions will never be served here.
                Ok(fetched) if fetched.chunks.is_empty() && !fetched.gaps.is_empty() => {
                    tonic::Status::not_found(fetched.gaps[0].reason.clone())
                }
                Ok(fetched) => tonic::Status::ok(format!("delivered {fetched:?}")),
                Err(status) => status,
            };
            assert_status(&format!("{what}: fetch at {name}"), &status, codes);
        };
        refused(
            "an unknown stream",
            fetch("nowhere", "90p", run, head),
            &[Code::NotFound],
        );
        refused(
            "an unknown track",
            fetch("pulse", "8k", run, head),
            &[Code::NotFound],
        );
        refused(
            "an unknown run",
            fetch("pulse", "90p", "aaaaaaaaaa", head),
            &other_run,
        );
        refused(
            "the far future",
            fetch("pulse", "90p", run, head + 10_000),
            &[Code::OutOfRange, Code::NotFound],
        );
        refused(
            "before the epoch",
            fetch("pulse", "90p", run, 1),
            &[Code::OutOfRange, Code::NotFound],
        );
        let hops = v1::FetchRequest {
            hops: 17,
            ..fetch("pulse", "90p", run, head)
        };
        refused(
            "a request that went in circles",
            hops,
            &[
                Code::FailedPrecondition,
                Code::InvalidArgument,
                Code::Aborted,
            ],
        );

        let after = |number| v1::After {
            run: run.into(),
            number,
            ..Default::default()
        };
        let subscribe = |stream: &str, track: &str, from| v1::SubscribeRequest {
            hello: Some(caller.hello()),
            stream: stream.into(),
            track: track.into(),
            from: Some(from),
        };
        let live = || v1::subscribe_request::From::Live(v1::Live {});
        for (what, request, codes) in [
            (
                "an unknown stream",
                subscribe("nowhere", "90p", live()),
                &[Code::NotFound][..],
            ),
            (
                "an unknown track",
                subscribe("pulse", "8k", live()),
                &[Code::NotFound],
            ),
            (
                "after the far future",
                subscribe(
                    "pulse",
                    "90p",
                    v1::subscribe_request::From::After(after(head + 10_000)),
                ),
                &[Code::OutOfRange],
            ),
        ] {
            let status = first_status(&caller, &uri, &request);
            assert_status(&format!("{what}: subscribe at {name}"), &status, codes);
        }
    }
}

/// The status of a subscription that must not deliver: what comes before the end (such as Welcome) does not count.
fn first_status(caller: &Caller, uri: &str, request: &v1::SubscribeRequest) -> tonic::Status {
    match caller.subscribe(uri, request.clone(), 1) {
        Ok(heads) => tonic::Status::ok(format!("delivered {heads:?}")),
        Err(status) => status,
    }
}

fn refuse_over_http(edge: &str, playlist: &Playlist) {
    let (run, head) = (playlist.run.as_str(), playlist.head());
    let media = |file: &str| format!("/pulse/{run}/90p/{file}");
    let long = format!("/{}", "x".repeat(20_000));
    for (path, codes) in [
        ("/nowhere/index.m3u8".to_owned(), &[404][..]),
        ("/pulse/8k.m3u8".to_owned(), &[404]),
        ("/pulse/nothing.mp3".to_owned(), &[404]),
        ("/pulse/aaaaaaaaaa/90p/init.mp4".to_owned(), &[404]),
        (format!("/pulse/aaaaaaaaaa/90p/{head}.m4s"), &[404]),
        (media(&format!("{}.m4s", head - 500)), &[404]),
        (media("1.m4s"), &[404]),
        (media(&format!("{}.m4s", head + 500)), &[400]),
        (media(&format!("{head}.99.m4s")), &[404, 400]),
        (media("abc.m4s"), &[400, 404]),
        (media("-1.m4s"), &[400, 404]),
        (media("99999999999999999999999999.m4s"), &[400, 404]),
        (media("18446744073709551615.m4s"), &[400]),
        (media("18446744073709551615.4294967295.m4s"), &[400]),
        ("/pulse/%zz".to_owned(), &[400, 404]),
        ("/pulse/%00/90p.m3u8".to_owned(), &[400, 404]),
        ("/pulse//90p.m3u8".to_owned(), &[400, 404]),
        ("/%2e%2e/%2e%2e/etc/passwd".to_owned(), &[400, 404]),
        ("/PULSE/index.m3u8".to_owned(), &[400, 404]),
        (long, &[400, 404, 414, 431]),
    ] {
        let shown: String = path.chars().take(80).collect();
        let answer = raw_http(
            edge,
            &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        );
        let status =
            status_of(&answer).unwrap_or_else(|| panic!("{shown}: no status in {answer:?}"));
        if !codes.contains(&status) {
            note(format!(
                "{shown}: {status}, one of {codes:?} is right: {answer}"
            ));
        }
    }
    let segment = media(&format!("{head}.m4s"));
    for (method, headers, codes) in [
        ("POST", "Content-Length: 0\r\n", &[405][..]),
        ("DELETE", "", &[405]),
        ("GET", "Range: bytes=99999999-\r\n", &[416]),
        ("GET", "Range: nonsense\r\n", &[200]),
        ("GET", "Range: bytes=5-2\r\n", &[200, 416]),
    ] {
        let request =
            format!("{method} {segment} HTTP/1.1\r\nHost: a\r\n{headers}Connection: close\r\n\r\n");
        let answer = raw_http(edge, &request);
        let status =
            status_of(&answer).unwrap_or_else(|| panic!("{method} {headers:?}: {answer:?}"));
        if !codes.contains(&status) {
            note(format!(
                "{method} {headers:?}: {status}, one of {codes:?} is right"
            ));
        }
    }
    // Within reach, so it is waited for.
    let next = http::get(&format!(
        "{edge}{}",
        media(&format!(
            "{}.m4s",
            hls::playlist(edge, "pulse", "90p").head() + 1
        ))
    ));
    assert_eq!(next.status, 200, "the next segment: {}", next.text());
}

/// Bytes that are neither HTTP nor gRPC, at every port of every member.
fn survive_raw_bytes(overlay: &Overlay) {
    let noises: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"SUBSCRIBE \r\nHost\r\n\r\n",
    ];
    for name in ["control", "faro", "root-0", "edge-0"] {
        for uri in [overlay.http_of(name), overlay.grpc_of(name)] {
            for noise in noises {
                let mut socket = connect(&uri);
                // The other side may close first.
                let _ = socket.write_all(noise);
                let _ = socket.shutdown(std::net::Shutdown::Write);
                let _ = socket.read_to_end(&mut Vec::new());
            }
        }
        let health = http::get(&format!("{}/healthz", overlay.http_of(name)));
        assert_eq!(health.status, 200, "{name} after noise: {}", health.text());
    }
}

fn raw_http(base: &str, request: &str) -> String {
    let mut socket = connect(base);
    let _ = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer[..answer.len().min(400)]).into_owned()
}

fn status_of(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn connect(base: &str) -> TcpStream {
    let address = base.trim_start_matches("http://");
    let socket = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket
        .set_read_timeout(Some(Duration::from_secs(15)))
        .expect("a timeout must be settable");
    socket
}

/// Notes a wrong status; all of them are told at the end.
fn assert_status(what: &str, status: &tonic::Status, codes: &[Code]) {
    if !codes.contains(&status.code()) {
        note(format!(
            "{what}: {:?} {:?}, one of {codes:?} is right",
            status.code(),
            status.message()
        ));
    } else if status.message().is_empty() {
        note(format!("{what}: {:?} without a sentence", status.code()));
    }
}

fn note(fault: String) {
    FAULTS.lock().expect("no holder may panic").push(fault);
}

static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
