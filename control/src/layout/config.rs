//! The dynamic configuration of each member: the same message as its file at boot, in Welcome and
//! in plans.

use std::collections::BTreeMap;

use banyan_api::model::{Content, Server, Source, TierKind, Topology};
use banyan_proto::{carrier, v1};

use super::Facts;
use super::parents::may_connect;

pub(super) struct Configs<'a> {
    topology: &'a Topology,
    facts: &'a Facts<'a>,
    parents: BTreeMap<String, Vec<String>>,
}

impl<'a> Configs<'a> {
    pub(super) fn new(
        topology: &'a Topology,
        facts: &'a Facts<'a>,
        parents: BTreeMap<String, Vec<String>>,
    ) -> Self {
        Self {
            topology,
            facts,
            parents,
        }
    }

    pub(super) fn of_server(&self, server: &Server) -> v1::Config {
        v1::Config {
            contents: server.contents.iter().map(content).collect(),
            ..self.common(&server.name)
        }
    }

    pub(super) fn of_relay(&self, name: &str, kind: TierKind) -> v1::Config {
        let max_sessions = match kind {
            TierKind::Edge => self.topology.max_sessions.unwrap_or(0),
            TierKind::Root | TierKind::Interior => 0,
        };
        let edges = match kind {
            TierKind::Edge => self.edges(),
            TierKind::Root | TierKind::Interior => Vec::new(),
        };
        let parents = self.parents.get(name).into_iter().flatten();
        v1::Config {
            parents: parents.map(|parent| self.peer(name, parent)).collect(),
            candidates: self.candidates(name),
            roots: self.roots(name),
            max_sessions,
            edges,
            ..self.common(name)
        }
    }

    /// All edges as viewers reach them.
    fn edges(&self) -> Vec<v1::Peer> {
        let tiers = self.topology.tiers.iter();
        tiers
            .filter(|tier| tier.kind == TierKind::Edge)
            .flat_map(|tier| tier.members())
            .filter_map(|name| {
                let uri = self.facts.addresses.steered(&name)?;
                Some(v1::Peer { name, uri })
            })
            .collect()
    }

    /// Whom a relay measures: its parents, then members of the tiers above from a place of its own, so
    /// that every link between two tiers is known to somebody; and its next siblings, who take it in
    /// when nobody above lives.
    fn candidates(&self, name: &str) -> Vec<v1::Peer> {
        let tiers = &self.topology.tiers;
        let Some(own) = tiers
            .iter()
            .position(|tier| tier.members().any(|m| m == name))
        else {
            return Vec::new();
        };
        let above: Vec<Vec<String>> = tiers[..own].iter().map(|t| t.members().collect()).collect();
        let parents = self.parents.get(name).into_iter().flatten();
        let mut chosen: Vec<&String> = parents
            .filter(|parent| above.iter().flatten().any(|member| member == *parent))
            .collect();
        for members in above.iter().rev().filter(|tier| !tier.is_empty()) {
            let start = (carrier::weight(name, &members[0]) % members.len() as u64) as usize;
            for member in members[start..].iter().chain(&members[..start]) {
                let may = may_connect(self.topology, name, member);
                if may && chosen.len() < CANDIDATES && !chosen.contains(&member) {
                    chosen.push(member);
                }
            }
        }
        let beside: Vec<String> = match own {
            0 => Vec::new(),
            _ => tiers[own].members().collect(),
        };
        let place = beside.iter().position(|member| member == name).unwrap_or(0);
        let (before, after) = beside.split_at(place);
        let next = after.iter().skip(1).chain(before);
        let next = next.filter(|sibling| may_connect(self.topology, name, sibling));
        let next = next.take(SIBLINGS);
        chosen
            .into_iter()
            .chain(next)
            .map(|peer| self.peer(name, peer))
            .collect()
    }

    fn common(&self, member: &str) -> v1::Config {
        let packaging = &self.topology.packaging;
        let selection = &self.topology.selection;
        v1::Config {
            generation: GENERATION,
            topology: self.topology.name.clone(),
            epoch: self.facts.epoch,
            segment_duration_ms: packaging.segment_ms,
            part_duration_ms: packaging.part_ms,
            window_segments: packaging.window_segments,
            heartbeat_interval_ms: selection.heartbeat_interval_ms,
            missed_heartbeats: selection.missed_heartbeats,
            weight_latency: selection.weights.latency,
            weight_loss: selection.weights.loss,
            weight_load: selection.weights.load,
            // 0 on the wire means the default, in a manifest it means none.
            hysteresis_percent: selection.hysteresis_percent.max(1),
            minimum_dwell_ms: selection.minimum_dwell_ms.max(1),
            roots: self.peers(member, |_| true),
            ..Default::default()
        }
    }

    /// Roots that a relay may turn to: all, unless the manifest lists who is connected to whom.
    fn roots(&self, name: &str) -> Vec<v1::Peer> {
        self.peers(name, |root| may_connect(self.topology, name, root))
    }

    fn peers(&self, member: &str, wanted: impl Fn(&str) -> bool) -> Vec<v1::Peer> {
        let roots = self.topology.roots().members();
        roots
            .filter(|root| wanted(root))
            .map(|root| self.peer(member, &root))
            .collect()
    }

    /// `name` as `member` reaches it.
    fn peer(&self, member: &str, name: &str) -> v1::Peer {
        v1::Peer {
            name: name.to_owned(),
            uri: self.facts.addresses.dialled(member, name),
        }
    }
}

fn content(content: &Content) -> v1::Content {
    let source = match &content.source {
        Source::File { path } => v1::content::Source::File(v1::ContentFile { path: path.clone() }),
        Source::Test {
            pattern,
            duration_ms,
        } => v1::content::Source::Test(v1::ContentTest {
            pattern: pattern.as_str().to_owned(),
            duration_ms: *duration_ms,
        }),
    };
    v1::Content {
        name: content.name.clone(),
        title: content.title.clone(),
        renditions: content
            .renditions
            .iter()
            .map(|rendition| v1::Rendition {
                name: rendition.name.clone(),
                height: rendition.height,
                video_bitrate: rendition.video_bitrate_bps,
                audio_bitrate: rendition.audio_bitrate_bps,
            })
            .collect(),
        source: Some(source),
    }
}

/// Measured by each relay: what its parents and their stand-ins need, at less than a kilobyte a second.
const CANDIDATES: usize = 8;

/// The last resort of an orphan: one may be an orphan as well.
const SIBLINGS: usize = 2;

/// Of the configuration a member boots with; what the control plane sends later is higher.
const GENERATION: u64 = 1;
