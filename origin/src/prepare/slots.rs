//! Encoder slots: one per core, granted to whoever has the smallest lead over the viewers.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Shared by all contents of a server. A slot also bounds memory: pictures of a segment exist only while it holds one.
#[derive(Debug)]
pub(crate) struct Slots {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: u64,
    /// (lead, order of asking) of those who wait.
    waiting: BTreeSet<(u32, u64)>,
    total: usize,
}

/// Gives the slot back when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let count = count.max(1);
        let state = State {
            free: count,
            next: 0,
            waiting: BTreeSet::new(),
            total: count,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            freed: Condvar::new(),
        })
    }

    pub(crate) fn total(&self) -> usize {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .total
    }

    pub(crate) fn busy(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.total - state.free
    }

    /// Waits for a slot; `None` when `cancelled` says so.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        lead: u32,
        cancelled: impl Fn() -> bool,
    ) -> Option<Slot> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = (lead, state.next);
        state.next += 1;
        state.waiting.insert(ticket);
        let granted = loop {
            if cancelled() {
                break false;
            }
            if state.free > 0 && state.waiting.first() == Some(&ticket) {
                break true;
            }
            let waited = self.freed.wait_timeout(state, POLL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting.remove(&ticket);
        if granted {
            state.free -= 1;
        }
        drop(state);
        self.freed.notify_all();
        granted.then(|| Slot(Arc::clone(self)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free += 1;
        self.0.freed.notify_all();
    }
}

/// How late a cancellation is noticed at most.
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn the_smallest_lead_goes_first() {
        let slots = Slots::new(1);
        let held = slots.acquire(9, || false).unwrap();
        let (tx, rx) = mpsc::channel();
        std::thread::scope(|scope| {
            for lead in [5, 1, 3] {
                let (slots, tx) = (Arc::clone(&slots), tx.clone());
                scope.spawn(move || {
                    let slot = slots.acquire(lead, || false);
                    tx.send(lead).unwrap();
                    drop(slot);
                });
            }
            while slots.state.lock().unwrap().waiting.len() < 3 {
                std::thread::yield_now();
            }
            drop(held);
        });
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(slots.busy(), 0);
    }

    #[test]
    fn a_cancelled_waiter_leaves_the_queue() {
        let slots = Slots::new(1);
        let held = slots.acquire(0, || false).unwrap();
        assert!(slots.acquire(0, || true).is_none());
        drop(held);
        assert!(slots.acquire(7, || false).is_some());
    }
}
