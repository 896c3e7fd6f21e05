"""One side of a connection in virtual time, as short as the specification allows: it judges every conversation."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST, FIRST_IGNORABLE_KIND, HEADER_SIZE, HELLO, HELLO_ACK, LIMIT,
    MORE, PING, PONG, REJECT, TEXT, item, packet, u16, u32, u64,
)
from .heartbeat import Heartbeat
from .hello_vectors import hello_payload
from .judge import Fault, judge_hello, number, read_close, require
from .names import REASONS, REJECT_REASONS, default_retry_after
from .receiver import Receiver

OPEN_STATES = ("open", "closing", "peer_closing", "both_closing")
REJECTS_MAX = 16


class Side(Receiver):
    """`config` has the numbers of section 10 in milliseconds and bytes; `transport` is an Outgoing."""

    def __init__(self, role, config, own_key):
        super().__init__(0, False, config["frame_limit"], config["message_limit"])
        self.role, self.config, self.own_key = role, config, own_key
        self.state = "greeting"
        self.out = Outgoing()
        self.heartbeat = None
        self.handshake_deadline = config["handshake_timeout"]
        self.close_deadline = None
        self.renew_at = None  # BUSY of this side
        self.paused = False
        self.stall_restarted_at = 0
        self.drained = self.peer_drained = False
        self.peer_close = None
        self.now = 0
        if role == "client":
            self.out.control.append((HELLO, hello_payload(config, own_key, config["token"]), 0))

    # Commands of the application.

    def send(self, message_class, encrypted, payload):
        assert self.state == "open"
        self.out.message(message_class, encrypted, payload)

    def close(self, reason, text=None, retry_after=None):
        if 16 <= reason <= 255:
            self.fail(Fault(next(name for name, value in REASONS.items() if value == reason)))
            return
        self.state, self.reason = "closing", reason
        retry_after = default_retry_after(reason) if retry_after is None else retry_after
        self.out.last.append((CLOSE, (reason, retry_after, item(TEXT, text.encode()) if text else b"")))

    def drain(self):
        if not self.drained:
            self.drained = True
            self.out.control.append((DRAIN, u64(self.received), None))

    def pause(self):
        self.paused = True
        self.heartbeat.pause()
        self.send_busy()

    def resume(self):
        self.paused, self.renew_at, self.stall_restarted_at = False, None, self.now
        self.heartbeat.resume(self.now)
        self.out.control.append((BUSY, u32(0), None))

    def send_busy(self):
        pause = min(2 * self.heartbeat.idle, 60_000)
        self.out.control.append((BUSY, u32(pause), None))
        self.renew_at = self.now + pause // 2

    def accept(self):
        payload = hello_payload(self.config, self.own_key, None)
        self.out.control.append((HELLO_ACK, payload, 0))
        self.establish(self.hello)

    def refuse_peer(self, reason, text, retry_after):
        payload = u16(reason) + u64(0) + u32(retry_after) + (item(TEXT, text.encode()) if text else b"")
        self.out.control.append((CLOSE, payload, 0))
        self.over(reason, "local")

    def abort(self):
        self.out.forget()
        self.over(REASONS["ABORTED"], "local")

    def disconnected(self, how):
        self.out.forget()
        if how == "end_of_stream" and self.state == "peer_closing":
            self.over(self.peer_close["reason"], "peer")
        elif how == "end_of_stream" and self.out.close_given:
            self.over(self.reason, "local")
        else:
            name = {"end_of_stream": "PEER_ENDED", "reset": "RESET", "network_lost": "NETWORK_LOST"}[how]
            self.over(REASONS[name], "transport")

    # Bytes.

    def receive(self, data):
        try:
            self.feed(data, self.now)
        except Fault as fault:
            self.fail(fault)

    def listening(self):
        return self.state != "over"

    def step(self, now):
        # Whatever follows HELLO before it was answered (PW-HS-021); its sender cannot know the key.
        require(self.state != "judging" or not self.buffer, "UNEXPECTED_PACKET")
        if self.state != "greeting":
            return super().step(now)
        if len(self.buffer) < HEADER_SIZE:
            return False
        try:
            return super().step(now)
        except Fault as fault:
            raise Fault("NOT_PULSEWIRE") if fault.reason == "BAD_HEADER" else fault

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
            return self.state in ("closing", "both_closing") and self.out.close_given
        return False

    def evidence(self, now):
        kind = self.fields["kind"] if self.fields else self.kind_of_last
        if self.heartbeat is None or kind == PONG or kind == BUSY:
            return  # PONG is measured first; BUSY judges itself (PW-HB-021)
        self.heartbeat.deaf_to_busy = False
        self.alive()

    def alive(self):
        if self.heartbeat.evidence(self.now):
            self.events.append({"recovered": {}})

    def consume(self, size):
        if self.fields:
            self.kind_of_last = self.fields["kind"]
        super().consume(size)

    def take_control(self, kind, payload):
        if self.state == "greeting":
            self.greet(kind, payload)
        elif kind == PING:
            self.heartbeat.ping(number(payload), self.now)
            self.out.pong = number(payload)
        elif kind == PONG:
            self.heartbeat.pong(number(payload), self.out.pings, self.now)
            self.heartbeat.deaf_to_busy = False
            self.alive()
        elif kind == BUSY:
            if not self.heartbeat.deaf_to_busy:
                self.alive()
            self.heartbeat.busy(number(payload), self.now)
        elif kind == REJECT:
            ordinal, reason = number(payload[:8]), number(payload[8:])
            require(ordinal <= self.out.begun, "BAD_COUNT")
            self.events.append({"rejected": {"ordinal": ordinal, "reason": reason}})
        elif kind == DRAIN:
            require(number(payload) <= self.out.completed, "BAD_COUNT")
            self.peer_drained = True
            self.events.append({"draining": {"received": number(payload)}})
        elif kind == CLOSE:
            self.take_close(read_close(payload))
        elif kind == CLOSE_ACK:
            require(number(payload) <= self.out.completed, "BAD_COUNT")
            self.over(self.reason, "local", orderly=True)

    def greet(self, kind, payload):
        if kind == CLOSE:
            close = read_close(payload)
            self.over(close["reason"], "peer", text=close["text"], retry_after=close["retry_after"])
            return
        hello = judge_hello(payload, kind)
        self.out.key = hello["sync_key"] if self.role == "client" else 0
        idle, interval = (max(self.config[name], hello["ping_floor"]) for name in ("idle", "interval"))
        detect_within = self.config["detect_within"]
        bound = idle + interval * self.config["probes"]
        require(detect_within is None or bound <= detect_within, "INCOMPATIBLE_TIMERS")
        self.hello = hello
        if self.role == "server" and self.config["admission"]:
            self.state = "judging"
            self.events.append({"admission": {"token": hello["token"]}})
        elif self.role == "server":
            self.accept()
        else:
            self.establish(hello)

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
        require(close["received"] <= self.out.completed, "BAD_COUNT")
        self.out.last.append((CLOSE_ACK, None))
        if self.state == "closing":
            self.state = "both_closing"
            return
        self.state, self.peer_close = "peer_closing", close
        self.events.append({"closing": {"reason": reason, **said}})

    def refuse(self, ordinal, reason):
        require(len(self.out.rejects) < REJECTS_MAX, "MESSAGE_TOO_LARGE")
        self.out.rejects.append(u64(ordinal) + u16(REJECT_REASONS[reason]))
        if reason == "TOO_LARGE":
            self.events.append({"too_large": {"ordinal": ordinal, "limit": self.message_limit}})

    # Ends.

    def fail(self, fault):
        reason = REASONS[fault.reason]
        silent = self.state == "over" or self.role == "client" and self.state == "greeting" and not self.out.key
        can_close = not silent and not self.out.close_given and not self.out.close_ack_given
        self.out.forget()
        if can_close:
            limit = item(LIMIT, u64(fault.limit[0]) + u64(fault.limit[1])) if fault.limit else b""
            self.out.last.append((CLOSE, (reason, default_retry_after(reason), limit)))
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

    def deadlines(self):
        """Each thing that waits for its time, by name."""
        found = {}
        if self.state in ("greeting", "judging"):
            found["HANDSHAKE_TIMEOUT"] = self.handshake_deadline
        if self.state in ("closing", "both_closing") and self.close_deadline is not None:
            found["CLOSE_TIMEOUT"] = self.close_deadline
        if self.state in OPEN_STATES:
            if self.heartbeat.next_deadline() is not None:
                found["heartbeat"] = self.heartbeat.next_deadline()
            if self.arrivals and not self.paused:
                length = self.fields["length"] if self.fields else 0
                began = max(self.arrivals[0], self.stall_restarted_at)
                found["FRAME_STALL"] = began + self.config["assembly_base"] + self.assembly(length + 16)
            if self.renew_at is not None:
                found["renew"] = self.renew_at
        stall = self.out.stall_deadline(self.config["write_stall"], self.assembly)
        if stall is not None and self.state != "over":
            found["WRITE_STALL"] = stall
        return found

    def assembly(self, size):
        time = size * 1000 / self.config["assembly_rate"]
        return int(time) if time == int(time) else time

    def tick(self):
        due = {name for name, deadline in self.deadlines().items() if self.now >= deadline}
        for name in ("HANDSHAKE_TIMEOUT", "CLOSE_TIMEOUT", "WRITE_STALL", "FRAME_STALL"):
            if name in due:
                self.fail(Fault(name))
                return
        if "renew" in due:
            self.send_busy()
        if "heartbeat" in due:
            try:
                actions = self.heartbeat.tick(self.now)
            except Fault as fault:
                self.fail(fault)
                return
            if "SUSPECT" in actions:
                self.events.append({"suspect": {}})
            if "PING" in actions:
                self.out.ping = True

    def transmit(self):
        """Gives the transport what it takes, and does what that brings about. Returns the bytes, cut at packets."""
        pieces = []
        while piece := self.out.give(self.now, self.received):
            pieces.append(piece.data)
            if self.heartbeat and self.state != "over":
                if piece.ends == PING:
                    self.heartbeat.ping_taken(self.now)
                elif piece.ends != PING:
                    self.heartbeat.bytes_taken()
            if piece.ends == CLOSE_ACK and self.state == "peer_closing":
                self.over(self.peer_close["reason"], "peer", orderly=True)
            if self.out.close_given and self.close_deadline is None:
                self.close_deadline = self.now + self.config["close_timeout"]
        if self.out.close_given and self.close_deadline is None:
            self.close_deadline = self.now + self.config["close_timeout"]
        return pieces


class Piece:
    """Bytes of one packet that the transport took; `ends` is its kind where these are its last."""

    def __init__(self, data, ends):
        self.data, self.ends = data, ends


class Outgoing:
    """What waits to be sent, and a transport with so much room; None is as much as there is."""

    def __init__(self):
        self.key = 0
        self.first = True
        self.room = None
        self.control, self.rejects, self.frames, self.last = [], [], [], []
        self.pong, self.ping, self.pings = None, False, 0
        self.begun = self.completed = 0
        self.close_given = self.close_ack_given = False
        self.wire, self.wire_kind = b"", None
        self.given_at = self.given_size = self.taken_at = None

    def greeted(self, hello):
        self.key, self.checksums, self.frame_limit = hello["sync_key"], hello["resync"], hello["frame_limit"]

    def message(self, message_class, encrypted, payload):
        size = self.frame_limit
        parts = [payload[start:start + size] for start in range(0, len(payload), size)] or [b""]
        for index, part in enumerate(parts):
            flags = (FIRST if index == 0 else 0) | (MORE if index + 1 < len(parts) else 0)
            flags |= (CHECKSUM if self.checksums else 0) | (0x08 if encrypted else 0)
            self.frames.append((part, flags, message_class))

    def forget(self):
        """What was not given to the transport never will be."""
        self.control, self.rejects, self.frames, self.last = [], [], [], []
        self.pong, self.ping = None, False

    def next_packet(self, received):
        """The next packet and its kind (PW-HB-015, PW-REJ-005, PW-CLS-003, PW-CLS-016)."""
        if self.control:
            kind, payload, key = self.control.pop(0)
            self.close_given |= kind == CLOSE
            return kind, self.encode(kind, payload)
        if self.rejects:
            return REJECT, self.encode(REJECT, self.rejects.pop(0))
        if self.pong is not None:
            pong, self.pong = self.pong, None
            return PONG, self.encode(PONG, u64(pong))
        if self.ping:
            self.ping, self.pings = False, self.pings + 1
            return PING, self.encode(PING, u64(self.pings))
        if self.frames:
            part, flags, message_class = self.frames.pop(0)
            self.begun += bool(flags & FIRST)
            self.completed += not flags & MORE
            return DATA, self.encode(DATA, part, flags, message_class)
        if self.last:
            kind, close = self.last.pop(0)
            if kind == CLOSE_ACK:
                self.close_ack_given = True
                return kind, self.encode(kind, u64(received))
            reason, retry_after, items = close
            self.close_given = True
            return kind, self.encode(kind, u16(reason) + u64(received) + u32(retry_after) + items)
        return None

    def encode(self, kind, payload, flags=0, message_class=0):
        key, self.first = 0 if self.first else self.key, False
        return packet(kind, payload, flags, message_class, key=key)

    def give(self, now, received):
        if not self.wire:
            found = self.next_packet(received)
            if found is None:
                return None
            self.wire_kind, self.wire = found
            self.given_at = self.taken_at = now
            self.given_size = len(self.wire)
        size = len(self.wire) if self.room is None else min(self.room, len(self.wire))
        if size == 0:
            return None
        taken, self.wire = self.wire[:size], self.wire[size:]
        self.taken_at = now
        if self.room is not None:
            self.room -= size
        return Piece(taken, None if self.wire else self.wire_kind)

    def stall_deadline(self, write_stall, assembly):
        """PW-CLS-015."""
        if not self.wire:
            return None
        return min(self.taken_at + write_stall, self.given_at + write_stall + assembly(self.given_size))
