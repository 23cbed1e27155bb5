//! Waiting on conditions with a bound, and the clock of a test run. The only place that lets time pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Often enough to see a 333 ms part go by, seldom enough to leave two cores to the overlay.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `condition` holds; fails with `what` after `bound`.
#[track_caller]
pub fn wait_until(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, bound, || condition().then_some(()));
}

/// Waits until `condition` gives a value; fails with `what` after `bound`.
#[track_caller]
pub fn wait_for<T>(what: &str, bound: Duration, condition: impl FnMut() -> Option<T>) -> T {
    match poll(bound, condition) {
        Some(value) => value,
        None => panic!("not within {bound:?}: {what}"),
    }
}

/// As [`wait_for`], but gives `None` after `bound`.
pub fn poll<T>(bound: Duration, condition: impl FnMut() -> Option<T>) -> Option<T> {
    poll_every(POLL, bound, condition)
}

/// As [`poll`], for conditions that cost a process each: asked often, they would take the CPU from what they wait for.
pub fn poll_gently<T>(bound: Duration, condition: impl FnMut() -> Option<T>) -> Option<T> {
    poll_every(Duration::from_secs(1), bound, condition)
}

fn poll_every<T>(
    period: Duration,
    bound: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + bound;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::park_timeout(period);
    }
}

/// Prints how long a test took, whatever its end.
pub struct Stopwatch {
    name: &'static str,
    start: Instant,
}

impl Stopwatch {
    pub fn start(name: &'static str) -> Self {
        Self {
            name,
            start: Instant::now(),
        }
    }

    /// Prints how far the test has come.
    pub fn lap(&self, what: &str) {
        println!(
            "  {} {:6.1} s  {what}",
            self.name,
            self.start.elapsed().as_secs_f64()
        );
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        println!(
            "TIME {} {:.1} s",
            self.name,
            self.start.elapsed().as_secs_f64()
        );
    }
}

/// Measures how late a 100 ms timer fires in this machine's present state.
pub struct Canary {
    stop: Arc<AtomicBool>,
    worst_ms: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Canary {
    pub fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let worst_ms = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (stop, worst_ms) = (stop.clone(), worst_ms.clone());
            move || {
                const PERIOD: Duration = Duration::from_millis(100);
                while !stop.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    std::thread::park_timeout(PERIOD);
                    let late = start.elapsed().saturating_sub(PERIOD);
                    worst_ms.fetch_max(
                        late.as_millis().try_into().unwrap_or(u64::MAX),
                        Ordering::Relaxed,
                    );
                }
            }
        });
        Self {
            stop,
            worst_ms,
            thread: Some(thread),
        }
    }

    /// The worst lag since the last call.
    pub fn worst_ms(&self) -> u64 {
        self.worst_ms.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
