//! Conditions and the rest of status: facts in, status out. Pure; the clock is an argument.
//!
//! A condition's transition time moves only when its status flips, so judging the same facts twice gives the same
//! status and nothing is written. What members told is [`Sight`]: after a change of leader it is not there yet, and
//! stored conditions stand; later it is Unknown, never false.

pub mod address;
mod rates;
pub mod server;
pub mod topology;
pub mod workload;

use banyan_api::reasons;
use banyan_api::validate::Refusal;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

pub use workload::Workload;

/// What is known from members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight<T> {
    /// They reported.
    Known(T),
    /// They have had no time to report since this operator took over: what is stored stands.
    Waiting,
    /// They had time and did not report.
    Lost,
}

impl<T> Sight<T> {
    /// The same, borrowed.
    pub fn as_ref(&self) -> Sight<&T> {
        match self {
            Self::Known(seen) => Sight::Known(seen),
            Self::Waiting => Sight::Waiting,
            Self::Lost => Sight::Lost,
        }
    }
}

/// Something the API server did not take, told by the step that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// One sentence that names the child, and what was said.
    pub message: String,
}

impl Failure {
    /// Whether the spec has to change before it can work.
    fn refuses(&self) -> bool {
        [
            reasons::NAME_CONFLICT,
            reasons::INVALID_TEMPLATE,
            reasons::INVALID,
        ]
        .contains(&self.reason)
    }
}

/// A status and when to look again though nothing changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<S> {
    /// To be written when it differs from the stored one.
    pub status: S,
    /// A rate that moved is held back until then.
    pub revisit: Option<std::time::Duration>,
}

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    status: &'static str,
    reason: String,
    message: String,
    /// Beginning of the message that tells one trouble from another: what follows are somebody's words, which may
    /// change while the trouble is the same.
    trouble: Option<String>,
}

const TRUE: &str = "True";
const FALSE: &str = "False";
const UNKNOWN: &str = "Unknown";

impl Verdict {
    fn new(status: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: bounded(message.into()),
            trouble: None,
        }
    }

    fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self::new(TRUE, reason, message)
    }

    fn no(reason: &str, message: impl Into<String>) -> Self {
        Self::new(FALSE, reason, message)
    }

    fn unknown(reason: &str, message: impl Into<String>) -> Self {
        Self::new(UNKNOWN, reason, message)
    }

    /// About a trouble of pods, in their words.
    fn of_problem(status: &'static str, problem: &workload::Problem) -> Self {
        let what = format!("{}: ", problem.what);
        Self {
            trouble: Some(what.clone()),
            ..Self::new(status, problem.reason, what + &problem.words)
        }
    }
}

/// Conditions under way: what is stored, and what is judged now.
struct Conditions<'a> {
    stored: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    judged: Vec<Condition>,
    flipped: bool,
}

impl<'a> Conditions<'a> {
    fn new(stored: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self {
            stored,
            generation,
            now,
            judged: Vec::new(),
            flipped: false,
        }
    }

    fn stored(&self, type_: &str) -> Option<&'a Condition> {
        self.stored
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    fn judged(&self, type_: &str) -> Option<&Condition> {
        self.judged
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    fn set(&mut self, type_: &str, verdict: Verdict) {
        let stored = self.stored(type_);
        let same = stored.filter(|stored| stored.status == verdict.status);
        self.flipped |= same.is_none();
        let message = match (&verdict.trouble, same) {
            (Some(trouble), Some(stored))
                if stored.reason == verdict.reason && stored.message.starts_with(trouble) =>
            {
                stored.message.clone()
            }
            _ => verdict.message,
        };
        self.judged.push(Condition {
            type_: type_.to_owned(),
            status: verdict.status.to_owned(),
            reason: verdict.reason,
            message,
            observed_generation: self.generation,
            last_transition_time: same.map_or_else(
                || Time(whole_seconds(self.now)),
                |stored| stored.last_transition_time.clone(),
            ),
        });
    }

    /// Lets the stored condition stand; `otherwise` where there is none.
    fn keep(&mut self, type_: &str, otherwise: Verdict) {
        match self.stored(type_) {
            Some(stored) => self.judged.push(stored.clone()),
            None => self.set(type_, otherwise),
        }
    }

    /// No member has reported yet: the stored condition stands, and a new one is a beginning.
    fn keep_unreported(&mut self, type_: &str) {
        let otherwise = Verdict::unknown(reasons::PENDING, "no member has reported yet");
        self.keep(type_, otherwise);
    }

    /// The summary: true when all parts are, else the first part that is not.
    fn sum(&mut self, type_: &str, parts: &[&str], message: &str) {
        let part = |status: &str| {
            parts
                .iter()
                .filter_map(|part| self.judged(part))
                .find(|condition| condition.status == status)
        };
        let verdict = match part(FALSE)
            .map(|c| (FALSE, c))
            .or(part(UNKNOWN).map(|c| (UNKNOWN, c)))
        {
            Some((status, condition)) => {
                Verdict::new(status, &condition.reason, condition.message.clone())
            }
            None => Verdict::yes(reasons::AS_EXPECTED, message),
        };
        self.set(type_, verdict);
    }
}

/// Accepted, of either kind.
fn accepted(refusals: &[Refusal], failures: &[Failure]) -> Verdict {
    let failure = failures.iter().find(|failure| failure.refuses());
    match (refusals.first(), failure) {
        (Some(first), _) => {
            let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            Verdict::no(first.reason, all.join("; "))
        }
        (None, Some(failure)) => Verdict::no(failure.reason, failure.message.clone()),
        (None, None) => Verdict::yes(reasons::VALID, "the spec is accepted"),
    }
}

/// An API server keeps no fractions of a second.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Longest message; what matters is at its beginning.
const MAX_MESSAGE: usize = 1024;

fn bounded(message: String) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message;
    }
    let kept: String = message.chars().take(MAX_MESSAGE - 1).collect();
    kept + "…"
}

#[cfg(test)]
mod tests;
