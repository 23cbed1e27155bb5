//! Commands for a small network by the letter.

use super::*;
use crate::model::Mac;

fn interface(index: u32, mac: u8, address: Option<&str>, link: u32) -> Interface {
    Interface {
        index,
        name: format!("eth{index}"),
        mac: Mac([2, 0, 0, 0, 0, mac]),
        v4: address.map(|address| address.parse().unwrap()),
        v6: None,
        link,
        subnet: 0,
    }
}

fn node(id: u32, name: &str, kind: NodeKind, interfaces: Vec<Interface>) -> Node {
    Node {
        id,
        name: name.to_owned(),
        kind,
        position: (1, 1),
        region: None,
        member: None,
        watches: Vec::new(),
        interfaces,
        routes: Vec::new(),
    }
}

fn link(id: u32, name: &str, ends: [(&str, u32); 2], delay_us: u64) -> Link {
    Link {
        id,
        name: name.to_owned(),
        ends: ends.map(|(node, interface)| End {
            node: node.to_owned(),
            interface,
        }),
        parameters: Parameters {
            rate_bps: None,
            delay_us,
            jitter_us: 0,
            loss_per_100k: 0,
            buffer_bytes: 9_000,
        },
    }
}

/// A host behind a switch, which a slow link joins to another host.
fn network() -> Network {
    Network {
        topology: "grove".to_owned(),
        nodes: vec![
            node(
                1,
                "fig",
                NodeKind::Host,
                vec![interface(0, 1, Some("10.0.0.1/24"), 1)],
            ),
            node(
                2,
                "hub",
                NodeKind::Switch,
                vec![interface(0, 2, None, 1), interface(1, 3, None, 2)],
            ),
            node(
                3,
                "yew",
                NodeKind::Router,
                vec![interface(0, 4, Some("10.0.0.2/24"), 2)],
            ),
        ],
        links: vec![
            link(1, "fig--hub", [("fig", 0), ("hub", 0)], 0),
            link(2, "hub--yew", [("hub", 1), ("yew", 0)], 5_000),
        ],
        subnets: Vec::new(),
        members: Default::default(),
        notes: Vec::new(),
    }
}

const WISHES: Wishes = Wishes {
    seed: 7,
    all_emulated: false,
    late_bound_us: 10_000,
    mtu: None,
};

#[test]
fn a_plain_link_is_a_veth_pair_a_slow_one_the_link_processs_and_a_switch_a_bridge() {
    let plan = plan(&network(), WISHES);
    let expected = "\
link add name b2 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set dev b2 up
link add name l1a type veth peer name l1b
link set dev l1a address 02:00:00:00:00:01
link set dev l1a netns fig name eth0
link set dev l1b master b2 up
link set dev l2a txqueuelen 3000
link set dev l2a master b2 up
link set dev l2b txqueuelen 3000
link set dev l2b address 02:00:00:00:00:04
link set dev l2b netns yew name eth0
";
    assert_eq!(plan.fabric, expected);
    let names: Vec<&str> = plan
        .links
        .links
        .iter()
        .map(|link| link.name.as_str())
        .collect();
    assert_eq!(names, ["hub--yew"]);
    assert_eq!(plan.links.links[0].settings[1].delay_us, 5_000);
    assert_eq!(plan.links.links[0].settings[0].queue_bytes, 9_000);
    let nodes: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["fig", "yew"]);
    let expected = "\
link set dev lo up
addr add 10.0.0.1/24 dev eth0
link set dev eth0 up
";
    assert_eq!(plan.nodes[0].batch, expected);
}

#[test]
fn a_run_that_captures_has_all_its_links_in_the_link_process() {
    let wishes = Wishes {
        all_emulated: true,
        ..WISHES
    };
    let plan = plan(&network(), wishes);
    assert_eq!(plan.links.links.len(), 2);
    assert!(!plan.fabric.contains("veth"), "{}", plan.fabric);
    assert_ne!(plan.links.links[0].seed, plan.links.links[1].seed);
}

#[test]
fn a_node_between_two_links_forwards_and_nobody_makes_up_addresses() {
    let mut between = network().nodes.remove(2);
    between
        .interfaces
        .push(interface(1, 9, Some("10.0.1.1/24"), 3));
    let has = |node: &Node, path: &str, value: &str| {
        let settings = super::node(node).settings;
        settings.contains(&(path.to_owned(), value.to_owned()))
    };
    assert!(has(&between, "net/ipv4/ip_forward", "1"));
    assert!(!has(&network().nodes[0], "net/ipv4/ip_forward", "1"));
    assert!(has(&between, "net/ipv6/conf/default/accept_ra", "0"));
}
