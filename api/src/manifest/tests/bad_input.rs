//! One row per kind of bad input: what is written, and the sentence it gets.

use super::super::MAX_MANIFEST_BYTES;
use super::{GOOD, load, refused, sentences};

const TOPOLOGY: &str = "m.yaml: StreamTopology grove: ";
const SERVER: &str = "m.yaml: ContentServer faro: ";

fn check(object: &str, rows: &[(&str, &str, &str)]) {
    for (from, to, sentence) in rows {
        assert_eq!(
            refused(from, to),
            [format!("{object}{sentence}")],
            "{from} -> {to}"
        );
    }
}

#[test]
fn unknown_fields_are_named_with_what_was_probably_meant() {
    check(
        TOPOLOGY,
        &[
            (
                "fanOut: 3",
                "fanout: 3",
                "spec.rendezvous.fanout is not a known field, did you mean fanOut; spec.rendezvous accepts drainTimeout, fanOut, pod and replicas",
            ),
            (
                "metadata: {name: grove}",
                "metadata: {name: grove, colour: green}",
                "metadata.colour is not a known field; metadata accepts name, namespace, labels, annotations, uid, resourceVersion, generation, creationTimestamp, managedFields, ownerReferences and finalizers",
            ),
        ],
    );
    let found = refused("spec:\n  rendezvous", "sepc: 1\nspec:\n  rendezvous");
    assert_eq!(
        found,
        [format!(
            "{TOPOLOGY}sepc is not a known field, did you mean spec; the object accepts apiVersion, kind, metadata and spec"
        )]
    );
}

#[test]
fn numbers_and_types_are_told_with_their_range() {
    check(
        TOPOLOGY,
        &[
            (
                "fanOut: 3",
                "fanOut: 0",
                "spec.rendezvous.fanOut is 0; accepted is 1 to 1024",
            ),
            (
                "fanOut: 3",
                "fanOut: -1",
                "spec.rendezvous.fanOut is -1; accepted is 1 to 1024",
            ),
            (
                "fanOut: 3",
                "fanOut: 2.5",
                "spec.rendezvous.fanOut is 2.5; accepted is a whole number",
            ),
            (
                "fanOut: 3",
                "fanOut: '3'",
                "spec.rendezvous.fanOut is \"3\"; accepted is a whole number",
            ),
            (
                "replicas: 5",
                "replicas: -1",
                "spec.edge.replicas is -1; accepted is 0 to 10000",
            ),
            (
                "{replicas: 5}",
                "[]",
                "spec.edge is a list; accepted is an object",
            ),
            (
                "- {name: core, replicas: 3, fanOut: 2}",
                "- {name: core, fanOut: 2}",
                "spec.relays[0].replicas is missing; it is required",
            ),
        ],
    );
}

#[test]
fn a_tier_that_cannot_feed_the_next_is_told_how_much_it_needs() {
    check(
        TOPOLOGY,
        &[
            (
                "{replicas: 2, fanOut: 3}",
                "{replicas: 1, fanOut: 2}",
                "spec.rendezvous.fanOut is 2: rendezvous.replicas x rendezvous.fanOut must be at least the replicas of the next tier",
            ),
            (
                "{name: core, replicas: 3, fanOut: 2}",
                "{name: core, replicas: 3, fanOut: 1}",
                "spec.relays[0].fanOut is 1: 3 relays feed 3, but tier \"metro\" has 4; accepted is 2 or more",
            ),
            (
                "edge: {replicas: 5}",
                "edge: {replicas: 9}",
                "spec.relays is refused: replicas x fanOut of the last relay tier must be at least edge.replicas",
            ),
        ],
    );
}

#[test]
fn a_default_that_breaks_a_rule_is_told_as_if_it_were_written() {
    let text = GOOD
        .replace("{replicas: 2, fanOut: 3}", "{replicas: 1}")
        .replace("replicas: 3, fanOut: 2", "replicas: 17, fanOut: 2");
    assert_eq!(
        sentences(&load(&[("m.yaml", &text)]).unwrap_err()),
        [format!(
            "{TOPOLOGY}spec.rendezvous.fanOut is 16: rendezvous.replicas x rendezvous.fanOut must be at least the replicas of the next tier"
        )]
    );
}

#[test]
fn selection_and_packaging_are_told_with_their_bounds() {
    let with = |spec: &str| format!("edge: {{replicas: 5}}\n  {spec}");
    let rows = [
        (
            "originSelection: {weights: {latency: 50, loss: 30, load: 30}}",
            "spec.originSelection.weights is latency 50, load 30, loss 30, in sum 110: latency, loss and load must sum to 100",
        ),
        (
            "originSelection: {weights: {latency: 100, loss: 0}}",
            "spec.originSelection.weights.load is missing; it is required",
        ),
        (
            "originSelection: {heartbeatInterval: 50ms}",
            "spec.originSelection.heartbeatInterval is \"50ms\": heartbeatInterval must be from 100ms to 1m",
        ),
        (
            "originSelection: {heartbeatInterval: 1.5s}",
            "spec.originSelection.heartbeatInterval is \"1.5s\"; accepted is a duration of whole numbers with ms, s, m or h, such as 2s, 500ms or 1m30s",
        ),
        (
            "originSelection: {heartbeatInterval: 500}",
            "spec.originSelection.heartbeatInterval is 500; accepted is a duration of whole numbers with ms, s, m or h, such as 2s, 500ms or 1m30s",
        ),
        (
            "packaging: {segmentDuration: 999ms}",
            "spec.packaging.segmentDuration is \"999ms\": segmentDuration must be from 1s to 10s",
        ),
        (
            "packaging: {segmentDuration: 1s, partDuration: 1001ms}",
            "spec.packaging.partDuration is \"1001ms\": partDuration must not be longer than segmentDuration",
        ),
        (
            "packaging: {window: 2}",
            "spec.packaging.window is 2; accepted is 3 to 120",
        ),
        (
            "overlay: {strategy: Auto}",
            "spec.overlay.strategy is \"Auto\"; accepted is Automatic or Neighbors",
        ),
        (
            "overlay: {strategy: Neighbors}",
            "spec.overlay.neighbors is refused: neighbors must be listed for strategy Neighbors and only for it",
        ),
    ];
    for (spec, sentence) in rows {
        assert_eq!(
            refused("edge: {replicas: 5}", &with(spec)),
            [format!("{TOPOLOGY}{sentence}")],
            "{spec}"
        );
    }
}

#[test]
fn reserved_long_and_invalid_names_are_refused() {
    let label = "a DNS label: lower-case letters, digits and inner dashes";
    let long = "x".repeat(51);
    let rows = [
        ("name: waves", "name: metrics".to_owned(), "spec.contents[0].name is \"metrics\": name must not be api, healthz, readyz, metrics or assets: edges serve their own pages there".to_owned()),
        ("name: waves", "name: Waves".to_owned(), format!("spec.contents[0].name is \"Waves\"; accepted is {label}")),
        ("name: waves", format!("name: {long}"), format!("spec.contents[0].name is \"{long}\" with 51 characters; accepted are 1 to 50 characters")),
        ("name: small", "name: audio".to_owned(), "spec.contents[0].renditions[0].name is \"audio\": name must not be audio or text: other tracks have these names".to_owned()),
    ];
    for (from, to, sentence) in rows {
        assert_eq!(refused(from, &to), [format!("{SERVER}{sentence}")]);
    }
    let name = "f".repeat(41);
    assert_eq!(
        refused("name: faro", &format!("name: {name}")),
        [format!(
            "m.yaml: ContentServer {name}: metadata.name is \"{name}\": metadata.name must have at most 40 characters"
        )]
    );
    for (taken, why) in [
        (
            "edge-1",
            "metadata.name must not be control, root-<n> or edge-<n>: members of a topology have these names",
        ),
        (
            "control",
            "metadata.name must not be control, root-<n> or edge-<n>: members of a topology have these names",
        ),
    ] {
        let expected =
            format!("m.yaml: ContentServer {taken}: metadata.name is \"{taken}\": {why}");
        assert_eq!(refused("name: faro", &format!("name: {taken}")), [expected]);
    }
    assert_eq!(
        refused("name: faro", "name: metro-7"),
        [
            "m.yaml: ContentServer metro-7: metadata.name is \"metro-7\", a name that members of tier \"metro\" have; accepted is any other name"
        ]
    );
    check(
        TOPOLOGY,
        &[
            (
                "name: core",
                "name: edge",
                "spec.relays[0].name is \"edge\": name must not be root, edge, control or origin: other members have these names",
            ),
            (
                "name: core",
                "name: metro",
                "spec.relays is refused: relays must have names of their own",
            ),
            (
                "name: core",
                "name: a-name-of-21-letters-x",
                "spec.relays[0].name is \"a-name-of-21-letters-x\" with 22 characters; accepted are 1 to 20 characters",
            ),
        ],
    );
}

#[test]
fn sources_are_exactly_one_and_paths_stay_below_the_media_root() {
    let one = "spec.contents[0].source is refused: source must have exactly one of file, test, rtsp, rtmp, srt or http";
    let file = "{file: {path: films/waves.mp4}}";
    let path =
        |path: &str, why: &str| format!("spec.contents[0].source.file.path is \"{path}\": {why}");
    let below = "path must stay below the server's media root: .. is not accepted";
    let rows = [
        (file, "{}", one.to_owned()),
        (file, "{file: {path: a}, test: {}}", one.to_owned()),
        ("films/waves.mp4", "/etc/passwd", path("/etc/passwd", "path must be relative to the server's media root, without a leading slash")),
        ("films/waves.mp4", "../waves.mp4", path("../waves.mp4", below)),
        ("films/waves.mp4", "films/../../waves.mp4", path("films/../../waves.mp4", below)),
        ("films/waves.mp4", "films/", path("films/", "path must name a file with forward slashes")),
        (file, "{test: {pattern: plasma}}", "spec.contents[0].source.test.pattern is \"plasma\"; accepted is clock, bars or mandelbrot".to_owned()),
        (file, "{test: {duration: 1s}}", "spec.contents[0].source.test.duration is \"1s\": duration must be from 2s to 1h".to_owned()),
        (file, "{srt: {url: 'http://a'}}", "spec.contents[0].source.srt is refused: srt.url must start with srt://".to_owned()),
        ("height: 240", "height: 241", "spec.contents[0].renditions[0].height is 241; accepted is a multiple of 2".to_owned()),
        ("height: 240", "height: 240, videoBitrate: fast", "spec.contents[0].renditions[0].videoBitrate is \"fast\"; accepted is a rate in bit/s with an optional k, M or G, such as 800k or 10M".to_owned()),
    ];
    for (from, to, sentence) in rows {
        assert_eq!(refused(from, to), [format!("{SERVER}{sentence}")], "{to}");
    }
    for fine in ["..hidden", "a..b/c", "films/waves.v..mp4"] {
        assert_eq!(
            refused("films/waves.mp4", fine),
            Vec::<String>::new(),
            "{fine}"
        );
    }
}

#[test]
fn the_same_content_twice_within_a_server_is_refused() {
    check(
        SERVER,
        &[(
            "  - name: waves",
            "  - {name: waves, source: {test: {}}}\n  - name: waves",
            "spec.contents[1].name is \"waves\" a second time; accepted is each once",
        )],
    );
}

#[test]
fn the_underlay_refers_to_its_own_nodes_members_and_streams() {
    let underlay = "underlay:\n    nodes:\n    - {name: a, kind: Host, member: edge-0}\n    - {name: b, kind: Host, member: edge-9}\n    - {name: c, kind: Router, member: faro}\n    - {name: d, kind: Host, member: nobody}\n    - {name: e, kind: Client, watches: [waves, dunes]}\n    - {name: f, kind: Host, member: edge-0}\n    links:\n    - {ends: [a, z], delay: 3ms, loss: 0.5%}\n    - {ends: [a], loss: 200%}";
    let found = refused(
        "edge: {replicas: 5}",
        &format!("edge: {{replicas: 5}}\n  {underlay}"),
    );
    let expected = [
        "spec.underlay.links[1].ends has 1 entries; accepted are at least 2",
        "spec.underlay.links[1].loss is \"200%\"; accepted is a percentage from 0% to 100% with at most three decimals, such as 0.5%",
        "spec.underlay.nodes[1].member is \"edge-9\", but tier \"edge\" has 5 members; accepted are edge-0 to edge-4",
        "spec.underlay.nodes[2].member is \"faro\" on a node of kind Router; accepted only on kind Host",
        "spec.underlay.nodes[5].member is \"edge-0\", which node \"a\" has already; accepted is each member once",
        "spec.underlay.links[0].ends[1] is \"z\"; accepted are names in spec.underlay.nodes",
    ];
    assert_eq!(
        found,
        expected.map(|sentence| format!("{TOPOLOGY}{sentence}"))
    );
    let across = "underlay: {nodes: [{name: d, kind: Host, member: nobody}, {name: e, kind: Client, watches: [waves, dunes]}]}";
    let found = refused(
        "edge: {replicas: 5}",
        &format!("edge: {{replicas: 5}}\n  {across}"),
    );
    let expected = [
        "spec.underlay.nodes[0].member is \"nobody\"; accepted are slots such as edge-0, ContentServers that feed \"grove\", and control",
        "spec.underlay.nodes[1].watches[1] is \"dunes\"; accepted are contents of ContentServers that feed \"grove\"",
    ];
    assert_eq!(
        found,
        expected.map(|sentence| format!("{TOPOLOGY}{sentence}"))
    );
}

#[test]
fn members_of_the_underlay_reach_each_other() {
    let nodes = "nodes: [{name: a, kind: Host, member: edge-0}, {name: r, kind: Router}, {name: b, kind: Host, member: edge-1}, {name: c, kind: Host, member: root-0}]";
    let with = |links: &str| {
        let underlay = format!("edge: {{replicas: 5}}\n  underlay: {{{nodes}, links: [{links}]}}");
        refused("edge: {replicas: 5}", &underlay)
    };
    assert_eq!(
        with("{ends: [a, r]}, {ends: [c, r]}"),
        [format!(
            "{TOPOLOGY}spec.underlay.nodes[2].member is \"edge-1\" on node \"b\", to which no link leads from \"edge-0\" on \"a\"; accepted are members that reach each other"
        )]
    );
    let whole = "{ends: [a, r]}, {ends: [c, r]}, {ends: [r, b]}";
    assert_eq!(with(whole), [""; 0]);
}

#[test]
fn neighbours_leave_no_relay_without_a_parent() {
    let with = |pairs: &str| {
        let overlay = format!(
            "edge: {{replicas: 5}}\n  overlay: {{strategy: Neighbors, neighbors: [{pairs}]}}"
        );
        refused("edge: {replicas: 5}", &overlay)
    };
    let cores = "{member: root-0, peers: [core-0, core-1, core-2]}";
    let metros =
        "{member: core-0, peers: [metro-0, metro-1]}, {member: core-1, peers: [metro-2, metro-3]}";
    // Whoever lists the pair: edges name their metros.
    let edges = "{member: edge-0, peers: [metro-0]}, {member: edge-1, peers: [metro-1]}, {member: edge-2, peers: [metro-2, core-2]}, {member: edge-3, peers: [metro-3]}";
    let all = format!("{cores}, {metros}, {edges}");
    assert_eq!(
        with(&all),
        [format!(
            "{TOPOLOGY}spec.overlay.neighbors leaves \"edge-4\" without a parent; accepted is a pair of it and a slot of tier root or core or metro"
        )]
    );
    // A sibling is no parent.
    let sibling = format!("{all}, {{member: edge-4, peers: [edge-3]}}");
    assert_eq!(with(&sibling).len(), 1);
    let parent = format!("{all}, {{member: edge-4, peers: [edge-3, root-1]}}");
    assert_eq!(with(&parent), [""; 0]);
}

#[test]
fn all_problems_are_told_at_once() {
    let text = GOOD
        .replace("fanOut: 3", "fanOut: 0")
        .replace("replicas: 5", "replicas: -1")
        .replace("height: 240", "height: 10");
    let found = sentences(&load(&[("m.yaml", &text)]).unwrap_err());
    assert_eq!(
        found,
        [
            format!("{TOPOLOGY}spec.edge.replicas is -1; accepted is 0 to 10000"),
            format!("{TOPOLOGY}spec.rendezvous.fanOut is 0; accepted is 1 to 1024"),
            format!("{SERVER}spec.contents[0].renditions[0].height is 10; accepted is 64 to 4320"),
        ]
    );
}

#[test]
fn files_that_are_not_manifests_are_told_so() {
    let told = |text: &str| sentences(&load(&[("m.yaml", text)]).unwrap_err());
    assert_eq!(
        told(""),
        ["m.yaml: is empty; accepted are ContentServer and StreamTopology objects"]
    );
    assert_eq!(
        told("--- \n# only a comment\n"),
        ["m.yaml: is empty; accepted are ContentServer and StreamTopology objects"]
    );
    assert_eq!(
        told("hello"),
        ["m.yaml: document 1: is \"hello\"; accepted are ContentServer and StreamTopology objects"]
    );
    assert_eq!(
        told("kind: Pod"),
        ["m.yaml: document 1: apiVersion is missing; accepted is banyan.media/v1alpha1"]
    );
    assert_eq!(
        told("apiVersion: banyan.media/v1alpha1\nkind: StreamTree"),
        [
            "m.yaml: document 1: kind is \"StreamTree\"; accepted are ContentServer and StreamTopology"
        ]
    );
    assert_eq!(
        told("apiVersion: v1\nkind: Pod"),
        ["m.yaml: document 1: apiVersion is \"v1\"; accepted is banyan.media/v1alpha1"]
    );
    assert_eq!(
        told("apiVersion: banyan.media/v1alpha1\nkind: StreamTopology\nspec: {}"),
        [
            "m.yaml: StreamTopology (document 1): metadata.name is missing; every object needs a name"
        ]
    );
    assert!(told("a: [")[0].starts_with("m.yaml: is not YAML (document 1): "));
    assert!(told("a: 1\na: 2")[0].contains("duplicate entry with key \"a\""));
    assert!(told("? [x]\n: 1")[0].starts_with("m.yaml: is not YAML (document 1): "));
    let large = " ".repeat(MAX_MANIFEST_BYTES + 1);
    assert_eq!(
        told(&large),
        ["m.yaml: is 1048577 bytes long; accepted are at most 1048576"]
    );
}
