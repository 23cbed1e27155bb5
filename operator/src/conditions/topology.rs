//! Status of a StreamTopology.

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::conditions::{
    ACCEPTED, DEGRADED, ORIGIN_REACHABLE, PROGRESSING, READY, RELAYS_AVAILABLE, UPDATE_AVAILABLE,
};
use banyan_api::reasons;
use banyan_api::stream_topology::{ActiveOrigin, EdgeStatus, StreamTopologyStatus, TierStatus};
use banyan_api::validate::Refusal;
use banyan_api::{ContentServer, StreamTopology, names};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;

use super::{Conditions, FALSE, Failure, Sight, TRUE, Verdict, Workload, accepted, address};

/// Everything that status is made of.
pub struct Facts<'a> {
    /// The object with the status that is stored.
    pub object: &'a StreamTopology,
    /// What validation said against it.
    pub refusals: &'a [Refusal],
    /// What the API server did not take.
    pub failures: &'a [Failure],
    /// ContentServers that name it.
    pub servers: &'a [&'a ContentServer],
    /// Its tiers' pods, from the roots to the edges.
    pub tiers: &'a [Workload],
    /// The Service viewers use, as it is.
    pub service: Option<&'a Service>,
    /// What members told.
    pub seen: Sight<&'a Seen>,
    /// Newer pod templates that wait, one sentence each: its own and its content servers'.
    pub updates: &'a [String],
    /// Now.
    pub now: Timestamp,
}

/// What members told of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Streams that are known, by name.
    pub streams: BTreeMap<String, StreamSeen>,
    /// Configured content servers that no root hears.
    pub silent: BTreeSet<String>,
    /// Digest of each stream by each content server that offers it.
    pub digests: BTreeMap<String, BTreeMap<String, String>>,
}

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSeen {
    /// Root that pulls it; none while nobody watches.
    pub carrier: Option<String>,
    /// Content server it is pulled from.
    pub origin: Option<String>,
    /// Content servers that could be pulled from.
    pub candidates: Vec<String>,
}

/// Streams that status lists.
const LISTED: usize = 64;

/// Judges a topology.
pub fn status(facts: &Facts<'_>) -> StreamTopologyStatus {
    let stored = facts.object.status.clone().unwrap_or_default();
    let generation = facts.object.metadata.generation;
    let mut conditions = Conditions::new(&stored.conditions, generation, facts.now);
    conditions.set(ACCEPTED, accepted(facts.refusals, facts.failures));
    conditions.set(RELAYS_AVAILABLE, relays_available(facts));
    origin_reachable(facts, &mut conditions);
    let progressing = progressing(facts, &stored);
    let changing = progressing.status == TRUE;
    conditions.set(PROGRESSING, progressing);
    degraded(facts, changing, &mut conditions);
    conditions.sum(
        READY,
        &[ACCEPTED, RELAYS_AVAILABLE, ORIGIN_REACHABLE],
        "every tier has ready members and every stream has an origin",
    );
    conditions.set(UPDATE_AVAILABLE, update_available(facts.updates));

    let (streams, total, origin) = match facts.seen {
        Sight::Known(seen) => streams(seen),
        Sight::Waiting => (stored.streams, stored.streams_total, stored.origin),
        Sight::Lost => (Vec::new(), None, None),
    };
    StreamTopologyStatus {
        conditions: conditions.judged,
        tiers: facts.tiers.iter().map(tier).collect(),
        streams,
        streams_total: total,
        relays: relays(facts.tiers),
        origin,
        address: address::of(facts.object, facts.service),
        edge: edge(facts),
        observed_generation: generation,
    }
}

fn tier(workload: &Workload) -> TierStatus {
    TierStatus {
        name: workload.name.clone(),
        replicas: workload.wanted,
        ready: workload.ready,
    }
}

/// A roll has more pods than wanted for a while; they do not count twice.
fn relays(tiers: &[Workload]) -> Option<String> {
    let wanted: i64 = tiers.iter().map(|tier| i64::from(tier.wanted)).sum();
    let ready: i64 = tiers
        .iter()
        .map(|tier| i64::from(tier.ready.min(tier.wanted)))
        .sum();
    (!tiers.is_empty()).then(|| format!("{ready}/{wanted}"))
}

fn edge(facts: &Facts<'_>) -> Option<EdgeStatus> {
    let edges = facts.tiers.iter().find(|tier| tier.name == names::EDGE)?;
    let topology = facts.object.metadata.name.as_deref()?;
    Some(EdgeStatus {
        replicas: edges.replicas,
        selector: Some(crate::build::edge_selector(topology)),
    })
}

fn streams(seen: &Seen) -> (Vec<ActiveOrigin>, Option<i32>, Option<String>) {
    let listed = seen.streams.iter().take(LISTED);
    let listed = listed
        .map(|(name, stream)| ActiveOrigin {
            name: name.clone(),
            carrier: stream.carrier.clone(),
            origin: stream.origin.clone(),
        })
        .collect();
    let origins: BTreeSet<&str> = seen
        .streams
        .values()
        .filter_map(|stream| stream.origin.as_deref())
        .collect();
    let origins: Vec<&str> = origins.into_iter().collect();
    (
        listed,
        i32::try_from(seen.streams.len()).ok(),
        (!origins.is_empty()).then(|| super::bounded(origins.join(","))),
    )
}

fn relays_available(facts: &Facts<'_>) -> Verdict {
    if facts.tiers.is_empty() {
        return Verdict::unknown(reasons::PENDING, "no tier has been looked at yet");
    }
    let empty = facts
        .tiers
        .iter()
        .find(|tier| tier.wanted > 0 && tier.ready == 0);
    let Some(tier) = empty else {
        return Verdict::yes(reasons::AS_EXPECTED, "every tier has ready members");
    };
    match tier.problems.first() {
        Some(problem) => Verdict::of_problem(FALSE, problem),
        None => Verdict::no(
            reasons::TIER_UNAVAILABLE,
            format!("tier {:?} has no ready member", tier.name),
        ),
    }
}

fn origin_reachable(facts: &Facts<'_>, conditions: &mut Conditions<'_>) {
    if facts.servers.is_empty() {
        let message = "no ContentServer names this topology; nothing will be carried";
        return conditions.set(
            ORIGIN_REACHABLE,
            Verdict::no(reasons::NO_CONTENT_SERVERS, message),
        );
    }
    let unknown = |message: &str| Verdict::unknown(reasons::MEMBERS_UNKNOWN, message);
    let seen = match facts.seen {
        Sight::Known(seen) => seen,
        Sight::Waiting => return conditions.keep_unreported(ORIGIN_REACHABLE),
        Sight::Lost => {
            let message = "no member has reported since this operator took over";
            return conditions.set(ORIGIN_REACHABLE, unknown(message));
        }
    };
    let wanted: BTreeSet<&str> = facts
        .servers
        .iter()
        .flat_map(|server| &server.spec.contents)
        .map(|content| content.name.as_str())
        .collect();
    let offered = |name: &str| {
        let stream = seen.streams.get(name);
        stream.is_some_and(|stream| !stream.candidates.is_empty() || stream.origin.is_some())
    };
    let missing: Vec<&str> = wanted.into_iter().filter(|name| !offered(name)).collect();
    conditions.set(
        ORIGIN_REACHABLE,
        match missing.as_slice() {
            [] => Verdict::yes(reasons::AS_EXPECTED, "every stream has an origin"),
            missing => Verdict::no(
                reasons::NO_ORIGIN,
                format!("no reachable content server offers {}", listed(missing)),
            ),
        },
    );
}

/// A change stays one until it is complete: that is read from the stored condition, so nothing has to be remembered.
fn progressing(facts: &Facts<'_>, stored: &StreamTopologyStatus) -> Verdict {
    let refused = accepted(facts.refusals, facts.failures);
    if refused.status == FALSE {
        return Verdict::no(&refused.reason, refused.message);
    }
    if facts.object.spec.paused {
        return Verdict::no(
            reasons::PAUSED,
            "spec.paused is true; nothing but status is changed",
        );
    }
    if let Some(failure) = facts.failures.first() {
        return Verdict::no(failure.reason, failure.message.clone());
    }
    let stalled = facts
        .tiers
        .iter()
        .flat_map(|tier| &tier.problems)
        .find(|problem| problem.reason == reasons::PROGRESS_DEADLINE_EXCEEDED);
    if let Some(problem) = stalled {
        return Verdict::of_problem(FALSE, problem);
    }
    let changed = stored.observed_generation != facts.object.metadata.generation;
    let under_way = stored
        .conditions
        .iter()
        .any(|condition| condition.type_ == PROGRESSING && condition.status == TRUE);
    let tiers = facts.tiers.iter();
    // A roll first: whether a lost pod belongs to a change depends on what is stored, a roll does not.
    let tier = tiers.clone().find(|tier| tier.rolling).or_else(|| {
        let mut tiers = tiers;
        tiers.find(|tier| !tier.complete() && (changed || under_way))
    });
    match tier {
        None => Verdict::no(reasons::AS_EXPECTED, "every tier is as its spec says"),
        Some(tier) => match tier.problems.first() {
            Some(problem) => Verdict::of_problem(TRUE, problem),
            None => Verdict::yes(
                reasons::ROLLING_OUT,
                format!("tier {:?} is being brought to its spec", tier.name),
            ),
        },
    }
}

fn degraded(facts: &Facts<'_>, changing: bool, conditions: &mut Conditions<'_>) {
    let failure = facts.failures.iter().find(|failure| !failure.refuses());
    let problem = facts.tiers.iter().flat_map(|tier| &tier.problems).next();
    let short = facts
        .tiers
        .iter()
        .find(|tier| !changing && tier.ready < tier.wanted);
    let verdict = if let Some(failure) = failure {
        Verdict::yes(failure.reason, failure.message.clone())
    } else if let Some(problem) = problem {
        Verdict::of_problem(TRUE, problem)
    } else if let Some(tier) = short {
        Verdict::yes(
            reasons::MEMBERS_MISSING,
            format!("tier {:?} has fewer ready members than wanted", tier.name),
        )
    } else {
        match facts.seen {
            Sight::Known(seen) => of_servers(facts, seen),
            Sight::Waiting if of_members(conditions) => {
                let otherwise = Verdict::unknown(reasons::PENDING, "");
                return conditions.keep(DEGRADED, otherwise);
            }
            Sight::Waiting | Sight::Lost => nothing(),
        }
    };
    conditions.set(DEGRADED, verdict);
}

/// Whether what is stored was told by members.
fn of_members(conditions: &Conditions<'_>) -> bool {
    conditions.stored(DEGRADED).is_some_and(|stored| {
        [reasons::SILENT, reasons::DIGEST_MISMATCH].contains(&stored.reason.as_str())
    })
}

fn of_servers(facts: &Facts<'_>, seen: &Seen) -> Verdict {
    let known = |name: &&String| {
        let servers = facts.servers.iter();
        servers
            .filter_map(|s| s.metadata.name.as_ref())
            .any(|own| own == *name)
    };
    let silent: Vec<&str> = seen
        .silent
        .iter()
        .filter(known)
        .map(String::as_str)
        .collect();
    if !silent.is_empty() {
        return Verdict::yes(
            reasons::SILENT,
            format!("no root hears content server {}", listed(&silent)),
        );
    }
    let differing = seen.digests.iter().find_map(|(stream, by_server)| {
        let digests: BTreeSet<&String> = by_server.values().collect();
        (digests.len() > 1).then_some((stream, by_server))
    });
    match differing {
        Some((stream, by_server)) => {
            let servers: Vec<&str> = by_server.keys().map(String::as_str).collect();
            Verdict::yes(
                reasons::DIGEST_MISMATCH,
                format!(
                    "content {stream:?} has different bytes on {}; a switch between them is not exact",
                    listed(&servers)
                ),
            )
        }
        None => nothing(),
    }
}

fn nothing() -> Verdict {
    Verdict::no(reasons::AS_EXPECTED, "nothing is missing")
}

fn update_available(updates: &[String]) -> Verdict {
    match updates {
        [] => Verdict::no(
            reasons::AS_EXPECTED,
            "every pod is of this operator's templates",
        ),
        some => Verdict::yes(
            reasons::UPDATE_AVAILABLE,
            format!(
                "{}; pods are replaced when the spec changes or spec.upgradePolicy is WithOperator",
                some.join("; ")
            ),
        ),
    }
}

/// A few names in quotes, and how many more.
pub(super) fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("{name:?}"))
        .collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
