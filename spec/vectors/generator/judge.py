"""What single headers and payloads say, and which of them are refused (protocol.md, sections 3, 7 and 9)."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DEFAULT_FRAME_LIMIT, DEFAULT_MESSAGE_LIMIT, DRAIN, ENCRYPTED, FEATURES,
    FIRST, FIRST_IGNORABLE_KIND, HELLO, HELLO_ACK, LIMIT, LIMITS, MAGIC, MORE, PING, PING_FLOOR, PONG, REJECT, SYNC_KEY,
    TEXT, TOKEN, VERSIONS, crc32c, json_bytes,
)

CONTROL_LENGTHS = {
    HELLO: (14, 4096), HELLO_ACK: (14, 4096), REJECT: (11, 11), PING: (8, 8), PONG: (8, 8), BUSY: (4, 4), DRAIN: (8, 8),
    CLOSE: (14, 512), CLOSE_ACK: (8, 8),
}
ITEM_LENGTHS = {VERSIONS: 2, SYNC_KEY: 4, LIMITS: 8, PING_FLOOR: 4, FEATURES: 4, TOKEN: None}
SUPPORTED_VERSION = 1


class Fault(Exception):
    """The receiver closes for `reason`; `limit` is the item LIMIT of its CLOSE, where that has one."""

    def __init__(self, reason, limit=None):
        super().__init__(reason)
        self.reason, self.limit = reason, limit


def compare(name, judged, stated):
    if judged != stated:
        raise SystemExit(f"{name}: the receiver says {judged}, the vector {stated}")


def require(condition, reason, limit=None):
    if not condition:
        raise Fault(reason, limit)


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
        require(length <= frame_limit, "FRAME_TOO_LARGE", (frame_limit, length))
    return {"kind": kind, "flags": flags, "class": message_class, "length": length}


def split_items(payload, reason):
    while payload:
        require(len(payload) >= 4, reason)
        identifier, end = number(payload[:2]), 4 + number(payload[2:4])
        require(len(payload) >= end, reason)
        yield identifier, payload[4:end]
        payload = payload[end:]


def is_in_range(identifier, value):
    """Of an item of the right length."""
    if identifier == VERSIONS:
        lowest, highest = value
        return 1 <= lowest <= highest
    if identifier == SYNC_KEY:
        return number(value) != 0
    if identifier == LIMITS:
        frame, message = number(value[:4]), number(value[4:])
        return 512 <= frame <= 16_777_215 and message >= frame
    if identifier == PING_FLOOR:
        return 1 <= number(value) <= 60_000
    return True


def judge_hello(payload, kind):
    """Section 7: the values of HELLO or HELLO_ACK, for a receiver that knows version 1 only."""
    items = {}
    for identifier, value in split_items(payload, "BAD_HELLO"):
        if identifier not in ITEM_LENGTHS:
            require(identifier & 0x8000, "UNKNOWN_ITEM")
            continue
        require(ITEM_LENGTHS[identifier] in (None, len(value)), "BAD_HELLO")
        require(identifier not in items, "BAD_HELLO")
        require(is_in_range(identifier, value), "BAD_HELLO")
        items[identifier] = value
    require(VERSIONS in items and SYNC_KEY in items, "BAD_HELLO")
    lowest, highest = items[VERSIONS]
    sync_key = number(items[SYNC_KEY])
    limits = items.get(LIMITS)
    frame_limit = number(limits[:4]) if limits else DEFAULT_FRAME_LIMIT
    message_limit = number(limits[4:]) if limits else DEFAULT_MESSAGE_LIMIT
    ping_floor = number(items[PING_FLOOR]) if PING_FLOOR in items else 1000
    require(lowest <= SUPPORTED_VERSION <= highest, "UNSUPPORTED_VERSION")
    require(kind == HELLO or lowest == highest, "UNSUPPORTED_VERSION")
    return {
        "versions": [lowest, highest],
        "sync_key": sync_key,
        "frame_limit": frame_limit,
        "message_limit": message_limit,
        "ping_floor": ping_floor,
        "resync": bool(number(items.get(FEATURES, b"")) & 1),
        "token": json_bytes(items[TOKEN]) if TOKEN in items and kind == HELLO else None,
    }


def readable_key(payload):
    """The valid SYNC_KEY of a HELLO_ACK that is bad otherwise; 0 where there is none (PW-HS-018)."""
    try:
        for identifier, value in split_items(payload, "cut off"):
            if identifier == SYNC_KEY and len(value) == 4:
                return number(value)
    except Fault:
        pass
    return 0


def read_close(payload):
    """Section 9; what stands behind a malformed item is passed over with it, and the last one counts (PW-CLS-014)."""
    items = {}
    try:
        for identifier, value in split_items(payload[14:], "cut off"):
            if identifier == LIMIT and len(value) != 16 or identifier == TEXT and not is_text(value):
                break
            items[identifier] = value
    except Fault:
        pass
    limit = items.get(LIMIT)
    return {
        "reason": number(payload[:2]),
        "received": number(payload[2:10]),
        "retry_after": number(payload[10:14]),
        "text": items[TEXT].decode() if TEXT in items else None,
        "limit": {"limit": number(limit[:8]), "size": number(limit[8:])} if limit else None,
    }


def is_text(value):
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
