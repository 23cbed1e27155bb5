//! Topologies that others drew become manifests that load, what is lost is said, and no bytes make a reader panic.

use banyan_api::manifest::{self, Validated};
use banyan_api::model::{NodeKind, Topology};
use proptest::prelude::*;

use super::*;

const GARDEN: &str = include_str!("../../fixtures/garden.imn");
const ORCHARD: &str = include_str!("../../fixtures/orchard.imn");
const ATTIC: &str = include_str!("../../fixtures/attic.imn");
const HARBOUR: &str = include_str!("../../fixtures/harbour.xml");

fn valid(imported: &Imported) -> Validated {
    let loaded = manifest::load(&[("imported", &imported.manifest)]);
    loaded.unwrap_or_else(|problems| panic!("{problems:#?}\n{}", imported.manifest))
}

/// `name kind member` of each node.
fn nodes(topology: &Topology) -> Vec<String> {
    let nodes = &topology.underlay.as_ref().unwrap().nodes;
    nodes
        .iter()
        .map(|node| {
            format!(
                "{} {:?} {}",
                node.name,
                node.kind,
                node.member.as_deref().unwrap_or("-")
            )
        })
        .collect()
}

#[test]
fn a_drawing_without_a_bootstrap_file_becomes_a_manifest_that_runs() {
    let imported = import(GARDEN, "My Garden", None).unwrap();
    let valid = valid(&imported);
    let topology = &valid.topologies[0];
    assert_eq!(topology.name, "my-garden");
    assert_eq!(
        nodes(topology),
        [
            "alder Host root-0",
            "birch Host edge-0",
            "cedar Host edge-1",
            "sorrel Host sorrel",
            "daisy Client -",
            "clover Client -",
        ]
    );
    assert_eq!(valid.servers[0].name, "sorrel");
    let underlay = topology.underlay.as_ref().unwrap();
    assert_eq!(underlay.nodes[0].position, Some((200, 120)));
    let link = &underlay.links[1];
    assert_eq!(
        (link.bandwidth_bps, link.delay_us),
        (Some(10_000_000), 5_000)
    );
    assert_eq!(imported.unmapped, Vec::<String>::new());
    crate::model::build(topology, &valid.servers, &crate::model::Lock::default()).unwrap();
}

#[test]
fn bootstrap_files_of_any_shape_make_the_same_overlay() {
    let shapes = [
        (include_str!("../../fixtures/garden.json"), true),
        (include_str!("../../fixtures/garden.plain.json"), false),
        (include_str!("../../fixtures/garden.xml"), false),
        (include_str!("../../fixtures/garden.txt"), false),
    ];
    for (text, wrong_address) in shapes {
        let imported = import(GARDEN, "garden", Some(text)).unwrap();
        let valid = valid(&imported);
        let topology = &valid.topologies[0];
        assert_eq!(
            nodes(topology),
            [
                "alder Host root-0",
                "birch Host hop1-0",
                "cedar Host edge-0",
                "sorrel Host sorrel",
                "daisy Host edge-1",
                "clover Client -",
            ],
            "{text}\n{}",
            imported.manifest
        );
        let neighbors = topology.neighbors.as_ref().unwrap();
        let of = |member: &str| {
            neighbors[member]
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
        };
        assert!(
            of("root-0").starts_with(&["edge-0", "hop1-0"]),
            "{:?}",
            of("root-0")
        );
        assert!(of("hop1-0").contains(&"edge-1"));
        let sentence = "the bootstrap file names \"10.0.9.9\", which no node of the drawing has as its name or address";
        assert_eq!(
            imported.unmapped.contains(&sentence.to_owned()),
            wrong_address
        );
    }
}

#[test]
fn another_hands_layout_is_read_alike_and_what_is_lost_is_said() {
    let imported = import(ORCHARD, "orchard", None).unwrap();
    let valid = valid(&imported);
    let topology = &valid.topologies[0];
    assert_eq!(
        nodes(topology),
        [
            "pearserver Host pearserver",
            "sw-1 Switch -",
            "plum Host root-0",
            "fig Client -"
        ]
    );
    let underlay = topology.underlay.as_ref().unwrap();
    let regions: Vec<Option<&str>> = underlay.nodes.iter().map(|n| n.region.as_deref()).collect();
    assert_eq!(
        regions,
        [
            Some("North field"),
            Some("North field"),
            Some("North field"),
            None
        ]
    );
    let link = &underlay.links[0];
    assert_eq!(
        (
            link.bandwidth_bps,
            link.delay_us,
            link.jitter_us,
            link.loss_per_100k
        ),
        (Some(5_000_000), 3_000, 500, 1_000)
    );
    assert_eq!(underlay.links[2].delay_us, 1_000_000);
    assert_eq!(
        imported.unmapped,
        [
            "node n22: a custom configuration of a service",
            "link l1: bandwidth differs by direction; links of an underlay are alike both ways, the first value is taken",
            "link l3: duplicate 2: a link of an underlay repeats no packets",
        ]
    );
}

#[test]
fn equal_names_zeros_and_foreign_networks_are_mended_or_listed() {
    let imported = import(ATTIC, "attic", None).unwrap();
    let loaded = valid(&imported);
    assert_eq!(
        nodes(&loaded.topologies[0]),
        [
            "r Host root-0",
            "r-2 Switch -",
            "r-3 Client -",
            "edge-0 Host server-of-edge-0"
        ]
    );
    let underlay = loaded.topologies[0].underlay.as_ref().unwrap();
    let least = underlay
        .nodes
        .iter()
        .map(|node| node.position.unwrap())
        .min();
    assert_eq!(least, Some((1, 1)));
    assert_eq!(
        imported.unmapped,
        [
            "node \"air\": an underlay has no wlan, accepted are hosts, routers, switches and clients",
            "node \"eth7\": an underlay has no rj45, accepted are hosts, routers, switches and clients",
            "link n1-n3: it does not join two nodes of the underlay",
            "link n4-n2: it does not join two nodes of the underlay",
        ]
    );
}

#[test]
fn xml_of_core_9_is_read_with_services_of_both_names() {
    let imported = import(HARBOUR, "harbour", None).unwrap();
    let valid = valid(&imported);
    let topology = &valid.topologies[0];
    assert_eq!(
        nodes(topology),
        [
            "quay Switch -",
            "gull Host root-0",
            "buoy Host buoy",
            "crab Client -",
            "pilot Host edge-0",
        ]
    );
    let underlay = topology.underlay.as_ref().unwrap();
    assert_eq!(underlay.nodes[1].region.as_deref(), Some("West pier"));
    let link = &underlay.links[1];
    assert_eq!(
        (
            link.bandwidth_bps,
            link.delay_us,
            link.jitter_us,
            link.loss_per_100k,
            link.buffer_bytes
        ),
        (Some(50_000_000), 20_000, 1_000, 500, Some(315_000))
    );
    let lost = imported.unmapped.join("\n");
    for part in [
        "services MediaServer",
        "an underlay has no wireless_lan",
        "one direction only",
        "jitter 2000 us above its delay 100 us becomes the delay",
        "1 service configurations",
        "1 hooks",
    ] {
        assert!(lost.contains(part), "{part:?} is not in\n{lost}");
    }
    assert_eq!(underlay.nodes[0].kind, NodeKind::Switch);
}

#[test]
fn what_is_no_topology_is_refused_in_one_sentence() {
    let cases = [
        (
            "",
            "the file draws no nodes; accepted is a topology that CORE saved as .imn or .xml",
        ),
        (
            "nodes: []",
            "line 1: \"nodes:\" begins no entry; accepted is node, link, annotation, canvas or option, as CORE saves .imn",
        ),
        (
            "node n1 {\n type router\n",
            "line 1: '{' is not closed; accepted is a list whose braces and quotes come in pairs",
        ),
        (
            "\nnode n1",
            "line 2: \"node\" has no name and body; accepted is an entry such as node n1 { … }",
        ),
        (
            "<a></a>",
            "line 1: the root element is <a>; accepted is a <scenario> that CORE saved",
        ),
        (
            "<scenario><networks>",
            "line 1: <networks> is not closed; accepted is well-formed XML",
        ),
        (
            "<scenario/>",
            "the file draws no nodes; accepted is a topology that CORE saved as .imn or .xml",
        ),
    ];
    for (text, sentence) in cases {
        assert_eq!(read(text).unwrap_err().to_string(), sentence, "{text:?}");
    }
    let deep = "<a>".repeat(100_000);
    assert!(
        read(&deep)
            .unwrap_err()
            .to_string()
            .contains("nested 32 deep")
    );
    assert!(read(&"{".repeat(1_000_000)).is_err());
    let error = bootstrap::parse("# nothing").unwrap_err().to_string();
    assert!(
        error.starts_with("the bootstrap file is not understood: it lists no nodes"),
        "{error}"
    );
}

#[test]
fn odd_topologies_become_manifests_and_what_is_lost_is_said() {
    // What people's files have been seen to hold, and worse.
    let cases = [
        (
            "node n1 {\n type router\n model router\n network-config {\n\thostname ../../x y\n }\n}",
            "name: x, kind",
        ),
        (
            "node {n 1\nx} {\n type router\n model PC\n}",
            "name: n-1-x, kind",
        ),
        (
            "node n1 { type router; model PC; network-config { hostname ünï } }",
            "name: \"n\"",
        ),
        (
            "node n1 { type router; model PC; iconcoords {1e308 -1e308} }",
            "{x: 100000, \"y\": 1}",
        ),
        (
            "node n1 { type router; model PC; iconcoords {nan inf} }",
            "kind: Client}",
        ),
        (
            "node n1 { type router; model PC; interface-peer {eth0 n9}; interface-peer {eth77} }",
            "kind: Client}",
        ),
        (
            "node n1 { type router; model PC \\\r\n }\r\n",
            "kind: Client}",
        ),
        ("node n1 {}\nnode n1 {}\nnode n1 {}", "name: n1, kind"),
    ];
    for (text, part) in cases {
        let imported = import(text, "odd", None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(
            imported.manifest.contains(part),
            "{text}\n{}",
            imported.manifest
        );
        assert_one_line(&imported);
    }
    let two = "node n1 { type router; model host }\nnode n2 { type router; model router }\n";
    let links = [
        (
            "nodes {n1 n2}; bandwidth 99999999999999999999999999; delay 1e300",
            "bandwidth: 9000000G, delay: 60s",
        ),
        (
            "nodes {n1 n2}; bandwidth -5; delay 0x10; ber 1000",
            "loss: 100%",
        ),
        ("nodes {n1 n9}", ""),
        ("nodes {n1 n1}", ""),
        ("nodes {n1 n2 n1}", ""),
        ("nodes n1", ""),
        ("bandwidth 5", ""),
    ];
    for (link, part) in links {
        let imported = import(&format!("{two}link l1 {{ {link} }}"), "odd", None).unwrap();
        assert!(
            imported.manifest.contains(part),
            "{link}\n{}",
            imported.manifest
        );
        assert_eq!(
            imported.manifest.contains("links:"),
            !part.is_empty(),
            "{link}"
        );
        assert!(
            part.ends_with("60s") || !imported.unmapped.is_empty(),
            "{link}"
        );
        assert_one_line(&imported);
    }
}

fn assert_one_line(imported: &Imported) {
    for sentence in imported.unmapped.iter().chain(&imported.notes) {
        assert!(
            sentence.len() < 2_000 && !sentence.contains(['\n', '\r', '\0']),
            "{sentence:?}"
        );
    }
}

#[test]
fn the_line_ends_of_another_system_change_nothing() {
    for text in [GARDEN, ORCHARD, ATTIC, HARBOUR] {
        let theirs = text.replace('\n', "\r\n");
        assert_eq!(import(&theirs, "x", None), import(text, "x", None));
    }
}

#[test]
fn too_much_of_anything_is_refused_before_it_is_compared() {
    let devices: String = (0..80_000)
        .map(|id| format!("<device id=\"{id}\"/>"))
        .collect();
    let links = "<link node1=\"x\" node2=\"y\"/>".repeat(80_000);
    let many = format!("<scenario><devices>{devices}</devices><links>{links}</links></scenario>");
    assert!(
        read(&many)
            .unwrap_err()
            .to_string()
            .contains("draws 80000 nodes")
    );
    let wide: String = (0..300_000).map(|id| format!(" a{id}=\"\"")).collect();
    let error = read(&format!("<scenario{wide}/>")).unwrap_err().to_string();
    assert!(error.contains("has more than 64 attributes"), "{error}");
    let name = "n".repeat(1_000_000);
    let imported = import(&format!("node {name} {{ type router; odd 1 }}"), "x", None).unwrap();
    assert_one_line(&imported);
    let lines: String = (0..100_000).map(|n| format!("node n{n} {{}}\n")).collect();
    assert!(
        import(&lines, "x", None)
            .unwrap_err()
            .to_string()
            .contains("at most 256")
    );
    for text in [
        "\0\u{1}\u{fffd}\u{fffd}PK",
        "}",
        "{}}",
        "node n1 {}}{",
        "\"",
        "node n1 \"",
        "<",
        "<scenario",
        "\\",
        "node n1 {\\",
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{text:?}: {error:?}");
    }
}

/// A text with a part cut out, doubled, or replaced.
fn harmed(text: &'static str) -> impl Strategy<Value = String> {
    let chars: Vec<char> = text.chars().collect();
    let most = chars.len();
    (0..most, 0..most, any::<u8>(), "\\PC{0,12}").prop_map(move |(one, other, how, extra)| {
        let (from, to) = (one.min(other), one.max(other));
        let part = |range: std::ops::Range<usize>| chars[range].iter().collect::<String>();
        match how % 3 {
            0 => part(0..from) + &part(to..most),
            1 => part(0..to) + &part(from..most),
            _ => part(0..from) + &extra + &part(to..most),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_a_reader_panic(text in "(?s).{0,400}") {
        let _ = import(&text, &text, Some(&text));
        let _ = import(&format!("<scenario>{text}</scenario>"), "x", None);
        let _ = import(&format!("node n1 {{ {text} }}\nlink l1 {{ nodes {{n1 {text}}} }}"), "x", None);
        let _ = import(GARDEN, &text, Some(&text));
    }

    #[test]
    fn a_harmed_topology_is_a_manifest_or_a_sentence(
        imn in prop_oneof![harmed(GARDEN), harmed(ORCHARD), harmed(ATTIC), harmed(HARBOUR)],
    ) {
        if let Ok(imported) = import(&imn, "harmed", None) {
            prop_assert!(imported.manifest.starts_with("apiVersion"));
        }
    }

    #[test]
    fn a_harmed_bootstrap_file_is_an_overlay_or_a_sentence(
        text in prop_oneof![
            harmed(include_str!("../../fixtures/garden.json")),
            harmed(include_str!("../../fixtures/garden.xml")),
            harmed(include_str!("../../fixtures/garden.txt")),
        ],
    ) {
        let _ = import(GARDEN, "garden", Some(&text));
    }
}
