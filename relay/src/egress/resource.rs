//! Media by name: from a parsed URL to the entity behind it, with the waiting that MEDIA §7 allows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use banyan_media::hls::{self, Pathway};
use banyan_media::name::Resource;
use banyan_proto::v1;
use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderValue;

use super::coding::quoted;
use super::playlist::STEERING;
use super::reply::{Content, Entity, NO_STORE, Refusal};
use super::sessions::Viewer;
use super::source::{Carried, Source};
use super::{Egress, coding::Text};
use crate::library::{CatalogView, LibraryError};

impl<S: Source> Egress<S> {
    /// The entity a media URL names.
    pub(crate) async fn resource(
        &self,
        resource: &Resource,
        viewer: Viewer,
        steered: bool,
    ) -> Result<Entity, Refusal> {
        match resource {
            Resource::Multivariant { stream } => {
                let offer = self.offer(stream)?;
                let pathways = if steered {
                    self.pathways(stream)
                } else {
                    Vec::new()
                };
                let text = if pathways.is_empty() {
                    self.playlists.multivariant(&offer)
                } else {
                    self.playlists.steered(&offer, pathways)
                };
                Ok(Entity {
                    content: Content::Text(text),
                    content_type: PLAYLIST,
                    cache: "public, max-age=5",
                })
            }
            Resource::Manifest { stream } => {
                self.offer(stream)?;
                Err(Refusal::not_found(format!(
                    "DASH is not supported yet; this edge serves HLS at /{stream}/index.m3u8"
                )))
            }
            Resource::Poster { stream } => {
                let offer = self.offer(stream)?;
                if offer.poster.is_empty() {
                    return Err(Refusal::not_found(format!(
                        "stream {stream:?} has no poster"
                    )));
                }
                let digest = blake3::hash(&offer.poster).to_hex();
                Ok(Entity {
                    content: Content::Media {
                        frames: vec![offer.poster.clone()],
                        etag: quoted(&digest[..16]),
                    },
                    content_type: "image/jpeg",
                    cache: "public, max-age=60",
                })
            }
            Resource::Playlist { stream, track } => self.playlist(stream, track, viewer).await,
            Resource::Init { stream, run, track } => {
                let (offer, kind) = self.track_of(stream, track, viewer)?;
                let wanted = async {
                    let handle = self.source.track(stream, track).await?;
                    let _demand = handle.demand();
                    Ok(vec![handle.init(run).await?])
                };
                let frames = self
                    .wait(&offer, wanted)
                    .await
                    .map_err(|e| e.about(resource))?;
                Ok(media(frames, quoted(&format!("{run}-{track}-init")), kind))
            }
            Resource::Segment {
                stream,
                run,
                track,
                number,
            } => {
                let (offer, kind) = self.track_of(stream, track, viewer)?;
                let wanted = async {
                    let handle = self.source.track(stream, track).await?;
                    let _demand = handle.demand();
                    handle.segment(run, *number).await
                };
                let frames = self
                    .wait(&offer, wanted)
                    .await
                    .map_err(|e| e.about(resource))?;
                Ok(media(
                    frames,
                    quoted(&format!("{run}-{track}-{number}")),
                    kind,
                ))
            }
            Resource::Part {
                stream,
                run,
                track,
                number,
                part,
            } => {
                let (offer, kind) = self.track_of(stream, track, viewer)?;
                let wanted = async {
                    let handle = self.source.track(stream, track).await?;
                    let _demand = handle.demand();
                    Ok(vec![handle.part(run, *number, *part).await?])
                };
                let frames = self
                    .wait(&offer, wanted)
                    .await
                    .map_err(|e| e.about(resource))?;
                Ok(media(
                    frames,
                    quoted(&format!("{run}-{track}-{number}.{part}")),
                    kind,
                ))
            }
        }
    }

    fn pathways(&self, stream: &str) -> Vec<Pathway> {
        let edges = self.source.edges().into_iter().enumerate();
        let pathway = |(index, edge): (usize, v1::Peer)| Pathway {
            base: match index {
                0 => String::new(),
                _ => format!("{}/{stream}/", edge.uri.trim_end_matches('/')),
            },
            name: edge.name,
        };
        edges.map(pathway).collect()
    }

    /// Where viewers should go now: here, unless this member is about to leave.
    pub(crate) fn steering(&self) -> Result<Entity, Refusal> {
        let edges = self.source.edges();
        let mut names: Vec<_> = edges.iter().map(|edge| edge.name.as_str()).collect();
        if names.is_empty() {
            return Err(Refusal::not_found(
                "this edge knows no other; there is nothing to steer",
            ));
        }
        if self.readiness().is_err() {
            names.rotate_left(1);
        }
        Ok(Entity {
            content: Content::Fresh(hls::steering_manifest(&names, STEERING, TTL)),
            content_type: "application/json",
            cache: NO_STORE,
        })
    }

    async fn playlist(&self, stream: &str, track: &str, viewer: Viewer) -> Result<Entity, Refusal> {
        let (offer, _) = self.track_of(stream, track, viewer)?;
        let wanted = async {
            let handle = self.source.track(stream, track).await?;
            let _demand = handle.demand();
            let mut views = handle.view();
            loop {
                let view = views.borrow_and_update().clone();
                if view.ended.is_some_and(|ended| ended.withdrawn) {
                    return Err(LibraryError::Withdrawn);
                }
                if let Some(text) = self.playlists.media(stream, track, &view) {
                    return Ok::<Arc<Text>, _>(text);
                }
                if views.changed().await.is_err() {
                    return Err(LibraryError::Unavailable("the track was let go".to_owned()));
                }
            }
        };
        let text = self.wait(&offer, wanted).await.map_err(|e| {
            e.about(&Resource::Playlist {
                stream: stream.into(),
                track: track.into(),
            })
        })?;
        Ok(Entity {
            content: Content::Text(text),
            content_type: PLAYLIST,
            // A cached playlist adds its age to the latency; short segments bear none.
            cache: if offer.target_duration_ms >= 2000 {
                "public, max-age=1"
            } else {
                "no-cache"
            },
        })
    }

    /// Bounds a wait by three target durations, and by the end of this member's own patience.
    async fn wait<T>(
        &self,
        offer: &v1::Offer,
        wanted: impl Future<Output = Result<T, LibraryError>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            outcome = wanted => outcome.map_err(Failure::Library),
            () = self.options.impatient.cancelled() => Err(Failure::Draining),
            () = tokio::time::sleep(patience(offer)) => Err(Failure::Late(patience(offer))),
        }
    }

    /// The offer of a stream, or why there is none.
    fn offer(&self, stream: &str) -> Result<Arc<v1::Offer>, Refusal> {
        let catalog = self.catalog.borrow();
        if let Some(offer) = catalog.offers.get(stream) {
            return Ok(offer.clone());
        }
        if catalog.withdrawn.contains(stream) {
            return Err(Refusal::new(
                StatusCode::GONE,
                format!("stream {stream:?} was taken back by its content server"),
            ));
        }
        if !catalog.known {
            return Err(Refusal::unavailable(format!(
                "stream {stream:?} is not known yet: no parent has told its catalogue"
            )));
        }
        Err(Refusal::not_found(format!(
            "no stream {stream:?} here; {}",
            offered(&catalog)
        )))
    }

    /// The offer behind a track and its MIME type; counts the viewer.
    fn track_of(
        &self,
        stream: &str,
        track: &str,
        viewer: Viewer,
    ) -> Result<(Arc<v1::Offer>, &'static str), Refusal> {
        let offer = self.offer(stream)?;
        let Some(info) = offer.tracks.iter().find(|info| info.name == track) else {
            let names: Vec<_> = offer.tracks.iter().map(|info| info.name.as_str()).collect();
            return Err(Refusal::not_found(format!(
                "stream {stream:?} has no track {track:?}; it has {}",
                names.join(", ")
            )));
        };
        let kind = if info.kind() == v1::TrackKind::Audio {
            "audio/mp4"
        } else {
            "video/mp4"
        };
        let limit = self.source.max_sessions();
        let idle = patience(&offer).max(IDLE);
        let known = self.sessions.knows(viewer, stream);
        if !known && let Err(full) = self.source.admit(info.peak_bandwidth) {
            return Err(Refusal::unavailable(format!(
                "this edge sends {} of {} bit/s already, and {track} needs {}",
                full.used, full.limit, info.peak_bandwidth
            )));
        }
        if !self.sessions.admit(viewer, stream, track, idle, limit) {
            self.source.turn_away();
            return Err(Refusal::unavailable(format!(
                "this edge serves {limit} viewers already, its limit"
            )));
        }
        Ok((offer, kind))
    }
}

/// How long a request may wait for what is about to exist.
fn patience(offer: &v1::Offer) -> Duration {
    3 * Duration::from_millis(u64::from(offer.target_duration_ms.max(333)))
}

fn offered(catalog: &CatalogView) -> String {
    if catalog.offers.is_empty() {
        return "nothing is offered".to_owned();
    }
    let names: Vec<_> = catalog.offers.keys().map(String::as_str).collect();
    format!("offered: {}", names.join(", "))
}

fn media(frames: Vec<Bytes>, etag: HeaderValue, content_type: &'static str) -> Entity {
    Entity {
        content: Content::Media { frames, etag },
        content_type,
        cache: "public, max-age=31536000, immutable",
    }
}

/// Why a wait gave nothing.
enum Failure {
    Library(LibraryError),
    Late(Duration),
    Draining,
}

// === impl Failure ===

impl Failure {
    /// The status of MEDIA §7, with a sentence that names the resource.
    fn about(self, resource: &Resource) -> Refusal {
        let error = match self {
            Self::Draining => {
                return Refusal::unavailable("this member is stopping; ask another edge");
            }
            Self::Late(waited) => {
                return Refusal::unavailable(format!(
                    "{resource} did not arrive within {} ms",
                    waited.as_millis()
                ));
            }
            Self::Library(error) => error,
        };
        let sentence = format!("{resource}: {error}");
        match error {
            LibraryError::UnknownStream
            | LibraryError::UnknownTrack
            | LibraryError::Evicted
            | LibraryError::Gap => Refusal::not_found(sentence),
            LibraryError::Withdrawn => Refusal::new(StatusCode::GONE, sentence),
            LibraryError::Future => Refusal::new(StatusCode::BAD_REQUEST, sentence),
            LibraryError::Unavailable(_) | LibraryError::Timeout => Refusal::unavailable(sentence),
        }
    }
}

/// Seconds after which a player looks again: a few segments.
const TTL: u32 = 5;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// MEDIA §8: HTTP demand lasts at least this long.
const IDLE: Duration = Duration::from_secs(10);
