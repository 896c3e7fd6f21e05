"""Runs the conversations against connection.py: python3 -m unittest test_conversations

All levels of comparison of the vectors' README.
"""

import unittest
from unittest.mock import patch

import connection
import pulsewire
from connection import Connection
from pulsewire import Hello, Reason, Settings
from test_vectors import VECTORS, data, load

DISCONNECTED = {"reset": Reason.RESET, "network_lost": Reason.NETWORK_LOST}


def conversations():
    for file in sorted((VECTORS / "conversations").glob("*.json")):
        yield from load(f"conversations/{file.stem}")


class Runner:
    """The transport, the application and the clock of one side."""

    def __init__(self, conversation, size):
        config, keys = conversation["config"], conversation["keys"]
        self.settings = Settings(config["resync"], **{name: config[name] for name in pulsewire.NUMBERS if name in config})
        self.side = Connection(self.settings, 0, keys["own"], config["acknowledges"], conversation["role"] == "client",
                               config["admission"])
        self.size, self.room = size, None

    def run(self, step):
        """What the step makes the side write, tell, and wait for."""
        now = step.get("clock", step["at"])
        while not step.get("late") and (deadline := self.deadline()) is not None and deadline < now:
            self.side.tick(deadline)
            assert not self.side.events and not self.move(deadline), f"something happened at {deadline}"
        self.do(step["do"], now)
        out = self.move(now)
        events, self.side.events = self.side.events, []
        return out, events

    def deadline(self):
        return None if self.side.over else self.side.next_deadline()

    def do(self, what, now):
        match what:
            case "start" | "wait":
                pass
            case {"receive": received}:
                received = data(received)
                size = self.size or len(received) or 1
                for at in range(0, len(received), size):
                    self.side.receive(received[at:at + size], now)
                    while self.side.step():
                        pass
            case {"send": message}:
                self.side.send(message["class"], message["encrypted"], data(message["payload"]))
            case {"close": close}:
                self.side.close(close["reason"], now, close["retry_after"], close["text"])
            case {"disconnect": "end_of_stream"}:
                self.side.receive_eof(now)
            case {"disconnect": how}:
                self.side.lost(DISCONNECTED[how])
            case {"acknowledge": total}:
                self.side.acknowledged(total, now)
            case {"room": room}:
                self.room = room
            case "accept":
                self.side.accept(now)
            case {"refuse": close}:
                self.side.close(close["reason"], now, close["retry_after"], close["text"])
            case "abort":
                self.side.abort(now)
            case "drain":
                self.side.drain()
            case "pause":
                self.side.pause(now)
            case "resume":
                self.side.resume(now)
            case _:
                raise NotImplementedError(what)

    def move(self, now):
        taken, before = bytearray(), None
        while before != (before := (len(taken), len(self.side.events), self.deadline())) or before[2] == now:
            if (deadline := self.deadline()) is not None and deadline <= now:
                self.side.tick(now)
            while not self.side.dead and (out := self.side.outgoing(now)):
                count = len(out) if self.room is None else min(self.room, len(out))
                if count == 0:
                    break
                taken += out[:count]
                self.room = None if self.room is None else self.room - count
                self.side.taken(count, now)
        return bytes(taken)


class Packets:
    """A stream that was written, packet by packet, as far as two implementations have to agree on it."""

    def __init__(self):
        self.stream = bytearray()

    def read(self, data, words):
        """The packets that these bytes complete; of the one that they leave open, the bytes."""
        self.stream += data
        packets = []
        while len(self.stream) >= 12:
            size = 12 + int.from_bytes(self.stream[5:8], "big") + (4 if self.stream[3] & pulsewire.CHECKSUM else 0)
            if len(self.stream) < size:
                break
            packets.append(self.packet(bytes(self.stream[:size]), words))
            del self.stream[:size]
        return packets, bytes(self.stream)

    @staticmethod
    def packet(packet, words):
        if packet[2] in (pulsewire.HELLO, pulsewire.HELLO_ACK):
            hello = vars(Hello(packet[12:], ack=packet[2] == pulsewire.HELLO_ACK))
            return packet[2], hello | {"token": None}  # in any order, with defaults or without; there is none to send
        if packet[2] == pulsewire.CLOSE:
            close = pulsewire.read_close(packet[12:])
            return "CLOSE", close if words else close | {"text": None}
        return packet.hex()


def told(side, events):
    """The events of a side as the conversations write them."""
    for event, *values in events:
        match event:
            case "admission":
                yield {event: {"token": values[0].token and values[0].token.hex()}}
            case "established":
                hello, = values
                yield {"established": {
                    "frame_limit": hello.frame_limit, "message_limit": hello.message_limit,
                    "idle": side.heartbeat.idle, "interval": side.interval,
                    "token": hello.token and hello.token.hex()}}
            case "message":
                yield {"message": dict(zip(("class", "encrypted", "payload"), values))}
            case "gap":
                yield {"gap": dict(zip(("skipped", "message_lost"), values))}
            case "rejected":
                yield {"rejected": dict(zip(("class", "ordinal", "reason"), values))}
            case "refused":
                if values[2] == pulsewire.TOO_LARGE:
                    yield {"too_large": {"class": values[0], "ordinal": values[1], "limit": side.s.message_limit}}
            case "drain":
                yield {"draining": {"received": values[0]}}
            case "close":
                if not pulsewire.is_fault(values[0]["reason"]) and not side.closing:
                    yield {"closing": {name: values[0][name] for name in ("reason", "text", "retry_after")}}
            case "ended":
                reason, origin, orderly, _ = values
                end = {"reason": int(reason), "origin": origin, "orderly": orderly, "received": side.received}
                if origin == "peer":
                    end |= {name: side.peer_close[name] for name in ("text", "retry_after")}
                yield {"closed": end}
            case "suspect" | "recovered":
                yield {event: {}}


def expected_events(step):
    for event in step["events"]:
        (name, values), = event.items()
        if name == "message":
            values = values | {"payload": data(values["payload"])}
        if name in ("admission", "established") and values["token"] is not None:
            values = values | {"token": data(values["token"]).hex()}
        yield {name: values}


def apart(events):
    """The heartbeat's events may stand anywhere among the others of their step, and are worth nothing beside the end."""
    life = [event for event in events if "suspect" in event or "recovered" in event]
    others = [event for event in events if event not in life]
    return others, [] if others and "closed" in others[-1] else life


class Conversations(unittest.TestCase):
    maxDiff = 3000

    def test_conversations(self):
        for conversation in conversations():
            for size in (None, 1, 7):
                with self.subTest(conversation["name"], size=size):
                    self.converse(conversation, size)

    def converse(self, conversation, size):
        with patch.multiple(connection, JOIN=1, RENEW=0.5):  # what the vectors assume
            runner, got, wanted = Runner(conversation, size), Packets(), Packets()
            words = any("close" in step["do"] and isinstance(step["do"], dict) for step in conversation["steps"])
            for step in conversation["steps"]:
                where = f"at {step['at']}: {step['do']}"
                out, events = runner.run(step)
                self.assertEqual(got.read(out, words), wanted.read(data(step["out"]), words), where)
                self.assertEqual(apart(list(told(runner.side, events))), apart(list(expected_events(step))), where)
                deadline = runner.deadline()
                if step["deadline"] is not None:
                    self.assertIsNotNone(deadline, where)
                    self.assertLessEqual(deadline, step["deadline"], where)


if __name__ == "__main__":
    unittest.main()
