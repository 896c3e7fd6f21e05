"""Streams after the handshake: how their vectors are written, and the receiver that judges them."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DEFAULT_FRAME_LIMIT, DEFAULT_MESSAGE_LIMIT, DRAIN, FIRST, HELLO, HELLO_ACK,
    KEY, PING, PONG, REJECT, json_bytes, packet, u64,
)
from .counts import Counts
from .judge import Fault, compare, number, read_close, require
from .receiver import Receiver

COMMUNICATION = 2


def data(payload, flags=FIRST, message_class=COMMUNICATION, **faults):
    return packet(DATA, payload, flags, message_class, **faults)


def checked(payload, flags=FIRST, message_class=COMMUNICATION, **faults):
    return data(payload, flags | CHECKSUM, message_class, **faults)


def ping(n, **fields):
    return packet(PING, u64(n), **fields)


def message(payload, message_class=COMMUNICATION, encrypted=False):
    return {"message": {"class": message_class, "encrypted": encrypted, "payload": json_bytes(payload)}}


def gap(skipped, message_lost=False):
    return {"gap": {"skipped": skipped, "message_lost": message_lost}}


def refused(ordinal, reason="DAMAGED", message_class=COMMUNICATION):
    return {"refused": {"class": message_class, "ordinal": ordinal, "reason": reason}}


class StreamReceiver(Receiver):
    """A receiver that is open, has sent so many PINGs and messages of one class, and neither DRAIN nor CLOSE."""

    def __init__(self, key, resync, frame_limit, message_limit, pings_sent, messages_sent):
        super().__init__(key, resync, frame_limit, message_limit)
        self.pings_sent, self.messages_sent = pings_sent, messages_sent
        self.counts = Counts()
        for _ in range(messages_sent):
            self.counts.begin(COMMUNICATION)
            self.counts.complete()
        self.end = "open"
        self.drained = False
        self.highest_ping = 0

    def run(self, stream):
        try:
            self.feed(stream)
        except Fault as fault:
            self.end = fault.reason
        return self.events, self.end

    def listening(self):
        return self.end != "peer_failed"

    def allow(self, kind):
        behind_close = self.end == "peer_closed" and kind in (DATA, DRAIN, CLOSE)
        again = kind == DRAIN and self.drained
        allowed = kind not in (HELLO, HELLO_ACK, CLOSE_ACK) and not behind_close and not again
        require(allowed, "UNEXPECTED_PACKET")

    def take_control(self, kind, payload):
        if kind == PING:
            require(number(payload) > self.highest_ping, "BAD_PING")
            self.highest_ping = number(payload)
            self.events.append({"ping": number(payload)})
        elif kind == PONG:
            require(1 <= number(payload) <= self.pings_sent, "BAD_PONG")
            self.events.append({"pong": number(payload)})
        elif kind == BUSY:
            self.events.append({"busy": number(payload)})
        elif kind == DRAIN:
            self.counts.told(number(payload))
            self.drained = True
            self.events.append({"drain": {"received": number(payload)}})
        elif kind == REJECT:
            self.events.append({"rejected": self.counts.rejected(payload)})
        elif kind == CLOSE:
            self.take_close(read_close(payload))

    def take_close(self, close):
        failed = 16 <= close["reason"] <= 255
        if not failed:
            self.counts.told(close["received"])
        self.end = "peer_failed" if failed else "peer_closed"
        self.events.append({"close": close})


class Vectors:
    """The vectors of one file, each judged when it is added."""

    def __init__(self, file):
        self.file, self.list = file, []

    def add(
        self, name, requirements, parts, events, end="open", resync=False, frame_limit=DEFAULT_FRAME_LIMIT,
        message_limit=DEFAULT_MESSAGE_LIMIT, pings_sent=0, messages_sent=0,
    ):
        receiver = StreamReceiver(KEY, resync, frame_limit, message_limit, pings_sent, messages_sent)
        compare(f"{self.file}/{name}", receiver.run(b"".join(parts)), (events, end))
        stream = []
        for part in parts:
            encoded = json_bytes(part)
            stream += [encoded] if isinstance(encoded, str) else encoded
        self.list.append({
            "name": name, "requirements": requirements, "key": KEY, "resync": resync, "frame_limit": frame_limit,
            "message_limit": message_limit, "pings_sent": pings_sent, "messages_sent": messages_sent, "stream": stream,
            "events": events, "end": end,
        })

    def resync(self, name, requirements, parts, events, end="open", **limits):
        self.add(name, requirements, parts, events, end, resync=True, **limits)
