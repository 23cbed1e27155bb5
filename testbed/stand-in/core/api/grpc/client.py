"""A client that connects to nothing: every call goes to the file RECORD as a line of JSON. FAIL fails the start, by an
answer, or by an exception where it says so. NODE_COMMAND is a list of words in JSON that run commands in nodes."""

import dataclasses
import enum
import json
import os
import subprocess
from types import SimpleNamespace

from core.api.grpc.wrappers import Link, Session


def plain(value):
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, set):
        return sorted(value)
    if dataclasses.is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value


class CoreGrpcClient:
    def __init__(self, address="localhost:50051"):
        self.address = address
        self.connected = False

    def _record(self, call, **arguments):
        with open(os.environ["RECORD"], "a") as record:
            record.write(json.dumps({"call": call, **plain(arguments)}, sort_keys=True) + "\n")

    def connect(self):
        self.connected = True
        self._record("connect", address=self.address)

    def close(self):
        self._record("close")

    def create_session(self, session_id=None):
        assert self.connected
        self._record("create_session")
        return Session(7)

    def start_session(self, session, definition=False):
        self._record("start_session", definition=definition, nodes=list(session.nodes.values()), links=session.links,
                     metadata=session.metadata)
        if os.environ.get("FAIL") == "exception":
            raise RuntimeError("the daemon is gone")
        return (False, ["a qdisc is not known"]) if os.environ.get("FAIL") else (True, [])

    def delete_session(self, session_id):
        self._record("delete_session", session=session_id)
        return True

    def _nodes(self):
        """Of the session that was started and is in the record."""
        with open(os.environ["RECORD"]) as record:
            calls = [json.loads(line) for line in record]
        started = [call for call in calls if call["call"] == "start_session"]
        return {node["id"]: SimpleNamespace(**node) for node in started[-1]["nodes"]} if started else {}

    def get_sessions(self):
        assert self.connected
        return [SimpleNamespace(id=7)] if self._nodes() else []

    def get_session(self, session_id):
        return SimpleNamespace(id=session_id, nodes=self._nodes())

    def node_command(self, session_id, node_id, command, wait=True, shell=False):
        node = self._nodes()[node_id]
        assert session_id == 7 and node.type == "DEFAULT" and wait and shell, (session_id, node, wait, shell)
        self._record("node_command", node=node.name, command=command)
        words = json.loads(os.environ.get("NODE_COMMAND", "[]"))
        if not words:
            return 0, ""
        done = subprocess.run([*words, node.name, "--", "sh", "-c", command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def edit_link(self, session_id, link, source=None):
        assert session_id == 7 and isinstance(link, Link), link
        self._record("edit_link", link=link)
        return True
