//! Configuration: read at boot from a file, later from the control plane; checked as a whole before any of it is used.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use banyan_media::{Packaging, name};
use banyan_proto::v1;

use crate::content::Wanted;

/// A configuration that was found usable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) generation: u64,
    pub(crate) wanted: Wanted,
    pub(crate) heartbeat: Duration,
    pub(crate) roots: Vec<v1::Peer>,
}

/// Why a configuration is refused, as a whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("configuration {path:?} cannot be read: {source}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("configuration {path:?} is not accepted: {source}")]
    Parse {
        path: String,
        source: serde_json::Error,
    },
    #[error("configuration field {field} is {value}; accepted: {accepted}")]
    Field {
        field: &'static str,
        value: String,
        accepted: &'static str,
    },
    #[error("content name {content:?} is not usable: {source}")]
    Name {
        content: String,
        source: name::NameError,
    },
    #[error("content {content:?} is listed twice; accepted: distinct names")]
    Twice { content: String },
    #[error("configuration is for topology {found:?}; this member feeds {expected:?}")]
    Topology { found: String, expected: String },
    #[error("root {root:?} is not usable: {source}")]
    Root {
        root: String,
        source: banyan_proto::transport::EndpointError,
    },
}

/// Reads a configuration file.
pub(crate) fn load(path: &Path) -> Result<v1::Config, Error> {
    let shown = || path.display().to_string();
    let text = std::fs::read(path).map_err(|source| Error::Read {
        path: shown(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|source| Error::Parse {
        path: shown(),
        source,
    })
}

/// Checks all of `config`.
pub(crate) fn check(config: v1::Config, topology: &str) -> Result<Settings, Error> {
    if !config.topology.is_empty() && config.topology != topology {
        return Err(Error::Topology {
            found: config.topology,
            expected: topology.to_owned(),
        });
    }
    let field = |field, value: u64, range: std::ops::RangeInclusive<u64>, accepted| {
        if range.contains(&value) {
            Ok(())
        } else {
            Err(Error::Field {
                field,
                value: value.to_string(),
                accepted,
            })
        }
    };
    field(
        "epoch",
        config.epoch,
        1..=u64::from(u32::MAX),
        "whole Unix seconds",
    )?;
    field(
        "segment_duration_ms",
        config.segment_duration_ms.into(),
        1000..=60_000,
        "1000 to 60000",
    )?;
    field(
        "part_duration_ms",
        config.part_duration_ms.into(),
        50..=config.segment_duration_ms.into(),
        "50 to one segment",
    )?;
    field(
        "window_segments",
        config.window_segments.into(),
        3..=10_000,
        "3 to 10000",
    )?;
    field(
        "heartbeat_interval_ms",
        config.heartbeat_interval_ms.into(),
        50..=600_000,
        "50 to 600000",
    )?;
    let mut seen = BTreeSet::new();
    for content in &config.contents {
        let named = || content.name.clone();
        name::check_stream_name(&content.name).map_err(|source| Error::Name {
            content: named(),
            source,
        })?;
        if !seen.insert(&content.name) {
            return Err(Error::Twice { content: named() });
        }
    }
    for root in &config.roots {
        banyan_proto::transport::endpoint(&root.uri).map_err(|source| Error::Root {
            root: root.name.clone(),
            source,
        })?;
    }
    Ok(Settings {
        generation: config.generation,
        heartbeat: Duration::from_millis(config.heartbeat_interval_ms.into()),
        roots: config.roots,
        wanted: Wanted {
            epoch: config.epoch,
            packaging: Packaging {
                segment_ms: config.segment_duration_ms,
                part_ms: config.part_duration_ms,
                window_segments: config.window_segments,
            },
            contents: config.contents,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> v1::Config {
        v1::Config {
            generation: 1,
            topology: "campus".into(),
            epoch: 1_700_000_000,
            segment_duration_ms: 2000,
            part_duration_ms: 333,
            window_segments: 10,
            heartbeat_interval_ms: 500,
            contents: vec![v1::Content {
                name: "talk".into(),
                ..Default::default()
            }],
            roots: vec![v1::Peer {
                name: "root-0".into(),
                uri: "http://127.0.0.1:1".into(),
            }],
            ..Default::default()
        }
    }

    #[test]
    fn a_bad_configuration_is_refused_with_the_field_and_what_is_accepted() {
        assert!(check(good(), "campus").is_ok());
        type Break = fn(&mut v1::Config);
        let cases: [(Break, &str); 9] = [
            (|c| c.topology = "other".into(), "\"other\""),
            (|c| c.epoch = 0, "epoch is 0"),
            (
                |c| c.segment_duration_ms = 900,
                "segment_duration_ms is 900",
            ),
            (|c| c.part_duration_ms = 2001, "part_duration_ms is 2001"),
            (|c| c.window_segments = 0, "window_segments is 0"),
            (
                |c| c.heartbeat_interval_ms = 1,
                "heartbeat_interval_ms is 1",
            ),
            (
                |c| c.contents.push(c.contents[0].clone()),
                "\"talk\" is listed twice",
            ),
            (|c| c.contents[0].name = "api".into(), "\"api\""),
            (|c| c.roots[0].uri = "127.0.0.1".into(), "\"root-0\""),
        ];
        for (break_it, part) in cases {
            let mut config = good();
            break_it(&mut config);
            let error = check(config, "campus").unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn unknown_fields_and_damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in ["", "{", "7", "{\"epoch\":-1}", "{\"colour\":1}"] {
            std::fs::write(&path, text).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains("config.json"), "{error}");
        }
        assert!(load(&folder.path().join("none.json")).is_err());
    }
}
