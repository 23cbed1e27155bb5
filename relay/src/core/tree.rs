//! Where this member stands: who may feed a stream, what is offered, who was heard.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::{carrier, v1};
use tokio::sync::watch;

use super::{Core, Role, lock};
use crate::clock::Instant;
use crate::library::CatalogView;
use crate::upstream::Cause;

/// Parents whose catalogue is followed: warm connections, the primary's and a backup's among them.
const WARM_PARENTS: usize = 3;

impl Core {
    /// Ranked parents for a stream.
    ///
    /// A relay or an edge: as configured, without siblings. A root: the roots that rank before it for this stream
    /// (none for the carrier), then the content servers that hold it, best first. Paths guard
    /// against circles when two roots see the world differently.
    pub(crate) fn parents_for(&self, stream: &str) -> Vec<v1::Peer> {
        if self.options.role != Role::Root {
            return self.parents_and_siblings().0;
        }
        let mut parents = self.roots_before(stream);
        parents.extend(self.ranked_origins(stream, Instant::now()));
        parents
    }

    /// The roots that would rather carry `stream` than this one.
    fn roots_before(&self, stream: &str) -> Vec<v1::Peer> {
        let config = self.config();
        let me = self.options.member.as_str();
        let names = config
            .roots
            .iter()
            .map(|peer| peer.name.as_str())
            .chain([me]);
        carrier::rank(names, stream)
            .into_iter()
            .take_while(|name| *name != me)
            .filter_map(|name| config.roots.iter().find(|peer| peer.name == name).cloned())
            .collect()
    }

    /// A better parent than `current` to move to gently, and why.
    ///
    /// A relay or an edge: the one its plan names first. A root: a root that ranks before it and has
    /// answered for long enough; else the content server that is selected for the stream.
    pub(crate) fn preferred_parent(
        &self,
        stream: &str,
        current: &str,
        now: Instant,
    ) -> Option<(v1::Peer, Cause)> {
        if self.options.role != Role::Root {
            return self.planned_parent(current);
        }
        let stable = self.options.tuning.stable;
        let returned = {
            let since = lock(&self.connected_since);
            let answers = |peer: &v1::Peer| {
                since
                    .get(&peer.name)
                    .is_some_and(|at| now.saturating_duration_since(*at) >= stable)
            };
            self.roots_before(stream)
                .into_iter()
                .take_while(|peer| peer.name != current)
                .find(answers)
        };
        match returned {
            Some(peer) => Some((peer, Cause::CarrierReturned)),
            None => self.selected_origin(stream, current),
        }
    }

    /// Whose catalogues to follow now.
    pub(crate) fn catalog_peers(&self) -> Vec<v1::Peer> {
        let config = self.config();
        let me = &self.options.member;
        match self.options.role {
            Role::Root => {
                let fellows = config.roots.iter().filter(|peer| peer.name != *me).cloned();
                let mut peers: Vec<_> = fellows.collect();
                peers.extend(lock(&self.origins).peers());
                peers
            }
            Role::Relay | Role::Edge => config
                .parents
                .iter()
                .filter(|peer| peer.name != *me)
                .take(WARM_PARENTS)
                .cloned()
                .collect(),
        }
    }

    /// A fellow root's offers are not ours to repeat: two roots would keep a stream alive for ever.
    fn is_fellow_root(&self, name: &str) -> bool {
        self.options.role == Role::Root && self.config().roots.iter().any(|peer| peer.name == name)
    }

    // ---- catalogue ----------------------------------------------------------------------------

    pub(crate) fn catalog(&self) -> watch::Receiver<Arc<CatalogView>> {
        self.catalog.subscribe()
    }

    /// The catalogue of `name` was asked for, and the first word came after `reached_in`.
    pub(crate) fn catalog_connected(&self, name: &str, reached_in: Duration) {
        lock(&self.down).remove(name);
        lock(&self.reached_in).insert(name.to_owned(), reached_in);
        lock(&self.connected_since)
            .entry(name.to_owned())
            .or_insert_with(Instant::now);
    }

    pub(crate) fn catalog_snapshot(&self, name: &str, offers: Vec<v1::Offer>) {
        if self.is_fellow_root(name) {
            return;
        }
        let refused = lock(&self.sources).snapshot(name, offers, Instant::now());
        self.counters.offers_refused.add(refused);
        self.publish_catalog();
    }

    pub(crate) fn catalog_lost(&self, name: &str) {
        lock(&self.connected_since).remove(name);
        lock(&self.reached_in).remove(name);
        lock(&self.down).insert(name.to_owned());
        lock(&self.sources).disconnected(name);
        self.publish_catalog();
    }

    /// Also called now and then without news: what a returned parent said before runs out.
    pub(crate) fn publish_catalog(&self) {
        let sources = lock(&self.sources);
        self.catalog.send_if_modified(|view| {
            let next = sources.view(view, Instant::now());
            let changed = next != **view;
            if changed {
                *view = Arc::new(next);
            }
            changed
        });
    }

    /// How soon the peer answered on the connection that is open to it.
    pub(crate) fn reached_in(&self, name: &str) -> Option<Duration> {
        lock(&self.reached_in).get(name).copied()
    }

    pub(crate) fn is_down(&self, name: &str) -> bool {
        lock(&self.down).contains(name)
    }

    pub(crate) fn is_connected(&self, name: &str) -> bool {
        lock(&self.connected_since).contains_key(name)
    }
}
