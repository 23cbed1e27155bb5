//! What this server offers now, as a watched snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use banyan_proto::v1;
use tokio::sync::watch;

use crate::channel::Channel;

/// One state of the catalogue; it never changes once published.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) offers: BTreeMap<String, Offered>,
}

#[derive(Clone)]
pub(crate) struct Offered {
    pub(crate) offer: Arc<v1::Offer>,
    pub(crate) channel: Arc<Channel>,
}

pub(crate) struct Catalog(watch::Sender<Arc<Snapshot>>);

impl Catalog {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.0.subscribe()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow())
    }

    pub(crate) fn channel(&self, stream: &str) -> Option<Arc<Channel>> {
        self.0
            .borrow()
            .offers
            .get(stream)
            .map(|offered| Arc::clone(&offered.channel))
    }

    /// Offers a stream, or changes how it is described.
    pub(crate) fn put(&self, offer: v1::Offer, channel: Arc<Channel>) {
        self.0.send_if_modified(|state| {
            if state
                .offers
                .get(&offer.stream)
                .is_some_and(|old| *old.offer == offer)
            {
                return false;
            }
            let next = Arc::make_mut(state);
            next.version += 1;
            let offered = Offered {
                offer: Arc::new(offer),
                channel,
            };
            let (stream, channel) = (offered.offer.stream.clone(), Arc::clone(&offered.channel));
            if let Some(old) = next.offers.insert(stream, offered)
                && !Arc::ptr_eq(&old.channel, &channel)
            {
                old.channel.end(false);
            }
            true
        });
    }

    /// Takes a stream back; its subscribers are told that it ended.
    pub(crate) fn withdraw(&self, stream: &str) {
        self.0.send_if_modified(|state| {
            if !state.offers.contains_key(stream) {
                return false;
            }
            let next = Arc::make_mut(state);
            next.version += 1;
            if let Some(offered) = next.offers.remove(stream) {
                offered.channel.end(true);
            }
            true
        });
    }
}

impl Snapshot {
    pub(crate) fn message(&self) -> v1::CatalogSnapshot {
        v1::CatalogSnapshot {
            version: self.version,
            offers: self
                .offers
                .values()
                .map(|offered| v1::Offer::clone(&offered.offer))
                .collect(),
        }
    }
}
