//! Streams as the reports of roots, edges and content servers show them together.

use std::collections::BTreeMap;

use banyan_proto::v1;

use super::view::{Stream, StreamView, Track};
use super::{State, Topology};
use crate::roster::Role;

impl Topology {
    pub(super) fn stream_views(&self) -> Vec<StreamView> {
        self.stream_names()
            .into_iter()
            .map(|name| {
                let (carrier, origin) = self.carrier(name).unzip();
                StreamView {
                    name: name.to_owned(),
                    title: self.offer(name).map_or(name, |o| &o.title).to_owned(),
                    candidates: self.candidates(name, carrier),
                    carrier: carrier.map(str::to_owned),
                    origin: origin.map(str::to_owned),
                    viewers: self.viewers(name),
                    poster: self.poster(name).is_some(),
                }
            })
            .collect()
    }

    /// `/api/streams`: what is offered, with the playlists of every edge that is not lost (of all,
    /// when the control plane knows of none: it may just have started).
    pub fn streams(&self) -> Vec<Stream> {
        let edges: Vec<_> = self.roster.of_role(Role::Edge).collect();
        let known: Vec<_> = edges
            .iter()
            .filter(|edge| self.state(&edge.name) != Some(State::Lost))
            .collect();
        let edges: Vec<_> = if known.is_empty() {
            edges.iter().collect()
        } else {
            known
        };
        let mut offers = BTreeMap::new();
        for offer in self.known_offers() {
            offers.entry(offer.stream.as_str()).or_insert(offer);
        }
        offers
            .into_iter()
            .map(|(name, offer)| Stream {
                name: name.to_owned(),
                title: offer.title.clone(),
                run: offer.run.clone(),
                epoch: offer.epoch,
                duration_ms: offer.duration_ms,
                playlists: edges
                    .iter()
                    .map(|edge| format!("{}/{name}/index.m3u8", edge.http))
                    .collect(),
                poster: self.poster(name).map(|_| format!("/{name}/poster.jpg")),
                tracks: offer.tracks.iter().map(Track::from).collect(),
                viewers: self.viewers(name),
                source: self
                    .carrier(name)
                    .map_or(offer.source.as_str(), |(_, origin)| origin)
                    .to_owned(),
            })
            .collect()
    }

    fn offer(&self, stream: &str) -> Option<&v1::Offer> {
        self.known_offers().find(|offer| offer.stream == stream)
    }

    /// The root that has a content server for a parent, and that server. Where two have, in a
    /// partition, the first by rank.
    fn carrier(&self, stream: &str) -> Option<(&str, &str)> {
        self.roster.of_role(Role::Root).find_map(|root| {
            let track = self
                .fresh(&root.name)?
                .tracks
                .iter()
                .find(|track| track.stream == stream && self.is_origin(&track.parent))?;
            Some((root.name.as_str(), track.parent.as_str()))
        })
    }

    fn is_origin(&self, name: &str) -> bool {
        self.roster
            .entry(name)
            .is_some_and(|entry| entry.role == Role::Origin)
    }

    /// Those that may feed it or do. By the carrier's own measure where there is one, else by what any root says.
    fn candidates(&self, stream: &str, carrier: Option<&str>) -> Vec<String> {
        let mut ranked: BTreeMap<&str, u32> = BTreeMap::new();
        let roots = self
            .roster
            .of_role(Role::Root)
            .map(|root| root.name.as_str());
        for root in carrier.into_iter().chain(roots) {
            for origin in self.fresh(root).iter().flat_map(|report| &report.origins) {
                let offers = origin.contents.iter().any(|content| content == stream);
                let feeds = origin.feeds.iter().any(|content| content == stream);
                let may = origin.reason.is_empty() && origin.state != super::origins::SILENT;
                if offers && (may || feeds) {
                    ranked.entry(&origin.source).or_insert(origin.metric);
                }
            }
        }
        let mut ranked: Vec<_> = ranked
            .into_iter()
            .map(|(name, metric)| (metric, name))
            .collect();
        ranked.sort_unstable();
        ranked
            .into_iter()
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    /// Viewers of a stream: on each edge those of its video renditions together, or of its busiest
    /// other track, since one viewer plays one rendition and the audio beside it.
    pub(super) fn viewers(&self, stream: &str) -> u32 {
        let video = |track: &v1::TrackReport| {
            self.offer(stream).is_some_and(|offer| {
                offer
                    .tracks
                    .iter()
                    .any(|t| t.name == track.track && t.kind() == v1::TrackKind::Video)
            })
        };
        self.roster
            .of_role(Role::Edge)
            .filter_map(|edge| self.fresh(&edge.name))
            .map(|report| {
                let (mut pictures, mut other) = (0u32, 0u32);
                for track in report.tracks.iter().filter(|track| track.stream == stream) {
                    if video(track) {
                        pictures = pictures.saturating_add(track.viewers);
                    } else {
                        other = other.max(track.viewers);
                    }
                }
                pictures.max(other)
            })
            .fold(0, u32::saturating_add)
    }
}

impl From<&v1::Track> for Track {
    fn from(track: &v1::Track) -> Self {
        Self {
            name: track.name.clone(),
            kind: match track.kind() {
                v1::TrackKind::Video => "video",
                v1::TrackKind::Audio => "audio",
                v1::TrackKind::Text => "text",
                v1::TrackKind::Image => "image",
                v1::TrackKind::Unspecified => "unknown",
            },
            codec: track.codec.clone(),
            width: track.width,
            height: track.height,
            frame_rate: format!("{}/{}", track.frame_rate_num, track.frame_rate_den),
            peak_bandwidth: track.peak_bandwidth,
        }
    }
}
