//! Content coding: whether a client takes gzip, and a text kept in both forms.
//!
//! Only playlists are compressed; media gains nothing and would be copied.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

/// A text rendered once and served many times: plain and, once someone asks, compressed.
pub(crate) struct Text {
    pub(crate) plain: Bytes,
    pub(crate) etag: HeaderValue,
    pub(crate) gzip_etag: HeaderValue,
    gzip: OnceLock<Bytes>,
}

impl Text {
    pub(crate) fn new(text: String) -> Self {
        let plain = Bytes::from(text);
        let digest = blake3::hash(&plain).to_hex();
        Self {
            etag: quoted(&digest[..16]),
            gzip_etag: quoted(&format!("{}-gz", &digest[..16])),
            gzip: OnceLock::new(),
            plain,
        }
    }

    pub(crate) fn gzip(&self) -> Bytes {
        self.gzip.get_or_init(|| compress(&self.plain)).clone()
    }
}

/// A strong entity tag around `text`, which holds no quotes.
pub(crate) fn quoted(text: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{text}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"unnamed\""))
}

/// Whether `Accept-Encoding` allows gzip.
pub(crate) fn takes_gzip(header: Option<&HeaderValue>) -> bool {
    let Some(text) = header.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut any = None;
    for entry in text.split(',') {
        let (coding, parameters) = entry.split_once(';').unwrap_or((entry, ""));
        let wanted = !refused(parameters);
        match coding.trim() {
            coding if coding.eq_ignore_ascii_case("gzip") => return wanted,
            coding if coding.eq_ignore_ascii_case("x-gzip") => return wanted,
            "*" => any = Some(wanted),
            _ => {}
        }
    }
    any.unwrap_or(false)
}

/// `q=0` in any spelling.
fn refused(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let Some((key, value)) = parameter.split_once('=') else {
            return false;
        };
        key.trim().eq_ignore_ascii_case("q")
            && value
                .trim()
                .parse::<f32>()
                .is_ok_and(|quality| quality <= 0.0)
    })
}

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    // Writing into memory does not fail; an empty body would still be a valid answer's length.
    match encoder.write_all(plain).and_then(|()| encoder.finish()) {
        Ok(bytes) => bytes.into(),
        Err(error) => {
            tracing::error!(%error, "gzip of a playlist failed");
            Bytes::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::takes_gzip;

    #[test]
    fn gzip_is_used_only_when_the_client_takes_it() {
        let table = [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("*", true),
            ("x-gzip", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("br", false),
            ("", false),
            (";;,=", false),
        ];
        for (header, expected) in table {
            let value = HeaderValue::from_static(header);
            assert_eq!(takes_gzip(Some(&value)), expected, "{header:?}");
        }
        assert!(!takes_gzip(None));
    }
}
