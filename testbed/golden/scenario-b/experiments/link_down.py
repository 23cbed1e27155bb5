#!/usr/bin/env python3
"""A link goes down at 10 s and comes back at 20 s."""
from session import Session

session = Session()
session.wait(10)
try:
    session.set_link("c1", "n1", "down")
    session.wait(10)
finally:
    session.set_link("c1", "n1", "up")
session.wait(10)
