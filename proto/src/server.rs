//! The Media service over pre-framed messages.
//!
//! [`MediaServer`] is an ordinary tower service under the name `banyan.v1.Media`: a generated client
//! cannot tell it from generated code. Its response body hands out the buffers of each
//! [`Frame`] untouched.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Request, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::frame::{Frame, GRPC_PREFIX};
use crate::v1;

/// A request is a name and a position; more than this is not one.
const REQUEST_LIMIT: usize = 64 * 1024;

/// Messages to one subscriber.
pub type FrameStream = Pin<Box<dyn Stream<Item = Result<Frame, Status>> + Send>>;

/// What an origin or a relay implements to serve its children.
pub trait MediaService: Send + Sync + 'static {
    /// Follows one track from a position.
    fn subscribe(
        &self,
        request: v1::SubscribeRequest,
    ) -> impl Future<Output = Result<FrameStream, Status>> + Send;

    /// Reads a bounded range of one track.
    fn fetch(
        &self,
        request: v1::FetchRequest,
    ) -> impl Future<Output = Result<FrameStream, Status>> + Send;

    /// Follows the offers of this member.
    fn catalog(
        &self,
        request: v1::CatalogRequest,
    ) -> impl Future<Output = Result<FrameStream, Status>> + Send;
}

/// Serves a [`MediaService`] under `banyan.v1.Media`.
pub struct MediaServer<T> {
    inner: Arc<T>,
}

impl<T> MediaServer<T> {
    /// Wraps `inner`.
    pub fn new(inner: Arc<T>) -> Self {
        Self { inner }
    }
}

impl<T> Clone for MediaServer<T> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<T> NamedService for MediaServer<T> {
    const NAME: &'static str = "banyan.v1.Media";
}

impl<T: MediaService> tower::Service<Request<Body>> for MediaServer<T> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move {
            let frames = match dispatch(inner, request).await {
                Ok(frames) => frames,
                Err(status) => return Ok(status.into_http()),
            };
            let body = Body::new(FrameBody::new(frames));
            let mut response = Response::new(body);
            response.headers_mut().insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/grpc"),
            );
            Ok(response)
        })
    }
}

async fn dispatch<T: MediaService>(
    inner: Arc<T>,
    request: Request<Body>,
) -> Result<FrameStream, Status> {
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/banyan.v1.Media/Subscribe" => inner.subscribe(read(body).await?).await,
        "/banyan.v1.Media/Fetch" => inner.fetch(read(body).await?).await,
        "/banyan.v1.Media/Catalog" => inner.catalog(read(body).await?).await,
        other => Err(Status::unimplemented(format!(
            "method {other:?} is not known; Media has Subscribe, Fetch and Catalog"
        ))),
    }
}

/// Reads the single request message of a server-streaming call.
async fn read<M: Message + Default>(body: Body) -> Result<M, Status> {
    let bytes = Limited::new(body, REQUEST_LIMIT)
        .collect()
        .await
        .map_err(|error| {
            Status::invalid_argument(format!(
                "request could not be read within {REQUEST_LIMIT} bytes: {error}"
            ))
        })?
        .to_bytes();
    if bytes.len() < GRPC_PREFIX {
        return Err(Status::invalid_argument(format!(
            "request of {} bytes is shorter than a gRPC message",
            bytes.len()
        )));
    }
    if bytes[0] != 0 {
        return Err(Status::unimplemented(
            "compressed requests are not accepted; send identity encoding",
        ));
    }
    let declared = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
    if declared != bytes.len() - GRPC_PREFIX {
        return Err(Status::invalid_argument(format!(
            "request declares {declared} bytes and carries {}",
            bytes.len() - GRPC_PREFIX
        )));
    }
    M::decode(bytes.slice(GRPC_PREFIX..))
        .map_err(|error| Status::invalid_argument(format!("malformed request: {error}")))
}

/// Writes frames, then the call's status as trailers.
struct FrameBody {
    frames: FrameStream,
    payload: Option<Bytes>,
    done: bool,
}

impl FrameBody {
    fn new(frames: FrameStream) -> Self {
        Self {
            frames,
            payload: None,
            done: false,
        }
    }
}

impl http_body::Body for FrameBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        if let Some(payload) = self.payload.take() {
            return Poll::Ready(Some(Ok(http_body::Frame::data(payload))));
        }
        if self.done {
            return Poll::Ready(None);
        }
        let status = match std::task::ready!(self.frames.as_mut().poll_next(cx)) {
            Some(Ok(Frame::Message(bytes))) => {
                return Poll::Ready(Some(Ok(http_body::Frame::data(bytes))));
            }
            Some(Ok(Frame::Chunk(chunk))) => {
                if !chunk.payload.is_empty() {
                    self.payload = Some(chunk.payload.clone());
                }
                return Poll::Ready(Some(Ok(http_body::Frame::data(chunk.prefix().clone()))));
            }
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        self.done = true;
        let mut trailers = http::HeaderMap::new();
        if status.add_header(&mut trailers).is_err() {
            trailers.insert("grpc-status", HeaderValue::from_static("13"));
        }
        Poll::Ready(Some(Ok(http_body::Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.done && self.payload.is_none()
    }
}

const _: fn() = || {
    fn is_body<B: http_body::Body>() {}
    is_body::<FrameBody>();
    let _ = Body::is_end_stream;
};
