//! An edge serving a cached segment over HTTP, beside nginx with sendfile from tmpfs: CPU seconds of
//! the server per GB.
//!
//! The edge is the real binary; its parent is a stand-in inside this process that offers one segment
//! per object size.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaServer, MediaService};
use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret};
use banyan_proto::v1::media_message::Body;
use banyan_proto::{transport, v1};
use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

use crate::report::{ROUNDS, Series, ratio};

const SIZES: [(&str, usize, f64); 3] = [
    ("64k", 64 << 10, 1.1),
    ("256k", 256 << 10, 1.3),
    ("1m", 1 << 20, 1.5),
];
const PARTS: usize = 4;
const CONNECTIONS: usize = 50;
const BYTES_PER_ROUND: usize = 1 << 30;
const RUN: &str = "abcdefghij";
const EPOCH: u64 = 1_700_000_000;

/// Measures the three object sizes.
pub async fn run() -> Result<()> {
    let scratch = tempfile::tempdir_in("/dev/shm").context("tmpfs at /dev/shm is needed")?;
    let nginx_port = free_port().await?;
    let nginx = Nginx::start(scratch.path(), nginx_port).await?;
    let (relay, relay_port) = start_relay(scratch.path()).await?;
    for (name, size, bar) in SIZES {
        let relay_path = segment_path(relay_port, name).await?;
        let peer_path = format!("/{name}");
        let mut ours = Series::new(format!("edge banyan {name}"));
        let mut peer = Series::new(format!("edge nginx {name}"));
        for _ in 0..ROUNDS {
            let bytes = load(nginx_port, &peer_path, size);
            peer.push("cpu s/GB", measure(nginx.worker, bytes).await?);
            let bytes = load(relay_port, &relay_path, size);
            ours.push("cpu s/GB", measure(relay.0.id(), bytes).await?);
        }
        ratio(&ours, &peer, bar);
    }
    Ok(())
}

async fn measure(pid: u32, load: impl Future<Output = Result<u64>>) -> Result<f64> {
    let before = crate::cpu::of(pid)?;
    let bytes = load.await?;
    let nanoseconds = crate::cpu::of(pid)? - before;
    Ok(nanoseconds as f64 / bytes as f64)
}

/// Ends its process when dropped.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Nginx {
    master: Guard,
    worker: u32,
}

impl Nginx {
    async fn start(scratch: &Path, port: u16) -> Result<Self> {
        for (name, size, _) in SIZES {
            std::fs::write(scratch.join(name), vec![0x5a; size])?;
        }
        let root = scratch.display();
        let config = format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log {root}/errors;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000000;\n\
             server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        );
        std::fs::write(scratch.join("nginx.conf"), config)?;
        let master = Command::new("/usr/sbin/nginx")
            .args(["-p", &root.to_string(), "-c"])
            .arg(scratch.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()
            .context("nginx is missing; run scripts/setup.sh")?;
        let master = Guard(master);
        reachable(port).await?;
        let pid = master.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let worker = children
            .split_whitespace()
            .next()
            .context("nginx started no worker")?
            .parse()?;
        Ok(Self { master, worker })
    }
}

/// Asks the master to end: killed outright it would leave its worker serving.
impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.master.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = self.master.0.wait();
        }
    }
}

async fn start_relay(scratch: &Path) -> Result<(Guard, u16)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let parent = listener.local_addr()?;
    tokio::spawn(
        transport::server()
            .add_service(MediaServer::new(Arc::new(Parent)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let config = v1::Config {
        generation: 1,
        topology: "bench".into(),
        epoch: EPOCH,
        segment_duration_ms: 2000,
        part_duration_ms: 500,
        window_segments: 3,
        heartbeat_interval_ms: 500,
        missed_heartbeats: 3,
        parents: vec![v1::Peer {
            name: "root-0".into(),
            uri: format!("http://{parent}"),
        }],
        ..Default::default()
    };
    let file = scratch.join("edge.json");
    std::fs::write(&file, serde_json::to_vec(&config)?)?;
    let (grpc, http) = (free_port().await?, free_port().await?);
    let binary = std::env::current_exe()?.with_file_name("banyan-relay");
    let child = Command::new(&binary)
        .args([
            "--member",
            "edge-0",
            "--role",
            "edge",
            "--topology",
            "bench",
        ])
        .args(["--grpc", &format!("127.0.0.1:{grpc}")])
        .args(["--http", &format!("127.0.0.1:{http}")])
        .arg("--config")
        .arg(&file)
        .env(RUN_SECRET_VARIABLE, RunSecret::new([7; 32]).to_hex())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} is missing; build it first", binary.display()))?;
    let guard = Guard(child);
    reachable(http).await?;
    Ok((guard, http))
}

/// The segment's path, from the playlist that lists it.
async fn segment_path(port: u16, track: &str) -> Result<String> {
    for _ in 0..100 {
        let (status, playlist) = get(port, &format!("/load/{track}.m3u8")).await?;
        if status == 200 {
            let playlist = String::from_utf8(playlist)?;
            let line = playlist
                .lines()
                .rfind(|line| line.ends_with(".m4s"))
                .context("playlist lists no segment")?;
            return Ok(format!("/load/{line}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the edge served no playlist of {track:?} within ten seconds")
}

/// A parent with one whole segment per track, and silence kept alive.
struct Parent;

impl Parent {
    fn track(name: &str) -> v1::Track {
        v1::Track {
            name: name.into(),
            kind: v1::TrackKind::Video.into(),
            codec: "avc1.64001f".into(),
            width: 1280,
            height: 720,
            frame_rate_num: 25,
            frame_rate_den: 1,
            peak_bandwidth: 4_000_000,
            average_bandwidth: 4_000_000,
            timescale: 25,
            ..Default::default()
        }
    }

    fn number() -> u64 {
        EPOCH + 100
    }
}

fn keep_alives(wrap: fn(v1::KeepAlive) -> Frame) -> FrameStream {
    let every = tokio::time::interval(Duration::from_millis(100));
    let alive = v1::KeepAlive {
        path: vec!["root-0".into()],
        state: v1::FlowState::Flowing.into(),
        run: RUN.into(),
        head_number: Parent::number(),
        head_part: PARTS as u32 - 1,
        ..Default::default()
    };
    tokio_stream::wrappers::IntervalStream::new(every)
        .map(move |_| Ok(wrap(alive.clone())))
        .boxed()
}

impl MediaService for Parent {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let Some((name, size, _)) = SIZES.iter().find(|(name, ..)| *name == request.track) else {
            return Err(Status::not_found("no such track"));
        };
        let number = Self::number();
        let mut frames = vec![
            Frame::media(Body::Welcome(v1::Welcome {
                identity: "root-0".into(),
                ..Default::default()
            })),
            Frame::media(Body::Description(v1::Description {
                stream: "load".into(),
                run: RUN.into(),
                epoch: EPOCH,
                track: Some(Self::track(name)),
                target_duration_ms: 2000,
                part_target_ms: 500,
                window_segments: 3,
                ..Default::default()
            })),
            Frame::media(Body::Index(v1::Index {
                segments: vec![v1::SegmentInfo {
                    number,
                    start: 5000,
                    duration: 50,
                    part_durations: vec![12, 12, 13, 13],
                    run: RUN.into(),
                    ..Default::default()
                }],
                head_number: number,
                head_part: PARTS as u32 - 1,
            })),
            Frame::media(Body::Init(v1::Init {
                run: RUN.into(),
                data: Bytes::from_static(b"init"),
            })),
        ];
        let payload = Bytes::from(vec![0x5a; size / PARTS]);
        let starts = [5000, 5012, 5024, 5037];
        for (part, start) in starts.into_iter().enumerate() {
            let head = v1::ChunkHead {
                run: RUN.into(),
                track: (*name).into(),
                number,
                part: part as u32,
                last_in_segment: part + 1 == PARTS,
                independent: part == 0,
                start,
                duration: if part < 2 { 12 } else { 13 },
                ..Default::default()
            };
            frames.push(Frame::Chunk(FramedChunk::new(head, payload.clone())));
        }
        let alive = keep_alives(|alive| Frame::media(Body::KeepAlive(alive)));
        Ok(futures::stream::iter(frames.into_iter().map(Ok))
            .chain(alive)
            .boxed())
    }

    async fn fetch(&self, _: v1::FetchRequest) -> Result<FrameStream, Status> {
        Err(Status::out_of_range("everything is in memory already"))
    }

    async fn catalog(&self, _: v1::CatalogRequest) -> Result<FrameStream, Status> {
        use v1::catalog_message::Body;
        let offer = v1::Offer {
            stream: "load".into(),
            run: RUN.into(),
            epoch: EPOCH,
            tracks: SIZES.iter().map(|(name, ..)| Self::track(name)).collect(),
            target_duration_ms: 2000,
            part_target_ms: 500,
            window_segments: 3,
            source: "bench".into(),
            ..Default::default()
        };
        let frames = vec![
            Frame::catalog(Body::Welcome(v1::Welcome {
                identity: "root-0".into(),
                ..Default::default()
            })),
            Frame::catalog(Body::Snapshot(v1::CatalogSnapshot {
                version: 1,
                offers: vec![offer],
            })),
        ];
        let alive = keep_alives(|alive| Frame::catalog(Body::KeepAlive(alive)));
        Ok(futures::stream::iter(frames.into_iter().map(Ok))
            .chain(alive)
            .boxed())
    }
}

/// Requests `path` over keep-alive connections until the round's bytes are through.
async fn load(port: u16, path: &str, size: usize) -> Result<u64> {
    let requests = BYTES_PER_ROUND / size / CONNECTIONS;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let request = request.clone();
        tasks.spawn(async move {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
            socket.set_nodelay(true)?;
            let mut buffer = vec![0; 256 * 1024];
            let mut total = 0_u64;
            for _ in 0..requests {
                let (status, body) = exchange(&mut socket, &request, &mut buffer, None).await?;
                if status != 200 || body != size {
                    bail!("answered {status} with {body} bytes where {size} were expected");
                }
                total += body as u64;
            }
            Ok(total)
        });
    }
    let mut total = 0;
    while let Some(bytes) = tasks.join_next().await {
        total += bytes??;
    }
    Ok(total)
}

async fn get(port: u16, path: &str) -> Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n");
    let mut body = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let (status, _) = exchange(&mut socket, &request, &mut buffer, Some(&mut body)).await?;
    Ok((status, body))
}

/// One request and its answer: status and length of the body, which is kept when asked for.
async fn exchange(
    socket: &mut TcpStream,
    request: &str,
    buffer: &mut [u8],
    mut keep: Option<&mut Vec<u8>>,
) -> Result<(u16, usize)> {
    socket.write_all(request.as_bytes()).await?;
    let mut filled = 0;
    let head_end = loop {
        let count = socket.read(&mut buffer[filled..]).await?;
        if count == 0 {
            bail!("connection closed before an answer");
        }
        filled += count;
        if let Some(at) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..head_end])?.to_ascii_lowercase();
    let status: u16 = head.split(' ').nth(1).context("no status")?.parse()?;
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .context("no content-length")?
        .trim()
        .parse()?;
    let mut received = filled - head_end;
    if let Some(keep) = keep.as_mut() {
        keep.extend_from_slice(&buffer[head_end..filled]);
    }
    while received < length {
        let count = socket.read(buffer).await?;
        if count == 0 {
            bail!("connection closed after {received} of {length} bytes");
        }
        if let Some(keep) = keep.as_mut() {
            keep.extend_from_slice(&buffer[..count]);
        }
        received += count;
    }
    Ok((status, length))
}

async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

async fn reachable(port: u16) -> Result<()> {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("nothing listens on port {port} after ten seconds")
}
