//! Copying video segments that a peer has prepared already, beside the encoders, which never wait for it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use banyan_media::{Kind, Timeline, name};
use banyan_proto::client::MediaClient;
use banyan_proto::v1;

use super::claims::{Claim, Claims};
use super::{Preparation, video};
use crate::peer::{Peers, Refused, Wanted};
use crate::time::NS;

/// Copies until nothing is missing, encoding is over, or no root can help. Blocks; errors only end the copying.
pub(super) fn run(run: &Preparation, claims: &Claims) {
    if claims.peek(|local| is_missing(run, local)).is_none() {
        return;
    }
    // Of its own, so that it ends with this thread and not with the server.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::warn!(%error, "segments cannot be copied from peers");
            return;
        }
    };
    let mut copier = Copier {
        run,
        claims,
        id: name::run_id(&run.plan.name, &run.plan.key, run.epoch),
        roots: VecDeque::new(),
        known: BTreeSet::new(),
        failures: 0,
        told: false,
    };
    runtime.block_on(async {
        tokio::select! {
            () = ended(run, claims) => {}
            () = copier.copy() => {}
        }
    });
    // A name that is still being looked up keeps nobody waiting.
    runtime.shutdown_background();
}

async fn ended(run: &Preparation, claims: &Claims) {
    while !run.stop.raised() {
        tokio::select! {
            () = claims.closed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

struct Copier<'a> {
    run: &'a Preparation,
    claims: &'a Claims,
    /// The stream's run, equal at whoever holds the same key.
    id: String,
    /// Best first.
    roots: VecDeque<Root>,
    /// URIs of all roots met.
    known: BTreeSet<String>,
    /// In a row.
    failures: u32,
    told: bool,
}

struct Root {
    peer: v1::Peer,
    /// `None` = not asked yet what it offers.
    client: Option<MediaClient>,
    /// Tracks whose init segment is the same there.
    compared: BTreeSet<String>,
}

enum Step {
    Copied,
    /// An encoder took the segment over.
    Lost,
    Failed(Refused),
    /// Nothing is left to copy, or nothing can be stored.
    Over,
}

impl Copier<'_> {
    async fn copy(&mut self) {
        let mut roots = self.run.peers.roots();
        loop {
            for peer in roots.borrow_and_update().iter() {
                if self.known.insert(peer.uri.clone()) {
                    self.roots.push_back(Root {
                        peer: peer.clone(),
                        client: None,
                        compared: BTreeSet::new(),
                    });
                }
            }
            let Some(mut root) = self.roots.pop_front() else {
                if roots.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let Some(client) = self.client(&mut root).await else {
                continue;
            };
            match self.segment(&mut root, &client).await {
                Step::Copied => {
                    self.failures = 0;
                    self.roots.push_front(root);
                }
                Step::Lost => self.roots.push_front(root),
                Step::Failed(reason) => {
                    let (stream, root_name) = (&self.run.plan.name, &root.peer.name);
                    tracing::info!(stream, root = root_name, %reason, "segment not copied from a peer");
                    self.failures += 1;
                    if self.failures >= FAILURES {
                        return;
                    }
                    // Another encoding does not become ours; anything else may pass.
                    if !matches!(reason, Refused::Init) {
                        self.roots.push_back(root);
                    }
                }
                Step::Over => return,
            }
        }
    }

    /// How `root` is asked, if it has our run; its catalogue is read once.
    async fn client(&self, root: &mut Root) -> Option<MediaClient> {
        if root.client.is_none() {
            let stream = &self.run.plan.name;
            let dialled = self.run.peers.dial(&root.peer, stream, &self.id).await;
            root.client = dialled.unwrap_or_else(|reason| {
                tracing::debug!(stream, root = root.peer.name, %reason, "no catalogue");
                None
            });
        }
        root.client.clone()
    }

    /// All missing renditions of the next segment.
    async fn segment(&mut self, root: &mut Root, client: &MediaClient) -> Step {
        let run = self.run;
        let _turn = run.peers.turn().await;
        let wanted = |local| is_missing(run, local) && self.place(local).is_some();
        let Some(claim) = self.claims.copy(wanted) else {
            return Step::Over;
        };
        let Some(n) = self.place(claim.local) else {
            return Step::Lost;
        };
        for track in video::missing(&run.plan, &run.store, claim.local) {
            let step = self.track(root, client, &claim, n, &track.name).await;
            if !matches!(step, Step::Copied) {
                return step;
            }
        }
        if !self.told {
            self.told = true;
            let (stream, root) = (&run.plan.name, &root.peer.name);
            tracing::info!(stream, root, "copying prepared segments from a peer");
        }
        Step::Copied
    }

    async fn track(
        &self,
        root: &mut Root,
        client: &MediaClient,
        claim: &Claim<'_>,
        n: u64,
        track: &str,
    ) -> Step {
        let run = self.run;
        let init = run.store.init(track).unwrap_or_default();
        let wanted = Wanted {
            timeline: &run.plan.timeline,
            stream: &run.plan.name,
            track,
            run: &self.id,
            epoch: run.epoch,
            n,
            init: (!root.compared.contains(track)).then_some(&init),
        };
        let fetched = tokio::select! {
            () = claim.taken() => return Step::Lost,
            fetched = run.peers.segment(client, &wanted) => fetched,
        };
        let data = match fetched {
            Ok(data) => data,
            Err(reason) => return Step::Failed(reason),
        };
        root.compared.insert(track.to_owned());
        match claim.store(|| run.store.put(track, claim.local, false, &data)) {
            Some(Ok(())) => {
                Peers::count(&run.peers.copied);
                run.copied.fetch_add(1, Ordering::Relaxed);
                (run.stored)();
                Step::Copied
            }
            // The encoders meet the same disk and say so.
            Some(Err(_)) => Step::Over,
            None => Step::Lost,
        }
    }

    fn place(&self, local: u32) -> Option<u64> {
        let since = self
            .run
            .clock
            .now()
            .checked_sub(u128::from(self.run.epoch) * NS)?;
        newest(&self.run.plan.timeline, local, since)
    }
}

fn is_missing(run: &Preparation, local: u32) -> bool {
    video::is_missing(&run.plan, &run.store, local)
}

/// The newest segment with `local`'s bytes that was released whole, as everybody's clock has it.
fn newest(timeline: &Timeline, local: u32, since_epoch_ns: u128) -> Option<u64> {
    let (n, part) = timeline.position_at(Kind::Video, since_epoch_ns)?;
    let whole = if part + 1 < timeline.parts {
        n.checked_sub(1)?
    } else {
        n
    };
    let last = whole.checked_sub(MARGIN)?;
    let segments = u64::from(timeline.segments.max(1));
    last.checked_sub((last % segments + segments - u64::from(local)) % segments)
}

/// Segments that a peer's clock may be behind.
const MARGIN: u64 = 1;
/// Failures in a row after which a preparation asks nobody any more.
const FAILURES: u32 = 3;
/// How late a stop is noticed at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use banyan_media::FrameRate;

    #[test]
    fn only_what_was_released_whole_is_asked_for_and_the_newest_of_it() {
        let timeline = Timeline {
            frame_rate: FrameRate { num: 25, den: 1 },
            frames_per_segment: 25,
            segments: 4,
            parts: 3,
            sample_rate: None,
        };
        for (ms, expected) in [
            (0, [None; 4]),
            (1999, [None; 4]),
            (2000, [Some(0), None, None, None]),
            (4999, [Some(0), Some(1), Some(2), None]),
            (5000, [Some(0), Some(1), Some(2), Some(3)]),
            (6500, [Some(4), Some(1), Some(2), Some(3)]),
            (4_001_000, [Some(3996), Some(3997), Some(3998), Some(3999)]),
        ] {
            let found: Vec<_> = (0..4)
                .map(|local| newest(&timeline, local, ms * 1_000_000))
                .collect();
            assert_eq!(found, expected, "{ms} ms");
        }
    }
}
