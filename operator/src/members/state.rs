//! Everything that is known of members, under one lock; nothing awaits here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_control::layout::Fallback;
use banyan_control::service::{Handle, Service, Settings};
use banyan_control::topology::Limits;
use k8s_openapi::api::core::v1 as core;
use tokio_util::sync::CancellationToken;

use super::observed::{self, Observed, Transitions};
use super::place::{self, Placed};
use super::pod::{Owner, Place, Pod};
use super::{Desired, slots};
use crate::autoscale::Rule;

/// Namespace and name.
pub(crate) type Key = (String, String);

#[derive(Default)]
pub(crate) struct State {
    desired: BTreeMap<Key, Desired>,
    pods: BTreeMap<Key, Pod>,
    /// Names of the pods of a topology or content server.
    owned: BTreeMap<(String, Owner), BTreeSet<String>>,
    /// The pods have been listed.
    synced: bool,
    term: Option<u64>,
    leader: Option<String>,
    served: BTreeMap<Key, Served>,
    /// Slots given and not yet seen on their pods, by UID.
    promised: BTreeMap<String, u32>,
    /// Topologies whose pods may need slots.
    unslotted: BTreeSet<Key>,
    transitions: BTreeMap<Key, Transitions>,
    /// Topologies whose members are other ones than listeners were told of.
    moved: BTreeSet<Key>,
}

/// A topology that members attach to here.
pub(crate) struct Served {
    pub(crate) handle: Handle,
    pub(crate) router: axum::Router,
    pub(crate) placed: Placed,
    /// Why the roster could not follow the pods.
    problem: Option<String>,
    shutdown: CancellationToken,
}

/// A pod, and what its member is called.
pub(crate) enum Found {
    /// Its member stands in this topology.
    Member { name: String, topology: Handle },
    /// It is one of ours, and will be somebody soon: what is missing.
    Soon(String),
    /// It is nobody: why.
    Nobody(String),
}

/// What is to be written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Due {
    pub(crate) slots: Vec<(Pod, u32)>,
    pub(crate) drains: Vec<Pod>,
}

impl State {
    pub(crate) fn set_topology(&mut self, key: Key, desired: Option<Desired>) {
        let changed = self.desired.get(&key) != desired.as_ref();
        match desired {
            Some(desired) => {
                self.desired.insert(key.clone(), desired);
            }
            None => {
                self.desired.remove(&key);
                self.transitions.remove(&key);
            }
        }
        if changed {
            self.refresh(&key);
        }
    }

    pub(crate) fn set_pods(&mut self, pods: Vec<Pod>) {
        let before = std::mem::take(&mut self.pods);
        self.owned.clear();
        for pod in pods {
            let key = (pod.namespace.clone(), pod.name.clone());
            self.insert(pod, before.get(&key));
        }
        let present: BTreeSet<&String> = self.pods.values().map(|pod| &pod.uid).collect();
        self.promised.retain(|uid, _| present.contains(uid));
        self.synced = true;
        self.refresh_all();
    }

    pub(crate) fn see_pod(&mut self, pod: &core::Pod) {
        match Pod::read(pod) {
            Some(pod) => {
                let key = (pod.namespace.clone(), pod.name.clone());
                let before = self.remove(&key);
                let after = self.insert(pod, before.as_ref());
                if before.as_ref() != Some(&after) {
                    self.refresh_owner(&after.namespace, &after.place.owner());
                    if let Some(before) = before.filter(|pod| pod.place != after.place) {
                        self.refresh_owner(&before.namespace, &before.place.owner());
                    }
                }
            }
            None => self.forget_pod(pod),
        }
    }

    pub(crate) fn forget_pod(&mut self, pod: &core::Pod) {
        let meta = &pod.metadata;
        let key = (
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        );
        // Another pod may have the name by now.
        let same = |held: &Pod| meta.uid.as_deref().is_none_or(|uid| uid == held.uid);
        if !self.pods.get(&key).is_some_and(same) {
            return;
        }
        if let Some(pod) = self.remove(&key) {
            self.promised.remove(&pod.uid);
            self.refresh_owner(&pod.namespace, &pod.place.owner());
        }
    }

    /// Returns the pod as it is kept.
    fn insert(&mut self, mut pod: Pod, before: Option<&Pod>) -> Pod {
        if let Some(before) = before.filter(|before| before.uid == pod.uid) {
            // A slot is given once: an event from before that does not take it back.
            pod.slot = pod.slot.or(before.slot);
        }
        let owner = (pod.namespace.clone(), pod.place.owner());
        self.owned
            .entry(owner)
            .or_default()
            .insert(pod.name.clone());
        self.pods
            .insert((pod.namespace.clone(), pod.name.clone()), pod.clone());
        pod
    }

    fn remove(&mut self, key: &Key) -> Option<Pod> {
        let pod = self.pods.remove(key)?;
        let owner = (pod.namespace.clone(), pod.place.owner());
        if let Some(names) = self.owned.get_mut(&owner) {
            names.remove(&pod.name);
            if names.is_empty() {
                self.owned.remove(&owner);
            }
        }
        Some(pod)
    }

    /// Who leads has changed, or nothing has.
    pub(crate) fn lead(&mut self, term: Option<u64>, leader: Option<String>) {
        self.leader = leader;
        if self.term == term {
            return;
        }
        self.term = term;
        // Another term is another control plane.
        for (_, served) in std::mem::take(&mut self.served) {
            served.shutdown.cancel();
        }
        self.transitions.clear();
        self.refresh_all();
    }

    pub(crate) fn is_leading(&self) -> bool {
        self.term.is_some()
    }

    pub(crate) fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    fn refresh_all(&mut self) {
        let keys: Vec<Key> = self.desired.keys().cloned().collect();
        for key in keys {
            self.refresh(&key);
        }
    }

    fn refresh_owner(&mut self, namespace: &str, owner: &Owner) {
        match owner {
            Owner::Topology(name) => self.refresh(&(namespace.to_owned(), name.clone())),
            Owner::Server(server) => {
                let fed: Vec<Key> = self
                    .desired
                    .iter()
                    .filter(|((of, _), _)| of == namespace)
                    .filter(|(_, desired)| desired.servers.iter().any(|s| s.name == *server))
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in fed {
                    self.refresh(&key);
                }
            }
        }
    }

    /// Something about a topology has changed: its members are told of each other anew.
    fn refresh(&mut self, key: &Key) {
        let Some(desired) = self.desired.get(key) else {
            if let Some(served) = self.served.remove(key) {
                served.shutdown.cancel();
            }
            return;
        };
        let (Some(term), true) = (self.term, self.synced) else {
            return;
        };
        self.unslotted.insert(key.clone());
        let placed = place::place(desired, &self.pods_of(key, desired));
        let roster = place::roster(desired, &placed);
        match (roster, self.served.get_mut(key)) {
            (Ok(roster), Some(served)) => {
                served.handle.set_roster(roster);
                if served.placed.addresses() != placed.addresses() {
                    // What members fall back to says where the others are.
                    self.moved.insert(key.clone());
                }
                (served.placed, served.problem) = (placed, None);
            }
            (Ok(roster), None) => {
                let shutdown = CancellationToken::new();
                let settings = Settings {
                    roster,
                    term,
                    limits: Limits::default(),
                    // Who may drain a member is who may annotate its pod.
                    changes: false,
                };
                let service = Service::new(settings, shutdown.clone());
                let served = Served {
                    handle: service.handle(),
                    router: service.router(),
                    placed,
                    problem: None,
                    shutdown,
                };
                self.served.insert(key.clone(), served);
                // Ends with its shutdown.
                tokio::spawn(async move { service.publish().await });
            }
            (Err(error), served) => {
                tracing::warn!(namespace = key.0, topology = key.1, %error, "members are not told of each other");
                if let Some(served) = served {
                    served.problem = Some(error.to_string());
                }
            }
        }
    }

    fn pods_of(&self, key: &Key, desired: &Desired) -> Vec<&Pod> {
        let servers = desired
            .servers
            .iter()
            .map(|server| Owner::Server(server.name.clone()));
        let owners = std::iter::once(Owner::Topology(key.1.clone())).chain(servers);
        owners
            .filter_map(|owner| self.owned.get(&(key.0.clone(), owner)))
            .flatten()
            .filter_map(|name| self.pods.get(&(key.0.clone(), name.clone())))
            .collect()
    }

    pub(crate) fn fallback(&self, key: &Key) -> Fallback {
        let Some(desired) = self.desired.get(key) else {
            return Fallback::default();
        };
        let placed = place::place(desired, &self.pods_of(key, desired));
        place::fallback(desired, &placed)
    }

    pub(crate) fn observed(&self, key: &Key) -> Observed {
        let Some(desired) = self.desired.get(key) else {
            return Observed::default();
        };
        let pods = self.pods_of(key, desired);
        match self.served.get(key) {
            Some(served) => {
                let observed = served.handle.read(|topology, now| {
                    observed::observe(desired, &served.placed, &pods, Some((topology, now)))
                });
                Observed {
                    problem: served.problem.clone(),
                    ..observed
                }
            }
            None => {
                let placed = place::place(desired, &pods);
                observed::observe(desired, &placed, &pods, None)
            }
        }
    }

    /// Topologies of which something new is to be shown.
    pub(crate) fn news(&mut self, at: Duration) -> BTreeSet<Key> {
        let keys: Vec<Key> = self.served.keys().cloned().collect();
        let mut news = std::mem::take(&mut self.moved);
        for key in keys {
            let observed = self.observed(&key);
            if self
                .transitions
                .entry(key.clone())
                .or_default()
                .is_news(&observed, at)
            {
                news.insert(key);
            }
        }
        news
    }

    /// What the leader has to write; slots are promised by being told here.
    pub(crate) fn due(&mut self) -> Due {
        let mut due = Due::default();
        if self.term.is_none() || !self.synced {
            return due;
        }
        for key in std::mem::take(&mut self.unslotted) {
            let Some(desired) = self.desired.get(&key) else {
                continue;
            };
            for tier in &desired.topology.tiers {
                let of_tier = |pod: &&Pod| matches!(&pod.place, Place::Tier { tier: of, .. } if *of == tier.name);
                let pods: Vec<&Pod> = self
                    .pods_of(&key, desired)
                    .into_iter()
                    .filter(of_tier)
                    .collect();
                let given = slots::assign(pods.iter().copied(), &self.promised);
                for pod in pods {
                    if let Some(slot) = given.get(&pod.uid) {
                        due.slots.push((pod.clone(), *slot));
                    }
                }
            }
        }
        for (pod, slot) in &due.slots {
            self.promised.insert(pod.uid.clone(), *slot);
        }
        due.drains = self
            .pods
            .values()
            .filter(|pod| pod.drain && !pod.leaving)
            .cloned()
            .collect();
        due
    }

    /// A slot could not be written: it is tried again.
    pub(crate) fn retry(&mut self, pod: &Pod) {
        if let Place::Tier { topology, .. } = &pod.place {
            self.unslotted
                .insert((pod.namespace.clone(), topology.clone()));
        }
    }

    /// The member that a pod is; `account` is what its token says.
    pub(crate) fn find(&self, namespace: &str, pod: &str, uid: &str, account: &str) -> Found {
        let key = (namespace.to_owned(), pod.to_owned());
        let Some(pod) = self.pods.get(&key).filter(|held| held.uid == uid) else {
            return Found::Soon(format!(
                "pod {pod:?} of namespace {namespace:?} is not known as a member"
            ));
        };
        let (topology, unit) = match &pod.place {
            Place::Tier { topology, tier } => (Some(topology.clone()), tier),
            Place::Server { server } => {
                let feeds = |desired: &Desired| desired.servers.iter().any(|s| s.name == *server);
                let fed = self.desired.iter();
                let fed = fed.filter(|((of, _), desired)| of == namespace && feeds(desired));
                (fed.map(|((_, name), _)| name.clone()).next(), server)
            }
        };
        let known = topology.map(|name| (namespace.to_owned(), name));
        let known = known.and_then(|key| Some((self.desired.get(&key)?, key)));
        let Some((desired, key)) = known else {
            return Found::Soon(format!(
                "the topology of pod {:?} is not known yet",
                pod.name
            ));
        };
        let expected = desired
            .accounts
            .get(unit)
            .cloned()
            .unwrap_or_else(|| match &pod.place {
                Place::Tier { topology, tier } => format!("{topology}-{tier}"),
                Place::Server { server } => format!("{server}-origin"),
            });
        if account != expected || pod.account != expected {
            return Found::Nobody(format!(
                "pod {:?} runs as service account {account:?}; members of {unit:?} run as {expected:?}",
                pod.name
            ));
        }
        let Some(served) = self.served.get(&key) else {
            return Found::Soon(format!("topology {:?} is not served yet", key.1));
        };
        let member = served
            .placed
            .members
            .iter()
            .find(|(_, held)| held.uid == uid);
        match member {
            Some((name, _)) => Found::Member {
                name: name.clone(),
                topology: served.handle.clone(),
            },
            None => Found::Soon(format!("pod {:?} has no slot yet", pod.name)),
        }
    }

    pub(crate) fn scaled(&self) -> Vec<(Key, Rule, u32)> {
        let served = self.served.keys();
        let scaled = served.filter_map(|key| {
            let desired = self.desired.get(key)?;
            Some((
                key.clone(),
                desired.autoscale?,
                desired.topology.edges().replicas,
            ))
        });
        scaled.collect()
    }

    pub(crate) fn served(&self, key: &Key) -> Option<&Served> {
        self.served.get(key)
    }

    pub(crate) fn all_served(&self) -> impl Iterator<Item = (&Key, &Served)> {
        self.served.iter()
    }
}
