"""conversations/acknowledged.json: a transport that can tell what the peer's host has acknowledged (sections 2, 8.3, 9)."""

from .codec import BUSY, CHECKSUM, CLOSE, DATA, FIRST, PING, PONG, u32, u64
from .names import REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side

SUSPECT, RECOVERED = {"suspect": {}}, {"recovered": {}}
PACKET = 20  # bytes of a PING


def build():
    scripts = [
        ping_acknowledged_late(), no_byte_acknowledged(), one_byte_acknowledged(), pong_before_acknowledgement(),
        measured_from_the_front(), slow_ping(), slow_ping_bound(), lumps(), lumps_end(), lump_with_ping(), slow_is_no_round_trip(),
        write_stall_not_acknowledged(), write_stall_of_first(), write_stall_begun_in_pause(),
        write_stall_allowance_shared(), asleep_for_one_of_two_times(), nothing_more(), first_bytes(), later_bytes(), all_bytes(),
        close_not_acknowledged(), close_timeout_runs_on(),
    ]
    return [script.build() for script in scripts]


def ping(n):
    return by_side(PING, u64(n))


def pong(n):
    return to_side(PONG, u64(n))


def out_data(payload):
    return by_side(DATA, payload, FIRST | CHECKSUM, 2)


def fault(reason, received=0):
    return by_side(CLOSE, close_payload(REASONS[reason], received))


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def given_up(script, at):
    script.wait(at - 1)
    script.wait(at, out=[fault("PEER_TIMEOUT")], events=[failed("PEER_TIMEOUT")])
    return script


def telling(name, requirements, about, **config):
    script = Script(name, requirements, about, "client", acknowledges=True, **config)
    script.greet()
    return script


# Probing.


def ping_acknowledged_late():
    script = telling(
        "ping-acknowledged-late", ["PW-HB-010"],
        "The transport takes PING at once; the wait for the answer starts when it is acknowledged.", probes=1,
    )
    script.wait(100, out=[ping(1)])
    script.acknowledge_all(160)
    return given_up(script, 260)


def no_byte_acknowledged():
    script = telling(
        "no-byte-acknowledged", ["PW-HB-011", "PW-HB-012"],
        "A PING that is taken and not acknowledged counts as unanswered, and no other is queued.",
    )
    script.wait(100, out=[ping(1)])
    script.wait(200, events=[SUSPECT])
    script.wait(300)
    return given_up(script, 400)


def one_byte_acknowledged():
    script = telling(
        "one-byte-acknowledged", ["PW-HB-011"],
        "A byte of PING itself is acknowledged: the wait starts again, once for each such wait.", probes=2,
    )
    script.wait(100, out=[ping(1)])
    script.acknowledge(150, script.side.out.taken - PACKET + 1)
    script.wait(200)
    script.wait(300, events=[SUSPECT])
    return given_up(script, 400)


def pong_before_acknowledgement():
    script = telling(
        "pong-before-acknowledgement", ["PW-HB-004", "PW-HB-010"],
        "PONG comes before the acknowledgement of its PING is told, and is measured: the wait is 240.",
    )
    script.wait(100, out=[ping(1)])
    script.receive(180, pong(1))
    script.acknowledge_all(200)
    script.wait(280, out=[ping(2)])
    script.acknowledge_all(280)
    script.wait(519)
    script.wait(520, out=[ping(3)], events=[SUSPECT])
    return script


def measured_from_the_front():
    script = telling(
        "measured-from-the-front", ["PW-HB-012"],
        "The round trip is measured from the acknowledgement of what lies in front of PING: it is 80, the wait 240.",
    )
    script.send(90, b"in front", out=[out_data(b"in front")])
    script.wait(100, out=[ping(1)])
    # Evidence, so that the answer may be late.
    script.receive(150, to_side(0xC0))
    script.acknowledge(160, script.side.out.taken - PACKET)
    script.acknowledge_all(170)
    script.receive(240, pong(1))
    script.wait(340, out=[ping(2)])
    script.acknowledge_all(340)
    script.wait(579)
    script.wait(580, out=[ping(3)], events=[SUSPECT])
    return script


def slow_link(name, about, extension_max=4_000):
    """The timeline of section 8.6 with an `idle` of 2,000: PING 1 goes out behind 30,700 bytes."""
    script = Script(
        name, ["PW-HB-011", "PW-HB-013"], about, "client", {"ping_floor": 2_000, "frame_limit": 32_768, "message_limit": 32_768},
        idle=2_000, interval=2_000, extension_max=extension_max, assembly_rate=1_024, write_stall=30_000,
        acknowledges=True,
    )
    script.greet()
    begins = script.side.out.taken
    script.send(1_000, bytes(30_684), out=[out_data(bytes(30_684))])
    script.wait(2_000, out=[ping(1)])
    return script, begins


def slow_ping():
    script, begins = slow_link(
        "slow-ping", "Of 30,700 bytes and PING behind them 2,048 are acknowledged each second: `slow` carries PING.",
    )
    for second in range(1, 15):
        script.acknowledge(2_000 + 1_000 * second, begins + 2_048 * second)
    script.acknowledge_all(17_000)
    script.wait(18_999)
    script.wait(19_000, out=[ping(2)], events=[SUSPECT])
    script.acknowledge_all(19_000)
    script.wait(21_000, out=[ping(3)])
    script.acknowledge_all(21_000)
    return given_up(script, 23_000)


def slow_ping_bound():
    script, begins = slow_link(
        "slow-ping-bound",
        "A byte is acknowledged now and then: the verdict is put off by extension_max and the 30 s of 30,720 bytes.",
    )
    # 2,000 for each of 17 waits: 4,000 out of extension_max, 30,000 out of `slow`.
    for second in range(1, 18):
        script.acknowledge(2_000 * second + 1_000, begins + 1_000 * second)
    script.acknowledge(37_000, begins + 18_000)
    script.wait(38_000, events=[SUSPECT])
    script.wait(40_000)
    return given_up(script, 42_000)


def lumps():
    script = telling(
        "lumps", ["PW-HB-011"],
        "A byte is acknowledged every 250 ms: the waits that were missed before it count no more, and PING is never given up.",
        probes=3, extension_max=10_000,
    )
    script.wait(100, out=[ping(1)])
    begins = script.side.out.taken - PACKET
    # Two waits are missed, then one starts again: 300 ms of E each time.
    for index in range(8):
        script.wait(200 + 300 * index, events=[SUSPECT] if index == 0 else [])
        script.acknowledge(350 + 300 * index, begins + 1 + index)
        script.wait(400 + 300 * index)
    script.acknowledge_all(2_550)
    script.receive(2_640, pong(1), events=[RECOVERED])
    return script


def lumps_end():
    script = telling(
        "lumps-to-the-limit", ["PW-HB-011", "PW-HB-013"],
        "The same, until E has room for the wait that starts again and not for those that were missed.",
        probes=3, extension_max=250, assembly_rate=200,
    )
    script.wait(100, out=[ping(1)])
    begins = script.side.out.taken - PACKET
    script.wait(200, events=[SUSPECT])
    script.acknowledge(350, begins + 1)
    script.wait(400)
    script.wait(500)
    script.acknowledge(550, begins + 2)
    script.wait(600)
    script.wait(650)
    return given_up(script, 750)


def lump_with_ping():
    script = telling(
        "lump-with-ping", ["PW-HB-010", "PW-HB-011"],
        "PING is acknowledged after two missed waits, which count no more: three more are missed before the end.",
        probes=3, extension_max=10_000,
    )
    script.wait(100, out=[ping(1)])
    script.wait(200, events=[SUSPECT])
    script.wait(300)
    script.acknowledge_all(350)
    script.wait(450, out=[ping(2)])
    script.acknowledge_all(450)
    script.wait(550, out=[ping(3)])
    script.acknowledge_all(550)
    return given_up(script, 650)


def slow_is_no_round_trip():
    script = telling(
        "slow-is-no-round-trip", ["PW-HB-013"],
        "A long round trip takes from extension_max alone, however much was not acknowledged with PING.",
        extension_max=100, assembly_rate=10,
    )
    script.wait(100, out=[ping(1)])
    script.acknowledge_all(100)
    # srtt 80, rttvar 40: the wait is 240, of which extension_max gives 200.
    script.receive(180, pong(1))
    script.wait(280, out=[ping(2)])
    script.acknowledge_all(280)
    script.wait(480, out=[ping(3)], events=[SUSPECT])
    script.acknowledge_all(480)
    script.wait(580, out=[ping(4)])
    script.acknowledge_all(580)
    return given_up(script, 680)


# PW-CLS-015.


def calm_telling(name, requirements, about, peer=(), **config):
    script = calm(name, requirements, about, "client", peer, acknowledges=True, **config)
    script.greet()
    return script


def write_stall_not_acknowledged():
    script = calm_telling(
        "write-stall-not-acknowledged", ["PW-CLS-015"], "What is taken goes away only when it is acknowledged.",
        write_stall=800,
    )
    script.send(20, b"hello", out=[out_data(b"hello")])
    script.wait(819)
    script.wait(820, out=[fault("WRITE_STALL")], events=[failed("WRITE_STALL")])
    return script


def write_stall_of_first():
    script = calm_telling(
        "write-stall-of-first", ["PW-CLS-015"], "What is handed out later gives what went before it no time.",
        write_stall=800,
    )
    script.send(20, b"hello", out=[out_data(b"hello")])
    script.send(500, b"hello", out=[out_data(b"hello")])
    script.wait(819)
    script.wait(820, out=[fault("WRITE_STALL")], events=[failed("WRITE_STALL")])
    return script


def write_stall_begun_in_pause():
    script = calm_telling(
        "write-stall-begun-in-pause", ["PW-CLS-015", "PW-HB-020"],
        "What is handed out while the peer pauses has its whole time behind the pause, which ends at 1,010.", write_stall=800,
    )
    script.receive(10, to_side(BUSY, u32(1_000)))
    script.send(20, b"hello", out=[out_data(b"hello")])
    return stalled(script, 1_810)


def write_stall_allowance_shared():
    script = calm_telling(
        "write-stall-allowance-shared", ["PW-HB-020", "PW-CLS-015"],
        "Both times rest for busy_max in all, also that of bytes which are handed out when a part of it is used up.",
        write_stall=800, assembly_rate=1_000, busy_max=1_000,
    )
    begins = script.side.out.taken
    script.send(0, b"a" * 20, out=[out_data(b"a" * 20)])
    script.receive(100, to_side(BUSY, u32(600)))
    script.send(750, b"b" * 80, out=[out_data(b"b" * 80)])
    # The row of pauses ends, and 400 of busy_max are left.
    script.receive(755, to_side(0xC0))
    script.receive(760, to_side(BUSY, u32(600)))
    script.acknowledge(1_300, begins + 36)
    # It rests for 400, and for 60 more when the allowance is full again.
    return stalled(script, 750 + 800 + 36 + 96 + 400 + 60)


def asleep_for_one_of_two_times():
    script = calm_telling(
        "asleep-for-one-of-two-times", ["PW-TIM-001", "PW-CLS-015"],
        "One of the two times ran out long ago, and the other just now: both begin anew.",
        {"frame_limit": 16_384, "message_limit": 16_384}, write_stall=800, assembly_rate=32,
    )
    # They end at 820 and at 64,820.
    script.send(20, bytes(2_032), out=[out_data(bytes(2_032))])
    script.wait(64_900, out=[ping(1)], late=True)
    return stalled(script, 65_700)


def example(name, about):
    """The example of section 9: 10,240 bytes at 0, 2,048 at 5,000, when 4,096 are acknowledged."""
    script = calm_telling(
        name, ["PW-CLS-015"], about, {"frame_limit": 16_384, "message_limit": 16_384}, write_stall=30_000,
        assembly_rate=1_024,
    )
    begins = script.side.out.taken
    script.send(0, bytes(10_224), out=[out_data(bytes(10_224))])
    script.acknowledge(5_000, begins + 4_096)
    script.send(5_000, bytes(2_032), out=[out_data(bytes(2_032))])
    return script, begins


def stalled(script, at):
    script.wait(at - 1)
    script.wait(at, out=[fault("WRITE_STALL")], events=[failed("WRITE_STALL")])
    return script


def nothing_more():
    script, _ = example("acknowledged-nothing-more", "The example of section 9: nothing is acknowledged after 5,000.")
    return stalled(script, 35_000)


def first_bytes():
    script, begins = example("acknowledged-first-bytes", "The first 10,240 bytes have to be acknowledged by 40,000.")
    script.acknowledge(34_000, begins + 10_239)
    return stalled(script, 40_000)


def later_bytes():
    script, begins = example("acknowledged-later-bytes", "The others have to be acknowledged by 43,000.")
    script.acknowledge(34_000, begins + 10_239)
    script.acknowledge(39_999, begins + 12_287)
    return stalled(script, 43_000)


def all_bytes():
    script, begins = example("acknowledged-in-time", "All of them are, in the last millisecond, and time ends there.")
    script.acknowledge(34_999, begins + 10_240)
    script.acknowledge(42_999, begins + 12_288)
    script.wait(59_000)
    return script


# PW-CLS-007.


def close_not_acknowledged():
    script = calm_telling(
        "close-timeout-acknowledged", ["PW-CLS-007"],
        "CLOSE is taken at once, and what lies in front of it is acknowledged slowly: each time gives 500 ms.",
    )
    begins = script.side.out.taken
    script.send(5, bytes(400), out=[out_data(bytes(400))])
    script.close(10, out=[by_side(CLOSE, close_payload(1))])
    script.acknowledge(400, begins + 100)
    script.acknowledge(800, begins + 200)
    script.wait(1_299)
    script.wait(1_300, events=[failed("CLOSE_TIMEOUT")])
    return script


def close_timeout_runs_on():
    script = calm_telling(
        "close-timeout-nothing-acknowledged", ["PW-CLS-007"], "Nothing is: CLOSE has 500 ms since it was handed out.",
    )
    script.send(5, bytes(400), out=[out_data(bytes(400))])
    script.close(10, out=[by_side(CLOSE, close_payload(1))])
    script.wait(509)
    script.wait(510, events=[failed("CLOSE_TIMEOUT")])
    return script
