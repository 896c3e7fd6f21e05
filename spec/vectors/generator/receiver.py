"""A receiver, as short as the specification allows: it judges every vector a second time.

It works on a whole stream in memory and knows nothing of time, which is all that the vectors need.
"""

from .codec import (
    CHECKSUM, CLOSE, CLOSE_ACK, BUSY, DATA, DEFAULT_FRAME_LIMIT, DEFAULT_MESSAGE_LIMIT, DRAIN, ENCRYPTED, FEATURES,
    FIRST, FIRST_IGNORABLE_KIND, HEADER_SIZE, HELLO, HELLO_ACK, LIMIT, LIMITS, MAGIC, MORE, PING, PING_FLOOR, PONG,
    REJECT, SYNC_KEY, TEXT, TOKEN, TRAILER_SIZE, VERSIONS, crc32c, json_bytes,
)

CONTROL_LENGTHS = {
    HELLO: (14, 4096), HELLO_ACK: (14, 4096), REJECT: (10, 10), PING: (8, 8), PONG: (8, 8), BUSY: (4, 4), DRAIN: (8, 8),
    CLOSE: (14, 512), CLOSE_ACK: (8, 8),
}
ITEM_LENGTHS = {VERSIONS: 2, SYNC_KEY: 4, LIMITS: 8, PING_FLOOR: 4, FEATURES: 4, TOKEN: None}
SUPPORTED_VERSION = 1
SKIPPED_BYTES_MAX = 65_536
GAPS_MAX = 16


class Fault(Exception):
    """The receiver closes; the argument is the name of the reason."""


def compare(name, judged, stated):
    if judged != stated:
        raise SystemExit(f"{name}: the receiver says {judged}, the vector {stated}")


def require(condition, reason):
    if not condition:
        raise Fault(reason)


def number(data):
    return int.from_bytes(data, "big")


def verifies(raw, key):
    return raw[:2] == MAGIC and crc32c(raw[:8]) ^ key == number(raw[8:12])


def judge_header(raw, key, frame_limit):
    """Section 3: the fields of a header, judged in the order given there."""
    require(verifies(raw, key), "BAD_HEADER")
    kind, flags, message_class, length = raw[2], raw[3], raw[4], number(raw[5:8])
    ignorable = kind >= FIRST_IGNORABLE_KIND
    require(flags & ~(FIRST | MORE | CHECKSUM | ENCRYPTED) == 0, "UNKNOWN_FLAG")
    require(kind == DATA or kind in CONTROL_LENGTHS or ignorable, "UNKNOWN_KIND")
    require(kind == DATA or flags & ~CHECKSUM == 0, "BAD_PACKET")
    require(message_class == 0 or kind == DATA and not 5 <= message_class <= 127, "BAD_PACKET")
    if kind in CONTROL_LENGTHS:
        low, high = CONTROL_LENGTHS[kind]
        require(low <= length <= high, "BAD_LENGTH")
    else:
        require(length <= frame_limit, "FRAME_TOO_LARGE")
    return {"kind": kind, "flags": flags, "class": message_class, "length": length}


def split_items(payload, reason):
    while payload:
        require(len(payload) >= 4, reason)
        identifier, end = number(payload[:2]), 4 + number(payload[2:4])
        require(len(payload) >= end, reason)
        yield identifier, payload[4:end]
        payload = payload[end:]


def judge_hello(payload, kind):
    """Section 7: the values of HELLO or HELLO_ACK, for a receiver that knows version 1 only."""
    items = {}
    for identifier, value in split_items(payload, "BAD_HELLO"):
        if identifier not in ITEM_LENGTHS:
            require(identifier & 0x8000, "UNKNOWN_ITEM")
            continue
        require(ITEM_LENGTHS[identifier] in (None, len(value)), "BAD_HELLO")
        require(identifier not in items, "BAD_HELLO")
        items[identifier] = value
    require(VERSIONS in items and SYNC_KEY in items, "BAD_HELLO")
    lowest, highest = items[VERSIONS]
    sync_key = number(items[SYNC_KEY])
    limits = items.get(LIMITS)
    frame_limit = number(limits[:4]) if limits else DEFAULT_FRAME_LIMIT
    message_limit = number(limits[4:]) if limits else DEFAULT_MESSAGE_LIMIT
    ping_floor = number(items[PING_FLOOR]) if PING_FLOOR in items else 1000
    require(1 <= lowest <= highest, "BAD_HELLO")
    require(sync_key != 0, "BAD_HELLO")
    require(512 <= frame_limit <= 16_777_215 and message_limit >= frame_limit, "BAD_HELLO")
    require(1 <= ping_floor <= 60_000, "BAD_HELLO")
    require(lowest <= SUPPORTED_VERSION <= highest, "UNSUPPORTED_VERSION")
    require(kind == HELLO or lowest == highest, "UNSUPPORTED_VERSION")
    return {
        "versions": [lowest, highest],
        "sync_key": sync_key,
        "frame_limit": frame_limit,
        "message_limit": message_limit,
        "ping_floor": ping_floor,
        "resync": bool(number(items.get(FEATURES, b"")) & 1),
        "token": json_bytes(items[TOKEN]) if TOKEN in items else None,
    }


def read_close(payload):
    items = dict(split_items(payload[14:], "BAD_PACKET"))
    limit = items.get(LIMIT)
    return {
        "reason": number(payload[:2]),
        "received": number(payload[2:10]),
        "retry_after": number(payload[10:14]),
        "text": items[TEXT].decode() if TEXT in items else None,
        "limit": {"limit": number(limit[:8]), "size": number(limit[8:])} if limit else None,
    }


class Receiver:
    """Sections 5 and 6, from the first packet after the handshake on."""

    def __init__(self, key, resync, frame_limit, message_limit):
        self.key, self.resync, self.frame_limit, self.message_limit = key, resync, frame_limit, message_limit
        self.events = []
        self.end = "open"
        self.open_message = None  # (class, encrypted, payload so far)
        self.passing_over = False  # continuation frames, after a gap
        self.skipped_bytes = 0
        self.gaps = 0

    def run(self, stream):
        try:
            self.read(stream)
        except Fault as fault:
            self.end = str(fault)
        return self.events, self.end

    def read(self, stream):
        position = skip_start = 0
        while self.end == "open" and len(stream) - position >= HEADER_SIZE:
            raw = stream[position:position + HEADER_SIZE]
            if self.resync and not verifies(raw, self.key):
                self.spend(1, begins_gap=position == skip_start)
                position += 1
                continue
            if position > skip_start:
                self.gap(position - skip_start, is_data=True)
            fields = judge_header(raw, self.key, self.frame_limit)
            self.judge_before_payload(fields)
            size = HEADER_SIZE + fields["length"] + (TRAILER_SIZE if fields["flags"] & CHECKSUM else 0)
            if len(stream) - position < size:
                return
            body = stream[position + HEADER_SIZE:position + size]
            position = skip_start = position + size
            self.take_packet(fields, body[:fields["length"]], body[fields["length"]:])

    def spend(self, size, begins_gap):
        self.skipped_bytes += size
        self.gaps += begins_gap
        require(self.skipped_bytes <= SKIPPED_BYTES_MAX and self.gaps <= GAPS_MAX, "RESYNC_BUDGET")

    def gap(self, skipped, is_data):
        lost = is_data and self.open_message is not None
        self.events.append({"gap": {"skipped": skipped, "message_lost": lost}})
        if is_data:
            self.open_message = None
            self.passing_over = True

    def judge_before_payload(self, fields):
        if fields["kind"] != DATA:
            return
        require(fields["flags"] & CHECKSUM or not self.resync, "CHECKSUM_REQUIRED")
        if self.open_message and not fields["flags"] & FIRST:
            require(len(self.open_message[2]) + fields["length"] <= self.message_limit, "MESSAGE_TOO_LARGE")

    def take_packet(self, fields, payload, trailer):
        kind = fields["kind"]
        if trailer and number(trailer) != crc32c(payload):
            require(self.resync, "PAYLOAD_CHECKSUM")
            size = HEADER_SIZE + len(payload) + TRAILER_SIZE
            self.spend(size, begins_gap=True)
            self.gap(size, is_data=kind == DATA)
        elif kind == DATA:
            self.take_data(fields, payload)
        elif kind == PING:
            self.events.append({"ping": number(payload)})
        elif kind == CLOSE:
            self.events.append({"close": read_close(payload)})
            self.end = "peer_closed"
        elif kind in (HELLO, HELLO_ACK, CLOSE_ACK):
            raise Fault("UNEXPECTED_PACKET")
        elif kind == PONG:
            raise Fault("BAD_PONG")

    def take_data(self, fields, payload):
        first, more = fields["flags"] & FIRST, fields["flags"] & MORE
        label = (fields["class"], bool(fields["flags"] & ENCRYPTED))
        if not first and self.open_message is None and self.passing_over:
            return
        require(payload or not more, "BAD_FRAGMENT")
        if first:
            self.passing_over = self.passing_over and not more
            if self.open_message:
                require(not more and fields["class"] != self.open_message[0], "BAD_FRAGMENT")
            if more:
                self.open_message = (*label, payload)
            else:
                self.deliver(*label, payload)
            return
        require(self.open_message is not None and self.open_message[:2] == label, "BAD_FRAGMENT")
        joined = self.open_message[2] + payload
        self.open_message = (*label, joined) if more else None
        if not more:
            self.deliver(*label, joined)

    def deliver(self, message_class, encrypted, payload):
        event = {"class": message_class, "encrypted": encrypted, "payload": json_bytes(payload)}
        self.events.append({"message": event})
