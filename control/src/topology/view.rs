//! What the page and the API show, in the shape of their JSON.

use std::collections::BTreeSet;

use banyan_proto::v1;
use serde::Serialize;

use super::{Drain, Now, Progress, State, Topology};
use crate::roster::{Entry, Role};

/// `/api/topology`, also the data of every event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    pub topology: String,
    pub epoch: u64,
    pub now_unix_ms: u64,
    pub members: Vec<MemberView>,
    pub links: Vec<Link>,
    pub streams: Vec<StreamView>,
    pub edges: Vec<Edge>,
    pub origins: Vec<Origin>,
    /// The planner's work.
    pub plan: Progress,
    /// Who changed feeders lately and why, newest first.
    pub switches: Vec<Switch>,
}

/// A change of feeder, as the member that made it reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    pub member: String,
    pub at_unix_ms: u64,
    pub stream: String,
    pub track: String,
    pub from: String,
    pub to: String,
    pub cause: String,
    /// Silence of the old feeder when it was left.
    pub gap_ms: u32,
    /// From leaving to flowing again; 0 when the new feeder flowed first.
    pub repair_ms: u32,
    /// Between content servers.
    pub origin: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberView {
    pub name: String,
    pub role: Role,
    pub tier: String,
    pub state: &'static str,
    pub draining: bool,
    /// How far it is with leaving, when it was asked to: asked, leaving, left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<&'static str>,
    pub http: String,
    pub grpc: String,
    pub pid: u32,
    pub load: v1::Load,
    pub sessions: u32,
    /// Planned parents, best first.
    pub parents: Vec<String>,
    /// Why it refused its last plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_error: Option<String>,
}

/// One track on one hop, as its receiver reports it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    pub from: String,
    pub to: String,
    pub stream: String,
    pub track: String,
    pub bytes_per_second: u64,
    pub state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamView {
    pub name: String,
    pub title: String,
    /// The root that pulls it; none while nobody watches.
    pub carrier: Option<String>,
    /// The content server it comes from; none while nobody watches.
    pub origin: Option<String>,
    /// Content servers that offer it, best first.
    pub candidates: Vec<String>,
    pub viewers: u32,
    pub poster: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    pub name: String,
    pub url: String,
}

/// One row of `/api/origins`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    pub source: String,
    pub metric: u32,
    pub contents: Vec<String>,
    pub state: String,
    /// Why no stream would be pulled from it now; empty = eligible.
    pub reason: String,
    pub rtt_us: u32,
    pub late_permille: u32,
    pub load_permille: u32,
    pub clock_offset_us: i64,
    pub feeds: Vec<String>,
    pub preparing: Vec<Preparation>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Preparation {
    pub content: String,
    pub permille: u32,
    pub remaining_ms: u64,
    pub error: String,
}

/// One entry of `/api/streams`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stream {
    pub name: String,
    pub title: String,
    pub run: String,
    pub epoch: u64,
    pub duration_ms: u64,
    /// One multivariant playlist per edge.
    pub playlists: Vec<String>,
    pub poster: Option<String>,
    pub tracks: Vec<Track>,
    pub viewers: u32,
    pub source: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Track {
    pub name: String,
    pub kind: &'static str,
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate: String,
    pub peak_bandwidth: u64,
}

// === impl Topology ===

impl Topology {
    /// Everything at once, as of the last inputs.
    pub fn view(&self, now: Now) -> View {
        View {
            topology: self.roster.topology.clone(),
            epoch: self.roster.epoch,
            now_unix_ms: now.unix_ms,
            members: self
                .roster
                .members
                .iter()
                .map(|entry| self.member_view(entry))
                .collect(),
            links: self.links(),
            streams: self.stream_views(),
            edges: self
                .roster
                .of_role(Role::Edge)
                .map(|entry| Edge {
                    name: entry.name.clone(),
                    url: entry.http.clone(),
                })
                .collect(),
            origins: self.origins(),
            switches: self.switches(),
            plan: self.planning.progress(),
        }
    }

    fn switches(&self) -> Vec<Switch> {
        let reported = self.roster.members.iter().flat_map(|entry| {
            let report = self.members.get(&entry.name).and_then(|m| m.report());
            let switches = report.into_iter().flat_map(|report| &report.switches);
            switches.map(|switch| switch_view(&entry.name, switch))
        });
        let mut switches: Vec<_> = reported.collect();
        switches.sort_by(|a, b| (b.at_unix_ms, &a.member).cmp(&(a.at_unix_ms, &b.member)));
        switches.truncate(SWITCHES);
        switches
    }

    /// The state of one member.
    pub fn state(&self, name: &str) -> Option<State> {
        self.members.get(name).map(|member| member.state())
    }

    fn member_view(&self, entry: &Entry) -> MemberView {
        let member = self.members.get(&entry.name);
        let report = member.and_then(|member| member.report());
        let drain = self.draining(&entry.name);
        let load = report.and_then(|report| report.load).unwrap_or_default();
        MemberView {
            name: entry.name.clone(),
            role: entry.role,
            tier: entry.tier.clone(),
            state: member.map_or(State::Starting, |m| m.state()).as_str(),
            draining: drain.is_some() || report.is_some_and(|report| report.draining),
            drain: drain.map(Drain::as_str),
            http: entry.http.clone(),
            grpc: entry.grpc.clone(),
            pid: report.map_or(0, |report| report.pid),
            load,
            sessions: load.sessions,
            parents: self.planning.parents(&entry.name),
            plan_error: member.and_then(|member| member.plan_error.clone()),
        }
    }

    fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for entry in &self.roster.members {
            let Some(member) = self.members.get(&entry.name) else {
                continue;
            };
            for track in member.report().iter().flat_map(|report| &report.tracks) {
                if track.parent.is_empty() || self.roster.entry(&track.parent).is_none() {
                    continue;
                }
                let ready = member.state() == State::Ready;
                if !ready && !self.is_vouched_for(&entry.name, track) {
                    continue;
                }
                links.push(Link {
                    from: track.parent.clone(),
                    to: entry.name.clone(),
                    stream: track.stream.clone(),
                    track: track.track.clone(),
                    bytes_per_second: if ready {
                        member.bytes_per_second(&track.stream, &track.track)
                    } else {
                        0
                    },
                    state: if ready {
                        flow(track.state())
                    } else {
                        "unknown"
                    },
                });
            }
        }
        links
    }

    /// A silent member still receives a track when its parent says so.
    fn is_vouched_for(&self, member: &str, track: &v1::TrackReport) -> bool {
        self.fresh(&track.parent)
            .into_iter()
            .flat_map(|report| &report.tracks)
            .any(|theirs| {
                theirs.stream == track.stream
                    && theirs.track == track.track
                    && theirs.children.iter().any(|child| child == member)
            })
    }

    /// Names of all streams that are offered or flow.
    pub(super) fn stream_names(&self) -> BTreeSet<&str> {
        let offered = self.known_offers().map(|offer| offer.stream.as_str());
        let flowing = self
            .roster
            .members
            .iter()
            .filter_map(|entry| self.fresh(&entry.name))
            .flat_map(|report| &report.tracks)
            .map(|track| track.stream.as_str());
        offered.chain(flowing).collect()
    }
}

fn switch_view(member: &str, switch: &v1::Switch) -> Switch {
    Switch {
        member: member.to_owned(),
        at_unix_ms: switch.at_unix_ms,
        stream: switch.stream.clone(),
        track: switch.track.clone(),
        from: switch.from.clone(),
        to: switch.to.clone(),
        cause: switch.cause.clone(),
        gap_ms: switch.gap_ms,
        repair_ms: switch.repair_ms,
        origin: switch.origin,
    }
}

/// Enough to explain the repair of a tier; a page shows the first few.
const SWITCHES: usize = 32;

fn flow(state: v1::FlowState) -> &'static str {
    match state {
        v1::FlowState::Unspecified => "idle",
        v1::FlowState::Flowing => "flowing",
        v1::FlowState::Repairing => "repairing",
        v1::FlowState::Stalled => "stalled",
    }
}
