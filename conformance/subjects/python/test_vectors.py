"""Runs the vectors of the specification against pulsewire.py: python3 -m unittest test_vectors"""

import json
import pathlib
import unittest

import pulsewire
from pulsewire import Connection, Fault, Reason, Settings

VECTORS = pathlib.Path(__file__).resolve().parents[3] / "spec" / "vectors"
SPLITS = ("whole", "bytes", "sevens")


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
            def read():
                hello = pulsewire.Hello(data(vector["payload"]), ack=vector["packet"] == "HELLO_ACK")
                if not hello.versions[0] <= 1 <= hello.versions[1] or vector["packet"] == "HELLO_ACK" and hello.versions != (1, 1):
                    raise Fault(Reason.UNSUPPORTED_VERSION)
                return {"versions": list(hello.versions), "sync_key": hello.sync_key, "frame_limit": hello.frame_limit,
                        "message_limit": hello.message_limit, "ping_floor": hello.ping_floor, "resync": hello.resync,
                        "token": None if hello.token is None else hello.token.hex()}
            self.judge(vector, read)

    def test_framing(self):
        hello = pulsewire.item(pulsewire.VERSIONS, b"\1\1") + pulsewire.item(pulsewire.SYNC_KEY, b"\0\0\0\1")
        for vector in load("framing"):
            stream = data(vector["stream"])
            for split in SPLITS:
                if split == "bytes" and len(stream) > 20_000:
                    continue
                with self.subTest(vector["name"], split=split):
                    settings = Settings(resync=vector["resync"], frame_limit=vector["frame_limit"],
                                        message_limit=vector["message_limit"])
                    connection = Connection(settings, 0, vector["key"])
                    connection.receive(pulsewire.packet(pulsewire.HELLO, hello, 0), 0)
                    connection.step(0)
                    size = {"whole": len(stream), "bytes": 1, "sevens": 7}[split]
                    for at in range(0, len(stream), size or 1):
                        connection.receive(stream[at:at + size], 0)
                        while connection.step(0):
                            pass
                    events, end = self.read_events(connection)
                    self.assertEqual((events, end), ([{k: self.plain(v) for k, v in e.items()} for e in vector["events"]],
                                                     vector["end"]))

    @staticmethod
    def plain(value):
        return value | {"payload": data(value["payload"])} if isinstance(value, dict) and "payload" in value else value

    @staticmethod
    def read_events(connection):
        events, end = [], "peer_closed" if connection.peer_close else "open"
        for event, *values in connection.events:
            if event == "message":
                events.append({"message": dict(zip(("class", "encrypted", "payload"), values))})
            elif event == "gap":
                events.append({"gap": dict(zip(("skipped", "message_lost"), values))})
            elif event in ("ping", "close"):
                events.append({event: values[0]})
            elif event == "ended" and not connection.peer_close:
                end = values[0].name
        return events, end


if __name__ == "__main__":
    unittest.main()
