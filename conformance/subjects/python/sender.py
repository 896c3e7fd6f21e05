"""What one side sends: messages that wait for their turn, and bytes on their way to the peer's host.

A byte is handed out when the caller may offer it to the transport, taken when the transport says so, and acknowledged when the
peer's host has it (section 2).
"""

from collections import Counter, deque

from heartbeat import Resting
from pulsewire import CHECKSUM, DATA, ENCRYPTED, FIRST, MORE, packet


class Messages:
    """A queue for each class (PW-DAT-015)."""

    def __init__(self, settings):
        self.s = settings
        self.queues, self.size = {}, 0                # class: its messages (encrypted, payload); the bytes of all of them
        self.turns, self.frames = Counter(), 0        # of each class the number of its latest frame; how many there were
        self.begun, self.whole = Counter(), 0         # of each class; how many were handed out to the last frame
        self.open, self.part, self.room = None, 0, 0  # the class of the message that is begun; how far it is; PW-DAT-014

    def accept(self, cls, encrypted, payload):
        self.queues.setdefault(cls, deque()).append((encrypted, payload))
        self.size += len(payload)

    def next(self, hello, key):
        """The next frame, or None if no message waits."""
        largest = min(self.s.frame_sent, hello.frame_limit)  # PW-DAT-009
        around = 16 if hello.resync else 12
        for cls in sorted(self.queues, key=self.turns.__getitem__):
            size = len(self.queues[cls][0][1])
            # PW-DAT-005 and PW-DAT-014: beside an open message go whole ones, and no more of them than it has sent itself.
            if self.open in (None, cls) or size <= largest and size + around <= self.room:
                return self._frame(cls, largest, hello.resync, key)
        return None

    def _frame(self, cls, largest, checksum, key):
        queue, begun = self.queues[cls], self.open == cls
        encrypted, payload = queue[0]
        at = self.part if begun else 0
        part = bytes(payload[at:at + largest])
        more = at + len(part) < len(payload)
        flags = (0 if begun else FIRST) | (MORE if more else 0) | (ENCRYPTED if encrypted else 0)
        data = packet(DATA, part, key, flags | (CHECKSUM if checksum else 0), cls)  # PW-FRM-007
        self.begun[cls] += not begun
        if more:
            self.open, self.part, self.room = cls, at + len(part), len(data)
        else:
            self.whole += 1
            self.size -= len(payload)
            queue.popleft()
            if begun:
                self.open = None
            else:
                self.room -= len(data)
        if not queue:
            del self.queues[cls]
        self.frames += 1
        self.turns[cls] = self.frames
        return data


class Bytes:
    """What is on its way, and whether it goes away fast enough."""

    def __init__(self, settings, now):
        self.s = settings
        self.out = bytearray()  # handed out, not taken
        self.handed_out = self.acknowledged = 0
        self.acknowledged_at = self.moved_at = now  # when the last of them were; or some were handed out when all had been
        # PW-CLS-015, in a time that rests while the peer pauses.
        self.time = Resting(settings.busy_max, now, False)
        self.moved = now        # moved_at by that time
        self.due = deque()      # (bytes handed out up to here, when they have to be acknowledged), both growing

    @property
    def taken(self):
        return self.handed_out - len(self.out)

    @property
    def unacknowledged(self):
        return self.handed_out - self.acknowledged

    def hand_out(self, data, now):
        if not self.unacknowledged:
            self._move(now)
        self.out += data
        self.handed_out += len(data)
        due = self.time.at(now) + self._allowed()
        while self.due and self.due[-1][1] >= due:
            self.due.pop()  # what lies in front of these bytes is acknowledged before them
        self.due.append((self.handed_out, due))

    def _allowed(self):
        return self.s.write_stall + self.s.allowed(self.unacknowledged)

    def _move(self, now):
        self.time.renew(now)
        self.moved_at, self.moved = now, self.time.at(now)

    def acknowledge(self, total, now):
        """So many were, of all; True if these are more than before."""
        if total <= self.acknowledged:
            return False
        self.acknowledged, self.acknowledged_at = total, now
        self._move(now)
        while self.due and self.due[0][0] <= total:
            self.due.popleft()
        return True

    def stalls_at(self, pause_until):
        return self.time.when(min(self.moved + self.s.write_stall, self.due[0][1]), pause_until)

    def begin_anew(self, now):
        """PW-TIM-001: as if all that is not acknowledged were handed out now."""
        self.moved = self.time.at(now)
        self.due = deque([(self.handed_out, self.moved + self._allowed())])
