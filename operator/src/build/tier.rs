//! The tiers of a topology as builders see them: what the user wrote beside what it means.

use banyan_api::model::TierKind;
use banyan_api::pod::PodSettings;
use banyan_api::quantity::TimeSpan;
use serde::Serialize;

use super::TopologyInput;
use crate::release::Release;

pub(super) struct Tier<'a> {
    pub(super) name: &'a str,
    pub(super) kind: TierKind,
    pub(super) replicas: u32,
    pub(super) pod: Option<&'a PodSettings>,
    pub(super) drain_timeout: Option<&'a TimeSpan>,
}

/// From the roots to the edges.
pub(super) fn of<'a>(input: &TopologyInput<'a>) -> Vec<Tier<'a>> {
    let spec = &input.object.spec;
    let tiers = input.model.tiers.iter();
    tiers
        .map(|tier| {
            let (pod, drain_timeout) = match tier.kind {
                TierKind::Root => (&spec.rendezvous.pod, &spec.rendezvous.drain_timeout),
                TierKind::Edge => (&spec.edge.pod, &spec.edge.drain_timeout),
                TierKind::Interior => spec
                    .relays
                    .iter()
                    .find(|relay| relay.name == tier.name)
                    .map_or((&None, &None), |relay| (&relay.pod, &relay.drain_timeout)),
            };
            Tier {
                name: &tier.name,
                kind: tier.kind,
                replicas: tier.replicas,
                pod: pod.as_ref(),
                drain_timeout: drain_timeout.as_ref(),
            }
        })
        .collect()
}

impl Tier<'_> {
    /// `root`, `relay` or `edge`, as `--role` takes it.
    pub(super) fn role(&self) -> &'static str {
        match self.kind {
            TierKind::Root => "root",
            TierKind::Interior => "relay",
            TierKind::Edge => "edge",
        }
    }

    /// Hash of what a user wrote about the pods of this tier, and of the address they cannot do without.
    pub(super) fn hash(&self, release: &Release) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            tier: &'a str,
            role: &'a str,
            pod: Option<&'a PodSettings>,
            drain_timeout: Option<&'a TimeSpan>,
            control: String,
        }
        super::revision::hash(&Written {
            tier: self.name,
            role: self.role(),
            pod: self.pod,
            drain_timeout: self.drain_timeout,
            control: release.control(),
        })
    }
}
