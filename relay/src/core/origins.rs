//! A root and its content servers: their beats, their ranking, and who is selected for each stream.

use std::collections::{BTreeMap, BTreeSet};

use banyan_proto::v1;
use serde_json::json;

use super::{Core, Role, lock};
use crate::clock::Instant;
use crate::origins::{BeatError, Field, Reselection};
use crate::track::Key;
use crate::upstream::Cause;

impl Core {
    // ---- beats --------------------------------------------------------------------------------

    /// A content server calls; its beats of this call carry the number returned.
    pub(crate) fn beat_call_began(&self, source: &str) -> u64 {
        lock(&self.origins).call_began(source)
    }

    pub(crate) fn beat(&self, source: &str, call: u64, beat: v1::Beat) -> Result<(), BeatError> {
        let moved = lock(&self.origins).beat(source, call, beat, Instant::now());
        match moved {
            Ok(moved) => {
                if moved {
                    self.config_changed.send_modify(|n| *n += 1);
                }
                Ok(())
            }
            Err(error) => {
                self.counters.beats_refused.inc();
                tracing::warn!(source, %error, "beat refused");
                Err(error)
            }
        }
    }

    pub(crate) fn root_list(&self) -> Vec<v1::Peer> {
        self.config().roots.clone()
    }

    // ---- selection ----------------------------------------------------------------------------

    pub(crate) fn is_origin(&self, name: &str) -> bool {
        self.options.role == Role::Root
            && lock(&self.origins).peers().iter().any(|p| p.name == name)
    }

    /// Another content server than `name` offers `stream`.
    pub(crate) fn has_other_source(&self, stream: &str, name: &str) -> bool {
        let sources = lock(&self.sources);
        lock(&self.origins)
            .peers()
            .iter()
            .any(|peer| peer.name != name && sources.run(&peer.name, stream).is_some())
    }

    /// Content servers that offer `stream`, in the order in which they are to be tried.
    pub(super) fn ranked_origins(&self, stream: &str, now: Instant) -> Vec<v1::Peer> {
        let sources = lock(&self.sources);
        let run = |origin: &str| sources.run(origin, stream).map(str::to_owned);
        lock(&self.origins).ranked(stream, run, now)
    }

    /// Where a track of `stream` that flows from the content server `current` should go instead, and
    /// why. What comes from a fellow root is none of the selection's business.
    pub(super) fn selected_origin(&self, stream: &str, current: &str) -> Option<(v1::Peer, Cause)> {
        if !self.is_origin(current) {
            return None;
        }
        lock(&self.origins).wanted(stream, current)
    }

    /// A track of `stream` flows from `origin`; `left` = whom it left for it, and why.
    pub(crate) fn origin_flows(&self, stream: &str, origin: &str, left: Option<(&str, Cause)>) {
        let sources = lock(&self.sources);
        let run = sources.run(origin, stream).unwrap_or_default();
        lock(&self.origins).flows(stream, origin, run, left, Instant::now());
    }

    /// Decides anew for every stream; tracks follow when they look for a better parent.
    pub(crate) fn select_origins(&self, now: Instant) {
        let feeders = self.feeders();
        let fellows: BTreeSet<String> =
            self.config().roots.iter().map(|r| r.name.clone()).collect();
        let feeds = |stream: &str| {
            let feeding = feeders.get(stream).cloned().unwrap_or_default();
            Field {
                elsewhere: !feeding.is_empty() && feeding.is_subset(&fellows),
                feeding,
                ..Field::default()
            }
        };
        let decided = {
            let sources = lock(&self.sources);
            let run = |origin: &str, stream: &str| sources.run(origin, stream).map(str::to_owned);
            lock(&self.origins).select(run, feeds, now)
        };
        for reselection in decided {
            self.reselected(&reselection);
        }
    }

    /// By stream, who feeds its tracks now.
    fn feeders(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut feeders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for track in self.tracks() {
            let state = track.lock();
            if state.running
                && state.hop.repairing_since.is_none()
                && let Some(parent) = &state.hop.parent
            {
                let stream = feeders.entry(track.key.stream.clone()).or_default();
                stream.insert(parent.clone());
            }
        }
        feeders
    }

    fn reselected(&self, reselection: &Reselection) {
        let Reselection {
            stream,
            from,
            to,
            cause,
            moves,
        } = reselection;
        let cause = cause.label();
        tracing::info!(stream, from, to, cause, moves, "origin_reselected");
        let key = Key {
            stream: stream.clone(),
            track: String::new(),
        };
        let facts = json!({"from": from, "to": to, "cause": cause, "moves": moves});
        self.event("origin_reselected", &key, facts);
        if !moves {
            // No track will tell of it: nobody watches.
            self.switched(v1::Switch {
                stream: stream.clone(),
                from: from.clone(),
                to: to.clone(),
                cause: cause.to_owned(),
                origin: true,
                ..Default::default()
            });
        }
    }
}
