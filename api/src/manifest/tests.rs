//! Manifests in, sentences or values out.

mod bad_input;
mod schemas;

use proptest::prelude::*;

use super::{Effect, Problem, load, parse};
use crate::model::{Pattern, Source, TierKind, Weights};

/// A topology and a server that are valid; tests replace pieces of the text.
const GOOD: &str = "\
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: grove}
spec:
  rendezvous: {replicas: 2, fanOut: 3}
  relays:
  - {name: core, replicas: 3, fanOut: 2}
  - {name: metro, replicas: 4, fanOut: 2}
  edge: {replicas: 5}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: faro}
spec:
  topology: grove
  contents:
  - name: waves
    source: {file: {path: films/waves.mp4}}
    renditions:
    - {name: small, height: 240}
";

fn sentences(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

/// The sentences for [`GOOD`] with one piece of text replaced.
fn refused(from: &str, to: &str) -> Vec<String> {
    assert_eq!(
        GOOD.matches(from).count(),
        1,
        "{from:?} must stand once in the good manifest"
    );
    match load(&[("m.yaml", &GOOD.replace(from, to))]) {
        Ok(_) => Vec::new(),
        Err(problems) => sentences(&problems),
    }
}

#[test]
fn a_good_manifest_resolves_with_defaults() {
    let validated = load(&[("m.yaml", GOOD)])
        .map_err(|problems| sentences(&problems))
        .unwrap();
    let topology = &validated.topologies[0];
    assert_eq!(
        (topology.name.as_str(), topology.namespace.as_str()),
        ("grove", "default")
    );
    assert_eq!(topology.packaging.segment_ms, 2_000);
    assert_eq!(topology.packaging.part_ms, 333);
    assert_eq!(topology.packaging.window_segments, 6);
    assert_eq!(
        topology.selection.weights,
        Weights {
            latency: 50,
            loss: 30,
            load: 20
        }
    );
    assert_eq!(topology.selection.heartbeat_interval_ms, 1_000);
    assert_eq!(topology.max_sessions, None);
    let tiers: Vec<_> = topology
        .tiers
        .iter()
        .map(|t| (t.name.as_str(), t.kind, t.replicas, t.fan_out))
        .collect();
    assert_eq!(
        tiers,
        [
            ("root", TierKind::Root, 2, 3),
            ("core", TierKind::Interior, 3, 2),
            ("metro", TierKind::Interior, 4, 2),
            ("edge", TierKind::Edge, 5, 0),
        ]
    );
    let content = &validated.servers[0].contents[0];
    assert_eq!(
        (content.name.as_str(), content.title.as_str()),
        ("waves", "waves")
    );
    assert_eq!(
        content.source,
        Source::File {
            path: "films/waves.mp4".to_owned()
        }
    );
    assert_eq!(content.renditions[0].video_bitrate_bps, 400_000);
    assert_eq!(content.renditions[0].audio_bitrate_bps, 128_000);
    assert!(validated.unsupported.is_empty() && validated.notes.is_empty());
}

#[test]
fn explicit_nulls_mean_the_default_as_on_an_api_server() {
    let text = GOOD.replace(
        "edge: {replicas: 5}",
        "edge: {replicas: null, maxSessions: null}\n  packaging: null",
    );
    let validated = load(&[("m.yaml", &text)])
        .map_err(|problems| sentences(&problems))
        .unwrap();
    assert_eq!(validated.topologies[0].edges().replicas, 2);
    assert_eq!(validated.topologies[0].packaging.segment_ms, 2_000);
}

#[test]
fn every_test_pattern_is_accepted_by_its_name() {
    for pattern in Pattern::ALL {
        let source = format!("{{test: {{pattern: {}, duration: 12s}}}}", pattern.as_str());
        let text = GOOD.replace("{file: {path: films/waves.mp4}}", &source);
        let validated = load(&[("m.yaml", &text)])
            .map_err(|problems| sentences(&problems))
            .unwrap();
        assert_eq!(
            validated.servers[0].contents[0].source,
            Source::Test {
                pattern,
                duration_ms: 12_000
            }
        );
    }
}

#[test]
fn objects_of_several_files_are_checked_together() {
    let (topology, server) = GOOD.split_once("---\n").unwrap();
    assert!(load(&[("s.yaml", server), ("t.yaml", topology)]).is_ok());
    assert!(
        parse(server, "s.yaml").is_ok(),
        "a file is parsed by itself"
    );
    assert_eq!(
        sentences(&load(&[("s.yaml", server)]).unwrap_err()),
        [
            "s.yaml: ContentServer faro: spec.topology is \"grove\", which does not exist; there is no StreamTopology in namespace \"default\""
        ]
    );
    assert_eq!(
        sentences(&load(&[("a.yaml", GOOD), ("b.yaml", server)]).unwrap_err()),
        [
            "b.yaml: ContentServer faro: metadata.name is \"faro\", which a.yaml has already; accepted is each ContentServer once"
        ]
    );
}

#[test]
fn a_broken_topology_is_not_reported_as_missing_too() {
    assert_eq!(refused("fanOut: 3", "fanOut: 0").len(), 1);
}

/// Found by chance once: the sum over a tier of nobody.
#[test]
fn a_tier_of_nobody_is_refused_and_not_divided_by() {
    assert_eq!(
        refused("core, replicas: 3", "core, replicas: 0"),
        ["m.yaml: StreamTopology grove: spec.relays[0].replicas is 0; accepted is 1 to 10000"]
    );
}

#[test]
fn fields_without_behaviour_are_refused_or_ignored_by_name() {
    let text = GOOD
        .replace("edge: {replicas: 5}", "edge: {replicas: 5, publicURL: https://live.example.org, autoscale: {minReplicas: 1, maxReplicas: 9, targetSessions: 100}}")
        .replace("{file: {path: films/waves.mp4}}", "{rtsp: {url: 'rtsp://camera.example/1'}}");
    let validated = load(&[("m.yaml", &text)])
        .map_err(|problems| sentences(&problems))
        .unwrap();
    assert_eq!(
        validated
            .refusals()
            .map(Problem::to_string)
            .collect::<Vec<_>>(),
        [
            "m.yaml: StreamTopology grove: spec.edge.autoscale needs a cluster: nothing scales them; supported on local processes is a fixed spec.edge.replicas",
            "m.yaml: ContentServer faro: spec.contents[0].source.rtsp is not supported yet; supported are file and test",
        ]
    );
    let ignored: Vec<_> = validated
        .unsupported
        .iter()
        .filter(|u| u.effect == Effect::Ignored)
        .collect();
    assert_eq!(ignored.len(), 1);
    assert_eq!(ignored[0].problem.field, "spec.edge.publicURL");
}

#[test]
fn every_unsupported_choice_is_refused() {
    for (from, to, field) in [
        (
            "path: films/waves.mp4",
            "path: films/waves.mp4, mode: OnDemand",
            "spec.contents[0].source.file.mode",
        ),
        (
            "  topology: grove",
            "  topology: grove\n  workload: {external: {}}",
            "spec.workload.external",
        ),
        (
            "  topology: grove",
            "  topology: grove\n  workload: {sidecar: {mediaVolume: m, podTemplate: {spec: {any: [1]}}}}",
            "spec.workload.sidecar",
        ),
    ] {
        let validated = load(&[("m.yaml", &GOOD.replace(from, to))])
            .map_err(|p| sentences(&p))
            .unwrap();
        let refusals: Vec<_> = validated
            .refusals()
            .map(|problem| problem.field.as_str())
            .collect();
        assert_eq!(refusals, [field]);
    }
}

#[test]
fn servers_that_offer_one_stream_differently_are_noted() {
    let (_, server) = GOOD.split_once("---\n").unwrap();
    let other = server
        .replace("faro", "sines")
        .replace("height: 240", "height: 360");
    let validated = load(&[("a.yaml", GOOD), ("b.yaml", &other)]).unwrap();
    assert_eq!(
        sentences(&validated.notes),
        [
            "b.yaml: ContentServer sines: spec.contents[0] offers \"waves\" with another source or other renditions than \"faro\"; a switch between them will not be exact"
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Arbitrary bytes, as a file would give them.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = load(&[("m.yaml", &String::from_utf8_lossy(&bytes))]);
    }

    /// Text made of YAML's own pieces gets further than random bytes.
    #[test]
    fn arbitrary_yaml_never_panics(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "spec", "kind", ": ", "\n", "  ", "- ", "{", "}", "[", "]", "&x ", "*x", "<<: ", "!!str ", "|\n", ">\n", "'", "\"",
                "---\n", "...\n", "null", "~", "1e999", ".nan", "-0x7f", "99999999999999999999", "#", "? ", ",", "\t", "\u{feff}", "é",
            ]),
            0..40,
        ),
    ) {
        let _ = load(&[("m.yaml", &pieces.concat())]);
    }

    /// A good manifest with bytes of it replaced reaches every check.
    #[test]
    fn damaged_manifests_never_panic(
        cuts in proptest::collection::vec((0..GOOD.len(), proptest::sample::select(vec!["", "0", "-1", "x", "[", "{", "null", ": ", "''", "é", "\n"])), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (at, piece) in cuts {
            let at = at.min(text.len() - 1);
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, piece);
            }
        }
        if let Err(problems) = load(&[("m.yaml", &text)]) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.iter().all(|problem| !problem.to_string().contains('\n')));
        }
    }
}
