//! One direction of a link, in virtual time: transmission at a rate, a queue of bytes with tail drop, delay, jitter that
//! keeps the order, loss, and changes of all of them while frames are under way.
//!
//! Pure: time is an argument (nanoseconds of any clock that only goes forward), randomness comes from a seed. Frames are
//! whatever the caller has; only their length counts. `linkd` runs it on a real clock over real frames, a simulation on
//! a virtual one.
//!
//! A frame waits for those before it, is transmitted at the rate, is lost or not at the end of that, travels for delay
//! and jitter, and arrives no sooner after the frame before it than its own transmission takes: what comes out keeps
//! the rate over any window, with one frame of burst.

mod chance;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::chance::Chance;

/// Nanoseconds of the caller's clock.
pub type Nanos = u64;

/// What a direction of a link does to frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Rate in bit/s, counted in bytes of whole frames; `None` = no limit.
    pub rate_bps: Option<u64>,
    /// One-way delay in microseconds.
    pub delay_us: u64,
    /// The delay varies evenly by this many microseconds to either side, never below zero.
    pub jitter_us: u64,
    /// Frames lost of a hundred thousand.
    pub loss_per_100k: u32,
    /// Bytes that may wait, the frame in transmission included; an idle link takes any frame.
    pub queue_bytes: u64,
    /// Whether it carries anything; frames under way when it goes down are lost.
    pub up: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate_bps: None,
            delay_us: 0,
            jitter_us: 0,
            loss_per_100k: 0,
            queue_bytes: QUEUE_BYTES,
            up: true,
        }
    }
}

/// Some of the settings, to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// New rate in bit/s; 0 takes the limit away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_bps: Option<u64>,
    /// New one-way delay in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// New jitter in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_us: Option<u64>,
    /// New loss, frames of a hundred thousand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_per_100k: Option<u32>,
    /// New queue in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes: Option<u64>,
    /// Up or down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut words = Vec::new();
        match self.rate_bps {
            Some(0) => words.push("rate unlimited".to_owned()),
            Some(rate) => words.push(format!("rate {rate} bit/s")),
            None => {}
        }
        words.extend(self.delay_us.map(|us| format!("delay {us} us")));
        words.extend(self.jitter_us.map(|us| format!("jitter {us} us")));
        let loss = self.loss_per_100k.map(|loss| f64::from(loss) / 1_000.0);
        words.extend(loss.map(|percent| format!("loss {percent}%")));
        f.write_str(&words.join(" "))
    }
}

impl Change {
    /// `settings` with this change made.
    pub fn applied(&self, mut settings: Settings) -> Settings {
        if let Some(rate) = self.rate_bps {
            settings.rate_bps = Some(rate).filter(|rate| *rate > 0);
        }
        settings.delay_us = self.delay_us.unwrap_or(settings.delay_us);
        settings.jitter_us = self.jitter_us.unwrap_or(settings.jitter_us);
        settings.loss_per_100k = self.loss_per_100k.unwrap_or(settings.loss_per_100k);
        settings.queue_bytes = self.queue_bytes.unwrap_or(settings.queue_bytes);
        settings.up = self.up.unwrap_or(settings.up);
        settings
    }
}

/// What became of frames so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Offered.
    pub offered_frames: u64,
    /// Bytes offered.
    pub offered_bytes: u64,
    /// Arrived.
    pub delivered_frames: u64,
    /// Bytes arrived.
    pub delivered_bytes: u64,
    /// Lost by chance.
    pub lost_frames: u64,
    /// Dropped because the queue was full.
    pub full_frames: u64,
    /// Offered to a link that was down, or under way when it went down.
    pub cut_frames: u64,
}

/// One direction of a link.
#[derive(Debug)]
pub struct Direction<T> {
    settings: Settings,
    chance: Chance,
    /// Waiting or in transmission; the first one's end is `busy_until`.
    waiting: VecDeque<(u64, T)>,
    waiting_bytes: u64,
    /// When the transmission of the first waiting frame ends.
    busy_until: Nanos,
    /// When the last transmission ended.
    free_since: Nanos,
    travelling: VecDeque<(Nanos, u64, T)>,
    last_arrival: Nanos,
    counters: Counters,
}

impl<T> Direction<T> {
    /// An idle one; the same seed loses the same frames.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            chance: Chance::new(seed),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            busy_until: 0,
            free_since: 0,
            travelling: VecDeque::new(),
            last_arrival: 0,
            counters: Counters::default(),
        }
    }

    /// As it is set now.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// What became of frames so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Puts a frame of `bytes` in at `now`; gives it back when it is dropped at once.
    pub fn offer(&mut self, now: Nanos, bytes: u64, frame: T) -> Result<(), T> {
        self.advance(now);
        self.counters.offered_frames += 1;
        self.counters.offered_bytes += bytes;
        if !self.settings.up {
            self.counters.cut_frames += 1;
            return Err(frame);
        }
        if self.waiting.is_empty() {
            self.busy_until = now.max(self.free_since) + self.transmission(bytes);
        } else if self.waiting_bytes + bytes > self.settings.queue_bytes {
            self.counters.full_frames += 1;
            return Err(frame);
        }
        self.waiting.push_back((bytes, frame));
        self.waiting_bytes += bytes;
        // Without a rate it leaves at once.
        self.advance(now);
        Ok(())
    }

    /// When the next thing happens by itself; `None` while nothing is under way.
    pub fn poll_due(&self) -> Option<Nanos> {
        let arrival = self.travelling.front().map(|(at, ..)| *at);
        let transmitted = (!self.waiting.is_empty()).then_some(self.busy_until);
        arrival.into_iter().chain(transmitted).min()
    }

    /// The next frame that has arrived by `now`, with the time it arrived at.
    pub fn poll(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        self.advance(now);
        let (at, ..) = self.travelling.front()?;
        if *at > now {
            return None;
        }
        let (at, bytes, frame) = self.travelling.pop_front()?;
        self.counters.delivered_frames += 1;
        self.counters.delivered_bytes += bytes;
        Some((at, frame))
    }

    /// Changes settings at `now`. A frame in transmission goes on at the new rate; those that travel keep their delay,
    /// and none overtakes them.
    pub fn change(&mut self, now: Nanos, change: &Change) {
        self.advance(now);
        let old = self.settings;
        self.settings = change.applied(old);
        if !self.settings.up {
            let cut = self.waiting.len() + self.travelling.len();
            self.counters.cut_frames += cut as u64;
            self.waiting.clear();
            self.travelling.clear();
            self.waiting_bytes = 0;
            self.free_since = self.free_since.max(now);
        }
        if !self.waiting.is_empty() && old.rate_bps != self.settings.rate_bps {
            let left = self.busy_until.saturating_sub(now);
            let left = scaled(left, old.rate_bps, self.settings.rate_bps);
            self.busy_until = now + left;
            self.advance(now);
        }
    }

    /// Moves frames whose transmission has ended by `now` on their way.
    fn advance(&mut self, now: Nanos) {
        while self.busy_until <= now
            && let Some((bytes, frame)) = self.waiting.pop_front()
        {
            self.waiting_bytes -= bytes;
            self.free_since = self.busy_until;
            self.send(bytes, frame);
            if let Some((next, _)) = self.waiting.front() {
                self.busy_until = self.free_since + self.transmission(*next);
            }
        }
    }

    /// A frame whose transmission has just ended travels, or is lost.
    fn send(&mut self, bytes: u64, frame: T) {
        let lost = self.chance.below(ALL) < u64::from(self.settings.loss_per_100k);
        let jitter = self.settings.jitter_us * MICROSECOND;
        let late = match jitter {
            0 => 0,
            jitter => self.chance.below(2 * jitter + 1),
        };
        if lost {
            self.counters.lost_frames += 1;
            return;
        }
        let delay = (self.settings.delay_us * MICROSECOND + late).saturating_sub(jitter);
        let after_the_last = self.last_arrival + self.transmission(bytes);
        let at = (self.free_since + delay).max(after_the_last);
        self.last_arrival = at;
        self.travelling.push_back((at, bytes, frame));
    }

    /// How long a frame is transmitted; rounded up, so that the rate is never exceeded.
    fn transmission(&self, bytes: u64) -> Nanos {
        match self.settings.rate_bps {
            None | Some(0) => 0,
            Some(rate) => {
                let bits = u128::from(bytes) * 8 * u128::from(SECOND);
                bits.div_ceil(u128::from(rate)).min(u128::from(FOREVER)) as Nanos
            }
        }
    }
}

/// What is left of a transmission when the rate changes.
fn scaled(left: Nanos, old: Option<u64>, new: Option<u64>) -> Nanos {
    match (old, new) {
        (Some(old), Some(new)) if new > 0 => {
            let left = u128::from(left) * u128::from(old);
            left.div_ceil(u128::from(new)).min(u128::from(FOREVER)) as Nanos
        }
        _ => 0,
    }
}

/// A tenth of a second at 20 Mbit/s: deep enough for one congestion window of a fast link, shallow enough to be full.
const QUEUE_BYTES: u64 = 256 * 1024;
const ALL: u64 = 100_000;
const MICROSECOND: Nanos = 1_000;
const SECOND: Nanos = 1_000_000_000;
/// A day: what takes longer never happens, and sums stay far from overflow.
const FOREVER: Nanos = 86_400 * SECOND;

#[cfg(test)]
mod tests;
