//! How busy this process is: CPU, memory and bytes per second, over the time between two readings.

use std::sync::Mutex;
use std::time::Duration;

use banyan_proto::v1;

use crate::clock::{Clock, Instant};
use crate::core::lock;

/// Readings closer than this repeat the last one: rates over less say nothing.
const SHORTEST_WINDOW: Duration = Duration::from_millis(900);

/// `/proc` counts CPU in ticks of a hundredth of a second on every Linux that matters here.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Debug)]
pub(crate) struct Meter {
    clock: Clock,
    last: Mutex<Reading>,
}

#[derive(Clone, Debug)]
struct Reading {
    at: Instant,
    cpu_ticks: u64,
    bytes_in: u64,
    bytes_out: u64,
    status: v1::Load,
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Meter {
        Meter {
            clock,
            last: Mutex::new(Reading {
                at: clock.now(),
                cpu_ticks: cpu_ticks(),
                bytes_in: 0,
                bytes_out: 0,
                status: v1::Load {
                    memory_bytes: resident_bytes(),
                    memory_limit_bytes: memory_limit(),
                    ..v1::Load::default()
                },
            }),
        }
    }

    pub(crate) fn read(&self, bytes_in: u64, bytes_out: u64) -> v1::Load {
        let now = self.clock.now();
        let mut last = lock(&self.last);
        let elapsed = now.saturating_duration_since(last.at);
        if elapsed < SHORTEST_WINDOW {
            return last.status;
        }
        let ms = elapsed.as_millis() as u64;
        let ticks = cpu_ticks();
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let used_ms = ticks.saturating_sub(last.cpu_ticks) * 1000 / TICKS_PER_SECOND;
        let rate = |now: u64, before: u64| now.saturating_sub(before) * 8000 / ms;
        let status = v1::Load {
            cpu_permille: (used_ms * 1000 / (ms * cores)).min(1000) as u32,
            memory_bytes: resident_bytes(),
            memory_limit_bytes: last.status.memory_limit_bytes,
            network_in_bps: rate(bytes_in, last.bytes_in),
            network_out_bps: rate(bytes_out, last.bytes_out),
            ..v1::Load::default()
        };
        *last = Reading {
            at: now,
            cpu_ticks: ticks,
            bytes_in,
            bytes_out,
            status,
        };
        status
    }
}

/// User and system time of the whole process: fields 14 and 15 of `/proc/self/stat`.
fn cpu_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is a name in parentheses that may hold anything.
    let after_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

fn resident_bytes() -> u64 {
    kib_in("/proc/self/status", "VmRSS:") * 1024
}

/// The control group's limit, else the machine's memory.
fn memory_limit() -> u64 {
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    limit.unwrap_or_else(|| kib_in("/proc/meminfo", "MemTotal:") * 1024)
}

/// The kibibytes that a line of a `/proc` file tells: pages differ in size between machines.
fn kib_in(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_shows_memory_and_cpu() {
        assert!(resident_bytes() > 100_000);
        assert!(memory_limit() > resident_bytes());
        let before = cpu_ticks();
        let mut x = 1_u64;
        while cpu_ticks() < before + 2 {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
    }
}
