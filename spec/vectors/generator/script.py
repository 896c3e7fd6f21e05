"""How conversations are written: each step states what must come of it, and a Side must come to the same."""

from .codec import HELLO, HELLO_ACK, json_bytes, packet, u16, u32, u64
from .hello_vectors import hello_payload
from .judge import compare
from .names import default_retry_after
from .side import Side

OWN_KEY, PEER_KEY = 0x0A0B0C0D, 0x51525354

# A peer that announces a floor of 100 ms undoes the jitter of an `idle` of at most 100 ms (PW-HB-005).
CONFIG = {
    "idle": 100, "interval": 100, "probes": 3, "extension_max": 1_000, "detect_within": None, "ping_floor": 100,
    "busy_max": 1_000, "frame_limit": 512, "message_limit": 1_024, "handshake_timeout": 1_000, "close_timeout": 500,
    "write_stall": 10_000, "assembly_base": 10_000, "assembly_rate": 1_000, "resync": False, "admission": False,
    "token": None, "frame_sent": 65_536, "acknowledges": False,
}
# What the peer announces unless a conversation says otherwise. With RESYNC it gets every DATA with CHECKSUM.
PEER = {"frame_limit": 512, "message_limit": 4_096, "ping_floor": 100, "resync": True}
# The application waits for these times only where a conversation is about them.
CALM = {"idle": 60_000, "interval": 60_000}
CALM_PEER = {"ping_floor": 60_000}


def to_side(kind, payload=b"", flags=0, message_class=0, **faults):
    """A packet of the peer."""
    return packet(kind, payload, flags, message_class, key=OWN_KEY, **faults)


def by_side(kind, payload=b"", flags=0, message_class=0):
    """A packet of the side that is tested."""
    return packet(kind, payload, flags, message_class, key=PEER_KEY)


def close_payload(reason, received=0, retry_after=None, items=b""):
    retry_after = default_retry_after(reason) if retry_after is None else retry_after
    return u16(reason) + u64(received) + u32(retry_after) + items


def ended(reason, origin, orderly=False, received=0, **said):
    """The event `closed`; `said` is what the peer's CLOSE said."""
    if origin == "peer":
        said = {"text": None, "retry_after": default_retry_after(reason)} | said
    return {"closed": {"reason": reason, "origin": origin, "orderly": orderly, "received": received} | said}


class Script:
    """One conversation. Every method that takes `at` is a step; `out` and `events` are what must come of it."""

    def __init__(self, name, requirements, about, role="server", peer=(), **config):
        unknown = set(config) - set(CONFIG)
        assert not unknown, unknown
        self.name, self.requirements, self.about, self.role = name, requirements, about, role
        self.config, self.peer = CONFIG | config, PEER | dict(peer)
        self.side = Side(role, self.config, OWN_KEY)
        self.steps = []

    # Steps.

    def start(self, out=()):
        """Time 0: the transport connection is there."""
        self.step(0, "start", lambda side: None, out, ())

    def receive(self, at, *packets, out=(), events=(), **how):
        data = b"".join(packets)
        self.step(at, {"receive": self.joined(packets)}, lambda side: side.receive(data), out, events, **how)

    def send(self, at, payload, message_class=2, encrypted=False, out=(), events=(), **how):
        action = {"send": {"class": message_class, "encrypted": encrypted, "payload": json_bytes(payload)}}
        self.step(at, action, lambda side: side.send(message_class, encrypted, payload), out, events, **how)

    def close(self, at, reason=1, text=None, retry_after=None, out=(), events=()):
        stated = default_retry_after(reason) if retry_after is None else retry_after
        action = {"close": {"reason": reason, "text": text, "retry_after": stated}}
        self.step(at, action, lambda side: side.close(reason, text, stated), out, events)

    def refuse(self, at, reason, text=None, retry_after=None, out=(), events=()):
        stated = default_retry_after(reason) if retry_after is None else retry_after
        action = {"refuse": {"reason": reason, "text": text, "retry_after": stated}}
        self.step(at, action, lambda side: side.refuse_peer(reason, text, stated), out, events)

    def command(self, at, name, out=(), events=()):
        """accept, drain, pause, resume or abort."""
        self.step(at, name, lambda side: getattr(side, name)(), out, events)

    def disconnect(self, at, how, events=()):
        self.step(at, {"disconnect": how}, lambda side: side.disconnected(how), (), events)

    def room(self, at, size, out=(), events=()):
        """From now on the transport takes `size` bytes and no more; None is all that comes."""
        self.step(at, {"room": size}, lambda side: setattr(side.out, "room", size), out, events)

    def acknowledge(self, at, total, out=(), events=(), **how):
        """The peer's host has acknowledged so many bytes of the stream in all."""
        self.step(at, {"acknowledge": total}, lambda side: side.acknowledge(total), out, events, **how)

    def acknowledge_all(self, at):
        """Everything that the transport has taken."""
        self.acknowledge(at, self.side.out.taken)

    def wait(self, at, out=(), events=(), **how):
        """Time passes. With `late`, the side does not look at its clock before `at`; with `clock`, it shows that."""
        self.step(at, "wait", lambda side: None, out, events, **how)

    # The handshake, where it is not what the conversation is about.

    def peer_hello(self, token=None, **changes):
        kind = HELLO if self.role == "server" else HELLO_ACK
        return packet(kind, hello_payload(self.peer | changes, PEER_KEY, token), key=0)

    def own_hello(self):
        kind = HELLO_ACK if self.role == "server" else HELLO
        token = self.config["token"] if self.role == "client" else None
        return packet(kind, hello_payload(self.config, OWN_KEY, token), key=0)

    def established(self, token=None):
        floor = self.peer["ping_floor"]
        return {"established": {
            "frame_limit": self.peer["frame_limit"], "message_limit": self.peer["message_limit"],
            "idle": max(self.config["idle"], floor), "interval": max(self.config["interval"], floor), "token": token,
        }}

    def greet(self):
        """The handshake, done at time 0."""
        if self.role == "server":
            self.start()
            self.receive(0, self.peer_hello(), out=[self.own_hello()], events=[self.established()])
        else:
            self.start(out=[self.own_hello()])
            self.receive(0, self.peer_hello(), events=[self.established()])
        if self.config["acknowledges"]:
            self.acknowledge_all(0)

    # What a step does.

    def step(self, at, action, act, out, events, late=False, clock=None):
        side, name = self.side, f"conversations/{self.name}, step {len(self.steps)}"
        shown = at if clock is None else clock
        compare(f"{name}: the order of time", not self.steps or at >= self.steps[-1]["at"], True)
        if not late:
            self.run_until_just_before(shown, name)
        side.look_at_clock(shown)
        act(side)
        pieces = self.settle()
        stated = [raw for raw in out if raw]
        compare(f"{name}: bytes", b"".join(pieces).hex(), b"".join(stated).hex())
        compare(f"{name}: events", side.events, list(events))
        side.events = []
        step = {"at": at}
        if late:
            step["late"] = True
        if clock is not None:
            step["clock"] = clock
        deadline = self.next_deadline()
        step |= {"do": action, "out": self.joined(stated), "events": list(events), "deadline": deadline}
        self.steps.append(step)

    def run_until_just_before(self, at, name):
        while (deadline := self.next_deadline()) is not None and deadline < at:
            self.side.look_at_clock(deadline)
            said = (self.settle(), self.side.events)
            compare(f"{name}: nothing happens before, at {deadline}", said, ([], []))

    def settle(self):
        """Everything that is due now, and what the transport takes of it."""
        pieces = []
        while True:
            if self.side.state != "over":
                self.side.tick()
            fresh = self.side.transmit()
            pieces += fresh
            if not fresh and not self.due():
                return pieces

    def due(self):
        deadline = self.next_deadline()
        return deadline is not None and deadline <= self.side.now

    def next_deadline(self):
        if self.side.state == "over":
            return None
        deadlines = self.side.deadlines().values()
        return min(deadlines) if deadlines else None

    @staticmethod
    def joined(parts):
        encoded = []
        for part in parts:
            notation = json_bytes(part)
            encoded += [notation] if isinstance(notation, str) else notation
        return encoded

    def build(self):
        return {
            "name": self.name, "requirements": self.requirements, "about": self.about, "role": self.role,
            "config": self.config | {"token": None if self.config["token"] is None else json_bytes(self.config["token"])},
            "keys": {"own": OWN_KEY, "peer": PEER_KEY}, "steps": self.steps,
        }


def calm(name, requirements, about, role="server", peer=(), **config):
    """A conversation without a heartbeat to reckon with."""
    return Script(name, requirements, about, role, CALM_PEER | dict(peer), **(CALM | config))
