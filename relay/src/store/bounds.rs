//! Bounds in segments and in bytes.

use super::Store;

impl Store {
    pub(super) fn oldest_kept(&self) -> u64 {
        self.tip.as_ref().map_or(0, |tip| {
            (tip.at.number + 1).saturating_sub(self.retention())
        })
    }

    pub(super) fn trim(&mut self) {
        let oldest = self.oldest_kept();
        while let Some((&number, _)) = self.index.first_key_value() {
            if number >= oldest {
                break;
            }
            self.index.remove(&number);
        }
        while let Some((&number, _)) = self.ring.first_key_value() {
            if number >= oldest {
                break;
            }
            self.drop_bytes(number);
        }
        if self.descriptions.len() > 1 || self.inits.len() > 1 {
            self.forget_runs();
        }
    }

    fn forget_runs(&mut self) {
        let newest = self.descriptions.last().map(|d| d.run.clone());
        let index = &self.index;
        let tip = self.tip.as_ref().map(|tip| tip.run.clone());
        let used = |run: &str| {
            newest.as_deref() == Some(run)
                || tip.as_deref() == Some(run)
                || index.values().any(|entry| entry.info.run == run)
        };
        self.inits.retain(|(run, _)| used(run));
        self.descriptions.retain(|d| used(&d.run));
    }

    pub(super) fn drop_bytes(&mut self, number: u64) {
        if let Some(held) = self.ring.remove(&number) {
            self.bytes -= held.bytes;
            self.stamps.retain(|(_, n)| *n != number);
        }
    }

    /// The stamp of what would be evicted first; the newest two segments never are.
    pub(crate) fn oldest_stamp(&self) -> Option<u64> {
        self.evictable().map(|(stamp, _)| stamp)
    }

    fn evictable(&self) -> Option<(u64, u64)> {
        let protected = self.tip.as_ref().map_or(u64::MAX, |tip| tip.at.number);
        self.stamps
            .iter()
            .find(|(_, number)| number + 1 < protected)
            .copied()
    }

    /// Frees the oldest segment that may go; returns the bytes freed.
    pub(crate) fn evict(&mut self) -> usize {
        let Some((_, number)) = self.evictable() else {
            return 0;
        };
        let before = self.bytes;
        self.drop_bytes(number);
        before - self.bytes
    }
}
