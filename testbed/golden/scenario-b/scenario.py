#!/usr/bin/env python3
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
NAME = "scenario-b"

# identifier, name, type, model, x, y, icon, services
NODES = [
    (3, "control", "DEFAULT", "banyan-host", 360, 320, "control", ["BanyanRoutes", "BanyanControl"]),
    (7, "s1", "DEFAULT", "banyan-host", 100, 140, "server", ["BanyanRoutes", "BanyanContentServer"]),
    (8, "s2", "DEFAULT", "banyan-host", 100, 340, "server", ["BanyanRoutes", "BanyanContentServer"]),
    (6, "rp", "DEFAULT", "banyan-host", 280, 240, "root", ["IPForward", "BanyanRoutes", "BanyanRelay"]),
    (4, "n1", "DEFAULT", "banyan-host", 460, 140, "relay", ["IPForward", "BanyanRoutes", "BanyanRelay"]),
    (5, "n2", "DEFAULT", "banyan-host", 460, 340, "relay", ["IPForward", "BanyanRoutes", "BanyanRelay"]),
    (1, "c1", "DEFAULT", "banyan-host", 640, 140, "edge", ["IPForward", "BanyanRoutes", "BanyanRelay"]),
    (2, "c2", "DEFAULT", "banyan-host", 640, 340, "edge", ["IPForward", "BanyanRoutes", "BanyanRelay"]),
    (9, "screen-1", "DEFAULT", "banyan-client", 800, 140, "client", ["BanyanRoutes", "BanyanViewer"]),
    (10, "screen-2", "DEFAULT", "banyan-client", 800, 340, "client", ["BanyanRoutes", "BanyanViewer"]),
]

# node, its interface (identifier, name, mac, ip4, mask, ip6, mask), the same of the other end,
# (bandwidth bit/s, delay us, jitter us, loss %, buffer packets)
LINKS = [
    (1, (0, "eth0", "02:00:00:01:00:00", "10.0.0.10", 24, "fd42:6e79:616e::a", 64), 4, (0, "eth0", "02:00:00:04:00:00", "10.0.0.11", 24, "fd42:6e79:616e::b", 64), (20000000, 50000, 0, 0, 250)),
    (1, (1, "eth1", "02:00:00:01:00:01", "10.0.1.10", 24, "fd42:6e79:616e:1::a", 64), 9, (0, "eth0", "02:00:00:09:00:00", "10.0.1.11", 24, "fd42:6e79:616e:1::b", 64), (0, 0, 0, 0, 4167)),
    (2, (0, "eth0", "02:00:00:02:00:00", "10.0.2.10", 24, "fd42:6e79:616e:2::a", 64), 5, (0, "eth0", "02:00:00:05:00:00", "10.0.2.11", 24, "fd42:6e79:616e:2::b", 64), (20000000, 50000, 0, 0, 250)),
    (2, (1, "eth1", "02:00:00:02:00:01", "10.0.3.10", 24, "fd42:6e79:616e:3::a", 64), 10, (0, "eth0", "02:00:00:0a:00:00", "10.0.3.11", 24, "fd42:6e79:616e:3::b", 64), (0, 0, 0, 0, 4167)),
    (3, (0, "eth0", "02:00:00:03:00:00", "10.0.4.10", 24, "fd42:6e79:616e:4::a", 64), 6, (0, "eth0", "02:00:00:06:00:00", "10.0.4.11", 24, "fd42:6e79:616e:4::b", 64), (0, 0, 0, 0, 4167)),
    (4, (1, "eth1", "02:00:00:04:00:01", "10.0.5.10", 24, "fd42:6e79:616e:5::a", 64), 6, (1, "eth1", "02:00:00:06:00:01", "10.0.5.11", 24, "fd42:6e79:616e:5::b", 64), (20000000, 50000, 0, 0, 250)),
    (5, (1, "eth1", "02:00:00:05:00:01", "10.0.6.10", 24, "fd42:6e79:616e:6::a", 64), 6, (2, "eth2", "02:00:00:06:00:02", "10.0.6.11", 24, "fd42:6e79:616e:6::b", 64), (20000000, 50000, 0, 0, 250)),
    (6, (3, "eth3", "02:00:00:06:00:03", "10.0.7.10", 24, "fd42:6e79:616e:7::a", 64), 7, (0, "eth0", "02:00:00:07:00:00", "10.0.7.11", 24, "fd42:6e79:616e:7::b", 64), (20000000, 50000, 0, 0, 250)),
    (6, (4, "eth4", "02:00:00:06:00:04", "10.0.8.10", 24, "fd42:6e79:616e:8::a", 64), 8, (0, "eth0", "02:00:00:08:00:00", "10.0.8.11", 24, "fd42:6e79:616e:8::b", 64), (20000000, 20000, 2000, 1, 150)),
]

METADATA = {
    "shapes": "[{\"bold\":false,\"border\":\"#909090\",\"canvas\":1,\"color\":\"#eaf4ea\",\"fontfamily\":\"Arial\",\"fontsize\":12,\"iconcoords\":[595,95,845,385],\"italic\":false,\"label\":\"clients\",\"labelcolor\":\"#303030\",\"type\":\"rectangle\",\"underline\":false,\"width\":1},{\"bold\":false,\"border\":\"#909090\",\"canvas\":1,\"color\":\"#eaf0f8\",\"fontfamily\":\"Arial\",\"fontsize\":12,\"iconcoords\":[235,95,505,385],\"italic\":false,\"label\":\"core\",\"labelcolor\":\"#303030\",\"type\":\"rectangle\",\"underline\":false,\"width\":1},{\"bold\":false,\"border\":\"#909090\",\"canvas\":1,\"color\":\"#f8f2e4\",\"fontfamily\":\"Arial\",\"fontsize\":12,\"iconcoords\":[55,95,145,385],\"italic\":false,\"label\":\"servers\",\"labelcolor\":\"#303030\",\"type\":\"rectangle\",\"underline\":false,\"width\":1}]",
    "banyan": "{\"manifest\":\"# Scenario B of the overlay course: scenario A with two relays between, and a second content server at the rendezvous\\n# point over a shorter way that loses packets. 50 ms a link.\\n#\\n#   banyan core export -f examples/scenario-b.yaml -o core-b\\n#   banyan plan -f examples/scenario-b.yaml --explain\\n#\\n#   s1 ──╮        ╭── n1 ── c1 ── screen-1\\n#        ├── rp ──┤\\n#   s2 ──╯        ╰── n2 ── c2 ── screen-2\\n#\\n# Both servers offer the same titles with the same sources, so a switch between them loses nothing; start s2 later, or\\n# stop s1, and the rendezvous point changes over.\\napiVersion: banyan.media/v1alpha1\\nkind: StreamTopology\\nmetadata:\\n  name: scenario-b\\nspec:\\n  originSelection:\\n    weights:\\n      latency: 60\\n      loss: 40\\n      load: 0\\n    heartbeatInterval: 1s\\n  rendezvous:\\n    replicas: 1\\n    fanOut: 4\\n  relays:\\n    - name: hop\\n      replicas: 2\\n      fanOut: 4\\n  edge:\\n    replicas: 2\\n  underlay:\\n    nodes:\\n      - {name: s1, kind: Host, position: {x: 100, \\\"y\\\": 140}, region: servers, member: s1}\\n      - {name: s2, kind: Host, position: {x: 100, \\\"y\\\": 340}, region: servers, member: s2}\\n      - {name: rp, kind: Host, position: {x: 280, \\\"y\\\": 240}, region: core, member: root-0}\\n      - {name: n1, kind: Host, position: {x: 460, \\\"y\\\": 140}, region: core, member: hop-0}\\n      - {name: n2, kind: Host, position: {x: 460, \\\"y\\\": 340}, region: core, member: hop-1}\\n      - {name: c1, kind: Host, position: {x: 640, \\\"y\\\": 140}, region: clients, member: edge-0}\\n      - {name: c2, kind: Host, position: {x: 640, \\\"y\\\": 340}, region: clients, member: edge-1}\\n      - {name: screen-1, kind: Client, position: {x: 800, \\\"y\\\": 140}, region: clients, watches: [movie1]}\\n      - {name: screen-2, kind: Client, position: {x: 800, \\\"y\\\": 340}, region: clients, watches: [movie1, video4]}\\n    links:\\n      - {ends: [s1, rp], bandwidth: 20M, delay: 50ms}\\n      - {ends: [s2, rp], bandwidth: 20M, delay: 20ms, jitter: 2ms, loss: 1%}\\n      - {ends: [rp, n1], bandwidth: 20M, delay: 50ms}\\n      - {ends: [rp, n2], bandwidth: 20M, delay: 50ms}\\n      - {ends: [n1, c1], bandwidth: 20M, delay: 50ms}\\n      - {ends: [n2, c2], bandwidth: 20M, delay: 50ms}\\n      - {ends: [c1, screen-1]}\\n      - {ends: [c2, screen-2]}\\n---\\napiVersion: banyan.media/v1alpha1\\nkind: ContentServer\\nmetadata:\\n  name: s1\\nspec:\\n  topology: scenario-b\\n  contents:\\n    - name: movie1\\n      title: First movie\\n      source:\\n        test:\\n          pattern: bars\\n          duration: 12s\\n      renditions:\\n        - name: 240p\\n          height: 240\\n          videoBitrate: 300k\\n          audioBitrate: 64k\\n    - name: video4\\n      title: Fourth video\\n      source:\\n        test:\\n          pattern: clock\\n          duration: 12s\\n      renditions:\\n        - name: 240p\\n          height: 240\\n          videoBitrate: 300k\\n          audioBitrate: 64k\\n---\\napiVersion: banyan.media/v1alpha1\\nkind: ContentServer\\nmetadata:\\n  name: s2\\nspec:\\n  topology: scenario-b\\n  contents:\\n    - name: movie1\\n      title: First movie\\n      source:\\n        test:\\n          pattern: bars\\n          duration: 12s\\n      renditions:\\n        - name: 240p\\n          height: 240\\n          videoBitrate: 300k\\n          audioBitrate: 64k\\n    - name: video4\\n      title: Fourth video\\n      source:\\n        test:\\n          pattern: clock\\n          duration: 12s\\n      renditions:\\n        - name: 240p\\n          height: 240\\n          videoBitrate: 300k\\n          audioBitrate: 64k\\n\"}",
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
