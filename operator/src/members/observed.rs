//! What status shows of a topology's members: from their reports, and from their pods.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_control::topology::{Now, SILENT, State, Topology, View};

use super::Desired;
use super::place::Placed;
use super::pod::{Place, Pod};

/// A topology's members at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Whether members were heard since this replica leads, so that what is missing here is missing there.
    /// While false, what was told before stands.
    pub known: bool,
    /// Pods per tier; all tiers are listed.
    pub tiers: BTreeMap<String, Tier>,
    /// By name.
    pub streams: Vec<Stream>,
    /// Content servers by name; all that feed the topology are listed.
    pub origins: BTreeMap<String, Origin>,
    /// By slot.
    pub edges: Vec<Edge>,
    /// Changes of origin lately, oldest first.
    pub reselections: Vec<Reselection>,
    /// Why members are not told of each other.
    pub problem: Option<String>,
}

/// The pods of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// That exist and have not been told to go.
    pub pods: u32,
    /// Of these, ready.
    pub ready: u32,
    /// Members whose reports count.
    pub heard: u32,
}

/// A stream that is offered or flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The root that pulls it; none while nobody watches.
    pub carrier: Option<String>,
    /// The content server it comes from; none while nobody watches.
    pub origin: Option<String>,
    /// Content servers that may feed it, best first.
    pub candidates: Vec<String>,
}

/// A content server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Its pod is ready.
    pub ready: bool,
    /// Its own reports count.
    pub attached: bool,
    /// A root hears its beats.
    pub reachable: bool,
    /// Why no stream would be pulled from it now; empty = eligible.
    pub reason: String,
    /// Lower is better; none before it was measured.
    pub metric: Option<u32>,
    /// In the order of its spec.
    pub contents: Vec<Content>,
}

/// A content of a content server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its name.
    pub name: String,
    /// Offered to viewers.
    pub prepared: bool,
    /// Share that is prepared.
    pub permille: u32,
    /// Why it cannot be prepared; empty = it can.
    pub error: String,
    /// What names its bytes: servers with equal digests are interchangeable at any chunk.
    pub digest: Option<String>,
}

/// An edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// Its slot name.
    pub name: String,
    /// Its pod.
    pub pod: String,
    /// Its pod is ready and its reports count: the figures below mean something.
    pub ready: bool,
    /// Viewers.
    pub sessions: u32,
    /// Sent, in bit/s.
    pub egress_bps: u64,
}

/// A change of the origin of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reselection {
    /// The stream.
    pub stream: String,
    /// The root that changed.
    pub carrier: String,
    /// Content server before.
    pub from: String,
    /// Content server since.
    pub to: String,
    /// Why, as the root says it: a CamelCase word.
    pub cause: String,
    /// Wall clock of the root.
    pub at_unix_ms: u64,
}

/// Joins what the pods and the state machine of a topology say; `heard` is `None` while this replica does not serve it.
pub(crate) fn observe(
    desired: &Desired,
    placed: &Placed,
    pods: &[&Pod],
    heard: Option<(&Topology, Now)>,
) -> Observed {
    let view = heard.map(|(topology, now)| topology.view(now));
    let counts = |name: &str| {
        let state = heard.and_then(|(topology, _)| topology.state(name));
        state == Some(State::Ready)
    };
    let known = heard.is_some_and(|(topology, _)| {
        let mut ready = placed.members.iter().filter(|(_, pod)| pod.ready);
        ready.all(|(name, _)| topology.state(name) != Some(State::Starting))
    });
    let tier = |name: &str| {
        let own = pods.iter().filter(|pod| {
            !pod.leaving && matches!(&pod.place, Place::Tier { tier, .. } if tier == name)
        });
        let ready = own.clone().filter(|pod| pod.ready).count();
        let of_tier = |member: &&String| {
            let slot = banyan_api::names::parse_slot(member);
            slot.is_some_and(|(tier, _)| tier == name)
        };
        Tier {
            pods: own.count() as u32,
            ready: ready as u32,
            heard: placed
                .members
                .keys()
                .filter(of_tier)
                .filter(|m| counts(m))
                .count() as u32,
        }
    };
    let tiers = desired.topology.tiers.iter();
    Observed {
        known,
        tiers: tiers.map(|t| (t.name.clone(), tier(&t.name))).collect(),
        streams: view.as_ref().map(streams).unwrap_or_default(),
        origins: origins(
            desired,
            placed,
            heard.map(|(topology, _)| topology),
            view.as_ref(),
        ),
        edges: view
            .as_ref()
            .map(|view| edges(placed, view))
            .unwrap_or_default(),
        reselections: view
            .as_ref()
            .map(|view| reselections(desired, view))
            .unwrap_or_default(),
        problem: None,
    }
}

fn streams(view: &View) -> Vec<Stream> {
    let streams = view.streams.iter();
    streams
        .map(|stream| Stream {
            name: stream.name.clone(),
            carrier: stream.carrier.clone(),
            origin: stream.origin.clone(),
            candidates: stream.candidates.clone(),
        })
        .collect()
}

fn origins(
    desired: &Desired,
    placed: &Placed,
    topology: Option<&Topology>,
    view: Option<&View>,
) -> BTreeMap<String, Origin> {
    let of_server = |server: &banyan_api::model::Server| {
        let name = &server.name;
        let row = view.and_then(|view| view.origins.iter().find(|row| row.source == *name));
        let offers = topology.map_or(&[][..], |topology| topology.offered(name));
        let content = |content: &banyan_api::model::Content| {
            let content = &content.name;
            let offer = offers.iter().find(|offer| offer.stream == *content);
            let told = row.is_some_and(|row| row.contents.contains(content));
            let preparing =
                row.and_then(|row| row.preparing.iter().find(|p| p.content == *content));
            let prepared = offer.is_some() || told;
            Content {
                name: content.clone(),
                prepared,
                permille: match (prepared, preparing) {
                    (true, _) => 1000,
                    (false, Some(preparing)) => preparing.permille,
                    (false, None) => 0,
                },
                error: preparing.map_or_else(String::new, |p| p.error.clone()),
                digest: offer.map(|offer| offer.run.clone()),
            }
        };
        let reachable = row.is_some_and(|row| row.state != SILENT);
        let origin = Origin {
            ready: placed
                .members
                .get(name)
                .is_some_and(|pod| pod.ready && !pod.leaving),
            attached: topology.is_some_and(|t| t.state(name) == Some(State::Ready)),
            reachable,
            reason: row.map_or_else(|| SILENT.to_owned(), |row| row.reason.clone()),
            metric: row.filter(|_| reachable).map(|row| row.metric),
            contents: server.contents.iter().map(content).collect(),
        };
        (name.clone(), origin)
    };
    desired.servers.iter().map(of_server).collect()
}

fn edges(placed: &Placed, view: &View) -> Vec<Edge> {
    let edges = view
        .members
        .iter()
        .filter(|member| member.tier == banyan_api::names::EDGE);
    let edge = |member: &banyan_control::topology::view::MemberView| {
        let pod = placed.members.get(&member.name)?;
        Some(Edge {
            name: member.name.clone(),
            pod: pod.name.clone(),
            ready: pod.ready && !pod.leaving && member.state == State::Ready.as_str(),
            sessions: member.sessions,
            egress_bps: member.load.network_out_bps,
        })
    };
    edges.filter_map(edge).collect()
}

fn reselections(desired: &Desired, view: &View) -> Vec<Reselection> {
    let is_server = |name: &str| desired.servers.iter().any(|server| server.name == name);
    let mut seen: Vec<Reselection> = view
        .switches
        .iter()
        .filter(|switch| switch.origin && switch.from != switch.to)
        .filter(|switch| is_server(&switch.from) && is_server(&switch.to))
        .map(|switch| Reselection {
            stream: switch.stream.clone(),
            carrier: switch.member.clone(),
            from: switch.from.clone(),
            to: switch.to.clone(),
            cause: switch.cause.clone(),
            at_unix_ms: switch.at_unix_ms,
        })
        .collect();
    seen.reverse();
    // Every track of a stream moves by itself.
    seen.dedup_by(|b, a| {
        (&a.stream, &a.carrier, &a.from, &a.to) == (&b.stream, &b.carrier, &b.from, &b.to)
    });
    seen
}

/// Tells whether what status shows has changed: at once for what is a state, seldom for what is a figure.
#[derive(Debug, Default)]
pub(crate) struct Transitions {
    told: Option<Observed>,
    figures_at: Duration,
}

impl Transitions {
    /// `at` is monotonic.
    pub(crate) fn is_news(&mut self, observed: &Observed, at: Duration) -> bool {
        let Some(told) = &self.told else {
            self.told = Some(observed.clone());
            self.figures_at = at;
            return true;
        };
        let news = states(told) != states(observed);
        let due = at.saturating_sub(self.figures_at) >= FIGURES_EVERY;
        let moved = due && have_moved(told, observed);
        if moved {
            self.figures_at = at;
        }
        if news || moved {
            self.told = Some(observed.clone());
        }
        news || moved
    }
}

/// Everything but figures.
fn states(observed: &Observed) -> Observed {
    let mut states = observed.clone();
    for origin in states.origins.values_mut() {
        origin.metric = origin.metric.map(|_| 0);
        for content in &mut origin.contents {
            content.permille = 0;
        }
    }
    for stream in &mut states.streams {
        // Who is better by a little changes often.
        stream.candidates.sort();
    }
    for edge in &mut states.edges {
        edge.sessions = 0;
        edge.egress_bps = 0;
    }
    states
}

fn have_moved(told: &Observed, observed: &Observed) -> bool {
    observed.origins.iter().any(|(name, origin)| {
        let Some(before) = told.origins.get(name) else {
            return true;
        };
        let metric = match (before.metric, origin.metric) {
            (Some(before), Some(now)) => {
                u64::from(before.abs_diff(now)) * 100 > u64::from(before) * MOVED_PERCENT
            }
            (before, now) => before != now,
        };
        let shares = before.contents.iter().zip(&origin.contents);
        metric || { shares }.any(|(before, now)| before.permille.abs_diff(now.permille) >= 100)
    })
}

/// Figures of status are not measurements; those who want them read metrics.
const FIGURES_EVERY: Duration = Duration::from_secs(30);
const MOVED_PERCENT: u64 = 20;

#[cfg(test)]
mod tests;
