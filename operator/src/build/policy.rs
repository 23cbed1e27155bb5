//! Network policies, ingress only: who may reach a member's gRPC and HTTP.
//!
//! | to | port | from |
//! |---|---|---|
//! | content server | 7400 | roots of its topology, which carry its streams and hand on what another server copies |
//! | root | 7400 | content servers (beats), every tier below, other roots (which pull from a stream's carrier) |
//! | interior tier | 7400 | tiers below, its own members (an orphan's fallback) |
//! | edge | 7400 | other edges (an orphan's fallback) |
//! | edge | 8080 | anyone: viewers come from anywhere |
//! | all others | 8080 | pods of the cluster: metrics and state, read-only, for whoever monitors |
//!
//! Probes come from the Node, which network plugins let through; members dial the operator, whose own policy is in the
//! chart. Members check each other's secret as well: a policy is not the only lock.

use std::collections::BTreeMap;

use banyan_api::model::TierKind;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::Owner;
use super::tier::Tier;
use super::{ServerInput, labels, names};
use crate::release::{GRPC_PORT, HTTP_PORT, Release};

/// One per tier, in order.
pub(super) fn of_tiers(owner: &Owner, tiers: &[Tier<'_>], release: &Release) -> Vec<NetworkPolicy> {
    let topology = &owner.name;
    tiers
        .iter()
        .enumerate()
        .map(|(index, tier)| {
            // Its own members and everyone below.
            let mut children: Vec<NetworkPolicyPeer> = tiers[index..]
                .iter()
                .map(|child| pods(labels::tier_selector(topology, child.name)))
                .collect();
            if tier.kind == TierKind::Root {
                children.push(pods(labels::origins_selector(topology)));
            }
            let readers = match tier.kind {
                TierKind::Edge => anyone(HTTP_PORT),
                TierKind::Root | TierKind::Interior => cluster(HTTP_PORT),
            };
            policy(
                owner,
                names::tier(topology, tier.name),
                labels::of_tier(topology, tier, release),
                labels::tier_selector(topology, tier.name),
                vec![from(children, GRPC_PORT), readers],
            )
        })
        .collect()
}

/// Of a content server whose pod is ours.
pub(super) fn of_server(owner: &Owner, input: &ServerInput<'_>) -> NetworkPolicy {
    let topology = &input.object.spec.topology;
    let roots = pods(labels::tier_selector(topology, banyan_api::names::ROOT));
    policy(
        owner,
        names::server(&owner.name),
        labels::of_server(&owner.name, topology, input.release),
        labels::server_selector(&owner.name),
        vec![from(vec![roots], GRPC_PORT), cluster(HTTP_PORT)],
    )
}

fn policy(
    owner: &Owner,
    name: String,
    all: BTreeMap<String, String>,
    selector: BTreeMap<String, String>,
    ingress: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: owner.child(name, all),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::matching(selector)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    }
}

fn from(peers: Vec<NetworkPolicyPeer>, port: u16) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(peers),
        ports: Some(vec![NetworkPolicyPort {
            protocol: Some("TCP".to_owned()),
            port: Some(IntOrString::Int(i32::from(port))),
            end_port: None,
        }]),
    }
}

/// Any pod of any namespace, and nobody outside.
fn cluster(port: u16) -> NetworkPolicyIngressRule {
    let everywhere = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    from(vec![everywhere], port)
}

fn anyone(port: u16) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: None,
        ..from(Vec::new(), port)
    }
}

/// Pods of the same namespace.
fn pods(selector: BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(labels::matching(selector)),
        ..NetworkPolicyPeer::default()
    }
}
