//! What a member says of itself: health, readiness, metrics, `/api/member` and `/api/streams`.

use banyan_proto::v1;
use http::StatusCode;
use serde::Serialize;

use super::Egress;
use super::reply::{Content, Entity, NO_STORE, Refusal};
use super::source::Source;

/// A stream in `/api/streams`.
#[derive(Serialize)]
struct Stream<'a> {
    name: &'a str,
    title: &'a str,
    run: &'a str,
    epoch: u64,
    duration_ms: u64,
    playlist: String,
    poster: Option<String>,
    tracks: Vec<Track<'a>>,
    viewers: u32,
    source: &'a str,
}

#[derive(Serialize)]
struct Track<'a> {
    name: &'a str,
    kind: &'static str,
    codec: &'a str,
    width: u32,
    height: u32,
    frame_rate: String,
    peak_bandwidth: u64,
}

impl<S: Source> Egress<S> {
    /// The process answers.
    pub(crate) fn health(&self) -> Entity {
        text("ok\n".to_owned())
    }

    /// Listening, configured and not draining; never the state of anything upstream.
    pub(crate) fn readiness(&self) -> Result<Entity, Refusal> {
        if self.shutdown.is_cancelled() || self.options.lame_duck.is_cancelled() {
            return Err(Refusal::unavailable("not ready: this member is stopping"));
        }
        if !self.source.ready() {
            return Err(Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: not configured yet, or draining",
            ));
        }
        Ok(text("ready\n".to_owned()))
    }

    pub(crate) fn metrics_text(&self) -> Entity {
        Entity {
            content: Content::Fresh(self.metrics.text(
                &self.source.metrics(),
                &self.source.status(),
                self.sessions.total(),
            )),
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            cache: NO_STORE,
        }
    }

    pub(crate) fn member(&self) -> Result<Entity, Refusal> {
        json(&self.source.status())
    }

    pub(crate) fn origins(&self) -> Result<Entity, Refusal> {
        let Some(origins) = self.source.origins() else {
            return Err(Refusal::not_found(
                "this member hears no content servers; roots and the control plane do".to_owned(),
            ));
        };
        json(&origins)
    }

    pub(crate) fn streams(&self) -> Result<Entity, Refusal> {
        let catalog = self.catalog.borrow().clone();
        let streams: Vec<_> = catalog
            .offers
            .values()
            .map(|offer| Stream {
                name: &offer.stream,
                title: &offer.title,
                run: &offer.run,
                epoch: offer.epoch,
                duration_ms: offer.duration_ms,
                playlist: format!("/{}/index.m3u8", offer.stream),
                poster: (!offer.poster.is_empty()).then(|| format!("/{}/poster.jpg", offer.stream)),
                tracks: offer.tracks.iter().map(Track::of).collect(),
                viewers: self.sessions.of(&offer.stream),
                source: &offer.source,
            })
            .collect();
        json(&streams)
    }
}

impl<'a> Track<'a> {
    fn of(track: &'a v1::Track) -> Self {
        Self {
            name: &track.name,
            kind: match track.kind() {
                v1::TrackKind::Video => "video",
                v1::TrackKind::Audio => "audio",
                v1::TrackKind::Text => "text",
                v1::TrackKind::Image => "image",
                v1::TrackKind::Unspecified => "unknown",
            },
            codec: &track.codec,
            width: track.width,
            height: track.height,
            frame_rate: format!("{}/{}", track.frame_rate_num, track.frame_rate_den.max(1)),
            peak_bandwidth: track.peak_bandwidth,
        }
    }
}

fn text(text: String) -> Entity {
    Entity {
        content: Content::Fresh(text),
        content_type: "text/plain; charset=utf-8",
        cache: NO_STORE,
    }
}

fn json(value: &impl Serialize) -> Result<Entity, Refusal> {
    let mut text = serde_json::to_string(value).map_err(|error| {
        tracing::error!(%error, "status could not be written as JSON");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the status could not be written as JSON",
        )
    })?;
    text.push('\n');
    Ok(Entity {
        content: Content::Fresh(text),
        content_type: "application/json",
        cache: NO_STORE,
    })
}
