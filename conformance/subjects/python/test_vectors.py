"""Runs the vectors of the specification against pulsewire.py: python3 -m unittest test_vectors"""

import json
import pathlib
import unittest

import pulsewire
from connection import Connection
from pulsewire import Fault, Reason, Settings

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "spec" / "vectors"
SPLITS = ("whole", "bytes", "sevens")
HELLO = pulsewire.item(pulsewire.VERSIONS, b"\1\1") + pulsewire.item(pulsewire.SYNC_KEY, b"\0\0\0\1")
REFUSALS = {pulsewire.TOO_LARGE: "TOO_LARGE", pulsewire.DAMAGED: "DAMAGED"}


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def data(value):
    if isinstance(value, list):
        return b"".join(map(data, value))
    return bytes.fromhex(value["repeat"]) * value["times"] if isinstance(value, dict) else bytes.fromhex(value)


class Vectors(unittest.TestCase):
    maxDiff = 2000

    def judge(self, vector, read):
        with self.subTest(vector["name"]):
            try:
                result = {"accepted": read()}
            except Fault as fault:
                result = {"close": fault.reason.name}
            self.assertEqual(result, vector["expect"])

    def test_header(self):
        for vector in load("header"):
            head = data(vector["header"])

            def read():
                if not pulsewire.verifies(head, vector["key"]):
                    raise Fault(Reason.BAD_HEADER)
                return dict(zip(("kind", "flags", "class", "length"), pulsewire.judge_header(head, vector["frame_limit"])))
            self.judge(vector, read)

    def test_hello(self):
        for vector in load("hello"):
            if "accepted" in vector["expect"] and (token := vector["expect"]["accepted"]["token"]) is not None:
                vector["expect"]["accepted"]["token"] = data(token)

            def read():
                hello = pulsewire.Hello(data(vector["payload"]), ack=vector["packet"] == "HELLO_ACK")
                lowest, highest = hello.versions
                if not lowest <= 1 <= highest or vector["packet"] == "HELLO_ACK" and lowest != highest:
                    raise Fault(Reason.UNSUPPORTED_VERSION)
                return {"versions": list(hello.versions), "sync_key": hello.sync_key, "frame_limit": hello.frame_limit,
                        "message_limit": hello.message_limit, "ping_floor": hello.ping_floor, "resync": hello.resync,
                        "token": hello.token}
            self.judge(vector, read)

    def test_framing(self):
        self.judge_streams("framing")

    def test_control(self):
        self.judge_streams("control")

    def judge_streams(self, name):
        for vector in load(name):
            stream = data(vector["stream"])
            expected = [{name: plain(values)} for event in vector["events"] for name, values in event.items()]
            for split in SPLITS:
                if split == "bytes" and len(stream) > 20_000:
                    continue
                with self.subTest(vector["name"], split=split):
                    connection = established(vector)
                    size = {"whole": len(stream), "bytes": 1, "sevens": 7}[split]
                    for at in range(0, len(stream), size or 1):
                        connection.receive(stream[at:at + size], 0)
                        while connection.step():
                            pass
                    events, end = read_events(connection)
                    self.assertEqual(end, vector["end"])
                    for refused in (True, False):  # their place among other events means nothing
                        self.assertEqual([event for event in events if ("refused" in event) == refused],
                                         [event for event in expected if ("refused" in event) == refused])


def plain(values):
    return values | {"payload": data(values["payload"])} if isinstance(values, dict) and "payload" in values else values


def established(vector):
    """A connection that has sent what the vector says, its transport taking all."""
    settings = Settings(resync=vector["resync"], frame_limit=vector["frame_limit"], message_limit=vector["message_limit"])
    connection = Connection(settings, 0, vector["key"])
    connection.receive(pulsewire.packet(pulsewire.HELLO, HELLO, 0), 0)
    connection.step()
    for _ in range(vector["messages_sent"]):
        connection.send(2, False, b"")
    connection.heartbeat.floor = 0  # all PINGs at one instant
    for _ in range(vector["pings_sent"]):
        connection.heartbeat.waits = True
        connection.taken(len(connection.outgoing(0)), 0)
    while out := connection.outgoing(0):
        connection.taken(len(out), 0)
    connection.events.clear()
    return connection


def read_events(connection):
    events, end = [], "peer_closed" if connection.peer_close else "open"
    for event, *values in connection.events:
        match event:
            case "message":
                events.append({"message": dict(zip(("class", "encrypted", "payload"), values))})
            case "gap":
                events.append({"gap": dict(zip(("skipped", "message_lost"), values))})
            case "refused":
                events.append({"refused": dict(zip(("class", "ordinal"), values), reason=REFUSALS[values[2]])})
            case "rejected":
                events.append({"rejected": dict(zip(("class", "ordinal", "reason"), values))})
            case "drain":
                events.append({"drain": {"received": values[0]}})
            case "ping" | "pong" | "busy" | "close":
                events.append({event: values[0]})
            case "ended":
                reason, origin = values[:2]
                end = "peer_failed" if origin == "peer" else reason.name
    return events, end


if __name__ == "__main__":
    unittest.main()
