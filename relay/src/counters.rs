//! What the core counts, and its Prometheus text.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of the whole member; those of a track are in its status.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) chunks_in: Counter,
    pub(crate) bytes_in: Counter,
    pub(crate) bytes_out: Counter,
    pub(crate) fetches_sent: Counter,
    pub(crate) fetches_served: Counter,
    pub(crate) chunks_refused: Counter,
    pub(crate) hash_mismatches: Counter,
    pub(crate) gaps: Counter,
    pub(crate) evictions: Counter,
    pub(crate) beats_refused: Counter,
    pub(crate) offers_refused: Counter,
    pub(crate) messages_refused: Counter,
    pub(crate) subscriptions_refused: Counter,
    pub(crate) plans_refused: Counter,
    pub(crate) turned_away: Counter,
}

impl Counters {
    pub(crate) fn write(&self, text: &mut String) {
        let table: [(&str, &str, &Counter); 15] = [
            ("chunks_in", "Chunks received from parents", &self.chunks_in),
            (
                "bytes_in",
                "Payload bytes received from parents",
                &self.bytes_in,
            ),
            ("bytes_out", "Bytes sent to children", &self.bytes_out),
            (
                "fetches_sent",
                "Fetch requests sent to parents",
                &self.fetches_sent,
            ),
            (
                "fetches_served",
                "Fetch requests of children",
                &self.fetches_served,
            ),
            (
                "chunks_refused",
                "Chunks refused as repeated or out of order",
                &self.chunks_refused,
            ),
            (
                "hash_mismatches",
                "Segments whose bytes disagreed with their hash",
                &self.hash_mismatches,
            ),
            ("gaps", "Gaps told by parents", &self.gaps),
            (
                "evictions",
                "Segments evicted for the memory budget",
                &self.evictions,
            ),
            (
                "beats_refused",
                "Beats with impossible contents",
                &self.beats_refused,
            ),
            (
                "offers_refused",
                "Offers with impossible contents",
                &self.offers_refused,
            ),
            (
                "messages_refused",
                "Media messages with impossible contents",
                &self.messages_refused,
            ),
            (
                "subscriptions_refused",
                "Subscriptions refused",
                &self.subscriptions_refused,
            ),
            ("plans_refused", "Plans refused", &self.plans_refused),
            (
                "turned_away",
                "Viewers and children turned away for want of room",
                &self.turned_away,
            ),
        ];
        for (name, help, counter) in table {
            // Writing into a String cannot fail.
            let _ = write!(
                text,
                "# HELP banyan_{name}_total {help}.\n# TYPE banyan_{name}_total counter\nbanyan_{name}_total {}\n",
                counter.value()
            );
        }
    }
}
