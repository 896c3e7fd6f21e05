"""header.json: one header each, and what a receiver makes of it (section 3)."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DEFAULT_FRAME_LIMIT, DRAIN, ENCRYPTED, FIRST, HELLO, HELLO_ACK, KEY, MORE,
    PING, PONG, REJECT, crc32c, header, u32,
)
from .judge import Fault, compare, judge_header

CONTROL_KINDS = [
    ("hello", HELLO, 14, 4096),
    ("hello-ack", HELLO_ACK, 14, 4096),
    ("reject", REJECT, 11, 11),
    ("ping", PING, 8, 8),
    ("pong", PONG, 8, 8),
    ("busy", BUSY, 4, 4),
    ("drain", DRAIN, 8, 8),
    ("close", CLOSE, 14, 512),
    ("close-ack", CLOSE_ACK, 8, 8),
]


def accepted(kind, length, flags=0, message_class=0):
    return {"accepted": {"kind": kind, "flags": flags, "class": message_class, "length": length}}


def closes(reason):
    return {"close": reason}


class Vectors:
    def __init__(self):
        self.list = []

    def add(self, name, requirements, raw, expect, key=KEY, frame_limit=DEFAULT_FRAME_LIMIT):
        try:
            judged = {"accepted": judge_header(raw, key, frame_limit)}
        except Fault as fault:
            judged = closes(str(fault))
        compare(f"header/{name}", judged, expect)
        self.list.append({
            "name": name, "requirements": requirements, "key": key, "frame_limit": frame_limit, "header": raw.hex(),
            "expect": expect,
        })

    def accept(self, name, requirements, kind, length, flags=0, message_class=0, key=KEY, **context):
        raw = header(kind, length, flags, message_class, key)
        self.add(name, requirements, raw, accepted(kind, length, flags, message_class), key, **context)

    def refuse(self, name, requirements, reason, kind, length, flags=0, message_class=0, **context):
        self.add(name, requirements, header(kind, length, flags, message_class), closes(reason), **context)


def build():
    vectors = Vectors()
    verification(vectors)
    kinds_and_lengths(vectors)
    flags(vectors)
    classes(vectors)
    frame_limits(vectors)
    order_of_judgement(vectors)
    return vectors.list


def verification(vectors):
    good = header(DATA, 5, FIRST, 2)
    for key in (0x00000001, 0x80000000, 0xFFFFFFFF):
        vectors.accept(f"key-{key:08x}", ["PW-HDR-003"], DATA, 5, FIRST, 2, key=key)
    vectors.accept("first-packet-key-0", ["PW-HDR-003", "PW-KEY-001"], HELLO, 14, key=0)
    vectors.add("wrong-key", ["PW-HDR-003"], header(DATA, 5, FIRST, 2, key=KEY ^ 1), closes("BAD_HEADER"))
    vectors.add("key-0-after-first-packet", ["PW-KEY-003"], header(DATA, 5, FIRST, 2, key=0), closes("BAD_HEADER"))
    swapped = b"\x9a\xf7" + good[2:8]
    vectors.add(
        "magic-swapped-with-right-check", ["PW-HDR-002"], swapped + u32(crc32c(swapped) ^ KEY), closes("BAD_HEADER")
    )
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << position % 8
        requirement = "PW-HDR-002" if position < 2 else "PW-HDR-003"
        vectors.add(f"bit-flipped-in-byte-{position}", [requirement], bytes(damaged), closes("BAD_HEADER"))


def kinds_and_lengths(vectors):
    for name, kind, low, high in CONTROL_KINDS:
        vectors.refuse(f"{name}-length-{low - 1}", ["PW-HDR-014"], "BAD_LENGTH", kind, low - 1)
        for length in sorted({low, high}):
            key = 0 if kind in (HELLO, HELLO_ACK) else KEY
            vectors.accept(f"{name}-length-{length}", ["PW-HDR-001", "PW-HDR-014"], kind, length, key=key)
        vectors.refuse(f"{name}-length-{high + 1}", ["PW-HDR-014"], "BAD_LENGTH", kind, high + 1)
    for kind in (0x00, 0x0B, 0x7F):
        vectors.refuse(f"unknown-kind-{kind:02x}", ["PW-HDR-007"], "UNKNOWN_KIND", kind, 8)
    for kind in (0x80, 0xBF, 0xC0, 0xFF):
        vectors.accept(f"ignorable-kind-{kind:02x}", ["PW-HDR-008"], kind, 8)


def flags(vectors):
    every_flag = FIRST | MORE | CHECKSUM | ENCRYPTED
    vectors.accept("data-no-flag", ["PW-HDR-006"], DATA, 5)
    for name, flag in (("first", FIRST), ("more", MORE), ("checksum", CHECKSUM), ("encrypted", ENCRYPTED)):
        vectors.accept(f"data-{name}", ["PW-HDR-006"], DATA, 5, flag)
        if flag == CHECKSUM:
            vectors.accept("ping-checksum", ["PW-HDR-006", "PW-HDR-012"], PING, 8, flag)
            vectors.accept("ignorable-checksum", ["PW-HDR-009"], 0xC0, 8, flag)
        else:
            vectors.refuse(f"ping-{name}", ["PW-HDR-006"], "BAD_PACKET", PING, 8, flag)
            vectors.refuse(f"ignorable-{name}", ["PW-HDR-009"], "BAD_PACKET", 0xC0, 8, flag)
    vectors.accept("data-every-flag", ["PW-HDR-006"], DATA, 5, every_flag)
    for flag in (0x10, 0x20, 0x40, 0x80):
        vectors.refuse(f"data-unknown-flag-{flag:02x}", ["PW-HDR-005"], "UNKNOWN_FLAG", DATA, 5, FIRST | flag)
    vectors.refuse("ping-unknown-flag", ["PW-HDR-005"], "UNKNOWN_FLAG", PING, 8, 0x10)


def classes(vectors):
    for message_class in (0, 1, 4, 128, 255):
        vectors.accept(f"data-class-{message_class}", ["PW-HDR-011"], DATA, 5, FIRST, message_class)
    for message_class in (5, 127):
        vectors.refuse(f"data-class-{message_class}", ["PW-HDR-011"], "BAD_PACKET", DATA, 5, FIRST, message_class)
    for message_class in (1, 128):
        vectors.refuse(f"ping-class-{message_class}", ["PW-HDR-010"], "BAD_PACKET", PING, 8, 0, message_class)
    vectors.refuse("ignorable-class-1", ["PW-HDR-010"], "BAD_PACKET", 0xC0, 8, 0, 1)


def frame_limits(vectors):
    vectors.accept("data-length-0", ["PW-DAT-001"], DATA, 0, FIRST)
    for limit in (512, DEFAULT_FRAME_LIMIT, 16_777_215):
        vectors.accept(f"data-at-limit-{limit}", ["PW-FRM-012"], DATA, limit, FIRST, frame_limit=limit)
    vectors.accept("data-trailer-not-in-limit", ["PW-HDR-012"], DATA, 512, FIRST | CHECKSUM, frame_limit=512)
    vectors.accept("ignorable-length-0", ["PW-HDR-008"], 0xC0, 0)
    vectors.accept("ignorable-at-limit", ["PW-HDR-015"], 0xC0, 512, frame_limit=512)
    too_large = "FRAME_TOO_LARGE"
    for limit in (512, DEFAULT_FRAME_LIMIT, 16_777_214):
        name = f"data-above-limit-{limit}"
        vectors.refuse(name, ["PW-FRM-012"], too_large, DATA, limit + 1, FIRST, frame_limit=limit)
    vectors.refuse("ignorable-above-limit", ["PW-HDR-015"], too_large, 0xC0, 513, frame_limit=512)
    # The frame limit is for DATA and ignorable kinds: a HELLO of its own maximum does not touch it.
    vectors.accept("control-not-under-frame-limit", ["PW-HDR-014"], HELLO, 4096, key=0, frame_limit=512)


def order_of_judgement(vectors):
    bad_check = header(0x7F, 513, 0xF0, 5, key=KEY ^ 1)
    vectors.add("check-before-everything", ["PW-HDR-004"], bad_check, closes("BAD_HEADER"), frame_limit=512)
    vectors.refuse("unknown-flag-before-unknown-kind", ["PW-HDR-005", "PW-HDR-017"], "UNKNOWN_FLAG", 0x7F, 8, 0x10)
    vectors.refuse("unknown-flag-before-flag-not-allowed", ["PW-HDR-005", "PW-HDR-017"], "UNKNOWN_FLAG", PING, 8, 0x10 | FIRST)
    vectors.refuse("ignorable-unknown-flag", ["PW-HDR-005", "PW-HDR-009", "PW-HDR-017"], "UNKNOWN_FLAG", 0xC0, 8, 0x10)
    vectors.refuse("unknown-flag-before-class", ["PW-HDR-005", "PW-HDR-017"], "UNKNOWN_FLAG", DATA, 8, 0x80, 5)
    vectors.refuse("unknown-flag-before-length", ["PW-HDR-005", "PW-HDR-017"], "UNKNOWN_FLAG", PING, 9, 0x80)
    vectors.refuse("unknown-kind-before-flag-not-allowed", ["PW-HDR-007", "PW-HDR-017"], "UNKNOWN_KIND", 0x0B, 8, FIRST)
    vectors.refuse("unknown-kind-before-class", ["PW-HDR-007", "PW-HDR-017"], "UNKNOWN_KIND", 0x0B, 8, 0, 5)
    vectors.refuse("flag-not-allowed-before-length", ["PW-HDR-006", "PW-HDR-017"], "BAD_PACKET", PING, 9, MORE)
    vectors.refuse("class-before-control-length", ["PW-HDR-010", "PW-HDR-017"], "BAD_PACKET", PING, 9, 0, 1)
    vectors.refuse("class-before-frame-limit", ["PW-HDR-011", "PW-HDR-017"], "BAD_PACKET", DATA, 513, FIRST, 5, frame_limit=512)
    vectors.refuse("ignorable-flag-before-limit", ["PW-HDR-009", "PW-HDR-017"], "BAD_PACKET", 0xC0, 513, FIRST, frame_limit=512)
