//! `scenario.py`: the same session over CORE's gRPC.

use super::METADATA;
use super::plan::Plan;
use crate::model::{Interface, NodeKind};

pub(super) fn render(plan: &Plan<'_>) -> String {
    let mut nodes = String::new();
    for node in &plan.nodes {
        let (x, y) = node.node.position;
        let services: Vec<String> = node
            .services
            .iter()
            .map(|service| python(service))
            .collect();
        let kind = match node.node.kind {
            NodeKind::Switch => "SWITCH",
            _ => "DEFAULT",
        };
        nodes += &format!(
            "    ({}, {}, {}, {}, {x}, {y}, {}, [{}]),\n",
            node.node.id,
            python(&node.node.name),
            python(kind),
            node.model.map_or("None".to_owned(), python),
            python(node.icon),
            services.join(", ")
        );
    }
    let mut links = String::new();
    for link in &plan.links {
        let [(one, first), (other, second)] = link.ends;
        let options = &link.options;
        links += &format!(
            "    ({}, {}, {}, {}, ({}, {}, {}, {}, {})),\n",
            one.id,
            interface(one.kind, first),
            other.id,
            interface(other.kind, second),
            options.bandwidth,
            options.delay,
            options.jitter,
            options.loss,
            options.buffer
        );
    }
    SCRIPT
        .replace("@name@", &python(&plan.source.network.topology))
        .replace("@nodes@", nodes.trim_end())
        .replace("@links@", links.trim_end())
        .replace("@key@", &python(METADATA))
        .replace("@shapes@", &python(&plan.shapes()))
        .replace("@metadata@", &python(&plan.metadata))
}

fn interface(kind: NodeKind, interface: &Interface) -> String {
    let net = |net: Option<(String, u8)>| match net {
        Some((address, length)) => format!("{}, {length}", python(&address)),
        None => "None, None".to_owned(),
    };
    let mac = match kind {
        NodeKind::Switch => "None".to_owned(),
        _ => python(&interface.mac.to_string()),
    };
    format!(
        "({}, {}, {mac}, {}, {})",
        interface.index,
        python(&interface.name),
        net(interface
            .v4
            .map(|net| (net.address.to_string(), net.length))),
        net(interface
            .v6
            .map(|net| (net.address.to_string(), net.length)))
    )
}

/// A text as Python writes it: JSON's escapes are Python's but for surrogates, which JSON's encoder does not need.
fn python(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

const SCRIPT: &str = r##"#!/usr/bin/env python3
"""Builds the topology over the gRPC of core-daemon (CORE 9.1 or newer) and starts it.

    core-python scenario.py                         # the session's number on standard output
    core-python scenario.py --link-effects=none     # where the kernel has no netem
    core-python scenario.py --no-start              # only draw it; open it with core-gui
"""

import argparse
import sys
from pathlib import Path

try:
    from core.api.grpc import client
    from core.api.grpc.wrappers import Interface, LinkOptions, NodeType, Position
except ImportError as error:
    sys.exit(f"{sys.argv[0]}: {error}; it wants the Python of CORE: core-python {sys.argv[0]}")

HERE = Path(__file__).resolve().parent
NAME = @name@

# identifier, name, type, model, x, y, icon, services
NODES = [
@nodes@
]

# node, its interface (identifier, name, mac, ip4, mask, ip6, mask), the same of the other end,
# (bandwidth bit/s, delay us, jitter us, loss %, buffer packets)
LINKS = [
@links@
]

METADATA = {
    "shapes": @shapes@,
    @key@: @metadata@,
}


def arguments():
    parser = argparse.ArgumentParser(description=f"Build and start {NAME} in CORE.")
    parser.add_argument("--address", default="localhost:50051", help="gRPC of core-daemon [%(default)s]")
    parser.add_argument("--no-start", action="store_true", help="only define the session; start it in core-gui")
    parser.add_argument("--link-effects", choices=["netem", "none"], default="netem",
                        help="whether links get delay, loss and rate [%(default)s]")
    parser.add_argument("--keep", action="store_true", help="keep the session also when its start fails")
    parser.add_argument("--capture", action="store_true", help="capture packets of every member into run/captures")
    return parser.parse_args()


def interface(given):
    number, name, mac, ip4, ip4_mask, ip6, ip6_mask = given
    return Interface(id=number, name=name, mac=mac, ip4=ip4, ip4_mask=ip4_mask, ip6=ip6, ip6_mask=ip6_mask)


def options(given, effects):
    bandwidth, delay, jitter, loss, buffer = given
    if effects == "none" or not any((bandwidth, delay, jitter, loss)):
        return None
    # All of them, always: what is left out counts as 0.
    return LinkOptions(bandwidth=bandwidth, delay=delay, jitter=jitter, loss=float(loss), dup=0, buffer=buffer,
                       unidirectional=False)


def build(session, asked):
    nodes = {}
    for number, name, kind, model, x, y, icon, services in NODES:
        position = Position(x=float(x), y=float(y))
        if kind == "SWITCH":
            node = session.add_node(number, name=name, _type=NodeType.SWITCH, position=position)
        else:
            node = session.add_node(number, name=name, _type=NodeType.DEFAULT, model=model, position=position)
            node.services = set(services)
            if asked.capture and model == "banyan-host":
                node.services.add("BanyanCapture")
        node.icon = str(HERE / "icons" / f"{icon}.png")
        nodes[number] = node
    for one, first, other, second, given in LINKS:
        session.add_link(node1=nodes[one], node2=nodes[other], iface1=interface(first), iface2=interface(second),
                         options=options(given, asked.link_effects))
    session.metadata.update(METADATA)


def main():
    asked = arguments()
    core = client.CoreGrpcClient(asked.address)
    core.connect()
    try:
        session = core.create_session()
        started = False
        try:
            build(session, asked)
            # Also what is only drawn is sent by this call.
            started, errors = core.start_session(session, definition=asked.no_start)
            if started:
                print(session.id)
                return 0
            print(f"{NAME} did not start:", *errors, sep="\n  ", file=sys.stderr)
            print("A service that does not exist: see README.md, Services. A qdisc that is not known: this kernel has no "
                  "netem; try --link-effects=none.", file=sys.stderr)
            return 1
        finally:
            # A failed start leaves half a session.
            if not started and not asked.keep:
                core.delete_session(session.id)
    finally:
        core.close()


if __name__ == "__main__":
    sys.exit(main())
"##;
