//! Viewers of a file as actions: who comes when, watches what, and may receive it from whom.

use super::Compiler;
use crate::experiment::chance::Chance;
use crate::experiment::file::{Over, Source, Viewers};
use crate::experiment::problem::Problem;
use crate::experiment::world::{Action, Watch};
use crate::model::{self, Node};

impl Compiler<'_> {
    pub(super) fn viewers(&mut self) {
        let experiment = self.experiment;
        let mut named = 0;
        for (index, group) in experiment.viewers.iter().enumerate() {
            let Some((nodes, stream)) = self.audience(index, group) else {
                continue;
            };
            self.rendition(index, group, &stream);
            let arrivals = self.arrivals(index, group, nodes.len());
            for (turn, at_ms) in arrivals.into_iter().enumerate() {
                named += 1;
                let Some(node) = nodes.get(turn % nodes.len()) else {
                    continue;
                };
                let viewer = format!("viewer-{named}");
                let wanted = match group.from {
                    Source::Edges => self.scene.edges(),
                    Source::Servers => self.scene.offering(&stream),
                };
                let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
                let watch = Watch {
                    viewer: viewer.clone(),
                    node: node.clone(),
                    stream: stream.clone(),
                    sources: model::ranked(self.scene.network, node, &wanted),
                    over: group.over,
                    rendition: group.rendition.clone(),
                };
                self.push(at_ms, Action::StartViewer(watch), false);
                let end = experiment.duration.0;
                let gone = group.stay.map_or(end, |stay| at_ms.saturating_add(stay.0));
                self.push(gone.min(end), Action::StopViewer { viewer }, false);
            }
        }
    }

    /// Nodes that exist, and the stream.
    fn audience(&mut self, index: usize, group: &Viewers) -> Option<(Vec<String>, String)> {
        let what = |field: &str| format!("viewers[{index}].{field}");
        let network = self.scene.network;
        let clients = || network.nodes.iter().filter(|node| !node.watches.is_empty());
        let watches = |node: &Node, stream: &str| node.watches.iter().any(|one| one == stream);
        let mut nodes = Vec::new();
        for (place, name) in group.nodes.iter().enumerate() {
            if !self.host(&what(&format!("nodes[{place}]")), name) {
                return None;
            }
            nodes.push(name.clone());
        }
        let stream = match &group.stream {
            Some(stream) => stream.clone(),
            None => {
                let mut streams: Vec<&String> = clients()
                    .filter(|node| nodes.is_empty() || nodes.contains(&node.name))
                    .flat_map(|node| &node.watches)
                    .collect();
                streams.sort_unstable();
                streams.dedup();
                let [only] = streams[..] else {
                    let value = format!("absent, and the nodes watch {} streams", streams.len());
                    let accepted = "a stream's name, or nodes that all watch one";
                    let problem = Problem::value(&what("stream"), value, accepted);
                    self.problems.push(problem);
                    return None;
                };
                only.clone()
            }
        };
        if self.scene.offering(&stream).is_empty() {
            let servers = self.scene.servers.iter();
            let known = servers.flat_map(|server| &server.contents);
            let known = known.map(|content| content.name.as_str());
            let problem = Problem::unknown(&what("stream"), &stream, "stream", known);
            self.problems.push(problem);
            return None;
        }
        if nodes.is_empty() {
            let watching = clients().filter(|node| watches(node, &stream));
            nodes = watching.map(|node| node.name.clone()).collect();
        }
        if nodes.is_empty() {
            let value = format!("absent, and no node watches {stream:?}");
            let accepted = "names of nodes, or a manifest with watches";
            let problem = Problem::value(&what("nodes"), value, accepted);
            self.problems.push(problem);
            return None;
        }
        Some((nodes, stream))
    }

    /// A rendition that the stream has, where the manifest says which it has.
    fn rendition(&mut self, index: usize, group: &Viewers, stream: &str) {
        let what = format!("viewers[{index}].rendition");
        if group.over == Over::Grpc && group.rendition == ADAPTIVE {
            let accepted = "a rendition's name, lowest or highest over gRPC; adaptive over HLS";
            self.problems
                .push(Problem::value(&what, ADAPTIVE, accepted));
        }
        let contents = self.scene.servers.iter().flat_map(|one| &one.contents);
        let offered = contents.filter(|content| content.name == stream);
        let renditions = offered.flat_map(|content| &content.renditions);
        let mut known: Vec<&str> = renditions.map(|one| one.name.as_str()).collect();
        if known.is_empty() {
            return;
        }
        known.extend(["lowest", "highest", ADAPTIVE]);
        if !known.contains(&group.rendition.as_str()) {
            let problem = Problem::unknown(&what, &group.rendition, "rendition", known);
            self.problems.push(problem);
        }
    }

    fn arrivals(&mut self, index: usize, group: &Viewers, nodes: usize) -> Vec<u64> {
        let until = group.until.unwrap_or(self.experiment.duration).0;
        let until = until.min(self.experiment.duration.0);
        let mut chance = Chance::of(self.seed, &format!("viewers {index}"));
        let spaced = group.every.is_some() || group.poisson.is_some();
        let count = match (group.count, spaced) {
            (Some(count), _) => count as usize,
            (None, true) => MOST,
            (None, false) => nodes,
        };
        let mut arrivals = Vec::new();
        let mut now = group.at.0;
        while arrivals.len() < count && now < until {
            arrivals.push(now);
            now += match (group.every, group.poisson) {
                (Some(every), _) => every.0,
                (None, Some(mean)) => chance.wait(mean.0),
                (None, None) => 0,
            };
        }
        let short = group.count.filter(|_| arrivals.len() < count);
        if let (Some(wanted), None) = (short, group.poisson) {
            let value = format!(
                "{wanted}, of whom {} come before {until} ms",
                arrivals.len()
            );
            let what = format!("viewers[{index}].count");
            let accepted = "as many as have time to come";
            self.problems.push(Problem::value(&what, value, accepted));
        }
        arrivals
    }
}

/// A viewer that changes renditions.
const ADAPTIVE: &str = "adaptive";

/// Viewers of one group that nobody counted.
const MOST: usize = 1_000;
