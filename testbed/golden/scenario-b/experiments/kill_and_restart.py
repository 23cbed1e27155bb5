#!/usr/bin/env python3
"""The member of a node is killed at 10 s and starts again at 25 s."""
from session import EXPORT, Session

node = "n1"
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
