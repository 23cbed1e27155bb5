//! The network keeps what its types promise, for generated underlays and for the made-up one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use banyan_api::model::{
    self, Packaging, Selection, Server, Tier, TierKind, Topology, Underlay, UnderlayLink, Weights,
};
use proptest::prelude::*;

use super::*;

fn tier(name: &str, kind: TierKind, replicas: u32) -> Tier {
    Tier {
        name: name.to_owned(),
        kind,
        replicas,
        fan_out: 16,
        slots: None,
    }
}

fn topology(edges: u32, underlay: Option<Underlay>) -> Topology {
    Topology {
        name: "grove".to_owned(),
        namespace: "default".to_owned(),
        packaging: Packaging {
            segment_ms: 2000,
            part_ms: 333,
            window_segments: 6,
        },
        selection: Selection {
            weights: Weights {
                latency: 50,
                loss: 30,
                load: 20,
            },
            heartbeat_interval_ms: 1000,
            missed_heartbeats: 3,
            hysteresis_percent: 20,
            minimum_dwell_ms: 10_000,
        },
        tiers: vec![
            tier("root", TierKind::Root, 1),
            tier("edge", TierKind::Edge, edges),
        ],
        max_sessions: None,
        neighbors: None,
        underlay,
    }
}

fn servers() -> Vec<Server> {
    let content = model::Content {
        name: "waves".to_owned(),
        title: "Waves".to_owned(),
        source: model::Source::Test {
            pattern: model::Pattern::Bars,
            duration_ms: 4000,
        },
        renditions: Vec::new(),
    };
    vec![Server {
        name: "faro".to_owned(),
        namespace: "default".to_owned(),
        topology: "grove".to_owned(),
        contents: vec![content],
    }]
}

fn node(name: &str, kind: NodeKind, member: Option<&str>) -> model::Node {
    model::Node {
        name: name.to_owned(),
        kind,
        position: None,
        region: None,
        member: member.map(str::to_owned),
        watches: Vec::new(),
    }
}

fn link(one: &str, other: &str, delay_us: u64) -> UnderlayLink {
    UnderlayLink {
        ends: (one.to_owned(), other.to_owned()),
        bandwidth_bps: Some(10_000_000),
        delay_us,
        jitter_us: 0,
        loss_per_100k: 0,
        buffer_bytes: None,
    }
}

/// Routers in a tree with shortcuts, a switch per few, members and clients at any of them.
#[derive(Clone, Debug)]
struct Drawn {
    underlay: Underlay,
    edges: u32,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let numbers = || proptest::collection::vec(0..1000usize, 24);
    (
        1..8usize,
        0..4usize,
        1..6u32,
        0..3usize,
        0..5usize,
        numbers(),
    )
        .prop_map(|(routers, switches, edges, clients, shortcuts, numbers)| {
            let mut next = numbers.into_iter().cycle();
            let mut pick = move |below: usize| next.next().unwrap() % below;
            let mut nodes = Vec::new();
            let mut links = Vec::new();
            for router in 0..routers {
                let name = format!("r{router}");
                if router > 0 {
                    let up = format!("r{}", pick(router));
                    links.push(link(&up, &name, pick(9) as u64 * 1000));
                }
                nodes.push(node(&name, NodeKind::Router, None));
            }
            for _ in 0..shortcuts {
                let (one, other) = (pick(routers), pick(routers));
                if one != other {
                    let ends = (format!("r{one}"), format!("r{other}"));
                    links.push(link(&ends.0, &ends.1, pick(30) as u64 * 1000));
                }
            }
            for switch in 0..switches {
                let name = format!("s{switch}");
                // One above another switch, or at a router.
                let up = match switch > 0 && pick(3) == 0 {
                    true => format!("s{}", pick(switch)),
                    false => format!("r{}", pick(routers)),
                };
                links.push(link(&up, &name, pick(4) as u64 * 500));
                nodes.push(node(&name, NodeKind::Switch, None));
            }
            let members = ["faro".to_owned(), "root-0".to_owned(), "control".to_owned()];
            let slots = (0..edges).map(|n| format!("edge-{n}"));
            let hosts = members
                .into_iter()
                .chain(slots)
                .map(|m| (NodeKind::Host, m));
            let viewers = (0..clients).map(|n| (NodeKind::Client, format!("c{n}")));
            for (kind, name) in hosts.chain(viewers) {
                let infra = pick(routers + switches);
                let up = match infra < routers {
                    true => format!("r{infra}"),
                    false => format!("s{}", infra - routers),
                };
                links.push(link(&name, &up, pick(20) as u64 * 100));
                // A second interface for some.
                if pick(4) == 0 && routers > 1 {
                    links.push(link(&name, &format!("r{}", pick(routers)), 3000));
                }
                let member = (kind == NodeKind::Host).then_some(name.as_str());
                nodes.push(node(&name, kind, member));
            }
            Drawn {
                underlay: Underlay { nodes, links },
                edges,
            }
        })
}

/// Follows the routes of every node, as kernels do: attached prefixes first, then the only route that matches.
fn walk(network: &Network, from: &str, to: IpAddr) -> Result<Vec<String>, String> {
    let mut path = vec![from.to_owned()];
    loop {
        let here = network.node(&path[path.len() - 1]).unwrap();
        if here.addresses().any(|address| address == to) {
            return Ok(path);
        }
        let attached = here
            .interfaces
            .iter()
            .any(|interface| holds(interface, &to));
        let via = match attached {
            true => to,
            false => {
                let matching: Vec<&Route> =
                    here.routes.iter().filter(|r| within(&r.to, &to)).collect();
                assert_eq!(matching.len(), 1, "{} to {to}: {matching:?}", here.name);
                let out = here
                    .interfaces
                    .iter()
                    .find(|i| i.name == matching[0].interface);
                assert!(holds(out.unwrap(), &matching[0].via), "{matching:?}");
                matching[0].via
            }
        };
        let next = network
            .nodes
            .iter()
            .find(|node| node.addresses().any(|address| address == via))
            .ok_or_else(|| format!("{via} is nobody's"))?;
        if path.len() > network.nodes.len() {
            return Err(format!("a circle: {path:?}"));
        }
        assert!(path.len() == 1 || here.forwards(), "{} forwards", here.name);
        path.push(next.name.clone());
    }
}

fn holds(interface: &Interface, address: &IpAddr) -> bool {
    let v4 = interface.v4.map(|net| Net {
        address: IpAddr::V4(net.address),
        length: net.length,
    });
    let v6 = interface.v6.map(|net| Net {
        address: IpAddr::V6(net.address),
        length: net.length,
    });
    v4.into_iter().chain(v6).any(|net| within(&net, address))
}

fn within(net: &Net<IpAddr>, address: &IpAddr) -> bool {
    match (net.address, address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let shift = 32 - u32::from(net.length);
            one.to_bits() >> shift == other.to_bits() >> shift
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let shift = 128 - u32::from(net.length);
            one.to_bits() >> shift == other.to_bits() >> shift
        }
        _ => false,
    }
}

/// A drawing that has two interfaces of one node in one segment is refused; others are built.
fn built(drawn: &Drawn, lock: &Lock) -> Option<(Network, Lock)> {
    let topology = topology(drawn.edges, Some(drawn.underlay.clone()));
    match build(&topology, &servers(), lock) {
        Ok(built) => Some(built),
        Err(problems) => {
            let refused = |p: &Problem| matches!(p, Problem::Doubled { .. } | Problem::Ring { .. });
            assert!(problems.iter().all(refused), "{problems:?}");
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn every_address_is_reached_from_every_node_and_nothing_is_given_twice(drawn in drawn()) {
        let Some((network, _)) = built(&drawn, &Lock::default()) else { return Ok(()) };
        let with_addresses = || network.nodes.iter().filter(|n| n.kind != NodeKind::Switch);
        for from in with_addresses() {
            for to in with_addresses() {
                for address in to.addresses() {
                    let path = walk(&network, &from.name, address);
                    prop_assert!(path.is_ok(), "{} to {address}: {path:?}", from.name);
                }
            }
        }
        let mut seen = BTreeSet::new();
        for node in &network.nodes {
            assert!(seen.insert(format!("id {}", node.id)));
            for interface in &node.interfaces {
                assert!(seen.insert(interface.mac.to_string()));
                assert!(seen.insert(format!("{}/{}", node.name, interface.name)));
                let addresses = interface.v4.iter().map(|n| n.to_string());
                for address in addresses.chain(interface.v6.iter().map(|n| n.to_string())) {
                    assert!(seen.insert(address));
                }
            }
        }
        for link in &network.links {
            assert!(seen.insert(format!("link {}", link.id)));
            for end in &link.ends {
                let node = network.node(&end.node).unwrap();
                let interface = node.interfaces.iter().find(|i| i.index == end.interface);
                prop_assert_eq!(interface.unwrap().link, link.id);
            }
        }
        prop_assert_eq!(network.members.len() as u32, 3 + drawn.edges);
    }

    #[test]
    fn the_same_manifest_gives_the_same_network_in_any_order(drawn in drawn()) {
        let Some((network, lock)) = built(&drawn, &Lock::default()) else { return Ok(()) };
        let mut turned = drawn.clone();
        turned.underlay.nodes.reverse();
        // Links between the same two are told apart by their order.
        let key = |l: &UnderlayLink| std::cmp::max(l.ends.clone(), (l.ends.1.clone(), l.ends.0.clone()));
        turned.underlay.links.sort_by_key(|link| std::cmp::Reverse(key(link)));
        let read = Lock::parse(&lock.text()).unwrap();
        prop_assert_eq!(&read, &lock);
        for (other, lock) in [(&drawn, &read), (&turned, &Lock::default())] {
            let (again, _) = built(other, lock).unwrap();
            prop_assert_eq!(&again.links, &network.links);
            for (one, two) in again.nodes.iter().zip(&network.nodes) {
                prop_assert_eq!((one.id, &one.name), (two.id, &two.name));
                prop_assert_eq!(&one.interfaces, &two.interfaces);
                prop_assert_eq!(&one.routes, &two.routes);
            }
        }
    }

    #[test]
    fn a_network_that_grows_moves_nothing(drawn in drawn(), at in 0..100usize) {
        let Some((before, lock)) = built(&drawn, &Lock::default()) else { return Ok(()) };
        let mut grown = drawn.clone();
        let routers = grown.underlay.nodes.iter().filter(|n| n.kind == NodeKind::Router).count();
        // Names that sort before what there is.
        grown.underlay.nodes.insert(0, node("a-router", NodeKind::Router, None));
        grown.underlay.nodes.insert(1, node("a-client", NodeKind::Client, None));
        grown.underlay.links.insert(0, link("a-router", &format!("r{}", at % routers), 1000));
        grown.underlay.links.insert(0, link("a-client", "a-router", 1000));
        let (after, _) = built(&grown, &lock).unwrap();
        for node in &before.nodes {
            let now = after.node(&node.name).unwrap();
            prop_assert_eq!(now.id, node.id);
            for interface in &node.interfaces {
                prop_assert!(now.interfaces.contains(interface), "{} {:?}", node.name, interface);
            }
        }
        for link in &before.links {
            prop_assert!(after.links.contains(link));
        }
        prop_assert_eq!(&after.members, &before.members.iter().map(|(member, place)| {
            // A node may have got one more interface; its first address stays.
            let now = &after.members[member];
            assert_eq!(now.address, place.address);
            (member.clone(), now.clone())
        }).collect());
    }

    #[test]
    fn a_lock_file_of_any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = Lock::parse(&text);
    }
}

fn refusals(underlay: Underlay) -> Vec<String> {
    let problems = build(&topology(1, Some(underlay)), &servers(), &Lock::default());
    let problems = problems.unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

fn three() -> Underlay {
    Underlay {
        nodes: vec![
            node("a", NodeKind::Host, Some("faro")),
            node("b", NodeKind::Host, Some("root-0")),
            node("c", NodeKind::Host, Some("edge-0")),
        ],
        links: vec![link("a", "b", 1000), link("b", "c", 2000)],
    }
}

#[test]
fn what_cannot_be_built_is_refused_in_one_sentence() {
    let with = |change: fn(&mut Underlay)| {
        let mut underlay = three();
        change(&mut underlay);
        refusals(underlay)
    };
    type Change = fn(&mut Underlay);
    let cases: [(Change, &str); 11] = [
        (
            |u| drop(u.links.pop()),
            "no link leads from underlay node \"a\" to \"c\"; accepted is a network of one piece",
        ),
        (
            |u| u.nodes[2].member = None,
            "member \"edge-0\" stands on no node of the underlay; accepted is a node of kind Host with `member: edge-0`",
        ),
        (
            |u| u.nodes.push(node("d", NodeKind::Host, Some("nobody"))),
            "underlay node \"d\" runs member \"nobody\"; accepted are slots of topology \"grove\", ContentServers that feed it, and control",
        ),
        (
            |u| u.nodes.push(node("d", NodeKind::Host, Some("faro"))),
            "member \"faro\" stands on nodes \"a\" and \"d\"; accepted is one node",
        ),
        (
            |u| u.nodes.push(node("a", NodeKind::Router, None)),
            "underlay node \"a\" is listed twice; accepted is each name once",
        ),
        (
            |u| u.links[0].jitter_us = 1001,
            "link \"a--b\" has jitter 1001 us; accepted is at most its delay, 1000 us",
        ),
        (
            |u| u.links[0].bandwidth_bps = Some(1),
            "link \"a--b\" has bandwidth 1 bit/s; accepted is 1k to 1000G (bit/s)",
        ),
        (
            |u| u.links[1].buffer_bytes = Some(100),
            "link \"b--c\" has buffer 100 bytes; accepted is at least one frame of 1514 bytes",
        ),
        (
            |u| u.links[1].delay_us = 61_000_000,
            "link \"b--c\" has delay 61000000 us; accepted is at most 60s",
        ),
        (
            |u| u.links.push(link("c", "z", 1)),
            "link \"c--z\" ends at \"z\"; accepted are two different nodes of the underlay",
        ),
        (
            |u| u.nodes[2].watches = vec!["dunes".to_owned()],
            "underlay node \"c\" watches \"dunes\"; accepted are contents of ContentServers that feed topology \"grove\"",
        ),
    ];
    for (change, sentence) in cases {
        assert_eq!(with(change), [sentence]);
    }
}

#[test]
fn frames_that_would_circle_and_prefixes_twice_on_a_node_are_refused() {
    let mut ring = three();
    for name in ["s0", "s1"] {
        ring.nodes.push(node(name, NodeKind::Switch, None));
    }
    for (one, other) in [("a", "s0"), ("s0", "s1"), ("s1", "s0")] {
        ring.links.push(link(one, other, 0));
    }
    assert_eq!(
        refusals(ring.clone()),
        ["link \"s0--s1#2\" closes a ring of switches; accepted is a tree of switches"]
    );
    ring.links.pop();
    ring.links.push(link("a", "s1", 0));
    assert_eq!(
        refusals(ring),
        ["underlay node \"a\" has two links into the segment of switch \"s0\"; accepted is one"]
    );
}

#[test]
fn control_gets_a_node_beside_the_root_where_the_manifest_gives_none() {
    let (network, _) = build(&topology(1, Some(three())), &servers(), &Lock::default()).unwrap();
    let place = &network.members["control"];
    assert_eq!(place.node, "control");
    assert_eq!(
        walk(&network, "c", IpAddr::V4(place.address)),
        Ok(["c", "b", "control"].map(str::to_owned).to_vec())
    );
    assert_eq!(network.notes.len(), 1, "{:?}", network.notes);
    // Identifiers follow kinds and names.
    let ids: Vec<(u32, &str)> = network
        .nodes
        .iter()
        .map(|n| (n.id, n.name.as_str()))
        .collect();
    assert_eq!(ids, [(1, "a"), (2, "b"), (3, "c"), (4, "control")]);
}

#[test]
fn a_manifest_without_underlay_gets_a_star() {
    let (network, _) = build(&topology(2, None), &servers(), &Lock::default()).unwrap();
    let names: Vec<&str> = network.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "net", "control", "edge-0", "edge-1", "faro", "root-0", "viewers"
        ]
    );
    assert_eq!(network.node("viewers").unwrap().watches, ["waves"]);
    assert_eq!(network.members["faro"].address.to_string(), "10.0.3.10");
    assert_eq!(
        network.node("net").unwrap().interfaces[2]
            .v4
            .unwrap()
            .to_string(),
        "10.0.2.1/24"
    );
    let back = serde_json::from_str::<Network>(&serde_json::to_string(&network).unwrap());
    assert_eq!(back.unwrap(), network);
}

#[test]
fn the_way_of_least_delay_is_taken_and_a_dead_link_is_the_last_resort() {
    let mut underlay = three();
    underlay.links.push(link("a", "c", 3500));
    let path = |underlay: &Underlay| {
        let topology = topology(1, Some(underlay.clone()));
        let (network, _) = build(&topology, &servers(), &Lock::default()).unwrap();
        // The far interface of c, so that the way is not the direct link's prefix.
        let far = network.node("c").unwrap().interfaces.iter();
        let link = network.link("b--c").unwrap().id;
        let far = far.filter(|i| i.link == link).find_map(|i| i.v4).unwrap();
        walk(&network, "a", IpAddr::V4(far.address))
            .unwrap()
            .join(" ")
    };
    // Prefix b--c is attached to both: b is nearer to a.
    assert_eq!(path(&underlay), "a b c");
    underlay.links[0].loss_per_100k = 100_000;
    assert_eq!(path(&underlay), "a c");
}

#[test]
fn queues_hold_the_delay_both_ways_and_fifty_milliseconds() {
    let (network, _) = build(&topology(1, Some(three())), &servers(), &Lock::default()).unwrap();
    let buffer = |name: &str| network.link(name).unwrap().parameters.buffer_bytes;
    // 10 Mbit/s, 2 x 2 ms + 50 ms.
    assert_eq!(buffer("b--c"), 150_000);
    assert_eq!(buffer("b--control"), 6_250_000);
}
