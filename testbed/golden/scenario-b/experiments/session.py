"""The running session, for experiments: run them by core-python. Times in events.csv are Unix seconds, as in records
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
    ("c1", 1, 0, "n1", 4, 0, dict(bandwidth=20000000, delay=50000, jitter=0, loss=0.0, dup=0, buffer=250)),
    ("c1", 1, 1, "screen-1", 9, 0, dict(bandwidth=0, delay=0, jitter=0, loss=0.0, dup=0, buffer=4167)),
    ("c2", 2, 0, "n2", 5, 0, dict(bandwidth=20000000, delay=50000, jitter=0, loss=0.0, dup=0, buffer=250)),
    ("c2", 2, 1, "screen-2", 10, 0, dict(bandwidth=0, delay=0, jitter=0, loss=0.0, dup=0, buffer=4167)),
    ("control", 3, 0, "rp", 6, 0, dict(bandwidth=0, delay=0, jitter=0, loss=0.0, dup=0, buffer=4167)),
    ("n1", 4, 1, "rp", 6, 1, dict(bandwidth=20000000, delay=50000, jitter=0, loss=0.0, dup=0, buffer=250)),
    ("n2", 5, 1, "rp", 6, 2, dict(bandwidth=20000000, delay=50000, jitter=0, loss=0.0, dup=0, buffer=250)),
    ("rp", 6, 3, "s1", 7, 0, dict(bandwidth=20000000, delay=50000, jitter=0, loss=0.0, dup=0, buffer=250)),
    ("rp", 6, 4, "s2", 8, 0, dict(bandwidth=20000000, delay=20000, jitter=2000, loss=1.0, dup=0, buffer=150)),
]

NODES = {
    "control": 3,
    "s1": 7,
    "s2": 8,
    "rp": 6,
    "n1": 4,
    "n2": 5,
    "c1": 1,
    "c2": 2,
    "screen-1": 9,
    "screen-2": 10,
}

# They are bridges: no command runs there.
SWITCHES = {}


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
