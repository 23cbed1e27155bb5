//! Checked objects to the values the rest of the code sees.

use std::collections::{BTreeMap, BTreeSet};

use super::across::problem;
use super::{Place, namespace, unsupported};
use crate::content_server::{self, ContentServer};
use crate::manifest::{Kind, Located, Manifests, Problem, Unsupported, Validated};
use crate::model::{
    Content, Node, Packaging, Rendition, Selection, Server, Source, Tier, TierKind, Topology,
    Underlay, UnderlayLink, Weights,
};
use crate::names::{EDGE, ROOT};
use crate::quantity::{BitRate, ByteSize, LinkDelay, Percentage, QuantityError, TimeSpan};
use crate::stream_topology::{self, Overlay, OverlayStrategy, StreamTopology, StreamTopologySpec};

/// Resolves objects that passed every check. Problems here mean that a check let a value through.
pub(crate) fn resolve(manifests: &Manifests) -> Result<Validated, Vec<Problem>> {
    let mut out = Validated {
        topologies: vec![],
        servers: vec![],
        unsupported: vec![],
        notes: vec![],
    };
    let mut problems = Vec::new();
    for Located { file, resource } in &manifests.topologies {
        let name = resource.metadata.name.clone().unwrap_or_default();
        let remarks = unsupported::of_topology(&resource.spec, Place::Local);
        out.unsupported.extend(
            remarks
                .into_iter()
                .map(|(field, message, effect)| Unsupported {
                    problem: problem(file, Kind::StreamTopology, &name, &field, message),
                    effect,
                }),
        );
        match topology(resource, &name) {
            Ok(topology) => out.topologies.push(topology),
            Err(error) => problems.push(problem(
                file,
                Kind::StreamTopology,
                &name,
                "",
                error.to_string(),
            )),
        }
        if !manifests
            .servers
            .iter()
            .any(|s| feeds(&s.resource, resource))
        {
            let message = "has no ContentServer that feeds it; nothing will be carried".to_owned();
            out.notes
                .push(problem(file, Kind::StreamTopology, &name, "", message));
        }
    }
    for Located { file, resource } in &manifests.servers {
        let name = resource.metadata.name.clone().unwrap_or_default();
        let remarks = unsupported::of_server(&resource.spec, Place::Local);
        out.unsupported.extend(
            remarks
                .into_iter()
                .map(|(field, message, effect)| Unsupported {
                    problem: problem(file, Kind::ContentServer, &name, &field, message),
                    effect,
                }),
        );
        match server(resource, &name) {
            Ok(server) => out.servers.push(server),
            Err(error) => problems.push(problem(
                file,
                Kind::ContentServer,
                &name,
                "",
                error.to_string(),
            )),
        }
    }
    out.notes.extend(unequal_offers(manifests));
    if problems.is_empty() {
        Ok(out)
    } else {
        Err(problems)
    }
}

fn feeds(server: &ContentServer, topology: &StreamTopology) -> bool {
    topology.metadata.name.as_deref() == Some(server.spec.topology.as_str())
        && namespace(&server.metadata) == namespace(&topology.metadata)
}

/// Servers that offer one stream in different shapes: allowed, but a switch between them is then not exact.
fn unequal_offers(manifests: &Manifests) -> Vec<Problem> {
    let mut first: BTreeMap<(&str, &str, &str), (&str, &content_server::Content)> = BTreeMap::new();
    let mut notes = Vec::new();
    for Located { file, resource } in &manifests.servers {
        let name = resource.metadata.name.as_deref().unwrap_or_default();
        for (index, content) in resource.spec.contents.iter().enumerate() {
            let key = (
                namespace(&resource.metadata),
                resource.spec.topology.as_str(),
                content.name.as_str(),
            );
            let (other, offered) = *first.entry(key).or_insert((name, content));
            if offered.source != content.source || offered.renditions != content.renditions {
                let message = format!(
                    "offers \"{}\" with another source or other renditions than \"{other}\"; a switch between them will not be exact",
                    content.name
                );
                notes.push(problem(
                    file,
                    Kind::ContentServer,
                    name,
                    &format!("spec.contents[{index}]"),
                    message,
                ));
            }
        }
    }
    notes
}

pub(super) fn topology(resource: &StreamTopology, name: &str) -> Result<Topology, QuantityError> {
    let spec = &resource.spec;
    let weights = &spec.origin_selection.weights;
    Ok(Topology {
        name: name.to_owned(),
        namespace: namespace(&resource.metadata).to_owned(),
        packaging: Packaging {
            segment_ms: millis(&spec.packaging.segment_duration)?,
            part_ms: millis(&spec.packaging.part_duration)?,
            window_segments: unsigned(spec.packaging.window),
        },
        selection: Selection {
            weights: Weights {
                latency: unsigned(weights.latency),
                loss: unsigned(weights.loss),
                load: unsigned(weights.load),
            },
            heartbeat_interval_ms: millis(&spec.origin_selection.heartbeat_interval)?,
            missed_heartbeats: unsigned(spec.origin_selection.missed_heartbeats),
            hysteresis_percent: unsigned(spec.origin_selection.hysteresis_percent),
            minimum_dwell_ms: millis(&spec.origin_selection.minimum_dwell)?,
        },
        tiers: tiers(spec),
        max_sessions: spec.edge.max_sessions.map(unsigned),
        neighbors: neighbors(&spec.overlay),
        underlay: spec.underlay.as_ref().map(underlay).transpose()?,
    })
}

/// Listed from either side, it holds from both.
fn neighbors(overlay: &Overlay) -> Option<BTreeMap<String, BTreeSet<String>>> {
    if overlay.strategy != OverlayStrategy::Neighbors {
        return None;
    }
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in &overlay.neighbors {
        for peer in &entry.peers {
            for (one, other) in [(&entry.member, peer), (peer, &entry.member)] {
                all.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    Some(all)
}

fn underlay(underlay: &stream_topology::Underlay) -> Result<Underlay, QuantityError> {
    let links = underlay.links.iter().filter_map(|link| {
        let [one, other] = link.ends.as_slice() else {
            return None;
        };
        Some((link, (one.clone(), other.clone())))
    });
    let micros = |delay: &Option<LinkDelay>| delay.as_ref().map_or(Ok(0), LinkDelay::micros);
    Ok(Underlay {
        nodes: underlay.nodes.iter().map(node).collect(),
        links: links
            .map(|(link, ends)| {
                Ok(UnderlayLink {
                    ends,
                    bandwidth_bps: link
                        .bandwidth
                        .as_ref()
                        .map(BitRate::bits_per_second)
                        .transpose()?,
                    delay_us: micros(&link.delay)?,
                    jitter_us: micros(&link.jitter)?,
                    loss_per_100k: link
                        .loss
                        .as_ref()
                        .map_or(Ok(0), Percentage::per_hundred_thousand)?,
                    buffer_bytes: link.buffer.as_ref().map(ByteSize::bytes).transpose()?,
                })
            })
            .collect::<Result<_, QuantityError>>()?,
    })
}

fn node(node: &stream_topology::UnderlayNode) -> Node {
    let position = node.position.as_ref();
    Node {
        name: node.name.clone(),
        kind: node.kind,
        position: position.map(|at| (unsigned(at.x), unsigned(at.y))),
        region: node.region.clone(),
        member: node.member.clone(),
        watches: node.watches.clone(),
    }
}

fn tiers(spec: &StreamTopologySpec) -> Vec<Tier> {
    let root = Tier {
        name: ROOT.to_owned(),
        kind: TierKind::Root,
        replicas: unsigned(spec.rendezvous.replicas),
        fan_out: unsigned(spec.rendezvous.fan_out),
        slots: None,
    };
    let edge = Tier {
        name: EDGE.to_owned(),
        kind: TierKind::Edge,
        replicas: unsigned(spec.edge.replicas),
        fan_out: 0,
        slots: None,
    };
    let interior = spec.relays.iter().map(|tier| Tier {
        name: tier.name.clone(),
        kind: TierKind::Interior,
        replicas: unsigned(tier.replicas),
        fan_out: unsigned(tier.fan_out),
        slots: None,
    });
    std::iter::once(root)
        .chain(interior)
        .chain(std::iter::once(edge))
        .collect()
}

pub(super) fn server(resource: &ContentServer, name: &str) -> Result<Server, QuantityError> {
    Ok(Server {
        name: name.to_owned(),
        namespace: namespace(&resource.metadata).to_owned(),
        topology: resource.spec.topology.clone(),
        contents: resource
            .spec
            .contents
            .iter()
            .filter_map(|content| self::content(content).transpose())
            .collect::<Result<_, _>>()?,
    })
}

/// `None` for sources that are reported as unsupported.
fn content(content: &content_server::Content) -> Result<Option<Content>, QuantityError> {
    let source = match (&content.source.file, &content.source.test) {
        (Some(file), _) => Source::File {
            path: file.path.clone(),
        },
        (None, Some(test)) => Source::Test {
            pattern: test.pattern,
            duration_ms: test.duration.millis()?,
        },
        (None, None) => return Ok(None),
    };
    let renditions = content
        .renditions
        .iter()
        .map(rendition)
        .collect::<Result<_, _>>()?;
    let title = content
        .title
        .clone()
        .unwrap_or_else(|| content.name.clone());
    Ok(Some(Content {
        name: content.name.clone(),
        title,
        source,
        renditions,
    }))
}

fn rendition(rendition: &content_server::Rendition) -> Result<Rendition, QuantityError> {
    let height = unsigned(rendition.height);
    let video_bitrate_bps = match &rendition.video_bitrate {
        Some(rate) => rate.bits_per_second()?,
        None => default_video_bitrate(height),
    };
    let audio_bitrate_bps = rendition.audio_bitrate.bits_per_second()?;
    Ok(Rendition {
        name: rendition.name.clone(),
        height,
        video_bitrate_bps,
        audio_bitrate_bps,
    })
}

/// Rates at which H.264 at 25 to 30 frames per second looks clean at each height; the cap of a capped-quality encode,
/// so a still picture uses far less.
fn default_video_bitrate(height: u32) -> u64 {
    const STEPS: [(u32, u64); 7] = [
        (240, 400_000),
        (360, 800_000),
        (480, 1_400_000),
        (720, 2_800_000),
        (1080, 5_000_000),
        (1440, 9_000_000),
        (2160, 16_000_000),
    ];
    STEPS
        .iter()
        .find(|(up_to, _)| height <= *up_to)
        .map_or(40_000_000, |(_, rate)| *rate)
}

fn millis(span: &TimeSpan) -> Result<u32, QuantityError> {
    // Every span of the spec has an upper bound of at most an hour by its CEL rule.
    Ok(u32::try_from(span.millis()?).unwrap_or(u32::MAX))
}

fn unsigned(number: i32) -> u32 {
    // Every number of the spec has a minimum of zero or more in the schema.
    u32::try_from(number).unwrap_or(0)
}
