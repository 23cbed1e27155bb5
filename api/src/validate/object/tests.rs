//! Objects of an API server: their meaning in a cluster, and every reason against them.

use super::{between, server, topology};
use crate::manifest::parse;
use crate::stream_topology::{OverlayStrategy, StreamTopology};
use crate::{ContentServer, manifest};

const MANIFEST: &str = r#"
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: grove}
spec:
  rendezvous: {replicas: 1, fanOut: 2}
  relays:
    - {name: trunk, replicas: 2, fanOut: 2}
    - {name: twig, replicas: 4, fanOut: 1}
  edge:
    replicas: 4
    autoscale: {minReplicas: 1, maxReplicas: 4, targetSessions: 10}
    pod: {labels: {team: video}}
    service: {type: LoadBalancer}
  upgradePolicy: WithOperator
  paused: true
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: oak}
spec:
  topology: grove
  contents:
    - {name: leaves, source: {test: {}}}
    - {name: film, source: {file: {path: film.mp4}}}
  workload:
    sidecar:
      podTemplate: {spec: {}}
      mediaVolume: films
"#;

fn objects() -> (StreamTopology, ContentServer) {
    let mut read = parse(MANIFEST, "test.yaml").unwrap();
    (
        read.topologies.remove(0).resource,
        read.servers.remove(0).resource,
    )
}

#[test]
fn what_only_a_cluster_can_do_is_meant_there_and_refused_elsewhere() {
    let (grove, oak) = objects();
    assert_eq!(topology(&grove).unwrap().tiers.len(), 4);
    assert_eq!(server(&oak).unwrap().contents.len(), 2);
    assert_eq!(between(&oak, Some(&grove)), []);
    let local = manifest::load(&[("test.yaml", MANIFEST)]).unwrap();
    let refused: Vec<&str> = local
        .refusals()
        .map(|problem| problem.field.as_str())
        .collect();
    assert_eq!(refused, ["spec.edge.autoscale", "spec.workload.sidecar"]);
}

#[test]
fn every_reason_against_a_topology_is_named() {
    type Change = fn(&mut StreamTopology);
    let cases: [(Change, &str, &str); 6] = [
        (
            |t| t.spec.relays[0].fan_out = 1,
            "FanOutTooSmall",
            "spec.relays[0].fanOut is 1: 2 relays feed 2, but tier \"twig\" has 4; accepted is 2 or more",
        ),
        (
            |t| t.spec.rendezvous.fan_out = 1,
            "FanOutTooSmall",
            "spec.rendezvous.fanOut is 1: 1 relays feed 1, but the next tier has 2; accepted are replicas x fanOut of 2 or more",
        ),
        (
            |t| t.spec.edge.replicas = 9,
            "FanOutTooSmall",
            "spec.relays[1].fanOut is 1: 4 relays feed 4, but the next tier has 9; accepted are replicas x fanOut of 9 or more",
        ),
        (
            |t| t.spec.packaging.segment_duration = "long".into(),
            "Invalid",
            "\"long\" is not a duration of whole numbers with ms, s, m or h, such as 2s, 500ms or 1m30s",
        ),
        (
            |t| {
                let pod = t.spec.edge.pod.as_mut().unwrap();
                pod.labels
                    .insert("banyan.media/tier".to_owned(), "root".to_owned());
            },
            "Invalid",
            "spec.edge.pod.labels has key \"banyan.media/tier\", which the operator sets; accepted are keys outside banyan.media/",
        ),
        (
            |t| {
                let pod = t.spec.edge.pod.as_mut().unwrap();
                pod.node_selector.insert("a b".to_owned(), "c".to_owned());
            },
            "Invalid",
            "spec.edge.pod.nodeSelector has key \"a b\"; accepted are keys such as app or example.org/app, of letters, digits, dots, dashes and underscores",
        ),
    ];
    for (change, reason, expected) in cases {
        let (mut grove, _) = objects();
        assert_eq!(grove.spec.overlay.strategy, OverlayStrategy::Automatic);
        change(&mut grove);
        let refusals = topology(&grove).unwrap_err();
        let told: Vec<(&str, String)> =
            refusals.iter().map(|r| (r.reason, r.to_string())).collect();
        assert_eq!(told, [(reason, expected.to_owned())]);
    }
}

#[test]
fn every_reason_against_a_server_is_named() {
    type Change = fn(&mut ContentServer);
    let cases: [(Change, &str, &str); 4] = [
        (
            |s| {
                let feed = crate::content_server::UrlSource {
                    url: "rtsp://cam".to_owned(),
                };
                s.spec.contents[0].source.test = None;
                s.spec.contents[0].source.rtsp = Some(feed);
            },
            "UnsupportedSource",
            "spec.contents[0].source.rtsp is not supported yet; supported are file and test",
        ),
        (
            |s| s.spec.contents[1].name = "leaves".to_owned(),
            "DuplicateContent",
            "spec.contents[1].name is \"leaves\", which another content of this server is; accepted is each name once",
        ),
        (
            |s| {
                s.spec.workload.sidecar = None;
                s.spec.workload.external = Some(Default::default());
            },
            "UnsupportedField",
            "spec.workload.external is not supported yet; supported are managed and sidecar",
        ),
        (
            |s| {
                let file = s.spec.contents[1].source.file.as_mut().unwrap();
                file.mode = crate::content_server::FileMode::OnDemand;
            },
            "UnsupportedField",
            "spec.contents[1].source.file.mode is not supported yet; OnDemand is asked for; supported is Live",
        ),
    ];
    for (change, reason, expected) in cases {
        let (_, mut oak) = objects();
        change(&mut oak);
        let refusals = server(&oak).unwrap_err();
        let told: Vec<(&str, String)> =
            refusals.iter().map(|r| (r.reason, r.to_string())).collect();
        assert_eq!(told, [(reason, expected.to_owned())]);
    }
}

#[test]
fn a_server_needs_its_topology_and_a_name_of_its_own() {
    let (grove, mut oak) = objects();
    let told = |server: &ContentServer, topology: Option<&StreamTopology>| -> Vec<_> {
        let refusals = between(server, topology);
        refusals.iter().map(|r| (r.reason, r.to_string())).collect()
    };
    assert_eq!(
        told(&oak, None),
        [(
            "TopologyNotFound",
            "spec.topology is \"grove\", which does not exist; accepted are StreamTopologies in namespace \"default\"".to_owned()
        )]
    );
    oak.metadata.name = Some("twig-7".to_owned());
    assert_eq!(
        told(&oak, Some(&grove)),
        [(
            "NameConflict",
            "metadata.name is \"twig-7\", a name that members of StreamTopology \"grove\" have; accepted is any other name".to_owned()
        )]
    );
}
