#!/usr/bin/env python3
"""Loss on a link grows from 0 to 10 % in steps of ten seconds, and goes."""
from session import Session

session = Session()
try:
    for loss in (0.0, 0.5, 1.0, 2.0, 5.0, 10.0):
        session.edit("c1", "n1", loss=loss)
        session.wait(10)
finally:
    session.edit("c1", "n1")
session.wait(10)
