//! The roster of a topology from its pods, and the files that its members fall back to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use banyan_api::model::Topology;
use banyan_api::names;
use banyan_control::layout::{self, Addresses, Facts, Fallback};
use banyan_control::roster::Roster;

use super::Desired;
use super::pod::{Place, Pod};
use super::slots;
use crate::release::{GRPC_PORT, HTTP_PORT};

/// The members that exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed {
    /// With the slots that are taken.
    pub(crate) topology: Option<Topology>,
    /// The pod of each member.
    pub(crate) members: BTreeMap<String, Pod>,
}

impl Placed {
    /// Where everybody is.
    pub(crate) fn addresses(&self) -> BTreeMap<&str, Option<IpAddr>> {
        let members = self.members.iter();
        members.map(|(name, pod)| (name.as_str(), pod.ip)).collect()
    }
}

/// Who is which member: pods with slot and address, and the pod of each content server.
pub(crate) fn place(desired: &Desired, pods: &[&Pod]) -> Placed {
    let mut topology = desired.topology.clone();
    let mut members = BTreeMap::new();
    for tier in &mut topology.tiers {
        let own = pods
            .iter()
            .copied()
            .filter(|pod| matches!(&pod.place, Place::Tier { tier: of, .. } if *of == tier.name));
        let mut taken = Vec::new();
        for (slot, pod) in slots::holders(own) {
            if pod.ip.is_some() {
                taken.push(slot);
                members.insert(names::slot(&tier.name, slot), pod.clone());
            }
        }
        tier.slots = Some(taken);
    }
    for server in &desired.servers {
        let own = pods.iter().filter(|pod| {
            pod.ip.is_some()
                && matches!(&pod.place, Place::Server { server: of } if *of == server.name)
        });
        // There is one; while it is replaced, the one that stays.
        if let Some(pod) = own.max_by_key(|pod| (!pod.leaving, pod.born, &pod.name)) {
            members.insert(server.name.clone(), (*pod).clone());
        }
    }
    Placed {
        topology: Some(topology),
        members,
    }
}

/// What the control plane is told of the members that exist.
pub(crate) fn roster(desired: &Desired, placed: &Placed) -> Result<Roster, layout::Error> {
    let topology = placed.topology.as_ref().unwrap_or(&desired.topology);
    let present = desired.servers.iter();
    let present: Vec<_> = present
        .filter(|server| placed.members.contains_key(&server.name))
        .cloned()
        .collect();
    with_facts(desired, placed, |facts| {
        layout::roster(topology, &present, facts)
    })
}

/// What members start from while the control plane is away.
pub(crate) fn fallback(desired: &Desired, placed: &Placed) -> Fallback {
    let topology = placed.topology.as_ref().unwrap_or(&desired.topology);
    with_facts(desired, placed, |facts| {
        layout::fallback(topology, &desired.servers, facts)
    })
}

fn with_facts<T>(desired: &Desired, placed: &Placed, act: impl FnOnce(&Facts<'_>) -> T) -> T {
    let addresses = Pods {
        members: &placed.members,
        public_url: desired.public_url.as_deref(),
    };
    act(&Facts {
        epoch: desired.epoch,
        addresses: &addresses,
        configs: String::new(),
        media: String::new(),
        caches: BTreeMap::new(),
        record: None,
    })
}

/// Members at their pods' addresses.
struct Pods<'a> {
    members: &'a BTreeMap<String, Pod>,
    public_url: Option<&'a str>,
}

impl Pods<'_> {
    fn address(&self, member: &str, port: u16) -> String {
        let uri = self.members.get(member).and_then(|pod| pod.uri(port));
        // Only members that have an address are laid out.
        uri.map_or_else(String::new, |uri| {
            uri.trim_start_matches("http://").to_owned()
        })
    }
}

impl Addresses for Pods<'_> {
    fn grpc(&self, member: &str) -> String {
        self.address(member, GRPC_PORT)
    }

    fn http(&self, member: &str) -> String {
        self.address(member, HTTP_PORT)
    }

    fn url(&self, member: &str) -> String {
        let edge = names::parse_slot(member).is_some_and(|(tier, _)| tier == names::EDGE);
        match self.public_url.filter(|_| edge) {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.http(member)),
        }
    }

    /// The Service chooses: viewers outside the cluster reach no pod by its address.
    fn steered(&self, _: &str) -> Option<String> {
        None
    }

    fn host(&self, member: &str) -> String {
        let pod = self.members.get(member);
        pod.map_or_else(String::new, |pod| pod.node.clone())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use banyan_api::manifest;
    use banyan_control::roster::Role;

    use super::*;
    use crate::members::pod::tests::pod;

    const MANIFEST: &str = "
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: quay, namespace: harbour}
spec:
  rendezvous: {replicas: 2, fanOut: 4}
  relays: [{name: mid, replicas: 2, fanOut: 4}]
  edge: {replicas: 2}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: dock, namespace: harbour}
spec:
  topology: quay
  contents: [{name: ferry, source: {test: {pattern: bars, duration: 20s}}}]
";

    pub(crate) fn desired() -> Desired {
        let mut valid = manifest::load(&[("quay.yaml", MANIFEST)]).unwrap();
        Desired {
            topology: valid.topologies.remove(0),
            servers: valid.servers,
            epoch: 1_700_000_000,
            accounts: BTreeMap::new(),
            public_url: None,
            autoscale: None,
        }
    }

    pub(crate) fn server(name: &str, ip: &str) -> Pod {
        Pod {
            place: Place::Server {
                server: name.to_owned(),
            },
            account: format!("{name}-origin"),
            ..pod(&format!("{name}-origin-1"), "", ip, None)
        }
    }

    fn rostered(desired: &Desired, pods: &[Pod]) -> Roster {
        let pods: Vec<&Pod> = pods.iter().collect();
        roster(desired, &place(desired, &pods)).unwrap()
    }

    #[test]
    fn the_roster_is_the_pods_with_slot_and_address() {
        let pods = [
            pod("r0", "root", "10.0.0.1", Some(0)),
            pod("r1", "root", "10.0.0.2", Some(1)),
            pod("r2", "root", "10.0.0.3", Some(2)),
            pod("m0", "mid", "10.0.1.1", Some(0)),
            pod("m1", "mid", "", Some(1)),
            pod("e1", "edge", "10.0.2.1", Some(1)),
            pod("e?", "edge", "10.0.2.2", None),
            server("dock", "10.0.3.1"),
            server("stranger", "10.0.3.2"),
        ];
        let roster = rostered(&desired(), &pods);
        let names: Vec<_> = roster.members.iter().map(|entry| &*entry.name).collect();
        assert_eq!(
            names,
            ["dock", "root-0", "root-1", "root-2", "mid-0", "edge-1"]
        );
        let edge = roster.entry("edge-1").unwrap();
        assert_eq!(edge.http, "http://10.0.2.1:8080");
        assert_eq!(edge.config.parents[0].uri, "http://10.0.1.1:7400");
        assert!(
            edge.config.edges.is_empty(),
            "viewers are not steered past the Service"
        );
        let origin = roster.entry("dock").unwrap();
        assert_eq!((origin.role, origin.config.roots.len()), (Role::Origin, 3));
        assert_eq!(roster.epoch, 1_700_000_000);
    }

    #[test]
    fn viewers_are_shown_the_public_address_where_there_is_one() {
        let desired = Desired {
            public_url: Some("https://video.example.org/".to_owned()),
            ..desired()
        };
        let pods = [
            pod("r0", "root", "10.0.0.1", Some(0)),
            pod("e0", "edge", "10.0.2.1", Some(0)),
        ];
        let roster = rostered(&desired, &pods);
        assert_eq!(
            roster.entry("edge-0").unwrap().http,
            "https://video.example.org"
        );
        assert_eq!(roster.entry("root-0").unwrap().http, "http://10.0.0.1:8080");
    }

    #[test]
    fn fallbacks_say_the_same_whatever_the_order_of_pods_and_exist_without_any() {
        let desired = desired();
        let mut pods = vec![
            pod("r0", "root", "10.0.0.1", Some(0)),
            pod("r1", "root", "10.0.0.2", Some(1)),
            pod("m0", "mid", "10.0.1.1", Some(0)),
            server("dock", "10.0.3.1"),
        ];
        let of = |pods: &[Pod]| {
            let pods: Vec<&Pod> = pods.iter().collect();
            fallback(&desired, &place(&desired, &pods))
        };
        let one = of(&pods);
        pods.reverse();
        assert_eq!(of(&pods), one);
        let parents = &one.tiers["edge"].parents;
        let names: Vec<_> = parents.iter().map(|peer| &*peer.name).collect();
        assert_eq!(names, ["mid-0", "root-0", "root-1"]);
        let none = of(&[]);
        assert_eq!(none.servers["dock"].contents.len(), 1);
        assert!(none.tiers["edge"].parents.is_empty() && none.tiers["root"].roots.is_empty());
    }
}
