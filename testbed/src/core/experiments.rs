//! Experiments over a running session: harm at a time, and a line of `events.csv` for each.

use banyan_control::roster::Role;

use super::plan::{Plan, Planned};
use super::{File, program, text};
use crate::model::NodeKind;

pub(super) fn files(plan: &Plan<'_>) -> Vec<File> {
    let link = plan
        .links
        .iter()
        .find(|link| !link.options.are_plain())
        .or(plan.links.first());
    let (one, other) = match link {
        Some(link) => (link.ends[0].0.name.as_str(), link.ends[1].0.name.as_str()),
        None => ("", ""),
    };
    // One that others depend on, where there is one; else an edge, whose viewers have another.
    let mut relays = plan
        .nodes
        .iter()
        .filter(|node| node.services.contains(&"BanyanRelay"));
    let is_interior =
        |node: &&Planned<'_>| node.member.is_some_and(|member| member.role == Role::Relay);
    let relay = relays.clone().find(is_interior).or(relays.next_back());
    let relay = relay.map_or("", |node| node.node.name.as_str());
    let mut pairs: Vec<String> = Vec::new();
    for link in &plan.links {
        let [(one, first), (other, second)] = link.ends;
        let options = &link.options;
        // A number that Python takes for one with a fraction.
        let loss: f64 = options.loss.parse().unwrap_or_default();
        pairs.push(format!(
            "    ({:?}, {}, {}, {:?}, {}, {}, dict(bandwidth={}, delay={}, jitter={}, loss={loss:?}, dup=0, buffer={})),",
            one.name, one.id, first.index, other.name, other.id, second.index,
            options.bandwidth, options.delay, options.jitter, options.buffer
        ));
    }
    let nodes: Vec<String> = plan
        .nodes
        .iter()
        .map(|node| format!("    {:?}: {},", node.node.name, node.node.id))
        .collect();
    let switches = plan
        .nodes
        .iter()
        .filter(|node| node.node.kind == NodeKind::Switch);
    let switches: Vec<String> = switches
        .map(|node| format!("{:?}", node.node.name))
        .collect();
    let fill = |script: &str| {
        script
            .replace("@one@", one)
            .replace("@other@", other)
            .replace("@relay@", relay)
    };
    vec![
        text(
            "experiments/session.py",
            SESSION
                .replace("@links@", &pairs.join("\n"))
                .replace("@nodes@", &nodes.join("\n"))
                .replace("@switches@", &switches.join(", ")),
        ),
        program("experiments/link_down.py", fill(LINK_DOWN)),
        program("experiments/loss_ramp.py", fill(LOSS_RAMP)),
        program("experiments/bandwidth_drop.py", fill(BANDWIDTH_DROP)),
        program("experiments/kill_and_restart.py", fill(KILL)),
        program("experiments/viewers_come_and_go.py", fill(VIEWERS)),
    ]
}

const SESSION: &str = r##""""The running session, for experiments: run them by core-python. Times in events.csv are Unix seconds, as in records
of members and in captures."""

import csv
import sys
import time
from pathlib import Path

try:
    from core.api.grpc import client
    from core.api.grpc.wrappers import Interface, Link, LinkOptions
except ImportError as error:
    sys.exit(f"{sys.argv[0]}: {error}; it wants the Python of CORE: core-python {sys.argv[0]}")

EXPORT = Path(__file__).resolve().parent.parent

# node, its identifier, its interface, the same of the other end, options
LINKS = [
@links@
]

NODES = {
@nodes@
}

# They are bridges: no command runs there.
SWITCHES = {@switches@}


class Session:
    """Finds the one session that has our nodes."""

    def __init__(self, address="localhost:50051"):
        self.core = client.CoreGrpcClient(address)
        self.core.connect()
        self.number = self._number()
        events = EXPORT / "run" / "events.csv"
        events.parent.mkdir(exist_ok=True)
        self.events = events.open("a", newline="")
        self.rows = csv.writer(self.events)
        if not events.stat().st_size:
            self.rows.writerow(["unix_s", "event", "subject", "detail"])

    def _number(self):
        ours = []
        for summary in self.core.get_sessions():
            session = self.core.get_session(summary.id)
            names = {node.name: number for number, node in session.nodes.items()}
            if all(names.get(name) == number for name, number in NODES.items()):
                ours.append(summary.id)
        if len(ours) != 1:
            sys.exit(f"{len(ours)} running sessions have the nodes of this export; exactly one is accepted")
        return ours[0]

    def note(self, event, subject, detail=""):
        self.rows.writerow([f"{time.time():.6f}", event, subject, detail])
        self.events.flush()

    def wait(self, seconds):
        time.sleep(seconds)

    def command(self, node, command):
        status, output = self.core.node_command(self.number, NODES[node], command, wait=True, shell=True)
        if status:
            sys.exit(f"{node}: {command}: {output.strip() or status}")

    def link(self, one, other):
        for link in LINKS:
            if {link[0], link[3]} == {one, other}:
                return link
        sys.exit(f"no link joins {one} and {other}")

    def edit(self, one, other, **changes):
        """Sets options of a link; all are sent, for what is left out counts as 0."""
        _, node1, iface1, _, node2, iface2, options = self.link(one, other)
        wanted = LinkOptions(**{**options, **changes})
        link = Link(node1_id=node1, node2_id=node2, iface1=Interface(id=iface1), iface2=Interface(id=iface2),
                    options=wanted)
        self.core.edit_link(self.number, link)
        self.note("link", f"{one}--{other}", " ".join(f"{k}={v}" for k, v in sorted(changes.items())) or "restored")

    def set_link(self, one, other, state):
        """up or down, at both ends. Links are never deleted: CORE 9.2 cannot add them again."""
        first, _, iface1, second, _, iface2, _ = self.link(one, other)
        ends = [(node, iface) for node, iface in ((first, iface1), (second, iface2)) if node not in SWITCHES]
        for node, iface in ends:
            # Otherwise the kernel forgets the IPv6 addresses of an interface that is down, as it does its routes.
            self.command(node, f"echo 1 > /proc/sys/net/ipv6/conf/eth{iface}/keep_addr_on_down")
            self.command(node, f"ip link set eth{iface} {state}")
        for node, _ in ends:
            if state == "up":
                self.command(node, f"bash '{EXPORT}/start/{node}.sh' routes")
        self.note("link", f"{one}--{other}", state)
"##;

const LINK_DOWN: &str = r#"#!/usr/bin/env python3
"""A link goes down at 10 s and comes back at 20 s."""
from session import Session

session = Session()
session.wait(10)
try:
    session.set_link("@one@", "@other@", "down")
    session.wait(10)
finally:
    session.set_link("@one@", "@other@", "up")
session.wait(10)
"#;

const LOSS_RAMP: &str = r#"#!/usr/bin/env python3
"""Loss on a link grows from 0 to 10 % in steps of ten seconds, and goes."""
from session import Session

session = Session()
try:
    for loss in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0):
        session.edit("@one@", "@other@", loss=loss)
        session.wait(10)
finally:
    session.edit("@one@", "@other@")
session.wait(10)
"#;

const BANDWIDTH_DROP: &str = r#"#!/usr/bin/env python3
"""A link's rate falls to 1 Mbit/s at 10 s and returns at 30 s."""
from session import Session

session = Session()
session.wait(10)
try:
    session.edit("@one@", "@other@", bandwidth=1_000_000)
    session.wait(20)
finally:
    session.edit("@one@", "@other@")
session.wait(10)
"#;

const KILL: &str = r#"#!/usr/bin/env python3
"""The member of a node is killed at 10 s and starts again at 25 s."""
from session import EXPORT, Session

node = "@relay@"
session = Session()
session.wait(10)
session.command(node, f"kill -9 $(cat '{EXPORT}/run/pids/{node}.run')")
session.note("member", node, "killed")
try:
    session.wait(15)
finally:
    session.command(node, f"bash '{EXPORT}/start/{node}.sh' run > /dev/null 2>&1 &")
    session.note("member", node, "started")
session.wait(15)
"#;

const VIEWERS: &str = r#"#!/usr/bin/env python3
"""Viewers of all clients leave and come back, one node after the other."""
from session import EXPORT, NODES, Session

session = Session()
clients = [node for node in NODES if (EXPORT / "run" / "pids" / f"{node}.view").exists()]
for node in clients:
    session.wait(5)
    session.command(node, f"bash '{EXPORT}/start/{node}.sh' stop view")
    session.note("viewer", node, "left")
for node in clients:
    session.wait(5)
    session.command(node, f"bash '{EXPORT}/start/{node}.sh' view > /dev/null 2>&1 &")
    session.note("viewer", node, "came")
session.wait(10)
"#;
