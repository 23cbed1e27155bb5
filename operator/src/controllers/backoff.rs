//! When an object that failed is tried again: later each time, and never all at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::Rng;

use super::watch::Key;

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<Key, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

/// What a failure means.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// When to try again.
    pub wait: Duration,
    /// How many objects fail now.
    pub objects: usize,
    /// Not only another reconcile, for some change, within the wait of the last.
    pub news: bool,
}

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most; a missing permission that was given is noticed within this.
const LAST: Duration = Duration::from_secs(120);

impl Backoff {
    /// An object failed at `now`.
    pub fn failed(&self, key: &Key, now: Instant) -> Failed {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let luck = rand::rng().random_range(0.0..1.0);
        let before = all.get(key).copied();
        let news = before.is_none_or(|before| {
            let waited = now.saturating_duration_since(before.last);
            waited >= delay(before.count, 1.0)
        });
        let failures = match before {
            Some(before) if !news => before,
            before => Failures {
                count: before.map_or(0, |before| before.count).saturating_add(1),
                last: now,
            },
        };
        all.insert(key.clone(), failures);
        Failed {
            wait: delay(failures.count, luck),
            objects: all.len(),
            news,
        }
    }

    /// Forgets objects that are gone.
    pub fn retain(&self, there: impl Fn(&Key) -> bool) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|key, _| there(key));
    }

    /// An object succeeded, or is gone: how many fail now.
    pub fn succeeded(&self, key: &Key) -> usize {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failures.remove(key);
        failures.len()
    }
}

/// Doubling from [`FIRST`] to [`LAST`], less up to a quarter.
fn delay(failures: u32, luck: f64) -> Duration {
    let doubled = FIRST * 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    doubled.min(LAST).mul_f64(1.0 - luck / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_minutes_and_start_again_after_a_success() {
        let seconds: Vec<u64> = (1..=9).map(|n| delay(n, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(delay(u32::MAX, 1.0), Duration::from_secs(90));
        let backoff = Backoff::default();
        let (one, other) = (
            ("ns".to_owned(), "one".to_owned()),
            ("ns".to_owned(), "other".to_owned()),
        );
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        assert!(backoff.failed(&one, begin).news);
        let again = backoff.failed(&one, begin);
        assert!(!again.news, "a change made it try before its time");
        assert!(again.wait <= Duration::from_secs(1));
        assert!(backoff.failed(&one, after(1)).wait > Duration::from_secs(1));
        assert_eq!(
            backoff.failed(&other, after(1)).objects,
            2,
            "each by itself"
        );
        assert_eq!(backoff.succeeded(&one), 1);
        assert!(backoff.failed(&one, after(2)).wait <= Duration::from_secs(1));
    }
}
