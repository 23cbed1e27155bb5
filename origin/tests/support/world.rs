//! A content server in this process, and clients that read it.
#![allow(dead_code)] // each test binary uses its share

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use banyan_origin::{Options, Server};
use banyan_proto::client::{Incoming, MediaClient, MediaReader};
use banyan_proto::transport;
use banyan_proto::trust::RunSecret;
use banyan_proto::v1::{self, media_message::Body};
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const EPOCH: u64 = 1_700_000_000;
pub(crate) const TOPOLOGY: &str = "orchard";
/// Longer than any of these tests needs, even on a busy machine.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// Folders of one server and what it is asked to serve.
pub(crate) struct World {
    pub(crate) media: TempDir,
    pub(crate) cache: TempDir,
    pub(crate) config: v1::Config,
    pub(crate) member: String,
    pub(crate) workers: Option<usize>,
    /// Channel time at start, seconds after the epoch.
    pub(crate) after_epoch: f64,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = v1::Config {
            generation: 1,
            topology: TOPOLOGY.into(),
            epoch: EPOCH,
            segment_duration_ms: 1000,
            part_duration_ms: 333,
            window_segments: 6,
            heartbeat_interval_ms: 200,
            ..Default::default()
        };
        Self {
            media: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
            config,
            member: "lisbon".into(),
            workers: Some(2),
            after_epoch: 1000.0,
        }
    }

    pub(crate) fn with_test(self, name: &str, duration_ms: u64) -> Self {
        let test = v1::ContentTest {
            pattern: "clock".into(),
            duration_ms,
        };
        self.with(name, v1::content::Source::Test(test))
    }

    pub(crate) fn with_file(self, name: &str, path: &str) -> Self {
        self.with(
            name,
            v1::content::Source::File(v1::ContentFile { path: path.into() }),
        )
    }

    fn with(mut self, name: &str, source: v1::content::Source) -> Self {
        let small = v1::Rendition {
            name: "90p".into(),
            height: 90,
            video_bitrate: 200_000,
            audio_bitrate: 64_000,
        };
        self.config.contents.push(v1::Content {
            name: name.into(),
            title: String::new(),
            renditions: vec![small],
            source: Some(source),
        });
        self
    }

    pub(crate) fn options(&self) -> Options {
        let any = "127.0.0.1:0".parse().unwrap();
        let start = EPOCH as f64 + self.after_epoch;
        Options {
            member: self.member.clone(),
            topology: TOPOLOGY.into(),
            grpc: any,
            http: any,
            advertise: None,
            config: self.config.clone(),
            control: None,
            account: None,
            media: self.media.path().into(),
            cache: self.cache.path().into(),
            record: None,
            secret: secret(),
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_banyan-origin"))),
            workers: self.workers,
            start_at: Some((start * 1000.0) as u128 * 1_000_000),
        }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(|_| ()).await
    }

    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Options)) -> Running {
        let mut options = self.options();
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        let uri = format!("http://{}", server.grpc());
        let channel = transport::endpoint(&uri).unwrap().connect().await.unwrap();
        let client = MediaClient::new(channel);
        Running { server, client }
    }

    /// The one asset's folder, once it is complete.
    pub(crate) fn asset_folder(&self) -> PathBuf {
        asset_folder(self.cache.path())
    }
}

pub(crate) fn asset_folder(cache: &Path) -> PathBuf {
    let entries = std::fs::read_dir(cache).unwrap();
    let found: Vec<PathBuf> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("asset.json").exists())
        .collect();
    assert_eq!(found.len(), 1, "one complete asset in {}", cache.display());
    found[0].clone()
}

/// Every file of an asset but the log, whose order tells who was quicker.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("segments.log") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) client: MediaClient,
}

impl Running {
    /// Waits until a content's state is what `accept` wants, and returns it.
    pub(crate) async fn content(&self, name: &str, accept: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waited = tokio::time::timeout(BOUND, async {
            loop {
                let status = self.server.status();
                let contents = status["contents"].as_array().unwrap().clone();
                if let Some(found) = contents.into_iter().find(|c| c["name"] == name) {
                    if accept(&found) {
                        return found;
                    }
                    last = found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        match waited.await {
            Ok(found) => found,
            Err(_) => panic!("content {name} stays {last}"),
        }
    }

    pub(crate) async fn complete(&self, name: &str) {
        self.content(name, |c| c["permille"] == 1000 && c["state"] == "offered")
            .await;
    }

    pub(crate) async fn subscribe(
        &self,
        stream: &str,
        track: &str,
        from: v1::subscribe_request::From,
    ) -> Result<MediaReader, tonic::Status> {
        self.client
            .subscribe(subscribe_request(stream, track, from))
            .await
    }
}

pub(crate) fn secret() -> RunSecret {
    RunSecret::new([7; 32])
}

pub(crate) fn hello() -> Option<v1::Hello> {
    Some(secret().hello("root-0", "boot"))
}

pub(crate) fn live() -> v1::subscribe_request::From {
    v1::subscribe_request::From::Live(v1::Live {})
}

pub(crate) fn subscribe_request(
    stream: &str,
    track: &str,
    from: v1::subscribe_request::From,
) -> v1::SubscribeRequest {
    v1::SubscribeRequest {
        hello: hello(),
        stream: stream.into(),
        track: track.into(),
        from: Some(from),
    }
}

/// Chunks and messages of one call.
#[derive(Default)]
pub(crate) struct Received {
    pub(crate) messages: Vec<Body>,
    pub(crate) chunks: Vec<(v1::ChunkHead, Bytes)>,
}

impl Received {
    pub(crate) fn init(&self) -> Bytes {
        let find = |body: &Body| match body {
            Body::Init(init) => Some(init.data.clone()),
            _ => None,
        };
        self.messages
            .iter()
            .find_map(find)
            .expect("an Init message")
    }

    pub(crate) fn description(&self) -> v1::Description {
        let find = |body: &Body| match body {
            Body::Description(description) => Some(description.clone()),
            _ => None,
        };
        self.messages
            .iter()
            .find_map(find)
            .expect("a Description message")
    }

    pub(crate) fn index(&self) -> v1::Index {
        let find = |body: &Body| match body {
            Body::Index(index) => Some(index.clone()),
            _ => None,
        };
        self.messages
            .iter()
            .find_map(find)
            .expect("an Index message")
    }

    /// (number − epoch, part) of each chunk.
    pub(crate) fn places(&self) -> Vec<(u64, u32)> {
        self.chunks
            .iter()
            .map(|(head, _)| (head.number - EPOCH, head.part))
            .collect()
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let mut file = self.init().to_vec();
        for (_, payload) in &self.chunks {
            file.extend_from_slice(payload);
        }
        file
    }
}

/// Reads until `enough`, the end of the call or an error.
pub(crate) async fn receive(
    reader: &mut MediaReader,
    enough: impl Fn(&Received) -> bool,
) -> Result<Received, tonic::Status> {
    let mut received = Received::default();
    while !enough(&received) {
        match tokio::time::timeout(BOUND, reader.next())
            .await
            .expect("a message in time")?
        {
            Some(Incoming::Chunk { head, payload }) => received.chunks.push((head, payload)),
            Some(Incoming::Message(body)) => received.messages.push(body),
            None => break,
        }
    }
    Ok(received)
}

/// A whole range by Fetch.
pub(crate) async fn fetch(
    client: &MediaClient,
    request: v1::FetchRequest,
) -> Result<Received, tonic::Status> {
    let mut reader = client.fetch(request).await?;
    receive(&mut reader, |_| false).await
}

/// Runs ffmpeg or ffprobe; anything on standard error is a failure.
pub(crate) fn quiet(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(["-hide_banner", "-v", "warning"])
        .args(arguments)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && words.is_empty(),
        "{program} {arguments:?}: {words}"
    );
    String::from_utf8(output.stdout).unwrap()
}

/// MD5 of each decoded picture or sound frame of a file.
pub(crate) fn frame_hashes(file: &Path) -> Vec<String> {
    let text = quiet(
        "ffmpeg",
        &["-i", file.to_str().unwrap(), "-f", "framemd5", "-"],
    );
    let hash = |line: &str| {
        line.rsplit(',')
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(hash)
        .collect()
}
