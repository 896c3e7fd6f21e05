"""conversations/messages.json: messages and their refusal, gaps, and kinds to come (sections 3, 5 and 6)."""

from .codec import CHECKSUM, CLOSE, DATA, ENCRYPTED, FIRST, LIMIT, MORE, PING, PONG, REJECT, item, u16, u64
from .names import REASONS, REJECT_REASONS
from .script import by_side, calm, close_payload, ended, to_side

NOISE = bytes.fromhex("00112233445566778899aabbccddeeff")
ROOM = 3


def build():
    scripts = [
        sent(), cut_at_frame_limit(), ping_between_frames(), interleaved(), too_large(), too_large_last_frame(),
        damaged_message(), dropped_message(), gap_after_gap(), budget_window(), budget_exceeded(), too_many_rejects(),
        sixteen_rejects(), rejected(), rejected_too_early(), rejected_of_nothing(), unknown_things(), unknown_kind(),
        frame_too_large(), reject_ahead_of_messages(),
        frame_sent(), frame_sent_above(), classes_take_turns(), classes_take_turns_in_bytes(), turns_of_long_messages(),
        damaged_frames(), budget_at_window_end(), budget_in_next_window(), row_over_two_windows(), dropped_in_window(),
        ordinals_of_classes(), ordinals_after_noise(),
    ]
    return [script.build() for script in scripts]


def data(payload, flags=FIRST, message_class=2, **faults):
    return to_side(DATA, payload, flags, message_class, **faults)


def checked(payload, flags=FIRST, message_class=2, **faults):
    return data(payload, flags | CHECKSUM, message_class, **faults)


def message(payload, message_class=2, encrypted=False):
    repeated = [{"repeat": payload[:1].hex(), "times": len(payload)}] if len(payload) >= 32 else payload.hex()
    return {"message": {"class": message_class, "encrypted": encrypted, "payload": repeated}}


def gap(skipped, message_lost=False):
    return {"gap": {"skipped": skipped, "message_lost": message_lost}}


def out_data(payload, flags=FIRST, message_class=2):
    return by_side(DATA, payload, flags | CHECKSUM, message_class)


def out_reject(ordinal, reason, message_class=2):
    return by_side(REJECT, u64(ordinal) + u16(REJECT_REASONS[reason]) + bytes([message_class]))


def fault(reason, received=0, items=b""):
    return by_side(CLOSE, close_payload(REASONS[reason], received, None, items))


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def sent():
    script = calm(
        "sent", ["PW-DAT-001", "PW-DAT-012", "PW-FRM-007"],
        "Messages of several classes, with checksums, since the peer asked for them.", "client",
    )
    script.greet()
    script.send(10, b"hello", 0, out=[out_data(b"hello", message_class=0)])
    script.send(20, b"", 255, out=[out_data(b"", message_class=255)])
    script.send(30, b"sealed", 4, True, out=[out_data(b"sealed", FIRST | ENCRYPTED, 4)])
    return script


def frames(payload):
    return [out_data(payload[:512], FIRST | MORE), out_data(payload[512:1_024], MORE), out_data(payload[1_024:], 0)]


def cut_at_frame_limit():
    script = calm(
        "cut-at-frame-limit", ["PW-DAT-002", "PW-DAT-009"],
        "A message above the peer's frame limit goes in several frames.", "client",
    )
    script.greet()
    script.send(10, b"a" * 512, out=[out_data(b"a" * 512)])
    script.send(20, b"b" * 1_100, out=frames(b"b" * 1_100))
    return script


def ping_between_frames():
    script = calm(
        "pong-between-frames", ["PW-HB-015", "PW-DAT-010"],
        "PONG goes out at the next packet boundary, ahead of the rest of a message.",
        "client", {"message_limit": 8_192},
    )
    script.greet()
    first, second, *_ = [out_data(b"c" * 512, FIRST | MORE), out_data(b"c" * 512, MORE)]
    script.room(10, 100)
    script.send(20, b"c" * 2_560, out=[first[:100]])
    script.receive(30, to_side(PING, u64(1)))
    script.room(40, None, out=[
        first[100:], by_side(PONG, u64(1)), second, second, second, out_data(b"c" * 512, 0),
    ])
    return script


def interleaved():
    script = calm(
        "interleaved-classes", ["PW-DAT-006", "PW-DAT-010"],
        "Whole messages of another class, and PING, come between frames.",
    )
    script.greet()
    script.receive(10, data(b"abc", FIRST | MORE))
    script.receive(20, data(b"now", FIRST, ROOM), events=[message(b"now", ROOM)])
    script.receive(30, to_side(PING, u64(1)), out=[by_side(PONG, u64(1))])
    script.receive(40, data(b"def", 0), events=[message(b"abcdef")])
    script.receive(
        50, data(b"abc", FIRST | MORE), data(b"x", FIRST, 2), out=[fault("BAD_FRAGMENT", 2)],
        events=[failed("BAD_FRAGMENT", 2)],
    )
    return script


FULL = b"f" * 512


def told_too_large(ordinal):
    return {"too_large": {"class": 2, "ordinal": ordinal, "limit": 1_024}}


def too_large():
    script = calm(
        "too-large", ["PW-DAT-008", "PW-REJ-001", "PW-REJ-004"],
        "A message grows above the limit: it is refused, passed over, and the next one is taken.",
    )
    script.greet()
    script.receive(10, data(b"first"), events=[message(b"first")])
    begin, middle, last = data(FULL, FIRST | MORE), data(FULL, MORE), data(b"end", 0)
    script.receive(20, begin, middle)
    # Its header alone decides.
    script.receive(30, middle[:12], out=[out_reject(2, "TOO_LARGE")], events=[told_too_large(2)])
    script.receive(40, middle[12:], middle, data(b"now", FIRST, ROOM), events=[message(b"now", ROOM)])
    script.receive(50, last)
    script.receive(60, data(b"next"), events=[message(b"next")])
    script.receive(70, *[begin, middle, last], out=[out_reject(4, "TOO_LARGE")], events=[told_too_large(4)])
    script.close(80, out=[by_side(CLOSE, close_payload(1, 3))])
    return script


def too_large_last_frame():
    script = calm(
        "too-large-then-continuation", ["PW-REJ-004", "PW-DAT-007"], "A refused message ends with its last frame.",
    )
    script.greet()
    begin, middle, last = data(FULL, FIRST | MORE), data(FULL, MORE), data(b"end", 0)
    script.receive(10, begin, middle, last, out=[out_reject(1, "TOO_LARGE")], events=[told_too_large(1)])
    script.receive(20, last, out=[fault("BAD_FRAGMENT")], events=[failed("BAD_FRAGMENT")])
    return script


def damaged_message():
    script = calm(
        "damaged-message", ["PW-FRM-009", "PW-FRM-010", "PW-REJ-003"],
        "Noise inside a message: it is refused, the rest of it passed over.", resync=True,
    )
    script.greet()
    script.receive(10, checked(b"abc", FIRST | MORE))
    script.receive(
        20, NOISE, checked(b"def", MORE), out=[out_reject(1, "DAMAGED")], events=[gap(16, True)],
    )
    script.receive(30, checked(b"ghi", 0))
    script.receive(40, checked(b"next"), events=[message(b"next")])
    script.receive(50, checked(b"abc", FIRST | MORE), checked(b"def", 0), events=[message(b"abcdef")])
    return script


def dropped_message():
    script = calm(
        "dropped-message", ["PW-FRM-006", "PW-REJ-002", "PW-REJ-003"],
        "A dropped packet destroys two messages: the open one is refused first.", resync=True,
    )
    script.greet()
    script.receive(10, checked(b"one"), checked(b"abc", FIRST | MORE), events=[message(b"one")])
    bad = checked(b"x", FIRST, ROOM, trailer_fault=1)
    script.receive(
        20, bad, out=[out_reject(2, "DAMAGED"), out_reject(1, "DAMAGED", ROOM)], events=[gap(17, True)],
    )
    script.receive(30, checked(b"four"), events=[message(b"four")])
    script.receive(40, bad, out=[out_reject(2, "DAMAGED", ROOM)], events=[gap(17)])
    return script


def gap_after_gap():
    script = calm(
        "ordinal-unknown", ["PW-REJ-002"],
        "After skipped bytes nobody can count any more: the ordinal is 0.", resync=True,
    )
    script.greet()
    script.receive(10, checked(b"one"), NOISE, checked(b"two"), events=[message(b"one"), gap(16), message(b"two")])
    bad = checked(b"x", FIRST, ROOM, trailer_fault=1)
    script.receive(20, bad, out=[out_reject(0, "DAMAGED", ROOM)], events=[gap(17)])
    return script


def budget_window():
    script = calm(
        "budget-window", ["PW-FRM-011"], "Sixteen gaps, and sixteen more when the window of 60 s is over.", resync=True,
    )
    script.greet()
    for start in (1_000, 61_000):
        for index in range(16):
            script.receive(start + index, b"\x00", checked(b"x"), events=[gap(1), message(b"x")])
    return script


def budget_exceeded():
    script = calm(
        "budget-exceeded", ["PW-FRM-011"], "The seventeenth gap in the last millisecond of a window.", resync=True,
    )
    script.greet()
    for index in range(16):
        script.receive(1_000 + index, b"\x00", checked(b"x"), events=[gap(1), message(b"x")])
    script.receive(
        60_999, b"\x00", checked(b"x"), out=[fault("RESYNC_BUDGET", 16)], events=[failed("RESYNC_BUDGET", 16)],
    )
    return script


def refusing(name, requirements, about, count):
    script = calm(name, requirements, about, peer={"message_limit": 8_192})
    script.greet()
    script.room(10, 0)
    script.send(20, b"w" * 100)
    large = [data(FULL, FIRST | MORE), data(FULL, MORE), data(b"end", 0)]
    for ordinal in range(1, count + 1):
        script.receive(20 + 10 * ordinal, *large, events=[told_too_large(ordinal)])
    return script, large


def sixteen_rejects():
    script, _ = refusing(
        "sixteen-rejects", ["PW-REJ-005", "PW-REJ-006"],
        "Sixteen REJECT wait behind a stalled packet, and go out in order.", 16,
    )
    rejects = [out_reject(ordinal, "TOO_LARGE") for ordinal in range(1, 17)]
    script.room(500, None, out=[out_data(b"w" * 100), *rejects])
    return script


def too_many_rejects():
    script, large = refusing("too-many-rejects", ["PW-REJ-006"], "The seventeenth would have to wait, too.", 16)
    script.receive(500, *large, events=[failed("MESSAGE_TOO_LARGE")])
    return script


def reject_ahead_of_messages():
    script = calm(
        "reject-ahead-of-messages", ["PW-REJ-005"],
        "REJECT overtakes the rest of a message, and goes out behind CLOSE of its sender.",
        peer={"message_limit": 8_192},
    )
    script.greet()
    begin, middle = out_data(b"m" * 512, FIRST | MORE), out_data(b"m" * 512, MORE)
    large = [data(FULL, FIRST | MORE), data(FULL, MORE), data(b"end", 0)]
    script.room(10, 100)
    script.send(20, b"m" * 2_560, out=[begin[:100]])
    script.receive(30, *large, events=[told_too_large(1)])
    script.room(40, None, out=[
        begin[100:], out_reject(1, "TOO_LARGE"), middle, middle, middle, out_data(b"m" * 512, 0),
    ])
    script.close(50, out=[by_side(CLOSE, close_payload(1))])
    script.receive(60, *large, out=[out_reject(2, "TOO_LARGE")], events=[told_too_large(2)])
    return script


def reject(ordinal, reason, message_class=2):
    return to_side(REJECT, u64(ordinal) + u16(reason) + bytes([message_class]))


def told_rejected(ordinal, reason, message_class=2):
    return {"rejected": {"class": message_class, "ordinal": ordinal, "reason": reason}}


def rejected():
    script = calm(
        "rejected", ["PW-REJ-007"], "The peer refuses messages of this side, for reasons known and not.", "client",
    )
    script.greet()
    for at, word in ((10, b"one"), (12, b"two"), (14, b"three"), (16, b"four")):
        script.send(at, word, out=[out_data(word)])
    for at, (ordinal, reason) in zip((30, 40, 50, 60), [(1, 1), (3, 2), (0, 2), (4, 40_000)]):
        script.receive(at, reject(ordinal, reason), events=[told_rejected(ordinal, reason)])
    script.send(70, b"five", out=[out_data(b"five")])
    return script


def rejected_too_early():
    script = calm(
        "rejected-while-begun", ["PW-REJ-008"],
        "A message that was begun may be refused; the one behind it not yet.", "client", {"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"r" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"r" * 2_560, out=[begin[:100]])
    script.send(30, b"s" * 2_560)
    script.receive(40, reject(1, 1), events=[told_rejected(1, 1)])
    script.receive(50, reject(2, 1), events=[failed("BAD_COUNT")])
    return script


def rejected_of_nothing():
    script = calm("rejected-of-nothing", ["PW-REJ-008"], "Nothing was sent that could be refused.", "client")
    script.greet()
    script.receive(10, reject(1, 1), out=[fault("BAD_COUNT")], events=[failed("BAD_COUNT")])
    return script


def unknown_things():
    script = calm("unknown-kinds", ["PW-HDR-008", "PW-HDR-009"], "Ignorable kinds are passed over.")
    script.greet()
    script.receive(10, to_side(0x80), to_side(0xC0, b"x" * 512), to_side(0xFF, b"y", CHECKSUM))
    script.receive(20, data(b"hello"), events=[message(b"hello")])
    script.receive(30, to_side(0xC0, b"x", FIRST), out=[fault("BAD_PACKET", 1)], events=[failed("BAD_PACKET", 1)])
    return script


def unknown_kind():
    script = calm(
        "unknown-kind", ["PW-HDR-007", "PW-FRM-016"], "An unknown critical kind; what follows is not acted on.",
    )
    script.greet()
    script.receive(
        10, to_side(0x0B, bytes(8)), data(b"late"), out=[fault("UNKNOWN_KIND")], events=[failed("UNKNOWN_KIND")],
    )
    return script


def frame_too_large():
    script = calm("frame-too-large", ["PW-FRM-012"], "A header alone, of a frame above the limit.")
    script.greet()
    limit = item(LIMIT, u64(512) + u64(513))
    raw = data(bytes(513))[:12]
    script.receive(10, raw, out=[fault("FRAME_TOO_LARGE", 0, limit)], events=[failed("FRAME_TOO_LARGE")])
    return script


# Frames of this side.


def frame_sent():
    script = calm(
        "frame-sent", ["PW-DAT-009"], "This side's own largest frame is smaller than the peer's limit.", "client",
        {"frame_limit": 65_536, "message_limit": 65_536}, frame_sent=512,
    )
    script.greet()
    script.send(10, b"a" * 512, out=[out_data(b"a" * 512)])
    script.send(20, b"b" * 1_100, out=frames(b"b" * 1_100))
    return script


def frame_sent_above():
    script = calm(
        "frame-sent-above-limit", ["PW-DAT-009"], "It is larger: the peer's limit decides.", "client", frame_sent=600,
    )
    script.greet()
    script.send(10, b"b" * 1_100, out=frames(b"b" * 1_100))
    return script


def turns(name, about, messages, out):
    """Of a message of class 2 in frames of 528, 528 and 92 bytes, 100 bytes are out when others come to wait."""
    script = calm(name, ["PW-DAT-014", "PW-DAT-015"], about, "client")
    script.greet()
    begin, middle, end = frames(b"m" * 1_100)
    script.room(10, 100)
    script.send(20, b"m" * 1_100, out=[begin[:100]])
    for message_class, payload in messages:
        script.send(30, payload, message_class)
    named = {"begin": begin[100:], "middle": middle, "end": end}
    script.room(40, None, out=[named[part] if isinstance(part, str) else part for part in out])
    return script


def classes_take_turns():
    full, small = b"f" * 512, b"small"
    return turns(
        "classes-take-turns", "Messages of another class go between the frames, one at a time: as long as the frame before.",
        [(ROOM, full), (ROOM, small)],
        ["begin", out_data(full, message_class=ROOM), "middle", out_data(small, message_class=ROOM), "end"],
    )


def classes_take_turns_in_bytes():
    one, other = b"o" * 300, b"t" * 300
    return turns(
        "classes-take-turns-in-bytes",
        "Two of 316 bytes would be more than the frame before: the second one waits for the next.",
        [(ROOM, one), (4, other)],
        ["begin", out_data(one, message_class=ROOM), "middle", out_data(other, message_class=4), "end"],
    )


def turns_of_long_messages():
    long, last = b"l" * 600, b"last"
    return turns(
        "long-messages-wait", "A message in frames waits until the open one has ended, and its class keeps its order.",
        [(ROOM, long), (ROOM, last)],
        [
            "begin", "middle", "end", out_data(long[:512], FIRST | MORE, ROOM), out_data(long[512:], 0, ROOM),
            out_data(last, message_class=ROOM),
        ],
    )


# Damage.


def damaged_frames():
    script = calm(
        "damaged-frames", ["PW-FRM-011", "PW-FRM-006"],
        "One bit of a full frame is wrong: that is survived sixteen times, and the seventeenth gap ends it.",
        resync=True, frame_limit=16_384, message_limit=16_384,
    )
    script.greet()
    full = bytearray(checked(b"d" * 16_384))
    full[5_000] ^= 0x10
    for n in range(1, 17):
        script.receive(100 * n, bytes(full), out=[out_reject(n, "DAMAGED")], events=[gap(16_400)])
    script.receive(2_000, checked(b"fine"), events=[message(b"fine")])
    script.receive(2_100, bytes(full), out=[fault("RESYNC_BUDGET", 1)], events=[failed("RESYNC_BUDGET", 1)])
    return script


def noisy(name, about):
    """Since 1,000 a window lasts, in which 65,536 bytes were skipped."""
    script = calm(name, ["PW-FRM-011"], about, resync=True)
    script.greet()
    script.receive(1_000, bytes(65_536), checked(b"x"), events=[gap(65_536), message(b"x")])
    return script


def budget_at_window_end():
    script = noisy("budget-at-window-end", "A byte more in the last millisecond of the window.")
    script.receive(60_999, b"\x00", checked(b"x"), out=[fault("RESYNC_BUDGET", 1)], events=[failed("RESYNC_BUDGET", 1)])
    return script


def budget_in_next_window():
    script = noisy("budget-in-next-window", "A millisecond later another window begins, with all of its budget.")
    script.receive(61_000, bytes(65_536), checked(b"x"), events=[gap(65_536), message(b"x")])
    script.receive(120_999, b"\x00", checked(b"x"), out=[fault("RESYNC_BUDGET", 2)], events=[failed("RESYNC_BUDGET", 2)])
    return script


def row_over_two_windows():
    script = calm(
        "row-over-two-windows", ["PW-FRM-011"],
        "Bytes are skipped in a row, and the window ends: the next one begins with a byte, and no gap.", resync=True,
        assembly_base=100_000,
    )
    script.greet()
    # Of 30 zeros the last eleven may be the begin of a header, and are not skipped yet.
    script.receive(1_000, bytes(30))
    script.receive(10_000, bytes(30))
    script.wait(60_000, out=[by_side(PING, u64(1))])
    script.receive(61_000, bytes(30), checked(b"x"), events=[gap(90), message(b"x")])
    for n in range(16):
        script.receive(62_000 + n, b"\x00", checked(b"x"), events=[gap(1), message(b"x")])
    script.receive(
        120_999, b"\x00", checked(b"x"), out=[fault("RESYNC_BUDGET", 17)], events=[failed("RESYNC_BUDGET", 17)],
    )
    return script


def dropped_in_window():
    script = calm(
        "dropped-when-complete", ["PW-FRM-011"],
        "A dropped packet counts when its last byte has come: the window begins then.", resync=True,
    )
    script.greet()
    bad = checked(b"x", trailer_fault=1)
    script.receive(1_000, bad[:-1])
    script.receive(2_000, bad[-1:], out=[out_reject(1, "DAMAGED")], events=[gap(17)])
    for n in range(15):
        script.receive(3_000 + n, b"\x00", checked(b"x"), events=[gap(1), message(b"x")])
    script.receive(
        61_999, b"\x00", checked(b"x"), out=[fault("RESYNC_BUDGET", 15)], events=[failed("RESYNC_BUDGET", 15)],
    )
    return script


# Ordinals.


def ordinals_of_classes():
    script = calm(
        "ordinals-of-classes", ["PW-REJ-002"], "Messages are counted for each class, and begun ones among them.",
        resync=True,
    )
    script.greet()
    bad = checked(b"x", FIRST, ROOM, trailer_fault=1)
    script.receive(10, checked(b"a"), checked(b"b", FIRST, ROOM), events=[message(b"a"), message(b"b", ROOM)])
    script.receive(20, checked(b"c", FIRST | MORE), bad, out=[
        out_reject(2, "DAMAGED"), out_reject(2, "DAMAGED", ROOM),
    ], events=[gap(17, True)])
    bad_of_another = checked(b"x", FIRST, 255, trailer_fault=1)
    script.receive(30, bad_of_another, out=[out_reject(1, "DAMAGED", 255)], events=[gap(17)])
    script.receive(40, bad, out=[out_reject(3, "DAMAGED", ROOM)], events=[gap(17)])
    return script


def ordinals_after_noise():
    script = calm(
        "ordinals-after-noise", ["PW-REJ-002", "PW-REJ-003"],
        "Bytes are skipped while a message is open: it keeps its number, and each class counts no more.", resync=True,
    )
    script.greet()
    script.receive(10, checked(b"a"), checked(b"c", FIRST | MORE), events=[message(b"a")])
    bad = checked(b"x", FIRST, 255, trailer_fault=1)
    script.receive(20, NOISE, bad, out=[out_reject(2, "DAMAGED"), out_reject(0, "DAMAGED", 255)], events=[
        gap(16, True), gap(17),
    ])
    script.receive(30, checked(b"x", FIRST, trailer_fault=1), out=[out_reject(0, "DAMAGED")], events=[gap(17)])
    return script
