"""The heartbeat of one side (section 8): when to ask the peer, when to give it up, and how its pauses stop the clocks."""

import random

from pulsewire import PINGS, UNANSWERED, Fault, Reason


class Heartbeat:
    """Begins when the connection is open. `tell` hears what the application should know; `bytes_out` are those of this side."""

    def __init__(self, settings, floor, now, tell, bytes_out):
        self.s, self.floor, self.tell, self.bytes = settings, floor, tell, bytes_out
        self.idle, self.interval = max(settings.idle, floor), max(settings.interval, floor)  # PW-HB-005, without jitter
        bound = self.idle + self.interval * settings.probes
        self.extension_max = bound if settings.extension_max is None else settings.extension_max
        # This side's latest PING. It waits, then it is on its way until it is acknowledged.
        self.number = self.answered = 0
        self.waits = self.on_its_way = False
        self.begin = self.end = 0        # where it lies among all bytes that were handed out
        self.handed_out_at = None
        # What is measured of it: since when, as soon as both moments of section 8.3 are known.
        self.measuring, self.taken_at, self.in_front_at = False, None, None
        self.srtt = self.rttvar = None
        # The peer's PINGs, its pauses, and its silence.
        self.peer_number, self.tokens, self.tokens_at = 0, PINGS, now
        self.pause_until = self.row_since = None  # the pause in force; the first of those that follow each other (PW-HB-021)
        self.suspect = False
        self.begin_silence(now)

    @property
    def detects_within(self):
        return self.idle + self.interval * self.s.probes

    # -- the silence

    def evidence(self, now):  # PW-HB-004
        if self.pause_until is None:
            self.row_since = None  # PW-HB-021
        self._alive(now)

    def _alive(self, now):
        if self.suspect:
            self.suspect = False
            self.tell("recovered")  # PW-HB-018
        self.begin_silence(now)

    def begin_silence(self, since):
        """Nothing is left of the silence before; a PING that waits is withdrawn."""
        self.probing, self.waits, self.unanswered, self.forgiven = False, False, 0, False
        self.extended = 0  # E of PW-HB-013
        self.idle_at = since + max(self.s.idle * (1 - 0.2 * random.random()), self.floor)  # PW-HB-005, PW-HB-006

    # -- probing, as the outline of section 8.3 has it

    def _extend(self, time):
        granted = min(time, self.extension_max - self.extended)
        self.extended += granted
        return granted

    def _progress(self, time):
        granted = self._extend(time)
        more = min(time - granted, self.slow)
        self.slow -= more
        return granted + more

    def _forgive(self):
        """PW-HB-011: waits that the latest PING missed, while there is time left for them."""
        while self.missed and self.extension_max - self.extended + self.slow >= self.interval:
            self._progress(self.interval)
            self.missed, self.unanswered = self.missed - 1, self.unanswered - 1

    def _begin_wait(self, now):
        answer = self.interval if self.srtt is None else self.srtt + 4 * self.rttvar
        excess = min(max(answer, self.interval), 4 * self.interval) - self.interval
        self.since, self.wait, self.moved = now, self.interval + self._extend(excess), False

    def _probe(self, now):
        self.probing, self.missed = True, 0
        self.slow = self.s.allowed(self.bytes.unacknowledged)
        # One that is on its way serves for this silence too, and so do those that wait for an answer (PW-HB-025).
        if not self.on_its_way and self.number - self.answered < UNANSWERED:
            self.waits = True
        self._begin_wait(now)

    def _wait_over(self, now):
        late = now - (self.since + self.wait)
        acknowledged = not (self.waits or self.on_its_way)
        if not acknowledged and self.moved and (more := self._progress(self.wait)) > 0:  # PW-HB-011
            self.since, self.wait, self.moved = now, more, False
            self._forgive()
            return
        if late > self.interval and not self.forgiven:
            self.forgiven = True  # PW-HB-016
        else:
            self.unanswered += 1
            self.missed += not acknowledged
            if not self.suspect:
                self.suspect = True
                self.tell("suspect")  # PW-HB-018
        if self.unanswered == self.s.probes:
            raise Fault(Reason.PEER_TIMEOUT)  # PW-HB-012
        if acknowledged:
            self._probe(now)
        else:
            self._begin_wait(now)

    def timers(self, now):
        """What is due, and when, while the peer's silence is judged."""
        if not self.probing:
            return [(self.idle_at, self._probe)]
        timers = [(self.since + self.wait, self._wait_over)]
        if self.waits and not self.may_go_out(now):
            timers.append((self.handed_out_at + self.floor, lambda now: None))  # to hand it out then
        return timers

    # -- the way of a PING

    def may_go_out(self, now):
        return self.waits and (self.handed_out_at is None or now >= self.handed_out_at + self.floor)  # PW-HB-026

    def hand_out(self, begin, end, acknowledged, now):
        """The next PING goes out behind `begin` bytes, of which so many are acknowledged. Returns its number."""
        self.waits, self.on_its_way, self.handed_out_at, self.begin, self.end = False, True, now, begin, end
        self.slow = self.s.allowed(end - acknowledged)
        self.measuring, self.taken_at, self.in_front_at = True, None, now if acknowledged == begin else None
        self.number += 1
        return self.number

    def taken(self, total, now):
        if self.measuring and self.taken_at is None and total >= self.end:
            self.taken_at = now

    def acknowledged(self, total, now):
        """So many of the bytes that were handed out are: more than before."""
        self.moved = True
        if self.measuring and self.in_front_at is None and total >= self.begin:
            self.in_front_at = now
        if self.on_its_way and total >= self.end:
            self.on_its_way = False
            if self.probing:
                self.since += self._progress(now - self.since)  # PW-HB-010
                self._forgive()

    def pong(self, number, now):
        if not 1 <= number <= self.number:
            raise Fault(Reason.BAD_PONG)  # PW-HB-009
        self.answered = max(self.answered, number)
        if number < self.number or not self.measuring:
            return
        self.measuring = False
        if self.taken_at is None or self.in_front_at is None:
            return  # nobody has told this side yet since when
        rtt = now - max(self.taken_at, self.in_front_at)
        if self.srtt is None:  # RFC 6298
            self.srtt, self.rttvar = rtt, rtt / 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
            self.srtt += (rtt - self.srtt) / 8

    # -- the peer's PINGs

    def ping(self, number, now):
        if number <= self.peer_number:
            raise Fault(Reason.BAD_PING)  # PW-HB-007
        self.peer_number = number
        gained = (now - self.tokens_at) / (self.s.ping_floor / 2)  # PW-HB-017
        self.tokens, self.tokens_at = min(PINGS, self.tokens + gained), now
        if self.tokens < 1 - 1e-9:
            raise Fault(Reason.PING_FLOOD)
        self.tokens -= 1

    # -- pauses

    def busy(self, pause, now):
        self.measuring = False  # an answer that a pause held up measures nothing
        if pause and self.row_since is not None and now > self.row_since + self.s.busy_max:
            return  # PW-HB-021: no evidence, no pause
        self._alive(now)
        if not pause:
            self.pause_until = self.row_since = None
            return
        if self.row_since is None:
            self.row_since = now
        self.pause_until = min(now + pause, self.row_since + self.s.busy_max)

    def end_pause(self):
        """When it ended."""
        ended, self.pause_until = self.pause_until, None
        self.begin_silence(ended)  # PW-HB-022
        return ended

    def pause_self(self):
        """PW-HB-023: this side pauses, and neither probes nor judges."""
        self.waits = self.measuring = self.probing = False


class Resting:
    """A time that rests while the peer pauses, but for `most` ms and no more (PW-HB-020)."""

    def __init__(self, most, now, pausing):
        self.most = self.left = most
        self.rested, self.since = 0, now if pausing else None  # so far; the begin of the pause in force

    def _this_pause(self, now):
        return 0 if self.since is None else min(now - self.since, self.left)

    def at(self, now):
        """What this time is."""
        return now - self.rested - self._this_pause(now)

    def when(self, time, pause_until):
        """The moment at which it is `time`."""
        moment = time + self.rested
        if self.since is not None and moment > self.since:
            moment += min(self.left, pause_until - self.since)
        return moment

    def rest(self, now):
        self.since = now if self.since is None else self.since

    def go_on(self, now):
        passed, self.since = self._this_pause(now), None
        self.rested += passed
        self.left -= passed

    def renew(self, now):
        """It may rest for `most` again."""
        pausing = self.since is not None
        self.go_on(now)
        self.left, self.since = self.most, now if pausing else None
