//! What a plan moves: gently, at a moment of this member's own, and once per plan.

use super::Driver;
use super::candidate::LOOK_EVERY;
use crate::clock::Instant;
use crate::core::Role;
use crate::upstream::Cause;

/// How far this track has followed the plans.
#[derive(Debug)]
pub(super) struct Following {
    /// The newest plan whose first parent fed this track, or under which it began.
    done: u64,
    /// The plan under way, and not before when.
    under_way: Option<(u64, Instant)>,
}

impl Following {
    pub(super) fn new(plan: u64) -> Following {
        Following {
            done: plan,
            under_way: None,
        }
    }
}

impl Driver {
    /// The parent to move to gently from `current` now, or when to look again.
    pub(super) fn better(
        &mut self,
        current: &str,
        now: Instant,
    ) -> Result<(String, Cause), Instant> {
        let preferred = self
            .core
            .preferred_parent(&self.track.key.stream, current, now);
        if self.core.options.role == Role::Root {
            return preferred
                .filter(|(peer, _)| self.machine.is_settled(&peer.name, now))
                .map(|(peer, cause)| (peer.name, cause))
                .ok_or(now + LOOK_EVERY);
        }
        let plan = self.core.plan_number();
        if plan != self.following.done {
            let Some((peer, cause)) = preferred else {
                // The plan is fulfilled: from now on this track stays with whoever repairs it.
                self.following = Following::new(plan);
                return self.homeward(current, now);
            };
            let at = match self.following.under_way {
                Some((known, at)) if known == plan => at,
                _ => {
                    let at = self
                        .machine
                        .spread(self.core.options.tuning.plan_spread, now);
                    self.following.under_way = Some((plan, at));
                    at
                }
            };
            if now < at {
                return Err(at);
            }
            if self.may_join(&peer.name, now) {
                return Ok((peer.name, cause));
            }
            return self.homeward(current, now).map_err(|_| now + LOOK_EVERY);
        }
        self.homeward(current, now)
    }

    /// An orphan goes back to the plan; anybody else stays where it is.
    fn homeward(&self, current: &str, now: Instant) -> Result<(String, Cause), Instant> {
        let mut homes = self.core.homes(current, now).into_iter();
        homes
            .find(|peer| self.may_join(&peer.name, now))
            .map(|peer| (peer.name, Cause::Planned))
            .ok_or(now + LOOK_EVERY)
    }

    fn may_join(&self, name: &str, now: Instant) -> bool {
        self.machine.is_settled(name, now) && !self.core.is_down(name)
    }
}
