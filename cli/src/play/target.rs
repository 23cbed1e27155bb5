//! Where to play from: what was written on the command line, made into URLs of one stream.

use banyan_media::name::check_stream_name;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

/// A stream and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Multivariant playlists of one stream at one or more edges.
    Hls(Vec<Uri>),
    /// Media services, as `http://` URIs.
    Grpc { uris: Vec<String>, stream: String },
    /// A name that the control plane knows.
    Stream(String),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Error {
    #[error("{0:?} is not supported yet: https; {ACCEPTED}")]
    Https(String),
    #[error("{0:?} cannot be played; {ACCEPTED}")]
    Unusable(String),
    #[error(
        "{0:?} and {1:?} are not the same stream in the same form; several targets are edges of one stream"
    )]
    Mixed(String, String),
    #[error("{0:?} is one of several names; a name stands alone, its edges are looked up")]
    SeveralNames(String),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("control URL {0:?} cannot be used; accepted: http://HOST:PORT")]
    Url(String),
    #[error("could not ask {0} for its streams")]
    Ask(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{0} answered {1} when asked for its streams")]
    Status(String, http::StatusCode),
    #[error("{0} did not answer with a list of streams")]
    Shape(String, #[source] serde_json::Error),
    #[error("no stream {name:?} at {control}; it knows {}", listed(.known))]
    Unknown {
        name: String,
        control: String,
        known: Vec<String>,
    },
    #[error("stream {0:?} has no edge that can be played from")]
    NoEdge(String),
}

/// One entry of control's `/api/streams`.
#[derive(Deserialize)]
struct Stream {
    name: String,
    #[serde(default)]
    playlists: Vec<String>,
}

// === impl Target ===

impl Target {
    pub(super) fn parse(texts: &[String]) -> Result<Self, Error> {
        let mut target = None;
        for text in texts {
            let next = Self::parse_one(text)?;
            target = Some(match target {
                None => next,
                Some(first) => Self::join(first, next, &texts[0], text)?,
            });
        }
        target.ok_or_else(|| Error::Unusable(String::new()))
    }

    fn parse_one(text: &str) -> Result<Self, Error> {
        let unusable = || Error::Unusable(text.to_owned());
        let Some((scheme, rest)) = text.split_once("://") else {
            check_stream_name(text).map_err(|_| unusable())?;
            return Ok(Self::Stream(text.to_owned()));
        };
        match scheme {
            "http" => {
                let uri: Uri = text.parse().map_err(|_| unusable())?;
                if uri.path().len() < 2 || uri.authority().is_none() {
                    return Err(unusable());
                }
                Ok(Self::Hls(vec![uri]))
            }
            "grpc" => {
                let (authority, stream) = rest.split_once('/').ok_or_else(unusable)?;
                check_stream_name(stream).map_err(|_| unusable())?;
                let uri = format!("http://{authority}");
                let parsed: Uri = uri.parse().map_err(|_| unusable())?;
                if parsed.port_u16().is_none() {
                    return Err(unusable());
                }
                Ok(Self::Grpc {
                    uris: vec![uri],
                    stream: stream.to_owned(),
                })
            }
            "https" => Err(Error::Https(text.to_owned())),
            _ => Err(unusable()),
        }
    }

    fn join(first: Self, next: Self, first_text: &str, text: &str) -> Result<Self, Error> {
        let mixed = || Error::Mixed(first_text.to_owned(), text.to_owned());
        match (first, next) {
            (Self::Hls(mut urls), Self::Hls(more)) => {
                // Names are equal on all edges, so one path serves for every edge.
                if more.iter().any(|url| url.path() != urls[0].path()) {
                    return Err(mixed());
                }
                urls.extend(more);
                Ok(Self::Hls(urls))
            }
            (
                Self::Grpc { mut uris, stream },
                Self::Grpc {
                    uris: more,
                    stream: other,
                },
            ) => {
                if stream != other {
                    return Err(mixed());
                }
                uris.extend(more);
                Ok(Self::Grpc { uris, stream })
            }
            (Self::Stream(_), Self::Stream(name)) => Err(Error::SeveralNames(name)),
            _ => Err(mixed()),
        }
    }

    /// Turns a name into the playlists at its edges; leaves URLs as they are.
    pub(super) async fn resolve(self, control: &str) -> Result<Self, LookupError> {
        let Self::Stream(name) = self else {
            return Ok(self);
        };
        let streams = lookup(control).await?;
        let known = streams.iter().map(|stream| stream.name.clone()).collect();
        let Some(stream) = streams.into_iter().find(|stream| stream.name == name) else {
            return Err(LookupError::Unknown {
                name,
                control: control.to_owned(),
                known,
            });
        };
        match Self::parse(&stream.playlists) {
            Ok(target @ Self::Hls(_)) => Ok(target),
            _ => Err(LookupError::NoEdge(name)),
        }
    }

    /// The stream's name for the report.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Hls(urls) => {
                let path = urls.first().map_or("", |url| url.path());
                path.trim_start_matches('/')
                    .split('/')
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            }
            Self::Grpc { stream, .. } | Self::Stream(stream) => stream.clone(),
        }
    }
}

async fn lookup(control: &str) -> Result<Vec<Stream>, LookupError> {
    let base = control.trim_end_matches('/');
    let url: Uri = format!("{base}/api/streams")
        .parse()
        .map_err(|_| LookupError::Url(control.to_owned()))?;
    if url.scheme_str() != Some("http") || url.authority().is_none() {
        return Err(LookupError::Url(control.to_owned()));
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let asked = async {
        let response = client.get(url).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_LIST)
            .collect()
            .await?
            .to_bytes();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((status, body))
    };
    let (status, body) = tokio::time::timeout(PATIENCE, asked)
        .await
        .map_err(|late| LookupError::Ask(control.to_owned(), late.into()))?
        .map_err(|error| LookupError::Ask(control.to_owned(), error))?;
    if !status.is_success() {
        return Err(LookupError::Status(control.to_owned(), status));
    }
    serde_json::from_slice(&body).map_err(|error| LookupError::Shape(control.to_owned(), error))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

const ACCEPTED: &str =
    "accepted: http://HOST:PORT/STREAM/index.m3u8, grpc://HOST:PORT/STREAM, or a stream's name";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
const MAX_LIST: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::{Error, Target};

    fn parse(texts: &[&str]) -> Result<Target, Error> {
        Target::parse(
            &texts
                .iter()
                .map(|&text| text.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn urls_and_names_are_told_apart() {
        let hls = "http://127.0.0.1:18012/kites/index.m3u8";
        assert_eq!(parse(&[hls]), Ok(Target::Hls(vec![hls.parse().unwrap()])));
        assert_eq!(
            parse(&["grpc://127.0.0.1:18011/kites"]),
            Ok(Target::Grpc {
                uris: vec!["http://127.0.0.1:18011".into()],
                stream: "kites".into()
            })
        );
        assert_eq!(parse(&["kites"]), Ok(Target::Stream("kites".into())));
        let two = parse(&[hls, "http://127.0.0.1:18014/kites/index.m3u8"]).unwrap();
        assert!(matches!(&two, Target::Hls(urls) if urls.len() == 2));
        assert_eq!(two.name(), "kites");
    }

    #[test]
    fn what_cannot_be_played_is_named_with_what_is_accepted() {
        for texts in [
            &["https://127.0.0.1/kites/index.m3u8"][..],
            &["rtsp://127.0.0.1/kites"],
            &["http://127.0.0.1:1"],
            &["grpc://127.0.0.1:1"],
            &["grpc://127.0.0.1/kites"],
            &["grpc://127.0.0.1:1/a/b"],
            &["Kites"],
            &["a b"],
            &[""],
        ] {
            let error = parse(texts).unwrap_err().to_string();
            assert!(
                error.contains(texts[0]) && error.contains("accepted"),
                "{error}"
            );
        }
        for texts in [
            &["kites", "boats"][..],
            &["http://a:1/x/index.m3u8", "http://b:1/y/index.m3u8"],
            &["grpc://a:1/x", "grpc://b:1/y"],
            &["grpc://a:1/x", "http://b:1/x/index.m3u8"],
        ] {
            assert!(
                matches!(parse(texts), Err(Error::Mixed(..) | Error::SeveralNames(_))),
                "{texts:?}"
            );
        }
    }
}
