//! Responses: entities with validators and ranges, refusals with a sentence, and the headers all share.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use std::sync::Arc;

use super::body::Body;
use super::coding::{Text, takes_gzip};
use super::range::{self, Wanted};

/// Something to serve under a name.
pub(crate) struct Entity {
    pub(crate) content: Content,
    pub(crate) content_type: &'static str,
    pub(crate) cache: &'static str,
}

pub(crate) enum Content {
    /// Media: one name, one sequence of bytes; ranges allowed.
    Media {
        frames: Vec<Bytes>,
        etag: HeaderValue,
    },
    /// A text rendered once, in both codings.
    Text(Arc<Text>),
    /// A text made for this answer: not cached, no validator.
    Fresh(String),
}

/// Why a request is not answered with what it asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
    /// Seconds after which asking again may help.
    pub(crate) retry_after: Option<u32>,
}

// === impl Entity ===

impl Entity {
    /// The answer to `GET` or `HEAD`.
    pub(crate) fn respond(self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let head = method == Method::HEAD;
        let mut response = match self.content {
            Content::Media { frames, etag } => media(frames, etag, head, headers),
            Content::Text(text) => rendered(&text, head, headers),
            Content::Fresh(text) => whole(vec![text.into()], head),
        };
        let fields = response.headers_mut();
        if !fields.contains_key(header::CONTENT_TYPE) {
            fields.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(self.content_type),
            );
        }
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache));
        shared(fields);
        response
    }
}

fn media(frames: Vec<Bytes>, etag: HeaderValue, head: bool, headers: &HeaderMap) -> Response<Body> {
    let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
    let mut response = if unchanged(headers, &etag) {
        status(StatusCode::NOT_MODIFIED, Body::empty())
    } else {
        // RFC 9110 defines ranges for GET only; a HEAD tells of the whole.
        let wanted = match headers
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok())
        {
            Some(text) if !head && may_range(headers, &etag) => range::parse(text, length),
            _ => Wanted::Whole,
        };
        match wanted {
            Wanted::Whole => whole(frames, head),
            Wanted::Slice { from, to } => slice(&frames, from, to, length),
            Wanted::Unsatisfiable => unsatisfiable(length),
        }
    };
    let fields = response.headers_mut();
    fields.insert(header::ETAG, etag);
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

fn rendered(text: &Text, head: bool, headers: &HeaderMap) -> Response<Body> {
    let gzip = takes_gzip(headers.get(header::ACCEPT_ENCODING));
    let etag = if gzip { &text.gzip_etag } else { &text.etag };
    let mut response = if unchanged(headers, etag) {
        status(StatusCode::NOT_MODIFIED, Body::empty())
    } else if gzip {
        let mut response = whole(vec![text.gzip()], head);
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        whole(vec![text.plain.clone()], head)
    };
    let fields = response.headers_mut();
    fields.insert(header::ETAG, etag.clone());
    fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn whole(mut frames: Vec<Bytes>, head: bool) -> Response<Body> {
    let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
    let body = match (head, frames.len()) {
        (true, _) => Body::empty(),
        (false, 1) => Body::one(frames.remove(0)),
        (false, _) => Body::many(frames),
    };
    let mut response = status(StatusCode::OK, body);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn slice(frames: &[Bytes], from: u64, to: u64, length: u64) -> Response<Body> {
    let mut response = status(
        StatusCode::PARTIAL_CONTENT,
        Body::many(cut(frames, from, to)),
    );
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_LENGTH, (to - from).into());
    if let Ok(value) = HeaderValue::try_from(format!("bytes {from}-{}/{length}", to - 1)) {
        fields.insert(header::CONTENT_RANGE, value);
    }
    response
}

/// Bytes `from..to` of the frames laid end to end, without copying.
fn cut(frames: &[Bytes], from: u64, to: u64) -> Vec<Bytes> {
    let mut cut = Vec::with_capacity(frames.len());
    let mut start = 0;
    for frame in frames {
        let end = start + frame.len() as u64;
        let (low, high) = (from.max(start), to.min(end));
        if low < high {
            cut.push(frame.slice((low - start) as usize..(high - start) as usize));
        }
        start = end;
    }
    cut
}

fn unsatisfiable(length: u64) -> Response<Body> {
    let sentence = format!("the range lies behind the end; the body has {length} bytes\n");
    let mut response = whole(vec![sentence.into()], false);
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, TEXT);
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{length}")) {
        fields.insert(header::CONTENT_RANGE, value);
    }
    response
}

/// `If-None-Match` names this entity.
fn unchanged(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
        })
}

/// `If-Range` is absent or names this entity; a date never does, for nothing here has one.
fn may_range(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get(header::IF_RANGE)
        .is_none_or(|value| value.as_bytes() == etag.as_bytes())
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self {
            status,
            sentence: sentence.into(),
            retry_after: None,
        }
    }

    pub(crate) fn not_found(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// Asking again soon, or elsewhere, may help.
    pub(crate) fn unavailable(sentence: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
    }

    /// The sentence as text, or as JSON for a client that asks for JSON.
    pub(crate) fn respond(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let json = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|accept| accept.contains("application/json"));
        let (text, content_type) = if json {
            let body =
                serde_json::json!({ "error": self.sentence, "status": self.status.as_u16() });
            (format!("{body}\n"), JSON)
        } else {
            (format!("{}\n", self.sentence), TEXT)
        };
        let mut response = whole(vec![text.into()], method == Method::HEAD);
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, content_type);
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
        fields.insert(header::VARY, HeaderValue::from_static("accept"));
        if let Some(seconds) = self.retry_after {
            fields.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            fields.insert(header::ALLOW, METHODS);
        }
        shared(fields);
        response
    }
}

/// The answer to `OPTIONS`: any origin may read everything here.
pub(crate) fn preflight() -> Response<Body> {
    let mut response = status(StatusCode::NO_CONTENT, Body::empty());
    let fields = response.headers_mut();
    fields.insert(header::ALLOW, METHODS);
    fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    fields.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    fields.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("86400"),
    );
    shared(fields);
    response
}

fn status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    // Room for all headers at once: growing twice shows in the CPU of small objects.
    *response.headers_mut() = HeaderMap::with_capacity(16);
    response
}

/// Headers of every response: any page may read it, and its timing.
fn shared(fields: &mut HeaderMap) {
    fields.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    fields.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    fields.insert(TIMING_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    fields.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

/// For errors and for what changes with every look.
pub(crate) const NO_STORE: &str = "no-store";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Range, If-Range, If-None-Match, Cache-Control, Content-Type, X-Playback-Session-Id, *",
);
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Ranges, Age, Content-Length, Content-Range, Date, ETag, Retry-After",
);
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");
