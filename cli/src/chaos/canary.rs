//! How late a timer fires in this machine's present state: the measure of every other measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A 100 ms timer that remembers its worst lateness.
pub(crate) struct Canary {
    worst_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Canary {
    pub(crate) fn start() -> Self {
        let worst_ms = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn({
            let worst_ms = worst_ms.clone();
            async move {
                loop {
                    let due = Instant::now() + PERIOD;
                    tokio::time::sleep_until(due).await;
                    let late = due.elapsed().as_millis() as u64;
                    worst_ms.fetch_max(late, Ordering::Relaxed);
                }
            }
        });
        Self { worst_ms, task }
    }

    /// The worst so far.
    pub(crate) fn worst_ms(&self) -> u64 {
        self.worst_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const PERIOD: Duration = Duration::from_millis(100);
