"""conversations/closing.json: how connections end (section 9)."""

from .codec import CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST, MORE, PING, PONG, TEXT, item, u64
from .names import NEVER, REASONS
from .script import Script, by_side, calm, close_payload, ended, to_side


def build():
    scripts = [
        close(), close_with_words(), close_behind_messages(), messages_until_close_ack(), closed_by_peer(),
        closed_by_peer_with_words(), closed_behind_messages(), close_crossing(), close_crossing_queued(),
        close_timeout(),
        close_timeout_while_probed(), closed_by_fault(), fault_overtakes(), close_for_fault(), unknown_reason(),
        data_behind_close(),
        ping_behind_close(), close_ack_unasked(), close_ack_too_early(), close_received_too_many(),
        fault_received_too_many(),
        close_ack_received_too_many(), drain_then_close(), drained_by_peer(), drain_twice(), drain_ahead_of_messages(),
        stream_ended(), stream_ended_behind_close(), stream_ended_before_close_ack(), reset(), network_lost(), abort(),
    ]
    return [script.build() for script in scripts]


def data(payload, message_class=2):
    return to_side(DATA, payload, FIRST, message_class)


def message(payload, message_class=2):
    return {"message": {"class": message_class, "encrypted": False, "payload": payload.hex()}}


def out_data(payload, flags=FIRST):
    return by_side(DATA, payload, flags | CHECKSUM, 2)


def to_close(reason=1, received=0, retry_after=None, items=b""):
    return to_side(CLOSE, close_payload(reason, received, retry_after, items))


def out_close(reason=1, received=0, retry_after=None, items=b""):
    return by_side(CLOSE, close_payload(reason, received, retry_after, items))


def ack(received=0):
    return to_side(CLOSE_ACK, u64(received))


def out_ack(received=0):
    return by_side(CLOSE_ACK, u64(received))


def closing(reason=1, retry_after=0, text=None):
    return {"closing": {"reason": reason, "text": text, "retry_after": retry_after}}


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def fault(reason, received=0):
    return out_close(REASONS[reason], received)


def close():
    script = calm("close", ["PW-CLS-001", "PW-CLS-004"], "This side closes, and is answered.", "client")
    script.greet()
    script.receive(10, data(b"one"), events=[message(b"one")])
    script.close(20, out=[out_close(received=1)])
    script.receive(30, ack(), events=[ended(1, "local", True, 1)])
    return script


def close_with_words():
    script = calm(
        "close-with-words", ["PW-CLS-001", "PW-CLS-008"],
        "The application gives a reason of its own, TEXT and retry_after.",
    )
    script.greet()
    text = item(TEXT, b"moving house")
    script.close(10, 40_000, "moving house", 7_000, out=[out_close(40_000, 0, 7_000, text)])
    script.receive(30, ack(), events=[ended(40_000, "local", True)])
    return script


def close_behind_messages():
    script = calm(
        "close-behind-messages", ["PW-CLS-002", "PW-CLS-003"],
        "CLOSE goes out behind what was accepted before.", "client", {"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.send(30, b"small")
    script.close(40)
    script.room(50, None, out=[begin[100:], out_data(b"m" * 512, 0), out_data(b"small"), out_close()])
    script.receive(60, ack(2), events=[ended(1, "local", True)])
    return script


def messages_until_close_ack():
    script = calm(
        "messages-until-close-ack", ["PW-CLS-005"],
        "Messages and DRAIN come until CLOSE_ACK; PING is answered.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, data(b"late"), events=[message(b"late")])
    script.receive(30, to_side(PING, u64(1)), out=[by_side(PONG, u64(1))])
    script.receive(40, to_side(DRAIN, u64(0)), events=[{"draining": {"received": 0}}])
    script.receive(50, ack(), events=[ended(1, "local", True, 1)])
    return script


def closed_by_peer():
    script = calm(
        "closed-by-peer", ["PW-CLS-001", "PW-CLS-004"], "The peer closes, and is answered with the final count.",
    )
    script.greet()
    script.receive(10, data(b"one"), data(b"two"), to_close(2), out=[out_ack(2)], events=[
        message(b"one"), message(b"two"), closing(2, 1_000), ended(2, "peer", True, 2),
    ])
    return script


def closed_by_peer_with_words():
    script = calm(
        "closed-by-peer-with-words", ["PW-CLS-008", "PW-CLS-014"],
        "Reasons, words and items, some of them unknown or cut off.",
    )
    script.greet()
    items = item(0x8FFF, b"\x01") + item(TEXT, b"so long") + b"\x80"
    script.receive(10, to_close(50_000, 0, NEVER, items), out=[out_ack()], events=[
        closing(50_000, NEVER, "so long"), ended(50_000, "peer", True, text="so long", retry_after=NEVER),
    ])
    return script


def closed_behind_messages():
    script = calm(
        "closed-behind-messages", ["PW-CLS-001"], "What was accepted before CLOSE came goes out before CLOSE_ACK.",
        peer={"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.receive(30, to_close(), events=[closing()])
    script.receive(40, to_side(PING, u64(1)))
    script.room(50, None, out=[
        begin[100:], by_side(PONG, u64(1)), out_data(b"m" * 512, 0), out_ack(),
    ], events=[ended(1, "peer", True)])
    return script


def close_crossing():
    script = calm("close-crossing", ["PW-CLS-006"], "Both sides close at once, and each is answered.", "client")
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, to_close(2), out=[out_ack()])
    script.receive(30, ack(), events=[ended(1, "local", True)])
    return script


def close_crossing_queued():
    script = calm(
        "close-crossing-queued", ["PW-CLS-006", "PW-CLS-003"],
        "CLOSE comes while this side's own waits behind a message.", "client", {"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.close(30)
    script.receive(40, to_close(2))
    script.room(50, None, out=[begin[100:], out_data(b"m" * 512, 0), out_close(), out_ack()])
    script.receive(60, ack(1), events=[ended(1, "local", True)])
    return script


def close_timeout():
    script = calm(
        "close-timeout", ["PW-CLS-007"],
        "CLOSE is not answered within 500 ms of being given to the transport.", "client", {"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.close(30)
    script.room(300, None, out=[begin[100:], out_data(b"m" * 512, 0), out_close()])
    script.receive(700, data(b"late"), events=[message(b"late")])
    script.wait(799)
    script.wait(800, events=[failed("CLOSE_TIMEOUT", 1)])
    return script


def close_timeout_while_probed():
    script = Script(
        "close-timeout-while-probed", ["PW-CLS-002", "PW-CLS-007"],
        "The heartbeat goes on while CLOSE is not answered; the time for that runs from the last byte that was taken.",
        "client", close_timeout=250, interval=400,
    )
    script.greet()
    script.close(50, out=[out_close()])
    script.wait(100, out=[by_side(PING, u64(1))])
    script.receive(150, to_side(PONG, u64(1)))
    script.wait(250, out=[by_side(PING, u64(2))])
    script.wait(499)
    script.wait(500, events=[failed("CLOSE_TIMEOUT")])
    return script


def closed_by_fault():
    script = calm(
        "closed-by-fault", ["PW-CLS-009"],
        "CLOSE for a fault is final: nothing is sent, and nothing behind it acted on.",
    )
    script.greet()
    items = item(TEXT, b"what was that")
    end = ended(24, "peer", text="what was that", retry_after=NEVER)
    script.receive(10, data(b"one"), to_close(24, 0, NEVER, items), data(b"two"), events=[
        message(b"one"), {"closed": end["closed"] | {"received": 1}},
    ])
    return script


def fault_overtakes():
    script = calm(
        "fault-overtakes", ["PW-CLS-003", "PW-CLS-009"],
        "CLOSE for a fault overtakes what waits, at the next packet boundary.", peer={"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 2_560, out=[begin[:100]])
    script.receive(30, to_side(0x0B, bytes(8)), events=[failed("UNKNOWN_KIND")])
    script.room(40, None, out=[begin[100:], fault("UNKNOWN_KIND")])
    return script


def close_for_fault():
    script = calm(
        "close-for-fault", ["PW-CLS-009"], "The application closes for a fault, and waits for no answer.", "client",
    )
    script.greet()
    script.close(10, REASONS["BAD_PACKET"], out=[fault("BAD_PACKET")], events=[failed("BAD_PACKET")])
    return script


def unknown_reason():
    script = calm(
        "closed-for-unknown-reason", ["PW-CLS-008", "PW-CLS-009"],
        "Reasons of no registry: 9 is answered, 200 is a fault.",
    )
    script.greet()
    script.receive(
        10, to_close(9, 0, 5), out=[out_ack()], events=[closing(9, 5), ended(9, "peer", True, retry_after=5)],
    )
    return script


def data_behind_close():
    script = calm(
        "data-behind-close", ["PW-CLS-013"], "DATA behind a CLOSE that is not answered yet.",
        peer={"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.receive(30, to_close(), events=[closing()])
    script.receive(40, data(b"late"), events=[failed("UNEXPECTED_PACKET")])
    script.room(50, None, out=[begin[100:], fault("UNEXPECTED_PACKET")])
    return script


def ping_behind_close():
    script = calm(
        "behind-close", ["PW-CLS-002", "PW-CLS-013"],
        "Behind its own CLOSE a side sends no other one, for whatever fault.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, to_close(), out=[out_ack()])
    script.receive(30, data(b"late"), events=[failed("UNEXPECTED_PACKET")])
    return script


def close_ack_unasked():
    script = calm("close-ack-unasked", ["PW-CLS-010"], "CLOSE_ACK without CLOSE.")
    script.greet()
    script.receive(10, ack(), out=[fault("UNEXPECTED_PACKET")], events=[failed("UNEXPECTED_PACKET")])
    return script


def close_ack_too_early():
    script = calm(
        "close-ack-too-early", ["PW-CLS-010"],
        "CLOSE_ACK while CLOSE still waits behind a message.", "client", {"message_limit": 8_192},
    )
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.close(30)
    script.receive(40, ack(), events=[failed("UNEXPECTED_PACKET")])
    script.room(50, None, out=[begin[100:], fault("UNEXPECTED_PACKET")])
    return script


def close_received_too_many():
    script = calm(
        "close-received-too-many", ["PW-CLS-019"], "CLOSE counts a message that is not sent to its last frame.",
        peer={"message_limit": 8_192},
    )
    script.greet()
    script.send(10, b"one", out=[out_data(b"one")])
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(20, 100)
    script.send(30, b"m" * 1_024, out=[begin[:100]])
    script.receive(40, to_close(1, 2), events=[failed("BAD_COUNT")])
    script.room(50, None, out=[begin[100:], fault("BAD_COUNT")])
    return script


def fault_received_too_many():
    script = calm("fault-received-too-many", ["PW-CLS-019"], "The count of CLOSE for a fault is not judged.")
    script.greet()
    script.receive(10, to_close(19, 9), events=[ended(19, "peer", retry_after=NEVER)])
    return script


def close_ack_received_too_many():
    script = calm(
        "close-ack-received-too-many", ["PW-CLS-019"],
        "CLOSE_ACK counts too many; behind its own CLOSE this side says nothing.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, ack(1), events=[failed("BAD_COUNT")])
    return script


def drain_then_close():
    script = calm(
        "drain-then-close", ["PW-CLS-016", "PW-CLS-018"], "A server drains, messages go on, and the client closes.",
    )
    script.greet()
    script.receive(10, data(b"one"), events=[message(b"one")])
    script.command(20, "drain", out=[by_side(DRAIN, u64(1))])
    script.command(25, "drain")
    script.send(30, b"two", out=[out_data(b"two")])
    script.receive(40, data(b"three"), events=[message(b"three")])
    script.receive(50, to_close(1, 1), out=[out_ack(2)], events=[closing(), ended(1, "peer", True, 2)])
    return script


def drained_by_peer():
    script = calm(
        "drained-by-peer", ["PW-CLS-017", "PW-CLS-018"], "A client is told of DRAIN, finishes, and closes.", "client",
    )
    script.greet()
    script.send(10, b"one", out=[out_data(b"one")])
    script.receive(20, to_side(DRAIN, u64(1)), events=[{"draining": {"received": 1}}])
    script.send(30, b"two", out=[out_data(b"two")])
    script.close(40, out=[out_close()])
    script.receive(50, ack(2), events=[ended(1, "local", True)])
    return script


def drain_twice():
    script = calm("drained-twice", ["PW-CLS-017"], "A second DRAIN.", "client")
    script.greet()
    script.receive(10, to_side(DRAIN, u64(0)), events=[{"draining": {"received": 0}}])
    script.receive(20, to_side(DRAIN, u64(0)), out=[fault("UNEXPECTED_PACKET")], events=[failed("UNEXPECTED_PACKET")])
    return script


def drain_ahead_of_messages():
    script = calm(
        "drain-ahead-of-messages", ["PW-CLS-016"], "DRAIN overtakes the rest of a message.",
        peer={"message_limit": 8_192},
    )
    script.greet()
    begin, middle = out_data(b"m" * 512, FIRST | MORE), out_data(b"m" * 512, MORE)
    script.room(10, 100)
    script.send(20, b"m" * 2_560, out=[begin[:100]])
    script.command(30, "drain")
    script.room(40, None, out=[begin[100:], by_side(DRAIN, u64(0)), middle, middle, middle, out_data(b"m" * 512, 0)])
    return script


def stream_ended():
    script = calm("stream-ended", ["PW-CLS-011"], "The stream ends without CLOSE.")
    script.greet()
    script.receive(10, data(b"one"), events=[message(b"one")])
    script.disconnect(20, "end_of_stream", events=[ended(REASONS["PEER_ENDED"], "transport", received=1)])
    return script


def stream_ended_behind_close():
    script = calm(
        "stream-ended-behind-close", ["PW-CLS-011"], "The stream ends between CLOSE of the peer and CLOSE_ACK.",
    )
    script.greet()
    script.room(10, 0)
    script.receive(20, to_close(2), events=[closing(2, 1_000)])
    script.disconnect(30, "end_of_stream", events=[ended(2, "peer")])
    return script


def stream_ended_before_close_ack():
    script = calm(
        "stream-ended-before-close-ack", ["PW-CLS-011"],
        "The stream ends before this side's CLOSE is answered.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.disconnect(20, "end_of_stream", events=[ended(1, "local")])
    return script


def reset():
    script = calm("reset", ["PW-CLS-011"], "The peer's side resets the connection.")
    script.greet()
    script.disconnect(20, "reset", events=[ended(REASONS["RESET"], "transport")])
    return script


def network_lost():
    script = calm("network-lost", ["PW-CLS-011"], "The transport gives up.")
    script.greet()
    script.disconnect(20, "network_lost", events=[ended(REASONS["NETWORK_LOST"], "transport")])
    return script


def abort():
    script = calm("abort", ["PW-CLS-011"], "This side cuts the connection, with a message that waits.", "client")
    script.greet()
    script.room(10, 0)
    script.send(20, b"lost")
    script.command(30, "abort", events=[ended(REASONS["ABORTED"], "local")])
    return script
