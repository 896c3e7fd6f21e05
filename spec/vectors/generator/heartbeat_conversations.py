"""conversations/heartbeat.json: probing, its waits, and the ends that time brings (section 8.1 to 8.3, 5 and 10)."""

from .codec import CHECKSUM, CLOSE, DATA, FIRST, PING, PONG, u64
from .names import REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side

SUSPECT, RECOVERED = {"suspect": {}}, {"recovered": {}}
CHECKED = FIRST | CHECKSUM


def build():
    scripts = [
        answered(), peer_timeout(), peer_timeout_of_server(), recovered(), evidence(), no_evidence(), sending_is_none(),
        unflushed_ping(), ping_flushed_late(), slow_progress(), progress_to_the_limit(), late_timeout(),
        crossing_pings(),
        round_trips(), round_trips_to_the_limit(), old_pong(), floor_raises(), ping_flood(), bucket_gains(), bad_ping(),
        bad_pong(), frame_stall(), frame_stall_of_header(), payload_in_time(), write_stall(), slow_write(),
        slow_write_done(),
    ]
    return [script.build() for script in scripts]


def ping(n):
    return by_side(PING, u64(n))


def pong(n):
    return to_side(PONG, u64(n))


def fault(reason, received=0):
    return by_side(CLOSE, close_payload(REASONS[reason], received))


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def answered():
    script = Script(
        "answered", ["PW-HB-006", "PW-HB-010", "PW-HB-014"],
        "Nobody has anything to say, and each PING is answered.", "client",
    )
    script.greet()
    script.wait(99)
    for n in range(1, 6):
        # Each answer comes after 20 ms, and begins the next silence.
        probe = 100 + 120 * (n - 1)
        script.wait(probe, out=[ping(n)])
        script.receive(probe + 20, pong(n))
        script.wait(probe + 119)
    return script


def to_the_end(script, begins):
    script.wait(begins + 100, out=[ping(1)])
    script.wait(begins + 200, out=[ping(2)], events=[SUSPECT])
    script.wait(begins + 300, out=[ping(3)])
    script.wait(begins + 399)
    script.wait(begins + 400, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def peer_timeout():
    script = Script("peer-timeout", ["PW-HB-012", "PW-HB-013", "PW-HB-018"], "A client is never answered.", "client")
    script.start(out=[script.own_hello()])
    script.receive(50, script.peer_hello(), events=[script.established()])
    return to_the_end(script, 50)


def peer_timeout_of_server():
    script = Script("peer-timeout-of-server", ["PW-HB-012", "PW-HB-013", "PW-HB-018"], "A server is never answered.")
    script.greet()
    return to_the_end(script, 0)


def recovered():
    script = Script(
        "recovered", ["PW-HB-004", "PW-HB-018"],
        "The answer comes to the second PING; the misses do not add up.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(200, out=[ping(2)], events=[SUSPECT])
    script.receive(250, to_side(DATA, b"here", FIRST, 2), events=[
        RECOVERED, {"message": {"class": 2, "encrypted": False, "payload": b"here".hex()}},
    ])
    script.wait(349)
    script.wait(350, out=[ping(3)])
    script.wait(450, out=[ping(4)], events=[SUSPECT])
    script.wait(550, out=[ping(5)])
    script.wait(650, out=[fault("PEER_TIMEOUT", 1)], events=[failed("PEER_TIMEOUT", 1)])
    return script


def evidence():
    script = Script(
        "evidence", ["PW-HB-001", "PW-HB-002"], "Every verified packet, and bytes of a payload, begin a new silence.",
    )
    script.greet()
    script.receive(90, to_side(0xC0, b"x"))
    script.receive(180, to_side(0x80))
    message = to_side(DATA, bytes(100), FIRST, 2)
    script.receive(270, message[:12 + 30])
    script.receive(360, message[12 + 30:12 + 60])
    script.receive(450, message[12 + 60:], events=[
        {"message": {"class": 2, "encrypted": False, "payload": [{"repeat": "00", "times": 100}]}},
    ])
    script.wait(549)
    script.wait(550, out=[ping(1)])
    return script


def no_evidence():
    script = Script("no-evidence", ["PW-HB-003"], "Noise and a part of a header are no evidence.", resync=True)
    script.greet()
    script.receive(30, bytes(20))
    script.receive(90, to_side(PING, u64(1))[:11])
    script.wait(99)
    script.wait(100, out=[ping(1)])
    return script


def sending_is_none():
    script = Script(
        "sending-is-no-evidence", ["PW-HB-003", "PW-HB-006"],
        "What this side sends neither delays nor replaces PING.", "client",
    )
    script.greet()
    for at in (50, 90):
        script.send(at, b"x", out=[by_side(DATA, b"x", CHECKED, 2)])
    script.wait(100, out=[ping(1)])
    script.send(190, b"x", out=[by_side(DATA, b"x", CHECKED, 2)])
    script.wait(200, out=[ping(2)], events=[SUSPECT])
    return script


def unflushed_ping():
    script = Script(
        "unflushed-ping", ["PW-HB-011", "PW-HB-012"], "The transport takes nothing any more, PING included.", "client",
    )
    script.greet()
    script.room(10, 0)
    for at, events in ((100, []), (200, [SUSPECT]), (300, [])):
        script.wait(at, events=events)
    script.wait(399)
    script.wait(400, events=[failed("PEER_TIMEOUT")])
    return script


def ping_flushed_late():
    script = Script(
        "ping-flushed-late", ["PW-HB-010"],
        "The wait for the answer starts when the transport takes PING.", "client", probes=1,
    )
    script.greet()
    script.room(10, 0)
    script.wait(100)
    script.room(160, None, out=[ping(1)])
    script.wait(259)
    script.wait(260, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def slow(script):
    """A message of 1,000 bytes that the transport takes a little of, and PING behind it."""
    script.greet()
    script.room(0, 0)
    script.send(0, bytes(1_000))
    script.wait(100)
    return by_side(DATA, bytes(1_000), CHECKED, 2)


def slow_progress():
    script = Script(
        "slow-progress", ["PW-HB-011", "PW-HB-013"], "One byte in a wait starts that wait again, once.", "client",
        peer={"frame_limit": 1_024},
    )
    packet_ = slow(script)
    script.room(150, 1, out=[packet_[:1]])
    script.wait(200)
    script.wait(300, events=[SUSPECT])
    script.wait(400)
    script.wait(499)
    script.wait(500, events=[failed("PEER_TIMEOUT")])
    return script


def progress_to_the_limit():
    script = Script(
        "progress-to-the-limit", ["PW-HB-011", "PW-HB-013"],
        "A trickle puts the verdict off by extension_max, no longer.",
        "client", peer={"frame_limit": 1_024}, probes=1, extension_max=300,
    )
    packet_ = slow(script)
    for index, at in enumerate((150, 250, 350, 450)):
        script.room(at, 1, out=[packet_[index:index + 1]])
    script.wait(499)
    script.wait(500, events=[failed("PEER_TIMEOUT")])
    return script


def late_timeout():
    script = Script(
        "late-timeout", ["PW-HB-016"], "The side was blocked: the miss is not counted, once.", "client", probes=2,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(350, out=[ping(2)], late=True)
    script.wait(450, out=[ping(3)], events=[SUSPECT])
    script.wait(549)
    script.wait(550, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def crossing_pings():
    script = Script("crossing-pings", ["PW-HB-004", "PW-HB-008"], "Both sides ask at once.", "client")
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(110, to_side(PING, u64(1)), out=[by_side(PONG, u64(1))])
    script.receive(120, pong(1))
    script.wait(219)
    script.wait(220, out=[ping(2)])
    return script


def round_trips():
    script = Script(
        "round-trips", ["PW-HB-012", "PW-HB-013"], "The wait is srtt + 4 * rttvar, where that is more than interval.",
        "client", probes=2,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    # srtt 80, rttvar 40: the wait is 240.
    script.receive(180, pong(1))
    script.wait(280, out=[ping(2)])
    # srtt 80, rttvar 30: the wait is 200.
    script.receive(360, pong(2))
    script.wait(460, out=[ping(3)])
    script.wait(659)
    script.wait(660, out=[ping(4)], events=[SUSPECT])
    script.wait(859)
    script.wait(860, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def round_trips_to_the_limit():
    script = Script(
        "round-trips-to-the-limit", ["PW-HB-013"],
        "Long waits put the verdict off by extension_max, no longer.", "client",
        extension_max=280,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(180, pong(1))
    script.wait(280, out=[ping(2)])
    script.wait(520, out=[ping(3)], events=[SUSPECT])
    script.wait(760, out=[ping(4)])
    script.wait(859)
    script.wait(860, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def old_pong():
    script = Script(
        "old-pong", ["PW-HB-009"],
        "A PONG to an earlier PING is evidence and no measurement; a second one is no error.",
        "client", probes=1,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(150, to_side(0xC0))
    script.wait(250, out=[ping(2)])
    script.receive(340, pong(1), pong(1))
    script.wait(440, out=[ping(3)])
    # Had one been measured, the wait were longer.
    script.wait(539)
    script.wait(540, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def floor_raises():
    script = Script(
        "floor-raises", ["PW-HB-005"],
        "The peer's floor is above idle and interval.", "client", peer={"ping_floor": 250},
        idle=100, interval=50, probes=2,
    )
    script.greet()
    script.wait(249)
    script.wait(250, out=[ping(1)])
    script.wait(499)
    script.wait(500, out=[ping(2)], events=[SUSPECT])
    script.wait(749)
    script.wait(750, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def asked(script, at, n):
    script.receive(at, to_side(PING, u64(n)), out=[by_side(PONG, u64(n))])


def ping_flood():
    script = calm(
        "ping-flood", ["PW-HB-017"], "Sixteen PINGs at once are answered, the next one is too many.", ping_floor=1_000,
    )
    script.greet()
    for n in range(1, 17):
        asked(script, 10, n)
    script.receive(10, to_side(PING, u64(17)), out=[fault("PING_FLOOD")], events=[failed("PING_FLOOD")])
    return script


def bucket_gains():
    script = calm(
        "bucket-gains", ["PW-HB-017"], "The bucket gains one PING per half of the announced floor.", ping_floor=1_000,
    )
    script.greet()
    for n in range(1, 17):
        asked(script, 10, n)
    asked(script, 510, 17)
    asked(script, 1_510, 18)
    asked(script, 1_510, 19)
    script.receive(1_510, to_side(PING, u64(20)), out=[fault("PING_FLOOD")], events=[failed("PING_FLOOD")])
    return script


def bad_ping():
    script = calm("bad-ping", ["PW-HB-007"], "A PING whose number is not larger than the one before.")
    script.greet()
    asked(script, 10, 5)
    script.receive(20, to_side(PING, u64(5)), out=[fault("BAD_PING")], events=[failed("BAD_PING")])
    return script


def bad_pong():
    script = Script("bad-pong", ["PW-HB-009"], "A PONG above the highest PING.", "client")
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(120, pong(2), out=[fault("BAD_PONG")], events=[failed("BAD_PONG")])
    return script


def frame_stall():
    script = calm(
        "frame-stall", ["PW-FRM-015"], "A packet is not complete 500 ms + (length + 16) / 1 KB/s after its first byte.",
        assembly_base=500,
    )
    script.greet()
    message = to_side(DATA, bytes(484), FIRST, 2)
    script.receive(10, message[:5])
    script.receive(300, message[5:400])
    script.receive(900, message[400:-1])
    script.wait(1_009)
    script.wait(1_010, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def frame_stall_of_header():
    script = calm(
        "frame-stall-of-header", ["PW-FRM-015"], "A part of a header counts as length 0.", assembly_base=500,
       
    )
    script.greet()
    script.receive(10, to_side(DATA, bytes(484), FIRST, 2)[:11])
    script.wait(525)
    script.wait(526, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def payload_in_time():
    script = calm(
        "payload-in-time", ["PW-FRM-015"], "The same packet, complete in the last millisecond.", assembly_base=500,
       
    )
    script.greet()
    message = to_side(DATA, bytes(484), FIRST, 2)
    script.receive(10, message[:-1])
    script.receive(1_009, message[-1:], events=[
        {"message": {"class": 2, "encrypted": False, "payload": [{"repeat": "00", "times": 484}]}},
    ])
    script.wait(2_000)
    return script


def write_stall():
    script = calm("write-stall", ["PW-CLS-015"], "The transport takes nothing of a message.", "client", write_stall=800)
    script.greet()
    script.room(10, 0)
    script.send(20, b"hello")
    script.wait(819)
    script.wait(820, events=[failed("WRITE_STALL")])
    return script


def trickle(name, about):
    script = calm(
        name, ["PW-CLS-015"], about, "client", {"frame_limit": 1_024}, write_stall=800,
    )
    script.greet()
    script.room(0, 0)
    script.send(0, bytes(984))
    raw = by_side(DATA, bytes(984), CHECKED, 2)
    for index, at in enumerate((500, 1_000, 1_500)):
        script.room(at, 1, out=[raw[index:index + 1]])
    return script, raw


def slow_write():
    script, _ = trickle(
        "slow-write", "1,000 bytes are given at once, and a trickle is taken: 800 ms + 1,000 B / 1 KB/s.",
    )
    script.wait(1_799)
    script.wait(1_800, events=[failed("WRITE_STALL")])
    return script


def slow_write_done():
    script, raw = trickle("slow-write-done", "The same trickle, but the rest is taken in the last millisecond.")
    script.room(1_799, None, out=[raw[3:]])
    script.wait(5_000)
    return script
