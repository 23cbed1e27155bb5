//! Which beats are believed: possible numbers, names that can be names, sequences that grow. Pure.

use std::collections::BTreeSet;

use banyan_media::name::check_stream_name;
use banyan_proto::{transport, v1};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BeatError {
    #[error("beat {sequence} came after {last}; sequences only grow within a call")]
    Replayed { sequence: u64, last: u64 },
    #[error("a later call of {source_name:?} beats already; the newest call alone is listened to")]
    Superseded { source_name: String },
    #[error("{what} of {value} is impossible; {accepted} is accepted")]
    Impossible {
        what: &'static str,
        value: u64,
        accepted: &'static str,
    },
    #[error("endpoint {0:?} is not usable; a URI such as \"http://host:port\" is accepted")]
    Endpoint(String),
    #[error("content {0:?} is not the name of a stream, or comes twice")]
    Content(String),
}

/// What no measurement exceeds. Sizes are generous: they stop nonsense, not growth.
const BOUNDS: Bounds = Bounds {
    rtt_us: 60_000_000,
    bytes: 1 << 60,
    bits_per_second: 10_000_000_000_000,
    workers: 65_536,
    sessions: 10_000_000,
    endpoints: 8,
    contents: 4096,
    text: 1024,
};

struct Bounds {
    rtt_us: u64,
    bytes: u64,
    bits_per_second: u64,
    workers: u64,
    sessions: u64,
    endpoints: u64,
    contents: u64,
    text: u64,
}

/// Refuses what cannot have been measured, with the value.
pub(super) fn check(beat: &v1::Beat) -> Result<(), BeatError> {
    at_most(
        "round-trip time in µs",
        u64::from(beat.rtt_median_us.max(beat.rtt_min_us)),
        BOUNDS.rtt_us,
        "at most a minute",
    )?;
    if beat.rtt_median_us != 0 {
        at_most(
            "least round-trip time in µs",
            u64::from(beat.rtt_min_us),
            u64::from(beat.rtt_median_us),
            "at most the median",
        )?;
    }
    at_most(
        "late share in permille",
        u64::from(beat.late_permille),
        1000,
        "0 to 1000",
    )?;
    if let Some(load) = &beat.load {
        check_load(load)?;
    }
    at_most(
        "number of endpoints",
        beat.endpoints.len() as u64,
        BOUNDS.endpoints,
        "at most 8",
    )?;
    for uri in &beat.endpoints {
        transport::endpoint(uri).map_err(|_| BeatError::Endpoint(shortened(uri)))?;
    }
    check_contents(beat)
}

fn check_load(load: &v1::Load) -> Result<(), BeatError> {
    at_most(
        "CPU load in permille",
        u64::from(load.cpu_permille),
        1000,
        "0 to 1000",
    )?;
    let sizes = [
        ("memory in bytes", load.memory_bytes),
        ("memory limit in bytes", load.memory_limit_bytes),
        ("storage in bytes", load.storage_used_bytes),
        ("storage limit in bytes", load.storage_limit_bytes),
    ];
    for (what, value) in sizes {
        at_most(what, value, BOUNDS.bytes, "at most an exbibyte")?;
    }
    for (what, value) in [
        ("incoming traffic in bit/s", load.network_in_bps),
        ("outgoing traffic in bit/s", load.network_out_bps),
    ] {
        at_most(what, value, BOUNDS.bits_per_second, "at most 10 Tbit/s")?;
    }
    at_most(
        "number of workers",
        u64::from(load.active_workers),
        BOUNDS.workers,
        "at most 65536",
    )?;
    at_most(
        "number of sessions",
        u64::from(load.sessions),
        BOUNDS.sessions,
        "at most 10000000",
    )
}

fn check_contents(beat: &v1::Beat) -> Result<(), BeatError> {
    at_most(
        "number of contents",
        (beat.contents.len() + beat.preparing.len()) as u64,
        BOUNDS.contents,
        "at most 4096",
    )?;
    let mut seen = BTreeSet::new();
    let preparing = beat.preparing.iter().map(|p| &p.content);
    for name in beat.contents.iter().chain(preparing) {
        if check_stream_name(name).is_err() || !seen.insert(name) {
            return Err(BeatError::Content(shortened(name)));
        }
    }
    for preparation in &beat.preparing {
        at_most(
            "prepared share in permille",
            u64::from(preparation.permille),
            1000,
            "0 to 1000",
        )?;
        at_most(
            "length of an error",
            preparation.error.len() as u64,
            BOUNDS.text,
            "at most 1024",
        )?;
    }
    Ok(())
}

fn at_most(
    what: &'static str,
    value: u64,
    limit: u64,
    accepted: &'static str,
) -> Result<(), BeatError> {
    if value <= limit {
        return Ok(());
    }
    Err(BeatError::Impossible {
        what,
        value,
        accepted,
    })
}

/// A stranger's text, cut to what may be repeated in a sentence.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn possible() -> v1::Beat {
        v1::Beat {
            sequence: 1,
            rtt_min_us: 200,
            rtt_median_us: 300,
            load: Some(v1::Load::default()),
            endpoints: vec!["http://10.0.0.1:1".into()],
            contents: vec!["clock".into()],
            ..Default::default()
        }
    }

    #[test]
    fn each_impossible_number_is_named_with_its_value() {
        check(&possible()).unwrap();
        type Spoil = fn(&mut v1::Beat);
        let load = |beat: &mut v1::Beat, change: fn(&mut v1::Load)| {
            change(beat.load.as_mut().unwrap());
        };
        let cases: [(Spoil, &str); 14] = [
            (|b| b.rtt_median_us = 60_000_001, "60000001"),
            (|b| b.rtt_min_us = 301, "least round-trip time in µs of 301"),
            (|b| b.late_permille = 1001, "late share in permille of 1001"),
            (
                |b| b.load.as_mut().unwrap().cpu_permille = 1001,
                "CPU load in permille of 1001",
            ),
            (
                |b| b.load.as_mut().unwrap().memory_bytes = u64::MAX,
                "memory in bytes",
            ),
            (
                |b| b.load.as_mut().unwrap().storage_used_bytes = u64::MAX,
                "storage in bytes",
            ),
            (
                |b| b.load.as_mut().unwrap().network_out_bps = u64::MAX,
                "outgoing traffic",
            ),
            (
                |b| b.load.as_mut().unwrap().active_workers = u32::MAX,
                "workers of 4294967295",
            ),
            (
                |b| b.load.as_mut().unwrap().sessions = u32::MAX,
                "sessions of 4294967295",
            ),
            (|b| b.endpoints = vec!["ftp://x".into()], "ftp://x"),
            (
                |b| b.endpoints = vec!["http://x:1".into(); 9],
                "endpoints of 9",
            ),
            (|b| b.contents.push("../x".into()), "../x"),
            (|b| b.contents.push("clock".into()), "comes twice"),
            (
                |b| {
                    b.preparing = vec![v1::Preparation {
                        content: "news".into(),
                        permille: 1001,
                        ..Default::default()
                    }];
                },
                "prepared share in permille of 1001",
            ),
        ];
        for (spoil, part) in cases {
            let mut beat = possible();
            spoil(&mut beat);
            let error = check(&beat).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let mut many = possible();
        many.contents = (0..4097).map(|n| format!("s{n}")).collect();
        assert!(check(&many).unwrap_err().to_string().contains("4097"));
        let mut full = possible();
        load(&mut full, |l| l.cpu_permille = 1000);
        full.late_permille = 1000;
        check(&full).unwrap();
    }
}
