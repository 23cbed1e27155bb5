"""Types of the gRPC client, strict: a wrong field or type is an error here, as it would be on the wire."""

import enum
from dataclasses import dataclass, field, fields


class NodeType(enum.Enum):
    DEFAULT = 0
    SWITCH = 4
    HUB = 5


def strict(value, kinds):
    for entry in fields(value):
        given = getattr(value, entry.name)
        wanted = kinds[entry.name]
        if not isinstance(given, wanted) or (isinstance(given, bool) and wanted is not bool):
            raise TypeError(f"{type(value).__name__}.{entry.name} is {given!r}")


@dataclass
class Position:
    x: float
    y: float

    def __post_init__(self):
        strict(self, {"x": float, "y": float})
        if not (self.x and self.y):
            raise ValueError("a coordinate of 0 drops the position")


@dataclass
class Interface:
    id: int
    name: str = None
    mac: str = None
    ip4: str = None
    ip4_mask: int = None
    ip6: str = None
    ip6_mask: int = None

    def __post_init__(self):
        text, number = (str, type(None)), (int, type(None))
        strict(self, {"id": int, "name": text, "mac": text, "ip4": text, "ip4_mask": number, "ip6": text,
                      "ip6_mask": number})


@dataclass
class LinkOptions:
    jitter: int = 0
    loss: float = 0.0
    dup: int = 0
    bandwidth: int = 0
    delay: int = 0
    buffer: int = 0
    unidirectional: bool = False

    def __post_init__(self):
        whole = {name: int for name in ("jitter", "dup", "bandwidth", "delay", "buffer")}
        strict(self, {**whole, "loss": float, "unidirectional": bool})
        if not self.buffer:
            raise ValueError("options without a buffer")


@dataclass
class Link:
    node1_id: int
    node2_id: int
    iface1: Interface = None
    iface2: Interface = None
    options: LinkOptions = None


@dataclass
class Node:
    id: int
    name: str
    type: NodeType
    model: str
    position: Position
    services: set = field(default_factory=set)
    icon: str = None


class Session:
    def __init__(self, number):
        self.id = number
        self.nodes = {}
        self.links = []
        self.metadata = {}

    def add_node(self, _id, *, name=None, _type=NodeType.DEFAULT, model="PC", position=None):
        if not isinstance(_id, int) or _id in self.nodes:
            raise ValueError(f"node {_id!r}")
        if not isinstance(position, Position):
            raise ValueError(f"node {name} has no position")
        self.nodes[_id] = Node(_id, name, NodeType(_type), model, position)
        return self.nodes[_id]

    def add_link(self, *, node1, node2, iface1=None, iface2=None, options=None):
        self.links.append(Link(node1.id, node2.id, iface1, iface2, options))
        return self.links[-1]
