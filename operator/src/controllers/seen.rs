//! What members told, in the words of conditions; and for how long silence after a change of leader says nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::watch::Key;
use crate::conditions::{Sight, server, topology};
use crate::members::observed::{Observed, Origin};

/// Members have this long to report to a new leader; until then stored conditions stand.
const GRACE: Duration = Duration::from_secs(30);

/// When members were known last, by topology.
#[derive(Debug, Default)]
pub struct Sights(Mutex<HashMap<Key, Instant>>);

impl Sights {
    /// Forgets topologies that are gone.
    pub fn retain(&self, there: impl Fn(&Key) -> bool) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|key, _| there(key));
    }

    /// Judges an observation made now by a process that has led for `led`; also when it will be judged anew.
    pub(super) fn judge<T>(
        &self,
        key: Key,
        observed: &Observed,
        led: Duration,
        seen: impl FnOnce(&Observed) -> T,
    ) -> (Sight<T>, Option<Duration>) {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if observed.known {
            known.insert(key, now);
            return (Sight::Known(seen(observed)), None);
        }
        let silent = known.get(&key).map_or(led, |last| last.elapsed().min(led));
        match GRACE.checked_sub(silent) {
            Some(rest) if !rest.is_zero() => (Sight::Waiting, Some(rest)),
            _ => (Sight::Lost, None),
        }
    }
}

/// What status of a topology shows of its members.
pub(super) fn of_topology(observed: &Observed) -> topology::Seen {
    let mut digests: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, origin) in &observed.origins {
        for (content, digest) in digests_of(origin) {
            let of_content = digests.entry(content.to_owned()).or_default();
            of_content.insert(name.clone(), digest.to_owned());
        }
    }
    topology::Seen {
        streams: observed
            .streams
            .iter()
            .map(|stream| {
                let seen = topology::StreamSeen {
                    carrier: stream.carrier.clone(),
                    origin: stream.origin.clone(),
                    candidates: stream.candidates.clone(),
                };
                (stream.name.clone(), seen)
            })
            .collect(),
        silent: observed
            .origins
            .iter()
            .filter(|(_, origin)| !origin.reachable)
            .map(|(name, _)| name.clone())
            .collect(),
        digests,
    }
}

/// What status of a content server shows of it.
pub(super) fn of_server(observed: &Observed, name: &str) -> server::Seen {
    let Some(origin) = observed.origins.get(name) else {
        return server::Seen::default();
    };
    let differs = |content: &str, digest: &str| {
        let mut others = observed.origins.iter().filter(|(other, _)| *other != name);
        let other = others.find(|(_, other)| {
            digests_of(other).any(|(stream, bytes)| stream == content && bytes != digest)
        });
        other.map(|(other, _)| other.clone())
    };
    server::Seen {
        reachable: origin.reachable,
        metric: origin.metric,
        obstacle: origin.reason.clone(),
        contents: origin
            .contents
            .iter()
            .map(|content| {
                let digest = content.digest.clone();
                let seen = server::ContentSeen {
                    offered: content.prepared,
                    differs_from: digest
                        .as_ref()
                        .and_then(|digest| differs(&content.name, digest)),
                    digest,
                    permille: Some(content.permille),
                    error: (!content.error.is_empty()).then(|| content.error.clone()),
                };
                (content.name.clone(), seen)
            })
            .collect(),
    }
}

fn digests_of(origin: &Origin) -> impl Iterator<Item = (&str, &str)> {
    origin
        .contents
        .iter()
        .filter_map(|content| Some((content.name.as_str(), content.digest.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::observed::Content;

    fn origin(reachable: bool, digest: &str) -> Origin {
        Origin {
            reachable,
            contents: vec![Content {
                name: "news".to_owned(),
                prepared: true,
                permille: 1000,
                digest: Some(digest.to_owned()),
                ..Content::default()
            }],
            ..Origin::default()
        }
    }

    fn observed(known: bool) -> Observed {
        Observed {
            known,
            origins: BTreeMap::from([
                ("oslo".to_owned(), origin(true, "aa")),
                ("bergen".to_owned(), origin(false, "bb")),
            ]),
            ..Observed::default()
        }
    }

    #[test]
    fn servers_with_other_bytes_name_each_other() {
        let observed = observed(true);
        let seen = of_server(&observed, "oslo");
        assert_eq!(
            seen.contents["news"].differs_from.as_deref(),
            Some("bergen")
        );
        let seen = of_topology(&observed);
        assert_eq!(seen.digests["news"].len(), 2);
        assert!(seen.silent.contains("bergen") && !seen.silent.contains("oslo"));
    }

    #[test]
    fn silence_says_nothing_until_members_had_time_to_report() {
        let sights = Sights::default();
        let key = || ("ns".to_owned(), "tree".to_owned());
        let judge = |known, led: u64| {
            let led = Duration::from_secs(led);
            sights.judge(key(), &observed(known), led, |_| ())
        };
        assert!(matches!(judge(false, 1), (Sight::Waiting, Some(_))));
        assert_eq!(judge(false, 31), (Sight::Lost, None));
        assert_eq!(judge(true, 31), (Sight::Known(()), None));
        assert!(
            matches!(judge(false, 3600), (Sight::Waiting, Some(_))),
            "a member that starts is no reason to forget what was known a moment ago"
        );
    }
}
