//! Who can reach whom: an evaluator of network policies, and a table of flows that must pass and that must not.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{FULL, release, world};

/// Where a connection comes from or goes to.
#[derive(Clone, Debug)]
enum End {
    Pod {
        namespace: String,
        labels: BTreeMap<String, String>,
    },
    Outside,
}

/// Whether a connection is let in, as the Kubernetes API defines it: a pod that no policy selects takes everything; else
/// one rule of one policy must match the source and the port.
fn allowed(policies: &[NetworkPolicy], from: &End, to: &End, port: u16) -> bool {
    let End::Pod { namespace, labels } = to else {
        return true;
    };
    let selecting: Vec<_> = policies
        .iter()
        .filter(|policy| policy.metadata.namespace.as_deref() == Some(namespace))
        .filter_map(|policy| policy.spec.as_ref())
        .filter(|spec| {
            let types = spec.policy_types.iter().flatten();
            types.clone().any(|type_| type_ == "Ingress")
                && matches(spec.pod_selector.as_ref().unwrap(), labels)
        })
        .collect();
    let rules = selecting
        .iter()
        .flat_map(|spec| spec.ingress.iter().flatten());
    selecting.is_empty()
        || rules.clone().any(|rule| {
            let ports = rule.ports.iter().flatten();
            let port_fits = ports.clone().next().is_none() || ports.clone().any(|p| fits(p, port));
            let peers = rule.from.iter().flatten();
            let peer_fits = peers.clone().next().is_none()
                || peers.clone().any(|peer| is(peer, namespace, from));
            port_fits && peer_fits
        })
}

fn is(peer: &NetworkPolicyPeer, own_namespace: &str, from: &End) -> bool {
    assert!(
        peer.ip_block.is_none(),
        "the evaluator knows no address blocks"
    );
    let End::Pod { namespace, labels } = from else {
        return false;
    };
    let namespace_fits = match &peer.namespace_selector {
        Some(selector) => matches(selector, &BTreeMap::new()),
        None => namespace == own_namespace,
    };
    let pod_fits = peer
        .pod_selector
        .as_ref()
        .is_none_or(|selector| matches(selector, labels));
    namespace_fits && pod_fits
}

fn fits(rule: &NetworkPolicyPort, port: u16) -> bool {
    assert_eq!(
        (rule.protocol.as_deref(), rule.end_port),
        (Some("TCP"), None)
    );
    match &rule.port {
        Some(IntOrString::Int(number)) => *number == i32::from(port),
        None => true,
        Some(IntOrString::String(name)) => panic!("the evaluator knows no named ports: {name}"),
    }
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    assert!(
        selector.match_expressions.is_none(),
        "the evaluator knows no expressions"
    );
    let wanted = selector.match_labels.iter().flatten();
    wanted
        .clone()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// Two topologies side by side and their pods, by names such as `forest/edge` and `forest/cedar`.
struct Cluster {
    policies: Vec<NetworkPolicy>,
    ends: BTreeMap<String, End>,
}

fn cluster() -> Cluster {
    let mut policies = Vec::new();
    let mut ends = BTreeMap::from([("outside".to_owned(), End::Outside)]);
    let stranger = |namespace: &str, labels: &[(&str, &str)]| End::Pod {
        namespace: namespace.to_owned(),
        labels: labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
    };
    ends.insert(
        "monitoring".to_owned(),
        stranger("metrics", &[("app", "prometheus")]),
    );
    ends.insert(
        "neighbour".to_owned(),
        stranger("media", &[("app", "other")]),
    );
    // Same labels as a root, in a namespace of somebody else's.
    let root = [
        ("banyan.media/topology", "forest"),
        ("banyan.media/tier", "root"),
    ];
    ends.insert("impostor".to_owned(), stranger("elsewhere", &root));
    let meadow = FULL
        .replace("forest", "meadow")
        .replace("cedar", "clover")
        .replace("fir", "fern");
    for yaml in [FULL, &meadow] {
        let world = world(yaml);
        let name = world.topology.metadata.name.clone().unwrap();
        let children = world.topology_with(&release(), &[]).unwrap();
        policies.extend(children.policies);
        let mut deployments = children.deployments;
        for index in 0..world.servers.len() {
            let children = world.server_with(index, &release(), &[]).unwrap();
            policies.extend(children.policy);
            deployments.push(children.deployment);
        }
        for deployment in deployments {
            let own = deployment.metadata.name.unwrap();
            let short = own
                .strip_prefix(&format!("{name}-"))
                .or_else(|| own.strip_suffix("-origin"))
                .unwrap();
            let labels = deployment
                .spec
                .unwrap()
                .template
                .metadata
                .unwrap()
                .labels
                .unwrap();
            let pod = End::Pod {
                namespace: deployment.metadata.namespace.unwrap(),
                labels,
            };
            ends.insert(format!("{name}/{short}"), pod);
        }
    }
    Cluster { policies, ends }
}

#[test]
fn needed_flows_pass_and_no_others() {
    let cluster = cluster();
    let members = ["root", "trunk", "branch", "edge", "cedar", "fir"];
    // (to, who may open port 7400): everyone who is below it, beside it, or feeds it. Content servers reach each
    // other through roots alone.
    let grpc: [(&str, &[&str]); 6] = [
        ("root", &["root", "trunk", "branch", "edge", "cedar", "fir"]),
        ("trunk", &["trunk", "branch", "edge"]),
        ("branch", &["branch", "edge"]),
        ("edge", &["edge"]),
        ("cedar", &["root"]),
        ("fir", &["root"]),
    ];
    let check = |from: &str, to: &str, port: u16, expected: bool| {
        let (source, target) = (&cluster.ends[from], &cluster.ends[to]);
        let passes = allowed(&cluster.policies, source, target, port);
        assert_eq!(passes, expected, "{from} -> {to}:{port}");
    };
    for (to, sources) in grpc {
        let to = format!("forest/{to}");
        for from in members {
            check(
                &format!("forest/{from}"),
                &to,
                7400,
                sources.contains(&from),
            );
        }
        for from in ["root", "trunk", "branch", "edge", "clover", "fern"] {
            check(&format!("meadow/{from}"), &to, 7400, false);
        }
        for from in ["monitoring", "neighbour", "impostor", "outside"] {
            check(from, &to, 7400, false);
            check(from, &to, 22, false);
        }
        // Metrics are for whoever monitors; media over HTTP only edges serve.
        check("monitoring", &to, 8080, true);
        check("outside", &to, 8080, to == "forest/edge");
    }
}
