//! The Media service as its children call it.
//!
//! A generated client would gather each message into one growing buffer and decode it from there:
//! two copies of every payload and a small chunk pinning a large buffer. [`MediaReader`] walks the
//! message as it arrives, decodes the head, and copies the payload once into an allocation of its
//! exact size. Anything that is not a chunk in the order our servers write it is decoded by prost as
//! usual, so any conforming server is understood.

use bytes::{Buf, Bytes, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::frame::{CHUNK_FIELD, Frame, GRPC_PREFIX, HEAD_FIELD, PAYLOAD_FIELD};
use crate::v1;

/// Largest message accepted. A segment of two seconds at 60 Mbit/s fits.
pub const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// A chunk's head is a few hundred bytes; beyond this a message is decoded whole.
const HEAD_LIMIT: usize = 4 * 1024;

/// Calls Media over one HTTP/2 connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaClient {
    channel: Channel,
}

impl MediaClient {
    /// Uses `channel` (see [`crate::transport::endpoint`]).
    pub fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// Follows one track. The first message read is `Welcome`.
    pub async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<MediaReader, Status> {
        Ok(MediaReader::new(self.call("Subscribe", &request).await?))
    }

    /// Reads a bounded range.
    pub async fn fetch(&self, request: v1::FetchRequest) -> Result<MediaReader, Status> {
        Ok(MediaReader::new(self.call("Fetch", &request).await?))
    }

    /// Follows the server's offers.
    pub async fn catalog(&self, request: v1::CatalogRequest) -> Result<CatalogReader, Status> {
        Ok(CatalogReader {
            body: self.call("Catalog", &request).await?,
            buffer: BytesMut::new(),
        })
    }

    async fn call(&self, method: &str, message: &impl Message) -> Result<Incomings, Status> {
        let mut framed = BytesMut::with_capacity(GRPC_PREFIX + message.encoded_len());
        framed.extend_from_slice(&[0; GRPC_PREFIX]);
        message.encode_raw(&mut framed);
        let len = (framed.len() - GRPC_PREFIX) as u32;
        framed[1..GRPC_PREFIX].copy_from_slice(&len.to_be_bytes());

        let request = Request::post(format!("/banyan.v1.Media/{method}"))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(Body::new(
                http_body_util::Full::new(framed.freeze())
                    .map_err(|never: std::convert::Infallible| match never {}),
            ))
            .map_err(|error| Status::internal(format!("request could not be built: {error}")))?;

        let mut channel = self.channel.clone();
        let response = channel
            .ready()
            .await
            .map_err(unavailable)?
            .call(request)
            .await
            .map_err(unavailable)?;
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            return Err(status);
        }
        if response.status() != http::StatusCode::OK {
            return Err(Status::unknown(format!(
                "server answered HTTP {} where gRPC answers 200",
                response.status()
            )));
        }
        Ok(Incomings {
            body: response.into_body(),
            ended: false,
        })
    }
}

fn unavailable(error: impl std::error::Error) -> Status {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    Status::unavailable(text)
}

/// Response body: data frames, then a status.
#[derive(Debug)]
struct Incomings {
    body: Body,
    ended: bool,
}

impl Incomings {
    /// The next piece of data; `None` after a status of OK. Cancel-safe.
    async fn data(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(frame) => {
                        let Ok(trailers) = frame.into_trailers() else {
                            continue;
                        };
                        self.ended = true;
                        match Status::from_header_map(&trailers) {
                            Some(status) if status.code() != Code::Ok => return Err(status),
                            _ => return Ok(None),
                        }
                    }
                },
                Some(Err(status)) => {
                    self.ended = true;
                    return Err(status);
                }
                None => {
                    self.ended = true;
                    return Err(Status::unavailable("stream ended without a status"));
                }
            }
        }
    }
}

/// One message of a subscription or fetch.
#[derive(Debug)]
pub enum Incoming {
    /// Anything but a chunk.
    Message(v1::media_message::Body),
    /// A chunk; the payload is an allocation of exactly its size.
    Chunk {
        /// What it is.
        head: v1::ChunkHead,
        /// One CMAF `moof` + `mdat`.
        payload: Bytes,
    },
}

/// Messages of a subscription or fetch, in order.
#[derive(Debug)]
pub struct MediaReader {
    incomings: Incomings,
    parser: Parser,
}

impl MediaReader {
    fn new(incomings: Incomings) -> Self {
        Self {
            incomings,
            parser: Parser::default(),
        }
    }

    /// The next message; `None` when the server ended the call with OK. Cancel-safe: nothing that
    /// has arrived is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Incoming>, Status> {
        loop {
            if let Some(incoming) = self.parser.parse()? {
                return Ok(Some(incoming));
            }
            match self.incomings.data().await? {
                Some(data) => self.parser.push(data),
                None if self.parser.is_idle() => return Ok(None),
                None => return Err(Status::data_loss("stream ended inside a message")),
            }
        }
    }
}

/// Offers of a member, in order.
#[derive(Debug)]
pub struct CatalogReader {
    body: Incomings,
    buffer: BytesMut,
}

impl CatalogReader {
    /// The next message; `None` when the server ended the call with OK. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<v1::catalog_message::Body>, Status> {
        loop {
            if let Some(len) = message_len(&self.buffer)?
                && self.buffer.len() >= GRPC_PREFIX + len
            {
                self.buffer.advance(GRPC_PREFIX);
                let bytes = self.buffer.split_to(len).freeze();
                let message = v1::CatalogMessage::decode(bytes).map_err(malformed)?;
                match message.body {
                    Some(body) => return Ok(Some(body)),
                    None => continue, // a body this version does not know
                }
            }
            match self.body.data().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Status::data_loss("stream ended inside a message")),
            }
        }
    }
}

fn malformed(error: prost::DecodeError) -> Status {
    Status::data_loss(format!("malformed message: {error}"))
}

/// Length of the message at the front of `buffer`, once its prefix is there.
fn message_len(buffer: &[u8]) -> Result<Option<usize>, Status> {
    let Some(prefix) = buffer.first_chunk::<GRPC_PREFIX>() else {
        return Ok(None);
    };
    if prefix[0] != 0 {
        return Err(Status::unimplemented(
            "compressed messages are not accepted",
        ));
    }
    let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if len > MESSAGE_LIMIT {
        return Err(Status::out_of_range(format!(
            "message of {len} bytes; at most {MESSAGE_LIMIT} are accepted"
        )));
    }
    Ok(Some(len))
}

/// Takes messages apart as their bytes come in. Pure: pieces in, messages out.
#[derive(Debug, Default)]
struct Parser {
    /// Bytes not yet understood.
    buffer: BytesMut,
    /// A piece as it came, when nothing precedes it.
    piece: Bytes,
    /// A chunk whose payload is being filled.
    filling: Option<Filling>,
}

#[derive(Debug)]
struct Filling {
    head: v1::ChunkHead,
    payload: Vec<u8>,
    missing: usize,
}

/// Where a chunk's payload begins.
struct ChunkStart {
    head: v1::ChunkHead,
    consumed: usize,
    payload_len: usize,
}

impl Parser {
    fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.piece.is_empty() && self.filling.is_none()
    }

    fn push(&mut self, data: Bytes) {
        debug_assert!(self.piece.is_empty(), "a piece is used up before the next");
        if self.buffer.is_empty() {
            self.piece = data;
        } else {
            self.buffer.extend_from_slice(&data);
        }
    }

    fn parse(&mut self) -> Result<Option<Incoming>, Status> {
        loop {
            if let Some(filling) = &mut self.filling {
                let source = if self.buffer.is_empty() {
                    let take = filling.missing.min(self.piece.len());
                    filling.payload.extend_from_slice(&self.piece[..take]);
                    self.piece.advance(take);
                    take
                } else {
                    let take = filling.missing.min(self.buffer.len());
                    filling.payload.extend_from_slice(&self.buffer[..take]);
                    self.buffer.advance(take);
                    take
                };
                filling.missing -= source;
                if filling.missing > 0 {
                    return Ok(None);
                }
                let Some(Filling { head, payload, .. }) = self.filling.take() else {
                    return Ok(None);
                };
                return Ok(Some(Incoming::Chunk {
                    head,
                    payload: Bytes::from(payload),
                }));
            }

            let bytes: &[u8] = if self.buffer.is_empty() {
                &self.piece
            } else {
                &self.buffer
            };
            let Some(len) = message_len(bytes)? else {
                self.keep_rest();
                return Ok(None);
            };
            let body = &bytes[GRPC_PREFIX..bytes.len().min(GRPC_PREFIX + len)];
            if let Some(start) = chunk_start(body, len) {
                self.skip(GRPC_PREFIX + start.consumed);
                self.filling = Some(Filling {
                    head: start.head,
                    payload: Vec::with_capacity(start.payload_len),
                    missing: start.payload_len,
                });
                continue;
            }
            if body.len() < len {
                self.keep_rest();
                return Ok(None);
            }
            let message = v1::MediaMessage::decode(Bytes::copy_from_slice(body));
            self.skip(GRPC_PREFIX + len);
            match message.map_err(malformed)?.body {
                Some(v1::media_message::Body::Chunk(chunk)) => {
                    return Ok(Some(Incoming::Chunk {
                        head: chunk.head.unwrap_or_default(),
                        payload: chunk.payload,
                    }));
                }
                Some(body) => return Ok(Some(Incoming::Message(body))),
                None => {} // a body this version does not know
            }
        }
    }

    fn skip(&mut self, count: usize) {
        if self.buffer.is_empty() {
            self.piece.advance(count);
        } else {
            self.buffer.advance(count);
        }
    }

    fn keep_rest(&mut self) {
        if !self.piece.is_empty() {
            self.buffer.extend_from_slice(&self.piece);
            self.piece.clear();
        }
    }
}

/// Recognises a chunk written head first and payload last whose head has arrived in full.
fn chunk_start(body: &[u8], message_len: usize) -> Option<ChunkStart> {
    let mut rest = &body[..body.len().min(HEAD_LIMIT)];
    let visible = rest.len();
    let field = |rest: &mut &[u8], wanted: u32| -> Option<usize> {
        let (field, wire) = decode_key(rest).ok()?;
        if field != wanted || wire != WireType::LengthDelimited {
            return None;
        }
        usize::try_from(decode_varint(rest).ok()?).ok()
    };
    let chunk_len = field(&mut rest, CHUNK_FIELD)?;
    if visible - rest.len() + chunk_len != message_len {
        return None;
    }
    let head_len = field(&mut rest, HEAD_FIELD)?;
    if head_len > rest.len() {
        return None;
    }
    let head = v1::ChunkHead::decode(&rest[..head_len]).ok()?;
    rest = &rest[head_len..];
    let payload_len = field(&mut rest, PAYLOAD_FIELD)?;
    let consumed = visible - rest.len();
    (consumed + payload_len == message_len).then_some(ChunkStart {
        head,
        consumed,
        payload_len,
    })
}

/// Parses whole framed messages from memory: for tests and simulated links that carry [`Frame`]s.
pub fn incoming(frame: &Frame) -> Result<Incoming, Status> {
    let mut parser = Parser::default();
    match frame {
        Frame::Message(bytes) => parser.push(bytes.clone()),
        Frame::Chunk(chunk) => {
            return Ok(Incoming::Chunk {
                head: v1::ChunkHead::clone(&chunk.head),
                payload: chunk.payload.clone(),
            });
        }
    }
    parser
        .parse()?
        .ok_or_else(|| Status::data_loss("frame holds no whole message"))
}

#[cfg(test)]
mod tests;
