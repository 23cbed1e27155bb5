//! Pod settings: keys that Kubernetes would refuse in a pod template, and keys that are the operator's.

use std::collections::BTreeMap;

use crate::content_server::ContentServerSpec;
use crate::manifest::structure::Finding;
use crate::names::is_dns_label;
use crate::pod::PodSettings;
use crate::stream_topology::StreamTopologySpec;

/// Checks the pod settings of every tier.
pub(super) fn of_topology(spec: &StreamTopologySpec) -> Vec<Finding> {
    let tiers = [
        ("spec.rendezvous".to_owned(), &spec.rendezvous.pod),
        ("spec.edge".to_owned(), &spec.edge.pod),
    ];
    let relays = spec.relays.iter().enumerate();
    let relays = relays.map(|(index, tier)| (format!("spec.relays[{index}]"), &tier.pod));
    tiers
        .into_iter()
        .chain(relays)
        .filter_map(|(at, pod)| Some((format!("{at}.pod"), pod.as_ref()?)))
        .flat_map(|(at, pod)| settings(&at, pod))
        .collect()
}

/// Checks the pod settings of a managed content server.
pub(super) fn of_server(spec: &ContentServerSpec) -> Vec<Finding> {
    let managed = spec.workload.managed.as_ref();
    let pod = managed.and_then(|managed| managed.pod.as_ref());
    pod.map_or_else(Vec::new, |pod| settings("spec.workload.managed.pod", pod))
}

fn settings(at: &str, pod: &PodSettings) -> Vec<Finding> {
    let maps: [(&str, &BTreeMap<String, String>, bool); 3] = [
        ("labels", &pod.labels, true),
        ("annotations", &pod.annotations, true),
        ("nodeSelector", &pod.node_selector, false),
    ];
    let mut findings = Vec::new();
    for (field, map, on_pods) in maps {
        for key in map.keys() {
            let path = format!("{at}.{field}");
            let shown = crate::manifest::structure::shortened(key);
            if !is_qualified_name(key) {
                findings.push(Finding::new(
                    path,
                    format!(
                        "has key \"{shown}\"; accepted are keys such as app or example.org/app, of letters, digits, dots, dashes and underscores"
                    ),
                ));
            } else if on_pods && is_reserved(key) {
                findings.push(Finding::new(
                    path,
                    format!(
                        "has key \"{shown}\", which the operator sets; accepted are keys outside {}/",
                        crate::GROUP
                    ),
                ));
            }
        }
    }
    findings
}

/// Keys that select pods or steer the operator.
fn is_reserved(key: &str) -> bool {
    let domain = key.split_once('/').map(|(domain, _)| domain);
    domain == Some(crate::GROUP) || key == crate::annotations::POD_DELETION_COST
}

/// A key of a label or annotation: an optional DNS subdomain and a name of at most 63 characters.
fn is_qualified_name(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    domain.is_none_or(|domain| domain.len() <= 253 && domain.split('.').all(is_dns_label))
        && bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::is_qualified_name;

    #[test]
    fn keys_are_what_kubernetes_takes() {
        for good in ["app", "a.b-c_d", "example.org/App", "x/9"] {
            assert!(is_qualified_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            "a-",
            "a b",
            "/a",
            "a/",
            "a/b/c",
            "Exämple/a",
            "a..b/c",
            long.as_str(),
        ] {
            assert!(!is_qualified_name(bad), "{bad}");
        }
    }
}
