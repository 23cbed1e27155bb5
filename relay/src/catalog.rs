//! Offers of several sources as one catalogue. Pure.
//!
//! A relay's parents say the same thing: what any connected parent offers is offered, and when none
//! is connected the last word stands. A root's content servers say different things: each one's
//! last word stands while it is away, because a silent server has not taken anything back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use banyan_media::name::{check_stream_name, check_track_name};
use banyan_proto::v1;

use crate::clock::Instant;
use crate::library::CatalogView;

/// Bounds on one offer.
const MAX_TRACKS: usize = 64;
const MAX_POSTER: usize = 64 * 1024;
const MAX_WINDOW: u32 = 1000;
const MAX_OFFERS: usize = 4096;

/// A parent that comes back may itself have just started and not have heard of everything yet:
/// what it said before counts for this long.
const SETTLING: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Equivalent parents of a relay.
    Parents,
    /// Content servers heard by a root.
    Origins,
}

#[derive(Debug)]
pub(crate) struct Sources {
    kind: Kind,
    sources: BTreeMap<String, Source>,
}

#[derive(Debug, Default)]
struct Source {
    offers: BTreeMap<String, Arc<v1::Offer>>,
    /// Its last word before it was lost, which stands for a while after it came back.
    before: BTreeMap<String, Arc<v1::Offer>>,
    back_since: Option<Instant>,
    connected: bool,
    answered: bool,
}

impl Sources {
    pub(crate) fn new(kind: Kind) -> Sources {
        Sources {
            kind,
            sources: BTreeMap::new(),
        }
    }

    /// Takes a source's snapshot; returns how many offers were refused.
    pub(crate) fn snapshot(&mut self, name: &str, offers: Vec<v1::Offer>, now: Instant) -> u64 {
        let before = offers.len();
        let offers: BTreeMap<_, _> = offers
            .into_iter()
            .take(MAX_OFFERS)
            .filter(is_possible)
            .map(|mut offer| {
                if self.kind == Kind::Origins {
                    offer.source = name.to_owned();
                }
                (offer.stream.clone(), Arc::new(offer))
            })
            .collect();
        let refused = before - offers.len();
        let source = self.sources.entry(name.to_owned()).or_default();
        if !source.connected {
            source.before = std::mem::take(&mut source.offers);
            source.back_since = Some(now);
        }
        source.offers = offers;
        source.connected = true;
        source.answered = true;
        refused as u64
    }

    pub(crate) fn disconnected(&mut self, name: &str) {
        if let Some(source) = self.sources.get_mut(name) {
            source.connected = false;
        }
    }

    /// The run of `stream` that `source` offers, as far as its last word goes.
    pub(crate) fn run(&self, source: &str, stream: &str) -> Option<&str> {
        let offer = self.sources.get(source)?.offers.get(stream)?;
        Some(&offer.run)
    }

    /// The view after `previous`; the same `Arc` contents and version when nothing changed.
    pub(crate) fn view(&self, previous: &CatalogView, now: Instant) -> CatalogView {
        let any_connected = self.sources.values().any(|source| source.connected);
        let mut offers: BTreeMap<String, Arc<v1::Offer>> = BTreeMap::new();
        for source in self.sources.values() {
            if self.kind == Kind::Parents && any_connected && !source.connected {
                continue;
            }
            let settling = source.back_since.is_some_and(|at| now < at + SETTLING);
            let before = source.before.iter().filter(|_| settling);
            for (stream, offer) in source.offers.iter().chain(before) {
                offers
                    .entry(stream.clone())
                    .or_insert_with(|| offer.clone());
            }
        }
        let mut withdrawn = previous.withdrawn.clone();
        withdrawn.extend(
            previous
                .offers
                .keys()
                .filter(|stream| !offers.contains_key(*stream))
                .cloned(),
        );
        withdrawn.retain(|stream| !offers.contains_key(stream));
        let mut view = CatalogView {
            offers,
            withdrawn,
            known: previous.known || self.sources.values().any(|source| source.answered),
            version: previous.version,
        };
        if view != *previous {
            view.version += 1;
        }
        view
    }
}

fn is_possible(offer: &v1::Offer) -> bool {
    check_stream_name(&offer.stream).is_ok()
        && offer.tracks.len() <= MAX_TRACKS
        && offer.poster.len() <= MAX_POSTER
        && (1..=MAX_WINDOW).contains(&offer.window_segments)
        && offer
            .tracks
            .iter()
            .all(|track| check_track_name(&track.name).is_ok() && track.timescale > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(stream: &str, title: &str) -> v1::Offer {
        v1::Offer {
            stream: stream.into(),
            title: title.into(),
            window_segments: 6,
            ..Default::default()
        }
    }

    fn names(view: &CatalogView) -> Vec<&str> {
        view.offers.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_parent_that_dies_takes_nothing_with_it() {
        let mut sources = Sources::new(Kind::Parents);
        let start = CatalogView::default();
        assert!(!sources.view(&start, Instant::now()).known);
        sources.snapshot("mid-0", vec![offer("clock", "")], Instant::now());
        sources.snapshot("mid-1", vec![offer("clock", "")], Instant::now());
        let view = sources.view(&start, Instant::now());
        assert_eq!((names(&view), view.version), (vec!["clock"], 1));
        sources.disconnected("mid-0");
        sources.disconnected("mid-1");
        assert_eq!(sources.view(&view, Instant::now()), view);
    }

    #[test]
    fn what_a_connected_parent_no_longer_offers_is_withdrawn_until_it_comes_back() {
        let mut sources = Sources::new(Kind::Parents);
        sources.snapshot(
            "mid-0",
            vec![offer("clock", ""), offer("news", "")],
            Instant::now(),
        );
        let view = sources.view(&CatalogView::default(), Instant::now());
        sources.snapshot("mid-0", vec![offer("clock", "")], Instant::now());
        let view = sources.view(&view, Instant::now());
        assert_eq!(names(&view), ["clock"]);
        assert!(view.withdrawn.contains("news"));
        sources.snapshot("mid-0", vec![offer("news", "")], Instant::now());
        let view = sources.view(&view, Instant::now());
        assert!(!view.withdrawn.contains("news") && view.withdrawn.contains("clock"));
    }

    #[test]
    fn a_silent_content_server_has_taken_nothing_back() {
        let mut sources = Sources::new(Kind::Origins);
        sources.snapshot("lisbon", vec![offer("clock", "")], Instant::now());
        sources.snapshot("porto", vec![offer("news", "")], Instant::now());
        sources.disconnected("lisbon");
        let view = sources.view(&CatalogView::default(), Instant::now());
        assert_eq!(names(&view), ["clock", "news"]);
        assert_eq!(view.offers["clock"].source, "lisbon");
    }

    #[test]
    fn impossible_offers_are_refused_and_counted() {
        let mut sources = Sources::new(Kind::Parents);
        let wide = v1::Offer {
            window_segments: 0,
            ..offer("wide", "")
        };
        let heavy = v1::Offer {
            poster: vec![0; MAX_POSTER + 1].into(),
            ..offer("heavy", "")
        };
        let refused = sources.snapshot(
            "a",
            vec![offer("../x", ""), wide, heavy, offer("ok", "")],
            Instant::now(),
        );
        assert_eq!(refused, 3);
        assert_eq!(
            names(&sources.view(&CatalogView::default(), Instant::now())),
            ["ok"]
        );
    }

    #[test]
    fn a_parent_that_came_back_is_given_time_to_hear_of_everything() {
        let mut sources = Sources::new(Kind::Parents);
        let start = Instant::now();
        sources.snapshot("root-0", vec![offer("clock", ""), offer("news", "")], start);
        let view = sources.view(&CatalogView::default(), start);
        sources.disconnected("root-0");
        sources.snapshot("root-0", vec![offer("clock", "")], start);
        let view = sources.view(&view, start);
        assert_eq!(names(&view), ["clock", "news"]);
        let view = sources.view(&view, start + SETTLING);
        assert_eq!(names(&view), ["clock"]);
        assert!(view.withdrawn.contains("news"));
    }
}
