"""framing.json: streams after the handshake, and what a receiver makes of them (sections 5 and 6)."""

from .codec import CHECKSUM, DATA, ENCRYPTED, FIRST, HELLO, HELLO_ACK, KEY, MORE, PING, header, packet, u32
from .hello_vectors import MINIMAL
from .stream import Vectors, checked, data, gap, message, ping, refused

SYSTEM, COMMUNICATION, ROOM = 1, 2, 3
NOISE = bytes.fromhex("00112233445566778899aabbccddeeff")
WRONG = 0x00000001


def build():
    vectors = Vectors("framing")
    whole_messages(vectors)
    other_packets(vectors)
    fragments(vectors)
    bad_fragments(vectors)
    limits(vectors)
    trailers(vectors)
    skipping(vectors)
    dropping(vectors)
    crafted_payloads(vectors)
    gaps_in_messages(vectors)
    too_large(vectors)
    damaged(vectors)
    budget(vectors)
    return vectors.list


def whole_messages(vectors):
    hello, events = data(b"hello"), [message(b"hello")]
    vectors.add("one-message", ["PW-HDR-001", "PW-DAT-001"], [hello], events)
    vectors.add(
        "glued-messages", ["PW-FRM-001", "PW-DAT-011"],
        [hello, data(b"a", message_class=0), data(b"b", message_class=200), data(b"c")],
        [message(b"hello"), message(b"a", 0), message(b"b", 200), message(b"c")],
    )
    vectors.add("empty-message", ["PW-DAT-001"], [data(b""), hello], [message(b""), message(b"hello")])
    vectors.add("checksum", ["PW-HDR-012"], [checked(b"hello"), hello], events * 2)
    vectors.add("checksum-of-empty-message", ["PW-HDR-012", "PW-DAT-001"], [checked(b"")], [message(b"")])
    vectors.add("encrypted", ["PW-DAT-012"], [data(b"x", FIRST | ENCRYPTED)], [message(b"x", encrypted=True)])
    vectors.add("payload-holds-packet", ["PW-HDR-001"], [data(hello), hello], [message(hello), message(b"hello")])
    vectors.add("partial-header-at-end", ["PW-FRM-001"], [hello, hello[:11]], events)
    vectors.add("partial-payload-at-end", ["PW-FRM-001", "PW-DAT-002"], [hello, hello[:-1]], events)
    vectors.add("partial-trailer-at-end", ["PW-HDR-012"], [hello, checked(b"hello")[:-1]], events)


def other_packets(vectors):
    hello, events = data(b"hello"), [message(b"hello")]
    vectors.add(
        "pings", ["PW-HB-007"], [ping(1), hello, ping(2, flags=CHECKSUM), ping(900)],
        [{"ping": 1}, *events, {"ping": 2}, {"ping": 900}],
    )
    ignorable = [packet(0x80, b""), packet(0xC0, hello), packet(0xFF, hello, CHECKSUM)]
    vectors.add("ignorable-kinds", ["PW-HDR-008"], [*ignorable, hello], events)
    vectors.add("unknown-kind", ["PW-HDR-007"], [hello, packet(0x0B, bytes(8))], events, "UNKNOWN_KIND")
    vectors.add("unknown-flag", ["PW-HDR-005"], [hello, data(b"x", FIRST | 0x10)], events, "UNKNOWN_FLAG")
    vectors.add("control-length-at-header", ["PW-HDR-014"], [hello, header(PING, 9)], events, "BAD_LENGTH")
    vectors.add("nothing-after-a-fault", ["PW-FRM-016"], [packet(0x0B), hello, ping(1)], [], "UNKNOWN_KIND")
    unexpected = "UNEXPECTED_PACKET"
    vectors.add("hello-again", ["PW-HS-013"], [hello, packet(HELLO, MINIMAL)], events, unexpected)
    vectors.add("hello-ack-again", ["PW-HS-013"], [hello, packet(HELLO_ACK, MINIMAL)], events, unexpected)
    vectors.add("hello-again-with-key-0", ["PW-KEY-003"], [packet(HELLO, MINIMAL, key=0)], [], "BAD_HEADER")


def fragments(vectors):
    begin, end = data(b"abc", FIRST | MORE), data(b"ghi", 0)
    whole = [message(b"abcghi")]
    vectors.add("two-fragments", ["PW-DAT-002"], [begin, end], whole)
    vectors.add("three-fragments", ["PW-DAT-002"], [begin, data(b"def", MORE), end], [message(b"abcdefghi")])
    vectors.add("last-fragment-empty", ["PW-DAT-002", "PW-DAT-004"], [begin, data(b"", 0)], [message(b"abc")])
    vectors.add("open-at-end", ["PW-DAT-002"], [begin, data(b"def", MORE)], [])
    vectors.add("checksum-on-one-fragment", ["PW-HDR-012", "PW-DAT-003"], [begin, checked(b"ghi", 0)], whole)
    vectors.add(
        "two-messages-in-fragments", ["PW-DAT-002", "PW-DAT-011"],
        [begin, end, data(b"x", FIRST | MORE | ENCRYPTED, ROOM), data(b"y", ENCRYPTED, ROOM)],
        [*whole, message(b"xy", ROOM, encrypted=True)],
    )
    vectors.add(
        "other-class-between", ["PW-DAT-006"],
        [begin, data(b"urgent", message_class=SYSTEM), data(b"def", MORE), data(b"", message_class=0), end],
        [message(b"urgent", SYSTEM), message(b"", 0), message(b"abcdefghi")],
    )
    vectors.add(
        "control-between", ["PW-DAT-010", "PW-HDR-008"], [begin, ping(1), packet(0xC0, b"?"), ping(2), end],
        [{"ping": 1}, {"ping": 2}, *whole],
    )


def bad_fragments(vectors):
    begin, end = data(b"abc", FIRST | MORE), data(b"ghi", 0)

    def refuse(name, requirement, *parts, events=()):
        vectors.add(name, [requirement], list(parts), list(events), "BAD_FRAGMENT")

    refuse("class-changes", "PW-DAT-003", begin, data(b"ghi", 0, ROOM))
    refuse("encrypted-appears", "PW-DAT-003", begin, data(b"ghi", ENCRYPTED))
    refuse("encrypted-disappears", "PW-DAT-003", data(b"abc", FIRST | MORE | ENCRYPTED), end)
    refuse("first-with-more-empty", "PW-DAT-004", data(b"", FIRST | MORE))
    refuse("continuation-with-more-empty", "PW-DAT-004", begin, data(b"", MORE))
    refuse("first-twice", "PW-DAT-005", begin, begin)
    refuse("first-twice-other-class", "PW-DAT-005", begin, data(b"x", FIRST | MORE, ROOM))
    refuse("same-class-between", "PW-DAT-006", begin, data(b"x"), end)
    refuse("last-without-first", "PW-DAT-007", end)
    refuse("more-without-first", "PW-DAT-007", data(b"def", MORE))
    refuse("last-twice", "PW-DAT-007", begin, end, end, events=[message(b"abcghi")])
    vectors.resync("last-without-first-no-gap", ["PW-DAT-007"], [checked(b"ghi", 0)], [], "BAD_FRAGMENT")


def limits(vectors):
    full, small = b"a" * 512, {"frame_limit": 512, "message_limit": 1024}
    begin, middle = data(full, FIRST | MORE), data(full, MORE)
    vectors.add("frame-at-limit", ["PW-FRM-012"], [data(full)], [message(full)], **small)
    vectors.add("frame-above-limit", ["PW-FRM-012"], [header(DATA, 513, FIRST, 2)], [], "FRAME_TOO_LARGE", **small)
    vectors.add("message-at-limit", ["PW-DAT-008"], [begin, data(full, 0)], [message(full * 2)], **small)
    vectors.add(
        "message-at-limit-empty-end", ["PW-DAT-008"], [begin, middle, data(b"", 0)], [message(full * 2)], **small
    )
    vectors.add(
        "other-class-not-counted", ["PW-DAT-006", "PW-DAT-008"],
        [begin, data(full, message_class=ROOM), data(full, 0)], [message(full, ROOM), message(full * 2)], **small,
    )


def trailers(vectors):
    hello, events = checked(b"hello"), [message(b"hello")]
    wrong = "PAYLOAD_CHECKSUM"
    vectors.add("wrong-trailer", ["PW-HDR-013"], [hello, checked(b"x", trailer_fault=WRONG), hello], events, wrong)
    vectors.add("wrong-trailer-of-nothing", ["PW-HDR-013"], [checked(b"", trailer_fault=WRONG)], [], wrong)
    vectors.add("wrong-trailer-of-ping", ["PW-HDR-013"], [ping(1, flags=CHECKSUM, trailer_fault=WRONG)], [], wrong)
    ignorable = packet(0xC0, b"x", CHECKSUM, trailer_fault=WRONG)
    vectors.add("wrong-trailer-of-ignorable", ["PW-HDR-013"], [ignorable], [], wrong)
    vectors.resync("checksum-required", ["PW-FRM-008"], [hello, data(b"x"), hello], events, "CHECKSUM_REQUIRED")
    order = ["PW-HDR-017", "PW-FRM-008"]
    vectors.resync("checksum-required-before-fragments", order, [hello, data(b"", MORE)], events, "CHECKSUM_REQUIRED")
    large = header(DATA, 65_537, FIRST, COMMUNICATION)
    vectors.resync("frame-limit-before-checksum-required", order, [hello, large], events, "FRAME_TOO_LARGE")
    vectors.resync(
        "checksum-required-of-data-only", ["PW-FRM-008"], [ping(1), packet(0xC0, b"x"), hello], [{"ping": 1}, *events]
    )


def skipping(vectors):
    hello, events = data(b"hello"), [message(b"hello")]
    vectors.add("noise-first-without-resync", ["PW-FRM-002"], [NOISE, hello], [], "BAD_HEADER")
    vectors.add("noise-between-without-resync", ["PW-FRM-002"], [hello, NOISE, hello], events, "BAD_HEADER")

    hello = checked(b"hello")
    vectors.resync("noise-first", ["PW-FRM-005"], [NOISE, hello], [gap(16), *events])
    vectors.resync(
        "noise-between", ["PW-FRM-005"], [hello, NOISE, hello, NOISE[:1], ping(1)],
        [*events, gap(16), *events, gap(1), {"ping": 1}],
    )
    vectors.resync("noise-ends-like-magic", ["PW-FRM-005"], [b"\xf7\x9a\xf7", hello], [gap(3), *events])
    header_with_wrong_key = header(DATA, 5, FIRST | CHECKSUM, 2, key=KEY ^ 1)
    vectors.resync("noise-is-header-with-wrong-key", ["PW-FRM-005"], [header_with_wrong_key, hello], [gap(12), *events])
    damaged = b"\xf7\x9a\x04\x05\x02\x00\x00\x0d" + hello[8:]
    vectors.resync("length-damaged", ["PW-FRM-005"], [hello, damaged, hello], [*events, gap(21), *events])
    vectors.resync(
        "header-cut-short", ["PW-FRM-005"], [hello, hello[:7], hello[8:], hello], [*events, gap(20), *events]
    )
    vectors.resync("unknown-kind-with-resync", ["PW-HDR-007"], [hello, packet(0x0B)], events, "UNKNOWN_KIND")


def dropping(vectors):
    hello, events = checked(b"hello"), [message(b"hello")]
    bad = checked(b"damaged", trailer_fault=WRONG)
    vectors.resync("dropped-packet", ["PW-FRM-006"], [hello, bad, hello], [*events, gap(23), refused(2), *events])
    bad_empty = checked(b"", trailer_fault=WRONG)
    vectors.resync("dropped-empty-packet", ["PW-FRM-006"], [bad_empty, hello], [gap(16), refused(1), *events])
    vectors.resync(
        "each-dropped-packet-is-a-gap", ["PW-FRM-011"], [bad, bad, hello],
        [gap(23), refused(1), gap(23), refused(2), *events],
    )
    vectors.resync(
        "skipped-and-dropped-are-two-gaps", ["PW-FRM-011"], [NOISE, bad, NOISE, hello],
        [gap(16), gap(23), refused(0), gap(16), *events],
    )
    bad_ping = ping(1, flags=CHECKSUM, trailer_fault=WRONG)
    vectors.resync("dropped-ping", ["PW-FRM-006"], [bad_ping, ping(2)], [gap(24), {"ping": 2}])
    bad_ignorable = packet(0xC0, b"x", CHECKSUM, trailer_fault=WRONG)
    vectors.resync("dropped-ignorable", ["PW-FRM-006"], [bad_ignorable, hello], [gap(17), *events])
    # The payload is shifted by a byte: the packet is dropped, and the last byte of its trailer is skipped.
    slipped_in = hello[:14] + b"?" + hello[14:]
    vectors.resync(
        "byte-slipped-into-payload", ["PW-FRM-006"], [slipped_in, hello], [gap(21), refused(1), gap(1), *events]
    )
    # The dropped packet takes the first byte of the next one with it.
    lost = hello[:14] + hello[15:]
    vectors.resync(
        "byte-lost-from-payload", ["PW-FRM-006", "PW-FRM-005"], [lost, hello, hello],
        [gap(21), refused(1), gap(20), *events],
    )


def crafted_payloads(vectors):
    hello, events = checked(b"hello"), [message(b"hello")]
    crafted, crafted_key_0 = checked(b"crafted"), checked(b"crafted", key=0)
    outer = checked(b"<" + crafted_key_0 + b">")
    bad_header = outer[:8] + u32(int.from_bytes(outer[8:12], "big") ^ 1) + outer[12:]
    vectors.resync("key-0-packet-in-skipped-bytes", ["PW-KEY-003"], [bad_header, hello], [gap(len(outer)), *events])
    outer = checked(b"<" + crafted_key_0 + b">", trailer_fault=WRONG)
    dropped = [gap(len(outer)), refused(1), *events]
    vectors.resync("key-0-packet-in-dropped-packet", ["PW-FRM-006"], [outer, hello], dropped)
    outer = checked(b"<" + crafted + b">", trailer_fault=WRONG)
    dropped = [gap(len(outer)), refused(1), *events]
    vectors.resync("packet-in-dropped-packet", ["PW-FRM-006"], [outer, hello], dropped)
    outer = packet(0xC0, crafted, CHECKSUM, trailer_fault=WRONG)
    vectors.resync("packet-in-dropped-ignorable", ["PW-FRM-006"], [outer, hello], [gap(len(outer)), *events])
    # Whoever knows the key can do this: it is not a MAC (section 4).
    outer = header(DATA, len(crafted) + 2, FIRST | CHECKSUM, 2, key=0) + b"<" + crafted + b">" + bytes(4)
    vectors.resync(
        "packet-in-skipped-bytes", ["PW-FRM-005"], [outer, hello], [gap(13), message(b"crafted"), gap(5), *events]
    )


def gaps_in_messages(vectors):
    begin, middle, end = checked(b"abc", FIRST | MORE), checked(b"def", MORE), checked(b"ghi", 0)
    whole, hello = message(b"abcdefghi"), checked(b"hello")
    bad = {"trailer_fault": WRONG}
    again = [begin, middle, end]
    discards, passes_over = "PW-FRM-009", "PW-FRM-010"
    vectors.resync(
        "noise-in-open-message", [discards, passes_over], [begin, NOISE, middle, end, *again],
        [gap(16, True), refused(1), whole],
    )
    vectors.resync(
        "first-fragment-lost", [passes_over], [checked(b"abc", FIRST | MORE, **bad), middle, end, *again],
        [gap(19), refused(1), whole],
    )
    vectors.resync(
        "middle-fragment-lost", [discards, passes_over], [begin, checked(b"def", MORE, **bad), end, *again],
        [gap(19, True), refused(1), whole],
    )
    vectors.resync(
        "last-fragment-lost", [discards], [begin, middle, checked(b"ghi", 0, **bad), hello, *again],
        [gap(19, True), refused(1), message(b"hello"), whole],
    )
    vectors.resync(
        "other-class-lost", [discards, passes_over], [begin, checked(b"x", FIRST, ROOM, **bad), middle, end, *again],
        [gap(17, True), refused(1), refused(1, message_class=ROOM), whole],
    )
    vectors.resync(
        "second-gap-loses-nothing-more", [discards, passes_over], [begin, NOISE, middle, NOISE, end, *again],
        [gap(16, True), refused(1), gap(16), whole],
    )
    vectors.resync(
        "ping-while-passing-over", [passes_over], [begin, NOISE, ping(1), end],
        [gap(16, True), refused(1), {"ping": 1}],
    )
    vectors.resync("continuation-after-gap", [passes_over], [NOISE, middle, end, hello], [gap(16), message(b"hello")])
    vectors.resync(
        "first-ends-passing-over", [passes_over, "PW-DAT-007"], [NOISE, end, *again, end], [gap(16), whole],
        "BAD_FRAGMENT",
    )
    vectors.resync(
        "whole-message-ends-no-passing-over", [passes_over], [begin, NOISE, checked(b"hello"), end],
        [gap(16, True), refused(1), message(b"hello")],
    )
    vectors.resync(
        "dropped-ping-keeps-message", [discards], [begin, ping(1, flags=CHECKSUM, **bad), middle, end], [gap(24), whole]
    )
    vectors.resync(
        "dropped-ping-excuses-no-continuation", [passes_over, "PW-DAT-007"],
        [ping(1, flags=CHECKSUM, **bad), end], [gap(24)], "BAD_FRAGMENT",
    )


def too_large(vectors):
    full, small = b"a" * 512, {"frame_limit": 512, "message_limit": 1024}
    begin, middle, last = data(full, FIRST | MORE), data(full, MORE), data(b"b", 0)
    above, hello = [begin, middle, last], data(b"hello")
    rule, event = ["PW-DAT-008", "PW-REJ-001"], refused(1, "TOO_LARGE")
    vectors.add("message-above-limit", rule, [*above, hello], [event, message(b"hello")], **small)
    vectors.add(
        "message-above-limit-at-header", ["PW-DAT-008"], [begin, middle, header(DATA, 1, 0, COMMUNICATION)], [event],
        **small,
    )
    vectors.add(
        "message-far-above-limit", [*rule, "PW-REJ-004"], [begin, *[middle] * 6, last, hello],
        [event, message(b"hello")], **small,
    )
    other = data(b"x", message_class=ROOM)
    vectors.add(
        "refused-counts-as-open", ["PW-REJ-004", "PW-DAT-006"], [begin, middle, middle, other, ping(1), last, hello],
        [event, message(b"x", ROOM), {"ping": 1}, message(b"hello")], **small,
    )
    wrong = "BAD_FRAGMENT"
    over = [begin, middle, middle]
    vectors.add("refused-same-class-between", ["PW-REJ-004", "PW-DAT-006"], [*over, hello], [event], wrong, **small)
    vectors.add("refused-first-twice", ["PW-REJ-004", "PW-DAT-005"], [*over, begin], [event], wrong, **small)
    changed = data(b"b", 0, ROOM)
    vectors.add("refused-class-changes", ["PW-REJ-004", "PW-DAT-003"], [*over, changed], [event], wrong, **small)
    vectors.add(
        "refused-continuation-empty", ["PW-REJ-004", "PW-DAT-004"], [*over, data(b"", MORE)], [event], wrong, **small
    )
    vectors.add(
        "refused-ends-with-last", ["PW-REJ-004", "PW-DAT-007"], [*above, last], [event], wrong, **small
    )
    vectors.add(
        "ordinal-counts-every-first", ["PW-REJ-002"],
        [hello, begin, other, middle, last, *above, hello],
        [message(b"hello"), message(b"x", ROOM), refused(2, "TOO_LARGE"), refused(3, "TOO_LARGE"), message(b"hello")],
        **small,
    )


def damaged(vectors):
    full, small = b"a" * 512, {"frame_limit": 512, "message_limit": 1024}
    begin, middle, last = checked(full, FIRST | MORE), checked(full, MORE), checked(b"b", 0)
    hello, bad = checked(b"hello"), {"trailer_fault": WRONG}
    event, said = refused(1, "TOO_LARGE"), message(b"hello")
    over = [begin, middle, middle]
    once = ["PW-REJ-003", "PW-REJ-004"]
    vectors.resync("refused-then-noise", once, [*over, NOISE, last, hello], [event, gap(16), said], **small)
    vectors.resync(
        "refused-then-frame-dropped", once, [*over, checked(full, MORE, **bad), last, hello], [event, gap(528), said],
        **small,
    )
    vectors.resync(
        "frame-above-limit-dropped", once, [begin, middle, checked(full, 0, **bad), hello], [event, gap(528), said],
        **small,
    )
    vectors.resync(
        "first-above-refused-dropped", ["PW-REJ-003"], [*over, checked(b"x", FIRST, ROOM, **bad), hello],
        [event, gap(17), refused(1, message_class=ROOM), said], **small,
    )
    vectors.resync(
        "ordinal-after-dropped", ["PW-REJ-002"], [hello, checked(b"x", **bad), hello, checked(b"x", **bad)],
        [said, gap(17), refused(2), said, gap(17), refused(4)],
    )
    vectors.resync(
        "ordinal-after-noise", ["PW-REJ-002"], [hello, NOISE, hello, checked(b"x", **bad)],
        [said, gap(16), said, gap(17), refused(0)],
    )
    vectors.resync(
        "ordinal-of-message-before-noise", ["PW-REJ-002"], [hello, begin, NOISE, begin, NOISE, hello],
        [said, gap(16, True), refused(2), gap(16, True), refused(0), said],
    )
    vectors.resync(
        "continuation-dropped-while-none-is-open", ["PW-REJ-003"], [NOISE, checked(b"x", 0, **bad), hello],
        [gap(16), gap(17), said],
    )
    vectors.resync(
        "too-large-after-noise", ["PW-REJ-002"], [NOISE, begin, middle, last, hello],
        [gap(16), refused(0, "TOO_LARGE"), said], **small,
    )


def budget(vectors):
    hello, events = checked(b"hello"), [message(b"hello")]
    rule, exceeded = ["PW-FRM-011"], "RESYNC_BUDGET"
    # The least budget, for a frame limit of 4,080 and below; and 16 * (8,192 + 16) = 131,328.
    small, large = {"frame_limit": 4_080, "message_limit": 8_192}, {"frame_limit": 8_192, "message_limit": 8_192}
    vectors.resync("skipped-bytes-at-budget", rule, [bytes(65_536), hello], [gap(65_536), *events], **small)
    vectors.resync("skipped-bytes-above-budget", rule, [bytes(65_537), hello], [], exceeded, **small)
    vectors.resync("skipped-bytes-at-large-budget", rule, [bytes(131_328), hello], [gap(131_328), *events], **large)
    vectors.resync("skipped-bytes-above-large-budget", rule, [bytes(131_329), hello], [], exceeded, **large)
    # Each damaged, full frame is survived, as often as gaps are allowed.
    for name, limits in (("", large), ("-small", small)):
        full = checked(bytes(limits["frame_limit"]), trailer_fault=WRONG)
        gone = [event for n in range(1, 17) for event in (gap(len(full)), refused(n))]
        vectors.resync(f"dropped-packet-at{name}-budget", rule, [full] * 16 + [hello], gone + events, **limits)
        vectors.resync(f"dropped-packet-above{name}-budget", rule, [full] * 17 + [hello], gone, exceeded, **limits)
    full = checked(bytes(8_192), trailer_fault=WRONG)
    gone = [event for n in range(1, 16) for event in (gap(8_208), refused(n))]
    vectors.resync("budget-adds-up-to-all", rule, [*[full] * 15, bytes(8_208), hello], [*gone, gap(8_208), *events], **large)
    vectors.resync("budget-adds-up", rule, [*[full] * 15, bytes(8_209), hello], gone, exceeded, **large)
    vectors.resync("gaps-at-budget", rule, [b"\x00", hello] * 16, [gap(1), *events] * 16)
    vectors.resync("gaps-above-budget", rule, [b"\x00", hello] * 17, [gap(1), *events] * 16, exceeded)
    bad = checked(b"", trailer_fault=WRONG)
    dropped = [event for ordinal in range(1, 17) for event in (gap(16), refused(ordinal))]
    vectors.resync("dropped-packets-at-budget", rule, [bad] * 16 + [hello], dropped + events)
    vectors.resync("dropped-packets-above-budget", rule, [bad] * 17 + [hello], dropped, exceeded)
