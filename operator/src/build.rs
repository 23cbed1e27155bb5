//! Objects of the cluster from custom resources: pure, without a client or a clock.
//!
//! [`topology`] and [`server`] give every child of one object at once, so whatever exists and is not
//! among them is an orphan. One file per kind of child. What a pod is told at start is decided here
//! and nowhere else; everything that may change while it runs comes by Attach.
//!
//! Pod templates that ran once are kept ([`revision`]): a new operator, which would render another
//! one, touches no pod until the user changes the spec.

mod account;
mod budget;
mod config;
mod deployment;
mod labels;
pub mod names;
mod origin;
mod owner;
mod pod;
mod policy;
mod probes;
mod revision;
mod secret;
mod security;
mod service;
mod settings;
mod sidecar;
mod tier;
mod volumes;

use std::collections::BTreeMap;

use banyan_api::content_server::Workload;
use banyan_api::model;
use banyan_api::{ContentServer, StreamTopology};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::release::Release;

/// What the children of a topology are made of.
pub struct TopologyInput<'a> {
    /// The object, as the API server has it.
    pub object: &'a StreamTopology,
    /// What it means.
    pub model: &'a model::Topology,
    /// Who builds.
    pub release: &'a Release,
    /// Revisions that exist, of any tier.
    pub stored: &'a [ControllerRevision],
    /// Fallback configurations by file name.
    pub configs: &'a BTreeMap<String, String>,
}

/// All children of a topology but its run secret.
#[derive(Clone, Debug, PartialEq)]
pub struct TopologyChildren {
    /// Fallback configurations.
    pub config: ConfigMap,
    /// One per tier that names none of its own.
    pub accounts: Vec<ServiceAccount>,
    /// The roots' headless Service and the viewers' Service.
    pub services: Vec<Service>,
    /// One per tier, from the roots to the edges.
    pub deployments: Vec<Deployment>,
    /// One per tier of more than one member.
    pub budgets: Vec<PodDisruptionBudget>,
    /// One per tier.
    pub policies: Vec<NetworkPolicy>,
    /// The pod template of each tier. To be stored before its Deployment is applied.
    pub revisions: Vec<ControllerRevision>,
    /// Whether a newer rendering of a pod template waits.
    pub update_available: bool,
    /// What waits, as one sentence per tier.
    pub updates: Vec<String>,
}

/// What the children of a content server are made of.
pub struct ServerInput<'a> {
    /// The object, as the API server has it.
    pub object: &'a ContentServer,
    /// What it means.
    pub model: &'a model::Server,
    /// The topology it feeds.
    pub topology: &'a StreamTopology,
    /// Who builds.
    pub release: &'a Release,
    /// Revisions that exist, of this server.
    pub stored: &'a [ControllerRevision],
    /// Fallback configuration by file name.
    pub configs: &'a BTreeMap<String, String>,
}

/// All children of a content server.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerChildren {
    /// Fallback configuration.
    pub config: ConfigMap,
    /// Unless the user names one.
    pub account: Option<ServiceAccount>,
    /// The origin's pod.
    pub deployment: Deployment,
    /// None for a pod of the user's: what may reach it is the user's to say.
    pub policy: Option<NetworkPolicy>,
    /// The pod template. To be stored before the Deployment is applied.
    pub revisions: Vec<ControllerRevision>,
    /// Whether a newer rendering of the pod template waits.
    pub update_available: bool,
    /// What waits, as one sentence.
    pub updates: Vec<String>,
}

/// Why there are no children.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Only objects that an API server has given a name and a UID can own children.
    #[error("{kind} {name:?} has no {field}; only objects of an API server are built")]
    Identity {
        /// Of the object.
        kind: &'static str,
        /// Of the object, or nothing.
        name: String,
        /// What is missing.
        field: &'static str,
    },
    /// The pod template of a sidecar workload cannot be used.
    #[error("spec.workload.sidecar.{field} {problem}")]
    Template {
        /// Path below the workload.
        field: String,
        /// The value and what is accepted.
        problem: String,
    },
    /// A workload that has no pods.
    #[error("spec.workload has no pod to build; accepted are managed and sidecar")]
    Workload,
}

impl Error {
    /// The reason that conditions and events carry.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Template { .. } => banyan_api::reasons::INVALID_TEMPLATE,
            Self::Identity { .. } | Self::Workload => banyan_api::reasons::INVALID,
        }
    }
}

/// Builds all children of a topology but its run secret.
pub fn topology(input: &TopologyInput<'_>) -> Result<TopologyChildren, Error> {
    let owner = owner::Owner::of(input.object)?;
    let tiers = tier::of(input);
    let mut children = TopologyChildren {
        config: config::topology(&owner, input),
        accounts: tiers
            .iter()
            .filter_map(|tier| account::of_tier(&owner, tier, input.release))
            .collect(),
        services: vec![
            service::roots(&owner, input.release),
            service::viewers(&owner, input),
        ],
        deployments: Vec::new(),
        budgets: tiers
            .iter()
            .filter_map(|tier| budget::of_tier(&owner, tier, input.release))
            .collect(),
        policies: policy::of_tiers(&owner, &tiers, input.release),
        revisions: Vec::new(),
        update_available: false,
        updates: Vec::new(),
    };
    for tier in &tiers {
        let kept = revision::keep(
            &owner,
            &revision::Wanted {
                name: names::tier(&owner.name, tier.name),
                labels: labels::of_tier(&owner.name, tier, input.release),
                hash: tier.hash(input.release),
                template: input
                    .release
                    .labelled(pod::of_tier(&owner, tier, input.release)),
                policy: input.object.spec.upgrade_policy,
            },
            input.stored,
        );
        children.deployments.push(deployment::of_tier(
            &owner,
            tier,
            input.release,
            kept.template,
        ));
        children.revisions.push(kept.revision);
        children.updates.extend(
            kept.update
                .map(|what| format!("tier {:?}: {what}", tier.name)),
        );
    }
    children.update_available = !children.updates.is_empty();
    Ok(children)
}

/// Builds all children of a content server.
pub fn server(input: &ServerInput<'_>) -> Result<ServerChildren, Error> {
    let owner = owner::Owner::of(input.object)?;
    let workload = &input.object.spec.workload;
    let (template, own_account, policy) = match workload {
        Workload {
            managed: Some(managed),
            ..
        } => (
            origin::managed(&owner, input, managed)?,
            managed
                .pod
                .as_ref()
                .is_none_or(|pod| pod.service_account_name.is_none()),
            Some(policy::of_server(&owner, input)),
        ),
        Workload {
            sidecar: Some(sidecar),
            ..
        } => {
            let built = sidecar::build(&owner, input, sidecar)?;
            (built.template, built.own_account, None)
        }
        _ => return Err(Error::Workload),
    };
    let labels = labels::of_server(&owner.name, &input.object.spec.topology, input.release);
    let kept = revision::keep(
        &owner,
        &revision::Wanted {
            name: names::server(&owner.name),
            labels: labels.clone(),
            hash: origin::hash(input),
            template: input.release.labelled(template),
            policy: input.topology.spec.upgrade_policy,
        },
        input.stored,
    );
    let updates: Vec<String> = kept.update.into_iter().collect();
    Ok(ServerChildren {
        config: config::server(&owner, input),
        account: own_account.then(|| account::of_server(&owner, labels.clone())),
        deployment: deployment::of_server(&owner, labels, kept.template),
        policy,
        revisions: vec![kept.revision],
        update_available: !updates.is_empty(),
        updates,
    })
}

/// The secret that members of a topology show each other: `hex` is 64 hex digits, drawn once. Created when there is
/// none, never changed.
pub fn run_secret(object: &StreamTopology, hex: String) -> Result<Secret, Error> {
    Ok(secret::run(&owner::Owner::of(object)?, hex))
}

/// Labels of the edges' pods, as the scale subresource wants them.
pub fn edge_selector(topology: &str) -> String {
    labels::edge_selector(topology)
}

#[cfg(test)]
mod tests;
