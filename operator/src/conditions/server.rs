//! Status of a ContentServer.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_api::ContentServer;
use banyan_api::conditions::{ACCEPTED, PREPARED, REACHABLE, READY};
use banyan_api::content_server::{ContentServerState, ContentServerStatus, ContentStatus};
use banyan_api::reasons;
use banyan_api::validate::Refusal;
use k8s_openapi::jiff::Timestamp;

use super::rates::Pace;
use super::topology::listed;
use super::{Conditions, FALSE, Failure, Judged, Sight, TRUE, Verdict, Workload, accepted};

/// Everything that status is made of.
pub struct Facts<'a> {
    /// The object with the status that is stored.
    pub object: &'a ContentServer,
    /// What validation said against it, by itself and beside its topology.
    pub refusals: &'a [Refusal],
    /// What the API server did not take.
    pub failures: &'a [Failure],
    /// Its pod; none where there is none to be.
    pub workload: Option<&'a Workload>,
    /// What members told.
    pub seen: Sight<&'a Seen>,
    /// Since its status was last written; long where that is not known.
    pub since_written: Duration,
    /// Now.
    pub now: Timestamp,
}

/// What members told of a content server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether a root hears its beats.
    pub reachable: bool,
    /// Selection metric, lower is better.
    pub metric: Option<u32>,
    /// Why nothing would be pulled from it now, in one word: `ClockSkew`, `Draining`, `NotPrepared`; empty = nothing.
    pub obstacle: String,
    /// What is known of its contents, by name.
    pub contents: BTreeMap<String, ContentSeen>,
}

/// One content of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentSeen {
    /// Enough is prepared to pull it.
    pub offered: bool,
    /// What names its bytes.
    pub digest: Option<String>,
    /// Share that is prepared.
    pub permille: Option<u32>,
    /// Why preparation failed.
    pub error: Option<String>,
    /// A server that offers other bytes under the same name.
    pub differs_from: Option<String>,
}

/// Judges a content server.
pub fn status(facts: &Facts<'_>) -> Judged<ContentServerStatus> {
    let stored = facts.object.status.clone().unwrap_or_default();
    let generation = facts.object.metadata.generation;
    let mut conditions = Conditions::new(&stored.conditions, generation, facts.now);
    conditions.set(ACCEPTED, accepted(facts.refusals, facts.failures));
    prepared(facts, &mut conditions);
    reachable(facts, &mut conditions);
    conditions.sum(
        READY,
        &[ACCEPTED, PREPARED, REACHABLE],
        "a root hears it and all its contents are prepared",
    );
    let pace = Pace {
        transition: conditions.flipped || stored.observed_generation != generation,
        since: facts.since_written,
    };
    let (metric, contents, revisit) = figures(facts, &stored, pace);
    let names: Vec<&str> = facts
        .object
        .spec
        .contents
        .iter()
        .map(|content| content.name.as_str())
        .collect();
    Judged {
        status: ContentServerStatus {
            state: Some(state(facts, &conditions)),
            conditions: conditions.judged,
            metric,
            content_names: Some(super::bounded(names.join(","))),
            contents,
            observed_generation: generation,
        },
        revisit,
    }
}

fn prepared(facts: &Facts<'_>, conditions: &mut Conditions<'_>) {
    let seen = match facts.seen {
        Sight::Known(seen) => seen,
        Sight::Waiting => return conditions.keep_unreported(PREPARED),
        Sight::Lost => {
            let message = "no member has reported since this operator took over";
            return conditions.set(
                PREPARED,
                Verdict::unknown(reasons::MEMBERS_UNKNOWN, message),
            );
        }
    };
    if !seen.reachable {
        let message = "no root hears it";
        return conditions.set(PREPARED, Verdict::unknown(reasons::SILENT, message));
    }
    let contents = &facts.object.spec.contents;
    let waiting: Vec<&str> = contents
        .iter()
        .map(|content| content.name.as_str())
        .filter(|name| !seen.contents.get(*name).is_some_and(|seen| seen.offered))
        .collect();
    let failed = waiting.iter().find_map(|name| {
        let error = seen.contents.get(*name)?.error.as_ref()?;
        Some((name, error))
    });
    conditions.set(
        PREPARED,
        match (failed, waiting.as_slice()) {
            (Some((name, error)), _) => Verdict::no(
                reasons::PREPARATION_FAILED,
                format!("content {name:?}: {error}"),
            ),
            (None, []) => Verdict::yes(reasons::AS_EXPECTED, "all contents are prepared"),
            (None, waiting) => Verdict::no(
                reasons::PREPARING,
                format!("{} being prepared", listed(waiting)),
            ),
        },
    );
}

fn reachable(facts: &Facts<'_>, conditions: &mut Conditions<'_>) {
    let unknown = |message: &str| Verdict::unknown(reasons::MEMBERS_UNKNOWN, message);
    let verdict = match facts.seen {
        Sight::Waiting => return conditions.keep_unreported(REACHABLE),
        Sight::Lost => unknown("no member has reported since this operator took over"),
        Sight::Known(seen) if seen.reachable => match seen.obstacle.as_str() {
            reasons::CLOCK_SKEW => Verdict::no(
                reasons::CLOCK_SKEW,
                "its clock is more than two seconds off; nothing is pulled from it",
            ),
            reasons::DRAINING => Verdict::no(
                reasons::DRAINING,
                "it is leaving; nothing is pulled from it",
            ),
            _ => Verdict::yes(reasons::AS_EXPECTED, "a root hears its beats"),
        },
        Sight::Known(_) => {
            let problem = facts
                .workload
                .and_then(|workload| workload.problems.first());
            match problem {
                Some(problem) => Verdict::of_problem(FALSE, problem),
                None => Verdict::no(reasons::SILENT, "no root hears its beats"),
            }
        }
    };
    conditions.set(REACHABLE, verdict);
}

/// One word for the column; derived, never a condition of its own.
fn state(facts: &Facts<'_>, conditions: &Conditions<'_>) -> ContentServerState {
    let is = |type_: &str, status: &str| {
        conditions
            .judged(type_)
            .is_some_and(|condition| condition.status == status)
    };
    if is(REACHABLE, TRUE) {
        // A server whose spec was refused keeps serving what it served.
        if is(PREPARED, TRUE) && facts.refusals.is_empty() {
            ContentServerState::Active
        } else {
            ContentServerState::Degraded
        }
    } else if is(REACHABLE, FALSE) {
        ContentServerState::Unreachable
    } else {
        ContentServerState::Unknown
    }
}

type Figures = (Option<i32>, Vec<ContentStatus>, Option<Duration>);

/// The metric and what is known of each content.
fn figures(facts: &Facts<'_>, stored: &ContentServerStatus, pace: Pace) -> Figures {
    let seen = match facts.seen {
        Sight::Known(seen) => seen,
        Sight::Waiting => return (stored.metric, stored.contents.clone(), None),
        Sight::Lost => return (None, Vec::new(), None),
    };
    let heard = seen.metric.filter(|_| seen.reachable);
    let (metric, mut revisit) = pace.rate(stored.metric, heard);
    let mut contents = Vec::new();
    for content in &facts.object.spec.contents {
        let none = ContentSeen::default();
        let seen = seen.contents.get(&content.name).unwrap_or(&none);
        let before = stored.contents.iter().find(|old| old.name == content.name);
        let whole = seen.permille.is_some_and(|permille| permille >= 1000);
        let transition = before.is_none_or(|old| {
            old.prepared != seen.offered || whole != (old.progress_percent == Some(100))
        });
        let pace = Pace {
            transition: pace.transition || transition,
            ..pace
        };
        let percent = seen.permille.map(|permille| permille.min(1000) / 10);
        let (progress, later) = pace.rate(before.and_then(|old| old.progress_percent), percent);
        revisit = revisit.into_iter().chain(later).min();
        contents.push(ContentStatus {
            name: content.name.clone(),
            digest: seen.digest.clone(),
            prepared: seen.offered,
            progress_percent: progress,
            message: message(seen),
        });
    }
    (metric, contents, revisit)
}

fn message(seen: &ContentSeen) -> Option<String> {
    let differs = || {
        let other = seen.differs_from.as_ref()?;
        Some(format!(
            "has other bytes than on {other:?}; a switch between them is not exact"
        ))
    };
    seen.error.clone().or_else(differs).map(super::bounded)
}
