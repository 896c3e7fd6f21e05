"""The server's side of the Pulsewire protocol, version 1: no sockets, no clock.

The caller tells a Connection what happened (bytes came, the transport took bytes, time passed) and `now` in milliseconds, and
takes from it what is to be written (`outgoing`), what the application should know (`events`) and when to call again
(`next_deadline`). Ids such as PW-HDR-003 are those of the specification.
"""

import random
import secrets
import struct
from collections import deque
from enum import IntEnum

MAGIC = b"\xf7\x9a"
HELLO, HELLO_ACK, REJECT, DATA, PING, PONG, BUSY, DRAIN, CLOSE, CLOSE_ACK = range(1, 11)
FIRST, MORE, CHECKSUM, ENCRYPTED = 1, 2, 4, 8
VERSIONS, SYNC_KEY, LIMITS, PING_FLOOR, FEATURES, TOKEN, TEXT, LIMIT = 1, 2, 3, 4, 5, 0x8006, 0x8010, 0x8011
RESYNC = 1  # the one bit of FEATURES
TOO_LARGE, DAMAGED = 1, 2  # why a message is refused
NEVER = 0xFFFFFFFF
LENGTHS = {HELLO: (14, 4096), HELLO_ACK: (14, 4096), REJECT: (10, 10), PING: (8, 8), PONG: (8, 8), BUSY: (4, 4), DRAIN: (8, 8),
           CLOSE: (14, 512), CLOSE_ACK: (8, 8)}

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NUMBERS = {  # section 10: default, lowest, highest
    "idle": (5_000, 10, DAY), "interval": (2_000, 10, HOUR), "probes": (3, 1, 100),
    "extension_max": (None, 0, DAY), "detect_within": (None, 30, 7 * DAY), "ping_floor": (1_000, 1, 60_000),
    "frame_limit": (65_536, 512, 16_777_215), "message_limit": (16_777_216, 512, 4_294_967_295),
    "handshake_timeout": (10_000, 10, 10 * MINUTE), "close_timeout": (5_000, 10, 10 * MINUTE),
    "write_stall": (30_000, 10, DAY), "busy_max": (60_000, 0, 10 * MINUTE), "linger": (2_000, 100, MINUTE),
    "assembly_base": (10_000, 10, HOUR), "assembly_rate": (1_024, 1, 4_294_967_295),
}
PINGS, SKIPPED, GAPS, WINDOW, REJECTS = 16, 65_536, 16, 60_000, 16  # fixed by section 10
FRAME = 16_384  # the largest frame sent, where the peer takes it: a PING waits behind one frame
JOIN = 1_400    # small packets are joined up to about this many bytes
PAUSE = 10_000  # what BUSY asks for


class Reason(IntEnum):
    """Section 11.3."""
    NORMAL = 1; GOING_AWAY = 2; REFUSED = 3; OVERLOADED = 4
    NOT_PULSEWIRE = 16; BAD_HEADER = 17; PAYLOAD_CHECKSUM = 18; BAD_PACKET = 19; UNKNOWN_KIND = 20; UNKNOWN_FLAG = 21
    BAD_LENGTH = 22; BAD_FRAGMENT = 23; FRAME_TOO_LARGE = 24; MESSAGE_TOO_LARGE = 25; RESYNC_BUDGET = 26
    CHECKSUM_REQUIRED = 27; UNEXPECTED_PACKET = 28; BAD_COUNT = 29
    BAD_HELLO = 32; UNSUPPORTED_VERSION = 33; UNKNOWN_ITEM = 34; HANDSHAKE_TIMEOUT = 35; INCOMPATIBLE_TIMERS = 36
    PEER_TIMEOUT = 48; WRITE_STALL = 49; FRAME_STALL = 50; PING_FLOOD = 51; BAD_PING = 52; BAD_PONG = 53; CLOSE_TIMEOUT = 54
    PEER_ENDED = 256; RESET = 257; NETWORK_LOST = 258; ABORTED = 259


RETRY = dict.fromkeys((Reason.NORMAL, Reason.BAD_HEADER, Reason.PAYLOAD_CHECKSUM, Reason.RESYNC_BUDGET), 0) | dict.fromkeys(
    (Reason.GOING_AWAY, Reason.OVERLOADED, Reason.HANDSHAKE_TIMEOUT, Reason.PEER_TIMEOUT, Reason.WRITE_STALL,
     Reason.FRAME_STALL, Reason.CLOSE_TIMEOUT), 1_000)  # NEVER for the others


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
        if self.extension_max is None:
            self.extension_max = self.idle + self.interval * self.probes


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


def crc32c(data):
    crc, even = 0xFFFFFFFF, len(data) & ~1
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
            if number == TOKEN and not ack:
                right = self._token(value)
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

    def _token(self, value):
        self.token = value
        return True  # a sender keeps to 2,048, a receiver takes what fits

    READERS = {VERSIONS: (2, _versions), SYNC_KEY: (4, _sync_key), LIMITS: (8, _limits), PING_FLOOR: (4, _ping_floor),
               FEATURES: (4, _features)}


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


class Incoming:
    """A message under way, from its first frame to its last."""

    def __init__(self, cls, encrypted, ordinal):
        self.cls, self.encrypted, self.ordinal = cls, encrypted, ordinal
        self.payload, self.refused = bytearray(), False


# ---- the connection ------------------------------------------------------------------------------------------------------

class Connection:
    """One connection of a server. `events` holds tuples for the application, the kind of event first."""

    def __init__(self, settings, now, key=None):
        self.s, self.events, self.accepted_at = settings, [], now
        self.key = key or secrets.randbelow(0xFFFFFFFF) + 1  # PW-KEY-004: mixed into what comes to this side
        self.hello, self.peer_key = None, 0                  # the peer's HELLO; its key once HELLO_ACK was given
        # States of appendix A, as what has happened. "Given" is given to the transport.
        self.closing = None                                  # (reason, retry_after, items) of this side's CLOSE, queued or given
        self.close_given_at = self.peer_close = None
        self.ack_given = self.acked = self.eof = self.over = self.dead = self.shut = False
        self.peer_drained = False
        self.linger_at = None                                # PW-CLS-012
        # What has come.
        self.buffer, self.head, self.credited = bytearray(), None, 0
        self.arrivals, self.come, self.used = deque(), 0, 0  # (offset in the stream, time), to know when a byte came
        self.restarted_at = now                              # PW-FRM-015: when skipping reached a packet, or a pause ended
        self.skipping, self.skip_lost = 0, False             # bytes skipped in a row
        self.window_at, self.window_bytes, self.window_gaps = None, 0, 0
        self.open, self.passing, self.begun, self.skipped_ever = None, False, 0, False
        self.received = 0
        # What is to be sent.
        self.out, self.taken_bytes, self.given_bytes, self.progress_at = bytearray(), 0, 0, now
        self.given = deque()                                 # (first byte, last byte, time, bytes not taken before it)
        self.messages, self.queued, self.part = deque(), 0, 0  # (class, encrypted, payload); bytes; how far the first one got
        self.sent_begun = self.sent_whole = 0
        self.rejects, self.pong, self.busy, self.drain_state = deque(), None, None, None
        # The heartbeat.
        self.last_ping, self.tokens, self.tokens_at = 0, PINGS, now
        self.ping_number, self.ping_due, self.ping_end, self.ping_taken_at, self.measuring = 0, False, 0, None, False
        self.ping_on_its_way = False                         # given, and not taken yet
        self.srtt = self.rttvar = None
        self.unanswered, self.suspect, self.forgiven, self.wait_at, self.idle_at = 0, False, False, None, None
        self.pause_until = None                              # the peer's pause
        self.pauses_began = None                             # the first of the pauses that follow each other (PW-HB-021)
        self.paused, self.busy_again_at = False, None        # this side's pause

    # -- what the application asks for

    def send(self, cls, encrypted, payload):
        """Queues a message; False if it cannot be sent."""
        if self.closing or self.peer_close or self.over or not self.hello or len(payload) > self.hello.message_limit:
            return False  # PW-CLS-002, PW-DAT-009
        self.messages.append((cls, encrypted, payload))
        self.queued += len(payload)
        return True

    def drain(self):
        if self.hello and not (self.closing or self.peer_close or self.drain_state or self.over):
            self.drain_state = "queued"  # PW-CLS-016

    def close(self, reason, now, retry_after=None, text=None):
        """PW-HS-019: before HELLO_ACK it is the first packet, with key 0, and nobody acknowledges it."""
        items = b"" if text is None else item(TEXT, text.encode())
        if not self.hello or is_fault(reason):
            self.fail(Fault(reason, items, retry_after=retry_after), now)
        elif not (self.closing or self.peer_close or self.over):
            self.closing = reason, retry_after, items

    def pause(self, now):
        """The caller stops reading. PW-HB-024: not before the handshake, nor behind CLOSE."""
        if not self.paused and self.hello and self.close_given_at is None and not self.over:
            self.paused, self.ping_due = True, False
            self._say_busy(now)
        return self.paused

    def resume(self, now):
        self.paused, self.busy, self.restarted_at = False, 0, now  # PW-HB-019, PW-HB-023
        if self.pause_until is not None and self.pause_until <= now:
            self.pause_until = None
        if self.pause_until is None:
            self._begin_silence(now)

    def _say_busy(self, now):
        self.busy, self.busy_again_at = PAUSE, now + PAUSE * 0.4  # PW-HB-019: again before half of it

    # -- what is to be written

    def outgoing(self, now):
        """The bytes to offer to the transport; a packet is chosen only when the transport is about to get it."""
        while len(self.out) < JOIN and (chosen := self._next(now)) is not None:
            self._give(chosen, now)
        return self.out

    def _give(self, data, now):
        if not self.out:
            self.progress_at = now
        self.given.append((self.given_bytes + 1, self.given_bytes + len(data), now, len(self.out)))
        self.out += data
        self.given_bytes += len(data)

    def _stalls_at(self):
        """PW-CLS-015: for the transport as a whole, and for the first byte of each packet that is not taken."""
        rate, stalls = self.s.assembly_rate, [self.progress_at]
        for first, _, when, ahead in self.given:
            n = ahead + 1 + max(0, self.taken_bytes + 1 - first)
            stalls.append(when + n * 1000 / rate)
        return self.s.write_stall + min(stalls)

    def taken(self, count, now):
        del self.out[:count]
        self.taken_bytes += count
        self.progress_at, self.took_byte = now, True
        while self.given and self.given[0][1] <= self.taken_bytes:
            self.given.popleft()
        if self.ping_on_its_way and self.ping_end <= self.taken_bytes:
            self.ping_on_its_way, self.ping_taken_at = False, now
            if self.wait_at is not None:  # PW-HB-010
                self.wait_at = self._at_most(now + self._wait())

    def half_closed(self):
        self.shut = True

    @property
    def done_sending(self):
        return (self.over or self.ack_given) and not self.out

    @property
    def finished(self):
        """The caller closes the transport."""
        return self.dead or self.over and self.eof and not self.out

    def _control(self, kind, form, *values):
        return packet(kind, struct.pack(form, *values), self.peer_key)

    def _close_packet(self, reason, retry_after=None, items=b""):
        retry_after = RETRY.get(reason, NEVER) if retry_after is None else retry_after
        return packet(CLOSE, struct.pack(">HQI", reason, self.received, retry_after) + items, self.peer_key)

    def _next(self, now):
        """The next packet, at a packet boundary: control first (PW-REJ-005, PW-HB-015), then messages, CLOSE, CLOSE_ACK."""
        if self.over or self.ack_given or not self.hello:
            return None  # faults and HELLO_ACK are given at once
        if self.rejects:
            return self._control(REJECT, ">QH", *self.rejects.popleft())
        if self.pong is not None:
            number, self.pong = self.pong, None
            return self._control(PONG, ">Q", number)
        if self.ping_due:
            self.ping_due, self.measuring, self.ping_on_its_way = False, True, True
            self.ping_number += 1
            data = self._control(PING, ">Q", self.ping_number)
            self.ping_end = self.given_bytes + len(data)
            return data
        if self.busy is not None and self.close_given_at is None:
            value, self.busy = self.busy, None
            return self._control(BUSY, ">I", value)
        if self.drain_state == "queued":
            self.drain_state = "sent"
            return self._control(DRAIN, ">Q", self.received)
        if self.messages:
            return self._frame()
        if self.closing and self.close_given_at is None:  # PW-CLS-003
            if self.paused:  # PW-HB-024
                self.resume(now)
                return self._next(now)
            self.close_given_at = now
            return self._close_packet(*self.closing)
        if self.peer_close:  # PW-CLS-001: the last packet
            self.ack_given = True
            data = self._control(CLOSE_ACK, ">Q", self.received)
            self._settle(now)
            return data
        return None

    def _frame(self):
        cls, encrypted, payload = self.messages[0]
        size = min(FRAME, self.hello.frame_limit)  # PW-DAT-009
        part = bytes(payload[self.part:self.part + size])
        flags = (ENCRYPTED if encrypted else 0) | (CHECKSUM if self.hello.resync else 0)  # PW-FRM-007
        if self.part == 0:
            flags |= FIRST
            self.sent_begun += 1
        self.part += len(part)
        if self.part < len(payload):
            flags |= MORE
        else:
            self.messages.popleft()
            self.queued -= len(payload)
            self.part = 0
            self.sent_whole += 1
        return packet(DATA, part, self.peer_key, flags, cls)

    # -- ends

    def fail(self, fault, now):
        """To close with a reason (section 2): CLOSE where the state permits it, and nothing after it."""
        if self.over:
            return
        if self.close_given_at is None and not self.ack_given:
            # PW-CLS-003: ahead of what waits
            self._give(self._close_packet(fault.reason, fault.retry_after, fault.items), now)
        self._end(fault.reason, "local", False, now, fault.detail)

    def _end(self, reason, origin, orderly, now, detail=""):
        self.over, self.paused, self.linger_at = True, False, now + self.s.linger
        self.events.append(("ended", reason, origin, orderly, detail))

    def _settle(self, now):
        """An orderly close is over when this side's CLOSE was acknowledged and the peer's CLOSE is."""
        acked = not self.closing or self.acked
        if not self.over and acked and (self.ack_given if self.peer_close else self.acked):
            self._end(*self._closed_for(), True, now)

    def _closed_for(self):
        """The reason that CLOSE gave, and whose: this side's where its own was sent (PW-CLS-011)."""
        return (self.closing[0], "local") if self.close_given_at is not None else (self.peer_close["reason"], "peer")

    def receive_eof(self, now):
        self.eof = True
        if self.over:
            return
        if self.close_given_at is not None or self.peer_close:
            self.lost(*self._closed_for(), "the stream ended between CLOSE and CLOSE_ACK")  # PW-CLS-011
        else:
            self.lost(Reason.PEER_ENDED)

    def lost(self, reason, origin="transport", detail=""):
        """The transport ended or broke (section 9.2)."""
        if not self.over:
            self.events.append(("ended", reason, origin, False, detail))
        self.over, self.paused, self.dead = True, False, True

    # -- what comes

    def receive(self, data, now):
        if self.over:
            return
        if self.pause_until is not None and self.pause_until < now:
            self._pause_over(now)
        self.buffer += data
        self.come += len(data)
        self.arrivals.append((self.come, now))

    def step(self, now):
        """Takes one packet, or skips some bytes; False if more has to come first."""
        if self.over:  # PW-FRM-016
            self.buffer.clear()
            return False
        try:
            return self._step(now)
        except Fault as fault:
            self.fail(fault, now)
            return False

    def _use(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        self.used += count
        while self.arrivals and self.arrivals[0][0] <= self.used:
            self.arrivals.popleft()
        return data

    def _step(self, now):  # appendix B
        if self.head is None:
            if len(self.buffer) < 12:
                return False
            head = bytes(self.buffer[:12])
            if not verifies(head, self.key if self.hello else 0):  # PW-KEY-001, PW-KEY-003, PW-HDR-004
                self._bad_header(head, now)
                return True
            if self.skipping:
                self.events.append(("gap", self.skipping, self.skip_lost))
                self.skipping = 0
            kind, flags, cls, length = judge_header(head, self.s.frame_limit)
            self._judge_state(kind)
            ordinal = self._judge_frame(flags, cls, length) if kind == DATA else None
            self.head, self.credited = (kind, flags, cls, length, ordinal), 0
        kind, flags, cls, length, ordinal = self.head
        trailer = 4 if flags & CHECKSUM else 0
        if len(self.buffer) < 12 + length + trailer:
            self._credit(kind, now)
            return False
        data, self.head = self._use(12 + length + trailer), None
        payload = data[12:12 + length]
        if trailer and crc32c(payload) != int.from_bytes(data[-4:], "big"):
            self._dropped(kind, flags, ordinal, len(data), now)
            return True
        if self.hello and kind != BUSY:
            self._evidence(now)  # PW-HB-001
            if self.pause_until is None:
                self.pauses_began = None  # PW-HB-021
        if kind < 0x80:  # PW-HDR-008
            self.HANDLERS[kind](self, payload, now) if kind != DATA else self._on_data(flags, cls, payload, ordinal)
        return True

    def _credit(self, kind, now):
        """PW-HB-002: bytes of a payload or a trailer that has not come whole."""
        come, before = len(self.buffer) - 12, self.credited
        self.credited = come
        if come > before and self.hello and now <= self._assembled_at() and not (kind == BUSY and self._pauses_used_up(now)):
            self._evidence(now)

    def _assembled_at(self):
        """PW-FRM-015: the last moment for the packet under way."""
        length = self.head[3] if self.head else 0
        allowed = self.s.assembly_base + (length + 16) * 1000 / self.s.assembly_rate
        return max(self.arrivals[0][1], self.restarted_at) + allowed

    def _bad_header(self, head, now):
        if not self.hello:  # PW-FRM-003
            other = "HTTP" if head[:4].isalpha() and head[:4].isupper() else "TLS" if head[:2] == b"\x16\x03" else \
                "SSH" if head[:4] == b"SSH-" else ""
            raise Fault(Reason.NOT_PULSEWIRE, detail=other and f"looks like {other}")  # PW-FRM-014
        if not self.s.resync:
            raise Fault(Reason.BAD_HEADER)  # PW-FRM-002
        # PW-FRM-005: the next offset that can verify has the magic and is followed by a whole header.
        last = len(self.buffer) - 11
        at = self.buffer.find(MAGIC, 1)
        count = last if at < 0 else min(at, last)
        self._spend(count, 0 if self.skipping else 1, now)
        if not self.skipping:
            self.skip_lost = self._damage()
        self.skipped_ever, self.restarted_at = True, now
        self.skipping += count
        self._use(count)

    def _dropped(self, kind, flags, ordinal, size, now):
        if not self.hello or not self.s.resync:
            raise Fault(Reason.PAYLOAD_CHECKSUM)  # PW-HDR-013, PW-FRM-003
        self._spend(size, 1, now)
        lost = self._damage() if kind == DATA else False
        if kind == DATA and flags & FIRST:
            self._refuse(ordinal, DAMAGED)  # PW-REJ-003: after the open one
        self.events.append(("gap", size, lost))

    def _spend(self, size, gaps, now):  # PW-FRM-011
        if self.window_at is None or now >= self.window_at + WINDOW:
            self.window_at, self.window_bytes, self.window_gaps = now, 0, 0
        self.window_bytes += size
        self.window_gaps += gaps
        if self.window_bytes > SKIPPED or self.window_gaps > GAPS:
            raise Fault(Reason.RESYNC_BUDGET)

    def _damage(self):  # PW-FRM-009, PW-FRM-010
        message, self.open, self.passing = self.open, None, True
        if message and not message.refused:  # PW-REJ-004
            self._refuse(message.ordinal, DAMAGED)
        return message is not None and not message.refused

    def _refuse(self, ordinal, reason):
        if len(self.rejects) == REJECTS:
            raise Fault(Reason.MESSAGE_TOO_LARGE)  # PW-REJ-006
        self.rejects.append((ordinal, reason))
        self.events.append(("refused", ordinal, reason))

    def _judge_state(self, kind):  # appendix A
        if not self.hello:
            allowed = kind == HELLO  # PW-FRM-004
        elif kind in (HELLO, HELLO_ACK):
            allowed = False  # PW-HS-013
        elif kind == CLOSE_ACK:
            allowed = self.close_given_at is not None  # PW-CLS-010
        elif kind in (DATA, DRAIN, CLOSE):
            allowed = not self.peer_close and not (kind == DRAIN and self.peer_drained)  # PW-CLS-013, PW-CLS-017
        else:
            allowed = True
        if not allowed:
            raise Fault(Reason.UNEXPECTED_PACKET)

    def _judge_frame(self, flags, cls, length):
        """CHECKSUM and section 6 for a verified header of DATA; returns the number of the message that it begins."""
        if self.s.resync and not flags & CHECKSUM:
            raise Fault(Reason.CHECKSUM_REQUIRED)  # PW-FRM-008
        first, more = flags & FIRST, flags & MORE
        if not first and self.passing:
            return None  # PW-FRM-010
        if more and not length:
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-004
        if first:
            if self.open and (more or cls == self.open.cls):
                raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-005, PW-DAT-006
            self.begun += 1
            return 0 if self.skipped_ever else self.begun  # PW-REJ-002
        if not self.open:
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-007
        if (cls, bool(flags & ENCRYPTED)) != (self.open.cls, self.open.encrypted):
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-003
        if not self.open.refused and len(self.open.payload) + length > self.s.message_limit:  # PW-DAT-008
            self._refuse(self.open.ordinal, TOO_LARGE)
            self.open.refused, self.open.payload = True, bytearray()
        return None

    def _on_data(self, flags, cls, payload, ordinal):
        first, more = flags & FIRST, flags & MORE
        if first and not more:
            return self._deliver(cls, bool(flags & ENCRYPTED), payload)
        if first:
            self.open, self.passing = Incoming(cls, bool(flags & ENCRYPTED), ordinal), False
        elif self.passing:
            return
        if not self.open.refused:
            self.open.payload += payload
        if not more:
            message, self.open = self.open, None
            if not message.refused:
                self._deliver(message.cls, message.encrypted, bytes(message.payload))

    def _deliver(self, cls, encrypted, payload):
        self.received += 1
        self.events.append(("message", cls, encrypted, payload))

    def _on_hello(self, payload, now):
        hello = Hello(payload)
        if hello.versions[0] > 1:
            raise Fault(Reason.UNSUPPORTED_VERSION)  # PW-HS-003, PW-HS-004: this side knows version 1 only
        s, self.interval = self.s, max(self.s.interval, hello.ping_floor)  # PW-HB-005
        if s.detect_within is not None and max(s.idle, hello.ping_floor) + self.interval * s.probes > s.detect_within:
            raise Fault(Reason.INCOMPATIBLE_TIMERS)  # PW-HS-016
        items = item(VERSIONS, b"\x01\x01") + item(SYNC_KEY, self.key.to_bytes(4, "big"))
        items += item(LIMITS, struct.pack(">II", s.frame_limit, s.message_limit)) + item(PING_FLOOR, s.ping_floor.to_bytes(4, "big"))
        items += item(FEATURES, (RESYNC if s.resync else 0).to_bytes(4, "big"))
        self._give(packet(HELLO_ACK, items, 0), now)
        self.hello, self.peer_key = hello, hello.sync_key
        self.events.append(("established", hello))
        self._begin_silence(now)

    def _on_reject(self, payload, now):
        ordinal, reason = struct.unpack(">QH", payload)
        if ordinal > self.sent_begun:
            raise Fault(Reason.BAD_COUNT)  # PW-REJ-008
        self.events.append(("rejected", ordinal, reason))  # PW-REJ-007

    def _judge_count(self, received):
        if received > self.sent_whole:
            raise Fault(Reason.BAD_COUNT)  # PW-CLS-019

    def _on_drain(self, payload, now):
        self._judge_count(int.from_bytes(payload, "big"))
        self.peer_drained = True
        self.events.append(("drain", int.from_bytes(payload, "big")))  # PW-CLS-017

    def _on_close(self, payload, now):
        close = read_close(payload)
        if not is_fault(close["reason"]):
            self._judge_count(close["received"])
        self.peer_close = close
        self.events.append(("close", close))
        if is_fault(close["reason"]):  # PW-CLS-009
            self._end(close["reason"], "peer", False, now)

    def _on_close_ack(self, payload, now):
        self._judge_count(int.from_bytes(payload, "big"))
        self.acked = True
        self._settle(now)

    # -- the heartbeat

    def _evidence(self, now):
        if self.suspect:
            self.suspect = False
            self.events.append(("recovered",))  # PW-HB-018
        self._begin_silence(now)

    def _begin_silence(self, since):
        """PW-HB-004, PW-HB-005, PW-HB-006."""
        self.unanswered, self.forgiven, self.ping_due, self.wait_at = 0, False, False, None
        self.extension = self.s.extension_max
        self.idle_at = since + max(self.s.idle * (1 - 0.2 * random.random()), self.hello.ping_floor)

    def _wait(self):
        if self.srtt is None:
            return self.interval
        return min(max(self.srtt + 4 * self.rttvar, self.interval), 4 * self.interval)

    def _at_most(self, when):
        """A wait that began at wait_base - interval may use what is left of extension_max (PW-HB-013)."""
        return min(when, self.wait_base + self.extension)

    @property
    def ping_waits(self):
        return self.ping_due or self.ping_on_its_way

    def _probe(self, now):
        if not self.ping_waits:  # a PING that the transport has not taken is not joined by another
            self.ping_due = True
        self.wait_base, self.took_byte = now + self.interval, False
        self.wait_at = self._at_most(now + self._wait())

    def _wait_over(self, now):
        if now - self.wait_at > self.interval and not self.forgiven:  # PW-HB-016
            self.forgiven = True
            self.extension -= max(0, self.wait_at - self.wait_base)
            return self._probe(now)
        if self.ping_waits and self.took_byte and (again := self._at_most(now + self._wait())) > now:  # PW-HB-011
            self.wait_at, self.took_byte = again, False
            return
        self.extension -= max(0, self.wait_at - self.wait_base)
        self.unanswered += 1
        if not self.suspect:
            self.suspect = True
            self.events.append(("suspect",))
        if self.unanswered >= self.s.probes:
            raise Fault(Reason.PEER_TIMEOUT)  # PW-HB-012
        self._probe(now)

    def _on_ping(self, payload, now):
        number = int.from_bytes(payload, "big")
        if number <= self.last_ping:
            raise Fault(Reason.BAD_PING)  # PW-HB-007
        self.last_ping = number
        gained = (now - self.tokens_at) / (self.s.ping_floor / 2)  # PW-HB-017
        self.tokens, self.tokens_at = min(PINGS, self.tokens + gained), now
        if self.tokens < 1 - 1e-9:
            raise Fault(Reason.PING_FLOOD)
        self.tokens -= 1
        self.pong = number  # PW-HB-008
        self.events.append(("ping", number))

    def _on_pong(self, payload, now):
        number = int.from_bytes(payload, "big")
        if not 1 <= number <= self.ping_number:
            raise Fault(Reason.BAD_PONG)  # PW-HB-009
        self.events.append(("pong", number))
        if number == self.ping_number and self.measuring and not self.ping_on_its_way:
            self.measuring, rtt = False, now - self.ping_taken_at
            if self.srtt is None:  # RFC 6298
                self.srtt, self.rttvar = rtt, rtt / 2
            else:
                self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
                self.srtt += (rtt - self.srtt) / 8

    def _pauses_used_up(self, now):
        return self.pauses_began is not None and now > self.pauses_began + self.s.busy_max

    def _on_busy(self, payload, now):
        pause = int.from_bytes(payload, "big")
        self.events.append(("busy", pause))
        self.measuring = False  # an answer that a pause held up measures nothing
        if pause and self._pauses_used_up(now):
            return  # PW-HB-021: no evidence, no pause
        self._evidence(now)
        if not pause:
            self.pause_until = self.pauses_began = None
            return
        if self.pauses_began is None:
            self.pauses_began = now
        self.pause_until = min(now + pause, self.pauses_began + self.s.busy_max)

    def _pause_over(self, now):
        ended, self.pause_until = self.pause_until, None
        self._begin_silence(ended)  # PW-HB-022

    HANDLERS = {HELLO: _on_hello, REJECT: _on_reject, PING: _on_ping, PONG: _on_pong, BUSY: _on_busy, DRAIN: _on_drain,
                CLOSE: _on_close, CLOSE_ACK: _on_close_ack}

    # -- time

    def _timers(self):
        s = self.s

        def fault(reason):
            def act(_now):
                raise Fault(reason)
            return act

        def die(_now):
            self.dead = True
        if self.over:
            return [] if self.dead else [(self.linger_at, die)]
        if not self.hello:
            return [(self.accepted_at + s.handshake_timeout, fault(Reason.HANDSHAKE_TIMEOUT))]  # PW-HS-012
        timers = [(self._stalls_at(), fault(Reason.WRITE_STALL))] if self.out else []
        if self.close_given_at is not None and not self.acked:
            timers.append((self.close_given_at + s.close_timeout, fault(Reason.CLOSE_TIMEOUT)))  # PW-CLS-007
        if self.paused:  # PW-HB-023
            timers.append((self.busy_again_at, self._say_busy))
            return timers
        if self.buffer:
            timers.append((self._assembled_at(), fault(Reason.FRAME_STALL)))
        if self.pause_until is not None:
            timers.append((self.pause_until, self._pause_over))  # PW-HB-020
        elif not self.ack_given:  # PW-CLS-006
            timers.append((self.idle_at, self._probe) if self.wait_at is None else (self.wait_at, self._wait_over))
        return timers

    def next_deadline(self):
        return min((when for when, _ in self._timers()), default=None)

    def tick(self, now):
        """Judges the time limits; what can be read has been read before (PW-TCP-001)."""
        for when, act in sorted(self._timers(), key=lambda timer: timer[0]):
            if when <= now:
                try:
                    act(now)
                except Fault as fault:
                    self.fail(fault, now)
                    return
