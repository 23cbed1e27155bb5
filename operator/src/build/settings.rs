//! The user's pod settings, laid over a pod of ours. What selects the pod stays ours.

use std::collections::BTreeMap;

use banyan_api::pod::{PodSettings, Resources, Toleration, TopologySpread, WhenUnsatisfiable};
use banyan_api::quantity::billionths;
use k8s_openapi::api::core::v1::{
    self as core, Container, LocalObjectReference, PodSpec, ResourceRequirements,
    TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::labels;

/// What spreads over which pods.
pub(super) struct Spread {
    /// Labels of the pods that are kept apart.
    pub(super) selector: BTreeMap<String, String>,
    /// Whether a roll's new pods are spread without regard to the old ones.
    pub(super) per_roll: bool,
}

/// Lays the settings over a pod.
pub(super) fn apply(settings: Option<&PodSettings>, spec: &mut PodSpec, spread: &Spread) {
    let none = PodSettings::default();
    // Destructured, so that a new setting is not forgotten here.
    let PodSettings {
        resources: _,
        node_selector,
        tolerations,
        topology_spread,
        priority_class_name,
        service_account_name,
        image_pull_secrets,
        labels: _,
        annotations: _,
    } = settings.unwrap_or(&none);
    if !node_selector.is_empty() {
        spec.node_selector = Some(node_selector.clone());
    }
    if !tolerations.is_empty() {
        spec.tolerations = Some(tolerations.iter().map(toleration).collect());
    }
    spec.topology_spread_constraints = Some(if topology_spread.is_empty() {
        DEFAULT_SPREAD
            .map(|key| constraint(&default_spread(key), spread))
            .to_vec()
    } else {
        topology_spread
            .iter()
            .map(|wanted| constraint(wanted, spread))
            .collect()
    });
    spec.priority_class_name.clone_from(priority_class_name);
    if let Some(name) = service_account_name {
        spec.service_account_name = Some(name.clone());
    }
    if !image_pull_secrets.is_empty() {
        let secrets = image_pull_secrets.iter();
        spec.image_pull_secrets = Some(
            secrets
                .map(|secret| LocalObjectReference {
                    name: secret.name.clone(),
                })
                .collect(),
        );
    }
}

/// Labels and annotations of a pod: the user's under ours.
pub(super) fn metadata(
    settings: Option<&PodSettings>,
    own: BTreeMap<String, String>,
) -> ObjectMeta {
    let theirs = |map: Option<&BTreeMap<String, String>>| -> BTreeMap<String, String> {
        map.into_iter()
            .flatten()
            .filter(|(key, _)| !reserved(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut labels = theirs(settings.map(|settings| &settings.labels));
    labels.extend(own);
    let annotations = theirs(settings.map(|settings| &settings.annotations));
    ObjectMeta {
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    }
}

/// Keys that mean something to the operator, which a template may not carry.
pub(super) fn reserved(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(domain, _)| domain == banyan_api::GROUP)
        || key == banyan_api::annotations::POD_DELETION_COST
}

/// Requests and limits: the user's as a whole, else ours.
pub(super) fn resources(wanted: Option<&Resources>, default: Amounts) -> ResourceRequirements {
    let quantities = |map: &BTreeMap<String, banyan_api::quantity::ResourceAmount>| {
        let map: BTreeMap<String, Quantity> = map
            .iter()
            .map(|(key, amount)| (key.clone(), Quantity(amount.0.clone())))
            .collect();
        (!map.is_empty()).then_some(map)
    };
    match wanted {
        Some(Resources { requests, limits }) => ResourceRequirements {
            requests: quantities(requests),
            limits: quantities(limits),
            claims: None,
        },
        None => ResourceRequirements {
            requests: Some(BTreeMap::from([
                ("cpu".to_owned(), Quantity(default.cpu.to_owned())),
                ("memory".to_owned(), Quantity(default.memory.to_owned())),
            ])),
            limits: Some(BTreeMap::from([(
                "memory".to_owned(),
                Quantity(default.memory_limit.to_owned()),
            )])),
            claims: None,
        },
    }
}

/// What a container asks for when the user says nothing. No CPU limit: throttled media stalls.
#[derive(Clone, Copy)]
pub(super) struct Amounts {
    pub(super) cpu: &'static str,
    pub(super) memory: &'static str,
    pub(super) memory_limit: &'static str,
}

/// Bytes of a container's memory limit.
pub(super) fn memory_limit(container: &Container) -> Option<u64> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    bytes(&limits.get("memory")?.0)
}

/// Bytes of a quantity as Kubernetes writes it; fractions of a byte are dropped.
fn bytes(text: &str) -> Option<u64> {
    u64::try_from(billionths(text)? / 1_000_000_000).ok()
}

const DEFAULT_SPREAD: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

fn default_spread(key: &str) -> TopologySpread {
    TopologySpread {
        topology_key: key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: WhenUnsatisfiable::ScheduleAnyway,
    }
}

fn constraint(wanted: &TopologySpread, spread: &Spread) -> TopologySpreadConstraint {
    let unsatisfiable = match wanted.when_unsatisfiable {
        WhenUnsatisfiable::ScheduleAnyway => "ScheduleAnyway",
        WhenUnsatisfiable::DoNotSchedule => "DoNotSchedule",
    };
    TopologySpreadConstraint {
        topology_key: wanted.topology_key.clone(),
        max_skew: wanted.max_skew,
        when_unsatisfiable: unsatisfiable.to_owned(),
        label_selector: Some(labels::matching(spread.selector.clone())),
        match_label_keys: spread
            .per_roll
            .then(|| vec!["pod-template-hash".to_owned()]),
        // A cordoned Node must not count: with a disruption budget a drain would never end.
        node_taints_policy: Some("Honor".to_owned()),
        ..TopologySpreadConstraint::default()
    }
}

fn toleration(wanted: &Toleration) -> core::Toleration {
    use banyan_api::pod::{TaintEffect, TolerationOperator};
    let operator = wanted.operator.map(|operator| match operator {
        TolerationOperator::Exists => "Exists",
        TolerationOperator::Equal => "Equal",
    });
    let effect = wanted.effect.map(|effect| match effect {
        TaintEffect::NoSchedule => "NoSchedule",
        TaintEffect::PreferNoSchedule => "PreferNoSchedule",
        TaintEffect::NoExecute => "NoExecute",
    });
    core::Toleration {
        key: wanted.key.clone(),
        operator: operator.map(str::to_owned),
        value: wanted.value.clone(),
        effect: effect.map(str::to_owned),
        toleration_seconds: wanted.toleration_seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_read_in_bytes() {
        for (text, expected) in [
            ("512Mi", Some(512 << 20)),
            ("1.5Gi", Some(3 << 29)),
            ("128974848000m", Some(128_974_848)),
            ("2G", Some(2_000_000_000)),
            ("7", Some(7)),
            ("1Pi", Some(1 << 50)),
            ("", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
