//! Until when this process leads, for whoever is about to write, and a thread that ends a process that does not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A write that was begun while leading must end within this, so that it ends before another leader may begin: the
/// Lease's duration less its renew deadline, less a second.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long after the end of a leadership a process that is still there is ended.
const LAST_RESORT: Duration = Duration::from_millis(500);

/// The end of this process's leadership, shared. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fence {
    started: Instant,
    /// Milliseconds since `started`; 0 while not leading.
    until: Arc<AtomicU64>,
}

impl Fence {
    /// Not leading.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            until: Arc::default(),
        }
    }

    /// A fence that is always open, for tests of what stands behind it.
    pub fn open() -> Self {
        let fence = Self::new(Instant::now());
        fence.until.store(u64::MAX, Ordering::Release);
        fence
    }

    /// Whether a write may begin now.
    pub fn leading(&self) -> bool {
        self.now_ms() < self.until.load(Ordering::Acquire)
    }

    /// Sets the end, since the start of the process; `None` when not leading.
    pub(super) fn set(&self, until: Option<Duration>) {
        let ms = until.map_or(0, |until| {
            u64::try_from(until.as_millis()).unwrap_or(u64::MAX)
        });
        self.until.store(ms, Ordering::Release);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Starts a thread that calls `end` when leadership has ended and nobody took it off the fence: the runtime is
    /// stuck. A thread, because tasks would be stuck with it.
    pub fn watch(&self, end: impl FnOnce() + Send + 'static) {
        let fence = self.clone();
        std::thread::spawn(move || {
            let mut end = Some(end);
            loop {
                let until = fence.until.load(Ordering::Acquire);
                let late = fence.now_ms().saturating_sub(until);
                if until > 0 && late >= LAST_RESORT.as_millis() as u64 {
                    if let Some(end) = end.take() {
                        end();
                    }
                    return;
                }
                std::thread::park_timeout(LAST_RESORT / 5);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_opens_and_shuts() {
        let fence = Fence::new(Instant::now());
        assert!(!fence.leading());
        fence.set(Some(Duration::from_secs(60)));
        assert!(fence.leading());
        fence.set(None);
        assert!(!fence.leading());
    }

    #[test]
    fn the_last_resort_ends_a_process_that_did_not_notice() {
        let fence = Fence::new(Instant::now());
        let (sender, receiver) = std::sync::mpsc::channel();
        fence.set(Some(Duration::from_millis(1)));
        fence.watch(move || sender.send(()).unwrap());
        receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
