//! What is known of one pod: the few facts that make it a member, taken from the watched object.

use std::collections::BTreeMap;
use std::net::IpAddr;

use banyan_api::{annotations, labels};
use k8s_openapi::api::core::v1 as core;

/// A pod that the operator made for a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// Unix seconds of its creation.
    pub(crate) born: i64,
    pub(crate) place: Place,
    pub(crate) account: String,
    pub(crate) node: String,
    pub(crate) ip: Option<IpAddr>,
    /// As its annotation says; the truth after a restart of the operator.
    pub(crate) slot: Option<u32>,
    /// Its Ready condition.
    pub(crate) ready: bool,
    /// It has been told to go.
    pub(crate) leaving: bool,
    /// Somebody asks that it drains.
    pub(crate) drain: bool,
}

/// What a pod is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A relay of a tier.
    Tier { topology: String, tier: String },
    /// The one pod of a content server.
    Server { server: String },
}

impl Place {
    /// Who is told of the pod: `tier/<topology>` or `server/<name>`.
    pub(crate) fn owner(&self) -> Owner {
        match self {
            Place::Tier { topology, .. } => Owner::Topology(topology.clone()),
            Place::Server { server } => Owner::Server(server.clone()),
        }
    }
}

/// Whose pods are looked for together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Topology(String),
    Server(String),
}

impl Pod {
    /// `None` for pods that are nobody's member, or that have ended.
    pub(crate) fn read(pod: &core::Pod) -> Option<Pod> {
        let meta = &pod.metadata;
        let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref());
        let empty = BTreeMap::new();
        let labelled = meta.labels.as_ref().unwrap_or(&empty);
        let annotated = meta.annotations.as_ref().unwrap_or(&empty);
        let phase = status.and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            return None;
        }
        let place = match (
            labelled.get(labels::CONTENT_SERVER),
            labelled.get(labels::TOPOLOGY),
            labelled.get(labels::TIER),
        ) {
            (Some(server), _, None) => Place::Server {
                server: server.clone(),
            },
            (None, Some(topology), Some(tier)) => Place::Tier {
                topology: topology.clone(),
                tier: tier.clone(),
            },
            _ => return None,
        };
        let conditions = status.and_then(|status| status.conditions.as_ref());
        let ready = conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let slot = annotated.get(annotations::SLOT);
        Some(Pod {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            born: meta
                .creation_timestamp
                .as_ref()
                .map_or(0, |time| time.0.as_second()),
            place,
            account: spec
                .service_account_name
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            node: spec.node_name.clone().unwrap_or_default(),
            ip: status
                .and_then(|status| status.pod_ip.as_ref())
                .and_then(|ip| ip.parse().ok()),
            slot: slot
                .and_then(|slot| slot.parse().ok())
                .filter(|slot| *slot < MOST_SLOTS),
            ready,
            leaving: meta.deletion_timestamp.is_some(),
            drain: annotated.contains_key(annotations::DRAIN),
        })
    }

    /// URI of a port of it.
    pub(crate) fn uri(&self, port: u16) -> Option<String> {
        let address = std::net::SocketAddr::new(self.ip?, port);
        Some(format!("http://{address}"))
    }
}

/// A slot that nobody could have been given was written by somebody else.
const MOST_SLOTS: u32 = 100_000;

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A pod with an address, ready, for tests: `edge-a` of tier `edge` of `quay`.
    pub(crate) fn pod(name: &str, tier: &str, ip: &str, slot: Option<u32>) -> Pod {
        Pod {
            namespace: "harbour".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            born: 100,
            place: Place::Tier {
                topology: "quay".to_owned(),
                tier: tier.to_owned(),
            },
            account: format!("quay-{tier}"),
            node: "node-a".to_owned(),
            ip: ip.parse().ok(),
            slot,
            ready: true,
            leaving: false,
            drain: false,
        }
    }

    fn object(change: impl FnOnce(&mut serde_json::Value)) -> core::Pod {
        let mut pod = json!({
            "metadata": {
                "name": "quay-edge-7f-x", "namespace": "harbour", "uid": "u-1",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "labels": {"banyan.media/topology": "quay", "banyan.media/tier": "edge"},
                "annotations": {"banyan.media/slot": "3"},
            },
            "spec": {"serviceAccountName": "quay-edge", "nodeName": "node-a", "containers": []},
            "status": {
                "phase": "Running", "podIP": "fd00::7",
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        });
        change(&mut pod);
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn facts_are_those_of_the_object() {
        let pod = Pod::read(&object(|_| {})).unwrap();
        assert_eq!(pod.slot, Some(3));
        assert_eq!(pod.uri(7400).unwrap(), "http://[fd00::7]:7400");
        assert!(pod.ready && !pod.leaving && !pod.drain);
        assert_eq!((&*pod.account, &*pod.node), ("quay-edge", "node-a"));
    }

    #[test]
    fn pods_that_ended_or_belong_to_nobody_are_no_members() {
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(
                Pod::read(&object(|pod| pod["status"]["phase"] = json!(phase))),
                None
            );
        }
        assert_eq!(
            Pod::read(&object(|pod| pod["metadata"]["labels"] = json!({}))),
            None
        );
        let both = |pod: &mut serde_json::Value| {
            pod["metadata"]["labels"]["banyan.media/content-server"] = json!("dock");
        };
        assert_eq!(Pod::read(&object(both)), None, "of a tier and of a server");
        let server = |pod: &mut serde_json::Value| {
            pod["metadata"]["labels"] =
                json!({"banyan.media/content-server": "dock", "banyan.media/topology": "quay"});
        };
        let place = Pod::read(&object(server)).unwrap().place;
        assert_eq!(place.owner(), Owner::Server("dock".to_owned()));
    }

    #[test]
    fn a_slot_that_is_none_is_not_taken_for_one() {
        for slot in ["x", "-1", "4000000000", "100000"] {
            let pod =
                object(|pod| pod["metadata"]["annotations"]["banyan.media/slot"] = json!(slot));
            assert_eq!(Pod::read(&pod).unwrap().slot, None, "{slot}");
        }
    }
}
