"""conversations/pausing.json: BUSY of the peer, and of this side (section 8.4)."""

from .codec import BUSY, CHECKSUM, CLOSE, DATA, FIRST, PING, PONG, u32, u64
from .names import REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side

SUSPECT, RECOVERED = {"suspect": {}}, {"recovered": {}}


def build():
    scripts = [
        honoured(), renewed(), shortened(), ended_by_zero(), other_packets_go_on(), while_probing(), exhausted(),
        exhausted_then_heard(), exhausted_then_zero(), own_pause(), own_pause_renewed(), own_pause_stalls(),
        own_pause_write_stall(),
        busy_in_pieces(), busy_dropped(), busy_with_checksum(), busy_while_exhausted_in_pieces(),
        row_after_run_out(), row_of_others(), just_in_busy_max(), at_busy_max(), just_after_busy_max(), no_busy_max(),
        heard_after_run_out(), ping_withdrawn_by_busy(), ping_withdrawn_by_own_pause(), busy_spoils_measurement(),
        own_pause_spoils_measurement(), measured_in_own_pause(), probing_goes_on_behind_pause(), own_pause_outlasts_busy(),
        own_pauses_behind_a_packet(),
    ]
    return [script.build() for script in scripts]


def busy(pause):
    return to_side(BUSY, u32(pause))


def own_busy(pause):
    return by_side(BUSY, u32(pause))


def ping(n):
    return by_side(PING, u64(n))


def fault(reason, received=0):
    return by_side(CLOSE, close_payload(REASONS[reason], received))


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def given_up(script, begins, first=1):
    """The whole way from a silence that begins to PEER_TIMEOUT."""
    script.wait(begins + 99)
    script.wait(begins + 100, out=[ping(first)])
    script.wait(begins + 200, out=[ping(first + 1)], events=[SUSPECT])
    script.wait(begins + 300, out=[ping(first + 2)])
    script.wait(begins + 399)
    script.wait(begins + 400, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def honoured():
    script = Script(
        "busy-honoured", ["PW-HB-020", "PW-HB-022"],
        "The peer pauses for 700 ms; its silence begins after that.", "client",
    )
    script.greet()
    script.receive(50, busy(700))
    return given_up(script, 750)


def renewed():
    script = Script("busy-renewed", ["PW-HB-020", "PW-HB-022"], "A later BUSY replaces the time.", "client")
    script.greet()
    script.receive(50, busy(400))
    script.receive(250, busy(400))
    script.receive(450, busy(400))
    return given_up(script, 850)


def shortened():
    script = Script("busy-shortened", ["PW-HB-020"], "It replaces a longer time, too.", "client")
    script.greet()
    script.receive(50, busy(900))
    script.receive(100, busy(50))
    return given_up(script, 150)


def ended_by_zero():
    script = Script("busy-ended", ["PW-HB-020", "PW-HB-022"], "BUSY with 0 ends the pause.", "client")
    script.greet()
    script.receive(50, busy(900))
    script.receive(300, busy(0))
    return given_up(script, 300)


def other_packets_go_on():
    script = Script(
        "busy-other-packets", ["PW-HB-020"], "Other packets are handled as ever, and do not end the pause.", "client",
    )
    script.greet()
    script.receive(50, busy(500))
    script.receive(100, to_side(PING, u64(1)), out=[by_side(PONG, u64(1))])
    script.receive(150, to_side(DATA, b"x", FIRST, 2), events=[
        {"message": {"class": 2, "encrypted": False, "payload": b"x".hex()}},
    ])
    script.send(160, b"y", out=[by_side(DATA, b"y", FIRST | 0x04, 2)])
    script.wait(649)
    script.wait(650, out=[ping(1)])
    return script


def while_probing():
    script = Script("busy-while-probing", ["PW-HB-022"], "Probes before the pause are forgotten.", "client")
    script.greet()
    script.wait(100, out=[ping(1)])
    script.wait(200, out=[ping(2)], events=[SUSPECT])
    script.receive(250, busy(300), events=[RECOVERED])
    return given_up(script, 550, first=3)


def spent(name, about):
    """Pauses from 50 ms on until busy_max has passed at 1,050 ms; the first probe was sent at 1,150 ms."""
    script = Script(name, ["PW-HB-021"], about, "client")
    script.greet()
    for at in (50, 450, 850):
        script.receive(at, busy(600))
    script.wait(1_149)
    script.wait(1_150, out=[ping(1)])
    return script


def exhausted():
    script = spent("busy-exhausted", "A pause ends busy_max after it began, and BUSY alone begins no other one.")
    script.receive(1_200, busy(600))
    script.wait(1_250, out=[ping(2)], events=[SUSPECT])
    script.receive(1_300, busy(600))
    script.wait(1_350, out=[ping(3)])
    script.wait(1_449)
    script.wait(1_450, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def exhausted_then_heard():
    script = spent("busy-exhausted-then-heard", "Another packet lets a pause begin again.")
    script.receive(1_200, to_side(PONG, u64(1)))
    script.receive(1_250, busy(600))
    script.wait(1_949)
    script.wait(1_950, out=[ping(2)])
    return script


def exhausted_then_zero():
    script = spent("busy-exhausted-then-ended", "So does BUSY with 0, which is evidence.")
    script.receive(1_200, busy(0))
    script.receive(1_250, busy(600))
    script.wait(1_949)
    script.wait(1_950, out=[ping(2)])
    return script


def own_pause():
    script = Script(
        "own-pause", ["PW-HB-019", "PW-HB-023"],
        "This side pauses, and judges its peer anew when it reads again.", "client",
    )
    script.greet()
    script.command(50, "pause", out=[own_busy(200)])
    script.command(120, "resume", out=[own_busy(0)])
    return given_up(script, 120)


def own_pause_renewed():
    script = Script(
        "own-pause-renewed", ["PW-HB-019", "PW-HB-023"],
        "A long pause is renewed, and nothing is probed meanwhile.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.command(150, "pause", out=[own_busy(200)])
    for at in (250, 350, 450, 550):
        script.wait(at, out=[own_busy(200)])
    script.send(560, b"x", out=[by_side(DATA, b"x", FIRST | 0x04, 2)])
    script.command(600, "resume", out=[own_busy(0)])
    script.wait(699)
    script.wait(700, out=[ping(2)])
    return script


def own_pause_stalls():
    script = calm(
        "own-pause-frame", ["PW-HB-023"], "The time for a packet under way starts anew when this side reads again.",
        assembly_base=500,
    )
    script.greet()
    script.receive(10, to_side(DATA, bytes(484), FIRST, 2)[:200])
    script.command(100, "pause", out=[own_busy(60_000)])
    script.command(5_000, "resume", out=[own_busy(0)])
    script.wait(5_999)
    script.wait(6_000, out=[fault("FRAME_STALL")], events=[failed("FRAME_STALL")])
    return script


def own_pause_write_stall():
    script = Script(
        "own-pause-write-stall", ["PW-HB-023", "PW-CLS-015"],
        "WRITE_STALL goes on while this side pauses.", "client", write_stall=800,
    )
    script.greet()
    script.command(10, "pause", out=[own_busy(200)])
    script.room(20, 0)
    script.send(30, b"x")
    script.wait(829)
    script.wait(830, events=[failed("WRITE_STALL")])
    return script


# BUSY is evidence when it is whole.


def busy_in_pieces():
    script = Script(
        "busy-in-pieces", ["PW-HB-002", "PW-HB-020"],
        "Neither the header of BUSY nor a part of its payload is evidence; the last byte begins the pause.", "client",
    )
    script.greet()
    raw = busy(500)
    script.receive(50, raw[:12])
    script.receive(90, raw[12:15])
    script.wait(99)
    script.wait(100, out=[ping(1)])
    script.wait(200, out=[ping(2)], events=[SUSPECT])
    script.receive(250, raw[15:], events=[RECOVERED])
    return given_up(script, 750, first=3)


def busy_dropped():
    script = Script(
        "busy-dropped", ["PW-HB-002"], "A BUSY with a wrong trailer is no evidence, and begins no pause.", "client",
        resync=True,
    )
    script.greet()
    raw = to_side(BUSY, u32(500), CHECKSUM, trailer_fault=1)
    script.receive(50, raw, events=[{"gap": {"skipped": 20, "message_lost": False}}])
    script.receive(60, raw[:14])
    script.receive(90, raw[14:], events=[{"gap": {"skipped": 20, "message_lost": False}}])
    return given_up(script, 0)


def busy_with_checksum():
    script = Script(
        "busy-with-checksum", ["PW-HB-002"], "A BUSY with a trailer is evidence when that has come.", "client",
    )
    script.greet()
    raw = to_side(BUSY, u32(500), CHECKSUM)
    script.receive(50, raw[:-1])
    script.wait(100, out=[ping(1)])
    script.receive(150, raw[-1:])
    return given_up(script, 650, first=2)


def busy_while_exhausted_in_pieces():
    script = spent("busy-exhausted-in-pieces", "No part of a BUSY that is no evidence is any.")
    raw = busy(600)
    for at, part in ((1_160, raw[:12]), (1_180, raw[12:14]), (1_200, raw[14:])):
        script.receive(at, part)
    script.wait(1_249)
    script.wait(1_250, out=[ping(2)], events=[SUSPECT])
    return script


# PW-HB-021.


def row_after_run_out():
    script = Script(
        "busy-row-after-run-out", ["PW-HB-021"],
        "A pause that begins after another one ran out, without a word between, follows it.", "client",
    )
    script.greet()
    script.receive(50, busy(500))
    script.receive(600, busy(600))
    # 1,000 ms from the first BUSY on, not 600 from the second.
    return given_up(script, 1_050)


def row_of_others():
    script = Script(
        "busy-row-with-others", ["PW-HB-021"],
        "Other packets that come while a pause is in force do not part it from the next one.", "client",
    )
    script.greet()
    script.receive(50, busy(500))
    script.receive(300, to_side(0xC0))
    script.receive(540, busy(600))
    script.receive(600, to_side(0xC0))
    return given_up(script, 1_050)


def heard_after_run_out():
    script = Script(
        "busy-row-ended-by-others", ["PW-HB-021"],
        "A packet that comes when the pause has run out does: the next one may last as long as the first.", "client",
    )
    script.greet()
    script.receive(50, busy(500))
    script.receive(560, to_side(0xC0))
    script.receive(600, busy(900))
    return given_up(script, 1_500)


def run_out(name, about):
    """A pause of 60 ms, of 300 that pauses in a row may last: up to 350. PING 1 was sent at 210, PING 2 at 310."""
    script = Script(name, ["PW-HB-021"], about, "client", busy_max=300)
    script.greet()
    script.receive(50, busy(60))
    script.wait(210, out=[ping(1)])
    script.wait(310, out=[ping(2)], events=[SUSPECT])
    return script


def just_in_busy_max():
    script = run_out("busy-just-in-busy-max", "A BUSY in the last millisecond is evidence, and begins a pause of 1 ms.")
    script.receive(349, busy(500), events=[RECOVERED])
    return given_up(script, 350, first=3)


def at_busy_max():
    script = run_out(
        "busy-at-busy-max", "A BUSY at the very moment does not come after it: it is evidence, and its pause ends at once.",
    )
    script.receive(350, busy(500), events=[RECOVERED])
    return given_up(script, 350, first=3)


def just_after_busy_max():
    script = run_out("busy-just-after-busy-max", "A millisecond later it is no evidence, and begins no pause.")
    script.receive(351, busy(500))
    script.wait(410, out=[ping(3)])
    script.wait(509)
    script.wait(510, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def no_busy_max():
    script = Script(
        "busy-max-zero", ["PW-HB-021"], "With a busy_max of 0 no pause lasts; the first BUSY is evidence.", "client",
        busy_max=0,
    )
    script.greet()
    script.receive(50, busy(500))
    script.receive(100, busy(500))
    return given_up(script, 50)


# What a pause does to PINGs and measurements.


def behind_a_packet(name, requirements, about):
    """PING 1 waits from 100 on behind a packet, of which 5 bytes are taken."""
    script = Script(name, requirements, about, "client")
    script.greet()
    raw = by_side(DATA, b"slow", FIRST | CHECKSUM, 2)
    script.room(10, 5)
    script.send(20, b"slow", out=[raw[:5]])
    script.wait(100)
    return script, raw


def ping_withdrawn_by_busy():
    script, raw = behind_a_packet(
        "ping-withdrawn-by-busy", ["PW-HB-020"], "The peer pauses: a PING that waits behind a packet is withdrawn.",
    )
    script.receive(150, busy(300))
    script.room(160, None, out=[raw[5:]])
    return given_up(script, 450)


def ping_withdrawn_by_own_pause():
    script, raw = behind_a_packet(
        "ping-withdrawn-by-own-pause", ["PW-HB-023"],
        "This side pauses: a PING that waits behind a packet is withdrawn.",
    )
    script.command(150, "pause")
    script.room(160, None, out=[raw[5:], own_busy(200)])
    script.command(200, "resume", out=[own_busy(0)])
    return given_up(script, 200)


def unmeasured(script, answered):
    """PONG 1 came then, and was not measured: the wait is 100 still."""
    script.receive(answered, to_side(PONG, u64(1)))
    script.wait(answered + 100, out=[ping(2)])
    script.wait(answered + 199)
    script.wait(answered + 200, out=[ping(3)], events=[SUSPECT])
    return script


def busy_spoils_measurement():
    script = Script(
        "busy-spoils-measurement", ["PW-HB-012", "PW-HB-020"],
        "BUSY comes between PING and PONG: the time between them is no round trip.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.receive(120, busy(50))
    return unmeasured(script, 180)


def own_pause_spoils_measurement():
    script = Script(
        "own-pause-spoils-measurement", ["PW-HB-012", "PW-HB-023"],
        "This side pauses between PING and PONG: the time between them is no round trip.", "client",
    )
    script.greet()
    script.wait(100, out=[ping(1)])
    script.command(120, "pause", out=[own_busy(200)])
    script.command(170, "resume", out=[own_busy(0)])
    return unmeasured(script, 190)


def measured_in_own_pause():
    script = Script(
        "own-pause-spoils-measurement-in-it", ["PW-HB-012", "PW-HB-023"],
        "PING is taken whole while this side pauses: its answer is no measurement.", "client",
    )
    script.greet()
    script.room(90, 5)
    script.wait(100, out=[ping(1)[:5]])
    script.command(120, "pause")
    script.room(130, None, out=[ping(1)[5:], own_busy(200)])
    script.command(170, "resume", out=[own_busy(0)])
    return unmeasured(script, 220)


def probing_goes_on_behind_pause():
    script = Script(
        "busy-evidence-in-force", ["PW-HB-020", "PW-HB-022"],
        "Evidence in a pause neither ends it nor begins a silence: that begins when the pause ends.", "client",
    )
    script.greet()
    script.receive(50, busy(300))
    script.receive(340, to_side(0xC0))
    return given_up(script, 350)


def own_pause_outlasts_busy():
    script = Script(
        "own-pause-outlasts-busy", ["PW-HB-022", "PW-HB-023"],
        "The peer's pause runs out while this side pauses: the silence begins when it reads again.", "client",
    )
    script.greet()
    script.receive(20, busy(50))
    script.command(30, "pause", out=[own_busy(200)])
    script.command(120, "resume", out=[own_busy(0)])
    return given_up(script, 120)


def own_pauses_behind_a_packet():
    script, raw = behind_a_packet(
        "own-pauses-behind-a-packet", ["PW-HB-019"],
        "Pauses begin and end behind a packet that is stuck: the end of one, and the one that goes on, are what waits.",
    )
    for at in (110, 120, 130, 140):
        script.command(at, "pause" if at % 20 else "resume")
    script.command(150, "pause")
    script.room(160, None, out=[raw[5:], own_busy(0), own_busy(200)])
    return script
