"""A receiver, as short as the specification allows: it judges every vector a second time.

Sections 3, 5 and 6 in virtual time. What the packets other than DATA mean is for `take_control` of a subclass.
"""

from collections import Counter

from .codec import BUSY, CHECKSUM, DATA, ENCRYPTED, FIRST, HEADER_SIZE, MORE, TRAILER_SIZE, crc32c, json_bytes
from .judge import judge_header, number, require, verifies

SKIPPED_BYTES_LEAST = 65_536
SKIPPED_FRAMES_MAX = 16
GAPS_MAX = 16
WINDOW = 60_000


class OpenMessage:
    """A message of which a frame with FIRST and MORE came; `refused` once it was too large."""

    def __init__(self, label, ordinal):
        self.label, self.ordinal = label, ordinal
        self.payload = b""
        self.refused = False


class Receiver:
    """From the first packet after the handshake on. Times are in milliseconds."""

    def __init__(self, key, resync, frame_limit, message_limit):
        self.key, self.resync, self.frame_limit, self.message_limit = key, resync, frame_limit, message_limit
        self.now = 0
        self.events = []
        self.received = 0
        self.buffer = bytearray()
        self.front_since = 0  # when the first byte of the buffer was received, or was reached
        self.fields = None  # of the packet under way, once its header was verified
        self.skipped_in_a_row = 0
        self.window = None  # when it began, bytes, gaps
        self.open_message = None
        self.passing_over = False  # continuation frames, after a gap
        self.begun = Counter()  # messages of each class, by their frames with FIRST
        self.uncountable = False  # bytes were skipped that may have held messages (PW-REJ-002)

    def listening(self):
        """Whether what comes is acted on at all."""
        return True

    def allow(self, kind):
        """Raises Fault where a packet of this kind may not come now."""

    def take_control(self, kind, payload):
        """A whole packet other than DATA."""

    def refuse(self, message_class, ordinal, reason):
        """REJECT is due (section 6.1)."""
        self.events.append({"refused": {"class": message_class, "ordinal": ordinal, "reason": reason}})

    def evidence(self):
        """The peer lives (section 8.1)."""

    def message_opened(self):
        """The first frame of an open message is complete (PW-DAT-013)."""

    def message_goes_on(self, length):
        """The header of a later frame of it was verified, or that frame is complete (PW-DAT-013)."""

    def feed(self, data):
        if not data or not self.listening():
            return
        if not self.buffer:
            self.front_since = self.now
        if self.fields and self.fields["kind"] != BUSY:
            self.evidence()
        self.buffer += data
        while self.listening() and self.step():
            pass

    def step(self):
        """Makes what it can of the front of the buffer; false where that needs more bytes."""
        if len(self.buffer) < HEADER_SIZE:
            return False
        if self.fields is None:
            if self.resync and not verifies(self.buffer, self.key):
                self.skip_byte()
                return True
            if self.skipped_in_a_row:
                self.end_gap()
            self.judge_front()
        fields = self.fields
        trailer_size = TRAILER_SIZE if fields["flags"] & CHECKSUM else 0
        size = HEADER_SIZE + fields["length"] + trailer_size
        if len(self.buffer) < size:
            return False
        payload = bytes(self.buffer[HEADER_SIZE:size - trailer_size])
        trailer = bytes(self.buffer[size - trailer_size:size])
        self.consume(size)
        self.fields = None
        if trailer and number(trailer) != crc32c(payload):
            self.drop(fields, size)
        elif fields["kind"] == DATA:
            self.take_data(fields, payload)
        else:
            self.take_control(fields["kind"], payload)
        return True

    def judge_front(self):
        """A header at the front of the buffer, complete and not judged yet."""
        fields = judge_header(bytes(self.buffer[:HEADER_SIZE]), self.key, self.frame_limit)
        self.allow(fields["kind"])
        self.fields = fields
        if fields["kind"] == DATA:
            self.judge_data(fields)
        if fields["kind"] != BUSY:
            self.evidence()

    def consume(self, size):
        del self.buffer[:size]
        self.front_since = self.now

    def skip_byte(self):
        self.spend(1, begins_gap=self.skipped_in_a_row == 0)
        self.skipped_in_a_row += 1
        self.uncountable = True
        self.consume(1)

    def spend(self, size, begins_gap):
        """PW-FRM-011. A row of skipped bytes counts as a gap in the window of its first byte only."""
        if self.window is None or self.now >= self.window[0] + WINDOW:
            self.window = (self.now, 0, 0)
        began, skipped, gaps = self.window
        self.window = (began, skipped + size, gaps + begins_gap)
        most = max(SKIPPED_BYTES_LEAST, SKIPPED_FRAMES_MAX * (self.frame_limit + HEADER_SIZE + TRAILER_SIZE))
        require(self.window[1] <= most and self.window[2] <= GAPS_MAX, "RESYNC_BUDGET")

    def end_gap(self):
        self.lose(self.skipped_in_a_row)
        self.skipped_in_a_row = 0

    def drop(self, fields, size):
        """The trailer was wrong (PW-FRM-006)."""
        require(self.resync, "PAYLOAD_CHECKSUM")
        self.spend(size, begins_gap=True)
        if fields["kind"] != DATA:
            self.gap(size, False)
            return
        self.lose(size)
        if fields["flags"] & FIRST:
            self.refuse(fields["class"], self.ordinal(fields["class"]), "DAMAGED")

    def gap(self, skipped, message_lost):
        self.events.append({"gap": {"skipped": skipped, "message_lost": message_lost}})

    def lose(self, skipped):
        """Skipped bytes or a dropped DATA packet: the open message is lost, unless it was refused (PW-REJ-004)."""
        message, self.open_message = self.open_message, None
        lost = message is not None and not message.refused
        self.gap(skipped, lost)
        self.passing_over = True
        if lost:
            self.refuse(message.label[0], message.ordinal, "DAMAGED")

    def ordinal(self, message_class):
        """The number of the message of this class whose FIRST came last (PW-REJ-002)."""
        return 0 if self.uncountable else self.begun[message_class]

    def judge_data(self, fields):
        """Section 6, as soon as the header is verified (PW-HDR-017)."""
        first, more = fields["flags"] & FIRST, fields["flags"] & MORE
        require(fields["flags"] & CHECKSUM or not self.resync, "CHECKSUM_REQUIRED")
        self.begun[fields["class"]] += bool(first)
        message = self.open_message
        if not first and message is None and self.passing_over:
            return
        label = (fields["class"], bool(fields["flags"] & ENCRYPTED))
        require(fields["length"] or not more, "BAD_FRAGMENT")
        if first:
            require(message is None or not more and label[0] != message.label[0], "BAD_FRAGMENT")
            return
        require(message is not None and message.label == label, "BAD_FRAGMENT")
        self.message_goes_on(fields["length"])
        if not message.refused and len(message.payload) + fields["length"] > self.message_limit:
            message.refused, message.payload = True, b""
            self.refuse(label[0], message.ordinal, "TOO_LARGE")

    def take_data(self, fields, payload):
        first, more = fields["flags"] & FIRST, fields["flags"] & MORE
        label = (fields["class"], bool(fields["flags"] & ENCRYPTED))
        if first and not more:
            self.deliver(*label, payload)
            return
        if first:
            self.passing_over = False
            self.open_message = OpenMessage(label, self.ordinal(label[0]))
            self.message_opened()
        elif self.open_message is not None:
            self.message_goes_on(fields["length"])
        message = self.open_message
        if message is None:
            return
        if not message.refused:
            message.payload += payload
        if not more:
            self.open_message = None
            if not message.refused:
                self.deliver(*label, message.payload)

    def deliver(self, message_class, encrypted, payload):
        self.received += 1
        event = {"class": message_class, "encrypted": encrypted, "payload": json_bytes(payload)}
        self.events.append({"message": event})
