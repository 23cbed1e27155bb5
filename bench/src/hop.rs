//! One gRPC hop, both ends, beside raw TCP: CPU seconds per GB at full speed.
//!
//! Server and client are processes of their own with single-threaded runtimes; each accounts for
//! itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use banyan_proto::client::{Incoming, MediaClient};
use banyan_proto::frame::{Frame, FramedChunk};
use banyan_proto::server::{FrameStream, MediaServer, MediaService};
use banyan_proto::{transport, v1};
use bytes::Bytes;
use clap::ValueEnum;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;

use crate::report::{ROUNDS, Series, ratio};

const CHUNK: usize = 256 * 1024;

/// What carries the bytes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// `write_all` and `read`.
    Tcp,
    /// Media.Subscribe.
    Grpc,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Grpc => "grpc",
        }
    }
}

/// Measures one and fifty subscribers.
pub fn run() -> Result<()> {
    for (subscribers, bytes_each, bar) in [(1, 1_u64 << 30, 1.6), (50, 1 << 25, 1.35)] {
        let mut tcp = Series::new(format!("hop tcp, {subscribers} subscribers"));
        let mut grpc = Series::new(format!("hop grpc, {subscribers} subscribers"));
        for _ in 0..ROUNDS {
            for (kind, series) in [(Kind::Tcp, &mut tcp), (Kind::Grpc, &mut grpc)] {
                let nanoseconds = once(kind, subscribers, bytes_each)?;
                let gigabytes = (bytes_each * subscribers) as f64 / 1e9;
                series.push("cpu s/GB", nanoseconds as f64 / 1e9 / gigabytes);
            }
        }
        ratio(&grpc, &tcp, bar);
    }
    Ok(())
}

fn once(kind: Kind, subscribers: u64, bytes_each: u64) -> Result<u64> {
    let exe = std::env::current_exe()?;
    let chunks = bytes_each / CHUNK as u64;
    let mut server = Command::new(&exe)
        .args(["hop-server", kind.name(), &chunks.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("server has no output")?).lines();
    let address = lines.next().context("server said nothing")??;
    let client = Command::new(&exe)
        .args(["hop-client", kind.name(), &chunks.to_string(), &address])
        .arg(subscribers.to_string())
        .output()?;
    if !client.status.success() {
        bail!("client failed: {}", String::from_utf8_lossy(&client.stderr));
    }
    drop(server.stdin.take());
    let server_cpu: u64 = lines.next().context("server kept its account")??.parse()?;
    server.wait()?;
    let client_cpu: u64 = String::from_utf8(client.stdout)?.trim().parse()?;
    Ok(server_cpu + client_cpu)
}

struct Fixed {
    chunks: u64,
    chunk: FramedChunk,
}

impl MediaService for Fixed {
    async fn subscribe(&self, _: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let (chunk, chunks) = (self.chunk.clone(), self.chunks);
        let frames = (0..chunks).map(move |_| Ok(Frame::Chunk(chunk.clone())));
        Ok(Box::pin(futures::stream::iter(frames)))
    }

    async fn fetch(&self, _: v1::FetchRequest) -> Result<FrameStream, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn catalog(&self, _: v1::CatalogRequest) -> Result<FrameStream, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

/// The serving end: prints its address, then its CPU time when its input closes.
pub async fn serve(kind: Kind, chunks: u64) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let payload = Bytes::from(vec![0x5a; CHUNK]);
    match kind {
        Kind::Tcp => {
            tokio::spawn(async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let payload = payload.clone();
                    tokio::spawn(async move {
                        socket.set_nodelay(true)?;
                        for _ in 0..chunks {
                            socket.write_all(&payload).await?;
                        }
                        socket.shutdown().await
                    });
                }
            });
        }
        Kind::Grpc => {
            let head = v1::ChunkHead {
                run: "abcdefghij".into(),
                track: "720p".into(),
                ..Default::default()
            };
            let service = Arc::new(Fixed {
                chunks,
                chunk: FramedChunk::new(head, payload),
            });
            tokio::spawn(
                transport::server()
                    .add_service(MediaServer::new(service))
                    .serve_with_incoming(TcpListenerStream::new(listener)),
            );
        }
    }
    let (closed, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    wait.await?;
    println!("{}", crate::cpu::own());
    Ok(())
}

/// The receiving end: reads everything, prints its CPU time.
pub async fn receive(kind: Kind, chunks: u64, address: String, subscribers: u64) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..subscribers {
        let address = address.clone();
        tasks.spawn(async move {
            match kind {
                Kind::Tcp => receive_tcp(&address).await,
                Kind::Grpc => receive_grpc(&address).await,
            }
        });
    }
    while let Some(received) = tasks.join_next().await {
        let (received, expected) = (received??, chunks * CHUNK as u64);
        if received != expected {
            bail!("received {received} of {expected} bytes");
        }
    }
    println!("{}", crate::cpu::own());
    Ok(())
}

async fn receive_tcp(address: &str) -> Result<u64> {
    let mut socket = TcpStream::connect(address).await?;
    let mut buffer = vec![0; CHUNK];
    let mut received = 0;
    loop {
        match socket.read(&mut buffer).await? {
            0 => return Ok(received),
            count => received += count as u64,
        }
    }
}

async fn receive_grpc(address: &str) -> Result<u64> {
    let channel = transport::endpoint(&format!("http://{address}"))?
        .connect()
        .await?;
    let mut reader = MediaClient::new(channel)
        .subscribe(v1::SubscribeRequest::default())
        .await?;
    let mut received = 0;
    while let Some(incoming) = reader.next().await? {
        if let Incoming::Chunk { payload, .. } = incoming {
            received += payload.len() as u64;
        }
    }
    Ok(received)
}
