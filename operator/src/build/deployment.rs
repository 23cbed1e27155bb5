//! Deployments: one per tier, one per content server.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::Owner;
use super::tier::Tier;
use super::{labels, names};
use crate::release::Release;

/// A new relay is counted on after it has had time to attach and to be given children.
const MIN_READY_SECONDS: i32 = 3;
/// Old ReplicaSets; the templates themselves are kept as revisions.
const HISTORY: i32 = 2;

pub(super) fn of_tier(
    owner: &Owner,
    tier: &Tier<'_>,
    release: &Release,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata: owner.child(
            names::tier(&owner.name, tier.name),
            labels::of_tier(&owner.name, tier, release),
        ),
        spec: Some(DeploymentSpec {
            replicas: Some(i32::try_from(tier.replicas).unwrap_or(i32::MAX)),
            selector: labels::matching(labels::tier_selector(&owner.name, tier.name)),
            // One at a time, and never one fewer: children move once per roll of their parent.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            min_ready_seconds: Some(MIN_READY_SECONDS),
            revision_history_limit: Some(HISTORY),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// Two pods of one server would be two members of one name: the old one goes first. Redundancy is a second server.
pub(super) fn of_server(
    owner: &Owner,
    all: BTreeMap<String, String>,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata: owner.child(names::server(&owner.name), all),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: labels::matching(labels::server_selector(&owner.name)),
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(HISTORY),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
