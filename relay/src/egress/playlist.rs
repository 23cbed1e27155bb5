//! Playlists: written once per head, shared by all viewers.
//!
//! A media playlist is a function of the head position alone: the last `window_segments` whole segments
//! before it, whether held in memory or not. Edges that started at different times write equal texts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use banyan_media::hls::{self, MediaPlaylist, Pathway, SegmentEntry, TrackInfo};
use banyan_media::{FrameRate, Kind};
use banyan_proto::v1;
use prometheus_client::metrics::counter::Counter;

use super::coding::Text;
use crate::library::TrackView;

/// Where steering manifests are.
pub(crate) const STEERING: &str = "/api/steering";

/// The texts rendered last, by stream and track.
pub(crate) struct Playlists {
    media: Mutex<HashMap<String, HashMap<String, Arc<Slot>>>>,
    multivariant: Mutex<HashMap<String, OfferText>>,
    steered: Mutex<HashMap<String, (Vec<Pathway>, OfferText)>>,
    renders: Counter,
}

/// One track's text. Its lock is held while writing, so that one viewer writes and the others wait.
#[derive(Default)]
struct Slot(Mutex<Option<Rendered>>);

/// The multivariant playlist of the offer it was written for.
struct OfferText {
    offer: Arc<v1::Offer>,
    text: Arc<Text>,
}

struct Rendered {
    /// The view last seen to give this text.
    view: Arc<TrackView>,
    segments: Vec<v1::SegmentInfo>,
    ended: bool,
    text: Arc<Text>,
}

// === impl Playlists ===

impl Playlists {
    pub(crate) fn new(renders: Counter) -> Self {
        Self {
            media: Mutex::default(),
            multivariant: Mutex::default(),
            steered: Mutex::default(),
            renders,
        }
    }

    /// The playlist at the view's head; `None` until one whole segment is listed.
    pub(crate) fn media(
        &self,
        stream: &str,
        track: &str,
        view: &Arc<TrackView>,
    ) -> Option<Arc<Text>> {
        let segments = listed(view);
        if segments.is_empty() {
            return None;
        }
        let slot = self.slot(stream, track);
        let mut slot = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = view.ended.is_some();
        if let Some(rendered) = slot.as_mut() {
            if Arc::ptr_eq(&rendered.view, view) {
                return Some(rendered.text.clone());
            }
            // A new part changes the view and not yet the playlist.
            if rendered.segments == segments
                && rendered.ended == ended
                && rendered.view.description == view.description
            {
                rendered.view = view.clone();
                return Some(rendered.text.clone());
            }
        }
        self.renders.inc();
        let text = Arc::new(Text::new(write(track, view, segments)));
        *slot = Some(Rendered {
            view: view.clone(),
            segments: segments.to_vec(),
            ended,
            text: text.clone(),
        });
        Some(text)
    }

    /// The multivariant playlist of an offer.
    pub(crate) fn multivariant(&self, offer: &Arc<v1::Offer>) -> Arc<Text> {
        let mut texts = self
            .multivariant
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts.get(&offer.stream)
            && Arc::ptr_eq(&known.offer, offer)
        {
            return known.text.clone();
        }
        self.renders.inc();
        let tracks: Vec<_> = offer.tracks.iter().filter_map(track_info).collect();
        let text = Arc::new(Text::new(hls::multivariant(&tracks)));
        texts.insert(
            offer.stream.clone(),
            OfferText {
                offer: offer.clone(),
                text: text.clone(),
            },
        );
        text
    }

    /// The multivariant playlist of an offer over several edges.
    pub(crate) fn steered(&self, offer: &Arc<v1::Offer>, pathways: Vec<Pathway>) -> Arc<Text> {
        let mut texts = self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((over, known)) = texts.get(&offer.stream)
            && Arc::ptr_eq(&known.offer, offer)
            && *over == pathways
        {
            return known.text.clone();
        }
        self.renders.inc();
        let tracks: Vec<_> = offer.tracks.iter().filter_map(track_info).collect();
        let text = Arc::new(Text::new(hls::steered(&tracks, STEERING, &pathways)));
        let known = OfferText {
            offer: offer.clone(),
            text: text.clone(),
        };
        texts.insert(offer.stream.clone(), (pathways, known));
        text
    }

    /// Forgets streams that `keep` does not know.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut media = self.media.lock().unwrap_or_else(PoisonError::into_inner);
        media.retain(|stream, _| keep(stream));
        let mut texts = self
            .multivariant
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        texts.retain(|stream, _| keep(stream));
        let mut steered = self.steered.lock().unwrap_or_else(PoisonError::into_inner);
        steered.retain(|stream, _| keep(stream));
    }

    fn slot(&self, stream: &str, track: &str) -> Arc<Slot> {
        let mut media = self.media.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = media.get(stream).and_then(|tracks| tracks.get(track)) {
            return slot.clone();
        }
        let tracks = media.entry(stream.to_owned()).or_default();
        tracks.entry(track.to_owned()).or_default().clone()
    }
}

/// The whole segments that the playlist at this head lists.
fn listed(view: &TrackView) -> &[v1::SegmentInfo] {
    let Some(head) = &view.head else {
        return &[];
    };
    let whole = |info: &v1::SegmentInfo| {
        info.number < head.number || (info.number == head.number && head.segment_complete)
    };
    let end = view
        .segments
        .iter()
        .rposition(whole)
        .map_or(0, |last| last + 1);
    let window = view.description.window_segments.max(1) as usize;
    &view.segments[end.saturating_sub(window)..end]
}

fn write(track: &str, view: &TrackView, segments: &[v1::SegmentInfo]) -> String {
    let description = &view.description;
    let entries: Vec<_> = segments
        .iter()
        .map(|info| SegmentEntry {
            number: info.number,
            run: if info.run.is_empty() {
                description.run.clone()
            } else {
                info.run.clone()
            },
            start: info.start,
            duration: info.duration,
            discontinuity_sequence: info.discontinuity_sequence,
            gap: info.gap,
        })
        .collect();
    MediaPlaylist {
        track,
        epoch: description.epoch,
        timescale: description
            .track
            .as_ref()
            .map_or(1, |track| track.timescale.max(1)),
        target_duration_ms: description.target_duration_ms,
        segments: &entries,
        ended: view.ended.is_some(),
    }
    .write()
}

/// What a multivariant playlist says of an offered track; text and images have no place in it yet.
fn track_info(track: &v1::Track) -> Option<TrackInfo> {
    let kind = match track.kind() {
        v1::TrackKind::Video => Kind::Video,
        v1::TrackKind::Audio => Kind::Audio,
        v1::TrackKind::Unspecified | v1::TrackKind::Text | v1::TrackKind::Image => return None,
    };
    let (num, den) = (track.frame_rate_num, track.frame_rate_den);
    Some(TrackInfo {
        name: track.name.clone(),
        kind,
        codec: track.codec.clone(),
        width: track.width,
        height: track.height,
        frame_rate: (num > 0 && den > 0).then_some(FrameRate { num, den }),
        peak_bandwidth: track.peak_bandwidth,
        average_bandwidth: track.average_bandwidth,
        channels: track.channels,
        language: Some(track.language.clone()).filter(|language| !language.is_empty()),
    })
}
