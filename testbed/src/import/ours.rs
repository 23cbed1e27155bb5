//! Our own export, read back, also after somebody moved things in CORE: the manifest travels in the session, the
//! drawing says what has changed.

use std::collections::BTreeMap;

use banyan_api::manifest::{self, Manifests};
use banyan_api::stream_topology::{Position, Underlay, UnderlayLink, UnderlayNode};

use super::Imported;
use super::drawing::{Drawing, DrawnLink, DrawnNode};
use super::interpret;
use super::names::label;
use super::roles::{ROUTERS, SWITCHES};
use crate::core::{Metadata, Options, model_of};
use crate::model::{self, Lock, Network, NodeKind};

pub(super) use crate::core::METADATA;

/// The manifest of an export; `None` where the drawing is none of ours.
pub(super) fn again(drawing: &Drawing) -> Option<Imported> {
    let metadata: Metadata = serde_json::from_str(drawing.metadata(METADATA)?).ok()?;
    let mut manifests = manifest::parse(&metadata.manifest, "the manifest of the session").ok()?;
    let valid = manifests.validate().ok()?;
    let topology = valid.topologies.first()?;
    let mut servers = valid.servers.clone();
    servers.retain(|server| server.topology == topology.name);
    let (network, _) = model::build(topology, &servers, &Lock::default()).ok()?;
    let mut reading = Reading {
        drawing,
        network: &network,
        given: manifests.topologies.first()?.resource.spec.underlay.clone(),
        unmapped: drawing.unmapped.clone(),
        notes: Vec::new(),
        changed: false,
    };
    let underlay = reading.underlay();
    let (mut notes, unmapped) = (reading.notes, reading.unmapped);
    if !reading.changed {
        notes.push("nothing was changed since the export: the manifest is as it was".to_owned());
        return Some(Imported {
            manifest: metadata.manifest,
            unmapped,
            notes,
        });
    }
    manifests.topologies.first_mut()?.resource.spec.underlay = Some(underlay);
    let text = text(&manifests)?;
    if let Err(problems) = manifest::load(&[("the manifest", &text)]) {
        let problems = problems
            .iter()
            .map(|problem| format!("to be mended by hand: {problem}"));
        notes.extend(problems);
    }
    Some(Imported {
        manifest: text,
        unmapped,
        notes,
    })
}

struct Reading<'a> {
    drawing: &'a Drawing,
    network: &'a Network,
    given: Option<Underlay>,
    unmapped: Vec<String>,
    notes: Vec<String>,
    changed: bool,
}

impl Reading<'_> {
    fn underlay(&mut self) -> Underlay {
        let nodes = self
            .drawing
            .nodes
            .iter()
            .map(|node| self.node(node))
            .collect::<Vec<_>>();
        let noted: Vec<String> = nodes.iter().filter_map(|(_, note)| note.clone()).collect();
        self.changed |= !noted.is_empty();
        self.notes.extend(noted);
        let nodes: Vec<UnderlayNode> = nodes.into_iter().map(|(node, _)| node).collect();
        for lost in &self.network.nodes {
            if !nodes.iter().any(|node| node.name == lost.name) {
                self.changed = true;
                self.notes.push(match &lost.member {
                    Some(member) => format!(
                        "node {:?} is gone, and with it the place of member {member:?}",
                        lost.name
                    ),
                    None => format!("node {:?} is gone", lost.name),
                });
            }
        }
        Underlay {
            nodes,
            links: self.links(),
        }
    }

    /// The node as it was, or as it is drawn now and what is new about it.
    fn node(&self, drawn: &DrawnNode) -> (UnderlayNode, Option<String>) {
        let name = label(&drawn.name, LONGEST_NAME);
        let kind = kind(&drawn.model);
        let place = drawn
            .position
            .map(|(x, y)| (x.round() as i64, y.round() as i64));
        let known = self.network.node(&name);
        let given = self.given.iter().flat_map(|underlay| &underlay.nodes);
        let given = given.into_iter().find(|node| node.name == name);
        let note = match known {
            None => Some(format!("node {name:?} is new")),
            Some(known) if known.kind != kind => Some(format!("node {name:?} is a {kind:?} now")),
            Some(known) => {
                let (x, y) = known.position;
                let moved = place.is_some_and(|now| now != (i64::from(x), i64::from(y)));
                moved.then(|| format!("node {name:?} has moved"))
            }
        };
        if let (Some(given), None) = (given, &note) {
            return (given.clone(), None);
        }
        let coordinate = |number: i64| number.clamp(1, 100_000) as i32;
        let node = UnderlayNode {
            name,
            kind,
            position: place.map(|(x, y)| Position {
                x: coordinate(x),
                y: coordinate(y),
            }),
            region: known.and_then(|known| known.region.clone()),
            member: known
                .filter(|_| kind == NodeKind::Host)
                .and_then(|known| known.member.clone()),
            watches: match known {
                Some(known) if kind == NodeKind::Client => known.watches.clone(),
                _ => Vec::new(),
            },
        };
        (node, note)
    }

    fn links(&mut self) -> Vec<UnderlayLink> {
        let names: BTreeMap<&str, String> = self
            .drawing
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), label(&node.name, LONGEST_NAME)))
            .collect();
        let mut expected: Vec<([&str; 2], DrawnLink)> =
            self.network.links.iter().map(drawn).collect();
        let mut given: Vec<UnderlayLink> = self
            .given
            .iter()
            .flat_map(|underlay| underlay.links.clone())
            .collect();
        let mut links = Vec::new();
        for link in &self.drawing.links {
            let (Some(one), Some(other)) = (names.get(&*link.ends.0), names.get(&*link.ends.1))
            else {
                self.unmapped.push(format!(
                    "link {}-{}: it does not join two nodes",
                    link.ends.0, link.ends.1
                ));
                continue;
            };
            let same_ends = |ends: &[&str; 2]| {
                (ends[0] == one && ends[1] == other) || (ends[0] == other && ends[1] == one)
            };
            let at = expected
                .iter()
                .position(|(ends, known)| same_ends(ends) && same(known, link));
            let original = given.iter().position(|known| match known.ends.as_slice() {
                [a, b] => same_ends(&[a.as_str(), b.as_str()]),
                _ => false,
            });
            match (at, original) {
                (Some(at), Some(original)) => {
                    expected.remove(at);
                    links.push(given.remove(original));
                }
                (at, _) => {
                    match at {
                        // A link that the exporter made.
                        Some(at) => drop(expected.remove(at)),
                        None => {
                            self.changed = true;
                            self.notes
                                .push(format!("link {one}-{other} is new or has other values"));
                        }
                    }
                    let (line, lost) = interpret::line(one, other, link);
                    self.unmapped.extend(lost);
                    // The line is a list of one in YAML.
                    let read: Result<Vec<UnderlayLink>, _> = serde_yaml_ng::from_str(&line);
                    links.extend(read.into_iter().flatten());
                }
            }
        }
        if !expected.is_empty() {
            self.changed = true;
            let gone = expected
                .iter()
                .map(|([one, other], _)| format!("link {one}-{other} is gone or has other values"));
            self.notes.extend(gone);
        }
        links
    }
}

/// A link of the network as a drawing of its export has it.
fn drawn(link: &model::Link) -> ([&str; 2], DrawnLink) {
    let options = Options::of(&link.parameters);
    let mut drawn = DrawnLink::default();
    if !options.are_plain() {
        drawn = DrawnLink {
            ends: Default::default(),
            bandwidth_bps: options.bandwidth,
            delay_us: options.delay,
            jitter_us: options.jitter,
            loss_per_100k: link.parameters.loss_per_100k,
            buffer_packets: options.buffer,
        };
    }
    (
        [link.ends[0].node.as_str(), link.ends[1].node.as_str()],
        drawn,
    )
}

fn same(one: &DrawnLink, other: &DrawnLink) -> bool {
    let values = |link: &DrawnLink| {
        (
            link.bandwidth_bps,
            link.delay_us,
            link.jitter_us,
            link.loss_per_100k,
            link.buffer_packets,
        )
    };
    values(one) == values(other)
}

fn kind(model: &str) -> NodeKind {
    let all = [NodeKind::Router, NodeKind::Host, NodeKind::Client];
    let ours = all.into_iter().find(|kind| model_of(*kind) == Some(model));
    ours.unwrap_or(match model {
        model if SWITCHES.contains(&model) => NodeKind::Switch,
        model if ROUTERS.contains(&model) => NodeKind::Router,
        "pc" => NodeKind::Client,
        _ => NodeKind::Host,
    })
}

/// All objects as YAML documents.
fn text(manifests: &Manifests) -> Option<String> {
    let mut documents = Vec::new();
    for topology in &manifests.topologies {
        documents.push(serde_yaml_ng::to_string(&topology.resource).ok()?);
    }
    for server in &manifests.servers {
        documents.push(serde_yaml_ng::to_string(&server.resource).ok()?);
    }
    Some(documents.join("---\n"))
}

const LONGEST_NAME: usize = 63;
