"""conversations/heartbeat.json: probing, its waits, and the ends that time brings (section 8.1 to 8.3, 5 and 10)."""

from .codec import BUSY, CHECKSUM, CLOSE, DATA, FIRST, MORE, PING, PONG, REJECT, u16, u32, u64
from .names import REASONS, REJECT_REASONS
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
        evidence_of_header(), evidence_to_the_last_byte(), evidence_of_dropped(), evidence_of_dropped_at_once(),
        evidence_of_passed_over(), evidence_of_refused(),
        late_twice(), late_twice_unflushed(), late_in_each_silence(), late_by_interval(), late_idle(),
        progress_partly_granted(), unflushed_after_round_trip(), extension_by_default(), round_trips_beyond_extension(),
        progress_after_round_trip(), pong_twice(), ping_withdrawn(), pings_unanswered(), pings_answered_late(), ping_floor_kept(),
        bad_ping_before_flood(), frame_stall_after_skipping(), frame_stall_in_pause(),
        bucket_holds_sixteen(), pong_replaced(),
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
        "A trickle puts the verdict off by extension_max, and by what 1,016 bytes may take, no longer.",
        "client", peer={"frame_limit": 1_024}, probes=1, extension_max=200, assembly_rate=10_160,
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
        "slow-write", "1,000 bytes are handed out at once, and a trickle is taken: 800 ms + 1,000 B / 1 KB/s.",
    )
    script.wait(1_799)
    script.wait(1_800, events=[failed("WRITE_STALL")])
    return script


def slow_write_done():
    script, raw = trickle("slow-write-done", "The same trickle, but the rest is taken in the last millisecond.")
    script.room(1_799, None, out=[raw[3:]])
    script.wait(5_000)
    return script


# Evidence of a header and of each later byte.

ZEROS = bytes(100)


def zeros(name="message"):
    return {name: {"class": 2, "encrypted": False, "payload": [{"repeat": "00", "times": 100}]}}


def probed(script, last_evidence):
    script.wait(last_evidence + 99)
    script.wait(last_evidence + 100, out=[ping(1)])
    return script


def evidence_of_header():
    script = Script(
        "evidence-of-header", ["PW-HB-001", "PW-HB-003"],
        "A header is evidence when its last byte comes, not before, though nothing follows it.",
    )
    script.greet()
    message = to_side(DATA, ZEROS, FIRST, 2)
    script.receive(50, message[:11])
    script.receive(90, message[11:12])
    return probed(script, 90)


def evidence_to_the_last_byte():
    script = Script(
        "evidence-to-the-last-byte", ["PW-HB-001", "PW-HB-002"],
        "A packet comes in a trickle: each byte of payload and trailer is evidence, to the last.",
    )
    script.greet()
    message = to_side(DATA, ZEROS, CHECKED, 2)
    script.receive(90, message[:12])
    for n in range(1, 11):
        script.receive(90 + 90 * n, message[2 + 10 * n:12 + 10 * n])
    for n in range(1, 4):
        script.receive(990 + 90 * n, message[111 + n:112 + n])
    script.receive(1_350, message[115:], events=[zeros()])
    return probed(script, 1_350)


def evidence_of_dropped():
    script = Script(
        "evidence-of-dropped-packet", ["PW-HB-001", "PW-HB-002"],
        "The trailer is wrong: all bytes of the packet were evidence, the last one of the trailer too.", resync=True,
    )
    script.greet()
    message = to_side(DATA, ZEROS, CHECKED, 2, trailer_fault=1)
    for at, raw in ((90, message[:12]), (180, message[12:112]), (270, message[112:115])):
        script.receive(at, raw)
    reject = by_side(REJECT, u64(1) + u16(REJECT_REASONS["DAMAGED"]) + b"\x02")
    script.receive(360, message[115:], out=[reject], events=[{"gap": {"skipped": 116, "message_lost": False}}])
    return probed(script, 360)


def evidence_of_dropped_at_once():
    script = Script(
        "evidence-of-dropped-packet-at-once", ["PW-HB-001", "PW-HB-002"],
        "The same packet in one piece, and other kinds: how the bytes are cut makes no difference.", resync=True,
    )
    script.greet()
    reject = by_side(REJECT, u64(1) + u16(REJECT_REASONS["DAMAGED"]) + b"\x02")
    gap = {"gap": {"skipped": 116, "message_lost": False}}
    script.receive(90, to_side(DATA, ZEROS, CHECKED, 2, trailer_fault=1), out=[reject], events=[gap])
    script.receive(180, to_side(0xC0, ZEROS, CHECKSUM, trailer_fault=1), events=[gap])
    script.receive(270, to_side(PING, u64(1), CHECKSUM, trailer_fault=1), events=[
        {"gap": {"skipped": 24, "message_lost": False}},
    ])
    return probed(script, 270)


def evidence_of_passed_over():
    script = Script(
        "evidence-of-passed-over", ["PW-HB-002", "PW-FRM-010"], "Frames that are passed over are evidence.",
        resync=True,
    )
    script.greet()
    frame = to_side(DATA, ZEROS, MORE | CHECKSUM, 2)
    script.receive(90, b"\x00", frame[:12], events=[{"gap": {"skipped": 1, "message_lost": False}}])
    script.receive(180, frame[12:60])
    script.receive(270, frame[60:])
    return probed(script, 270)


def evidence_of_refused():
    script = Script(
        "evidence-of-refused", ["PW-HB-002", "PW-REJ-004"], "Frames of a message that was refused are evidence.",
    )
    script.greet()
    begin, middle = to_side(DATA, bytes(512), FIRST | MORE, 2), to_side(DATA, bytes(512), MORE, 2)
    reject = by_side(REJECT, u64(1) + u16(REJECT_REASONS["TOO_LARGE"]) + b"\x02")
    script.receive(10, begin, middle, middle, out=[reject], events=[
        {"too_large": {"class": 2, "ordinal": 1, "limit": 1_024}},
    ])
    script.receive(100, middle[:100])
    script.receive(190, middle[100:])
    return probed(script, 190)


# PW-HB-016.


def late_twice():
    script = Script(
        "late-twice", ["PW-HB-016"], "Blocked twice in a silence: the second miss counts.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(350, out=[ping(2)], late=True)
    script.wait(600, out=[ping(3)], events=[SUSPECT], late=True)
    script.wait(700, out=[ping(4)])
    script.wait(799)
    script.wait(800, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def late_twice_unflushed():
    script = Script(
        "late-twice-unflushed", ["PW-HB-016"],
        "The same, and PING is not taken: its wait starts again instead, once.", "client",
    )
    script.greet()
    script.room(10, 0)
    script.wait(100)
    script.wait(350, late=True)
    script.wait(600, events=[SUSPECT], late=True)
    script.wait(700)
    script.wait(799)
    script.wait(800, events=[failed("PEER_TIMEOUT")])
    return script


def late_in_each_silence():
    script = Script(
        "late-in-each-silence", ["PW-HB-016"], "Each silence has its once.", "client", probes=2,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(350, out=[ping(2)], late=True)
    script.receive(400, to_side(0xC0))
    script.wait(500, out=[ping(3)])
    script.wait(750, out=[ping(4)], late=True)
    script.wait(850, out=[ping(5)], events=[SUSPECT])
    script.wait(949)
    script.wait(950, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def late_by_interval():
    script = Script(
        "miss-late-by-interval", ["PW-HB-016"], "A miss that is noticed as late as interval counts.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(300, out=[ping(2)], events=[SUSPECT], late=True)
    script.wait(501, out=[ping(3)], late=True)
    script.wait(601, out=[ping(4)])
    script.wait(701, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def late_idle():
    script = Script(
        "late-idle", ["PW-HB-016"], "A late `idle` is no miss, and uses nothing up.", "client", probes=1,
    )
    script.greet()
    script.wait(5_000, out=[ping(1)], late=True)
    script.wait(6_000, out=[ping(2)], late=True)
    script.wait(6_099)
    script.wait(6_100, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


# PW-HB-011 and PW-HB-013.


def progress_partly_granted():
    script = Script(
        "progress-partly-granted", ["PW-HB-011", "PW-HB-013"],
        "The third wait that starts again is cut to what is left of extension_max and of 100 ms for 1,016 bytes.",
        "client", peer={"frame_limit": 1_024}, probes=1, extension_max=150, assembly_rate=10_160,
    )
    packet_ = slow(script)
    for index, at in enumerate((150, 250, 350, 420)):
        script.room(at, 1, out=[packet_[index:index + 1]])
    script.wait(449)
    script.wait(450, events=[failed("PEER_TIMEOUT")])
    return script


def unflushed_after_round_trip():
    script = Script(
        "unflushed-after-round-trip", ["PW-HB-011", "PW-HB-013"],
        "The wait of a PING that is not taken starts again, and each is as long as extension_max allows.", "client",
        extension_max=200,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    # srtt 80, rttvar 40: the wait is 240, of which 140 are out of extension_max.
    script.receive(180, pong(1))
    script.room(200, 0)
    script.wait(280)
    script.wait(520, events=[SUSPECT])
    script.wait(680)
    script.wait(779)
    script.wait(780, events=[failed("PEER_TIMEOUT")])
    return script


def extension_by_default():
    script = Script(
        "extension-by-default", ["PW-HB-013"],
        "Where extension_max is not chosen it is the effective idle + interval * probes: 400.", "client",
        idle=50, interval=50, extension_max=None,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    # srtt 90, rttvar 45: the wait is 270, and 170 of it are out of extension_max.
    script.receive(190, pong(1))
    script.wait(290, out=[ping(2)])
    script.wait(560, out=[ping(3)], events=[SUSPECT])
    script.wait(830, out=[ping(4)])
    script.wait(989)
    script.wait(990, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def round_trips_beyond_extension():
    script = Script(
        "round-trips-beyond-extension", ["PW-HB-013"],
        "The timeline of section 8.6 with an `idle` of 2,000: the second wait is cut, and no probe is left out.",
        "client", {"ping_floor": 2_000}, idle=2_000, interval=2_000, extension_max=11_000,
    )
    script.greet()
    script.wait(2_000, out=[ping(1)])
    script.receive(3_500, to_side(0xC0))
    # srtt + 4 * rttvar is 8,100, of which 4 * interval count.
    script.receive(4_700, pong(1))
    script.wait(6_700, out=[ping(2)])
    script.wait(14_700, out=[ping(3)], events=[SUSPECT])
    script.wait(21_700, out=[ping(4)])
    script.wait(23_699)
    script.wait(23_700, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def progress_after_round_trip():
    script = Script(
        "progress-after-round-trip", ["PW-HB-011", "PW-HB-013"],
        "A byte in a wait starts that wait again, as long as it was: 240.", "client",
        peer={"frame_limit": 1_024}, probes=1,
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(180, pong(1))
    script.room(200, 0)
    script.send(210, bytes(1_000))
    script.wait(280)
    script.room(300, 1, out=[by_side(DATA, bytes(1_000), CHECKED, 2)[:1]])
    script.wait(520)
    script.wait(759)
    script.wait(760, events=[failed("PEER_TIMEOUT")])
    return script


def pong_twice():
    script = Script(
        "pong-twice", ["PW-HB-009", "PW-HB-012"],
        "A second PONG with the same number is no error, and no measurement: the wait is 240.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(180, pong(1))
    script.receive(190, pong(1))
    script.wait(290, out=[ping(2)])
    script.wait(529)
    script.wait(530, out=[ping(3)], events=[SUSPECT])
    return script


def ping_withdrawn():
    script = Script(
        "ping-withdrawn", ["PW-HB-004"], "A PING that waits behind a packet is withdrawn when evidence comes.", "client",
    )
    script.greet()
    raw = by_side(DATA, b"slow", CHECKED, 2)
    script.room(10, 5)
    script.send(20, b"slow", out=[raw[:5]])
    script.wait(100)
    script.receive(150, to_side(0xC0))
    script.room(160, None, out=[raw[5:]])
    script.wait(249)
    script.wait(250, out=[ping(1)])
    return script


# Section 8.5.


def fourteen(script):
    """PINGs 1 to 14 are sent, and evidence comes after each, but no PONG. Returns the time of the next probe."""
    script.greet()
    for n in range(1, 15):
        script.wait(150 * n - 50, out=[ping(n)])
        script.receive(150 * n, to_side(0xC0))
    return 150 * 14 + 100


def pings_unanswered():
    script = Script(
        "pings-unanswered", ["PW-HB-025", "PW-HB-012"],
        "Fourteen PINGs are unanswered: the next probes are not sent, and their waits go on as if they had been taken.",
        "client",
    )
    probe = fourteen(script)
    script.wait(probe)
    script.send(probe + 50, b"x", out=[by_side(DATA, b"x", CHECKED, 2)])
    script.wait(probe + 100, events=[SUSPECT])
    script.wait(probe + 200)
    script.wait(probe + 299)
    script.wait(probe + 300, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def pings_answered_late():
    script = Script(
        "pings-answered-late", ["PW-HB-025", "PW-HB-009"],
        "A PONG to an early PING makes room for another one, and PONG(n) answers all up to n.", "client",
    )
    probe = fourteen(script)
    script.wait(probe)
    script.wait(probe + 100, events=[SUSPECT])
    script.receive(probe + 150, pong(2), events=[RECOVERED])
    script.wait(probe + 250, out=[ping(15)])
    script.wait(probe + 350, out=[ping(16)], events=[SUSPECT])
    script.wait(probe + 450)
    script.receive(probe + 460, pong(16), events=[RECOVERED])
    return script


def ping_floor_kept():
    script = Script(
        "ping-floor-kept", ["PW-HB-026"],
        "PING 1 was handed out at 190, and counts as unanswered at 220: PING 2 waits until 290.", "client",
        extension_max=0,
    )
    script.greet()
    raw = by_side(DATA, b"slow", CHECKED, 2)
    script.room(10, 5)
    script.send(20, b"slow", out=[raw[:5]])
    script.wait(100)
    # The 20 bytes of PING give 20 ms.
    script.room(190, None, out=[raw[5:], ping(1)])
    script.wait(220, events=[SUSPECT])
    script.wait(289)
    script.wait(290, out=[ping(2)])
    return script


def bad_ping_before_flood():
    script = calm(
        "bad-ping-before-flood", ["PW-HB-017", "PW-HB-007"], "The bucket is empty, and the number at fault: that is first.",
        ping_floor=1_000,
    )
    script.greet()
    for n in range(1, 17):
        asked(script, 10, n)
    script.receive(10, to_side(PING, u64(16)), out=[fault("BAD_PING")], events=[failed("BAD_PING")])
    return script


def frame_stall_after_skipping():
    script = calm(
        "frame-stall-after-skipping", ["PW-FRM-015"],
        "The time for what may be a header runs from the moment at which skipping reached it.", resync=True,
        assembly_base=500,
    )
    script.greet()
    # The magic alone, and then a packet: which of the two it is only the twelfth byte tells.
    raw = b"\xf7\x9a" + to_side(DATA, bytes(484), FIRST | CHECKSUM, 2)
    script.receive(10, raw[:11])
    script.receive(300, raw[11:12])
    script.wait(815)
    script.wait(816, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def frame_stall_in_pause():
    script = calm(
        "frame-stall-in-pause", ["PW-FRM-015", "PW-HB-020"],
        "The time of a packet under way goes on while the peer pauses.", assembly_base=500,
    )
    script.greet()
    script.receive(10, to_side(BUSY, u32(900)), to_side(DATA, bytes(184), FIRST, 2)[:100])
    script.wait(709)
    script.wait(710, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def bucket_holds_sixteen():
    script = calm(
        "bucket-holds-sixteen", ["PW-HB-017"], "However long no PING comes, the bucket holds no more than sixteen.",
        ping_floor=1_000,
    )
    script.greet()
    for n in range(1, 17):
        asked(script, 50_000, n)
    script.receive(50_000, to_side(PING, u64(17)), out=[fault("PING_FLOOD")], events=[failed("PING_FLOOD")])
    return script


def pong_replaced():
    script = calm(
        "pong-replaced", ["PW-HB-008"], "Two PINGs come while PONG waits behind a packet: one PONG answers both.",
        "client",
    )
    script.greet()
    raw = by_side(DATA, b"slow", CHECKED, 2)
    script.room(10, 5)
    script.send(20, b"slow", out=[raw[:5]])
    script.receive(30, to_side(PING, u64(1)))
    script.receive(40, to_side(PING, u64(7)))
    script.room(50, None, out=[raw[5:], by_side(PONG, u64(7))])
    return script
