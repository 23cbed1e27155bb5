//! Whole segments and inits from the parents: one upstream request per missing thing, whatever the
//! number of waiters.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::frame::FramedChunk;
use banyan_proto::v1::{self, media_message::Body};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Code;

use crate::connector::Incoming;
use crate::core::Core;
use crate::library::LibraryError;
use crate::store::is_whole_segment;
use crate::track::Track;

/// A request that passed more members than any tree is deep goes in a circle.
pub(crate) const MAX_HOPS: u32 = 16;

/// What a parent may take to answer one request, its own fetch from above included.
const PARENT_PATIENCE: Duration = Duration::from_secs(3);

/// A segment larger than this is not one.
const MAX_SEGMENT_BYTES: usize = 256 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FetchKey {
    pub(crate) run: String,
    /// `None` = the init.
    pub(crate) number: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum Fetched {
    Segment(Arc<Vec<FramedChunk>>),
    Init(Bytes),
}

pub(crate) type FetchResult = Result<Fetched, LibraryError>;

/// Joins a running fetch or starts one.
pub(crate) async fn fetch(
    core: &Arc<Core>,
    track: &Arc<Track>,
    key: FetchKey,
    hops: u32,
) -> FetchResult {
    if hops > MAX_HOPS {
        return Err(LibraryError::Unavailable(format!(
            "request passed {hops} members; at most {MAX_HOPS} are accepted"
        )));
    }
    let mut receiver = {
        let mut state = track.lock();
        match state.fetching.get(&key) {
            Some(receiver) => receiver.clone(),
            None => {
                let (sender, receiver) = watch::channel(None);
                state.fetching.insert(key.clone(), receiver.clone());
                core.spawn(run(core.clone(), track.clone(), key, hops, sender));
                receiver
            }
        }
    };
    match receiver.wait_for(Option::is_some).await {
        Ok(result) => result.clone().unwrap_or(Err(LibraryError::Timeout)),
        Err(_) => Err(LibraryError::Unavailable("the relay is stopping".into())),
    }
}

async fn run(
    core: Arc<Core>,
    track: Arc<Track>,
    key: FetchKey,
    hops: u32,
    sender: watch::Sender<Option<FetchResult>>,
) {
    let result = from_parents(&core, &track, &key, hops).await;
    let mut state = track.lock();
    let before = state.store.bytes();
    match &result {
        Ok(Fetched::Segment(chunks)) => {
            if state.store.put_segment(chunks, core.stamp()) {
                track.changed(&state);
            }
        }
        Ok(Fetched::Init(data)) => {
            if state.store.is_described() {
                state.store.add_init(&key.run, data.clone());
            }
        }
        Err(error) => {
            tracing::debug!(stream = track.key.stream, track = track.key.track, number = key.number, %error, "fetch failed");
        }
    }
    core.account(before, state.store.bytes());
    state.fetching.remove(&key);
    drop(state);
    core.enforce_budget();
    sender.send_replace(Some(result));
}

async fn from_parents(core: &Arc<Core>, track: &Track, key: &FetchKey, hops: u32) -> FetchResult {
    let current = track.lock().hop.parent.clone();
    let mut parents = core.parents_for(&track.key.stream);
    // An orphan's: who took it in.
    let adopted = core.fallbacks();
    parents.extend(
        adopted
            .into_iter()
            .filter(|peer| Some(&peer.name) == current.as_ref()),
    );
    // Stable: the parent in use first, then by rank.
    parents.sort_by_key(|peer| Some(&peer.name) != current.as_ref());
    let mut failure = LibraryError::Unavailable("no parent is known".into());
    for peer in parents {
        match timeout(PARENT_PATIENCE, from_parent(core, track, key, hops, &peer)).await {
            Ok(Ok(fetched)) => return Ok(fetched),
            Ok(Err(error)) => {
                // A refusal that names the reason says more than a parent that is down.
                if !matches!(error, LibraryError::Unavailable(_)) || is_weak(&failure) {
                    failure = error;
                }
            }
            Err(_) if is_weak(&failure) => failure = LibraryError::Timeout,
            Err(_) => {}
        }
    }
    Err(failure)
}

fn is_weak(error: &LibraryError) -> bool {
    matches!(error, LibraryError::Unavailable(_) | LibraryError::Timeout)
}

async fn from_parent(
    core: &Arc<Core>,
    track: &Track,
    key: &FetchKey,
    hops: u32,
    peer: &v1::Peer,
) -> FetchResult {
    let unavailable = |status: tonic::Status| match status.code() {
        // Another run: the position is not to be had there either.
        Code::NotFound | Code::FailedPrecondition => LibraryError::Evicted,
        Code::OutOfRange => LibraryError::Future,
        _ => LibraryError::Unavailable(format!("{}: {}", peer.name, status.message())),
    };
    let request = v1::FetchRequest {
        hello: Some(core.hello()),
        stream: track.key.stream.clone(),
        track: track.key.track.clone(),
        run: key.run.clone(),
        init: key.number.is_none(),
        from_number: key.number.unwrap_or(1),
        to_number: key.number.unwrap_or(0),
        deadline_ms: PARENT_PATIENCE.as_millis() as u32,
        hops,
        max_bytes: 0,
    };
    core.counters.fetches_sent.inc();
    let link = core.link(peer).map_err(unavailable)?;
    let mut source = link.fetch(request).await.map_err(unavailable)?;
    let mut chunks = Vec::new();
    let mut init = None;
    let mut gap = false;
    let mut bytes = 0;
    while let Some(incoming) = source.next().await.map_err(unavailable)? {
        match incoming {
            Incoming::Chunk { head, payload } => {
                if head.track != track.key.track || Some(head.number) != key.number {
                    continue;
                }
                bytes += payload.len();
                if bytes > MAX_SEGMENT_BYTES {
                    return Err(LibraryError::Unavailable(format!(
                        "{}: segment of more than {MAX_SEGMENT_BYTES} bytes",
                        peer.name
                    )));
                }
                core.arrived(&peer.name, &track.key, Some(&head), payload.len(), "fetch");
                chunks.push((head, payload));
            }
            Incoming::Message(Body::Init(message)) if message.run == key.run => {
                init = Some(message.data);
            }
            Incoming::Message(Body::Gap(_)) => gap = true,
            Incoming::Message(_) => {}
        }
    }
    let Some(number) = key.number else {
        return init.map(Fetched::Init).ok_or(LibraryError::Evicted);
    };
    if chunks.is_empty() {
        return Err(if gap {
            LibraryError::Gap
        } else {
            LibraryError::Evicted
        });
    }
    let chunks = frame(track, number, chunks);
    if !is_whole_segment(&chunks) {
        core.counters.hash_mismatches.inc();
        return Err(LibraryError::Unavailable(format!(
            "{}: segment {number} came damaged or in part",
            peer.name
        )));
    }
    Ok(Fetched::Segment(Arc::new(chunks)))
}

/// Frames fetched chunks under this member's own discontinuity sequence.
fn frame(track: &Track, number: u64, chunks: Vec<(v1::ChunkHead, Bytes)>) -> Vec<FramedChunk> {
    let known = track.lock().store.discontinuity_of(number);
    chunks
        .into_iter()
        .map(|(mut head, payload)| {
            if let Some(known) = known {
                head.discontinuity_sequence = known;
            }
            FramedChunk::new(head, payload)
        })
        .collect()
}
