//! gRPC from outside the overlay: as a member that knows the secret, as one that does not, and as a source of noise.

use std::time::Duration;

use banyan_proto::client::{Incoming, MediaClient};
use banyan_proto::trust::RunSecret;
use banyan_proto::{transport, v1};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::Status;
use tower::ServiceExt;

/// No call of a test may take longer.
const BOUND: Duration = Duration::from_secs(20);

/// A caller with a name and a secret.
pub struct Caller {
    runtime: tokio::runtime::Runtime,
    secret: RunSecret,
    name: String,
}

/// What a fetch brought.
#[derive(Debug, Default)]
pub struct Fetched {
    pub init: Vec<u8>,
    pub chunks: Vec<(v1::ChunkHead, Bytes)>,
    pub gaps: Vec<v1::Gap>,
}

impl Caller {
    pub fn new(secret: &str, name: &str) -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime must be buildable"),
            secret: RunSecret::from_hex(secret).expect("the secret of a test must be valid"),
            name: name.to_owned(),
        }
    }

    /// The greeting of this caller.
    pub fn hello(&self) -> v1::Hello {
        self.secret.hello(&self.name, "test")
    }

    /// Segments `from..=to` of a track, with its init.
    pub fn fetch(&self, uri: &str, mut request: v1::FetchRequest) -> Result<Fetched, Status> {
        request.hello = Some(self.hello());
        self.runtime.block_on(bounded(async {
            let mut reader = client(uri)?.fetch(request).await?;
            let mut fetched = Fetched::default();
            while let Some(incoming) = reader.next().await? {
                match incoming {
                    Incoming::Chunk { head, payload } => fetched.chunks.push((head, payload)),
                    Incoming::Message(v1::media_message::Body::Init(init)) => {
                        fetched.init = init.data.to_vec()
                    }
                    Incoming::Message(v1::media_message::Body::Gap(gap)) => fetched.gaps.push(gap),
                    Incoming::Message(_) => {}
                }
            }
            Ok(fetched)
        }))
    }

    /// Subscribes and reads messages until `wanted` chunks came.
    pub fn subscribe(
        &self,
        uri: &str,
        mut request: v1::SubscribeRequest,
        wanted: usize,
    ) -> Result<Vec<v1::ChunkHead>, Status> {
        request.hello = Some(self.hello());
        self.runtime.block_on(bounded(async {
            let mut reader = client(uri)?.subscribe(request).await?;
            let mut heads = Vec::new();
            while heads.len() < wanted {
                match reader.next().await? {
                    Some(Incoming::Chunk { head, .. }) => heads.push(head),
                    Some(Incoming::Message(_)) => {}
                    None => return Err(Status::aborted("ended before media came")),
                }
            }
            Ok(heads)
        }))
    }

    /// The offers of a member.
    pub fn offers(&self, uri: &str) -> Result<Vec<v1::Offer>, Status> {
        let hello = Some(self.hello());
        self.runtime.block_on(bounded(async {
            let mut reader = client(uri)?.catalog(v1::CatalogRequest { hello }).await?;
            loop {
                match reader.next().await? {
                    Some(v1::catalog_message::Body::Snapshot(snapshot)) => {
                        return Ok(snapshot.offers);
                    }
                    Some(_) => {}
                    None => return Err(Status::aborted("ended before a snapshot came")),
                }
            }
        }))
    }

    /// Sends one message, framed correctly, to a method by its path and gives the status of the call. A call that
    /// is accepted and stays open is left after its first reply.
    pub fn call(&self, uri: &str, path: &str, message: &impl Message) -> Status {
        self.raw(uri, path, framed(&message.encode_to_vec()))
    }

    /// Sends arbitrary bytes as the body of a call.
    pub fn raw(&self, uri: &str, path: &str, body: Bytes) -> Status {
        let answer = self.runtime.block_on(bounded(async {
            let channel = transport::endpoint(uri)
                .map_err(|error| Status::internal(error.to_string()))?
                .connect_lazy();
            let request = http::Request::post(format!("{uri}{path}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(tonic::body::Body::new(Full::new(body)))
                .expect("a request must be buildable");
            let response = channel
                .oneshot(request)
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            if let Some(status) = Status::from_header_map(response.headers()) {
                return Err(status);
            }
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| Status::unavailable(error.to_string()))?;
                if let Some(trailers) = frame.trailers_ref() {
                    return Err(Status::from_header_map(trailers)
                        .unwrap_or_else(|| Status::unknown("no status")));
                }
                if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                    return Ok(());
                }
            }
            Err(Status::unknown("no trailers"))
        }));
        answer.err().unwrap_or_else(|| Status::ok("answered"))
    }
}

/// A message with its gRPC prefix.
pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a message must be under 4 GiB"));
    framed.put_slice(message);
    framed.freeze()
}

fn client(uri: &str) -> Result<MediaClient, Status> {
    let endpoint = transport::endpoint(uri).map_err(|error| Status::internal(error.to_string()))?;
    Ok(MediaClient::new(endpoint.connect_lazy()))
}

async fn bounded<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(BOUND, call)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("the test's own bound")))
}
