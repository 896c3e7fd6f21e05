"""One side of a connection in virtual time, as short as the specification allows: it judges every conversation."""

from fractions import Fraction
from math import ceil

from .codec import (
    BUSY, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST_IGNORABLE_KIND, HEADER_SIZE, HELLO, HELLO_ACK, LIMIT, PING, PONG, REJECT,
    TEXT, item, u16, u32, u64,
)
from .heartbeat import Heartbeat
from .hello_vectors import hello_payload
from .judge import Fault, judge_hello, number, read_close, readable_key, require
from .names import REASONS, REJECT_REASONS, default_retry_after
from .outgoing import Outgoing
from .receiver import Receiver
from .timer import Allowance, Timer

OPEN_STATES = ("open", "closing", "peer_closing", "both_closing")
REJECTS_MAX = 16
TEXT_MAX = 512 - 14 - 4
DETECT_WITHIN_LEAST = 60_000


class Side(Receiver):
    """`config` has the numbers of section 10 in milliseconds and bytes."""

    def __init__(self, role, config, own_key):
        super().__init__(0, False, config["frame_limit"], config["message_limit"])
        self.role, self.config, self.own_key = role, config, own_key
        self.state = "greeting"
        self.out = Outgoing(config)
        self.heartbeat = None
        self.handshake_began = 0
        self.close_began = None  # its CLOSE was handed out, or a byte up to its end was acknowledged since
        self.close_ends = None  # where in the stream its CLOSE ends, until that is acknowledged
        self.renew_at = None  # BUSY of this side
        self.paused = False
        self.message_timer = None
        self.restarted = set()  # limits that began anew already (PW-TIM-001)
        self.drained = self.peer_drained = False
        self.peer_close = None
        if role == "client":
            self.out.control.append((HELLO, hello_payload(config, own_key, config["token"])))

    # Commands of the application.

    def send(self, message_class, encrypted, payload):
        assert self.state == "open"
        self.out.message(message_class, encrypted, payload)

    def close(self, reason, text=None, retry_after=None):
        if 16 <= reason <= 255:
            self.fail(Fault(next(name for name, value in REASONS.items() if value == reason)), text, retry_after)
            return
        self.state, self.reason = "closing", reason
        retry_after = default_retry_after(reason) if retry_after is None else retry_after
        self.out.last.append((CLOSE, (reason, retry_after, text_item(text))))

    def drain(self):
        if not self.drained:
            self.drained = True
            self.out.control.append((DRAIN, None))

    def pause(self):
        self.paused = True
        self.heartbeat.pause()
        self.send_busy()

    def resume(self):
        self.paused, self.renew_at, self.front_since = False, None, self.now
        self.heartbeat.resume(self.now)
        if self.message_timer:
            self.message_timer.restart(self.whole_message_time())
        self.out.busy(u32(0))

    def send_busy(self):
        pause = min(2 * self.heartbeat.idle, 60_000)
        self.out.busy(u32(pause))
        self.renew_at = self.now + pause // 2

    def accept(self):
        payload = hello_payload(self.config, self.own_key, None)
        self.out.control.append((HELLO_ACK, payload))
        self.establish(self.hello)

    def refuse_peer(self, reason, text, retry_after):
        self.out.control.append((CLOSE, u16(reason) + u64(0) + u32(retry_after) + text_item(text)))
        self.over(reason, "local")

    def abort(self):
        self.out.forget()
        self.over(REASONS["ABORTED"], "local")

    def disconnected(self, how):
        self.out.forget()
        if how == "end_of_stream" and self.out.close_handed_out:
            self.over(self.reason, "local")
        elif how == "end_of_stream" and self.peer_close:
            self.over(self.peer_close["reason"], "peer")
        else:
            name = {"end_of_stream": "PEER_ENDED", "reset": "RESET", "network_lost": "NETWORK_LOST"}[how]
            self.over(REASONS[name], "transport")

    # Bytes.

    def receive(self, data):
        try:
            self.feed(data)
        except Fault as fault:
            self.fail(fault)

    def listening(self):
        return self.state != "over"

    def step(self):
        # Whatever follows HELLO before it was answered (PW-HS-021); its sender cannot know the key.
        require(self.state != "judging" or not self.buffer, "UNEXPECTED_PACKET")
        if self.state != "greeting":
            return super().step()
        if len(self.buffer) < HEADER_SIZE:
            return False
        try:
            return super().step()
        except Fault as fault:
            raise Fault("NOT_PULSEWIRE") if fault.reason == "BAD_HEADER" else fault

    def consume(self, size):
        super().consume(size)
        self.restarted.discard("FRAME_STALL")

    def allow(self, kind):
        """Appendix A."""
        require(self.is_allowed(kind), "UNEXPECTED_PACKET")

    def is_allowed(self, kind):
        if self.state in ("greeting", "judging"):
            first = {"client": (HELLO_ACK, CLOSE), "server": (HELLO,)}[self.role]
            return self.state == "greeting" and kind in first
        if kind >= FIRST_IGNORABLE_KIND or kind in (PING, PONG, BUSY, REJECT):
            return True
        behind_close = self.state in ("peer_closing", "both_closing")
        if kind == DRAIN:
            return not behind_close and not self.peer_drained
        if kind in (DATA, CLOSE):
            return not behind_close
        if kind == CLOSE_ACK:
            return self.state in ("closing", "both_closing") and self.out.close_handed_out
        return False

    def evidence(self):
        if self.heartbeat and self.heartbeat.evidence(self.now):
            self.events.append({"recovered": {}})

    def take_control(self, kind, payload):
        if self.state == "greeting":
            self.greet(kind, payload)
        elif kind == PING:
            self.heartbeat.ping(number(payload), self.now)
            self.out.pong = number(payload)
        elif kind == PONG:
            self.heartbeat.pong(number(payload), self.now)
        elif kind == BUSY:
            if self.heartbeat.busy(number(payload), self.now):
                self.events.append({"recovered": {}})
        elif kind == REJECT:
            self.events.append({"rejected": self.out.counts.rejected(payload)})
        elif kind == DRAIN:
            self.out.counts.told(number(payload))
            self.peer_drained = True
            self.events.append({"draining": {"received": number(payload)}})
        elif kind == CLOSE:
            self.take_close(read_close(payload))
        elif kind == CLOSE_ACK:
            self.out.counts.told(number(payload))
            self.over(self.reason, "local", orderly=True)

    def greet(self, kind, payload):
        if kind == CLOSE:
            close = read_close(payload)
            self.over(close["reason"], "peer", text=close["text"], retry_after=close["retry_after"])
            return
        if self.role == "client":
            self.out.key = readable_key(payload)
        hello = judge_hello(payload, kind)
        self.judge_timers(hello["ping_floor"])
        self.hello = hello
        if self.role == "server" and self.config["admission"]:
            self.state = "judging"
            self.events.append({"admission": {"token": hello["token"]}})
        elif self.role == "server":
            self.accept()
        else:
            self.establish(hello)

    def judge_timers(self, floor):
        """PW-HS-016."""
        idle, interval, probes = (self.config[name] for name in ("idle", "interval", "probes"))
        detect_within = self.config["detect_within"]
        if detect_within is None:
            detect_within = max(DETECT_WITHIN_LEAST, 2 * (idle + interval * probes))
        require(max(idle, floor) + max(interval, floor) * probes <= detect_within, "INCOMPATIBLE_TIMERS")

    def establish(self, hello):
        self.state = "open"
        self.key, self.resync = self.own_key, self.config["resync"]
        self.out.greeted(hello)
        self.heartbeat = Heartbeat(self.config, hello["ping_floor"], self.now)
        self.events.append({"established": {
            "frame_limit": hello["frame_limit"], "message_limit": hello["message_limit"],
            "idle": self.heartbeat.idle, "interval": self.heartbeat.interval, "token": hello["token"],
        }})

    def take_close(self, close):
        reason = close["reason"]
        said = {"text": close["text"], "retry_after": close["retry_after"]}
        if 16 <= reason <= 255:
            self.out.forget()
            self.over(reason, "peer", **said)
            return
        self.out.counts.told(close["received"])
        self.peer_close, self.open_message = close, None
        self.out.last.append((CLOSE_ACK, None))
        if self.state == "closing":
            self.state = "both_closing"
            return
        self.state = "peer_closing"
        self.events.append({"closing": {"reason": reason, **said}})

    def refuse(self, message_class, ordinal, reason):
        require(len(self.out.rejects) < REJECTS_MAX, "MESSAGE_TOO_LARGE")
        self.out.rejects.append(u64(ordinal) + u16(REJECT_REASONS[reason]) + bytes([message_class]))
        if reason == "TOO_LARGE":
            refused = {"class": message_class, "ordinal": ordinal, "limit": self.message_limit}
            self.events.append({"too_large": refused})

    # The time of an open message (PW-DAT-013).

    def whole_message_time(self):
        return self.config["assembly_base"] + self.assembly(self.frame_limit + 16)

    def message_opened(self):
        self.message_timer = Timer(self.now, self.whole_message_time(), Allowance(self.now, self.config["busy_max"]))
        self.restarted.discard("MESSAGE_STALL")

    def message_goes_on(self, length):
        timer = self.message_timer
        timer.restart(min(timer.left + self.assembly(length + 16), self.whole_message_time()))

    # Ends.

    def fail(self, fault, text=None, retry_after=None):
        reason = REASONS[fault.reason]
        silent = self.state == "over" or self.role == "client" and self.state == "greeting" and not self.out.key
        can_close = not silent and not self.out.close_handed_out and not self.out.close_ack_handed_out
        self.out.forget()
        if can_close:
            items = item(LIMIT, u64(fault.limit[0]) + u64(fault.limit[1])) if fault.limit else text_item(text)
            retry_after = default_retry_after(reason) if retry_after is None else retry_after
            self.out.last.append((CLOSE, (reason, retry_after, items)))
        self.over(reason, "local")

    def over(self, reason, origin, orderly=False, text=None, retry_after=None):
        if self.state == "over":
            return
        self.state = "over"
        ended = {"reason": reason, "origin": origin, "orderly": orderly, "received": self.received}
        if origin == "peer":
            said = self.peer_close or {"text": text, "retry_after": retry_after}
            ended |= {"text": said["text"], "retry_after": said["retry_after"]}
        self.events.append({"closed": ended})

    # Time, and the transport.

    def look_at_clock(self, shown):
        """Time never goes back (PW-TIM-002)."""
        self.now = max(self.now, shown)
        if timer := self.message_timer:
            timer.advance(self.now, timer.allowance.advance(self.now, self.pause_ends()))
        self.out.advance(self.now, self.pause_ends())

    def pause_ends(self):
        return self.heartbeat.pause_ends if self.heartbeat else None

    def probes_now(self):
        """Behind its CLOSE_ACK a side judges no silence any more (PW-CLS-001)."""
        return self.state in OPEN_STATES and not self.out.close_ack_handed_out

    def deadlines(self):
        """Each thing that waits for its time, by name."""
        found = {}
        if self.state in ("greeting", "judging"):
            found["HANDSHAKE_TIMEOUT"] = self.handshake_began + self.config["handshake_timeout"]
        if self.state in ("closing", "both_closing") and self.close_began is not None:
            found["CLOSE_TIMEOUT"] = self.close_began + self.config["close_timeout"]
        if self.probes_now():
            found["heartbeat"] = self.heartbeat.next_deadline()
            if self.heartbeat.ping_waits and not self.heartbeat.may_hand_out(self.now):
                found["ping"] = self.heartbeat.handed_out_at + self.heartbeat.peer_floor
        if self.state in OPEN_STATES:
            if self.buffer and not self.paused:
                length = self.fields["length"] if self.fields else 0
                found["FRAME_STALL"] = self.front_since + self.config["assembly_base"] + self.assembly(length + 16)
            if self.open_message and not self.paused:
                found["MESSAGE_STALL"] = self.message_timer.ends(self.pause_ends())
            found["renew"] = self.renew_at
        if self.state != "over":
            found["WRITE_STALL"] = min((timer.ends(self.pause_ends()) for timer in self.out.timers()), default=None)
        return {name: ceil(deadline) for name, deadline in found.items() if deadline is not None}

    def assembly(self, size):
        return Fraction(1_000 * size, self.config["assembly_rate"])

    def tick(self):
        due = {name: deadline for name, deadline in self.deadlines().items() if self.now >= deadline}
        for name in ("HANDSHAKE_TIMEOUT", "CLOSE_TIMEOUT", "WRITE_STALL", "FRAME_STALL", "MESSAGE_STALL"):
            if name in due and not self.begins_anew(name, due[name]):
                self.fail(Fault(name))
                return
        if "renew" in due:
            self.send_busy()
        if "heartbeat" in due:
            try:
                actions = self.heartbeat.tick(self.now, self.out.handed_out - self.out.acknowledged)
            except Fault as fault:
                self.fail(fault)
                return
            if "SUSPECT" in actions:
                self.events.append({"suspect": {}})

    def begins_anew(self, name, deadline):
        """PW-TIM-001: whether the limit does, because this side noticed late that it is up."""
        interval = self.heartbeat.interval if self.heartbeat else self.config["interval"]
        if self.now - deadline <= interval or name in self.restarted:
            return False
        self.restarted.add(name)
        if name == "HANDSHAKE_TIMEOUT":
            self.handshake_began = self.now
        elif name == "CLOSE_TIMEOUT":
            self.close_began = self.now
        elif name == "WRITE_STALL":
            return self.out.begin_anew(self.now, interval, self.pause_ends())
        elif name == "FRAME_STALL":
            self.front_since = self.now
        else:
            self.message_timer.restart(self.whole_message_time())
        return True

    def transmit(self):
        """Gives the transport what it takes, and does what that brings about. Returns the bytes, cut at packets."""
        pieces = []
        while True:
            self.hand_out()
            piece = self.out.take()
            if piece is None:
                return pieces
            pieces.append(piece.data)
            if not self.config["acknowledges"]:
                self.acknowledge(self.out.taken)
            self.measure_from_now()
            if piece.ends == CLOSE_ACK and self.state == "peer_closing":
                self.over(self.peer_close["reason"], "peer", orderly=True)

    def hand_out(self):
        if self.heartbeat:
            self.out.ping = (
                self.probes_now() and self.heartbeat.ping_waits and self.heartbeat.may_hand_out(self.now)
            )
        kind = self.out.hand_out(self.now, self.received)
        if kind == PING:
            self.heartbeat.ping_handed_out(self.now, self.out.handed_out - self.out.acknowledged)
        if kind == CLOSE:
            self.close_began = self.now
            self.close_ends = self.out.handed_out

    def acknowledge(self, total):
        """The peer's host has so many bytes of the stream, as far as the transport can tell."""
        if total <= self.out.acknowledged:
            return
        self.out.acknowledge(total)
        self.restarted.discard("WRITE_STALL")
        if self.close_ends is not None:
            self.close_began = self.now
            if total >= self.close_ends:
                self.close_ends = None
        if self.heartbeat:
            self.heartbeat.bytes_acknowledged()
            if not self.heartbeat.ping_waits and self.out.ping_ends is not None and total >= self.out.ping_ends:
                self.heartbeat.ping_acknowledged(self.now)
            self.measure_from_now()

    def measure_from_now(self):
        """Where the latest PING was taken, and all in front of it is acknowledged, since now."""
        if self.out.ping_has_the_front():
            self.heartbeat.ping_has_the_front(self.now)


def text_item(text):
    """A TEXT that is too long is cut between two characters (PW-CLS-021)."""
    if not text:
        return b""
    return item(TEXT, text.encode()[:TEXT_MAX].decode(errors="ignore").encode())
