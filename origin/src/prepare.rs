//! Preparing an asset: one decoder runs forward, a fresh encoder per segment and rendition, several segments at a time.
//!
//! `Preparation::run` blocks until all is on disk or something failed; what it did stays. Video runs in play order from the
//! place the channel is at, and what a peer has prepared already is copied meanwhile; audio is encoded from the asset's start, beside it, in a process of its own. What is on disk is
//! never made again, so running twice, or after a kill, costs only what is missing.

mod audio;
mod claims;
mod copy;
mod cut;
mod poster;
pub(crate) mod slots;
mod video;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use banyan_media::{Asset, AssetTrack, BoxError, Kind, Timeline, boxes};

pub(crate) use self::cut::TRACK_ID;
use self::slots::Slots;
use crate::ffmpeg;
use crate::peer::Peers;
use crate::plan::{AUDIO, Plan};
use crate::store::{self, Store};
use crate::time::Clock;

/// One run of preparation.
pub(crate) struct Preparation {
    pub(crate) plan: Arc<Plan>,
    pub(crate) store: Arc<Store>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) stop: Stop,
    /// When segment 0 of the stream began, Unix seconds.
    pub(crate) epoch: u64,
    pub(crate) clock: Arc<Clock>,
    pub(crate) peers: Arc<Peers>,
    /// Segments that came from a peer in this run.
    pub(crate) copied: Arc<AtomicUsize>,
    /// The executable with the hidden audio subcommand.
    pub(crate) program: PathBuf,
    /// The local segment that viewers are at now.
    pub(crate) position: Box<dyn Fn() -> u32 + Send + Sync>,
    /// Called after each stored segment.
    pub(crate) stored: Box<dyn Fn() + Send + Sync>,
}

/// Tells a preparation's threads to end soon. The first error raises it for the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("preparation was stopped")]
    Stopped,
    #[error(transparent)]
    Media(#[from] ffmpeg::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("audio process failed: {0}")]
    Audio(String),
    #[error("init segment of track {track:?} is not usable: {source}")]
    Init { track: String, source: BoxError },
}

impl Preparation {
    /// Prepares what is missing. Ends with the descriptor written, or with the first error.
    pub(crate) fn run(&self) -> Result<(), Error> {
        let first = Mutex::new(None);
        let note = |result: Result<(), Error>| {
            if let Err(error) = result {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                if first.is_none() {
                    *first = Some(error);
                }
                self.stop.raise();
            }
        };
        std::thread::scope(|scope| {
            if self.plan.audio.is_some() {
                scope.spawn(|| note(audio::prepare(self)));
            }
            note(video::prepare(self));
        });
        if let Some(error) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        if self.stop.raised() {
            return Err(Error::Stopped);
        }
        let asset = describe(&self.plan, &self.store)?;
        if self.store.asset().as_ref() != Some(&asset) {
            self.store.put_asset(&asset)?;
        }
        Ok(())
    }
}

/// The descriptor as far as the files on disk tell; bandwidths are those of the segments prepared so far, at least the cap.
pub(crate) fn describe(plan: &Plan, store: &Store) -> Result<Asset, Error> {
    let mut tracks = Vec::new();
    let caps = plan
        .video
        .iter()
        .map(|v| v.spec.max_rate)
        .chain(plan.audio.iter().map(|a| a.bitrate));
    for (name, cap) in plan.track_names().zip(caps) {
        let kind = if name == AUDIO {
            Kind::Audio
        } else {
            Kind::Video
        };
        let data = store.init(&name).unwrap_or_default();
        let facts = boxes::inspect_init(&data).map_err(|source| Error::Init {
            track: name.clone(),
            source,
        })?;
        let complete = is_complete(plan, store, &name);
        let (largest, total) = store.sizes(&name);
        let (peak, average) = bandwidths(&plan.timeline, kind, largest, total);
        tracks.push(AssetTrack {
            kind,
            codec: facts.codec,
            width: facts.width,
            height: facts.height,
            sample_rate: facts.sample_rate,
            channels: facts.channels,
            language: None,
            timescale: facts.timescale,
            track_id: facts.track_id,
            peak_bandwidth: if complete {
                peak
            } else {
                peak.max(cap + cap / 5)
            },
            average_bandwidth: if complete { average } else { cap },
            name,
        });
    }
    Ok(Asset {
        key: plan.key.clone(),
        content_digest: blake3::Hash::from(plan.content_digest).to_hex().to_string(),
        title: plan.title.clone(),
        packager: ffmpeg::packager().to_owned(),
        timeline: plan.timeline.clone(),
        tracks,
    })
}

/// Files that a whole track has.
pub(crate) fn files_of(plan: &Plan, track: &str) -> usize {
    plan.timeline.segments as usize + usize::from(track == AUDIO && plan.has_long_audio())
}

pub(crate) fn is_complete(plan: &Plan, store: &Store, track: &str) -> bool {
    store.count(track) >= files_of(plan, track)
}

/// Bits per second of the largest segment and over the loop, rounded up.
fn bandwidths(timeline: &Timeline, kind: Kind, largest: u64, total: u64) -> (u64, u64) {
    let segment = timeline.timing(kind, 0);
    let peak = (u128::from(largest) * 8 * u128::from(segment.timescale))
        .div_ceil(u128::from(segment.duration.max(1)));
    let average =
        (u128::from(total) * 8 * 1000).div_ceil(u128::from(timeline.loop_duration_ms().max(1)));
    (
        u64::try_from(peak).unwrap_or(u64::MAX),
        u64::try_from(average).unwrap_or(u64::MAX),
    )
}

/// Encoding never takes the processor from serving.
fn be_nice() {
    // On Linux "this process" means this thread. Failure only means more haste.
    let _ = rustix::process::setpriority_process(None, NICE);
}

const NICE: i32 = 10;
