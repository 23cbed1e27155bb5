//! Events: what people see under `kubectl describe`. One per transition of a condition, so nothing is told twice.

use banyan_api::conditions::{
    ACCEPTED, DEGRADED, ORIGIN_REACHABLE, PREPARED, REACHABLE, READY, RELAYS_AVAILABLE,
    UPDATE_AVAILABLE,
};
use banyan_api::reasons;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::lease::fence::Fence;
use crate::metrics::Metrics;

/// Who reports.
const CONTROLLER: &str = "banyan-operator";

/// What happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Something is wrong.
    pub warning: bool,
    /// PascalCase; one of [`banyan_api::reasons`].
    pub reason: String,
    /// One sentence.
    pub note: String,
    /// What was done, PascalCase.
    pub action: &'static str,
}

/// Tells events. One for the whole process: repetitions within minutes are counted on one object.
pub struct Events {
    recorder: Recorder,
    fence: Fence,
    metrics: Metrics,
}

impl Events {
    /// Reports as this pod.
    pub fn new(client: kube::Client, pod: &str, fence: Fence, metrics: Metrics) -> Self {
        let reporter = Reporter {
            controller: CONTROLLER.to_owned(),
            instance: Some(pod.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            fence,
            metrics,
        }
    }

    /// Tells what happened. An event that cannot be told is logged: it must not stop a reconcile.
    pub async fn tell(&self, object: &ObjectReference, happenings: Vec<Happening>) {
        for happening in happenings {
            if !self.fence.leading() {
                return;
            }
            self.metrics.write("create", "Event");
            let event = Event {
                type_: if happening.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: happening.reason,
                note: Some(happening.note),
                action: happening.action.to_owned(),
                secondary: None,
            };
            if let Err(error) = self.recorder.publish(&event, object).await {
                let error = crate::apply::error::sentence(&error);
                tracing::warn!(reason = event.reason, "an event cannot be told: {error}");
            }
        }
    }
}

/// Conditions whose transitions are told; the first that carries a reason and message tells it for all.
const TOLD: [&str; 8] = [
    ACCEPTED,
    RELAYS_AVAILABLE,
    ORIGIN_REACHABLE,
    PREPARED,
    REACHABLE,
    DEGRADED,
    UPDATE_AVAILABLE,
    READY,
];

/// What every new object goes through.
const BEGINNING: [&str; 6] = [
    reasons::TIER_UNAVAILABLE,
    reasons::MEMBERS_MISSING,
    reasons::NO_ORIGIN,
    reasons::ROLLING_OUT,
    reasons::SILENT,
    reasons::PREPARING,
];

/// Where an object stands of which nothing could be known yet.
const BEFORE: [&str; 2] = [reasons::PENDING, reasons::NO_CONTENT_SERVERS];

/// What the step from one status to the next means to people.
pub fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Happening> {
    let mut happenings: Vec<Happening> = Vec::new();
    for type_ in TOLD {
        let find = |all: &'_ [Condition]| all.iter().find(|one| one.type_ == type_).cloned();
        let Some(now) = find(after) else { continue };
        let then = find(before);
        let good = if [DEGRADED, UPDATE_AVAILABLE].contains(&type_) {
            "False"
        } else {
            "True"
        };
        let same = then
            .as_ref()
            .is_some_and(|then| (&then.status, &then.reason) == (&now.status, &now.reason));
        // At first sight, and while nothing is known, only troubles are news. Parts that are well again are told by
        // Ready, which repeats the trouble of a part that tells it itself, or has.
        let well = now.status == good;
        let first = then
            .as_ref()
            .is_none_or(|then| BEFORE.contains(&then.reason.as_str()));
        let repeats = type_ == READY
            && !well
            && after.iter().any(|part| {
                let told = part.type_ != READY && TOLD.contains(&part.type_.as_str());
                told && part.reason == now.reason
            });
        let quiet = now.status == "Unknown"
            || (well && (then.is_none() || type_ != READY))
            || repeats
            || (first && BEGINNING.contains(&now.reason.as_str()));
        if same || quiet {
            continue;
        }
        let happening = Happening {
            warning: !well && type_ != UPDATE_AVAILABLE && type_ != PREPARED,
            reason: if well { type_.to_owned() } else { now.reason },
            note: now.message,
            action: "Reconcile",
        };
        let told = happenings
            .iter()
            .any(|other| (&other.reason, &other.note) == (&happening.reason, &happening.note));
        if !told {
            happenings.push(happening);
        }
    }
    happenings
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str) -> Condition {
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: format!("about {reason}"),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        }
    }

    fn told(before: &[Condition], after: &[Condition]) -> Vec<(String, bool)> {
        let all = transitions(before, after);
        all.into_iter()
            .map(|one| (one.reason, one.warning))
            .collect()
    }

    #[test]
    fn a_trouble_is_told_once_though_ready_repeats_it() {
        let well = [
            condition(ACCEPTED, "True", "Valid"),
            condition(READY, "True", "AsExpected"),
        ];
        let broken = [
            condition(ACCEPTED, "False", "FanOutTooSmall"),
            condition(READY, "False", "FanOutTooSmall"),
        ];
        let broke = ("FanOutTooSmall".to_owned(), true);
        assert_eq!(told(&[], &broken), std::slice::from_ref(&broke));
        assert_eq!(told(&well, &broken), [broke]);
        assert!(told(&broken, &broken).is_empty());
        assert_eq!(told(&broken, &well), [("Ready".to_owned(), false)]);
    }

    #[test]
    fn first_sight_and_ignorance_are_no_news() {
        let well = [condition(READY, "True", "AsExpected")];
        let unknown = [condition(READY, "Unknown", "MembersUnknown")];
        assert!(told(&[], &well).is_empty());
        assert!(told(&well, &unknown).is_empty());
        assert_eq!(told(&unknown, &well), [("Ready".to_owned(), false)]);
    }

    #[test]
    fn what_a_new_topology_goes_through_is_no_trouble_until_it_was_well() {
        let step = |relays: (&str, &str), origin: (&str, &str), ready: (&str, &str)| {
            [
                condition(RELAYS_AVAILABLE, relays.0, relays.1),
                condition(ORIGIN_REACHABLE, origin.0, origin.1),
                condition(READY, ready.0, ready.1),
            ]
        };
        let no_tier = ("Unknown", "Pending");
        let (no_relay, no_origin) = (("False", "TierUnavailable"), ("False", "NoOrigin"));
        let well = ("True", "AsExpected");
        let life = [
            step(no_tier, ("False", "NoContentServers"), no_tier),
            step(no_tier, ("Unknown", "Pending"), no_tier),
            step(no_relay, ("Unknown", "Pending"), no_relay),
            step(no_relay, no_origin, no_relay),
            step(well, no_origin, no_origin),
        ];
        for (number, pair) in life.windows(2).enumerate() {
            assert!(told(&pair[0], &pair[1]).is_empty(), "step {number}");
        }
        let up = step(well, well, well);
        assert_eq!(told(&life[4], &up), [("Ready".to_owned(), false)]);
        let trouble = [("NoOrigin".to_owned(), true)];
        assert_eq!(told(&up, &life[4]), trouble);
        // Also when nothing was known in between.
        let lost = ("Unknown", "MembersUnknown");
        assert!(told(&up, &step(well, lost, lost)).is_empty());
        assert_eq!(told(&step(well, lost, lost), &life[4]), trouble);
    }

    #[test]
    fn a_waiting_update_is_no_warning() {
        let waits = [condition(UPDATE_AVAILABLE, "True", "UpdateAvailable")];
        assert_eq!(told(&[], &waits), [("UpdateAvailable".to_owned(), false)]);
    }
}
