//! When a member that ended starts again: a capped backoff per member, forgiven after a quiet time.
//! Pure; the clock is passed in.

use std::collections::BTreeMap;
use std::time::Duration;

/// What becomes of members that end.
#[derive(Debug)]
pub struct Restarts {
    policy: Policy,
    /// The first delay of each backoff.
    pub(super) first: Duration,
    members: BTreeMap<String, Attempts>,
}

/// Whether to restart at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every member that ends.
    Always,
    /// None.
    Never,
}

#[derive(Debug, Default)]
struct Attempts {
    started: Duration,
    failures: u32,
    due: Option<Duration>,
}

impl Restarts {
    /// Nothing has run yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            first: FIRST,
            members: BTreeMap::new(),
        }
    }

    /// The member runs.
    pub fn handle_started(&mut self, member: &str, now: Duration) {
        let attempts = self.members.entry(member.to_owned()).or_default();
        attempts.started = now;
        attempts.due = None;
    }

    /// The member ended. Returns the time to wait before its next start.
    pub fn handle_ended(&mut self, member: &str, now: Duration) -> Option<Duration> {
        if self.policy == Policy::Never {
            return None;
        }
        let attempts = self.members.entry(member.to_owned()).or_default();
        if now.saturating_sub(attempts.started) >= FORGIVEN {
            attempts.failures = 0;
        }
        let delay = self
            .first
            .saturating_mul(1 << attempts.failures.min(16))
            .min(LONGEST);
        attempts.failures += 1;
        attempts.due = Some(now + delay);
        Some(delay)
    }

    /// The member is not to start again.
    pub fn forget(&mut self, member: &str) {
        self.members.remove(member);
    }

    /// The earliest start that is due, if any.
    pub fn next_due(&self) -> Option<Duration> {
        self.members.values().filter_map(|a| a.due).min()
    }

    /// A member whose time has come; it counts as being started.
    pub fn poll_due(&mut self, now: Duration) -> Option<String> {
        let (name, attempts) = self
            .members
            .iter_mut()
            .find(|(_, attempts)| attempts.due.is_some_and(|due| due <= now))?;
        attempts.due = None;
        Some(name.clone())
    }
}

/// Short enough that a killed relay is back before its children have tried every other parent.
const FIRST: Duration = Duration::from_millis(250);
/// A member that cannot run costs one process start in this time.
const LONGEST: Duration = Duration::from_secs(8);
/// A member that ran this long failed for a new reason.
const FORGIVEN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn backoff_doubles_up_to_eight_seconds_and_is_forgiven_after_ten() {
        let mut restarts = Restarts::new(Policy::Always);
        let mut now = ms(0);
        let mut delays = Vec::new();
        for _ in 0..7 {
            restarts.handle_started("edge-0", now);
            now += ms(10);
            let delay = restarts.handle_ended("edge-0", now).unwrap();
            assert_eq!(restarts.poll_due(now + delay - ms(1)), None);
            now += delay;
            assert_eq!(restarts.next_due(), Some(now));
            assert_eq!(restarts.poll_due(now).as_deref(), Some("edge-0"));
            assert_eq!(restarts.poll_due(now), None);
            delays.push(delay.as_millis());
        }
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 8000]);
        restarts.handle_started("edge-0", now);
        assert_eq!(restarts.handle_ended("edge-0", now + FORGIVEN), Some(FIRST));
    }

    #[test]
    fn what_is_forgotten_is_not_due() {
        let mut restarts = Restarts::new(Policy::Always);
        restarts.handle_started("root-0", ms(0));
        restarts.handle_ended("root-0", ms(5)).unwrap();
        restarts.forget("root-0");
        assert_eq!(restarts.next_due(), None);
        assert_eq!(restarts.poll_due(ms(60_000)), None);
    }

    #[test]
    fn nothing_is_restarted_under_never() {
        let mut restarts = Restarts::new(Policy::Never);
        restarts.handle_started("root-0", ms(0));
        assert_eq!(restarts.handle_ended("root-0", ms(5)), None);
        assert_eq!(restarts.next_due(), None);
    }
}
