"""The heartbeat of one side (section 8), in whole milliseconds and without jitter (PW-HB-005: the floor undoes it)."""

from fractions import Fraction

from .judge import Fault, require

BUCKET = 16
UNANSWERED_MAX = 14


class Heartbeat:
    """Says what is due: `PING`, `SUSPECT`, or the fault PEER_TIMEOUT."""

    def __init__(self, config, peer_floor, now):
        self.idle = max(config["idle"], peer_floor)
        self.interval = max(config["interval"], peer_floor)
        if peer_floor < config["idle"]:
            raise SystemExit("jitter would make the times of this conversation inexact")
        self.probes, self.extension_max = config["probes"], config["extension_max"]
        if self.extension_max is None:
            self.extension_max = self.idle + self.interval * self.probes
        self.busy_max, self.assembly_rate = config["busy_max"], config["assembly_rate"]
        self.refill = Fraction(config["ping_floor"], 2)
        self.bucket, self.bucket_at = Fraction(BUCKET), now
        self.highest_received = 0
        self.peer_floor = peer_floor
        self.answered, self.handed_out = 0, 0  # the highest PONG, the latest PING
        self.handed_out_at = None
        self.rtt = None  # smoothed, variation
        self.measured_from = None  # while the answer to the latest PING would be a measurement
        self.own_pause = False
        self.row_began = None  # the first of pauses that follow each other (PW-HB-021)
        self.pause_ends = None  # of the pause that is in force
        self.ping_waits = False  # a PING is queued, and not handed out
        self.quiet(now)

    def quiet(self, now):
        """Evidence, or an end of a pause: a new silence begins."""
        self.probing = False
        self.ping_waits = False
        self.unanswered = 0
        self.is_suspect = False
        self.extended = 0
        self.grace_spent = False
        self.deadline = now + self.idle

    # What came.

    def evidence(self, now):
        """A packet that is no BUSY. Returns whether the peer had been suspect."""
        if self.pause_ends is not None and now >= self.pause_ends:
            self.end_pause()
        if self.pause_ends is None:
            self.row_began = None
        return self.alive(now)

    def alive(self, now):
        suspect = self.is_suspect
        if self.pause_ends is None:
            self.quiet(now)
        return suspect

    def ping(self, number, now):
        require(number > self.highest_received, "BAD_PING")
        self.highest_received = number
        self.bucket = min(Fraction(BUCKET), self.bucket + (now - self.bucket_at) / self.refill)
        self.bucket_at = now
        require(self.bucket >= 1, "PING_FLOOD")
        self.bucket -= 1

    def pong(self, number, now):
        require(1 <= number <= self.handed_out, "BAD_PONG")
        self.answered = max(self.answered, number)
        if number == self.handed_out and self.measured_from is not None:
            self.measure(Fraction(now - self.measured_from))
            self.measured_from = None

    def measure(self, sample):
        """RFC 6298."""
        if self.rtt is None:
            self.rtt = (sample, sample / 2)
        else:
            smoothed, variation = self.rtt
            variation = variation * 3 / 4 + abs(smoothed - sample) / 4
            self.rtt = (smoothed * 7 / 8 + sample / 8, variation)

    def busy(self, pause, now):
        """PW-HB-020 and PW-HB-021. Returns whether the peer had been suspect, and this is evidence."""
        self.measured_from = None
        if self.pause_ends is not None and now >= self.pause_ends:
            self.end_pause()
        if pause == 0:
            suspect = self.is_suspect
            self.row_began = self.pause_ends = None
            self.quiet(now)
            return suspect
        if self.row_began is not None and now > self.row_began + self.busy_max:
            return False
        suspect = self.alive(now)
        self.row_began = now if self.row_began is None else self.row_began
        self.pause_ends = min(now + pause, self.row_began + self.busy_max)
        return suspect

    def end_pause(self):
        """Its time is up (PW-HB-022)."""
        ended, self.pause_ends = self.pause_ends, None
        self.quiet(ended)

    # What this side did.

    def pause(self):
        self.own_pause, self.measured_from, self.ping_waits = True, None, False

    def resume(self, now):
        self.own_pause = False
        if self.pause_ends is not None and now >= self.pause_ends:
            self.pause_ends = None
        self.quiet(now)

    def bytes_acknowledged(self):
        self.progressed = True

    def ping_handed_out(self, now, unacknowledged):
        """`unacknowledged` bytes, with the PING among them, were handed out by now and not acknowledged."""
        self.handed_out, self.handed_out_at = self.handed_out + 1, now
        self.ping_waits, self.measured_from = False, None
        self.allow(unacknowledged)

    def ping_has_the_front(self, now):
        """The transport took the PING, and the last byte in front of it is acknowledged: its answer can be measured."""
        if not self.own_pause:
            self.measured_from = now

    def ping_acknowledged(self, now):
        """PW-HB-010: the wait starts here."""
        if self.probing and not self.acknowledged:
            self.acknowledged = True
            self.wait_began += self.progress(now - self.wait_began)
            self.forgive()

    # Time.

    def next_deadline(self):
        if self.own_pause:
            return None
        if self.pause_ends is not None:
            return self.pause_ends
        deadline = self.wait_began + self.wait if self.probing else self.deadline
        if deadline != int(deadline):
            raise SystemExit("a wait of this conversation is not in whole milliseconds")
        return int(deadline)

    def may_hand_out(self, now):
        """PW-HB-026."""
        return self.handed_out_at is None or now >= self.handed_out_at + self.peer_floor

    def wait_for_answer(self):
        measured = self.rtt[0] + 4 * self.rtt[1] if self.rtt else 0
        return max(self.interval, min(measured, 4 * self.interval))

    def start_wait(self, now):
        self.wait_began, self.progressed = now, False
        self.wait = self.interval + self.extend(self.wait_for_answer() - self.interval)

    def extend(self, wanted):
        granted = min(wanted, self.extension_max - self.extended)
        self.extended += granted
        return granted

    def allow(self, unacknowledged):
        """What bytes that go away slowly may still take (PW-HB-013)."""
        self.slow = Fraction(1_000 * unacknowledged, self.assembly_rate)

    def forgive(self):
        """PW-HB-011: waits that this PING missed before a byte was acknowledged, as far as there is room for them."""
        while self.missed > 0 and self.extension_max - self.extended + self.slow >= self.interval:
            self.progress(self.interval)
            self.missed, self.unanswered = self.missed - 1, self.unanswered - 1

    def progress(self, wanted):
        """For PW-HB-010 and PW-HB-011, which may take from `slow` as well (PW-HB-013)."""
        granted = self.extend(wanted)
        more = min(wanted - granted, self.slow)
        self.slow -= more
        return granted + more

    def tick(self, now, unacknowledged):
        """What is due at `now`: any of PING and SUSPECT."""
        if self.next_deadline() is None or now < self.next_deadline():
            return []
        if self.pause_ends is not None:
            self.end_pause()
            return self.tick(now, unacknowledged)
        if not self.probing:
            self.probing = True
            return self.probe(now, unacknowledged)
        return self.wait_is_over(now, unacknowledged)

    def probe(self, now, unacknowledged):
        self.start_wait(now)
        self.allow(unacknowledged)
        self.missed = 0
        # PW-HB-025: the answer to those under way serves as well.
        self.acknowledged = self.handed_out - self.answered >= UNANSWERED_MAX
        self.ping_waits = not self.acknowledged
        return ["PING"] if self.ping_waits else []

    def wait_is_over(self, now, unacknowledged):
        late = now - self.wait_began - self.wait
        if not self.acknowledged and self.progressed:
            more = self.progress(self.wait)
            if more > 0:
                self.wait_began, self.wait, self.progressed = now, more, False
                self.forgive()
                return []
        due = []
        if late > self.interval and not self.grace_spent:
            self.grace_spent = True
        else:
            self.unanswered += 1
            self.missed += not self.acknowledged
            if self.unanswered >= self.probes:
                raise Fault("PEER_TIMEOUT")
            if not self.is_suspect:
                self.is_suspect = True
                due.append("SUSPECT")
        if self.acknowledged:
            return due + self.probe(now, unacknowledged)
        self.start_wait(now)
        return due
