"""hello.json: one payload of HELLO or HELLO_ACK each, and what a receiver makes of it (section 7)."""

from .codec import (
    DEFAULT_FRAME_LIMIT, DEFAULT_MESSAGE_LIMIT, FEATURES, HELLO, HELLO_ACK, LIMITS, PING_FLOOR, SYNC_KEY, TEXT, TOKEN,
    VERSIONS, item, json_bytes, u32,
)
from .judge import Fault, compare, judge_hello

HELLO_PAYLOAD_MAX = 4096


def versions(lowest, highest):
    return item(VERSIONS, bytes([lowest, highest]))


def sync_key(key):
    return item(SYNC_KEY, u32(key))


def limits(frame, message):
    return item(LIMITS, u32(frame) + u32(message))


def ping_floor(milliseconds):
    return item(PING_FLOOR, u32(milliseconds))


def features(bits):
    return item(FEATURES, u32(bits))


def hello_payload(config, key, token, lowest=1, highest=1):
    """Every item in the order of the ids, as the conversations have it; order has no meaning."""
    payload = versions(lowest, highest) + sync_key(key) + limits(config["frame_limit"], config["message_limit"])
    payload += ping_floor(config["ping_floor"]) + features(1 if config["resync"] else 0)
    return payload if token is None else payload + item(TOKEN, token)


MINIMAL = versions(1, 1) + sync_key(0xC0FFEE01)
# What MINIMAL says, with the defaults of section 7 for the rest.
MINIMAL_VALUES = {
    "versions": [1, 1],
    "sync_key": 0xC0FFEE01,
    "frame_limit": DEFAULT_FRAME_LIMIT,
    "message_limit": DEFAULT_MESSAGE_LIMIT,
    "ping_floor": 1000,
    "resync": False,
    "token": None,
}


class Vectors:
    def __init__(self):
        self.list = []

    def add(self, name, requirements, payload, expect, kind):
        compare(f"hello/{name}, allowed length", 14 <= len(payload) <= HELLO_PAYLOAD_MAX, True)
        try:
            judged = {"accepted": judge_hello(payload, kind)}
        except Fault as fault:
            judged = {"close": str(fault)}
        compare(f"hello/{name}", judged, expect)
        self.list.append({
            "name": name, "requirements": requirements, "packet": "HELLO" if kind == HELLO else "HELLO_ACK",
            "payload": json_bytes(payload), "expect": expect,
        })

    def accept(self, name, requirements, payload, kind=HELLO, **values):
        self.add(name, requirements, payload, {"accepted": MINIMAL_VALUES | values}, kind)

    def refuse(self, name, requirements, payload, reason="BAD_HELLO", kind=HELLO):
        self.add(name, requirements, payload, {"close": reason}, kind)


def build():
    vectors = Vectors()
    whole_payloads(vectors)
    unknown_items(vectors)
    syntax(vectors)
    version_ranges(vectors)
    values(vectors)
    return vectors.list


def whole_payloads(vectors):
    every_item = [
        MINIMAL[:6], MINIMAL[6:], limits(1024, 4096), ping_floor(250), features(1), item(TOKEN, b"secret"),
    ]
    said = {"frame_limit": 1024, "message_limit": 4096, "ping_floor": 250, "resync": True, "token": b"secret".hex()}
    largest_token = bytes(HELLO_PAYLOAD_MAX - len(MINIMAL) - 4)
    vectors.accept("minimal", ["PW-HS-002", "PW-HS-011"], MINIMAL)
    vectors.accept("minimal-ack", ["PW-HS-002", "PW-HS-011"], MINIMAL, HELLO_ACK)
    vectors.accept("every-item", ["PW-HS-002"], b"".join(every_item), **said)
    vectors.accept("every-item-reversed", ["PW-HS-002"], b"".join(reversed(every_item)), **said)
    vectors.accept("every-item-ack", ["PW-HS-002"], b"".join(every_item[:-1]), HELLO_ACK, **said | {"token": None})
    vectors.accept("token-empty", ["PW-HS-011"], MINIMAL + item(TOKEN, b""), token="")
    vectors.accept(
        "token-fills-payload", ["PW-HDR-014"], MINIMAL + item(TOKEN, largest_token), token=json_bytes(largest_token)
    )

    vectors.accept("token-ack", ["PW-HS-002"], MINIMAL + item(TOKEN, b"secret"), HELLO_ACK)


def unknown_items(vectors):
    vectors.accept("ignorable-item-last", ["PW-HS-006"], MINIMAL + item(0x8FFF, b"\x01\x02\x03"))
    vectors.accept("ignorable-item-first", ["PW-HS-006"], item(0xFFFF, b"") + MINIMAL)
    vectors.accept("ignorable-item-twice", ["PW-HS-006", "PW-HS-008"], item(0x8FFF, b"\x01") * 2 + MINIMAL)
    # The top bit belongs to the id: 0x8001 is not VERSIONS. TEXT is an item of CLOSE only.
    vectors.accept("ignorable-item-8001", ["PW-HS-006"], MINIMAL + item(0x8001, b"\x02\x02"))
    vectors.accept("ignorable-item-text", ["PW-HS-006"], MINIMAL + item(TEXT, b"hello"))
    for identifier in (0x0000, 0x0006, 0x7FFF):
        name = f"critical-item-{identifier:04x}"
        vectors.refuse(name, ["PW-HS-005"], MINIMAL + item(identifier, b"\x00"), "UNKNOWN_ITEM")
    vectors.refuse("critical-item-ack", ["PW-HS-005"], MINIMAL + item(0x0006, b""), "UNKNOWN_ITEM", HELLO_ACK)


def syntax(vectors):
    vectors.refuse("cut-off-in-id", ["PW-HS-007"], MINIMAL + b"\x80")
    vectors.refuse("cut-off-in-length", ["PW-HS-007"], MINIMAL + b"\x80\x06\x00")
    vectors.refuse("cut-off-in-value", ["PW-HS-007"], MINIMAL + item(TOKEN, b"sec", length=4))
    vectors.refuse("cut-off-before-value", ["PW-HS-007"], MINIMAL + item(TOKEN, b"", length=0xFFFF))
    vectors.refuse("cut-off-ignorable-item", ["PW-HS-007"], MINIMAL + item(0x8FFF, b"\x01", length=2))
    vectors.refuse("cut-off-ack", ["PW-HS-007"], MINIMAL + b"\x80\x06\x00", kind=HELLO_ACK)
    wrong_lengths = [
        ("versions-length-1", item(VERSIONS, b"\x01") + sync_key(7) + features(0)),
        ("versions-length-3", item(VERSIONS, b"\x01\x01\x01") + sync_key(7)),
        ("sync-key-length-3", versions(1, 1) + item(SYNC_KEY, b"\x00\x00\x07") + features(0)),
        ("sync-key-length-5", versions(1, 1) + item(SYNC_KEY, b"\x00\x00\x00\x07\x00")),
        ("limits-length-7", MINIMAL + item(LIMITS, limits(512, 512)[4:11])),
        ("ping-floor-length-2", MINIMAL + item(PING_FLOOR, b"\x01\x00")),
        ("ping-floor-length-0", MINIMAL + item(PING_FLOOR, b"")),
        ("features-length-8", MINIMAL + item(FEATURES, bytes(8))),
    ]
    for name, payload in wrong_lengths:
        vectors.refuse(name, ["PW-HS-007"], payload)
    vectors.refuse("versions-missing", ["PW-HS-002"], sync_key(7) + features(0))
    vectors.refuse("sync-key-missing", ["PW-HS-002", "PW-KEY-002"], versions(1, 1) + features(0))
    vectors.refuse("sync-key-missing-ack", ["PW-HS-002", "PW-KEY-002"], versions(1, 1) + features(0), kind=HELLO_ACK)
    repeated = [
        ("versions", MINIMAL[:6]), ("sync-key", MINIMAL[6:]), ("limits", limits(512, 512) * 2),
        ("ping-floor", ping_floor(5) * 2), ("features", features(0) * 2), ("token", item(TOKEN, b"") * 2),
    ]
    for name, items in repeated:
        vectors.refuse(f"{name}-twice", ["PW-HS-008"], MINIMAL + items)
    vectors.refuse("token-twice-ack", ["PW-HS-008"], MINIMAL + item(TOKEN, b"") * 2, kind=HELLO_ACK)


def version_ranges(vectors):
    key = MINIMAL[6:]
    unsupported = "UNSUPPORTED_VERSION"
    vectors.accept("versions-1-to-3", ["PW-HS-003"], versions(1, 3) + key, versions=[1, 3])
    vectors.accept("versions-1-to-255", ["PW-HS-003"], versions(1, 255) + key, versions=[1, 255])
    vectors.refuse("versions-2-to-3", ["PW-HS-004"], versions(2, 3) + key, unsupported)
    vectors.refuse("versions-1-to-2-ack", ["PW-HS-015"], versions(1, 2) + key, unsupported, HELLO_ACK)
    vectors.refuse("versions-2-to-2-ack", ["PW-HS-015"], versions(2, 2) + key, unsupported, HELLO_ACK)
    vectors.refuse("versions-0-to-1", ["PW-HS-017"], versions(0, 1) + key)
    vectors.refuse("versions-0-to-0", ["PW-HS-017"], versions(0, 0) + key)
    vectors.refuse("versions-2-to-1", ["PW-HS-017"], versions(2, 1) + key)


def values(vectors):
    for key in (1, 0xFFFFFFFF):
        vectors.accept(f"sync-key-{key:08x}", ["PW-KEY-002"], MINIMAL[:6] + sync_key(key), sync_key=key)
    vectors.refuse("sync-key-zero", ["PW-KEY-002"], MINIMAL[:6] + sync_key(0))
    vectors.refuse("sync-key-zero-ack", ["PW-KEY-002"], MINIMAL[:6] + sync_key(0), kind=HELLO_ACK)

    for frame, message in ((512, 512), (16_777_215, 16_777_215), (65_536, 0xFFFFFFFF)):
        name, payload = f"limits-{frame}-{message}", MINIMAL + limits(frame, message)
        vectors.accept(name, ["PW-HS-010"], payload, frame_limit=frame, message_limit=message)
    for frame, message in ((0, 512), (511, 512), (16_777_216, 0xFFFFFFFF), (1024, 1023), (512, 0)):
        vectors.refuse(f"limits-{frame}-{message}", ["PW-HS-010"], MINIMAL + limits(frame, message))

    for floor in (1, 60_000):
        vectors.accept(f"ping-floor-{floor}", ["PW-HS-009"], MINIMAL + ping_floor(floor), ping_floor=floor)
    for floor in (0, 60_001, 0xFFFFFFFF):
        vectors.refuse(f"ping-floor-{floor}", ["PW-HS-009"], MINIMAL + ping_floor(floor))

    vectors.accept("features-unknown-bits", ["PW-HS-014"], MINIMAL + features(0xFFFFFFFE), resync=False)
    vectors.accept("features-every-bit", ["PW-HS-014"], MINIMAL + features(0xFFFFFFFF), resync=True)
