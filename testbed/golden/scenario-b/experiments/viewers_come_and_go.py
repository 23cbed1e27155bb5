#!/usr/bin/env python3
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
