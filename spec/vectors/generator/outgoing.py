"""What a side has to send, the order in which it goes out, and what became of it."""

from fractions import Fraction

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, ENCRYPTED, FIRST, HEADER_SIZE, MORE, PING, PONG, REJECT, TRAILER_SIZE,
    packet, u16, u32, u64,
)
from .counts import Counts
from .timer import Allowance, Timer


class Piece:
    """Bytes of one packet that the transport took; `ends` is its kind where these are its last."""

    def __init__(self, data, ends):
        self.data, self.ends = data, ends


class Classes:
    """Messages that wait to be sent, in frames. The classes take turns (PW-DAT-014, PW-DAT-015)."""

    def __init__(self):
        self.waiting = {}  # frames, by class
        self.turns = {}  # the number of the latest turn of each class
        self.open = None  # the class whose message is open
        self.room = 0  # for packets of other classes up to its next frame

    def add(self, message_class, frames):
        self.waiting.setdefault(message_class, []).extend(frames)

    def next(self):
        """The frame of the class that has waited longest for its turn, of those that may send now."""
        for message_class in sorted(self.waiting, key=lambda waiting: self.turns.get(waiting, 0)):
            part, flags = self.waiting[message_class][0]
            size = HEADER_SIZE + len(part) + (TRAILER_SIZE if flags & CHECKSUM else 0)
            between = self.open is not None and message_class != self.open
            if between and (flags & MORE or size > self.room):
                continue
            if between:
                self.room -= size
            else:
                self.open, self.room = (message_class, size) if flags & MORE else (None, 0)
            self.turns[message_class] = 1 + max(self.turns.values(), default=0)
            del self.waiting[message_class][0]
            if not self.waiting[message_class]:
                del self.waiting[message_class]
            return part, flags, message_class
        return None

    def clear(self):
        self.waiting = {}


class Outgoing:
    """What waits, and a transport with so much room; None is as much as there is."""

    def __init__(self, config):
        self.write_stall, self.rate, self.busy_max = (
            config[name] for name in ("write_stall", "assembly_rate", "busy_max")
        )
        self.frame_sent = config["frame_sent"]
        self.key = 0
        self.first = True
        self.room = None
        self.control, self.rejects, self.classes, self.last = [], [], Classes(), []
        self.pong, self.ping, self.pings = None, False, 0
        self.counts = Counts()
        self.close_handed_out = self.close_ack_handed_out = False
        self.wire, self.wire_kind = b"", None
        self.handed_out = self.taken = self.acknowledged = 0  # bytes
        self.ping_begins = self.ping_ends = None  # of the latest PING, in the stream
        self.ping_had_the_front = True
        self.allowance = None  # of both times of PW-CLS-015
        self.stall = None  # while something is not acknowledged
        self.batches = []  # handed out together: where they end in the stream, and their timer

    def greeted(self, hello):
        self.key, self.checksums = hello["sync_key"], hello["resync"]
        self.frame_size = min(hello["frame_limit"], self.frame_sent)

    def message(self, message_class, encrypted, payload):
        size = self.frame_size
        parts = [payload[start:start + size] for start in range(0, len(payload), size)] or [b""]
        frames = []
        for index, part in enumerate(parts):
            flags = (FIRST if index == 0 else 0) | (MORE if index + 1 < len(parts) else 0)
            flags |= (CHECKSUM if self.checksums else 0) | (ENCRYPTED if encrypted else 0)
            frames.append((part, flags))
        self.classes.add(message_class, frames)

    def busy(self, pause):
        """It replaces one that waits, but not a BUSY of 0: behind that it queues, unless it is 0 itself (PW-HB-019)."""
        end = (BUSY, u32(0))
        self.control = [packet for packet in self.control if packet[0] != BUSY or packet == end]
        if (BUSY, pause) not in self.control:
            self.control.append((BUSY, pause))

    def forget(self):
        """What was not handed out never will be."""
        self.control, self.rejects, self.last = [], [], []
        self.classes.clear()
        self.pong, self.ping = None, False

    def next_packet(self, received):
        """The next packet and its kind (PW-HB-015, PW-REJ-005, PW-CLS-003, PW-CLS-016)."""
        if self.close_ack_handed_out:
            return None
        if self.control:
            kind, payload = self.control.pop(0)
            if kind == DRAIN:
                payload = u64(received)
            self.close_handed_out |= kind == CLOSE
            return kind, self.encode(kind, payload)
        if self.rejects:
            return REJECT, self.encode(REJECT, self.rejects.pop(0))
        if self.pong is not None:
            pong, self.pong = self.pong, None
            return PONG, self.encode(PONG, u64(pong))
        if self.ping:
            self.ping, self.pings = False, self.pings + 1
            return PING, self.encode(PING, u64(self.pings))
        if frame := self.classes.next():
            part, flags, message_class = frame
            if flags & FIRST:
                self.counts.begin(message_class)
            if not flags & MORE:
                self.counts.complete()
            return DATA, self.encode(DATA, part, flags, message_class)
        if self.last:
            kind, close = self.last.pop(0)
            if kind == CLOSE_ACK:
                self.close_ack_handed_out = True
                return kind, self.encode(kind, u64(received))
            reason, retry_after, items = close
            self.close_handed_out = True
            return kind, self.encode(kind, u16(reason) + u64(received) + u32(retry_after) + items)
        return None

    def encode(self, kind, payload, flags=0, message_class=0):
        key, self.first = 0 if self.first else self.key, False
        return packet(kind, payload, flags, message_class, key=key)

    def hand_out(self, now, received):
        """Gives the transport the next packet once the one before is taken. Returns its kind."""
        found = None if self.wire else self.next_packet(received)
        if found is None:
            return None
        self.wire_kind, self.wire = found
        if self.handed_out == self.acknowledged:
            self.allowance = Allowance(now, self.busy_max)
            self.stall = Timer(now, self.write_stall, self.allowance)
        begins, self.handed_out = self.handed_out, self.handed_out + len(self.wire)
        self.batches.append((self.handed_out, self.batch_timer(now)))
        if self.wire_kind == PING:
            self.ping_begins, self.ping_ends, self.ping_had_the_front = begins, self.handed_out, False
        return self.wire_kind

    def take(self):
        """What the transport takes now of the packet that was handed out."""
        size = len(self.wire) if self.room is None else min(self.room, len(self.wire))
        if size == 0:
            return None
        taken, self.wire = self.wire[:size], self.wire[size:]
        self.taken += size
        if self.room is not None:
            self.room -= size
        return Piece(taken, None if self.wire else self.wire_kind)

    def acknowledge(self, total):
        """So many bytes of the stream are acknowledged, more than before."""
        assert self.acknowledged < total <= self.taken
        self.acknowledged = total
        self.batches = [batch for batch in self.batches if batch[0] > total]
        self.stall.restart(self.write_stall)
        if total == self.handed_out:
            self.stall = None
        self.allowance.left = self.busy_max

    def ping_has_the_front(self):
        """Says once for each PING that the transport took it, and all in front of it is acknowledged."""
        if self.ping_had_the_front or self.taken < self.ping_ends or self.acknowledged < self.ping_begins:
            return False
        self.ping_had_the_front = True
        return True

    def timers(self):
        """Those of PW-CLS-015."""
        return [timer for timer in (self.stall, *(timer for _, timer in self.batches)) if timer]

    def batch_timer(self, now):
        """For bytes that end where all ends that was handed out."""
        whole = self.write_stall + Fraction(1_000 * (self.handed_out - self.acknowledged), self.rate)
        return Timer(now, whole, self.allowance)

    def advance(self, now, pause_ends):
        """Time passes."""
        if self.allowance is None:
            return
        rested = self.allowance.advance(now, pause_ends)
        for timer in self.timers():
            timer.advance(now, rested)

    def begin_anew(self, now, interval, pause_ends):
        """PW-TIM-001; false where this side was not so late for any of them."""
        if all(now - timer.ends(pause_ends) <= interval for timer in self.timers()):
            return False
        self.stall = Timer(now, self.write_stall, self.allowance)
        self.batches = [(self.handed_out, self.batch_timer(now))]
        return True
