"""A client that connects to nothing: every call goes to the file RECORD as a line of JSON. FAIL fails the start."""

import dataclasses
import enum
import json
import os

from core.api.grpc.wrappers import Session


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
        self._record("start_session", nodes=list(session.nodes.values()), links=session.links,
                     metadata=session.metadata)
        return (False, ["a qdisc is not known"]) if os.environ.get("FAIL") else (True, [])

    def delete_session(self, session_id):
        self._record("delete_session", session=session_id)
        return True
