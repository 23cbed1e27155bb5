//! One request in, one response out: which path is whose, which methods are allowed, what is counted.

use std::net::IpAddr;
use std::sync::Arc;

use banyan_media::name::Resource;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;

use super::Egress;
use super::body::{Body, Sending};
use super::playlist::STEERING;
use super::reply::{Entity, Refusal, preflight};
use super::source::Source;

impl<S: Source> Egress<S> {
    /// Answers a request of `peer`; its body, if any, is not read.
    pub(crate) async fn handle<B>(
        &self,
        peer: IpAddr,
        sending: &Arc<Sending>,
        request: Request<B>,
    ) -> Response<Body> {
        let (head, _) = request.into_parts();
        let target = Target::of(head.uri.path(), self.options.serve_media);
        let kind = target.kind();
        let version = head.version;
        let mut response = match head.method {
            Method::OPTIONS => preflight(),
            Method::GET | Method::HEAD => {
                let viewer = self.sessions.viewer(peer, head.uri.query(), &head.headers);
                let outcome = match target {
                    Target::Health => Ok(self.health()),
                    Target::Ready => self.readiness(),
                    Target::Metrics => Ok(self.metrics_text()),
                    Target::Member => self.member(),
                    Target::Origins => self.origins(),
                    Target::Streams => self.streams(),
                    Target::Steering => self.steering(),
                    Target::Media(resource) => {
                        let steered = wants_pathways(head.uri.query());
                        self.resource(&resource, viewer, steered).await
                    }
                    Target::Unknown(refusal) => Err(refusal),
                };
                match outcome {
                    Ok(entity) => Entity::respond(entity, &head.method, &head.headers),
                    Err(refusal) => refusal.respond(&head.method, &head.headers),
                }
            }
            ref method => Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("method {method} is not allowed; accepted: GET, HEAD, OPTIONS"),
            )
            .respond(method, &head.headers),
        };
        // HTTP/2 has its own word for it, and forbids this one.
        if version < Version::HTTP_2 && self.options.lame_duck.is_cancelled() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        self.metrics.answered(kind, response.status().as_u16());
        self.source
            .report_egress(response.body().size_hint().lower());
        response.body_mut().attach(self.metrics.sent(kind), sending);
        response
    }
}

/// Only players that follow content steering ask for other edges' variants too.
fn wants_pathways(query: Option<&str>) -> bool {
    query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .any(|pair| pair == "pathways=all")
}

/// What a path names.
enum Target {
    Health,
    Ready,
    Metrics,
    Member,
    Origins,
    Streams,
    Steering,
    Media(Resource),
    Unknown(Refusal),
}

// === impl Target ===

impl Target {
    fn of(path: &str, serve_media: bool) -> Self {
        match path {
            "/healthz" => return Self::Health,
            "/readyz" => return Self::Ready,
            "/metrics" => return Self::Metrics,
            "/api/member" => return Self::Member,
            "/api/origins" => return Self::Origins,
            "/api/streams" if serve_media => return Self::Streams,
            STEERING if serve_media => return Self::Steering,
            _ => {}
        }
        if !serve_media {
            return Self::Unknown(Refusal::not_found(format!(
                "nothing at {path:?}; this member serves no viewers, only /healthz, /readyz, /metrics and /api/member"
            )));
        }
        match Resource::parse(path) {
            Ok(resource) => Self::Media(resource),
            Err(error) if error.is_not_found() => Self::Unknown(Refusal::not_found(format!(
                "{error}; media is at /STREAM/index.m3u8, the streams at /api/streams"
            ))),
            Err(error) => Self::Unknown(Refusal::new(StatusCode::BAD_REQUEST, error.to_string())),
        }
    }

    /// How metrics name it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Health | Self::Ready => "health",
            Self::Metrics => "metrics",
            Self::Member | Self::Origins | Self::Streams | Self::Steering => "api",
            Self::Unknown(_) => "unknown",
            Self::Media(resource) => match resource {
                Resource::Multivariant { .. } => "multivariant",
                Resource::Manifest { .. } => "manifest",
                Resource::Playlist { .. } => "playlist",
                Resource::Init { .. } => "init",
                Resource::Segment { .. } => "segment",
                Resource::Part { .. } => "part",
                Resource::Poster { .. } => "poster",
            },
        }
    }
}
