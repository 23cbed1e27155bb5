//! One stream as it is served: an asset looped on the channel clock, its segments patched, hashed and framed once.

mod segment;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use banyan_media::{Asset, Kind, Timeline, name};
use banyan_proto::v1;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

pub(crate) use self::segment::Segment;
use self::segment::Segments;
use crate::plan::Plan;
use crate::store::{self, Store};
use crate::time::NS;

/// A stream that can be subscribed to.
pub(crate) struct Channel {
    pub(crate) stream: String,
    pub(crate) run: String,
    pub(crate) epoch: u64,
    pub(crate) window: u32,
    pub(crate) timeline: Timeline,
    tracks: Vec<Arc<Track>>,
    /// Raised when the content is withdrawn, or its bytes are others now.
    pub(crate) ended: CancellationToken,
    withdrawn: AtomicBool,
}

/// One track of a channel.
pub(crate) struct Track {
    pub(crate) facts: v1::Track,
    pub(crate) kind: Kind,
    pub(crate) init: Bytes,
    segments: Segments,
}

/// A place in a track: segments since the epoch, and part.
pub(crate) type Place = (u64, u32);

impl Channel {
    pub(crate) fn new(
        plan: &Plan,
        asset: &Asset,
        store: &Arc<Store>,
        epoch: u64,
        window: u32,
    ) -> Self {
        let run = name::run_id(&plan.name, &plan.key, epoch);
        let tracks = asset.tracks.iter().map(|track| {
            let segments = Segments::new(
                Arc::clone(store),
                plan.timeline.clone(),
                track.kind,
                &track.name,
                &run,
                epoch,
            );
            Arc::new(Track {
                facts: facts(track, &plan.timeline),
                kind: track.kind,
                init: store.init(&track.name).unwrap_or_default().into(),
                segments,
            })
        });
        Self {
            stream: plan.name.clone(),
            epoch,
            window,
            timeline: plan.timeline.clone(),
            tracks: tracks.collect(),
            ended: CancellationToken::new(),
            withdrawn: AtomicBool::new(false),
            run,
        }
    }

    /// Ends all subscriptions, for good or to begin anew in another run.
    pub(crate) fn end(&self, withdrawn: bool) {
        self.withdrawn.store(withdrawn, Ordering::Release);
        self.ended.cancel();
    }

    /// What subscribers of an ended channel are told.
    pub(crate) fn farewell(&self) -> v1::End {
        let withdrawn = self.withdrawn.load(Ordering::Acquire);
        let reason = if withdrawn {
            "the content was withdrawn"
        } else {
            "the content is in another run now"
        };
        v1::End {
            reason: reason.to_owned(),
            withdrawn,
        }
    }

    pub(crate) fn track(&self, name: &str) -> Option<&Arc<Track>> {
        self.tracks.iter().find(|track| track.facts.name == name)
    }

    pub(crate) fn tracks(&self) -> impl Iterator<Item = &Arc<Track>> {
        self.tracks.iter()
    }

    /// Channel time at which a chunk's end passes, in nanoseconds since 1970.
    pub(crate) fn release(&self, kind: Kind, (n, part): Place) -> u128 {
        u128::from(self.epoch) * NS + self.timeline.release_after_epoch_ns(kind, n, part)
    }

    /// The newest chunk released at `now`; `None` before the first one.
    pub(crate) fn head(&self, kind: Kind, now: u128) -> Option<Place> {
        self.timeline
            .position_at(kind, now.checked_sub(u128::from(self.epoch) * NS)?)
    }

    /// The local segment viewers are at.
    pub(crate) fn local_now(timeline: &Timeline, epoch: u64, now: u128) -> u32 {
        let since = now.saturating_sub(u128::from(epoch) * NS);
        // The segment in release, not the last one finished: one frame past the head.
        let head = timeline.position_at(Kind::Video, since);
        let n = match head {
            Some((n, part)) if part + 1 < timeline.parts => n,
            Some((n, _)) => n + 1,
            None => 0,
        };
        timeline.locate(n).local
    }

    pub(crate) fn next(&self, (n, part): Place) -> Place {
        if part + 1 < self.timeline.parts {
            (n, part + 1)
        } else {
            (n + 1, 0)
        }
    }

    pub(crate) fn description(&self, track: &Track) -> v1::Description {
        v1::Description {
            stream: self.stream.clone(),
            run: self.run.clone(),
            epoch: self.epoch,
            track: Some(track.facts.clone()),
            discontinuity_sequence: 0,
            target_duration_ms: self.timeline.target_duration_ms(),
            part_target_ms: self.timeline.part_target_ms(),
            window_segments: self.window,
            sample_every: 0,
            sample_from: 0,
        }
    }

    /// The window: the last `window` whole segments and the one in release, if it has begun.
    pub(crate) fn index(&self, track: &Track, head: Place) -> v1::Index {
        let (n, part) = head;
        let whole = part + 1 >= self.timeline.parts;
        let listed = u64::from(self.window) - u64::from(whole);
        let segments = (n.saturating_sub(listed)..=n)
            .map(|n| {
                let timing = self.timeline.timing(track.kind, n);
                v1::SegmentInfo {
                    number: self.epoch + n,
                    start: timing.start,
                    duration: timing.duration,
                    part_durations: timing.parts,
                    discontinuity_sequence: 0,
                    gap: false,
                    run: self.run.clone(),
                }
            })
            .collect();
        v1::Index {
            segments,
            head_number: self.epoch + n,
            head_part: part,
        }
    }

    pub(crate) fn offer(&self, asset: &Asset, poster: Bytes, source: &str) -> v1::Offer {
        v1::Offer {
            stream: self.stream.clone(),
            run: self.run.clone(),
            epoch: self.epoch,
            tracks: asset
                .tracks
                .iter()
                .map(|track| facts(track, &self.timeline))
                .collect(),
            target_duration_ms: self.timeline.target_duration_ms(),
            part_target_ms: self.timeline.part_target_ms(),
            window_segments: self.window,
            title: asset.title.clone(),
            duration_ms: self.timeline.loop_duration_ms(),
            poster,
            source: source.to_owned(),
        }
    }
}

impl Track {
    /// Segment `n`, read and framed once for all who ask at about the same time.
    pub(crate) async fn segment(&self, n: u64) -> Result<Arc<Segment>, Arc<store::Error>> {
        self.segments.get(n).await
    }
}

fn facts(track: &banyan_media::AssetTrack, timeline: &Timeline) -> v1::Track {
    let video = track.kind == Kind::Video;
    v1::Track {
        name: track.name.clone(),
        kind: if video {
            v1::TrackKind::Video
        } else {
            v1::TrackKind::Audio
        }
        .into(),
        codec: track.codec.clone(),
        width: track.width,
        height: track.height,
        frame_rate_num: if video { timeline.frame_rate.num } else { 0 },
        frame_rate_den: if video { timeline.frame_rate.den } else { 0 },
        sample_rate: track.sample_rate,
        channels: track.channels,
        language: track.language.clone().unwrap_or_default(),
        peak_bandwidth: track.peak_bandwidth,
        average_bandwidth: track.average_bandwidth,
        timescale: track.timescale,
    }
}
