//! What every member tells of its load: the same figures in beats, reports, JSON and metrics.

use crate::v1;

/// One figure of a load as a Prometheus gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    /// Full name, `banyan_…`.
    pub name: &'static str,
    /// What it is, without a full stop.
    pub help: &'static str,
    /// The figure now.
    pub value: u64,
}

/// Every figure of a load, in the order of its fields.
pub fn gauges(load: &v1::Load) -> [Gauge; 9] {
    // Named one by one: a field added to the message must find its place here too.
    let v1::Load {
        cpu_permille,
        memory_bytes,
        memory_limit_bytes,
        storage_used_bytes,
        storage_limit_bytes,
        network_in_bps,
        network_out_bps,
        active_workers,
        sessions,
    } = *load;
    let gauge = |name, help, value| Gauge { name, help, value };
    [
        gauge(
            "banyan_cpu_permille",
            "Processor use, of all cores",
            u64::from(cpu_permille),
        ),
        gauge("banyan_memory_bytes", "Resident memory", memory_bytes),
        gauge(
            "banyan_memory_limit_bytes",
            "Memory that may be used",
            memory_limit_bytes,
        ),
        gauge(
            "banyan_storage_used_bytes",
            "Storage used, of the disk of a content server or the media memory of a relay",
            storage_used_bytes,
        ),
        gauge(
            "banyan_storage_limit_bytes",
            "Storage that may be used",
            storage_limit_bytes,
        ),
        gauge(
            "banyan_network_in_bps",
            "Media bits received per second",
            network_in_bps,
        ),
        gauge(
            "banyan_network_out_bps",
            "Media bits sent per second",
            network_out_bps,
        ),
        gauge(
            "banyan_active_workers",
            "Segments being encoded, or tracks carried",
            u64::from(active_workers),
        ),
        gauge(
            "banyan_sessions",
            "Subscriptions, or viewer sessions",
            u64::from(sessions),
        ),
    ]
}
