"""What a side knows about the messages that it sent, and what its peer may say about them (PW-REJ-008, PW-CLS-019)."""

from collections import Counter

from .judge import number, require


class Counts:
    def __init__(self):
        self.begun, self.rejects = Counter(), Counter()  # by class
        self.last_ordinal = Counter()  # other than 0, by class
        self.completed = 0
        self.received = 0  # what the peer told last

    def begin(self, message_class):
        self.begun[message_class] += 1

    def complete(self):
        self.completed += 1

    def rejected(self, payload):
        """Judges REJECT, and returns its fields."""
        ordinal, reason, message_class = number(payload[:8]), number(payload[8:10]), payload[10]
        self.rejects[message_class] += 1
        require(ordinal <= self.begun[message_class], "BAD_COUNT")
        require(ordinal == 0 or ordinal > self.last_ordinal[message_class], "BAD_COUNT")
        require(self.rejects[message_class] <= self.begun[message_class], "BAD_COUNT")
        require(self.room_for(self.received), "BAD_COUNT")
        self.last_ordinal[message_class] = ordinal or self.last_ordinal[message_class]
        return {"class": message_class, "ordinal": ordinal, "reason": reason}

    def told(self, received):
        """Judges the count of DRAIN, CLOSE other than for a fault, or CLOSE_ACK."""
        require(received <= self.completed, "BAD_COUNT")
        require(self.room_for(received), "BAD_COUNT")
        self.received = received

    def room_for(self, received):
        return received + self.rejects.total() <= self.begun.total()
