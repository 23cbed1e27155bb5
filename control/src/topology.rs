//! The topology state machine: who is attached, what flows where, what each member is to be told.
//!
//! Pure. [`Topology`] takes hellos, reports, acks, disconnects and ticks with the time passed in
//! ([`Now`]); it gives out plans ([`Topology::poll_plan`]), drains and the [`View`] of the page.
//! Silence makes a member *lost* (unknown) after a grace, never dead: what other members still say
//! about it stands. Everything held is bounded by [`Limits`]; a report that breaks a bound changes
//! nothing at all. A restarted control plane has an empty machine that refills as members attach;
//! the first plan it sends each of them says what that member does already, so nothing moves.

mod drain;
mod limits;
mod links;
mod member;
mod origins;
mod planning;
mod sight;
mod streams;
pub mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_proto::v1;

pub use self::drain::{Drain, DrainError};
pub use self::limits::{Limits, Refusal};
use self::links::Links;
use self::member::Member;
pub use self::member::State;
pub use self::origins::SILENT;
use self::planning::Planning;
pub use self::planning::Progress;
pub use self::view::View;
use crate::roster::{Role, Roster};

/// The time of an input: monotonic since the machine's owner started, and the wall clock, which is
/// only shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub at: Duration,
    /// Wall clock, for display.
    pub unix_ms: u64,
}

/// One Attach call. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(u64);

/// An accepted hello.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// Names the call in all later inputs.
    pub session: Session,
    /// To be sent first.
    pub welcome: v1::Welcome,
    /// The call of the same member that this one ends.
    pub replaced: Option<Session>,
}

/// The members of one topology as this control plane knows them.
#[derive(Debug)]
pub struct Topology {
    roster: Roster,
    limits: Limits,
    term: u64,
    planning: Planning,
    links: Links,
    /// Since when enough members have been heard to plan.
    informed: Option<Duration>,
    started: Duration,
    /// Of the last input that had a time.
    latest: Duration,
    members: BTreeMap<String, Member>,
    sessions: BTreeMap<Session, String>,
    next_session: u64,
    revision: u64,
    refusals: BTreeMap<&'static str, u64>,
}

impl Topology {
    /// A machine that knows whom to expect and has heard nobody yet. `term` orders the plans of
    /// successive control planes: a later one must have a higher term.
    pub fn new(roster: Roster, term: u64, limits: Limits, now: Now) -> Self {
        let members = roster
            .members
            .iter()
            .map(|entry| (entry.name.clone(), Member::expected_since(now.at)))
            .collect();
        Self {
            planning: Planning::new(&roster, term),
            links: Links::default(),
            informed: None,
            roster,
            limits,
            term,
            started: now.at,
            latest: now.at,
            members,
            sessions: BTreeMap::new(),
            next_session: 0,
            revision: 0,
            refusals: BTreeMap::new(),
        }
    }

    /// The members may have changed: those gone are forgotten, new ones are expected, and whoever's
    /// configuration differs now is due a plan.
    pub fn handle_roster(&mut self, roster: Roster) {
        if roster == self.roster {
            return;
        }
        self.members.retain(|name, _| roster.entry(name).is_some());
        for entry in &roster.members {
            let expected = || Member::expected_since(self.latest);
            self.members
                .entry(entry.name.clone())
                .or_insert_with(expected);
        }
        let members = &self.members;
        self.sessions.retain(|_, name| members.contains_key(name));
        self.planning.follow(&roster);
        let planning = &self.planning;
        self.links.retain(|name| planning.tier(name).is_some());
        self.roster = roster;
        self.revision += 1;
    }

    /// A call by an authenticated member begins. A newer call of the same member replaces its older
    /// one, whose inputs are refused from here on.
    pub fn handle_hello(
        &mut self,
        member: &str,
        hello: &v1::Hello,
        now: Now,
    ) -> Result<Attached, Refusal> {
        if self.roster.entry(member).is_none() {
            return Err(self.refuse(Refusal::UnknownMember {
                member: limits::shorten(member),
                topology: self.roster.topology.clone(),
            }));
        }
        let welcome = v1::Welcome {
            identity: Role::Control.to_string(),
            slot: member.to_owned(),
            term: self.term,
            config: self.planning.welcome(member),
            ..Default::default()
        };
        let session = Session(self.next_session);
        self.next_session += 1;
        let record = self.members.entry(member.to_owned()).or_default();
        let replaced = record.attach(session, &limits::shorten(&hello.boot_id), now.at);
        if let Some(previous) = replaced {
            self.sessions.remove(&previous);
        }
        self.sessions.insert(session, member.to_owned());
        self.revision += 1;
        Ok(Attached {
            session,
            welcome,
            replaced,
        })
    }

    /// What a member without name and configuration is told: `None` while there is no configuration that it could start
    /// with, since nothing is above it, or the roots do not know it.
    pub fn introduce(&mut self, member: &str) -> Result<Option<v1::Welcome>, Refusal> {
        let Some(entry) = self.roster.entry(member) else {
            return Err(self.refuse(Refusal::UnknownMember {
                member: limits::shorten(member),
                topology: self.roster.topology.clone(),
            }));
        };
        let Some(config) = self.planning.told(member) else {
            return Ok(None);
        };
        let holds = match entry.role {
            Role::Root => config.roots.iter().any(|root| root.name == member),
            Role::Relay | Role::Edge => !config.parents.is_empty(),
            Role::Origin | Role::Control => true,
        };
        Ok(holds.then(|| v1::Welcome {
            identity: Role::Control.to_string(),
            slot: member.to_owned(),
            term: self.term,
            config: Some(config.clone()),
            ..Default::default()
        }))
    }

    /// A full snapshot of what the member sees. Applied as a whole or not at all.
    pub fn handle_report(
        &mut self,
        session: Session,
        report: v1::Report,
        now: Now,
    ) -> Result<(), Refusal> {
        let result = self.apply_report(session, report, now);
        match result {
            Ok(()) => {
                self.revision += 1;
                Ok(())
            }
            Err(refusal) => Err(self.refuse(refusal)),
        }
    }

    fn apply_report(
        &mut self,
        session: Session,
        report: v1::Report,
        now: Now,
    ) -> Result<(), Refusal> {
        let name = self.sessions.get(&session).ok_or(Refusal::StaleSession)?;
        let entry = self.roster.entry(name).ok_or(Refusal::StaleSession)?;
        let member = self.members.get_mut(name).ok_or(Refusal::StaleSession)?;
        member.admit(&self.limits, now.at)?;
        self.limits.check(&report)?;
        if report.role != entry.role.as_str() {
            return Err(Refusal::IdentityMismatch {
                member: name.clone(),
                expected: entry.role,
                got: limits::shorten(&report.role),
            });
        }
        self.limits.believe(name, &report)?;
        let strange = report.tracks.iter().map(|track| &track.parent);
        let strange = strange
            .filter(|parent| !parent.is_empty() && self.roster.entry(parent).is_none())
            .count() as u64;
        let parents = report.parents.clone();
        member.apply(report, now.at)?;
        self.planning.adopt(name, &parents);
        let planning = &self.planning;
        let is_known = |peer: &str| planning.tier(peer).is_some();
        if let Some(report) = member.report().filter(|_| is_known(name)) {
            self.links.hear(name, report, now.at, is_known);
        }
        if strange > 0 {
            // Shown by nobody and planned by nobody: of a roster that has changed, or invented.
            *self.refusals.entry("UnknownParent").or_default() += strange;
        }
        Ok(())
    }

    /// The member says whether it took a plan.
    pub fn handle_ack(&mut self, session: Session, ack: &v1::PlanAck) -> Result<(), Refusal> {
        let Some(member) = self
            .sessions
            .get(&session)
            .and_then(|n| self.members.get_mut(n))
        else {
            return Err(self.refuse(Refusal::StaleSession));
        };
        member.acked = Some((ack.term, ack.version));
        member.plan_error = (!ack.accepted).then(|| limits::shorten(&ack.reason));
        self.revision += 1;
        Ok(())
    }

    /// The call ended, for whatever reason. The member keeps its state for a grace.
    pub fn handle_disconnect(&mut self, session: Session, now: Now) {
        let Some(name) = self.sessions.remove(&session) else {
            return;
        };
        if let Some(member) = self.members.get_mut(&name) {
            member.detach(session, now.at);
            self.revision += 1;
        }
    }

    /// A caller was refused before it had a session.
    pub fn handle_stranger(&mut self) {
        self.refuse(Refusal::Unauthenticated);
    }

    /// Time passes; members whose grace is over become lost, and plans follow what was reported.
    /// Tells whether plans changed, so that calls look for theirs.
    pub fn handle_tick(&mut self, now: Now) -> bool {
        self.latest = now.at;
        let waited = now.at.saturating_sub(self.started);
        let mut changed = false;
        for member in self.members.values_mut() {
            changed |= member.age(&self.limits, now.at);
        }
        let planned = self.replan(waited, now.at);
        self.revision += u64::from(changed || planned);
        planned
    }

    /// The plan that this call has not been given yet.
    pub fn poll_plan(&mut self, session: Session) -> Option<v1::Plan> {
        let name = self.sessions.get(&session)?;
        let member = self.members.get_mut(name)?;
        let due = self.planning.due(name)?;
        if member.planned == Some(due) {
            return None;
        }
        member.planned = Some(due);
        self.planning.plan(name)
    }

    /// What this call's reports need not say again, when that has become more.
    pub fn poll_kept(&mut self, session: Session) -> Option<v1::Kept> {
        let name = self.sessions.get(&session)?;
        let offers_version = self.members.get_mut(name)?.take_kept()?;
        Some(v1::Kept { offers_version })
    }

    /// Whether this call is still its member's newest, and the member still expected.
    pub fn is_current(&self, session: Session) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Grows with every change that a view could show.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Who is expected.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// How often each reason refused an input.
    pub fn refusals(&self) -> &BTreeMap<&'static str, u64> {
        &self.refusals
    }

    /// How many calls are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The poster of a stream, from whoever offers it.
    pub fn poster(&self, stream: &str) -> Option<bytes::Bytes> {
        self.known_offers()
            .filter(|offer| offer.stream == stream)
            .map(|offer| offer.poster.clone())
            .find(|poster| !poster.is_empty())
    }

    /// Whether somebody offers the stream.
    pub fn offers(&self, stream: &str) -> bool {
        self.known_offers().any(|offer| offer.stream == stream)
    }

    /// What a member offers by its own last word; none while that does not count.
    pub fn offered(&self, member: &str) -> &[v1::Offer] {
        self.fresh(member).map_or(&[], |report| &report.offers)
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        *self.refusals.entry(refusal.reason()).or_default() += 1;
        refusal
    }

    /// A member's last word, while it still counts.
    fn fresh(&self, name: &str) -> Option<&v1::Report> {
        let member = self.members.get(name)?;
        (member.state() == State::Ready).then_some(member.report())?
    }

    /// Offers of roots first, then of content servers: what reaches viewers before what could.
    fn known_offers(&self) -> impl Iterator<Item = &v1::Offer> {
        [Role::Root, Role::Origin]
            .into_iter()
            .flat_map(|role| self.roster.of_role(role))
            .filter_map(|entry| self.fresh(&entry.name))
            .flat_map(|report| &report.offers)
    }
}

#[cfg(test)]
mod tests;
