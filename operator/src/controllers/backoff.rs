//! When an object that failed is tried again: later each time, and never all at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;

use super::watch::Key;

/// Failures in a row, by object.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<Key, u32>>);

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// At most; a missing permission that was given is noticed within this.
const LAST: Duration = Duration::from_secs(120);

impl Backoff {
    /// An object failed: when to try again, and how many objects fail now.
    pub fn failed(&self, key: &Key) -> (Duration, usize) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.clone()).or_insert(0);
        *count = count.saturating_add(1);
        let wait = delay(*count, rand::rng().random_range(0.0..1.0));
        (wait, failures.len())
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
        backoff.failed(&one);
        assert!(backoff.failed(&one).0 > Duration::from_secs(1));
        assert_eq!(backoff.failed(&other).1, 2, "each by itself");
        assert_eq!(backoff.succeeded(&one), 1);
        assert!(backoff.failed(&one).0 <= Duration::from_secs(1));
    }
}
