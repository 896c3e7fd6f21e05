"""The heartbeat of one side (section 8), in whole milliseconds and without jitter (PW-HB-005: the floor undoes it)."""

from fractions import Fraction

from .judge import Fault, require

BUCKET = 16


class Heartbeat:
    """Says what is due: `PING`, `SUSPECT`, or the fault PEER_TIMEOUT."""

    def __init__(self, config, peer_floor, now):
        self.idle = max(config["idle"], peer_floor)
        self.interval = max(config["interval"], peer_floor)
        if peer_floor < config["idle"]:
            raise SystemExit("jitter would make the times of this conversation inexact")
        self.probes, self.extension_max = config["probes"], config["extension_max"]
        self.busy_max = config["busy_max"]
        self.refill = Fraction(config["ping_floor"], 2)
        self.bucket, self.bucket_at = Fraction(BUCKET), now
        self.highest_received = 0
        self.rtt = None  # smoothed, variation
        self.taken_at = None  # the latest PING, while its answer would be a measurement
        self.own_pause = False
        self.peer_pause = None  # began, ends
        self.deaf_to_busy = False  # PW-HB-021, after a pause came to busy_max
        self.quiet(now)

    def quiet(self, now):
        """Evidence, or an end of a pause: a new silence begins."""
        self.silent_since = now
        self.probing = False
        self.unanswered = 0
        self.extended = 0
        self.grace_spent = False
        self.deadline = now + self.idle

    # What came.

    def evidence(self, now):
        """Returns whether the peer had been suspect."""
        suspect = self.is_suspect
        if self.peer_pause is None:
            self.quiet(now)
        return suspect

    @property
    def is_suspect(self):
        return self.probing and self.unanswered > 0

    def ping(self, number, now):
        require(number > self.highest_received, "BAD_PING")
        self.highest_received = number
        self.bucket = min(Fraction(BUCKET), self.bucket + (now - self.bucket_at) / self.refill)
        self.bucket_at = now
        require(self.bucket >= 1, "PING_FLOOD")
        self.bucket -= 1

    def pong(self, number, highest_sent, now):
        require(1 <= number <= highest_sent, "BAD_PONG")
        if number == highest_sent and self.taken_at is not None:
            self.measure(Fraction(now - self.taken_at))
            self.taken_at = None

    def measure(self, sample):
        """RFC 6298."""
        if self.rtt is None:
            self.rtt = (sample, sample / 2)
        else:
            smoothed, variation = self.rtt
            variation = variation * 3 / 4 + abs(smoothed - sample) / 4
            self.rtt = (smoothed * 7 / 8 + sample / 8, variation)

    def busy(self, pause, now):
        """PW-HB-020 and PW-HB-021."""
        if pause == 0:
            self.peer_pause, self.deaf_to_busy = None, False
            self.quiet(now)
            return
        if self.deaf_to_busy:
            return
        began = self.peer_pause[0] if self.peer_pause else now
        self.peer_pause = (began, min(now + pause, began + self.busy_max))

    # What this side did.

    def pause(self):
        self.own_pause = True

    def resume(self, now):
        self.own_pause = False
        self.quiet(now)

    def bytes_taken(self):
        self.progressed = True

    def ping_taken(self, now):
        """PW-HB-010: the wait starts here."""
        self.taken_at, self.ping_waits = now, False
        if self.probing:
            later = self.extend(now - self.wait_began)
            self.wait_began, self.deadline = self.wait_began + later, self.deadline + later

    # Time.

    def next_deadline(self):
        if self.own_pause:
            return None
        return self.peer_pause[1] if self.peer_pause else self.deadline

    def wait_for_answer(self):
        measured = self.rtt[0] + 4 * self.rtt[1] if self.rtt else 0
        return max(self.interval, min(measured, 4 * self.interval))

    def start_wait(self, now):
        wait = self.wait_for_answer()
        wait = self.interval + self.extend(wait - self.interval)
        if wait != int(wait):
            raise SystemExit("a wait of this conversation is not in whole milliseconds")
        self.wait_began, self.deadline, self.progressed = now, now + int(wait), False

    def extend(self, wanted):
        granted = min(wanted, self.extension_max - self.extended)
        self.extended += granted
        return granted

    def tick(self, now):
        """What is due at `now`: any of PING and SUSPECT."""
        if self.next_deadline() is None or now < self.next_deadline():
            return []
        if self.peer_pause:
            began, ends = self.peer_pause
            self.deaf_to_busy = ends == began + self.busy_max
            self.peer_pause = None
            self.quiet(ends)
            return self.tick(now)
        if not self.probing:
            self.probing, self.ping_waits, self.taken_at = True, True, None
            self.start_wait(now)
            return ["PING"]
        return self.wait_is_over(now)

    def wait_is_over(self, now):
        if self.ping_waits and self.progressed:
            extension = self.extend(self.interval)
            if extension:
                self.wait_began, self.deadline, self.progressed = now, now + extension, False
                return []
        due = []
        if now - self.deadline > self.interval and not self.grace_spent:
            self.grace_spent = True
            self.extend(self.interval)
        else:
            self.unanswered += 1
            if self.unanswered >= self.probes:
                raise Fault("PEER_TIMEOUT")
            if self.unanswered == 1:
                due.append("SUSPECT")
        self.start_wait(now)
        if not self.ping_waits:
            self.ping_waits, self.taken_at = True, None
            due.append("PING")
        return due
