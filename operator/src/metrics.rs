//! What the operator counts about itself, as Prometheus text.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

/// All counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    queued: Family<Labels, Gauge<u64, AtomicU64>>,
    backing_off: Family<Labels, Gauge<u64, AtomicU64>>,
    watch_errors: Family<Labels, Counter>,
    writes: Family<Labels, Counter>,
    reselections: Counter,
    leading: Gauge<u64, AtomicU64>,
    term: Gauge<u64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let reconciles = Family::default();
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        let queued = Family::default();
        let backing_off = Family::default();
        let watch_errors = Family::default();
        let writes = Family::default();
        let reselections = Counter::default();
        let leading = Gauge::default();
        let term = Gauge::default();
        registry.register(
            counter_name(banyan_api::metrics::OPERATOR_RECONCILES),
            "Reconciles by controller and outcome",
            Clone::clone(&reconciles),
        );
        registry.register(
            banyan_api::metrics::OPERATOR_RECONCILE_SECONDS,
            "Time a reconcile took",
            Clone::clone(&durations),
        );
        registry.register(
            banyan_api::metrics::OPERATOR_QUEUE_DEPTH,
            "Objects whose reconcile was asked for and has not begun",
            Clone::clone(&queued),
        );
        registry.register(
            banyan_api::metrics::OPERATOR_BACKING_OFF,
            "Objects whose last reconcile failed",
            Clone::clone(&backing_off),
        );
        registry.register(
            counter_name(banyan_api::metrics::OPERATOR_WATCH_ERRORS),
            "Errors of watches by kind",
            Clone::clone(&watch_errors),
        );
        registry.register(
            counter_name(banyan_api::metrics::OPERATOR_API_WRITES),
            "Writes sent to the API server by verb and kind, without those of the election",
            Clone::clone(&writes),
        );
        registry.register(
            counter_name(banyan_api::metrics::ORIGIN_RESELECTIONS),
            "Changes of the origin of a stream that statuses showed",
            reselections.clone(),
        );
        registry.register(
            banyan_api::metrics::OPERATOR_LEADING,
            "1 while this process leads",
            leading.clone(),
        );
        registry.register(
            banyan_api::metrics::OPERATOR_TERM,
            "Number of this leadership, 0 while not leading",
            term.clone(),
        );
        Self {
            registry: Arc::new(registry),
            reconciles,
            durations,
            queued,
            backing_off,
            watch_errors,
            writes,
            reselections,
            leading,
            term,
        }
    }
}

impl Metrics {
    /// A reconcile ended. `outcome` is `ok` or the reason of its error.
    pub fn reconciled(&self, controller: &'static str, outcome: &str, seconds: f64) {
        let by = |key, value: &str| (key, value.to_owned());
        self.reconciles
            .get_or_create(&vec![by("controller", controller), by("outcome", outcome)])
            .inc();
        self.durations
            .get_or_create(&vec![by("controller", controller)])
            .observe(seconds);
    }

    /// How many objects wait for a controller.
    pub fn queued(&self, controller: &'static str, objects: usize) {
        self.queued
            .get_or_create(&vec![("controller", controller.to_owned())])
            .set(objects as u64);
    }

    /// How many objects of a controller back off.
    pub fn backing_off(&self, controller: &'static str, objects: usize) {
        self.backing_off
            .get_or_create(&vec![("controller", controller.to_owned())])
            .set(objects as u64);
    }

    /// A watch failed; it is tried again.
    pub fn watch_error(&self, kind: &str) {
        self.watch_errors
            .get_or_create(&vec![("kind", kind.to_owned())])
            .inc();
    }

    /// A write is sent.
    pub fn write(&self, verb: &'static str, kind: &str) {
        self.writes
            .get_or_create(&vec![("verb", verb.to_owned()), ("kind", kind.to_owned())])
            .inc();
    }

    /// Writes sent so far.
    pub fn writes(&self, verb: &'static str, kind: &str) -> u64 {
        self.writes
            .get_or_create(&vec![("verb", verb.to_owned()), ("kind", kind.to_owned())])
            .get()
    }

    /// A stream comes from another origin.
    pub fn reselected(&self) {
        self.reselections.inc();
    }

    /// The term this process leads in, if it does.
    pub fn leading(&self, term: Option<u64>) {
        self.leading.set(u64::from(term.is_some()));
        self.term.set(term.unwrap_or(0));
    }

    /// The text of a scrape.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The encoder adds the suffix itself.
fn counter_name(name: &str) -> &str {
    name.trim_end_matches("_total")
}

fn histogram() -> Histogram {
    // 1 ms to 8 s: below lies a reconcile that found nothing to do, above one that waits for a dead API server.
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

/// Media type of [`Metrics::text`].
pub const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_names_everything_with_its_unit() {
        let metrics = Metrics::default();
        metrics.reconciled("topology", "ok", 0.01);
        metrics.backing_off("topology", 2);
        metrics.watch_error("Pod");
        metrics.write("patch", "Deployment");
        metrics.leading(Some(7));
        let text = metrics.text().unwrap();
        for line in [
            "banyan_operator_reconciles_total{controller=\"topology\",outcome=\"ok\"} 1",
            "banyan_operator_reconcile_seconds_count{controller=\"topology\"} 1",
            "banyan_operator_backing_off_objects{controller=\"topology\"} 2",
            "banyan_operator_watch_errors_total{kind=\"Pod\"} 1",
            "banyan_operator_api_writes_total{verb=\"patch\",kind=\"Deployment\"} 1",
            "banyan_operator_leading 1",
            "banyan_operator_term 7",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
