//! CPU time of processes, in nanoseconds.

use anyhow::{Context, Result};

/// CPU time of this process so far.
pub fn own() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// CPU time of the living threads of another process, from the scheduler's own accounts: clock ticks
/// of 10 ms are too coarse. Right for servers whose threads live as long as they do.
pub fn of(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("process {pid} is gone"))?
    {
        let path = task?.path().join("schedstat");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let on_cpu = text.split_whitespace().next().unwrap_or("0");
        total += on_cpu
            .parse::<u64>()
            .with_context(|| format!("{} says {text:?}", path.display()))?;
    }
    Ok(total)
}
