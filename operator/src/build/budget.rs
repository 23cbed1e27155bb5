//! Disruption budgets: a drained Node takes one member of a tier at a time, and never waits for a broken one.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::owner::Owner;
use super::tier::Tier;
use super::{labels, names};
use crate::release::Release;

/// None for a tier of one: its budget would only stop a drain.
pub(super) fn of_tier(
    owner: &Owner,
    tier: &Tier<'_>,
    release: &Release,
) -> Option<PodDisruptionBudget> {
    (tier.replicas > 1).then(|| PodDisruptionBudget {
        metadata: owner.child(
            names::tier(&owner.name, tier.name),
            labels::of_tier(&owner.name, tier, release),
        ),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(labels::matching(labels::tier_selector(
                &owner.name,
                tier.name,
            ))),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}
