#!/usr/bin/env python3
"""A link's rate falls to 1 Mbit/s at 10 s and returns at 30 s."""
from session import Session

session = Session()
session.wait(10)
try:
    session.edit("c1", "n1", bandwidth=1_000_000)
    session.wait(20)
finally:
    session.edit("c1", "n1")
session.wait(10)
