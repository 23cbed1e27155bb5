"""Fails when two files do not hold the same objects: same.py ONE OTHER."""
import sys

import yaml


def objects(path):
    with open(path, encoding="utf-8") as text:
        return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(text) if found}


one, other = (objects(path) for path in sys.argv[1:])
different = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
for kind, name in different:
    print(f"{sys.argv[1]}: {kind} {name} is not the same in {sys.argv[2]}")
sys.exit(1 if different else 0)
