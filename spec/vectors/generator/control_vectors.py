"""control.json: the packets other than DATA, after the handshake (sections 6.1, 8 and 9)."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST, LIMIT, MORE, PONG, REJECT, TEXT, header, item, packet, u16,
    u32, u64,
)
from .names import NEVER, REASONS, REJECT_REASONS, default_retry_after
from .stream import COMMUNICATION, Vectors, data, message, ping

UNEXPECTED = "UNEXPECTED_PACKET"
MAX = 2**64 - 1


def reject(ordinal, reason, message_class=COMMUNICATION):
    return packet(REJECT, u64(ordinal) + u16(reason) + bytes([message_class]))


def rejected(ordinal, reason, message_class=COMMUNICATION):
    return {"rejected": {"class": message_class, "ordinal": ordinal, "reason": reason}}


def busy(pause):
    return packet(BUSY, u32(pause))


def drain(received):
    return packet(DRAIN, u64(received))


def close(reason=1, received=0, retry_after=0, items=b"", **fields):
    return packet(CLOSE, u16(reason) + u64(received) + u32(retry_after) + items, **fields)


def closed(reason=1, received=0, retry_after=0, text=None, limit=None):
    said = {"reason": reason, "received": received, "retry_after": retry_after, "text": text, "limit": limit}
    return {"close": said}


def build():
    vectors = Vectors("control")
    pings(vectors)
    pongs(vectors)
    pauses(vectors)
    rejects(vectors)
    drains(vectors)
    closes(vectors)
    close_items(vectors)
    behind_close(vectors)
    return vectors.list


def pings(vectors):
    number = ["PW-HB-007"]
    vectors.add("ping-first-number-1", number, [ping(1)], [{"ping": 1}])
    vectors.add("ping-first-number-large", number, [ping(2**53 - 1)], [{"ping": 2**53 - 1}])
    vectors.add("ping-number-0", number, [ping(0)], [], "BAD_PING")
    vectors.add("ping-number-skips", number, [ping(1), ping(7)], [{"ping": 1}, {"ping": 7}])
    vectors.add("ping-number-again", number, [ping(7), ping(7)], [{"ping": 7}], "BAD_PING")
    vectors.add("ping-number-lower", number, [ping(7), ping(6)], [{"ping": 7}], "BAD_PING")
    many = [ping(n) for n in range(1, 18)]
    events = [{"ping": n} for n in range(1, 17)]
    vectors.add("pings-16-at-once", ["PW-HB-017"], many[:16], events)
    vectors.add(
        "ping-between-fragments", ["PW-DAT-010"], [data(b"abc", FIRST | MORE), ping(1), data(b"ghi", 0)],
        [{"ping": 1}, message(b"abcghi")],
    )


def pongs(vectors):
    def pong(n, **fields):
        return packet(PONG, u64(n), **fields)

    rule, sent = ["PW-HB-009"], {"pings_sent": 2}
    vectors.add("pong-to-latest", rule, [pong(2)], [{"pong": 2}], **sent)
    vectors.add("pong-to-earlier", rule, [pong(1)], [{"pong": 1}], **sent)
    vectors.add("pong-again", rule, [pong(2), pong(2), pong(1)], [{"pong": 2}, {"pong": 2}, {"pong": 1}], **sent)
    vectors.add("pong-checksum", ["PW-HDR-012"], [pong(2, flags=CHECKSUM)], [{"pong": 2}], **sent)
    vectors.add("pong-number-0", rule, [pong(0)], [], "BAD_PONG", **sent)
    vectors.add("pong-above-highest", rule, [pong(3)], [], "BAD_PONG", **sent)
    vectors.add("pong-unasked", rule, [pong(1)], [], "BAD_PONG")


def pauses(vectors):
    rule = ["PW-HB-020"]
    hello, events = data(b"hello"), [message(b"hello")]
    vectors.add("busy", rule, [busy(500), hello], [{"busy": 500}, *events])
    vectors.add("busy-longest", rule, [busy(0xFFFFFFFF), hello], [{"busy": 0xFFFFFFFF}, *events])
    vectors.add("busy-end", rule, [busy(500), busy(0), hello], [{"busy": 500}, {"busy": 0}, *events])
    vectors.add("busy-end-alone", rule, [busy(0), hello], [{"busy": 0}, *events])
    vectors.add("busy-renewed", rule, [busy(500), busy(400)], [{"busy": 500}, {"busy": 400}])
    vectors.add("busy-ping-answered", rule, [busy(500), ping(1)], [{"busy": 500}, {"ping": 1}])
    vectors.add("busy-checksum", ["PW-HDR-012"], [packet(BUSY, u32(500), CHECKSUM)], [{"busy": 500}])


def rejects(vectors):
    told, count = ["PW-REJ-007"], ["PW-REJ-008"]
    sent, bad = {"messages_sent": 2}, "BAD_COUNT"
    hello, events = data(b"hello"), [message(b"hello")]
    for name, reason in [*REJECT_REASONS.items(), ("unknown", 3), ("private", 32_768), ("zero", 0)]:
        label = name.lower().replace("_", "-")
        vectors.add(f"reject-{label}", told, [reject(2, reason), hello], [rejected(2, reason), *events], **sent)
    unknown = rejected(0, 2)
    vectors.add("reject-ordinal-unknown", told, [reject(0, 2), hello], [unknown, *events], **sent)
    vectors.add("reject-ordinal-unknown-nothing-sent", count, [reject(0, 2), hello], [], bad)
    vectors.add("reject-ordinal-1", told, [reject(1, 2)], [rejected(1, 2)], **sent)
    vectors.add("reject-above-begun", count, [reject(3, 2)], [], bad, **sent)
    vectors.add("reject-nothing-sent", count, [reject(1, 2)], [], bad)
    vectors.add("reject-highest-ordinal", count, [reject(MAX, 2)], [], bad, **sent)
    vectors.add("reject-each", count, [reject(1, 2), reject(2, 1)], [rejected(1, 2), rejected(2, 1)], **sent)
    vectors.add("reject-again", count, [reject(1, 2), reject(1, 2)], [rejected(1, 2)], bad, **sent)
    vectors.add("reject-descending", count, [reject(2, 2), reject(1, 2)], [rejected(2, 2)], bad, **sent)
    vectors.add("reject-unknown-between", count, [reject(1, 2), reject(0, 2), reject(1, 2)], [
        rejected(1, 2), unknown,
    ], bad, messages_sent=3)
    vectors.add("reject-unknown-then-1", count, [reject(0, 2), reject(1, 2)], [unknown, rejected(1, 2)], **sent)
    vectors.add("reject-unknown-all", count, [reject(0, 2)] * 2, [unknown] * 2, **sent)
    vectors.add("reject-unknown-once-too-often", count, [reject(0, 2)] * 3, [unknown] * 2, bad, **sent)
    vectors.add("reject-other-class", count, [reject(1, 2, 3)], [], bad, **sent)
    vectors.add("reject-unknown-other-class", count, [reject(0, 2, 3)], [], bad, **sent)
    vectors.add("reject-reserved-class", count, [reject(0, 2, 5)], [], bad, **sent)


def drains(vectors):
    sent = {"messages_sent": 2}
    hello, events = data(b"hello"), [message(b"hello")]
    for received in (0, 2):
        event = {"drain": {"received": received}}
        vectors.add(f"drain-received-{received}", ["PW-CLS-017"], [drain(received), hello], [event, *events], **sent)
    vectors.add("drain-received-above-sent", ["PW-CLS-019"], [drain(3)], [], "BAD_COUNT", **sent)
    refused = [rejected(1, 2), {"drain": {"received": 1}}]
    rule = ["PW-CLS-019"]
    vectors.add("drain-after-reject", rule, [reject(1, 2), drain(1), hello], [*refused, *events], **sent)
    vectors.add("drain-after-reject-above-rest", rule, [reject(1, 2), drain(2)], refused[:1], "BAD_COUNT", **sent)
    vectors.add("reject-after-drain", rule, [drain(1), reject(2, 2), hello], [
        {"drain": {"received": 1}}, rejected(2, 2), *events,
    ], **sent)
    vectors.add(
        "reject-after-drain-above-rest", rule, [drain(1), reject(1, 2), reject(2, 2)],
        [{"drain": {"received": 1}}, rejected(1, 2)], "BAD_COUNT", **sent,
    )
    vectors.add("drain-twice", ["PW-CLS-017"], [drain(2), drain(2)], [{"drain": {"received": 2}}], UNEXPECTED, **sent)
    end = [{"drain": {"received": 2}}, closed(received=2)]
    vectors.add("drain-then-close", ["PW-CLS-017"], [drain(2), close(received=2)], end, "peer_closed", **sent)


def closes(vectors):
    sent = {"messages_sent": 2}
    hello, events = data(b"hello"), [message(b"hello")]
    for name, reason in REASONS.items():
        if reason > 255:
            continue
        fault = reason >= 16
        label, retry_after = name.lower().replace("_", "-"), default_retry_after(reason)
        vectors.add(
            f"close-{label}", ["PW-CLS-009" if fault else "PW-CLS-001"], [hello, close(reason, 1, retry_after)],
            [*events, closed(reason, 1, retry_after)], "peer_failed" if fault else "peer_closed", **sent,
        )
    for reason in (0, 5, 256, 32_767, 32_768, 65_535):
        vectors.add(f"close-{reason}", ["PW-CLS-008"], [close(reason)], [closed(reason)], "peer_closed")
    vectors.add("close-unknown-fault", ["PW-CLS-009"], [close(255)], [closed(255)], "peer_failed")
    vectors.add("close-retry-never", ["PW-CLS-004"], [close(1, 0, NEVER)], [closed(1, 0, NEVER)], "peer_closed")
    vectors.add(
        "close-retry-longest", ["PW-CLS-004"], [close(1, 0, NEVER - 1)], [closed(1, 0, NEVER - 1)], "peer_closed",
    )
    vectors.add("close-checksum", ["PW-HDR-012"], [close(flags=CHECKSUM)], [closed()], "peer_closed")
    rule = ["PW-CLS-019"]
    vectors.add("close-received-all", rule, [close(received=2)], [closed(received=2)], "peer_closed", **sent)
    vectors.add("close-received-above-sent", rule, [close(received=3)], [], "BAD_COUNT", **sent)
    vectors.add("close-fault-received-above-sent", rule, [close(17, 3)], [closed(17, 3)], "peer_failed", **sent)
    refused = [reject(1, 2), reject(0, 1)]
    events_of_refused = [rejected(1, 2), rejected(0, 1)]
    vectors.add(
        "close-after-rejects", rule, [*refused, close(received=1)], [*events_of_refused, closed(received=1)],
        "peer_closed", messages_sent=3,
    )
    vectors.add(
        "close-after-rejects-above-rest", rule, [*refused, close(received=2)], events_of_refused, "BAD_COUNT",
        messages_sent=3,
    )
    vectors.add(
        "reject-after-close-above-rest", rule, [close(received=2), reject(1, 2)], [closed(received=2)], "BAD_COUNT",
        **sent,
    )
    vectors.add(
        "close-fault-after-rejects", rule, [*refused, close(17, 3)], [*events_of_refused, closed(17, 3)],
        "peer_failed", messages_sent=3,
    )
    vectors.add("close-ack-unasked", ["PW-CLS-010"], [hello, packet(CLOSE_ACK, u64(0))], events, UNEXPECTED)


def close_items(vectors):
    def add(name, requirement, items, **said):
        vectors.add(f"close-{name}", [requirement], [close(items=items)], [closed(**said)], "peer_closed")

    text, limit = item(TEXT, b"bye"), item(LIMIT, u64(512) + u64(513))
    exceeded = {"limit": 512, "size": 513}
    add("text", "PW-CLS-008", text, text="bye")
    add("text-empty", "PW-CLS-008", item(TEXT, b""), text="")
    add("text-longest", "PW-CLS-008", item(TEXT, b"a" * 494), text="a" * 494)
    add("text-beyond-ascii", "PW-CLS-008", item(TEXT, "zu groß".encode()), text="zu groß")
    add("limit", "PW-CLS-008", limit, limit=exceeded)
    add("both-items", "PW-CLS-008", limit + text, text="bye", limit=exceeded)
    add("both-items-reversed", "PW-CLS-008", text + limit, text="bye", limit=exceeded)
    add("ignorable-item", "PW-CLS-008", item(0x8FFF, b"\x01") + text, text="bye")
    add("critical-item", "PW-CLS-008", item(0x0077, b"") + text, text="bye")
    add("item-cut-off", "PW-CLS-014", limit + item(TEXT, b"bye", length=4), limit=exceeded)
    add("item-cut-off-in-length", "PW-CLS-014", text + b"\x80\x11\x00", text="bye")
    add("item-cut-off-in-id", "PW-CLS-014", text + b"\x80", text="bye")
    add("text-not-utf-8", "PW-CLS-014", item(TEXT, b"\xff") + limit)
    add("text-twice", "PW-CLS-014", text + item(TEXT, b"no, this"), text="no, this")
    add("limit-twice", "PW-CLS-014", item(LIMIT, bytes(16)) + limit + text, text="bye", limit=exceeded)
    add("text-twice-second-bad", "PW-CLS-014", text + item(TEXT, b"\xff") + limit, text="bye")
    add("limit-length-15", "PW-CLS-014", item(LIMIT, bytes(15)) + text)
    add("limit-length-17", "PW-CLS-014", text + item(LIMIT, bytes(17)), text="bye")


def behind_close(vectors):
    hello, end = data(b"hello"), [closed()]
    refused = ["PW-CLS-013"]
    twins = [
        ("ping", ping(1), {"ping": 1}), ("busy", busy(5), {"busy": 5}),
        ("reject", reject(0, 2), rejected(0, 2)),
    ]
    for name, raw, event in twins:
        vectors.add(
            f"{name}-behind-close", ["PW-CLS-001"], [close(), raw], [*end, event], "peer_closed", messages_sent=1,
        )
    vectors.add("ignorable-behind-close", ["PW-HDR-008"], [close(), packet(0xC0, b"x")], end, "peer_closed")
    for name, raw in [("data", hello), ("drain", drain(0)), ("close", close())]:
        vectors.add(f"{name}-behind-close", refused, [close(), raw], end, UNEXPECTED)
    vectors.add("close-ack-behind-close", ["PW-CLS-010"], [close(), packet(CLOSE_ACK, u64(0))], end, UNEXPECTED)
    order = ["PW-HDR-017", "PW-CLS-013"]
    too_long = header(DATA, 65_537, FIRST, COMMUNICATION)
    vectors.add("data-above-limit-behind-close", order, [close(), too_long], end, "FRAME_TOO_LARGE")
    vectors.add("drain-length-behind-close", order, [close(), header(DRAIN, 7)], end, "BAD_LENGTH")
    vectors.add("data-at-header-behind-close", order, [close(), header(DATA, 5, FIRST, 2)], end, UNEXPECTED)
    vectors.resync("data-without-checksum-behind-close", order, [close(), hello], end, UNEXPECTED)
    fault = [closed(17)]
    vectors.add("anything-behind-fault", ["PW-CLS-009"], [close(17), hello, packet(0x0B)], fault, "peer_failed")
