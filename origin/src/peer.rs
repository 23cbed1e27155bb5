//! Prepared segments of peers: a root that offers a run fetches from whichever content server has it.
//!
//! An equal run is an equal prepared key. Still nothing is believed of a segment until its hash, its chunks' times and its
//! track's init segment are what they would have been if it had been made here.

mod restore;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use banyan_media::Timeline;
use banyan_proto::client::{Incoming, MediaClient};
use banyan_proto::transport;
use banyan_proto::trust::RunSecret;
use banyan_proto::v1::{self, catalog_message, media_message};
use tokio::sync::{Mutex, MutexGuard, watch};
use tonic::Status;

/// What preparations of all contents share to copy from peers.
pub(crate) struct Peers {
    member: String,
    boot_id: String,
    secret: RunSecret,
    roots: watch::Sender<Vec<v1::Peer>>,
    /// Whoever holds it asks; so one request at a time leaves this server.
    turn: Mutex<()>,
    /// Video segments by how they came here, since start.
    pub(crate) copied: AtomicU64,
    pub(crate) encoded: AtomicU64,
    /// Payload bytes of peers, since start.
    pub(crate) received: AtomicU64,
}

/// One video segment to be asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) timeline: &'a Timeline,
    pub(crate) stream: &'a str,
    pub(crate) track: &'a str,
    pub(crate) run: &'a str,
    pub(crate) epoch: u64,
    /// Segments since the epoch.
    pub(crate) n: u64,
    /// What the track's init segment has to be; `None` = compared before.
    pub(crate) init: Option<&'a [u8]>,
}

/// Why a segment is not copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Refused {
    #[error("the call failed: {}", .0.message())]
    Call(#[from] Status),
    #[error("no whole segment came within {} ms", PATIENCE.as_millis())]
    Late,
    #[error("its init segment is not the one made here")]
    Init,
    #[error("chunk {number}.{part} of track {track:?}, run {run:?} came, which was not asked for")]
    Position {
        run: String,
        track: String,
        number: u64,
        part: u32,
    },
    #[error("{came} parts came; a segment has {parts}")]
    Parts { came: usize, parts: usize },
    #[error("its bytes are damaged: their SHA-256 differs")]
    Damaged,
    #[error("part {part} is not the chunk that belongs there")]
    Unfit { part: u32 },
    #[error("it has more than {LIMIT} bytes")]
    TooLarge,
}

impl Peers {
    pub(crate) fn new(member: &str, boot_id: &str, secret: RunSecret) -> Arc<Self> {
        Arc::new(Self {
            member: member.to_owned(),
            boot_id: boot_id.to_owned(),
            secret,
            roots: watch::Sender::default(),
            turn: Mutex::default(),
            copied: AtomicU64::new(0),
            encoded: AtomicU64::new(0),
            received: AtomicU64::new(0),
        })
    }

    /// Roots named by configuration or by an echo; those known stay.
    pub(crate) fn heard(&self, roots: &[v1::Peer]) {
        self.roots.send_if_modified(|known| {
            let before = known.len();
            for root in roots {
                if known.len() < MOST_ROOTS && known.iter().all(|k| k.uri != root.uri) {
                    known.push(root.clone());
                }
            }
            known.len() != before
        });
    }

    pub(crate) fn roots(&self) -> watch::Receiver<Vec<v1::Peer>> {
        self.roots.subscribe()
    }

    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// A connection to `root` if its catalogue has `stream` in `run`, from another than this server.
    pub(crate) async fn dial(
        &self,
        root: &v1::Peer,
        stream: &str,
        run: &str,
    ) -> Result<Option<MediaClient>, Refused> {
        let asked = async {
            let endpoint = transport::endpoint(&root.uri)
                .map_err(|e| Status::invalid_argument(e.to_string()))?;
            let channel = endpoint
                .connect()
                .await
                .map_err(|e| Status::unavailable(e.to_string()))?;
            let client = MediaClient::new(channel);
            let hello = Some(self.hello());
            let mut catalog = client.catalog(v1::CatalogRequest { hello }).await?;
            while let Some(message) = catalog.next().await? {
                if let catalog_message::Body::Snapshot(snapshot) = message {
                    let offered = snapshot.offers.iter().any(|offer| {
                        offer.stream == stream && offer.run == run && offer.source != self.member
                    });
                    return Ok(offered.then_some(client));
                }
            }
            Ok(None)
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .unwrap_or(Err(Refused::Late))
    }

    /// A whole segment with the times and numbers of loop 0, as it would have been made here.
    pub(crate) async fn segment(
        &self,
        client: &MediaClient,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<u8>, Refused> {
        tokio::time::timeout(PATIENCE, self.receive(client, wanted))
            .await
            .unwrap_or(Err(Refused::Late))
    }

    async fn receive(&self, client: &MediaClient, wanted: &Wanted<'_>) -> Result<Vec<u8>, Refused> {
        let request = v1::FetchRequest {
            hello: Some(self.hello()),
            stream: wanted.stream.to_owned(),
            track: wanted.track.to_owned(),
            run: wanted.run.to_owned(),
            init: wanted.init.is_some(),
            from_number: wanted.number(),
            to_number: wanted.number(),
            deadline_ms: u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX),
            hops: 0,
            max_bytes: LIMIT as u64,
        };
        let mut reader = client.fetch(request).await?;
        let (mut chunks, mut bytes, mut init) = (Vec::new(), 0, None);
        while let Some(incoming) = reader.next().await? {
            match incoming {
                Incoming::Chunk { head, payload } => {
                    bytes += payload.len();
                    self.received
                        .fetch_add(payload.len() as u64, Ordering::Relaxed);
                    if bytes > LIMIT || chunks.len() > wanted.timeline.parts as usize {
                        return Err(Refused::TooLarge);
                    }
                    chunks.push((head, payload));
                }
                Incoming::Message(media_message::Body::Init(message)) => init = Some(message.data),
                Incoming::Message(_) => {}
            }
        }
        if wanted
            .init
            .is_some_and(|ours| init.as_deref() != Some(ours))
        {
            return Err(Refused::Init);
        }
        restore::restore(wanted, &chunks)
    }

    fn hello(&self) -> v1::Hello {
        self.secret.hello(&self.member, &self.boot_id)
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wanted<'_> {
    fn number(&self) -> u64 {
        self.epoch + self.n
    }
}

/// What one answer may take; encoding goes on meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);
/// A segment of ten seconds at 50 Mbit/s fits.
const LIMIT: usize = 64 << 20;
/// More are never needed.
const MOST_ROOTS: usize = 16;
