"""conversations/closing.json: how connections end (section 9)."""

from .codec import (
    BUSY, CHECKSUM, CLOSE, CLOSE_ACK, DATA, DRAIN, FIRST, MORE, PING, PONG, REJECT, TEXT, item, u16, u32, u64,
)
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
        close_text_cut(), close_text_cut_between_characters(), close_for_fault_with_words(), off_wire_reason(),
        stream_ended_crossing(), stream_ended_crossing_queued(), reason_of_crossing(), ping_behind_close_ack(),
        no_silence_in_both_closing(), silence_while_close_waits(), probing_while_peer_closing(),
        answering_while_peer_closing(), close_timeout_progress(), close_timeout_in_pause(),
        close_timeout_crossing(), fault_behind_close_ack(), count_with_rejects(),
        close_ack_count_with_rejects(), reject_behind_count(), reject_of_class(), reject_above_class(), drain_counts_begun(),
        over_while_close_ack_waits(), no_silence_behind_close_ack(), reset_before_close_ack_taken(), reset_behind_fault(),
        drain_waits_when_close_comes(), drain_waits_when_closing(), drain_waits_when_fault(), open_message_behind_close(),
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
        "CLOSE is not answered within 500 ms after it was handed out.", "client", {"message_limit": 8_192},
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
        "The heartbeat goes on while CLOSE is not answered, and gives the answer no more time.",
        "client", close_timeout=250, interval=400,
    )
    script.greet()
    script.close(50, out=[out_close()])
    script.wait(100, out=[by_side(PING, u64(1))])
    script.receive(150, to_side(PONG, u64(1)))
    script.wait(250, out=[by_side(PING, u64(2))])
    script.wait(299)
    script.wait(300, events=[failed("CLOSE_TIMEOUT")])
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


# What the application says.


def close_text_cut():
    script = calm("close-text-cut", ["PW-CLS-021"], "TEXT is as long as CLOSE has room, and is cut there.", "client")
    script.greet()
    script.close(10, 40_000, "a" * 600, 7, out=[out_close(40_000, 0, 7, item(TEXT, b"a" * 494))])
    return script


def close_text_cut_between_characters():
    script = calm("close-text-cut-between-characters", ["PW-CLS-021"], "No character is cut: a byte is left free.")
    script.greet()
    script.close(10, 40_000, "x" + "\u00e4" * 300, 7, out=[
        out_close(40_000, 0, 7, item(TEXT, ("x" + "\u00e4" * 246).encode())),
    ])
    return script


def close_for_fault_with_words():
    script = calm(
        "close-for-fault-with-words", ["PW-CLS-009", "PW-CLS-021"],
        "The application closes for a fault that it found, with TEXT and retry_after of its own.",
    )
    script.greet()
    items = item(TEXT, b"no such room")
    script.close(
        10, REASONS["BAD_PACKET"], "no such room", 123, out=[out_close(REASONS["BAD_PACKET"], 0, 123, items)],
        events=[failed("BAD_PACKET")],
    )
    return script


def off_wire_reason():
    script = calm(
        "closed-for-off-wire-reason", ["PW-CLS-008"],
        "A reason that should not be on the wire is accepted, told and answered.",
    )
    script.greet()
    script.receive(
        10, to_close(300, 0, 5), out=[out_ack()], events=[closing(300, 5), ended(300, "peer", True, retry_after=5)],
    )
    return script


# Where two CLOSE cross.


def stream_ended_crossing():
    script = calm(
        "stream-ended-crossing", ["PW-CLS-006", "PW-CLS-011"],
        "Both sides close, and the stream ends: this side reports its own reason.", "client",
    )
    script.greet()
    script.close(10, 40_000, out=[out_close(40_000)])
    script.receive(20, to_close(2), out=[out_ack()])
    script.disconnect(30, "end_of_stream", events=[ended(40_000, "local")])
    return script


def stream_ended_crossing_queued():
    script = calm(
        "stream-ended-crossing-queued", ["PW-CLS-011"],
        "This side's CLOSE still waits when the stream ends behind the peer's: it reports that one's reason.", "client",
    )
    script.greet()
    script.room(10, 10)
    script.send(20, b"m", out=[out_data(b"m")[:10]])
    script.close(30, 40_000)
    script.receive(40, to_close(2))
    script.disconnect(50, "end_of_stream", events=[ended(2, "peer")])
    return script


def reason_of_crossing():
    script = calm(
        "reason-of-crossing", ["PW-CLS-006"],
        "CLOSE comes while this side's own waits: it reports the reason that it gave itself.",
    )
    script.greet()
    script.room(10, 10)
    script.send(20, b"m", out=[out_data(b"m")[:10]])
    script.close(30, 40_000, "mine", 7)
    items = item(TEXT, b"yours")
    script.receive(40, to_close(50_000, 0, 9, items))
    script.room(50, None, out=[out_data(b"m")[10:], out_close(40_000, 0, 7, item(TEXT, b"mine")), out_ack()])
    script.receive(60, ack(1), events=[ended(40_000, "local", True)])
    return script


def ping_behind_close_ack():
    script = calm(
        "ping-behind-close-ack", ["PW-CLS-001", "PW-CLS-006"], "Behind CLOSE_ACK nothing goes out, PONG included.",
        "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, to_close(2), out=[out_ack()])
    script.receive(30, to_side(PING, u64(1)))
    script.receive(40, ack(), events=[ended(1, "local", True)])
    return script


def no_silence_in_both_closing():
    script = Script(
        "no-silence-in-both-closing", ["PW-CLS-006"],
        "CLOSE and CLOSE_ACK are out: no PING goes out any more, and no silence is judged.", "client",
        close_timeout=1_000,
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(20, to_close(2), out=[out_ack()])
    script.wait(1_009)
    script.wait(1_010, events=[failed("CLOSE_TIMEOUT")])
    return script


def silence_while_close_waits():
    script = Script(
        "silence-while-close-waits", ["PW-CLS-006", "PW-HB-012"],
        "As long as its own CLOSE and CLOSE_ACK wait, silence is judged.", "client",
    )
    script.greet()
    script.room(10, 10)
    script.send(20, b"m", out=[out_data(b"m")[:10]])
    script.close(30)
    script.receive(40, to_close(2))
    for at, events in ((140, []), (240, [{"suspect": {}}]), (340, [])):
        script.wait(at, events=events)
    script.wait(440, events=[failed("PEER_TIMEOUT")])
    return script


def answering(name, requirements, about):
    """CLOSE of the peer at 30, and of a message only 100 bytes are taken."""
    script = Script(name, requirements, about, peer={"message_limit": 8_192})
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.receive(30, to_close(), events=[closing()])
    script.wait(130)
    return script, begin


def probing_while_peer_closing():
    script, begin = answering(
        "probing-while-peer-closing", ["PW-HB-012", "PW-CLS-001"],
        "A side that could not answer CLOSE yet probes as ever, and gives up.",
    )
    script.room(140, 428 + 20, out=[begin[100:], by_side(PING, u64(1))])
    script.wait(240, events=[{"suspect": {}}])
    script.wait(340)
    script.wait(439)
    script.wait(440, events=[failed("PEER_TIMEOUT")])
    return script


def answering_while_peer_closing():
    script, begin = answering(
        "probed-while-peer-closing", ["PW-HB-004", "PW-CLS-001"],
        "The peer answers the PING, and gets the rest and CLOSE_ACK.",
    )
    script.room(140, 428 + 20, out=[begin[100:], by_side(PING, u64(1))])
    script.receive(150, to_side(PONG, u64(1)))
    script.room(240, None, out=[out_data(b"m" * 512, 0), out_ack()], events=[
        ended(1, "peer", True),
    ])
    return script


# close_timeout.


def close_timeout_progress():
    script = calm(
        "close-timeout-progress", ["PW-CLS-007"], "CLOSE goes out slowly: each byte that is taken gives 500 ms more.",
        "client",
    )
    script.greet()
    script.room(5, 0)
    script.close(10)
    script.room(400, 10, out=[out_close()[:10]])
    script.room(800, 5, out=[out_close()[10:15]])
    script.wait(1_299)
    script.wait(1_300, events=[failed("CLOSE_TIMEOUT")])
    return script


def close_timeout_in_pause():
    script = calm(
        "close-timeout-in-pause", ["PW-CLS-007", "PW-HB-020"], "It goes on while the peer pauses.", "client",
    )
    script.greet()
    script.receive(5, to_side(BUSY, u32(900)))
    script.close(10, out=[out_close()])
    script.receive(400, to_side(BUSY, u32(600)))
    script.wait(509)
    script.wait(510, events=[failed("CLOSE_TIMEOUT")])
    return script


def close_timeout_crossing():
    script = calm(
        "close-timeout-crossing", ["PW-CLS-006", "PW-CLS-007"],
        "Both sides close, and CLOSE_ACK does not come: the time runs from CLOSE, whatever goes out behind it.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.receive(200, to_close(2), out=[out_ack()])
    script.wait(509)
    script.wait(510, events=[failed("CLOSE_TIMEOUT")])
    return script


def fault_behind_close_ack():
    script = calm(
        "fault-behind-close-ack", ["PW-CLS-013"], "CLOSE_ACK is handed out: behind it this side sends no CLOSE.",
    )
    script.greet()
    script.room(10, 5)
    script.receive(20, to_close(), out=[out_ack()[:5]], events=[closing()])
    script.receive(30, data(b"late"), events=[failed("UNEXPECTED_PACKET")])
    script.room(40, None, out=[out_ack()[5:]])
    return script


# Counts.


def reject(ordinal, message_class=2):
    return to_side(REJECT, u64(ordinal) + u16(1) + bytes([message_class]))


def rejected(ordinal, message_class=2):
    return {"rejected": {"class": message_class, "ordinal": ordinal, "reason": 1}}


def sending_two(name, about, requirements=("PW-CLS-019",), role="client"):
    script = calm(name, list(requirements), about, role)
    script.greet()
    script.send(10, b"one", out=[out_data(b"one")])
    script.send(20, b"two", out=[out_data(b"two")])
    return script


def count_with_rejects():
    script = sending_two("close-counts-refused", "CLOSE counts a message that was refused.")
    script.receive(30, reject(2), events=[rejected(2)])
    script.receive(40, to_close(1, 2), out=[fault("BAD_COUNT")], events=[failed("BAD_COUNT")])
    return script


def close_ack_count_with_rejects():
    script = sending_two("close-ack-counts-refused", "So does CLOSE_ACK: behind its own CLOSE this side says nothing.")
    script.close(30, out=[out_close()])
    script.receive(40, reject(0), events=[rejected(0)])
    script.receive(50, ack(2), events=[failed("BAD_COUNT")])
    return script


def reject_behind_count():
    script = sending_two(
        "reject-behind-drain", "DRAIN counted both messages: none is left that could be refused, until one more is sent.",
    )
    script.receive(30, to_side(DRAIN, u64(2)), events=[{"draining": {"received": 2}}])
    script.send(40, b"three", out=[out_data(b"three")])
    script.receive(50, reject(1), events=[rejected(1)])
    script.receive(60, reject(2), out=[fault("BAD_COUNT")], events=[failed("BAD_COUNT")])
    return script


def reject_of_class():
    script = calm(
        "reject-of-each-class", ["PW-REJ-007", "PW-REJ-008"],
        "Ordinals and their order are those of a class: the third REJECT for class 3 is one too many.", "client",
    )
    script.greet()
    for at, message_class in ((10, 2), (12, 3), (14, 2), (16, 3)):
        script.send(at, b"x", message_class, out=[by_side(DATA, b"x", FIRST | CHECKSUM, message_class)])
    for at, (ordinal, message_class) in ((20, (2, 2)), (30, (1, 3)), (40, (2, 3))):
        script.receive(at, reject(ordinal, message_class), events=[rejected(ordinal, message_class)])
    script.receive(50, reject(0, 3), out=[fault("BAD_COUNT")], events=[failed("BAD_COUNT")])
    return script


def reject_above_class():
    script = sending_two(
        "reject-above-begun-of-class", "An ordinal is above what was begun of its class, and not of all.",
        ["PW-REJ-008"],
    )
    script.send(25, b"x", 3, out=[by_side(DATA, b"x", FIRST | CHECKSUM, 3)])
    script.receive(30, reject(2, 3), out=[fault("BAD_COUNT")], events=[failed("BAD_COUNT")])
    return script


def drain_counts_begun():
    script = calm(
        "drain-while-begun", ["PW-CLS-019", "PW-REJ-008"],
        "A message that was begun may be refused, and the one before it counted as received.", "client",
        {"message_limit": 8_192},
    )
    script.greet()
    script.send(10, b"one", out=[out_data(b"one")])
    begin = out_data(b"r" * 512, FIRST | MORE)
    script.room(20, 100)
    script.send(30, b"r" * 1_024, out=[begin[:100]])
    script.receive(40, reject(2), events=[rejected(2)])
    script.receive(50, to_side(DRAIN, u64(1)), events=[{"draining": {"received": 1}}])
    script.room(60, None, out=[begin[100:], out_data(b"r" * 512, 0)])
    script.close(70, out=[out_close()])
    script.receive(80, ack(1), events=[ended(1, "local", True)])
    return script


# What is over, and what still goes out then.


def over_while_close_ack_waits():
    script = calm(
        "over-while-close-ack-waits", ["PW-CLS-006", "PW-CLS-013", "PW-FRM-016"],
        "Both sides close, and the peer answers first: that is the end. What it sends then is not judged, and the answer to its "
        "CLOSE still goes out.", "client",
    )
    script.greet()
    script.close(10, out=[out_close()])
    script.room(20, 5)
    script.receive(30, to_close(2), out=[out_ack()[:5]])
    script.receive(40, ack(), data(b"late"), bytes(12), events=[ended(1, "local", True)])
    script.room(50, None, out=[out_ack()[5:]])
    return script


def no_silence_behind_close_ack():
    script = Script(
        "no-silence-behind-close-ack", ["PW-CLS-001", "PW-CLS-015"],
        "CLOSE_ACK goes away slowly. No PING can follow it, so no silence is judged: WRITE_STALL ends the wait.",
        write_stall=5_000,
    )
    script.greet()
    script.room(10, 5)
    script.receive(50, to_close(), out=[out_ack()[:5]], events=[closing()])
    script.wait(5_049)
    script.wait(5_050, events=[failed("WRITE_STALL")])
    return script


def reset_before_close_ack_taken():
    script = calm(
        "reset-before-close-ack-taken", ["PW-CLS-011"],
        "The peer resets the connection before its CLOSE is answered: that is what is reported.",
    )
    script.greet()
    script.room(10, 5)
    script.receive(20, to_close(2), out=[out_ack()[:5]], events=[closing(2, 1_000)])
    script.disconnect(30, "reset", events=[ended(REASONS["RESET"], "transport")])
    return script


def reset_behind_fault():
    script = calm(
        "reset-behind-fault", ["PW-CLS-011"], "A reset behind CLOSE for a fault changes nothing: the connection was over.",
    )
    script.greet()
    script.receive(10, to_close(24), events=[ended(24, "peer")])
    script.disconnect(20, "reset")
    return script


def drain_waits(name, about):
    script = calm(name, ["PW-CLS-016"], about, peer={"message_limit": 8_192})
    script.greet()
    begin = out_data(b"m" * 512, FIRST | MORE)
    script.room(10, 100)
    script.send(20, b"m" * 1_024, out=[begin[:100]])
    script.command(30, "drain")
    return script, begin[100:]


def drain_waits_when_close_comes():
    script, rest = drain_waits("drain-waits-when-close-comes", "A DRAIN that waits when CLOSE comes goes out before CLOSE_ACK.")
    script.receive(40, to_close(), events=[closing()])
    script.room(50, None, out=[rest, by_side(DRAIN, u64(0)), out_data(b"m" * 512, 0), out_ack()], events=[
        ended(1, "peer", True),
    ])
    return script


def drain_waits_when_closing():
    script, rest = drain_waits("drain-waits-when-closing", "A DRAIN that waits when this side closes goes out before CLOSE.")
    script.close(40)
    script.room(50, None, out=[rest, by_side(DRAIN, u64(0)), out_data(b"m" * 512, 0), out_close()])
    script.receive(60, ack(1), events=[ended(1, "local", True)])
    return script


def drain_waits_when_fault():
    script, rest = drain_waits("drain-waits-when-fault", "A DRAIN that waits when this side finds a fault is not sent.")
    script.receive(40, to_side(0x0B, b""), events=[failed("UNKNOWN_KIND")])
    script.room(50, None, out=[rest, fault("UNKNOWN_KIND")])
    return script


def open_message_behind_close():
    script = calm(
        "open-message-behind-close", ["PW-DAT-002", "PW-DAT-013"],
        "The peer closes within a message, which has no time any more, and what this side sends goes away slowly.",
        assembly_base=500,
    )
    script.greet()
    script.receive(10, to_side(DATA, b"abc", FIRST | MORE, 2))
    script.room(20, 0)
    script.send(30, b"own")
    script.receive(40, to_close(REASONS["OVERLOADED"]), events=[closing(REASONS["OVERLOADED"], 1_000)])
    script.wait(5_000)
    script.room(5_010, None, out=[out_data(b"own"), out_ack()], events=[
        ended(REASONS["OVERLOADED"], "peer", True, retry_after=1_000),
    ])
    return script
