"""The base class of services, as far as a package of services touches it."""

import enum


class ServiceMode(enum.Enum):
    BLOCKING = 0
    NON_BLOCKING = 1
    TIMER = 2


class CoreService:
    name = None
    group = None

    def __init__(self, node):
        self.node = node
