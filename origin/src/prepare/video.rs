//! Pictures to segments: the decoder's thread feeds one worker per segment in flight.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use super::claims::Claims;
use super::slots::Slot;
use super::{Error, Preparation, be_nice, copy, cut, poster};
use crate::ffmpeg::encode::VideoEncoder;
use crate::ffmpeg::reader::Reader;
use crate::ffmpeg::shape::Shaper;
use crate::ffmpeg::{self, Picture};
use crate::peer::Peers;
use crate::plan::{Pictures, Plan, VideoTrack};
use crate::store::Store;

/// Prepares all missing video segments, in play order from the channel's place.
pub(super) fn prepare(run: &Preparation) -> Result<(), Error> {
    be_nice();
    let mut headers = BTreeMap::new();
    for track in &run.plan.video {
        let encoder = VideoEncoder::open(&track.spec)?;
        run.store
            .renew_init(&track.name, &encoder.init(track.spec.frame_rate)?)?;
        headers.insert(track.name.clone(), encoder.headers());
    }
    let headers = &headers;
    if run.store.poster().is_none() {
        poster::prepare(run)?;
    }
    let segments = run.plan.timeline.segments;
    let from = (run.position)().min(segments.saturating_sub(1));
    let failure = Mutex::new(None);
    let failure_ref = &failure;
    let claims = &Claims::new(segments, from);
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        let copier = scope.spawn(|| copy::run(run, claims));
        let fed = feed(run, headers, scope, claims, failure_ref, &mut workers);
        claims.close();
        if copier.join().is_err() {
            tracing::warn!(stream = run.plan.name, "copying from peers ended early");
        }
        for worker in workers {
            if worker.join().is_err() {
                note(failure_ref, Error::Stopped);
            }
        }
        if let Err(error) = fed {
            note(failure_ref, error);
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Feeds the missing segments to workers, each as soon as there is a slot for it.
fn feed<'scope, 'env>(
    run: &'env Preparation,
    headers: &'env Headers,
    scope: &'scope Scope<'scope, 'env>,
    claims: &'env Claims,
    failure: &'env Mutex<Option<Error>>,
    workers: &mut Vec<ScopedJoinHandle<'scope, ()>>,
) -> Result<(), Error> {
    let plan = &run.plan;
    let length = u64::from(plan.timeline.frames_per_segment);
    let mut source: Option<Frames> = None;
    let is_missing = |local| is_missing(plan, &run.store, local);
    while let Some(local) = claims.peek(is_missing) {
        let lead = lead(run, local);
        let stopped = || {
            run.stop.raised()
                || failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .is_some()
        };
        let Some(slot) = run.slots.acquire(lead, stopped) else {
            return Err(Error::Stopped);
        };
        // While this waited, a peer's copy may have come.
        let Some(local) = claims.take(is_missing) else {
            continue;
        };
        let missing = missing(plan, &run.store, local);
        workers.retain(|worker| !worker.is_finished());
        let first = u64::from(local) * length;
        // A long stretch of prepared segments is skipped by opening anew nearer to the place; so is the way back.
        if source
            .as_ref()
            .is_none_or(|s| s.next + SKIP < first || s.next > first)
        {
            source = Some(Frames::open(&plan.pictures, first)?);
        }
        let Some(frames) = &mut source else { continue };
        let (send, receive) = sync_channel::<Arc<Picture>>(capacity(plan, run.slots.total()));
        workers.push(scope.spawn(move || {
            be_nice();
            if let Err(error) = segment(run, headers, local, &missing, receive, slot) {
                note(failure, error);
            }
        }));
        for index in first..first + length {
            if send.send(frames.at(index)?).is_err() {
                // The worker gave up and has said why.
                break;
            }
        }
    }
    Ok(())
}

fn segment(
    run: &Preparation,
    headers: &Headers,
    local: u32,
    tracks: &[VideoTrack],
    pictures: Receiver<Arc<Picture>>,
    slot: Slot,
) -> Result<(), Error> {
    let rotation = run.plan.pictures.rotation();
    let mut encoders = Vec::new();
    for track in tracks {
        let encoder = VideoEncoder::open(&track.spec)?;
        // One init serves all segments of a track.
        if headers.get(&track.name) != Some(&encoder.headers()) {
            return Err(ffmpeg::Error::Headers { local }.into());
        }
        encoders.push((
            track,
            Shaper::new(track.spec.width, track.spec.height, rotation),
            encoder,
        ));
    }
    let mut received = 0;
    for picture in pictures {
        received += 1;
        if run.stop.raised() {
            return Err(Error::Stopped);
        }
        for (_, shaper, encoder) in &mut encoders {
            encoder.push(&mut shaper.shape(&picture)?)?;
        }
    }
    if received != run.plan.timeline.frames_per_segment {
        // The decoder's thread ended early and says why.
        return Err(Error::Stopped);
    }
    for (track, _, encoder) in encoders {
        let segment = cut::video(&run.plan.timeline, local, &encoder.finish()?);
        run.store.put(&track.name, local, false, &segment)?;
        Peers::count(&run.peers.encoded);
        (run.stored)();
    }
    drop(slot);
    Ok(())
}

/// The renditions of segment `local` that are not on disk.
pub(super) fn missing(plan: &Plan, store: &Store, local: u32) -> Vec<VideoTrack> {
    plan.video
        .iter()
        .filter(|track| !store.has(&track.name, local, false))
        .cloned()
        .collect()
}

pub(super) fn is_missing(plan: &Plan, store: &Store, local: u32) -> bool {
    let mut tracks = plan.video.iter();
    tracks.any(|track| !store.has(&track.name, local, false))
}

/// Segments between the viewers and `local`, going round.
fn lead(run: &Preparation, local: u32) -> u32 {
    let segments = run.plan.timeline.segments.max(1);
    (local + segments - (run.position)() % segments) % segments
}

/// Pictures that may wait for one encoder: a whole segment, so that the decoder can go on to the next worker's, as long as
/// all of them together stay within bounds.
fn capacity(plan: &Plan, slots: usize) -> usize {
    let (width, height) = plan.pictures.size();
    let picture = (width as usize * height as usize * 3 / 2).max(1);
    (MEMORY / slots.max(1) / picture).clamp(4, plan.timeline.frames_per_segment as usize + 1)
}

fn note(failure: &Mutex<Option<Error>>, error: Error) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    // "Stopped" is the echo of another error.
    if failure.as_ref().is_none_or(|f| matches!(f, Error::Stopped)) {
        *failure = Some(error);
    }
}

/// SPS and PPS by track.
type Headers = BTreeMap<String, Vec<u8>>;

/// Pictures by index, forward.
struct Frames<'a> {
    source: &'a Pictures,
    reader: Option<Reader>,
    next: u64,
}

impl<'a> Frames<'a> {
    fn open(source: &'a Pictures, from: u64) -> Result<Self, Error> {
        let reader = match source {
            Pictures::File { path, probe } => Some(Reader::open(path, &probe.video, from)?),
            Pictures::Pattern(_) => None,
        };
        Ok(Self {
            source,
            reader,
            next: from,
        })
    }

    fn at(&mut self, index: u64) -> Result<Arc<Picture>, Error> {
        self.next = index + 1;
        match (&mut self.reader, self.source) {
            (Some(reader), _) => Ok(reader.frame(index)?),
            (None, Pictures::Pattern(pattern)) => Ok(Arc::new(pattern.frame(index))),
            (None, Pictures::File { .. }) => Err(ffmpeg::Error::NoPicture.into()),
        }
    }
}

impl Pictures {
    pub(super) fn rotation(&self) -> u32 {
        match self {
            Self::File { probe, .. } => probe.video.rotation,
            Self::Pattern(_) => 0,
        }
    }

    /// Size as shown.
    pub(super) fn size(&self) -> (u32, u32) {
        match self {
            Self::File { probe, .. } => (probe.video.width, probe.video.height),
            Self::Pattern(pattern) => (pattern.width, pattern.height),
        }
    }
}

/// Bytes of decoded pictures that may wait for encoders, all contents of a server together.
const MEMORY: usize = 512 << 20;
/// Frames worth a seek rather than decoding through.
const SKIP: u64 = 1500;
