"""conversations/limits.json: the time of an open message, limits that rest or begin anew, and clocks (sections 6, 8.4, 10.1)."""

from .codec import BUSY, CHECKSUM, CLOSE, DATA, FIRST, MORE, PING, PONG, REJECT, packet, u16, u32, u64
from .names import REASONS, REJECT_REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side

ROOM = 3
SUSPECT = {"suspect": {}}
# An open message has 500 ms, and 1 ms for each of the 528 bytes of a full frame: 1,028 ms.
STALLING = {"assembly_base": 500}
ASLEEP = 600_000


def build():
    scripts = [
        message_stall(), message_stall_refilled(), message_stall_capped(), message_stall_trickle(),
        message_stall_other_class(), message_in_time(), message_stall_own_pause(), message_stall_peer_pause(),
        message_stall_pause_ended(), message_stall_pause_bound(), message_stall_refused(), message_stall_destroyed(),
        next_message(),
        write_stall_rests(), write_stall_rests_no_longer(), write_stall_rests_anew(), write_stall_says_so(),
        asleep_in_handshake(), asleep_twice_in_handshake(), late_by_interval(), late_by_more(),
        asleep_with_half_packet(), asleep_twice_with_half_packet(), asleep_with_each_packet(),
        asleep_with_open_message(), asleep_twice_with_open_message(), asleep_with_each_message(),
        asleep_with_bytes_untaken(),
        asleep_twice_with_bytes_untaken(), asleep_in_each_stretch(), asleep_in_closing(), asleep_twice_in_closing(),
        clock_set_back(), clock_set_back_with_half_packet(),
    ]
    return [script.build() for script in scripts]


def data(payload, flags=FIRST, message_class=2, **faults):
    return to_side(DATA, payload, flags, message_class, **faults)


def message(payload, message_class=2):
    repeated = [{"repeat": payload[:1].hex(), "times": len(payload)}] if len(payload) >= 32 else payload.hex()
    return {"message": {"class": message_class, "encrypted": False, "payload": repeated}}


def busy(pause):
    return to_side(BUSY, u32(pause))


def fault(reason, received=0):
    return by_side(CLOSE, close_payload(REASONS[reason], received))


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def out_data(payload):
    return by_side(DATA, payload, FIRST | CHECKSUM, 2)


def ping(n):
    return by_side(PING, u64(n))


# The time of an open message.


def opened(name, about, requirements=("PW-DAT-013",), **config):
    """A message of three bytes is open from 10 on, and has time up to 1,038."""
    script = calm(name, list(requirements), about, **(STALLING | config))
    script.greet()
    script.receive(10, data(b"abc", FIRST | MORE))
    return script


def stalls(script, at, received=0):
    script.wait(at - 1)
    script.wait(at, out=[fault("MESSAGE_STALL", received)], events=[failed("MESSAGE_STALL", received)])
    return script


def message_stall():
    script = calm(
        "message-stall", ["PW-DAT-013"], "A message is begun, and not gone on with: its time is 1,028 ms.", **STALLING,
    )
    script.greet()
    begin = data(b"abc", FIRST | MORE)
    script.receive(10, begin[:14])
    script.receive(20, begin[14:])
    return stalls(script, 1_048)


def message_stall_refilled():
    script = opened(
        "message-stall-refilled",
        "A later frame of 100 bytes gives 116 ms when its header is verified, and 116 more when it is complete.",
    )
    frame = data(b"d" * 100, MORE)
    script.receive(450, frame[:11])
    script.receive(500, frame[11:50])
    script.receive(600, frame[50:-1])
    script.receive(650, frame[-1:])
    return stalls(script, 1_038 + 2 * 116)


def message_stall_capped():
    script = opened("message-stall-capped", "However much comes at once, the time is never more than 1,028 ms.")
    frame = data(b"d" * 200, MORE)
    script.receive(200, *[frame] * 4)
    script.receive(210, frame)
    return stalls(script, 1_238)


def message_stall_trickle():
    script = opened(
        "message-stall-trickle", "A frame of one byte each 100 ms gives 34 ms: less than the time that it takes.",
    )
    for n in range(1, 16):
        script.receive(10 + 100 * n, data(b"d", MORE))
    # 1,028 ms less 15 times 66.
    return stalls(script, 1_510 + 38)


def message_stall_other_class():
    script = opened("message-stall-other-class", "Messages of other classes, and other packets, give no time.")
    for at in (300, 600, 900):
        script.receive(at, data(b"o" * 500, FIRST, ROOM), events=[message(b"o" * 500, ROOM)])
    script.receive(1_000, to_side(PING, u64(1)), out=[by_side(PONG, u64(1))])
    return stalls(script, 1_038, 3)


def message_in_time():
    script = opened("message-in-time", "The last frame is complete in the last millisecond.")
    script.receive(1_037, data(b"def", 0), events=[message(b"abcdef")])
    script.wait(5_000)
    return script


def message_stall_own_pause():
    script = opened(
        "message-stall-own-pause", "This side pauses: when it reads again the message has its whole time.",
        ["PW-DAT-013", "PW-HB-023"],
    )
    script.command(500, "pause", out=[by_side(BUSY, u32(60_000))])
    script.command(5_000, "resume", out=[by_side(BUSY, u32(0))])
    return stalls(script, 6_028)


def message_stall_peer_pause():
    script = opened(
        "message-stall-peer-pause", "The peer pauses for 700 ms: the time of its message rests so long.",
        ["PW-DAT-013", "PW-HB-020"],
    )
    script.receive(110, busy(700))
    return stalls(script, 1_738)


def message_stall_pause_ended():
    script = opened(
        "message-stall-pause-ended", "BUSY with 0 ends the rest, too.", ["PW-DAT-013", "PW-HB-020"],
    )
    script.receive(110, busy(900))
    script.receive(310, busy(0))
    return stalls(script, 1_238)


def message_stall_pause_bound():
    script = opened(
        "message-stall-pause-bound", "Two pauses, of which each may last: the time rests for busy_max in all.",
        ["PW-DAT-013", "PW-HB-020"],
    )
    script.receive(110, busy(600))
    # Evidence that is no BUSY, and no pause in force: what follows is another row of pauses.
    script.receive(800, to_side(0xC0))
    script.receive(900, busy(600))
    return stalls(script, 1_038 + 1_000)


def message_stall_refused():
    script = calm(
        "message-stall-refused", ["PW-DAT-013", "PW-REJ-004"], "The time goes for a message that was refused.",
        **STALLING,
    )
    script.greet()
    begin, middle = data(b"f" * 512, FIRST | MORE), data(b"f" * 512, MORE)
    reject = by_side(REJECT, u64(1) + u16(REJECT_REASONS["TOO_LARGE"]) + b"\x02")
    script.receive(10, begin, middle, middle, out=[reject], events=[
        {"too_large": {"class": 2, "ordinal": 1, "limit": 1_024}},
    ])
    script.receive(500, middle)
    return stalls(script, 1_528)


def message_stall_destroyed():
    script = calm(
        "message-destroyed-in-time", ["PW-DAT-013", "PW-FRM-009"], "A message that damage destroyed has no time.",
        resync=True, **STALLING,
    )
    script.greet()
    script.receive(10, data(b"abc", FIRST | MORE | CHECKSUM))
    reject = by_side(REJECT, u64(1) + u16(REJECT_REASONS["DAMAGED"]) + b"\x02")
    script.receive(
        20, b"\x00", data(b"def", MORE | CHECKSUM), out=[reject],
        events=[{"gap": {"skipped": 1, "message_lost": True}}],
    )
    script.wait(5_000)
    return script


def next_message():
    script = opened("message-stall-of-next", "Each message has a time of its own, whole at first.")
    script.receive(900, data(b"def", 0), events=[message(b"abcdef")])
    script.receive(1_000, data(b"abc", FIRST | MORE))
    return stalls(script, 2_028, 1)


# Limits that rest while the peer pauses.


def backlog(name, about):
    """Of 1,000 bytes that are handed out at 500 nothing is taken. The peer pauses from 1,000 on."""
    script = calm(
        name, ["PW-CLS-015", "PW-HB-020"], about, "client", {"frame_limit": 1_024}, write_stall=30_000,
        busy_max=60_000,
    )
    script.greet()
    script.room(0, 0)
    script.send(500, bytes(984))
    return script


def stalled(script, at, received=0):
    script.wait(at - 1)
    script.wait(at, events=[failed("WRITE_STALL", received)])
    return script


def write_stall_rests():
    script = backlog(
        "write-stall-rests", "The peer pauses for 40 s, and takes nothing: write_stall rests so long.",
    )
    script.receive(1_000, busy(40_000))
    return stalled(script, 500 + 30_000 + 40_000)


def write_stall_rests_no_longer():
    script = backlog(
        "write-stall-rests-no-longer", "The peer pauses for longer than busy_max, with a word between.",
    )
    script.receive(1_000, busy(60_000))
    script.receive(62_000, to_side(0xC0))
    script.receive(63_000, busy(60_000))
    return stalled(script, 500 + 30_000 + 60_000)


def write_stall_rests_anew():
    script = backlog(
        "write-stall-rests-anew",
        "The same, but a byte is taken between: the second pause counts, too, up to the time of all bytes.",
    )
    script.receive(1_000, busy(60_000))
    raw = out_data(bytes(984))
    script.room(62_000, 1, out=[raw[:1]])
    script.receive(62_500, to_side(0xC0))
    script.receive(63_000, busy(60_000))
    return stalled(script, 500 + 30_000 + 1_000 + 120_000)


def write_stall_says_so():
    script = calm(
        "write-stall-says-so", ["PW-CLS-015"], "The peer takes bytes again right after WRITE_STALL: its CLOSE goes out.",
        "client", write_stall=800,
    )
    script.greet()
    raw = out_data(b"stuck")
    script.room(10, 5)
    script.send(20, b"stuck", out=[raw[:5]])
    stalled(script, 820)
    script.room(900, None, out=[raw[5:], fault("WRITE_STALL")])
    return script


# Limits that begin anew, since this side noticed late that they are up.


def handshake_timeout(script, at, **how):
    raw = packet(CLOSE, close_payload(REASONS["HANDSHAKE_TIMEOUT"]), key=0)
    script.wait(at, out=[raw], events=[failed("HANDSHAKE_TIMEOUT")], **how)
    return script


def half_greeted(name, about):
    script = calm(name, ["PW-TIM-001", "PW-HS-012"], about, interval=100, detect_within=300_000)
    script.start()
    script.receive(10, script.peer_hello()[:20])
    return script


def asleep_in_handshake():
    script = half_greeted("asleep-in-handshake", "Ten minutes asleep: the handshake has its whole time again.")
    script.wait(ASLEEP, late=True)
    script.receive(ASLEEP + 999, script.peer_hello()[20:], out=[script.own_hello()], events=[script.established()])
    return script


def asleep_twice_in_handshake():
    script = half_greeted("asleep-twice-in-handshake", "It begins anew once only.")
    script.wait(ASLEEP, late=True)
    return handshake_timeout(script, 2 * ASLEEP, late=True)


def late_by_interval():
    script = half_greeted("late-by-interval", "As late as interval is not late.")
    return handshake_timeout(script, 1_100, late=True)


def late_by_more():
    script = half_greeted("late-by-more-than-interval", "A millisecond more is: the time begins anew at that moment.")
    script.wait(1_101, late=True)
    script.wait(2_100)
    return handshake_timeout(script, 2_101)


def half_packet(name, about):
    """Of a packet that has 1,000 ms some bytes come at 10."""
    script = calm(name, ["PW-TIM-001", "PW-FRM-015"], about, **STALLING)
    script.greet()
    raw = data(b"p" * 484)
    script.receive(10, raw[:200])
    return script, raw


def asleep_with_half_packet():
    script, raw = half_packet("asleep-with-half-packet", "Ten minutes asleep: the packet has its whole time again.")
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.wait(ASLEEP + 999)
    script.wait(ASLEEP + 1_000, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def asleep_twice_with_half_packet():
    script, raw = half_packet("asleep-twice-with-half-packet", "It begins anew once only, though more bytes came.")
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.receive(ASLEEP + 500, raw[200:300])
    script.wait(2 * ASLEEP, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")], late=True)
    return script


def asleep_with_each_packet():
    script, raw = half_packet("asleep-with-each-packet", "The next packet begins anew as well.")
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.receive(ASLEEP + 500, raw[200:], raw[:200], events=[message(b"p" * 484)])
    script.wait(2 * ASLEEP, out=[ping(2)], late=True)
    script.receive(2 * ASLEEP + 999, raw[200:], events=[message(b"p" * 484)])
    return script


def asleep_with_open_message():
    script = opened(
        "asleep-with-open-message", "Ten minutes asleep: the message has its whole time again.",
        ["PW-TIM-001", "PW-DAT-013"],
    )
    script.wait(ASLEEP, out=[ping(1)], late=True)
    return stalls(script, ASLEEP + 1_028)


def asleep_twice_with_open_message():
    script = opened(
        "asleep-twice-with-open-message", "It begins anew once only, though another frame came.",
        ["PW-TIM-001", "PW-DAT-013"],
    )
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.receive(ASLEEP + 500, data(b"def", MORE))
    script.wait(2 * ASLEEP, out=[fault("MESSAGE_STALL")], events=[failed("MESSAGE_STALL")], late=True)
    return script


def asleep_with_each_message():
    script = opened(
        "asleep-with-each-message", "The next message begins anew as well.", ["PW-TIM-001", "PW-DAT-013"],
    )
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.receive(ASLEEP + 500, data(b"def", 0), data(b"abc", FIRST | MORE), events=[message(b"abcdef")])
    script.wait(2 * ASLEEP, out=[ping(2)], late=True)
    return stalls(script, 2 * ASLEEP + 1_028, 1)


def untaken(name, about):
    """Nothing of a message of 37 bytes is taken from 20 on."""
    script = calm(name, ["PW-TIM-001", "PW-CLS-015"], about, "client", write_stall=800)
    script.greet()
    script.room(10, 0)
    script.send(20, b"w" * 21)
    return script, out_data(b"w" * 21)


def asleep_with_bytes_untaken():
    script, _ = untaken("asleep-with-bytes-untaken", "Ten minutes asleep: what was handed out has its time again.")
    script.wait(ASLEEP, late=True)
    return stalled(script, ASLEEP + 800)


def asleep_twice_with_bytes_untaken():
    script, _ = untaken("asleep-twice-with-bytes-untaken", "It begins anew once only, where no byte is taken.")
    script.wait(ASLEEP, late=True)
    script.wait(2 * ASLEEP, events=[failed("WRITE_STALL")], late=True)
    return script


def asleep_in_each_stretch():
    script, raw = untaken("asleep-in-each-stretch", "Once a byte was taken, it begins anew again.")
    script.wait(ASLEEP, late=True)
    script.room(ASLEEP + 500, 1, out=[raw[:1]])
    script.wait(2 * ASLEEP, late=True)
    return stalled(script, 2 * ASLEEP + 800)


def asleep_in_closing():
    script = calm(
        "asleep-in-closing", ["PW-TIM-001", "PW-CLS-007"], "Ten minutes asleep: CLOSE has its whole time again.",
        "client",
    )
    script.greet()
    script.close(20, out=[by_side(CLOSE, close_payload(1))])
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.wait(ASLEEP + 499)
    script.wait(ASLEEP + 500, events=[failed("CLOSE_TIMEOUT")])
    return script


def asleep_twice_in_closing():
    script = calm("asleep-twice-in-closing", ["PW-TIM-001", "PW-CLS-007"], "It begins anew once only.", "client")
    script.greet()
    script.close(20, out=[by_side(CLOSE, close_payload(1))])
    script.wait(ASLEEP, out=[ping(1)], late=True)
    script.wait(2 * ASLEEP, events=[failed("CLOSE_TIMEOUT")], late=True)
    return script


# Clocks.


def clock_set_back():
    script = Script(
        "clock-set-back", ["PW-TIM-002", "PW-HB-006"],
        "The clock is set back by 100 ms: time stands still until it shows 95 again.", "client",
    )
    script.greet()
    script.wait(95)
    script.receive(120, to_side(0xC0), clock=20)
    script.wait(180, clock=80)
    script.wait(294, clock=194)
    script.wait(295, clock=195, out=[ping(1)])
    script.wait(395, clock=295, out=[ping(2)], events=[SUSPECT])
    return script


def clock_set_back_with_half_packet():
    script = calm(
        "clock-set-back-with-half-packet", ["PW-TIM-002", "PW-FRM-015"],
        "The clock is set back to the beginning: a packet under way has no more time than it had.", **STALLING,
    )
    script.greet()
    raw = data(b"p" * 484)
    script.receive(10, raw[:200])
    script.wait(700)
    script.receive(710, raw[200:300], clock=0)
    script.receive(1_400, raw[300:400], clock=690)
    script.wait(1_719, clock=1_009)
    script.wait(1_720, clock=1_010, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script
