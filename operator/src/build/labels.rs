//! Labels of children and of pods, and the selectors that find them.

use std::collections::BTreeMap;

use banyan_api::labels::{
    COMPONENT, CONTENT_SERVER, INSTANCE, MANAGED_BY, MANAGED_BY_VALUE, NAME, NAME_VALUE, PART_OF,
    TIER, TOPOLOGY, VERSION,
};
use banyan_api::model::TierKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::tier::Tier;
use crate::release::Release;

/// Component of content servers' pods.
pub(super) const ORIGIN: &str = "origin";

type Labels = BTreeMap<String, String>;

/// Of what belongs to a whole topology.
pub(super) fn of_topology(topology: &str, release: &Release) -> Labels {
    let mut labels = map(&[
        (NAME, NAME_VALUE),
        (INSTANCE, topology),
        (PART_OF, topology),
        (MANAGED_BY, MANAGED_BY_VALUE),
        (TOPOLOGY, topology),
    ]);
    labels.extend(version(release));
    labels
}

/// Of what belongs to one tier.
pub(super) fn of_tier(topology: &str, tier: &Tier<'_>, release: &Release) -> Labels {
    let mut labels = of_tier_pods(topology, tier);
    labels.extend(version(release));
    labels
}

/// Of a tier's pods: without the version, so that a new operator renders the same where nothing else changed.
pub(super) fn of_tier_pods(topology: &str, tier: &Tier<'_>) -> Labels {
    let mut labels = tier_selector(topology, tier.name);
    labels.extend(map(&[
        (NAME, NAME_VALUE),
        (INSTANCE, topology),
        (COMPONENT, component(tier.kind)),
        (PART_OF, topology),
        (MANAGED_BY, MANAGED_BY_VALUE),
    ]));
    labels
}

/// Of what belongs to one content server.
pub(super) fn of_server(server: &str, topology: &str, release: &Release) -> Labels {
    let mut labels = of_server_pods(server, topology);
    labels.extend(version(release));
    labels
}

/// Of a content server's pods.
pub(super) fn of_server_pods(server: &str, topology: &str) -> Labels {
    let mut labels = server_selector(server);
    labels.extend(map(&[
        (NAME, NAME_VALUE),
        (INSTANCE, server),
        (COMPONENT, ORIGIN),
        (PART_OF, topology),
        (MANAGED_BY, MANAGED_BY_VALUE),
        (TOPOLOGY, topology),
    ]));
    labels
}

/// Finds the pods of one tier.
pub(super) fn tier_selector(topology: &str, tier: &str) -> Labels {
    map(&[(TOPOLOGY, topology), (TIER, tier)])
}

/// Finds the pods of one content server.
pub(super) fn server_selector(server: &str) -> Labels {
    map(&[(CONTENT_SERVER, server)])
}

/// Finds the pods of all content servers of one topology.
pub(super) fn origins_selector(topology: &str) -> Labels {
    map(&[(TOPOLOGY, topology), (COMPONENT, ORIGIN)])
}

/// The selector of equal labels.
pub(super) fn matching(labels: Labels) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}

/// The edges' selector as the scale subresource wants it.
pub(super) fn edge_selector(topology: &str) -> String {
    let pairs = tier_selector(topology, banyan_api::names::EDGE);
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

fn component(kind: TierKind) -> &'static str {
    match kind {
        TierKind::Root => "root",
        TierKind::Interior => "relay",
        TierKind::Edge => "edge",
    }
}

/// A version may carry build metadata, whose plus no label may have.
fn version(release: &Release) -> [(String, String); 1] {
    [(VERSION.to_owned(), release.version.replace('+', "_"))]
}

fn map(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}
