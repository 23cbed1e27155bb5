//! A hop that was left for its silence is listened to for a little longer: what still comes over it
//! was late, and says how late that hop's messages come. A dead parent teaches nothing.

use std::future::pending;

use tonic::Status;

use super::Driver;
use crate::clock::Instant;
use crate::connector::{Incoming, MediaSource};

/// The subscription that was left.
pub(super) struct Late {
    parent: String,
    source: Box<dyn MediaSource>,
    /// When it was last heard.
    heard: Instant,
    /// Whoever is heard later than this was gone.
    until: Instant,
}

/// The next that comes over it, while there is one.
pub(super) async fn next(late: &mut Option<Late>) -> Result<Option<Incoming>, Status> {
    match late {
        Some(late) => late.source.next().await,
        None => pending().await,
    }
}

impl Driver {
    /// The hop in use is left for its silence.
    pub(super) fn listen_on(&mut self, parent: &str, now: Instant) {
        self.late = self.current.take().map(|source| Late {
            parent: parent.to_owned(),
            source,
            heard: now - self.machine.silence(now),
            until: now + self.machine.budget(),
        });
    }

    /// Until when to listen, if at all.
    pub(super) fn listens_until(&mut self, now: Instant) -> Option<Instant> {
        self.late.take_if(|late| late.until <= now);
        self.late.as_ref().map(|late| late.until)
    }

    /// Something came late, or the end: one message says all there is to know. Its content is not
    /// taken; who feeds now sends it too.
    pub(super) fn came_late(&mut self, message: &Result<Option<Incoming>, Status>) {
        let Some(late) = self.late.take() else {
            return;
        };
        if let Ok(Some(_)) = message {
            let now = Instant::now();
            let gap = now.saturating_duration_since(late.heard);
            self.machine.on_late(&late.parent, gap, now);
        }
    }
}
