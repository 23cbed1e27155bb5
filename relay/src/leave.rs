//! Leaving in order: unready, serving on for a lame-duck time, go-away, drained, gone.
//!
//! Whoever looks for members (a Service, a planner, a steering manifest) needs a moment to see that
//! this one is unready; until then it serves and accepts as before. Then children are told to go,
//! viewers' connections close between responses, and the member ends when nobody is left, or at its
//! deadline. In a hurry (an interrupt, or the end of whoever started it) there is no lame-duck time
//! and little patience.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::core::{Core, lock};

/// How long the steps of leaving take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Unready, and serving as before.
    pub lame_duck: Duration,
    /// From the go-away on, children and viewers have this long to go elsewhere.
    pub drain: Duration,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            lame_duck: Duration::from_secs(1),
            drain: Duration::from_secs(10),
        }
    }
}

/// What a running member may be told.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// Leave, gently.
    pub leave: CancellationToken,
    /// Leave now, or faster than before.
    pub hurry: CancellationToken,
}

impl From<CancellationToken> for Orders {
    /// A token that means: now.
    fn from(hurry: CancellationToken) -> Orders {
        Orders {
            leave: CancellationToken::new(),
            hurry,
        }
    }
}

impl Orders {
    /// Until told to leave in either way.
    pub(crate) async fn given(&self) {
        tokio::select! {
            () = self.leave.cancelled() => {}
            () = self.hurry.cancelled() => {}
        }
    }
}

/// What the parts of a member are told while it leaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps {
    /// Viewers are served on; each response says that its connection closes.
    pub(crate) lame_duck: CancellationToken,
    /// No new connections of viewers; idle ones end.
    pub(crate) http: CancellationToken,
    /// Requests that wait for media wait no longer.
    pub(crate) impatient: CancellationToken,
    /// No new calls of children.
    pub(crate) grpc: CancellationToken,
}

/// Takes a member through the steps; `ended` is done when all its listeners have ended.
pub(crate) async fn leave(
    core: &Arc<Core>,
    steps: &Steps,
    manner: Manner,
    orders: &Orders,
    ended: impl Future<Output = ()>,
) {
    let began = tokio::time::Instant::now();
    let ended = ended.shared();
    core.become_unready();
    steps.lame_duck.cancel();
    tokio::select! {
        () = sleep(manner.lame_duck) => {}
        () = orders.hurry.cancelled() => {}
        () = ended.clone() => {}
    }
    core.drain();
    steps.http.cancel();
    let emptied = async {
        core.childless().await;
        core.close_calls();
        steps.grpc.cancel();
        ended.clone().await;
    };
    let left = tokio::select! {
        () = emptied => true,
        () = sleep(manner.drain) => false,
        () = orders.hurry.cancelled() => false,
    };
    if !left {
        core.close_calls();
        steps.grpc.cancel();
        steps.impatient.cancel();
        if timeout(HURRY, ended).await.is_err() {
            tracing::info!(
                children = core.children(),
                "drain is over; closing what is left"
            );
        }
    }
    tracing::info!(ms = began.elapsed().as_millis() as u64, "left");
}

impl Core {
    /// Asked to leave by the control plane.
    pub(crate) fn ask_to_leave(&self) {
        self.asked_to_leave.cancel();
    }

    /// Unready from now on, and serving as before.
    pub(crate) fn become_unready(&self) {
        self.unready.cancel();
    }

    /// On its way out, whether or not children have been told yet.
    pub(crate) fn is_leaving(&self) -> bool {
        self.unready.is_cancelled() || self.is_draining()
    }

    /// Catalogue calls and beats, which no other side ends by itself, end now.
    fn close_calls(&self) {
        self.calls_closed.cancel();
    }

    /// Subscriptions of children.
    pub(crate) fn children(&self) -> usize {
        self.tracks()
            .iter()
            .map(|track| track.lock().children.len())
            .sum()
    }

    /// Until no child is subscribed.
    async fn childless(&self) {
        while self.children() > 0 {
            sleep(LOOK_EVERY).await;
        }
    }

    /// A parent said in its catalogue that it goes away: it is nothing to return to.
    pub(crate) fn peer_leaves(&self, name: &str) {
        lock(&self.connected_since).remove(name);
    }
}

/// In a hurry, or past the deadline: what is being sent may take this long to end.
const HURRY: Duration = Duration::from_millis(1500);

const LOOK_EVERY: Duration = Duration::from_millis(20);
