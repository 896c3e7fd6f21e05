"""From the bytes that come to packets and messages: sections 5 and 6, and appendix B."""

from collections import Counter, deque

from heartbeat import Resting
from pulsewire import (CHECKSUM, DAMAGED, DATA, ENCRYPTED, FIRST, GAPS, MAGIC, MORE, REJECTS, TOO_LARGE, WINDOW, Fault, Reason,
                       crc32c, judge_header, other_protocol, verifies)


class Arriving:
    """A packet whose header has verified."""

    def __init__(self, kind, flags, cls, length, begin, since):
        self.kind, self.flags, self.cls, self.length = kind, flags, cls, length
        self.begin, self.since = begin, since  # its first byte: where in the stream, and when it came
        self.trailer_size = 4 if flags & CHECKSUM else 0
        self.size = 12 + length + self.trailer_size
        self.ordinal, self.kept = None, kind < 0x80  # PW-HDR-008
        self.payload, self.trailer, self.come, self.crc = bytearray(), bytearray(), 0, 0

    @property
    def missing(self):
        return self.size - 12 - self.come

    def add(self, data):
        body = data[:max(0, self.length - self.come)]
        self.trailer += data[len(body):]
        self.come += len(data)
        if self.trailer_size:
            self.crc = crc32c(body, self.crc)
        if self.kept:  # PW-FRM-013
            self.payload += body

    @property
    def damaged(self):
        return self.trailer_size and self.crc != int.from_bytes(self.trailer, "big")


class Incoming:
    """A message under way, from its first frame to its last."""

    def __init__(self, frame, time):
        self.cls, self.encrypted, self.ordinal = frame.cls, frame.flags & ENCRYPTED, frame.ordinal
        self.payload, self.refused = bytearray(), False
        self.time, self.ends = time, None  # PW-DAT-013


class Receiver:
    """What a Connection does with what comes. It adds `now`, `opened` (the first packet has come), `pause_until` (of the peer's
    pause), and what to do: `_tell`, `_judge_state`, `_evidence`, and `_act` for a control packet.
    """

    def __init__(self, settings, key, now):
        self.s, self.key = settings, key
        self.whole_time = settings.assembly_base + settings.allowed(settings.frame_limit + 16)  # of an open message
        self.buffer, self.arriving = bytearray(), None
        self.arrivals, self.come, self.used = deque(), 0, 0  # (offset in the stream, time), to know when a byte came
        self.restarted_at = now                              # PW-FRM-015: when skipping reached a packet, or a pause ended
        self.skipping, self.skip_lost = 0, False             # bytes skipped in a row
        self.window_at, self.window_bytes, self.window_gaps = None, 0, 0
        self.open, self.passing, self.begun, self.skipped_ever = None, False, Counter(), False
        self.received, self.rejects = 0, deque()

    def _receive(self, data):
        self.buffer += data
        self.come += len(data)
        self.arrivals.append((self.come, self.now))

    def _use(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        self.used += count
        while self.arrivals and self.arrivals[0][0] <= self.used:
            self.arrivals.popleft()
        return data

    def _step(self):
        """Takes one packet, or skips some bytes; False if more has to come first."""
        if not self.arriving:
            if len(self.buffer) < 12:
                return False
            head = bytes(self.buffer[:12])
            if not verifies(head, self.key if self.opened else 0):  # PW-KEY-001, PW-KEY-003, PW-HDR-004
                self._bad_header(head)
                return True
            if self.skipping:
                self._tell("gap", self.skipping, self.skip_lost)
                self.skipping = 0
            arriving = Arriving(*judge_header(head, self.s.frame_limit), self.used, self.arrivals[0][1])
            self._judge_state(arriving.kind)
            if arriving.kind == DATA:
                self._judge_frame(arriving)
            self.arriving = arriving
            self._use(12)
            self._evidence(arriving.kind)
        arriving = self.arriving
        if arriving.missing and self.buffer:
            arriving.add(self._use(min(arriving.missing, len(self.buffer))))
            self._evidence(arriving.kind)
        if arriving.missing:
            return False
        if arriving.damaged:
            self._dropped(arriving)
        elif arriving.kind == DATA:
            self._on_data(arriving)
        elif arriving.kind < 0x80:
            self._act(arriving.kind, bytes(arriving.payload))
        self.arriving = None
        return True

    def _bad_header(self, head):
        if not self.opened:  # PW-FRM-003
            raise Fault(Reason.NOT_PULSEWIRE, detail=other_protocol(head))  # PW-FRM-014
        if not self.s.resync:
            raise Fault(Reason.BAD_HEADER)  # PW-FRM-002
        # PW-FRM-005: the next offset that can verify has the magic and is followed by a whole header.
        last = len(self.buffer) - 11
        at = self.buffer.find(MAGIC, 1)
        count = last if at < 0 else min(at, last)
        self._spend(count, 0 if self.skipping else 1)
        if not self.skipping:
            self.skip_lost = self._damage()
        self.skipped_ever, self.restarted_at = True, self.now
        self.skipping += count
        self._use(count)

    def _dropped(self, arriving):
        if not self.opened or not self.s.resync:
            raise Fault(Reason.PAYLOAD_CHECKSUM)  # PW-HDR-013, PW-FRM-003
        self._spend(arriving.size, 1)
        lost = self._damage() if arriving.kind == DATA else False
        if arriving.kind == DATA and arriving.flags & FIRST:
            self._refuse(arriving, DAMAGED)  # PW-REJ-003: after the open one
        self._tell("gap", arriving.size, lost)

    def _spend(self, size, gaps):  # PW-FRM-011
        if self.window_at is None or self.now >= self.window_at + WINDOW:
            self.window_at, self.window_bytes, self.window_gaps = self.now, 0, 0
        self.window_bytes += size
        self.window_gaps += gaps
        if self.window_bytes > max(65_536, 16 * (self.s.frame_limit + 16)) or self.window_gaps > GAPS:
            raise Fault(Reason.RESYNC_BUDGET)

    def _damage(self):  # PW-FRM-009, PW-FRM-010
        message, self.open, self.passing = self.open, None, True
        if message and not message.refused:  # PW-REJ-004
            self._refuse(message, DAMAGED)
        return message is not None and not message.refused

    def _refuse(self, message, reason):
        if len(self.rejects) == REJECTS:
            raise Fault(Reason.MESSAGE_TOO_LARGE)  # PW-REJ-006
        self.rejects.append((message.ordinal, reason, message.cls))
        self._tell("refused", message.cls, message.ordinal, reason)

    def _judge_frame(self, frame):
        """CHECKSUM and section 6 for a verified header of DATA."""
        if self.s.resync and not frame.flags & CHECKSUM:
            raise Fault(Reason.CHECKSUM_REQUIRED)  # PW-FRM-008
        first, more, message = frame.flags & FIRST, frame.flags & MORE, self.open
        if not first and self.passing:
            frame.kept = False  # PW-FRM-010
            return
        if more and not frame.length:
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-004
        if first:
            if message and (more or frame.cls == message.cls):
                raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-005, PW-DAT-006
            self.begun[frame.cls] += 1
            frame.ordinal = 0 if self.skipped_ever else self.begun[frame.cls]  # PW-REJ-002
            return
        if not message:
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-007
        if (frame.cls, frame.flags & ENCRYPTED) != (message.cls, message.encrypted):
            raise Fault(Reason.BAD_FRAGMENT)  # PW-DAT-003
        if not message.refused and len(message.payload) + frame.length > self.s.message_limit:  # PW-DAT-008
            self._refuse(message, TOO_LARGE)
            message.refused, message.payload = True, bytearray()
        frame.kept = not message.refused  # PW-REJ-004
        self._lengthen(frame)

    def _on_data(self, frame):
        first, more = frame.flags & FIRST, frame.flags & MORE
        if first and not more:
            return self._deliver(frame.cls, frame.flags & ENCRYPTED, frame.payload)
        if first:
            self.open, self.passing = Incoming(frame, Resting(self.s.busy_max, self.now, self.pause_until is not None)), False
            self._give_whole_time()
        elif self.passing:
            return
        else:
            self._lengthen(frame)
        message = self.open
        message.payload += frame.payload
        if not more:
            self.open = None
            if not message.refused:
                self._deliver(message.cls, message.encrypted, message.payload)

    def _deliver(self, cls, encrypted, payload):
        self.received += 1
        self._tell("message", cls, bool(encrypted), bytes(payload))

    def _give_whole_time(self):
        self.open.ends = self.open.time.at(self.now) + self.whole_time

    def _lengthen(self, frame):
        """PW-DAT-013: a frame gives the open message more time, twice. What has run out is nothing, not less than that."""
        time = self.open.time.at(self.now)
        self.open.ends = min(max(self.open.ends, time) + self.s.allowed(frame.length + 16), time + self.whole_time)

    def _reading_limits(self):
        """As Connection._limits has them."""
        limits = []
        if self.buffer or self.arriving:  # PW-FRM-015
            begin, since, length = self.used, self.arrivals and self.arrivals[0][1], 0
            if self.arriving:
                begin, since, length = self.arriving.begin, self.arriving.since, self.arriving.length
            limits.append((max(since, self.restarted_at) + self.s.assembly_base + self.s.allowed(length + 16), Reason.FRAME_STALL,
                           begin, lambda: setattr(self, "restarted_at", self.now)))
        if self.open:  # PW-DAT-013
            limits.append((self.open.time.when(self.open.ends, self.pause_until), Reason.MESSAGE_STALL,
                           self.open, self._give_whole_time))
        return limits
