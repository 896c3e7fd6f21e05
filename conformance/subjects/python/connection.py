"""One side of a Pulsewire connection: no sockets, no clock.

The caller tells a Connection what happened (bytes came, the transport took bytes, time passed) and `now` in milliseconds, and
takes from it what is to be written (`outgoing`), what the application should know (`events`) and when to call again
(`next_deadline`).
"""

import secrets
import struct
from collections import Counter

from heartbeat import Heartbeat
from pulsewire import (BUSY, CLOSE, CLOSE_ACK, DATA, DRAIN, FEATURES, HELLO, HELLO_ACK, LIMITS, MINUTE, PING, PING_FLOOR, PONG,
                       REJECT, RESYNC, SYNC_KEY, VERSIONS, Fault, Hello, Reason, close_payload, find_sync_key, is_fault, item,
                       of_application, packet, read_close, text_item)
from receiver import Receiver
from sender import Bytes, Messages

JOIN = 1_400  # small packets are joined up to about this many bytes
RENEW = 0.4   # BUSY is said again when so much of a pause has passed: PW-HB-019 wants it before half of it


class Connection(Receiver):
    """One side of a connection, a server's unless it is a client's. `events` holds tuples for the application, the kind of event first.

    Where the transport tells what was acknowledged, the caller says so with `acknowledges`, and calls `acknowledged`. A server that
    `asks` has its application judge HELLO: at "admission" it calls `accept` or `close`.
    """

    def __init__(self, settings, now, key=None, acknowledges=False, client=False, asks=False):
        super().__init__(settings, key or secrets.randbelow(0xFFFFFFFF) + 1, now)  # PW-KEY-004
        self.events, self.now, self.accepted_at, self.acknowledges = [], now, now, acknowledges
        self.client, self.asks = client, asks
        self.judged = None                                   # the HELLO that the application judges (PW-HS-020)
        self.hello, self.peer_key = None, 0                  # the peer's; its key once the handshake is complete
        self.heartbeat = None                                # from then on
        # States of appendix A, as what has happened.
        self.closing = None                                  # (reason, retry_after, items) of this side's CLOSE, once it waits
        self.closed_at = self.peer_close = None              # when it was handed out, or last acknowledged in part; the peer's
        self.close_end = 0                                   # it ends behind so many bytes
        self.ack_end = None                                  # CLOSE_ACK was handed out, and ends behind so many bytes
        self.acked = self.eof = self.over = self.dead = self.shut = False
        self.peer_drained = False
        self.over_at = None
        # What is to be sent.
        self.messages, self.bytes = Messages(settings), Bytes(settings, now)
        self.pong = self.drain_state = None
        self.busy = []                                       # what BUSY is to say: at most 0, and a pause behind it
        self.paused, self.busy_again_at = False, None        # this side's pause
        # What the peer says that it got.
        self.rejected, self.last_rejected = Counter(), Counter()  # of each class: how many messages; the last known ordinal
        self.told = 0                                        # `received`, as it said last
        self.forgiven = {}                                   # PW-TIM-001: of each limit, for which one it began anew
        if client:
            self._greet(HELLO)

    def _at(self, now):
        self.now = max(self.now, now)  # PW-TIM-002
        if self.pause_until is not None and self.pause_until < self.now:
            self._pause_over()

    @property
    def opened(self):
        return self.hello is not None or self.judged is not None

    @property
    def pause_until(self):
        """When the peer's pause ends, if it pauses."""
        return self.heartbeat and self.heartbeat.pause_until

    @property
    def interval(self):
        return self.heartbeat.interval if self.heartbeat else self.s.interval

    def _tell(self, *event):
        self.events.append(event)

    # -- what the application asks for

    def send(self, cls, encrypted, payload):
        """Accepts a message; False if it cannot be sent."""
        if self.closing or self.peer_close or self.over or not self.hello or len(payload) > self.hello.message_limit:
            return False  # PW-CLS-002, PW-DAT-009
        self.messages.accept(cls, encrypted, payload)
        return True

    def drain(self):
        if self.hello and not (self.closing or self.peer_close or self.drain_state or self.over):
            self.drain_state = "waits"  # PW-CLS-016

    def close(self, reason, now, retry_after=None, text=None):
        """PW-HS-019: before HELLO_ACK a server's is the first packet, with key 0, and nobody answers it."""
        self._at(now)
        if not of_application(reason):
            reason = Reason.NORMAL if self.hello else Reason.REFUSED  # section 9.3
        items = b"" if text is None else text_item(text)
        if not self.hello or is_fault(reason):
            self.fail(Fault(reason, items, retry_after=retry_after))
        elif not (self.closing or self.peer_close or self.over):
            self.closing = reason, retry_after, items
            if self.paused:  # PW-HB-024
                self.resume(self.now)

    def accept(self, now):
        """The application lets the client in."""
        self._at(now)
        if self.judged and not self.over:
            hello, self.judged = self.judged, None
            self._greet(HELLO_ACK)
            self._open(hello)

    def abort(self, now):
        """Section 9.2: the application cuts the connection."""
        self._at(now)
        self.lost(Reason.ABORTED, origin="local")

    def pause(self, now):
        """The caller stops reading. PW-HB-024: not before the handshake, nor once CLOSE waits, nor behind CLOSE_ACK."""
        self._at(now)
        if not self.paused and self.hello and not self.closing and self.ack_end is None and not self.over:
            self.paused = True
            self.heartbeat.pause_self()
            self._say_busy()
        return self.paused

    def resume(self, now):
        self._at(now)
        self.paused, self.restarted_at = False, self.now  # PW-HB-023
        self._queue_busy(0)
        if self.open:
            self._give_whole_time()
        if self.pause_until is None:
            self.heartbeat.begin_silence(self.now)

    def _say_busy(self):
        pause = self.s.pause or min(2 * self.heartbeat.idle, MINUTE)
        self._queue_busy(pause)
        self.busy_again_at = self.now + pause * RENEW

    def _queue_busy(self, pause):
        """PW-HB-019: it replaces one that waits, but not a 0: behind that it queues, unless it is 0 itself."""
        if self.busy and self.busy[-1]:
            self.busy.pop()
        if pause or not self.busy:
            self.busy.append(pause)

    # -- what is to be written

    def outgoing(self, now):
        """The bytes to offer to the transport; a packet is chosen only when the transport is about to get it."""
        self._at(now)
        while len(self.bytes.out) < JOIN and (chosen := self._next()) is not None:
            self.bytes.hand_out(chosen, self.now)
        return self.bytes.out

    def taken(self, count, now):
        """The transport took so many bytes more."""
        self._at(now)
        del self.bytes.out[:count]
        if self.heartbeat:
            self.heartbeat.taken(self.bytes.taken, self.now)
        if not self.acknowledges:
            self._acknowledged(self.bytes.taken)
        self._settle()

    def acknowledged(self, total, now):
        """So many bytes of all that were taken are acknowledged."""
        self._at(now)
        self._acknowledged(total)

    def _acknowledged(self, total):
        before = self.bytes.acknowledged
        if not self.bytes.acknowledge(total, self.now):
            return
        if self.closed_at is not None and before < self.close_end:  # PW-CLS-007: what goes out behind CLOSE does not count
            self.closed_at = self.now
        if self.heartbeat:
            self.heartbeat.acknowledged(total, self.now)

    def half_closed(self):
        self.shut = True

    @property
    def done_sending(self):
        # PW-CLS-001, PW-CLS-002: where this side closed too, it half-closes once the peer's CLOSE_ACK has come.
        return (self.over or self.ack_end is not None and not self.closing) and not self._has_last_words

    @property
    def finished(self):
        """The caller closes the transport."""
        return self.dead or self.over and self.eof and not self._has_last_words

    @property
    def _has_last_words(self):
        return bool(self.bytes.out) or self._owes_close_ack

    @property
    def _owes_close_ack(self):
        """Both sides closed, and the peer's CLOSE_ACK came before this side's went out: that still goes (appendix A)."""
        return self.acked and self.peer_close is not None and self.ack_end is None

    def _control(self, kind, form, *values):
        return packet(kind, struct.pack(form, *values), self.peer_key)

    def _close_packet(self, reason, retry_after, items):
        return packet(CLOSE, close_payload(reason, self.received, retry_after, items), self.peer_key)

    def _next(self):
        """The next packet, at a packet boundary: control first (PW-REJ-005, PW-HB-015), then messages, CLOSE, CLOSE_ACK."""
        if self.over:
            return self._close_ack() if self._owes_close_ack else None
        if self.ack_end is not None or not self.hello:
            return None  # CLOSE for a fault, and HELLO_ACK, are handed out at once
        if self.rejects:
            return self._control(REJECT, ">QHB", *self.rejects.popleft())
        if self.pong is not None:
            number, self.pong = self.pong, None
            return self._control(PONG, ">Q", number)
        if self.heartbeat.may_go_out(self.now):
            begin = self.bytes.handed_out
            return self._control(PING, ">Q", self.heartbeat.hand_out(begin, begin + 20, self.bytes.acknowledged, self.now))
        if self.busy and self.closed_at is None:
            return self._control(BUSY, ">I", self.busy.pop(0))
        if self.drain_state == "waits":
            self.drain_state = "sent"
            return self._control(DRAIN, ">Q", self.received)
        if (frame := self.messages.next(self.hello, self.peer_key)) is not None:
            return frame
        if self.closing and self.closed_at is None:  # PW-CLS-003
            self.closed_at, frame = self.now, self._close_packet(*self.closing)
            self.close_end = self.bytes.handed_out + len(frame)
            return frame
        return self._close_ack() if self.peer_close else None

    def _close_ack(self):
        """PW-CLS-001: the last packet."""
        self.ack_end = self.bytes.handed_out + 20
        return self._control(CLOSE_ACK, ">Q", self.received)

    # -- ends

    def fail(self, fault):
        """To close with a reason (section 2): CLOSE where the state permits it, and nothing after it."""
        if self.over:
            return
        if self.client and not self.peer_key:
            self.dead = True  # PW-HS-018
        elif self.closed_at is None and self.ack_end is None:  # PW-CLS-003: ahead of what waits
            self.bytes.hand_out(self._close_packet(fault.reason, fault.retry_after, fault.items), self.now)
        self._end(fault.reason, "local", False, fault.detail)

    def _end(self, reason, origin, orderly, detail=""):
        self.over, self.paused, self.over_at = True, False, self.now
        if self.bytes.unacknowledged:  # PW-CLS-015
            self.bytes.begin_anew(self.now)
        self._tell("ended", reason, origin, orderly, detail)

    def _settle(self):
        """The peer's CLOSE is answered when the answer is taken. This side's, where it closed too, is still to be."""
        taken = self.ack_end is not None and self.bytes.taken >= self.ack_end
        if taken and not self.over and not self.closing:
            self._end(*self._closed_for(), True)

    def _closed_for(self):
        """The reason that CLOSE gave, and whose: this side's where its own was handed out (PW-CLS-006, PW-CLS-011)."""
        return (self.closing[0], "local") if self.closed_at is not None else (self.peer_close["reason"], "peer")

    def receive_eof(self, now):
        self._at(now)
        self.eof = True
        if self.over:
            return
        # What was handed out still goes out (PW-CLS-012).
        if self.closed_at is not None or self.peer_close:
            self._end(*self._closed_for(), False, "the stream ended between CLOSE and CLOSE_ACK")  # PW-CLS-011
        else:
            self._end(Reason.PEER_ENDED, "transport", False, self._come_to(""))

    def lost(self, reason, detail="", origin="transport"):
        """The transport broke (section 9.2)."""
        if not self.over:
            self._end(reason, origin, False, self._come_to(detail))
        self.dead = True

    def _come_to(self, detail):
        return detail if self.come else "before the peer sent a byte"

    # -- what comes

    def receive(self, data, now):
        self._at(now)
        if not self.over:
            self._receive(data)

    def step(self):
        """Takes one packet, or skips some bytes; False if more has to come first."""
        if self.over:  # PW-FRM-016
            self.buffer.clear()
            return False
        try:
            if self.judged and self.buffer:
                raise Fault(Reason.UNEXPECTED_PACKET)  # PW-HS-021
            return self._step()
        except Fault as fault:
            self.fail(fault)
            return False

    def _evidence(self, kind):
        """A header, or a byte behind it."""
        if self.heartbeat and kind != BUSY:  # PW-HB-002
            self.heartbeat.evidence(self.now)

    def _act(self, kind, payload):
        self.HANDLERS[kind](self, payload)

    def _judge_state(self, kind):  # appendix A
        if not self.hello:
            allowed = kind in (HELLO_ACK, CLOSE) if self.client else kind == HELLO  # PW-FRM-004
        elif kind in (HELLO, HELLO_ACK):
            allowed = False  # PW-HS-013
        elif kind == CLOSE_ACK:
            allowed = self.closed_at is not None  # PW-CLS-010
        elif kind in (DATA, DRAIN, CLOSE):
            allowed = not self.peer_close and not (kind == DRAIN and self.peer_drained)  # PW-CLS-013, PW-CLS-017
        else:
            allowed = True
        if not allowed:
            raise Fault(Reason.UNEXPECTED_PACKET)

    def _on_hello(self, payload):
        hello = Hello(payload)
        if hello.versions[0] > 1:
            raise Fault(Reason.UNSUPPORTED_VERSION)  # PW-HS-003, PW-HS-004: this side knows version 1 only
        self._judge_timers(hello)
        if self.asks:
            self.judged = hello
            self._tell("admission", hello)
        else:
            self._greet(HELLO_ACK)
            self._open(hello)

    def _on_hello_ack(self, payload):
        self.peer_key = find_sync_key(payload)  # PW-HS-018: CLOSE may be sent with it, if this is refused
        hello = Hello(payload, ack=True)
        if hello.versions != (1, 1):
            raise Fault(Reason.UNSUPPORTED_VERSION)  # PW-HS-015
        self._judge_timers(hello)
        self._open(hello)

    def _judge_timers(self, hello):
        if self._heartbeat(hello).detects_within > self.s.detect_within:
            raise Fault(Reason.INCOMPATIBLE_TIMERS)  # PW-HS-016

    def _heartbeat(self, hello):
        return Heartbeat(self.s, hello.ping_floor, self.now, self._tell, self.bytes)

    def _greet(self, kind):
        """HELLO or HELLO_ACK."""
        s = self.s
        items = item(VERSIONS, b"\x01\x01") + item(SYNC_KEY, self.key.to_bytes(4, "big"))
        items += item(LIMITS, struct.pack(">II", s.frame_limit, s.message_limit))
        items += item(PING_FLOOR, s.ping_floor.to_bytes(4, "big"))
        items += item(FEATURES, (RESYNC if s.resync else 0).to_bytes(4, "big"))
        self.bytes.hand_out(packet(kind, items, 0), self.now)

    def _open(self, hello):
        self.hello, self.peer_key, self.heartbeat = hello, hello.sync_key, self._heartbeat(hello)
        self._tell("established", hello)

    def _on_reject(self, payload):
        ordinal, reason, cls = struct.unpack(">QHB", payload)
        begun, last = self.messages.begun, self.last_rejected[cls]
        if ordinal > begun[cls] or ordinal and ordinal <= last or self.rejected[cls] == begun[cls]:
            raise Fault(Reason.BAD_COUNT)  # PW-REJ-008
        if self._received_at_most() <= self.told:
            raise Fault(Reason.BAD_COUNT)  # PW-CLS-019: one more than what the peer received leaves room for
        self.rejected[cls] += 1
        self.last_rejected[cls] = ordinal or last
        self._tell("rejected", cls, ordinal, reason)  # PW-REJ-007

    def _received_at_most(self):
        return self.messages.begun.total() - self.rejected.total()

    def _judge_count(self, received):
        if received > self.messages.whole or received > self._received_at_most():
            raise Fault(Reason.BAD_COUNT)  # PW-CLS-019
        self.told = received

    def _on_drain(self, payload):
        self._judge_count(int.from_bytes(payload, "big"))
        self.peer_drained = True
        self._tell("drain", int.from_bytes(payload, "big"))  # PW-CLS-017

    def _on_close(self, payload):
        close = read_close(payload)
        if not is_fault(close["reason"]):
            self._judge_count(close["received"])
        self.peer_close, self.open = close, None  # PW-DAT-013: what is not complete by now never is
        if self.hello:
            self._tell("close", close)
        if is_fault(close["reason"]) or not self.hello:  # PW-CLS-009, PW-HS-022
            self._end(close["reason"], "peer", False)

    def _on_close_ack(self, payload):
        self._judge_count(int.from_bytes(payload, "big"))
        self.acked = True
        self._end(*self._closed_for(), True)

    def _on_ping(self, payload):
        number = int.from_bytes(payload, "big")
        self.heartbeat.ping(number, self.now)
        self.pong = number  # PW-HB-008
        self._tell("ping", number)

    def _on_pong(self, payload):
        number = int.from_bytes(payload, "big")
        self.heartbeat.pong(number, self.now)
        self._tell("pong", number)

    def _on_busy(self, payload):
        pause = int.from_bytes(payload, "big")
        self._tell("busy", pause)
        self.heartbeat.busy(pause, self.now)
        for time in self._times():
            time.rest(self.now) if self.pause_until is not None else time.go_on(self.now)

    def _pause_over(self):
        ended = self.heartbeat.end_pause()
        for time in self._times():
            time.go_on(ended)

    def _times(self):
        """Those that rest while the peer pauses (PW-HB-020)."""
        return [self.bytes.time] + ([self.open.time] if self.open else [])

    HANDLERS = {HELLO: _on_hello, HELLO_ACK: _on_hello_ack, REJECT: _on_reject, PING: _on_ping, PONG: _on_pong, BUSY: _on_busy, DRAIN: _on_drain,
                CLOSE: _on_close, CLOSE_ACK: _on_close_ack}

    # -- time

    def _limits(self):
        """The limits in force: when each is up, its reason, which one it is of its kind, and how it begins anew."""
        s = self.s

        def anew(name):
            return lambda: setattr(self, name, self.now)
        limits = []
        if self.bytes.unacknowledged:  # PW-CLS-015
            limits.append((self.bytes.stalls_at(self.pause_until), Reason.WRITE_STALL, self.bytes.acknowledged,
                           lambda: self.bytes.begin_anew(self.now)))
        if self.over:  # PW-CLS-012
            linger = max(self.over_at, self.bytes.acknowledged_at) + s.linger
            return limits + [(linger, None, 1, anew("over_at"))]
        if not self.hello:  # PW-HS-012
            return limits + [(self.accepted_at + s.handshake_timeout, Reason.HANDSHAKE_TIMEOUT, 1, anew("accepted_at"))]
        if self.closed_at is not None and not self.acked:  # PW-CLS-007
            limits.append((self.closed_at + s.close_timeout, Reason.CLOSE_TIMEOUT, 1, anew("closed_at")))
        if self.paused:  # PW-HB-023
            return limits
        return limits + self._reading_limits()

    def _timers(self):
        if self.dead:
            return []
        timers = [(when, self._limit(when, *limit)) for when, *limit in self._limits()]
        if self.paused:  # PW-HB-023
            timers.append((self.busy_again_at, self._say_busy))
        elif self.pause_until is not None:
            timers.append((self.pause_until, self._pause_over))
        elif self.hello and not self.over and self.ack_end is None:  # PW-CLS-006
            timers += [(when, lambda act=act: act(self.now)) for when, act in self.heartbeat.timers(self.now)]
        return timers

    def _limit(self, when, reason, which, begin_anew):
        def act():
            kind = "linger" if reason is None else reason
            if self.now - when > self.interval and self.forgiven.get(kind) != which:
                self.forgiven[kind] = which  # PW-TIM-001
                begin_anew()
            elif self.over:
                self.dead = True
            else:
                raise Fault(reason)
        return act

    def next_deadline(self):
        return min((when for when, _ in self._timers()), default=None)

    def tick(self, now):
        """Judges the time limits; what can be read has been read before, and what waits was written (PW-TCP-001)."""
        self._at(now)
        for when, act in sorted(self._timers(), key=lambda timer: timer[0]):
            if when <= self.now:
                try:
                    act()
                except Fault as fault:
                    self.fail(fault)
                    return
