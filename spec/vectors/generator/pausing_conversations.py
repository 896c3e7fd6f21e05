"""conversations/pausing.json: BUSY of the peer, and of this side (section 8.4)."""

from .codec import BUSY, CLOSE, DATA, FIRST, PING, PONG, u32, u64
from .names import REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side

SUSPECT, RECOVERED = {"suspect": {}}, {"recovered": {}}


def build():
    scripts = [
        honoured(), renewed(), shortened(), ended_by_zero(), other_packets_go_on(), while_probing(), exhausted(),
        exhausted_then_heard(), exhausted_then_zero(), own_pause(), own_pause_renewed(), own_pause_stalls(),
        own_pause_write_stall(),
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
