"""What Pulsewire, version 1, looks like on the wire: packets, items and reasons, and the numbers of a side.

connection.py makes a connection of it. Ids such as PW-HDR-003 are those of the specification.
"""

import struct
from enum import IntEnum

MAGIC = b"\xf7\x9a"
HELLO, HELLO_ACK, REJECT, DATA, PING, PONG, BUSY, DRAIN, CLOSE, CLOSE_ACK = range(1, 11)
FIRST, MORE, CHECKSUM, ENCRYPTED = 1, 2, 4, 8
VERSIONS, SYNC_KEY, LIMITS, PING_FLOOR, FEATURES, TOKEN, TEXT, LIMIT = 1, 2, 3, 4, 5, 0x8006, 0x8010, 0x8011
RESYNC = 1  # the one bit of FEATURES
TOO_LARGE, DAMAGED = 1, 2  # why a message is refused
NEVER = 0xFFFFFFFF
LENGTHS = {HELLO: (14, 4096), HELLO_ACK: (14, 4096), REJECT: (11, 11), PING: (8, 8), PONG: (8, 8), BUSY: (4, 4), DRAIN: (8, 8),
           CLOSE: (14, 512), CLOSE_ACK: (8, 8)}

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NUMBERS = {  # section 10: default, lowest, highest
    "idle": (5_000, 10, DAY), "interval": (2_000, 10, HOUR), "probes": (3, 1, 10),
    "extension_max": (None, 0, DAY), "detect_within": (None, 30, 7 * DAY), "ping_floor": (1_000, 1, 60_000),
    "frame_limit": (65_536, 512, 16_777_215), "message_limit": (16_777_216, 512, 4_294_967_295),
    "frame_sent": (65_536, 512, 16_777_215), "pause": (None, 1, MINUTE),
    "handshake_timeout": (10_000, 10, 10 * MINUTE), "close_timeout": (5_000, 10, 10 * MINUTE),
    "write_stall": (30_000, 10, DAY), "busy_max": (60_000, 0, 10 * MINUTE), "linger": (2_000, 100, MINUTE),
    "assembly_base": (10_000, 10, HOUR), "assembly_rate": (1_024, 1, 4_294_967_295),
}
PINGS, UNANSWERED, GAPS, WINDOW, REJECTS = 16, 14, 16, 60_000, 16  # fixed by section 10


class Reason(IntEnum):
    """Section 11.3."""
    NORMAL = 1; GOING_AWAY = 2; REFUSED = 3; OVERLOADED = 4
    NOT_PULSEWIRE = 16; BAD_HEADER = 17; PAYLOAD_CHECKSUM = 18; BAD_PACKET = 19; UNKNOWN_KIND = 20; UNKNOWN_FLAG = 21
    BAD_LENGTH = 22; BAD_FRAGMENT = 23; FRAME_TOO_LARGE = 24; MESSAGE_TOO_LARGE = 25; RESYNC_BUDGET = 26
    CHECKSUM_REQUIRED = 27; UNEXPECTED_PACKET = 28; BAD_COUNT = 29
    BAD_HELLO = 32; UNSUPPORTED_VERSION = 33; UNKNOWN_ITEM = 34; HANDSHAKE_TIMEOUT = 35; INCOMPATIBLE_TIMERS = 36
    PEER_TIMEOUT = 48; WRITE_STALL = 49; FRAME_STALL = 50; PING_FLOOD = 51; BAD_PING = 52; BAD_PONG = 53; CLOSE_TIMEOUT = 54
    MESSAGE_STALL = 55
    PEER_ENDED = 256; RESET = 257; NETWORK_LOST = 258; ABORTED = 259


RETRY = dict.fromkeys((Reason.NORMAL, Reason.BAD_HEADER, Reason.PAYLOAD_CHECKSUM, Reason.RESYNC_BUDGET), 0) | dict.fromkeys(
    (Reason.GOING_AWAY, Reason.OVERLOADED, Reason.HANDSHAKE_TIMEOUT, Reason.PEER_TIMEOUT, Reason.WRITE_STALL,
     Reason.FRAME_STALL, Reason.CLOSE_TIMEOUT, Reason.MESSAGE_STALL), 1_000)  # NEVER for the others


class Fault(Exception):
    def __init__(self, reason, items=b"", detail="", retry_after=None):
        super().__init__(reason)
        self.reason, self.items, self.detail, self.retry_after = reason, items, detail, retry_after


class Settings:
    """The numbers of section 10, and whether RESYNC is announced."""

    def __init__(self, resync=True, **given):
        self.resync = resync
        for name, (default, lowest, highest) in NUMBERS.items():
            value = given.pop(name, None)
            value = default if value is None else value
            if value is not None and not lowest <= value <= highest:
                raise ValueError(f"{name} is {lowest} to {highest}")
            setattr(self, name, value)
        if given:
            raise TypeError(f"unknown: {', '.join(given)}")
        if self.message_limit < self.frame_limit:
            raise ValueError("message_limit is at least frame_limit")
        if self.detect_within is None:
            self.detect_within = max(60_000, 2 * (self.idle + self.interval * self.probes))  # not effective: PW-HS-016

    def allowed(self, size):
        """How long so many bytes may take."""
        return 1_000 * size / self.assembly_rate


# ---- packets -------------------------------------------------------------------------------------------------------------

def _tables():
    one = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # the polynomial, reflected
        one.append(byte)
    two = []
    for pair in range(65_536):
        crc = one[pair & 255] ^ pair >> 8
        two.append(one[crc & 255] ^ crc >> 8)
    return one, two


ONE_BYTE, TWO_BYTES = _tables()


def crc32c(data, before=0):
    """Of `data`, or of that behind other bytes, of which the CRC32C is `before`."""
    crc, even = before ^ 0xFFFFFFFF, len(data) & ~1
    for pair in struct.unpack(f"<{even // 2}H", data[:even]):
        crc = TWO_BYTES[(crc ^ pair) & 0xFFFF] ^ crc >> 16
    for byte in data[even:]:
        crc = ONE_BYTE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def packet(kind, payload, key, flags=0, cls=0):
    head = MAGIC + bytes((kind, flags, cls)) + len(payload).to_bytes(3, "big")
    check = (crc32c(head) ^ key).to_bytes(4, "big")
    return head + check + payload + (crc32c(payload).to_bytes(4, "big") if flags & CHECKSUM else b"")


def item(number, value):
    return struct.pack(">HH", number, len(value)) + value


def verifies(head, key):
    return head[:2] == MAGIC and crc32c(head[:8]) ^ key == int.from_bytes(head[8:12], "big")


def judge_header(head, frame_limit):
    """What section 3 says of a header that verified, in the order of PW-HDR-017, up to the length."""
    kind, flags, cls, length = head[2], head[3], head[4], int.from_bytes(head[5:8], "big")
    if flags & ~(FIRST | MORE | CHECKSUM | ENCRYPTED):
        raise Fault(Reason.UNKNOWN_FLAG)  # PW-HDR-005
    if kind < 0x80 and not HELLO <= kind <= CLOSE_ACK:
        raise Fault(Reason.UNKNOWN_KIND)  # PW-HDR-007
    if kind != DATA and flags & ~CHECKSUM:
        raise Fault(Reason.BAD_PACKET)  # PW-HDR-006, PW-HDR-009
    if (5 <= cls <= 127) if kind == DATA else cls:
        raise Fault(Reason.BAD_PACKET)  # PW-HDR-010, PW-HDR-011
    if kind in LENGTHS:
        if not LENGTHS[kind][0] <= length <= LENGTHS[kind][1]:
            raise Fault(Reason.BAD_LENGTH)  # PW-HDR-014
    elif length > frame_limit:  # PW-HDR-015, PW-FRM-012
        raise Fault(Reason.FRAME_TOO_LARGE, item(LIMIT, struct.pack(">QQ", frame_limit, length)))
    return kind, flags, cls, length


def other_protocol(head):
    """What bytes that are no header look like instead (PW-FRM-014)."""
    for begin, name in ((b"PROXY ", "PROXY protocol 1"), (b"\r\n\r\n\0\r\nQUIT\n", "PROXY protocol 2"), (b"SSH-", "SSH"),
                        (b"\x16\x03", "TLS")):
        if head.startswith(begin):
            return f"looks like {name}"
    return "looks like HTTP" if head[:3].isalpha() and head[:3].isupper() else ""


class Hello:
    """What HELLO or HELLO_ACK says."""

    def __init__(self, payload, ack=False):
        self.versions = self.sync_key = self.token = None
        self.frame_limit, self.message_limit, self.ping_floor, self.resync = 65_536, 16_777_216, 1_000, False  # PW-HS-011
        seen, at = set(), 0
        while at < len(payload):  # each item completely before the next: cut off, unknown, length, value, twice
            if at + 4 > len(payload):
                raise Fault(Reason.BAD_HELLO)  # PW-HS-007
            number, length = struct.unpack_from(">HH", payload, at)
            value = payload[at + 4:at + 4 + length]
            at += 4 + length
            if len(value) < length:
                raise Fault(Reason.BAD_HELLO)  # PW-HS-007
            if number == TOKEN:
                self.token, right = None if ack else value, True
            elif number & 0x8000:
                continue  # PW-HS-006
            elif number in self.READERS:
                size, read = self.READERS[number]
                right = len(value) == size and read(self, value)
            else:
                raise Fault(Reason.UNKNOWN_ITEM)  # PW-HS-005
            if not right or number in seen:
                raise Fault(Reason.BAD_HELLO)  # PW-HS-007 to PW-HS-010, PW-HS-017, PW-KEY-002
            seen.add(number)
        if self.versions is None or self.sync_key is None:
            raise Fault(Reason.BAD_HELLO)  # PW-HS-002

    def _versions(self, value):
        self.versions = value[0], value[1]
        return 0 < value[0] <= value[1]

    def _sync_key(self, value):
        self.sync_key = int.from_bytes(value, "big")
        return self.sync_key

    def _limits(self, value):
        self.frame_limit, self.message_limit = struct.unpack(">II", value)
        return 512 <= self.frame_limit <= 16_777_215 and self.message_limit >= self.frame_limit

    def _ping_floor(self, value):
        self.ping_floor = int.from_bytes(value, "big")
        return 1 <= self.ping_floor <= 60_000

    def _features(self, value):
        self.resync = bool(value[3] & RESYNC)  # PW-HS-014
        return True

    READERS = {VERSIONS: (2, _versions), SYNC_KEY: (4, _sync_key), LIMITS: (8, _limits), PING_FLOOR: (4, _ping_floor),
               FEATURES: (4, _features)}


def find_sync_key(payload):
    """The first valid SYNC_KEY of a HELLO_ACK, be it behind an item at fault; 0 if there is none (PW-HS-018)."""
    while len(payload) >= 4:
        number, length = struct.unpack_from(">HH", payload)
        value, payload = payload[4:4 + length], payload[4 + length:]
        if number == SYNC_KEY and len(value) == length == 4 and any(value):
            return int.from_bytes(value, "big")
    return 0


def read_close(payload):
    """The fields of CLOSE; what is malformed is passed over with all that follows (PW-CLS-008, PW-CLS-014)."""
    reason, received, retry_after = struct.unpack_from(">HQI", payload)
    close = {"reason": reason, "received": received, "retry_after": retry_after, "text": None, "limit": None}
    at = 14
    while at + 4 <= len(payload):
        number, length = struct.unpack_from(">HH", payload, at)
        value = payload[at + 4:at + 4 + length]
        at += 4 + length
        if len(value) < length or number == LIMIT and length != 16:
            break
        if number == LIMIT:
            close["limit"] = dict(zip(("limit", "size"), struct.unpack(">QQ", value)))
        elif number == TEXT:
            try:
                close["text"] = value.decode()
            except UnicodeDecodeError:
                break
    return close


def is_fault(reason):
    return 16 <= reason <= 255  # PW-CLS-009


def close_payload(reason, received, retry_after=None, items=b""):
    retry_after = RETRY.get(reason, NEVER) if retry_after is None else retry_after
    return struct.pack(">HQI", reason, received, retry_after) + items


def text_item(text):
    """TEXT, cut between two characters where CLOSE has no room for all of it (PW-CLS-021)."""
    return item(TEXT, text.encode()[:LENGTHS[CLOSE][1] - 14 - 4].decode(errors="ignore").encode())


def of_application(reason):
    """Whether an application may close with it (section 9.3)."""
    return reason in (Reason.NORMAL, Reason.GOING_AWAY, Reason.REFUSED, Reason.OVERLOADED) or 32_768 <= reason <= 65_535 or \
        is_fault(reason) and reason in set(Reason)
