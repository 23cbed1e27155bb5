//! Events in the order of time.

use super::model::{Event, Us};

/// An event in the order of time, and of coming.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) at: Us,
    pub(super) sequence: u64,
    pub(super) whose: usize,
    pub(super) event: Event,
}

impl Ord for Queued {
    fn cmp(&self, other: &Queued) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Queued) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Queued) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}
