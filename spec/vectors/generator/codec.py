"""The encoder: CRC32C, packets, items and the JSON form of bytes (protocol.md, sections 2, 3, 7 and 9)."""

import itertools

MAGIC = b"\xf7\x9a"
HEADER_SIZE = 12
TRAILER_SIZE = 4

HELLO, HELLO_ACK, REJECT, DATA, PING, PONG, BUSY, DRAIN, CLOSE, CLOSE_ACK = range(0x01, 0x0B)
FIRST_IGNORABLE_KIND = 0x80
FIRST, MORE, CHECKSUM, ENCRYPTED = 0x01, 0x02, 0x04, 0x08

VERSIONS, SYNC_KEY, LIMITS, PING_FLOOR, FEATURES = range(0x0001, 0x0006)
TOKEN = 0x8006
TEXT, LIMIT = 0x8010, 0x8011

# The sync key of every vector that is not about keys.
KEY = 0x1A2B3C4D
DEFAULT_FRAME_LIMIT = 65_536
DEFAULT_MESSAGE_LIMIT = 16_777_216

# A run of equal bytes from this length on is written as {"repeat": …, "times": …}.
COMPACT_RUN = 32


def crc32c_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


CRC32C_TABLE = list(crc32c_table())


def crc32c(data):
    register = 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ CRC32C_TABLE[(register ^ byte) & 0xFF]
    return register ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def u16(value):
    return value.to_bytes(2, "big")


def u32(value):
    return value.to_bytes(4, "big")


def u64(value):
    return value.to_bytes(8, "big")


def header(kind, length, flags=0, message_class=0, key=KEY):
    """A header that verifies with `key`, whatever its fields say."""
    fields = MAGIC + bytes([kind, flags, message_class]) + length.to_bytes(3, "big")
    return fields + u32(crc32c(fields) ^ key)


def packet(kind, payload=b"", flags=0, message_class=0, key=KEY, trailer_fault=0):
    """A packet; with CHECKSUM, `trailer_fault` is what its trailer differs by from the right one."""
    trailer = u32(crc32c(payload) ^ trailer_fault) if flags & CHECKSUM else b""
    return header(kind, len(payload), flags, message_class, key) + payload + trailer


def item(identifier, value, length=None):
    """An item; `length` is what its length field says where that is not the length of the value."""
    return u16(identifier) + u16(len(value) if length is None else length) + value


def json_bytes(data):
    """A hex string, or a list of hex strings and repetitions where a long run of one byte occurs."""
    parts, plain = [], b""
    for value, group in itertools.groupby(data):
        times = sum(1 for _ in group)
        if times < COMPACT_RUN:
            plain += bytes([value]) * times
            continue
        if plain:
            parts.append(plain.hex())
        parts.append({"repeat": f"{value:02x}", "times": times})
        plain = b""
    if not parts:
        return plain.hex()
    return parts + [plain.hex()] if plain else parts
