//! One carried track (being written).

use std::sync::Arc;

use tokio::sync::watch;

use crate::library::TrackView;

pub(crate) struct Track {
    view: watch::Sender<Arc<TrackView>>,
}

pub(crate) struct HttpGuard;

impl Track {
    pub(crate) fn view(&self) -> watch::Receiver<Arc<TrackView>> {
        self.view.subscribe()
    }
    pub(crate) fn http_guard(&self) -> HttpGuard {
        HttpGuard
    }
}
