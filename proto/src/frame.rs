//! gRPC messages framed ahead of time.
//!
//! A gRPC message on the wire is one flag byte, a 32-bit length and the protobuf bytes
//! (gRPC over HTTP/2, "Length-Prefixed-Message"). For a chunk the protobuf bytes are a small head
//! and then the payload as the last field, so head and payload can be written from two buffers: the
//! payload buffer is the one it was received in, shared by every reader.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::v1;

/// Bytes in front of every gRPC message: compression flag and length.
pub const GRPC_PREFIX: usize = 5;

/// Field numbers of `MediaMessage.chunk`, `Chunk.head` and `Chunk.payload` in `banyan.proto`.
pub(crate) const CHUNK_FIELD: u32 = 5;
pub(crate) const HEAD_FIELD: u32 = 1;
pub(crate) const PAYLOAD_FIELD: u32 = 2;

/// One media chunk, framed once: cloning shares every byte.
#[derive(Clone, Debug)]
pub struct FramedChunk {
    /// What the chunk is; everything a playlist needs.
    pub head: Arc<v1::ChunkHead>,
    /// One CMAF `moof` + `mdat`.
    pub payload: Bytes,
    prefix: Bytes,
}

impl FramedChunk {
    /// Frames `payload` under `head`.
    pub fn new(head: v1::ChunkHead, payload: Bytes) -> Self {
        let head_len = head.encoded_len();
        let head_field = key_len(HEAD_FIELD) + encoded_len_varint(head_len as u64) + head_len;
        let payload_key = key_len(PAYLOAD_FIELD) + encoded_len_varint(payload.len() as u64);
        let chunk_len = head_field + payload_key + payload.len();
        let message_len = key_len(CHUNK_FIELD) + encoded_len_varint(chunk_len as u64) + chunk_len;

        let mut prefix = BytesMut::with_capacity(GRPC_PREFIX + message_len - payload.len());
        prefix.put_u8(0);
        prefix.put_u32(message_len as u32);
        encode_key(CHUNK_FIELD, WireType::LengthDelimited, &mut prefix);
        encode_varint(chunk_len as u64, &mut prefix);
        encode_key(HEAD_FIELD, WireType::LengthDelimited, &mut prefix);
        encode_varint(head_len as u64, &mut prefix);
        head.encode_raw(&mut prefix);
        encode_key(PAYLOAD_FIELD, WireType::LengthDelimited, &mut prefix);
        encode_varint(payload.len() as u64, &mut prefix);

        Self {
            head: Arc::new(head),
            payload,
            prefix: prefix.freeze(),
        }
    }

    /// Framed length in bytes.
    pub fn framed_len(&self) -> usize {
        self.prefix.len() + self.payload.len()
    }

    pub(crate) fn prefix(&self) -> &Bytes {
        &self.prefix
    }
}

fn key_len(field: u32) -> usize {
    encoded_len_varint(u64::from(field << 3))
}

/// One message to be written to a subscriber.
#[derive(Clone, Debug)]
pub enum Frame {
    /// A whole framed message.
    Message(Bytes),
    /// A chunk: head from one buffer, payload from another.
    Chunk(FramedChunk),
}

impl Frame {
    /// Frames a message of `Subscribe` or `Fetch` that carries no payload worth sharing.
    pub fn media(body: v1::media_message::Body) -> Self {
        Self::encode(&v1::MediaMessage { body: Some(body) })
    }

    /// Frames a message of `Catalog`.
    pub fn catalog(body: v1::catalog_message::Body) -> Self {
        Self::encode(&v1::CatalogMessage { body: Some(body) })
    }

    /// Framed length in bytes.
    #[allow(clippy::len_without_is_empty)] // a frame always holds its prefix
    pub fn len(&self) -> usize {
        match self {
            Self::Message(bytes) => bytes.len(),
            Self::Chunk(chunk) => chunk.framed_len(),
        }
    }

    fn encode(message: &impl Message) -> Self {
        let len = message.encoded_len();
        let mut buffer = BytesMut::with_capacity(GRPC_PREFIX + len);
        buffer.put_u8(0);
        buffer.put_u32(len as u32);
        message.encode_raw(&mut buffer);
        Self::Message(buffer.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_chunk_is_the_bytes_prost_would_write() {
        for size in [1_usize, 127, 128, 70_000] {
            let head = v1::ChunkHead {
                run: "abcdefghij".into(),
                track: "720p".into(),
                number: 1_763_700_000,
                part: 3,
                independent: true,
                start: 1 << 40,
                duration: 800,
                sha256: Bytes::from(vec![7; 32]),
                ..Default::default()
            };
            let payload = Bytes::from((0..size).map(|i| i as u8).collect::<Vec<_>>());
            let framed = FramedChunk::new(head.clone(), payload.clone());
            let mut ours = framed.prefix().to_vec();
            ours.extend_from_slice(&framed.payload);
            let Frame::Message(theirs) = Frame::media(v1::media_message::Body::Chunk(v1::Chunk {
                head: Some(head),
                payload,
            })) else {
                unreachable!("media() frames whole messages")
            };
            assert_eq!(ours, theirs, "payload of {size} bytes");
        }
    }
}
