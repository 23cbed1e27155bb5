//! What is known of one member: its call, its last report, and rates from the differences of its
//! counters.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use banyan_proto::v1;

use super::Session;
use super::drain::Drain;
use super::limits::{Limits, Refusal};

/// Whether a member's word counts now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not heard of yet.
    #[default]
    Starting,
    /// Its last report counts.
    Ready,
    /// Unknown: silent for longer than its grace. Not the same as dead.
    Lost,
}

impl State {
    /// The word of the view.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Lost => "lost",
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Member {
    state: State,
    /// Since when the roster has it.
    expected_since: Duration,
    session: Option<Session>,
    boot_id: String,
    attached_at: Option<Duration>,
    detached_at: Option<Duration>,
    held: Option<Held>,
    /// Since when it is lost.
    lost_at: Option<Duration>,
    /// When it last turned somebody away.
    refused_at: Option<Duration>,
    rates: BTreeMap<(String, String), Rate>,
    bucket: Bucket,
    /// Asked to leave: whether the current call has been told.
    leave: Option<bool>,
    /// The version of offers that the current call has been told is held.
    kept: u64,
    /// The plan given to the current call.
    pub(super) planned: Option<(u64, u64)>,
    /// The plan last answered, by any call.
    pub(super) acked: Option<(u64, u64)>,
    /// Why that plan was refused.
    pub(super) plan_error: Option<String>,
}

#[derive(Debug)]
struct Held {
    at: Duration,
    session: Session,
    report: v1::Report,
}

impl Member {
    /// Not heard of yet, and expected from now on.
    pub(super) fn expected_since(at: Duration) -> Self {
        Self {
            expected_since: at,
            ..Self::default()
        }
    }

    /// Returns the call that this one replaces.
    pub(super) fn attach(
        &mut self,
        session: Session,
        boot_id: &str,
        at: Duration,
    ) -> Option<Session> {
        if self.boot_id != boot_id {
            // Another process: its counters start anew.
            self.rates.clear();
            self.boot_id = boot_id.to_owned();
            self.leave = None;
        }
        if let Some(told) = &mut self.leave {
            // The same process over a new call: the order may have been lost with the old one.
            *told = false;
        }
        self.attached_at = Some(at);
        self.detached_at = None;
        self.kept = 0;
        self.planned = None;
        self.bucket = Bucket { last: at, spent: 0 };
        self.session.replace(session)
    }

    pub(super) fn detach(&mut self, session: Session, at: Duration) {
        if self.session == Some(session) {
            self.session = None;
            self.detached_at = Some(at);
        }
    }

    /// Whether another report fits the rate.
    pub(super) fn admit(&mut self, limits: &Limits, at: Duration) -> Result<(), Refusal> {
        if self.bucket.admit(limits, at) {
            return Ok(());
        }
        Err(Refusal::TooManyReports {
            burst: limits.burst,
            interval_ms: limits.report_interval.as_millis() as u64,
        })
    }

    /// Takes a checked report if it is newer than the one held.
    pub(super) fn apply(&mut self, mut report: v1::Report, at: Duration) -> Result<(), Refusal> {
        let Some(session) = self.session else {
            return Err(Refusal::StaleSession);
        };
        let held = self.held.as_mut().filter(|held| held.session == session);
        if let Some(held) = &held
            && report.sequence <= held.report.sequence
        {
            return Err(Refusal::StaleReport {
                sequence: report.sequence,
                last: held.report.sequence,
            });
        }
        if report.offers_unchanged {
            let version = report.offers_version;
            let last = held.as_ref().map_or(0, |held| held.report.offers_version);
            let Some(held) = held.filter(|_| version != 0 && version == last) else {
                return Err(Refusal::UnknownOffers { version, last });
            };
            report.offers = std::mem::take(&mut held.report.offers);
        }
        self.measure(&report, at);
        self.state = State::Ready;
        self.lost_at = None;
        if report.refusing {
            self.refused_at = Some(at);
        }
        self.held = Some(Held {
            at,
            session,
            report,
        });
        Ok(())
    }

    fn measure(&mut self, report: &v1::Report, at: Duration) {
        let mut rates = std::mem::take(&mut self.rates);
        for track in &report.tracks {
            let key = (track.stream.clone(), track.track.clone());
            let mut rate = rates.remove(&key).unwrap_or_default();
            rate.push(&track.parent, at, track.bytes_in);
            self.rates.insert(key, rate);
        }
    }

    /// Time passes; returns whether the state changed.
    pub(super) fn age(&mut self, limits: &Limits, at: Duration) -> bool {
        let next = if self.heard(limits, at) {
            State::Ready
        } else if self.is_expected(limits, at) {
            State::Starting
        } else {
            State::Lost
        };
        let changed = next != self.state;
        self.state = next;
        self.lost_at = (next == State::Lost).then(|| self.lost_at.unwrap_or(at));
        changed
    }

    fn heard(&self, limits: &Limits, at: Duration) -> bool {
        let within = |since: Duration, grace| at.saturating_sub(since) <= grace;
        let Some(held) = &self.held else {
            return false;
        };
        within(held.at, limits.silence)
            && self
                .detached_at
                .is_none_or(|left| within(left, limits.reconnect))
    }

    /// Attached with its first report due, or not heard of since it is expected, which is never before the control
    /// plane's own start.
    fn is_expected(&self, limits: &Limits, at: Duration) -> bool {
        let waited = at.saturating_sub(self.expected_since);
        let reported = self.held.as_ref().map(|held| held.session);
        match (self.session, self.attached_at) {
            (Some(session), Some(since)) if reported != Some(session) => {
                at.saturating_sub(since) <= limits.silence
            }
            _ => reported.is_none() && waited <= limits.startup,
        }
    }

    /// Marks it to be told to leave; false when it has no call.
    pub(super) fn ask_to_leave(&mut self) -> bool {
        let attached = self.session.is_some();
        if attached {
            self.leave = Some(false);
        }
        attached
    }

    /// Whether its call is to be told now to leave.
    pub(super) fn take_order(&mut self) -> bool {
        self.leave
            .as_mut()
            .is_some_and(|told| !std::mem::replace(told, true))
    }

    /// The version of offers held of the current call, once for each.
    pub(super) fn take_kept(&mut self) -> Option<u64> {
        let held = self.held.as_ref();
        let held = held.filter(|held| self.session == Some(held.session))?;
        let version = held.report.offers_version;
        let told = std::mem::replace(&mut self.kept, version);
        (version != 0 && version != told).then_some(version)
    }

    pub(super) fn drain(&self) -> Option<Drain> {
        self.leave?;
        Some(match (self.session, self.report()) {
            (None, _) => Drain::Left,
            (Some(_), Some(report)) if report.draining => Drain::Leaving,
            (Some(_), _) => Drain::Asked,
        })
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether its call is open.
    pub(super) fn is_attached(&self) -> bool {
        self.session.is_some()
    }

    /// For how long it has been lost.
    pub(super) fn lost_for(&self, at: Duration) -> Option<Duration> {
        self.lost_at.map(|since| at.saturating_sub(since))
    }

    /// Whether it turned somebody away within `span`.
    pub(super) fn refused_within(&self, span: Duration, at: Duration) -> bool {
        self.refused_at
            .is_some_and(|since| at.saturating_sub(since) <= span)
    }

    pub(super) fn report(&self) -> Option<&v1::Report> {
        self.held.as_ref().map(|held| &held.report)
    }

    pub(super) fn bytes_per_second(&self, stream: &str, track: &str) -> u64 {
        self.rates
            .get(&(stream.to_owned(), track.to_owned()))
            .map_or(0, Rate::bytes_per_second)
    }
}

/// How many reports came lately: a bucket that leaks one per interval.
#[derive(Debug, Default)]
struct Bucket {
    last: Duration,
    spent: u32,
}

impl Bucket {
    fn admit(&mut self, limits: &Limits, at: Duration) -> bool {
        let interval = limits.report_interval.max(Duration::from_millis(1));
        let earned = (at.saturating_sub(self.last).as_nanos() / interval.as_nanos()) as u32;
        if earned > 0 {
            self.spent = self.spent.saturating_sub(earned);
            self.last += interval * earned;
        }
        if self.spent >= limits.burst {
            return false;
        }
        self.spent += 1;
        true
    }
}

/// Bytes over a short window of reports, from one parent.
#[derive(Debug, Default)]
struct Rate {
    parent: String,
    samples: VecDeque<(Duration, u64)>,
}

impl Rate {
    fn push(&mut self, parent: &str, at: Duration, bytes: u64) {
        let reset = self.samples.back().is_some_and(|(_, last)| bytes < *last);
        if reset || self.parent != parent {
            self.samples.clear();
            parent.clone_into(&mut self.parent);
        }
        self.samples.push_back((at, bytes));
        while self.samples.len() > SAMPLES
            || (self.samples.len() > 2 && at.saturating_sub(self.samples[0].0) > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn bytes_per_second(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.samples.front(), self.samples.back())
        else {
            return 0;
        };
        let elapsed = to.saturating_sub(*from).as_millis();
        if elapsed == 0 {
            return 0;
        }
        (u128::from(last - first) * 1000 / elapsed) as u64
    }
}

/// Long enough to hold two segments, so that the pulse of segments does not show as a pulse of rate.
const WINDOW: Duration = Duration::from_secs(4);
const SAMPLES: usize = 16;
