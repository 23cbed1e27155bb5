//! Room for one more: what this member sends, against what it may send.
//!
//! A newcomer is let in when what is sent now, what those let in lately will need, and what it needs
//! itself stay within the limit. Whoever is in stays in; only when more is sent than allowed for
//! seconds on end is the newest child asked to go, one at a time, each once: it goes if another
//! parent takes it, and is served on if none does. Coming back, it is a newcomer like any other. Pure:
//! the clock is passed in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::clock::Instant;
use crate::core::{Core, lock};
use crate::track::Key;

/// There is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Bits per second sent, or promised to those let in lately.
    pub used: u64,
    /// Bits per second that may be sent.
    pub limit: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Room {
    /// Bytes sent so far, when that was.
    sent: VecDeque<(Instant, u64)>,
    /// Bits per second of those let in, whose bytes do not show in the rate yet.
    promised: VecDeque<(Instant, u64)>,
    over_since: Option<Instant>,
    told_at: Option<Instant>,
    turned_away: bool,
}

impl Room {
    /// Bytes sent in all, as of now.
    pub(crate) fn observe(&mut self, now: Instant, sent: u64) {
        self.sent.push_back((now, sent));
        while self.sent.len() > 2 && now.duration_since(self.sent[1].0) >= WINDOW {
            self.sent.pop_front();
        }
        while self
            .promised
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            self.promised.pop_front();
        }
    }

    /// Bits per second over the window.
    fn rate(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.sent.front(), self.sent.back()) else {
            return 0;
        };
        let elapsed = to.duration_since(*from).max(SHORTEST);
        let bits = u128::from(last.saturating_sub(*first)) * 8;
        u64::try_from(bits * 1000 / elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// Lets in somebody who needs `cost`, or says why not.
    pub(crate) fn admit(&mut self, now: Instant, cost: u64, limit: u64) -> Result<(), Full> {
        let promised: u64 = self.promised.iter().map(|(_, cost)| cost).sum();
        let used = self.rate().saturating_add(promised);
        if used.saturating_add(cost) > limit {
            self.turned_away = true;
            return Err(Full { used, limit });
        }
        self.promised.push_back((now, cost));
        Ok(())
    }

    /// Whether the newest child should be asked to go now.
    pub(crate) fn is_too_full(&mut self, now: Instant, limit: u64) -> bool {
        if self.rate() <= limit {
            self.over_since = None;
            return false;
        }
        let since = *self.over_since.get_or_insert(now);
        let waited = self
            .told_at
            .is_none_or(|at| now.duration_since(at) >= BETWEEN);
        let told = waited && now.duration_since(since) >= PATIENCE;
        if told {
            self.told_at = Some(now);
            self.turned_away = true;
        }
        told
    }

    pub(crate) fn turn_away(&mut self) {
        self.turned_away = true;
    }

    /// Whether anybody was turned away since the last call.
    pub(crate) fn take_turned_away(&mut self) -> bool {
        std::mem::take(&mut self.turned_away)
    }
}

/// The children here, in the order in which they came, and those that left a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    next: u64,
    open: BTreeMap<u64, CancellationToken>,
    left: VecDeque<(Instant, String, Key)>,
}

/// One subscription's place; given up when dropped.
pub(crate) struct Seat {
    core: Arc<Core>,
    number: u64,
    member: String,
    key: Key,
    /// Raised when this child is asked to go for want of room.
    pub(crate) asked: CancellationToken,
}

impl Core {
    fn limit(&self) -> u64 {
        match self.max_egress {
            Some(limit) => limit,
            None => self.config().max_egress_bps,
        }
    }

    /// Lets in a viewer or a child that needs so many bits per second.
    pub(crate) fn admit(&self, cost: u64) -> Result<(), Full> {
        let limit = self.limit();
        if limit == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut room = lock(&self.room);
        room.observe(now, self.counters.bytes_out.value());
        let admitted = room.admit(now, cost, limit);
        if admitted.is_err() {
            self.counters.turned_away.inc();
        }
        admitted
    }

    /// Somebody was turned away for another want of room.
    pub(crate) fn turn_away(&self) {
        self.counters.turned_away.inc();
        lock(&self.room).turn_away();
    }

    /// A seat for a child of a track. One that sat here a moment ago still has its own.
    pub(crate) fn seat(self: &Arc<Core>, member: &str, key: &Key) -> Result<Seat, Full> {
        let now = Instant::now();
        let returns = {
            let mut seats = lock(&self.seats);
            seats
                .left
                .retain(|(at, ..)| now.duration_since(*at) < RETURN);
            let mut left = seats.left.iter();
            left.any(|(_, who, what)| who == member && what == key)
        };
        if !returns {
            self.admit(self.cost(key))?;
        }
        let mut seats = lock(&self.seats);
        seats.next += 1;
        let (number, asked) = (seats.next, CancellationToken::new());
        seats.open.insert(number, asked.clone());
        Ok(Seat {
            core: self.clone(),
            number,
            member: member.to_owned(),
            key: key.clone(),
            asked,
        })
    }

    /// Bits per second of a track at its worst, as it is offered.
    fn cost(&self, key: &Key) -> u64 {
        let view = self.catalog().borrow().clone();
        let offer = view.offers.get(&key.stream);
        let track = offer.and_then(|offer| offer.tracks.iter().find(|t| t.name == key.track));
        track.map_or(0, |track| track.peak_bandwidth)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.core.seats);
        seats.open.remove(&self.number);
        if !self.asked.is_cancelled() && seats.left.len() < REMEMBERED {
            let left = (Instant::now(), self.member.clone(), self.key.clone());
            seats.left.push_back(left);
        }
    }
}

/// Watches the rate, and asks the newest child to go while it is too high.
pub(crate) async fn run(core: Arc<Core>) {
    loop {
        sleep(LOOK_EVERY).await;
        let now = Instant::now();
        let limit = core.limit();
        let too_full = {
            let mut room = lock(&core.room);
            room.observe(now, core.counters.bytes_out.value());
            limit > 0 && room.is_too_full(now, limit)
        };
        if !too_full {
            continue;
        }
        let seats = lock(&core.seats);
        if let Some(newest) = seats
            .open
            .values()
            .rev()
            .find(|asked| !asked.is_cancelled())
        {
            tracing::warn!(
                limit_bps = limit,
                "more is sent than may be; the newest child is asked to go"
            );
            core.counters.turned_away.inc();
            newest.cancel();
        }
    }
}

/// Two segments of the usual length, so that their pulse does not show.
const WINDOW: Duration = Duration::from_secs(4);

/// Less says nothing of a rate.
const SHORTEST: Duration = Duration::from_secs(1);

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bursts (a newcomer's first window, a repair) are out of the window sooner.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than it takes until the rate shows that a child has gone.
const BETWEEN: Duration = Duration::from_secs(6);

/// A child whose connection broke is back within this.
const RETURN: Duration = Duration::from_secs(10);

/// A child that is not remembered is a newcomer.
const REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const MBIT: u64 = 1_000_000;

    /// A room that has sent `mbit` per second for `seconds`.
    fn sending(mbit: u64, seconds: u64) -> (Room, Instant, u64) {
        let (mut room, mut now, mut sent) = (Room::default(), Instant::now(), 0);
        room.observe(now, sent);
        for _ in 0..seconds {
            now += Duration::from_secs(1);
            sent += mbit * MBIT / 8;
            room.observe(now, sent);
        }
        (room, now, sent)
    }

    #[test]
    fn newcomers_fit_beside_what_is_sent_and_what_was_promised() {
        let (mut room, now, sent) = sending(6, 10);
        assert_eq!(room.admit(now, 3 * MBIT, 10 * MBIT), Ok(()));
        let full = room.admit(now, 3 * MBIT, 10 * MBIT).unwrap_err();
        assert_eq!(
            full,
            Full {
                used: 9 * MBIT,
                limit: 10 * MBIT
            }
        );
        assert!(room.take_turned_away() && !room.take_turned_away());
        // What was promised shows in the rate, or was not needed.
        let later = now + Duration::from_secs(5);
        room.observe(later, sent + 5 * 6 * MBIT / 8);
        assert_eq!(room.admit(later, 3 * MBIT, 10 * MBIT), Ok(()));
    }

    #[test]
    fn the_newest_is_asked_only_after_seconds_and_one_at_a_time() {
        let (mut room, mut now, mut sent) = sending(4, 10);
        let mut told = Vec::new();
        for second in 0..20 {
            now += Duration::from_secs(1);
            sent += 12 * MBIT / 8;
            room.observe(now, sent);
            if room.is_too_full(now, 10 * MBIT) {
                told.push(second);
            }
        }
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0] >= 5 && told[1] - told[0] == 6, "{told:?}");
        // A burst of a second is nothing.
        let (mut room, mut now, mut sent) = sending(4, 10);
        for second in 0..10 {
            now += Duration::from_secs(1);
            sent += if second == 0 { 30 } else { 4 } * MBIT / 8;
            room.observe(now, sent);
            assert!(!room.is_too_full(now, 10 * MBIT), "{second}");
        }
    }
}
