//! ServiceAccounts: one identity per tier and per content server, without rights and without a mounted token.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;

use super::owner::Owner;
use super::tier::Tier;
use super::{labels, names};
use crate::release::Release;

/// None when the user names one.
pub(super) fn of_tier(owner: &Owner, tier: &Tier<'_>, release: &Release) -> Option<ServiceAccount> {
    let named = tier.pod.and_then(|pod| pod.service_account_name.as_ref());
    named.is_none().then(|| {
        account(
            owner,
            names::tier(&owner.name, tier.name),
            labels::of_tier(&owner.name, tier, release),
        )
    })
}

pub(super) fn of_server(owner: &Owner, labels: BTreeMap<String, String>) -> ServiceAccount {
    account(owner, names::server(&owner.name), labels)
}

fn account(owner: &Owner, name: String, labels: BTreeMap<String, String>) -> ServiceAccount {
    ServiceAccount {
        metadata: owner.child(name, labels),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
