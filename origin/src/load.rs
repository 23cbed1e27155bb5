//! What this server has to bear, from `/proc` and its own counters; sampled once a second.

use std::path::Path;
use std::time::Duration;

use banyan_proto::v1;

/// Counters of our own that belong to a sample.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) active_workers: u32,
    pub(crate) sessions: u32,
}

/// Turns running counters into rates between two samples.
#[derive(Debug)]
pub(crate) struct Sampler {
    cores: u64,
    memory_limit: u64,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    at: Duration,
    ticks: u64,
    own: Own,
}

impl Sampler {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        Self {
            cores,
            memory_limit: memory_limit(),
            last: None,
        }
    }

    /// A sample at time `now`; `cache` tells which disk counts.
    pub(crate) fn sample(&mut self, now: Duration, cache: &Path, own: Own) -> v1::Load {
        let ticks = read("/proc/self/stat")
            .as_deref()
            .and_then(cpu_ticks)
            .unwrap_or(0);
        let last = self.last.replace(Last {
            at: now,
            ticks,
            own,
        });
        let (cpu_permille, network_in_bps, network_out_bps) = match last {
            Some(last) => {
                let ms = u64::try_from((now.saturating_sub(last.at)).as_millis())
                    .unwrap_or(u64::MAX)
                    .max(1);
                let busy_ms = ticks.saturating_sub(last.ticks) * 1000 / TICKS_PER_SECOND;
                let rate = |now: u64, before: u64| now.saturating_sub(before) * 8 * 1000 / ms;
                (
                    busy_ms * 1000 / (ms * self.cores),
                    rate(own.bytes_in, last.own.bytes_in),
                    rate(own.bytes_out, last.own.bytes_out),
                )
            }
            None => (0, 0, 0),
        };
        let (storage_used, storage_limit) = storage(cache);
        v1::Load {
            cpu_permille: u32::try_from(cpu_permille.min(1000)).unwrap_or(1000),
            memory_bytes: read("/proc/self/status")
                .as_deref()
                .and_then(|text| kib(text, "VmRSS:"))
                .unwrap_or(0),
            memory_limit_bytes: self.memory_limit,
            storage_used_bytes: storage_used,
            storage_limit_bytes: storage_limit,
            network_in_bps,
            network_out_bps,
            active_workers: own.active_workers,
            sessions: own.sessions,
        }
    }
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// User and system time; the command's name may hold spaces and brackets, so fields are counted from its end.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A line such as `VmRSS:     1234 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// The control group's limit where there is one, else the machine's memory.
fn memory_limit() -> u64 {
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let machine = read("/proc/meminfo").and_then(|text| kib(&text, "MemTotal:"));
    group.or(machine).unwrap_or(0)
}

/// Used bytes and size of the disk that holds the cache.
fn storage(cache: &Path) -> (u64, u64) {
    match rustix::fs::statvfs(cache) {
        Ok(facts) => {
            let size = facts.f_blocks.saturating_mul(facts.f_frsize);
            (
                size.saturating_sub(facts.f_bfree.saturating_mul(facts.f_frsize)),
                size,
            )
        }
        Err(_) => (0, 0),
    }
}

/// USER_HZ; fixed at 100 on every Linux that user space sees.
const TICKS_PER_SECOND: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_odd_command_names() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(kib("VmPeak: 9 kB\nVmRSS:\t 2 kB", "VmRSS:"), Some(2048));
    }

    #[test]
    fn a_sample_knows_memory_and_disk_and_turns_bytes_into_rates() {
        let mut sampler = Sampler::new();
        let own = |bytes_out| Own {
            bytes_in: 3 * bytes_out,
            bytes_out,
            ..Default::default()
        };
        sampler.sample(Duration::from_secs(1), Path::new("/"), own(0));
        let load = sampler.sample(Duration::from_secs(3), Path::new("/"), own(1000));
        assert_eq!((load.network_in_bps, load.network_out_bps), (12_000, 4000));
        assert!(load.memory_bytes > 0 && load.memory_limit_bytes >= load.memory_bytes);
        assert!(load.storage_limit_bytes >= load.storage_used_bytes);
    }
}
