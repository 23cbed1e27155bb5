//! What a link costs: one integer that grows with delay and loss.

/// Cost of a link in microseconds of round-trip time, with loss counted in.
pub type Cost = u64;

/// Prior for two members of one host.
pub const PRIOR_SAME_HOST: Cost = 100;
/// Prior for two members of one zone.
pub const PRIOR_SAME_ZONE: Cost = 1_000;
/// Prior for members of different zones.
pub const PRIOR_OTHER_ZONE: Cost = 10_000;

/// Added per tier left out. Slots of high tiers are scarce and each tier was asked for, so a link past a tier must be
/// far better (a continent's round trip) before it is taken; lower, and unmeasured trees would collapse onto the roots.
pub(crate) const TIER_SKIP: Cost = 100_000;

/// One permille of loss weighs as much as two milliseconds: a lost segment of a thin TCP flow waits for a retransmission
/// timeout of 200 ms or more, and about one in a hundred chunks meets it.
const LOSS_PERMILLE: Cost = 2_000;

/// Loss at which a link counts as down.
const UNREACHABLE_PERMILLE: u16 = 1_000;

/// Cost of a measured link; `None` when it is down.
pub(crate) fn measured(rtt_us: u32, loss_permille: u16) -> Option<Cost> {
    (loss_permille < UNREACHABLE_PERMILLE)
        .then(|| Cost::from(rtt_us) + Cost::from(loss_permille) * LOSS_PERMILLE)
}

/// Whether going from `old` to `new` is worth a move.
pub(crate) fn worth(old: Cost, new: Cost, hysteresis_percent: u32, minimum_gain: Cost) -> bool {
    let better_by_share =
        new.saturating_mul(100 + Cost::from(hysteresis_percent)) < old.saturating_mul(100);
    better_by_share && old.saturating_sub(new) > minimum_gain
}
