//! When a growing asset may be offered: the prepared lead at the play position is enough, and stays enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use banyan_media::{Kind, name};

use super::{Shared, State};
use crate::channel::Channel;
use crate::plan::{AUDIO, Plan};
use crate::prepare;
use crate::store::Store;

/// Watches one asset grow and puts it in the catalogue when it holds.
pub(super) struct Offering {
    plan: Arc<Plan>,
    store: Arc<Store>,
    shared: Arc<Shared>,
    epoch: u64,
    channel: Option<Arc<Channel>>,
    /// Files there were when this run began, and when that was.
    began: (usize, Duration),
    /// Files that came from a peer since then.
    copied: Arc<AtomicUsize>,
    total: usize,
}

impl Offering {
    pub(super) fn new(
        plan: Arc<Plan>,
        store: Arc<Store>,
        shared: Arc<Shared>,
        epoch: u64,
        copied: Arc<AtomicUsize>,
    ) -> Self {
        let total = plan
            .track_names()
            .map(|track| prepare::files_of(&plan, &track))
            .sum();
        let mut offering = Self {
            plan,
            store,
            shared,
            epoch,
            channel: None,
            began: (0, Duration::ZERO),
            copied,
            total,
        };
        offering.began = (offering.files(), offering.shared.clock.uptime());
        // A stream that is offered already stays so through a repair.
        let run = name::run_id(&offering.plan.name, &offering.plan.key, epoch);
        let offered = offering.shared.catalog.channel(&offering.plan.name);
        offering.channel = offered.filter(|channel| channel.run == run);
        offering
    }

    /// Offers if it may be offered; tells state, permille and milliseconds left to prepare.
    pub(super) fn look(&mut self) -> (State, u32, u64) {
        let done = self.files();
        let complete = done >= self.total;
        let permille = if complete {
            1000
        } else {
            (done * 1000 / self.total.max(1)).min(999) as u32
        };
        let speed = self.speed_permille(done);
        // A peer may leave: only what is made here counts for staying ahead.
        let own = done.saturating_sub(self.copied.load(Ordering::Relaxed));
        let sure = self.speed_permille(own);
        if self.channel.is_some() || complete || holds(self.lead(), self.missing(), sure) {
            self.offer();
        }
        let left = u128::from(self.missing()) * u128::from(self.segment_ms()) * 1000;
        let remaining = if complete {
            0
        } else {
            left.checked_div(u128::from(speed)).unwrap_or(0)
        };
        let state = if self.channel.is_some() {
            State::Offered
        } else {
            State::Preparing
        };
        (
            state,
            permille,
            u64::try_from(remaining).unwrap_or(u64::MAX),
        )
    }

    fn offer(&mut self) {
        // Before every track has an init segment there is nothing to describe.
        let Ok(asset) = prepare::describe(&self.plan, &self.store) else {
            return;
        };
        let channel = self.channel.get_or_insert_with(|| {
            let window = self.plan.packaging.window_segments.max(1);
            Arc::new(Channel::new(
                &self.plan,
                &asset,
                &self.store,
                self.epoch,
                window,
            ))
        });
        let poster = self.store.poster().unwrap_or_default().into();
        let offer = channel.offer(&asset, poster, &self.shared.member);
        self.shared.catalog.put(offer, Arc::clone(channel));
    }

    fn files(&self) -> usize {
        self.plan
            .track_names()
            .map(|track| self.store.count(&track))
            .sum()
    }

    /// Consecutive segments prepared in every track from the play position on.
    fn lead(&self) -> u32 {
        let segments = self.plan.timeline.segments;
        let from = Channel::local_now(&self.plan.timeline, self.epoch, self.shared.clock.now());
        (0..segments)
            .take_while(|ahead| self.has((from + ahead) % segments))
            .count() as u32
    }

    fn has(&self, local: u32) -> bool {
        let last = local + 1 == self.plan.timeline.segments;
        self.plan.track_names().all(|track| {
            let long = last && track == AUDIO && self.plan.has_long_audio();
            self.store.has(&track, local, false) && (!long || self.store.has(&track, local, true))
        })
    }

    /// Segments that lack some track.
    fn missing(&self) -> u32 {
        (0..self.plan.timeline.segments)
            .filter(|local| !self.has(*local))
            .count() as u32
    }

    /// Content time prepared per time passed, in thousandths; 0 = not known yet.
    fn speed_permille(&self, done: usize) -> u64 {
        let (files, since) = self.began;
        let passed = self.shared.clock.uptime().saturating_sub(since).as_millis();
        let made = done.saturating_sub(files);
        let tracks = self.plan.track_names().count().max(1);
        if made < 2 * tracks || passed == 0 {
            return 0;
        }
        let content_ms = made as u128 * u128::from(self.segment_ms()) / tracks as u128;
        u64::try_from(content_ms * 1000 / passed).unwrap_or(u64::MAX)
    }

    fn segment_ms(&self) -> u64 {
        let timing = self.plan.timeline.timing(Kind::Video, 0);
        timing.duration * 1000 / u64::from(timing.timescale.max(1))
    }
}

/// Whether viewers never catch up with preparation: a lead of three segments, and as many more as are lost while the rest is
/// prepared at `speed` thousandths of real time.
fn holds(lead: u32, missing: u32, speed: u64) -> bool {
    let (lead, missing) = (u64::from(lead), u64::from(missing));
    if missing == 0 {
        return true;
    }
    if speed == 0 || lead < LEAD {
        return false;
    }
    let lost = missing * 1000_u64.saturating_sub(speed);
    (lead - LEAD) * speed >= lost
}

/// Segments that must be ready ahead of the viewers.
const LEAD: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_offered_when_its_lead_outlasts_preparation() {
        for (lead, missing, speed, expected) in [
            (0, 0, 0, true),
            (2, 10, 5000, false),
            (3, 10, 0, false),
            (3, 10, 1000, true),
            (3, 10, 999, false),
            // At half speed ten missing segments take twenty: seventeen would do with none to spare, three more are.
            (12, 10, 500, false),
            (13, 10, 500, true),
        ] {
            assert_eq!(
                holds(lead, missing, speed),
                expected,
                "{lead} {missing} {speed}"
            );
        }
    }

    /// Plays the race out: never offered a stream whose play position then meets a hole.
    #[test]
    fn an_offered_stream_never_meets_a_hole_at_steady_speed() {
        for speed in [300u64, 700, 900, 1000, 1500] {
            for segments in [10u32, 40, 100] {
                let (mut offered, mut made) = (false, 0u64); // made in thousandths of a segment
                for time in 0..1_000_000u64 {
                    let prepared = (made / 1000).min(u64::from(segments)) as u32;
                    let played = time / 100; // a hundred steps per segment
                    let missing = segments - prepared;
                    let lead = if missing == 0 {
                        segments
                    } else {
                        prepared.saturating_sub(played as u32 % segments)
                    };
                    if offered && missing > 0 {
                        assert!(lead > 0, "speed {speed}, {segments} segments, step {time}");
                    }
                    offered |= holds(lead, missing, speed);
                    if missing == 0 {
                        break;
                    }
                    made += speed / 100;
                }
                assert!(offered);
            }
        }
    }
}
