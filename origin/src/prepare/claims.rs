//! Who makes which video segment: encoders and the copier each take the next one in play order that nobody has.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The segments of one run of preparation.
#[derive(Debug)]
pub(super) struct Claims {
    state: Mutex<State>,
    /// A segment is stored, or has nobody again.
    settled: Condvar,
    closed: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Local numbers in play order.
    order: Vec<u32>,
    /// By place in that order.
    encoding: Vec<bool>,
    /// No place before it is of interest to encoders.
    from: usize,
    /// The same for the copier, which tries each place once.
    copy_from: usize,
    copying: Option<Copying>,
}

#[derive(Debug)]
struct Copying {
    place: usize,
    /// It is being written to disk: nobody else may begin it.
    storing: bool,
    taken: CancellationToken,
}

/// The segment being copied. Given back when dropped, so that it is encoded if it is still missing.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    place: usize,
    taken: CancellationToken,
    pub(super) local: u32,
}

impl Claims {
    /// Play order begins at local segment `from` and goes round.
    pub(super) fn new(segments: u32, from: u32) -> Self {
        let state = State {
            order: (from..segments).chain(0..from).collect(),
            encoding: vec![false; segments as usize],
            from: 0,
            copy_from: 0,
            copying: None,
        };
        Self {
            state: Mutex::new(state),
            settled: Condvar::new(),
            closed: CancellationToken::new(),
        }
    }

    /// The segment that an encoder would take now; `None` when all are made or in other encoders' hands.
    pub(super) fn peek(&self, missing: impl Fn(u32) -> bool) -> Option<u32> {
        let mut state = self.lock();
        let place = state.next(&missing);
        let place = place.or(state.copying.as_ref().map(|copying| copying.place));
        place.map(|place| state.order[place])
    }

    /// Takes a segment to encode; the one being copied only when no other is left.
    pub(super) fn take(&self, missing: impl Fn(u32) -> bool) -> Option<u32> {
        let mut state = self.lock();
        loop {
            if let Some(place) = state.next(&missing) {
                state.encoding[place] = true;
                return Some(state.order[place]);
            }
            if state.copying.as_ref()?.storing {
                let waited = self.settled.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            } else if let Some(copying) = state.copying.take() {
                copying.taken.cancel();
                state.from = state.from.min(copying.place);
            }
        }
    }

    /// Takes a segment to copy, the next one that is `wanted`.
    pub(super) fn copy(&self, wanted: impl Fn(u32) -> bool) -> Option<Claim<'_>> {
        let mut state = self.lock();
        let places = state.copy_from..state.order.len();
        let free = |place: &usize| !state.encoding[*place] && wanted(state.order[*place]);
        let place = places.into_iter().find(free)?;
        let taken = CancellationToken::new();
        state.copy_from = place + 1;
        state.copying = Some(Copying {
            place,
            storing: false,
            taken: taken.clone(),
        });
        Some(Claim {
            claims: self,
            place,
            taken,
            local: state.order[place],
        })
    }

    /// Encoding is over; there is nothing left to copy.
    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, missing: impl Fn(u32) -> bool) -> Option<usize> {
        let copied = self.copying.as_ref().map(|copying| copying.place);
        let wanted = |place: &usize| {
            !self.encoding[*place] && Some(*place) != copied && missing(self.order[*place])
        };
        let found = (self.from..self.order.len()).find(wanted);
        // What was passed over is made or being made; the copier's place comes back by itself.
        self.from = found.unwrap_or(self.order.len());
        found
    }
}

impl Claim<'_> {
    /// Until an encoder takes the segment over.
    pub(super) async fn taken(&self) {
        self.taken.cancelled().await;
    }

    /// Runs `store` unless the segment was taken over.
    pub(super) fn store<T>(&self, store: impl FnOnce() -> T) -> Option<T> {
        self.storing(true)?;
        let result = store();
        self.storing(false);
        Some(result)
    }

    fn storing(&self, storing: bool) -> Option<()> {
        let mut state = self.claims.lock();
        let copying = state.copying.as_mut().filter(|c| c.place == self.place)?;
        copying.storing = storing;
        self.claims.settled.notify_all();
        Some(())
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.claims.lock();
        if state
            .copying
            .as_ref()
            .is_some_and(|copying| copying.place == self.place)
        {
            state.copying = None;
            state.from = state.from.min(self.place);
        }
        self.claims.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoder_and_copier_share_the_segments_in_play_order() {
        let claims = Claims::new(5, 3);
        assert_eq!(claims.peek(|_| true), Some(3));
        assert_eq!(claims.take(|_| true), Some(3));
        let claim = claims.copy(|_| true).unwrap();
        assert_eq!(claim.local, 4);
        assert_eq!(claims.take(|local| local != 0), Some(1));
        drop(claim);
        assert_eq!(claims.copy(|local| local != 0).unwrap().local, 2);
    }

    #[test]
    fn what_could_not_be_copied_is_encoded_next_and_not_tried_again() {
        let claims = Claims::new(3, 0);
        let claim = claims.copy(|_| true).unwrap();
        assert_eq!(claims.take(|_| true), Some(1));
        drop(claim);
        assert_eq!(claims.take(|_| true), Some(0));
        let claim = claims.copy(|_| true).unwrap();
        assert_eq!(claim.local, 2);
        drop(claim);
        assert!(claims.copy(|_| true).is_none());
        assert_eq!(claims.take(|_| true), Some(2));
        assert_eq!(claims.peek(|_| true), None);
    }

    #[test]
    fn the_last_one_is_taken_over_from_a_slow_peer_and_not_stored_twice() {
        let claims = Claims::new(1, 0);
        let claim = claims.copy(|_| true).unwrap();
        assert_eq!(claims.peek(|_| true), Some(0));
        assert_eq!(claims.take(|_| true), Some(0));
        assert!(claim.taken.is_cancelled());
        assert_eq!(claim.store(|| ()), None);
        drop(claim);
        assert_eq!(claims.peek(|_| true), None);
    }

    #[test]
    fn a_segment_being_stored_is_waited_for() {
        let claims = Claims::new(1, 0);
        let stored = std::sync::atomic::AtomicBool::new(false);
        let missing = |_| !stored.load(std::sync::atomic::Ordering::Acquire);
        let claim = claims.copy(missing).unwrap();
        std::thread::scope(|scope| {
            let encoder = claim.store(|| {
                let encoder = scope.spawn(|| claims.take(missing));
                std::thread::yield_now();
                stored.store(true, std::sync::atomic::Ordering::Release);
                encoder
            });
            drop(claim);
            assert_eq!(encoder.unwrap().join().unwrap(), None);
        });
    }
}
