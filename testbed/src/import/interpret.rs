//! A drawing of anybody's as a manifest: names that fit, values that fit, roles that were listed or guessed.

use std::collections::{BTreeMap, BTreeSet};

use banyan_api::{manifest, names as reserved};

use super::bootstrap::Overlay;
use super::drawing::{Drawing, DrawnLink, DrawnNode};
use super::names::{Names, label};
use super::roles::{NETWORKS, ROUTERS, Roles, SWITCHES};
use super::write::{self, Tier};
use super::{Error, Imported};

pub(super) fn manifest(
    drawing: &Drawing,
    name: &str,
    overlay: Option<&Overlay>,
) -> Result<Imported, Error> {
    super::within("nodes", drawing.nodes.len(), super::MOST_NODES)?;
    super::within("links", drawing.links.len(), MOST_LINKS)?;
    let mut reading = Reading::new(drawing, Roles::of(drawing, overlay));
    let topology = label(name, reserved::MAX_OBJECT_NAME);
    let text = reading.text(&topology);
    let Reading {
        roles,
        mut unmapped,
        ..
    } = reading;
    let mut notes = roles.notes;
    unmapped.splice(0..0, drawing.unmapped.iter().cloned().chain(roles.unmapped));
    if let Err(problems) = manifest::load(&[("the manifest", &text)]) {
        let problems = problems
            .iter()
            .map(|problem| format!("to be mended by hand: {problem}"));
        notes.extend(problems);
    }
    unmapped.dedup();
    Ok(Imported {
        manifest: text,
        unmapped,
        notes,
    })
}

struct Reading<'a> {
    drawing: &'a Drawing,
    roles: Roles,
    /// Of nodes in the drawing; none where a node has no counterpart.
    names: Vec<Option<String>>,
    members: BTreeMap<usize, String>,
    unmapped: Vec<String>,
}

impl<'a> Reading<'a> {
    fn new(drawing: &'a Drawing, roles: Roles) -> Self {
        let mut unmapped = Vec::new();
        let mut given = Names::default();
        let mut ids = BTreeSet::new();
        let mut name = |node: &DrawnNode| {
            if !ids.insert(node.id.clone()) {
                unmapped.push(format!(
                    "node {:?}: its identifier {} is another's",
                    node.name, node.id
                ));
                return None;
            }
            if NETWORKS.contains(&node.model.as_str()) {
                unmapped.push(format!(
                    "node {:?}: an underlay has no {}, accepted are hosts, routers, switches and clients",
                    node.name, node.model
                ));
                return None;
            }
            let name = given.unique(&node.name, LONGEST_NAME);
            let routing = |s: &&String| {
                matches!(
                    s.as_str(),
                    "zebra"
                        | "IPForward"
                        | "DefaultRoute"
                        | "OSPFv2"
                        | "OSPFv3"
                        | "OSPFv3MDR"
                        | "StaticRoute"
                        | "SSH"
                ) || s.starts_with("FRR")
            };
            let others: Vec<&str> = node
                .services
                .iter()
                .filter(|s| !routing(s))
                .map(String::as_str)
                .collect();
            if !others.is_empty() {
                unmapped.push(format!(
                    "node {:?}: services {}",
                    node.name,
                    others.join(", ")
                ));
            }
            Some(name)
        };
        let names = drawing.nodes.iter().map(&mut name).collect();
        let mut reading = Self {
            drawing,
            roles,
            names,
            members: BTreeMap::new(),
            unmapped,
        };
        reading.place();
        reading
    }

    /// Gives members to nodes.
    fn place(&mut self) {
        let mut servers = Names::default();
        for node in &self.roles.servers {
            if let Some(name) = &self.names[*node] {
                let free = name != reserved::CONTROL && reserved::parse_slot(name).is_none();
                let wanted = if free {
                    name.clone()
                } else {
                    format!("server-of-{name}")
                };
                self.members
                    .insert(*node, servers.unique(&wanted, LONGEST_NAME));
            }
        }
        let tiers = self.tiers();
        for (tier, nodes) in tiers {
            for (index, node) in nodes.iter().enumerate() {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                self.members.insert(*node, reserved::slot(&tier, index));
            }
        }
        for node in 0..self.drawing.nodes.len() {
            let model = &self.drawing.nodes[node].model;
            let plain = ["pc", "client", "host", "server"].contains(&model.as_str())
                || ROUTERS.contains(&model.as_str())
                || SWITCHES.contains(&model.as_str());
            if self.names[node].is_some() && !plain && !self.members.contains_key(&node) {
                let name = &self.drawing.nodes[node].name;
                self.unmapped.push(format!(
                    "node {name:?}: model {model:?} is not known; it becomes a Host"
                ));
            }
        }
    }

    /// Tiers from the root down, each with its nodes; interior ones are called `hop`, `hop-b`, ….
    fn tiers(&self) -> Vec<(String, Vec<usize>)> {
        let known = |nodes: &[usize]| -> Vec<usize> {
            let known = nodes.iter().filter(|node| self.names[**node].is_some());
            known.copied().collect()
        };
        let root: Vec<usize> = self.roles.root.into_iter().collect();
        let interior = self.roles.tiers.iter().enumerate();
        let mut tiers = vec![(reserved::ROOT.to_owned(), known(&root))];
        tiers.extend(interior.map(|(depth, nodes)| (format!("hop{}", depth + 1), known(nodes))));
        tiers.push((reserved::EDGE.to_owned(), known(&self.roles.edges)));
        tiers
    }

    fn text(&mut self, topology: &str) -> String {
        let stream = STREAM;
        let tiers: Vec<Tier> = self
            .tiers()
            .into_iter()
            .map(|(name, nodes)| Tier {
                name,
                replicas: nodes.len(),
            })
            .collect();
        let mut out = write::head(topology, &tiers);
        out += &write::neighbors(&self.neighbors());
        out += "  underlay:\n    nodes:\n";
        let offset = offset(self.drawing);
        for (at, node) in self.drawing.nodes.iter().enumerate() {
            let Some(name) = &self.names[at] else {
                continue;
            };
            let member = self.members.get(&at).map(String::as_str);
            let kind = match (member, node.model.as_str()) {
                (Some(_), _) => "Host",
                (None, model) if ROUTERS.contains(&model) => "Router",
                (None, model) if SWITCHES.contains(&model) => "Switch",
                (None, _) if self.roles.clients.contains(&at) => "Client",
                (None, _) => "Host",
            };
            let watches: &[&str] = if kind == "Client" && !self.roles.servers.is_empty() {
                &[stream]
            } else {
                &[]
            };
            let place = node
                .position
                .map(|(x, y)| (pixel(x + offset.0), pixel(y + offset.1)));
            let region = self.drawing.region(node.position);
            out += &write::node(name, kind, place, region, member, watches);
        }
        let links = self.links();
        if !links.is_empty() {
            out += "    links:\n";
            out.extend(links);
        }
        for node in &self.roles.servers {
            if let Some(member) = self.members.get(node) {
                out += &write::server(member, topology, stream);
            }
        }
        out
    }

    fn neighbors(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (one, other) in &self.roles.pairs {
            let members = (self.members.get(one), self.members.get(other));
            let slot = |member: &&String| reserved::parse_slot(member).is_some();
            if let (Some(one), Some(other)) = members
                && [one, other].iter().all(slot)
            {
                all.entry(one).or_default().insert(other);
            }
        }
        all
    }

    fn links(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for link in &self.drawing.links {
            let end = |id: &str| {
                let at = self.drawing.nodes.iter().position(|node| node.id == id)?;
                self.names[at].clone()
            };
            let (one, other) = (end(&link.ends.0), end(&link.ends.1));
            match (one, other) {
                (Some(one), Some(other)) if one != other => {
                    let (line, lost) = write::link(&one, &other, link);
                    lines.push(line);
                    self.unmapped.extend(lost);
                }
                _ => self.unmapped.push(format!(
                    "link {}-{}: it does not join two nodes of the underlay",
                    link.ends.0, link.ends.1
                )),
            }
        }
        lines
    }
}

/// What moves every coordinate to 1 or more: CORE drops a position with a 0.
fn offset(drawing: &Drawing) -> (f64, f64) {
    let least = |of: fn(&(f64, f64)) -> f64| {
        let all = drawing.nodes.iter().filter_map(|node| node.position);
        let least = all.map(|at| of(&at)).fold(1.0, f64::min);
        1.0 - least
    };
    (least(|at| at.0), least(|at| at.1))
}

fn pixel(number: f64) -> u32 {
    number.round().clamp(1.0, 100_000.0) as u32
}

/// The link as the manifest's text has it, for a drawing of our own.
pub(super) fn line(one: &str, other: &str, link: &DrawnLink) -> (String, Vec<String>) {
    write::link(one, other, link)
}

/// The stream of imported servers until somebody names theirs.
const STREAM: &str = "stream";
/// CORE makes names into paths and words of commands.
const LONGEST_NAME: usize = 32;
const MOST_LINKS: usize = 512;
