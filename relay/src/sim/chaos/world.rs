//! A random tree, and who watches it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_proto::v1;
use rand::Rng;
use rand::rngs::StdRng;

use super::viewer::Viewer;
use crate::core::Role;
use crate::testing::net::Health;
use crate::testing::origin::Content;
use crate::testing::overlay::Overlay;
use crate::testing::{STREAM, VIDEO, config, peer};

pub(super) struct World {
    pub(super) overlay: Overlay,
    pub(super) origins: Vec<String>,
    pub(super) roots: Vec<String>,
    pub(super) relays: Vec<String>,
    pub(super) edges: Vec<String>,
    /// Ranked parents of relays and edges.
    pub(super) parents: BTreeMap<String, Vec<String>>,
    pub(super) viewers: Vec<Viewer>,
    /// What viewers that left had seen.
    seen: u64,
    /// Members that were told to leave: nobody new comes to them.
    pub(super) leaving: BTreeSet<String>,
    /// Members may be fed by roots and others of the tier above when all their parents are gone.
    pub(super) orphans: bool,
    /// Faults may leave everybody without a path for a moment.
    pub(super) outages: bool,
    /// How often each was started.
    pub(super) boots: BTreeMap<String, u32>,
}

fn names(what: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{what}-{n}")).collect()
}

impl World {
    pub(super) fn random(rng: &mut StdRng, seed: u64) -> World {
        let origins = names("origin", rng.random_range(1..=3));
        let roots = names("root", rng.random_range(1..=3));
        let mut overlay = Overlay::quiet(seed);
        for name in &origins {
            overlay = overlay.with_origin(name, Content::default());
        }
        let list: Vec<&str> = roots.iter().map(String::as_str).collect();
        overlay = overlay.with_roots(&list);
        let orphans = rng.random_bool(0.5);
        let outages = rng.random_bool(0.25);
        let mut parents = BTreeMap::new();
        let mut relays = Vec::new();
        let mut above = roots.clone();
        for tier in 0..rng.random_range(0..=2) {
            let here = names(["near", "far"][tier], rng.random_range(1..=3));
            for (at, name) in here.iter().enumerate() {
                let ranked = ranked(&above, at, rng);
                let config = below(&ranked, orphans.then_some((&roots, &above)));
                overlay = overlay.with_member(name, Role::Relay, config);
                parents.insert(name.clone(), ranked);
            }
            relays.extend(here.clone());
            above = here;
        }
        let edges = names("edge", rng.random_range(1..=6));
        for (at, name) in edges.iter().enumerate() {
            let ranked = ranked(&above, at, rng);
            let config = below(&ranked, orphans.then_some((&roots, &above)));
            overlay = overlay.with_member(name, Role::Edge, config);
            parents.insert(name.clone(), ranked);
        }
        World {
            overlay,
            origins,
            roots,
            relays,
            edges,
            parents,
            viewers: Vec::new(),
            seen: 0,
            leaving: BTreeSet::new(),
            orphans,
            outages,
            boots: BTreeMap::new(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let also = match (self.orphans, self.outages) {
            (false, false) => "",
            (true, false) => "; orphans are taken in",
            (false, true) => "; outages",
            (true, true) => "; orphans are taken in, outages",
        };
        format!(
            "{} feed {} (first {}); parents {:?}{also}",
            self.origins.join(" "),
            self.roots.join(" "),
            self.overlay.roots_in_order()[0],
            self.parents
        )
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &String> {
        self.roots.iter().chain(&self.relays).chain(&self.edges)
    }

    pub(super) fn is_alive(&self, name: &str) -> bool {
        self.overlay.net.health(name) == Some(Health::Alive)
    }

    /// A viewer at most edges, once the stream is offered there.
    pub(super) async fn begin(&mut self, rng: &mut StdRng) {
        for edge in self.edges.clone() {
            self.overlay.offered(&edge).await;
            if rng.random_bool(0.8) {
                self.join(&edge);
            }
        }
        if self.viewers.is_empty() {
            let edge = self.edges[0].clone();
            self.join(&edge);
        }
    }

    fn join(&mut self, edge: &str) {
        let origin = self.overlay.origins[&self.origins[0]].clone();
        let library = self.overlay.library(edge);
        self.viewers.push(Viewer::join(edge, library, origin));
    }

    /// Now and then a viewer joins or leaves.
    pub(super) fn come_and_go(&mut self, rng: &mut StdRng) {
        if !rng.random_bool(0.02) {
            return;
        }
        if self.viewers.len() > 1 && rng.random_bool(0.5) {
            let at = rng.random_range(0..self.viewers.len());
            // One that is in trouble stays to say so.
            if self.viewers[at].trouble().is_none() {
                self.seen += self.viewers.remove(at).seen();
            }
        } else {
            let edge = self.edges[rng.random_range(0..self.edges.len())].clone();
            if self.is_alive(&edge) {
                self.join(&edge);
            }
        }
    }

    pub(super) fn segments_seen(&self) -> u64 {
        self.seen + self.viewers.iter().map(Viewer::seen).sum::<u64>()
    }

    pub(super) fn kill(&mut self, name: &str) {
        self.overlay.kill(name);
        // Its viewers end with it.
        self.viewers.retain(|viewer| viewer.edge != name);
    }

    pub(super) fn boot(&mut self, name: &str) {
        self.overlay.boot(name);
        self.leaving.remove(name);
        *self.boots.entry(name.to_owned()).or_default() += 1;
        if self.edges.iter().any(|edge| edge == name) {
            self.join(name);
        }
    }

    /// A plan turns the order of a member's parents round. False when there is nothing to turn.
    pub(super) fn plan(&mut self, name: &str) -> bool {
        let Some(ranked) = self.parents.get_mut(name) else {
            return false;
        };
        if ranked.len() < 2 || !self.overlay.members.contains_key(name) {
            return false;
        }
        ranked.rotate_left(1);
        let core = &self.overlay.members[name];
        let mut config = v1::Config::clone(&core.config());
        config.parents.rotate_left(1);
        config.generation += 1;
        core.configure(config);
        true
    }

    /// Who feeds the video to a member now, and its path.
    pub(super) fn hop(&self, name: &str) -> Option<(Option<String>, Vec<String>)> {
        let track = self.overlay.members[name].find_track(STREAM, VIDEO)?;
        let state = track.lock();
        state
            .running
            .then(|| (state.hop.parent.clone(), state.hop.path.clone()))
    }

    /// Makes a member believe that it has its next chunk, which it has not.
    pub(super) fn skip_one(&self, name: &str) {
        let track = self.overlay.members[name].find_track(STREAM, VIDEO);
        let Some(track) = track else { return };
        let mut state = track.lock();
        let tip = state.store.tip().cloned().unwrap();
        let (number, part) = if tip.at.part == 5 {
            (tip.at.number + 1, 0)
        } else {
            (tip.at.number, tip.at.part + 1)
        };
        state.store.gap(&v1::Gap {
            run: tip.run,
            from_number: number,
            from_part: part,
            to_number: if part == 5 { number + 1 } else { number },
            to_part: if part == 5 { 0 } else { part + 1 },
            reason: "test".into(),
        });
    }
}

/// The configuration of a relay or an edge; whoever takes orphans in is told of by name.
fn below(ranked: &[String], around: Option<(&Vec<String>, &Vec<String>)>) -> v1::Config {
    let list: Vec<&str> = ranked.iter().map(String::as_str).collect();
    let mut config = config(&[], &list);
    if let Some((roots, above)) = around {
        config.roots = roots.iter().map(|name| peer(name)).collect();
        config.candidates = above.iter().map(|name| peer(name)).collect();
    }
    config
}

/// Up to three of the tier above, each member beginning at another one, as a layout spreads them.
fn ranked(above: &[String], at: usize, rng: &mut StdRng) -> Vec<String> {
    let width = above.len().min(rng.random_range(2..=3));
    (0..width)
        .map(|n| above[(at + n) % above.len()].clone())
        .collect()
}

/// How long a repair may take at each hop: silence, one parent that does not answer, joining.
pub(super) const REPAIR: Duration = Duration::from_secs(3);
