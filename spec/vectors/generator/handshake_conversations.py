"""conversations/handshake.json: how a connection begins, or does not (section 7)."""

from .codec import (
    CHECKSUM, CLOSE, DATA, FIRST, HELLO, HELLO_ACK, LIMIT, PING, SYNC_KEY, TEXT, TOKEN, item, json_bytes, packet, u64,
)
from .hello_vectors import hello_payload, limits, ping_floor, sync_key, versions
from .names import NEVER, REASONS
from .script import OWN_KEY, PEER_KEY, Script, by_side, calm, close_payload, ended, to_side

TOKEN_BYTES = b"let me in"


def build():
    scripts = [
        client(), server(), server_token(), admission_accepted(), admission_refused(), admission_too_slow(),
        more_while_judging(), refused_client(), server_timeout(), client_timeout(), not_pulsewire(),
        hello_after_hello(),
        no_version_in_common(), ack_of_other_version(), bad_hello(), incompatible_timers(), incompatible_server(),
        first_packet_is_ping(), first_packet_too_large(),
        detect_within_default_at(), detect_within_default_above(), detect_within_configured_at(),
        detect_within_configured_above(), client_at_detect_within(), client_above_detect_within(),
        incompatible_before_admission(),
        bad_ack_with_key(), bad_ack_key_behind(), bad_ack_without_key(), bad_ack_cut_off(),
        bad_ack_key_length(), ack_versions_differ(), ack_token_twice(), ack_with_token(),
        ack_with_wrong_trailer(), refused_client_orderly(), refused_client_off_wire(), refused_text_cut(),
        first_packet_is_ignorable(), longest_token_of_client(), longest_token_for_server(), silence_begins_with_accept(),
    ]
    return [script.build() for script in scripts]


def client():
    script = calm("client", ["PW-HS-001", "PW-KEY-001"], "A client greets and is greeted.", "client", token=TOKEN_BYTES)
    script.start(out=[script.own_hello()])
    script.receive(20, script.peer_hello(), events=[script.established()])
    script.send(30, b"hi", out=[by_side(DATA, b"hi", FIRST | 0x04, 2)])
    return script


def server():
    script = calm("server", ["PW-HS-001", "PW-KEY-001"], "A server is greeted byte by byte, and greets.")
    script.start()
    hello = script.peer_hello()
    script.receive(10, hello[:1])
    script.receive(20, hello[1:-1])
    script.receive(30, hello[-1:], out=[script.own_hello()], events=[script.established()])
    script.receive(40, to_side(PING, u64(1)), out=[by_side(0x06, u64(1))])
    return script


def server_token():
    script = calm(
        "server-token", ["PW-HS-003", "PW-HS-006", "PW-HS-014"], "HELLO has a token, versions and items to come.",
    )
    script.start()
    payload = hello_payload(script.peer, PEER_KEY, TOKEN_BYTES, highest=9) + item(0x8FFF, b"\x01")
    hello = packet(HELLO, payload, key=0)
    script.receive(10, hello, out=[script.own_hello()], events=[script.established(TOKEN_BYTES.hex())])
    return script


def admission_accepted():
    script = calm("admission-accepted", ["PW-HS-020"], "The application judges HELLO, and accepts.", admission=True)
    script.start()
    script.receive(10, script.peer_hello(TOKEN_BYTES), events=[{"admission": {"token": TOKEN_BYTES.hex()}}])
    script.wait(500)
    script.command(510, "accept", out=[script.own_hello()], events=[script.established(TOKEN_BYTES.hex())])
    script.send(520, b"welcome", out=[by_side(DATA, b"welcome", FIRST | 0x04, 2)])
    return script


def admission_refused():
    script = calm(
        "admission-refused", ["PW-HS-019", "PW-HS-020"], "The application judges HELLO, and refuses.", admission=True,
    )
    script.start()
    script.receive(10, script.peer_hello(TOKEN_BYTES), events=[{"admission": {"token": TOKEN_BYTES.hex()}}])
    payload = close_payload(REASONS["OVERLOADED"], 0, 7_000, item(TEXT, b"full until eight"))
    script.refuse(
        20, REASONS["OVERLOADED"], "full until eight", 7_000, out=[packet(CLOSE, payload, key=0)],
        events=[ended(REASONS["OVERLOADED"], "local")],
    )
    return script


def fault(reason, received=0, items=b"", key=PEER_KEY):
    return packet(CLOSE, close_payload(REASONS[reason], received, None, items), key=key)


def failed(reason, received=0):
    return ended(REASONS[reason], "local", received=received)


def admission_too_slow():
    script = calm(
        "admission-too-slow", ["PW-HS-012", "PW-HS-020"], "The application does not decide in time.", admission=True,
    )
    script.start()
    script.receive(10, script.peer_hello(), events=[{"admission": {"token": None}}])
    script.wait(999)
    script.wait(1_000, out=[fault("HANDSHAKE_TIMEOUT", key=0)], events=[failed("HANDSHAKE_TIMEOUT")])
    return script


def more_while_judging():
    script = calm("more-while-judging", ["PW-HS-021"], "The client goes on before it was answered.", admission=True)
    script.start()
    script.receive(10, script.peer_hello(), events=[{"admission": {"token": None}}])
    early = packet(PING, u64(1), key=OWN_KEY)
    script.receive(20, early, out=[fault("UNEXPECTED_PACKET", key=0)], events=[failed("UNEXPECTED_PACKET")])
    return script


def refused_client():
    script = calm("refused-client", ["PW-HS-022"], "A client gets CLOSE in place of HELLO_ACK.", "client")
    script.start(out=[script.own_hello()])
    payload = close_payload(REASONS["REFUSED"], 0, NEVER, item(TEXT, b"not you"))
    events = [ended(REASONS["REFUSED"], "peer", text="not you", retry_after=NEVER)]
    script.receive(20, packet(CLOSE, payload, key=0), events=events)
    return script


def server_timeout():
    script = calm("server-timeout", ["PW-HS-012", "PW-HS-019"], "HELLO is not whole in time.")
    script.start()
    script.receive(990, script.peer_hello()[:-1])
    script.wait(999)
    script.wait(1_000, out=[fault("HANDSHAKE_TIMEOUT", key=0)], events=[failed("HANDSHAKE_TIMEOUT")])
    return script


def client_timeout():
    script = calm(
        "client-timeout", ["PW-HS-012", "PW-HS-018"], "HELLO_ACK does not come; the client says nothing.", "client",
    )
    script.start(out=[script.own_hello()])
    script.wait(999)
    script.wait(1_000, events=[failed("HANDSHAKE_TIMEOUT")])
    return script


def not_pulsewire():
    script = calm(
        "not-pulsewire", ["PW-FRM-003"], "A client meets a server of another protocol, and says nothing.", "client",
    )
    script.start(out=[script.own_hello()])
    script.receive(20, b"HTTP/1.1 400 Bad Request\r\n", events=[failed("NOT_PULSEWIRE")])
    return script


def hello_after_hello():
    script = calm("hello-after-hello", ["PW-HS-013"], "HELLO comes a second time, with the right key.")
    script.greet()
    again = to_side(HELLO, hello_payload(script.peer, PEER_KEY, None))
    script.receive(10, again, out=[fault("UNEXPECTED_PACKET")], events=[failed("UNEXPECTED_PACKET")])
    return script


def no_version_in_common():
    script = calm("no-version-in-common", ["PW-HS-004"], "A client of versions 2 to 3.")
    script.start()
    hello = packet(HELLO, hello_payload(script.peer, PEER_KEY, None, 2, 3), key=0)
    script.receive(10, hello, out=[fault("UNSUPPORTED_VERSION", key=0)], events=[failed("UNSUPPORTED_VERSION")])
    return script


def ack_of_other_version():
    script = calm("ack-of-other-version", ["PW-HS-018"], "A client cannot read the key, and says nothing.", "client")
    script.start(out=[script.own_hello()])
    hello = packet(HELLO_ACK, hello_payload(script.peer, 0, None), key=0)
    script.receive(10, hello, events=[failed("BAD_HELLO")])
    return script


def bad_hello():
    script = calm("bad-hello", ["PW-HS-005", "PW-HS-019"], "HELLO has an unknown critical item.")
    script.start()
    hello = packet(HELLO, hello_payload(script.peer, PEER_KEY, None) + item(0x0077, b""), key=0)
    script.receive(10, hello, out=[fault("UNKNOWN_ITEM", key=0)], events=[failed("UNKNOWN_ITEM")])
    return script


def incompatible_timers():
    script = Script(
        "incompatible-timers", ["PW-HS-016"], "The client's floor makes detection too slow.",
        peer={"ping_floor": 200}, detect_within=400,
    )
    script.start()
    script.receive(
        10, script.peer_hello(), out=[fault("INCOMPATIBLE_TIMERS", key=0)], events=[failed("INCOMPATIBLE_TIMERS")]
    )
    return script


def incompatible_server():
    script = Script(
        "compatible-timers", ["PW-HS-016"], "The client's floor is just low enough.", peer={"ping_floor": 100},
        detect_within=400,
    )
    script.start()
    script.receive(10, script.peer_hello(), out=[script.own_hello()], events=[script.established()])
    return script


def first_packet_is_ping():
    script = calm("first-packet-is-ping", ["PW-FRM-004"], "The first packet of a client is no HELLO.")
    script.start()
    ping = packet(PING, u64(1), key=0)
    script.receive(10, ping, out=[fault("UNEXPECTED_PACKET", key=0)], events=[failed("UNEXPECTED_PACKET")])
    return script


def first_packet_too_large():
    script = calm(
        "first-packet-too-large", ["PW-FRM-012", "PW-HDR-017"],
        "The first packet of a client is DATA above the limit that this server has not announced yet.",
    )
    script.start()
    limit = item(LIMIT, u64(512) + u64(513))
    script.receive(
        10, packet(DATA, bytes(513), FIRST, key=0)[:12], out=[fault("FRAME_TOO_LARGE", 0, limit, 0)],
        events=[failed("FRAME_TOO_LARGE")],
    )
    return script


# PW-HS-016.


def greeted_by(name, about, floor, refused, role="server", **config):
    script = Script(name, ["PW-HS-016"], about, role, {"ping_floor": floor}, **config)
    if role == "client":
        script.start(out=[script.own_hello()])
    else:
        script.start()
    hello = script.peer_hello()
    if refused:
        key = 0 if role == "server" else PEER_KEY
        script.receive(
            10, hello, out=[fault("INCOMPATIBLE_TIMERS", key=key)], events=[failed("INCOMPATIBLE_TIMERS")],
        )
    else:
        script.receive(10, hello, out=[script.own_hello()] if role == "server" else [], events=[script.established()])
    return script


def detect_within_default_at():
    return greeted_by("detect-within-default-at", "60 s, if detect_within is not chosen.", 15_000, False)


def detect_within_default_above():
    return greeted_by("detect-within-default-above", "A floor of a millisecond more.", 15_001, True)


SLOW = {"idle": 10_000, "interval": 10_000, "probes": 4}


def detect_within_configured_at():
    return greeted_by(
        "detect-within-configured-at", "Twice its own idle + interval * probes, where that is more: 100 s.", 20_000,
        False, **SLOW,
    )


def detect_within_configured_above():
    return greeted_by("detect-within-configured-above", "A floor of a millisecond more.", 20_001, True, **SLOW)


def client_at_detect_within():
    return greeted_by("client-at-detect-within", "A client judges the floor of HELLO_ACK.", 15_000, False, "client")


def client_above_detect_within():
    return greeted_by(
        "client-above-detect-within", "It is too high: the client gives up, and may say so.", 15_001, True, "client",
    )


def incompatible_before_admission():
    return greeted_by(
        "incompatible-before-admission", "The timers are judged before the application is asked.", 15_001, True,
        admission=True,
    )


# PW-HS-018.


def bad_ack(name, about, payload, reason, key=PEER_KEY, requirements=("PW-HS-018",), **how):
    """`key` is that of CLOSE; None where the client says nothing."""
    script = calm(name, list(requirements), about, "client")
    script.start(out=[script.own_hello()])
    out = [] if key is None else [fault(reason, key=key)]
    script.receive(10, packet(HELLO_ACK, payload, key=0, **how), out=out, events=[failed(reason)])
    return script


def bad_ack_with_key():
    return bad_ack(
        "bad-ack-with-key", "HELLO_ACK has an unknown critical item behind its key: the client may say so with that.",
        versions(1, 1) + sync_key(PEER_KEY) + item(0x0077, b""), "UNKNOWN_ITEM",
    )


def bad_ack_key_behind():
    return bad_ack(
        "bad-ack-key-behind", "The key stands behind the item that is at fault.",
        versions(1, 1) + limits(511, 512) + sync_key(PEER_KEY), "BAD_HELLO",
    )


def bad_ack_without_key():
    return bad_ack(
        "bad-ack-without-key", "HELLO_ACK has no key: the client says nothing.",
        versions(1, 1) + ping_floor(100), "BAD_HELLO", None,
    )


def bad_ack_cut_off():
    return bad_ack(
        "bad-ack-cut-off", "The key is cut off: the client says nothing.",
        versions(1, 1) + ping_floor(100) + sync_key(PEER_KEY)[:-1], "BAD_HELLO", None,
    )


def bad_ack_key_length():
    return bad_ack(
        "bad-ack-key-length", "The key has five bytes: the client says nothing.",
        versions(1, 1) + item(SYNC_KEY, b"\x01\x02\x03\x04\x05"), "BAD_HELLO", None, ["PW-HS-007", "PW-HS-018"],
    )


def ack_versions_differ():
    return bad_ack(
        "ack-versions-differ", "A server chooses two versions.", versions(1, 2) + sync_key(PEER_KEY),
        "UNSUPPORTED_VERSION", requirements=["PW-HS-015", "PW-HS-018"],
    )


def ack_token_twice():
    return bad_ack(
        "ack-token-twice", "TOKEN in HELLO_ACK is judged like any other item.",
        versions(1, 1) + item(TOKEN, b"") * 2 + sync_key(PEER_KEY), "BAD_HELLO",
        requirements=["PW-HS-008", "PW-HS-018"],
    )


def ack_with_token():
    script = calm("ack-with-token", ["PW-HS-002"], "TOKEN in HELLO_ACK means nothing.", "client", token=TOKEN_BYTES)
    script.start(out=[script.own_hello()])
    payload = hello_payload(script.peer, PEER_KEY, b"for nobody")
    script.receive(20, packet(HELLO_ACK, payload, key=0), events=[script.established()])
    return script


def ack_with_wrong_trailer():
    return bad_ack(
        "ack-with-wrong-trailer", "The trailer of HELLO_ACK is wrong: no key was read.",
        versions(1, 1) + sync_key(PEER_KEY), "PAYLOAD_CHECKSUM", None, ["PW-FRM-003", "PW-HS-018"], flags=CHECKSUM,
        trailer_fault=1,
    )


# CLOSE in place of HELLO_ACK.


def refused_for(name, about, reason, retry_after):
    script = calm(name, ["PW-CLS-008", "PW-HS-022"], about, "client")
    script.start(out=[script.own_hello()])
    payload = close_payload(reason, 0, retry_after)
    script.receive(20, packet(CLOSE, payload, key=0), events=[ended(reason, "peer", retry_after=retry_after)])
    return script


def refused_client_orderly():
    return refused_for(
        "refused-client-orderly", "CLOSE in place of HELLO_ACK is not answered, whatever its reason.",
        REASONS["NORMAL"], 0,
    )


def refused_client_off_wire():
    return refused_for(
        "refused-client-off-wire", "A reason that should not be on the wire is told as it came.", 300, 9,
    )


def refused_text_cut():
    script = calm(
        "refused-text-cut", ["PW-CLS-021", "PW-HS-020"], "The TEXT for a refusal is too long, and cut.", admission=True,
    )
    script.start()
    script.receive(10, script.peer_hello(TOKEN_BYTES), events=[{"admission": {"token": TOKEN_BYTES.hex()}}])
    payload = close_payload(40_000, 0, 5, item(TEXT, b"n" * 494))
    script.refuse(20, 40_000, "n" * 495, 5, out=[packet(CLOSE, payload, key=0)], events=[ended(40_000, "local")])
    return script


# What comes first, and when the first silence begins.


def first_packet_is_ignorable():
    script = calm(
        "first-packet-is-ignorable", ["PW-HDR-008", "PW-FRM-004"],
        "An ignorable kind is passed over once the first packet has come, not in its place.",
    )
    script.start()
    script.receive(
        10, packet(0xC0, b"x", key=0), out=[fault("UNEXPECTED_PACKET", key=0)], events=[failed("UNEXPECTED_PACKET")],
    )
    return script


# What HELLO has room for with all its other items.
LONGEST = b"t" * 4_050


def longest_token_of_client():
    script = calm(
        "longest-token", ["PW-HS-001", "PW-HDR-014"], "TOKEN fills HELLO, which has 4,096 bytes.", "client",
        token=LONGEST,
    )
    script.start(out=[script.own_hello()])
    script.receive(20, script.peer_hello(), events=[script.established()])
    return script


def longest_token_for_server():
    script = calm(
        "longest-token-for-server", ["PW-HS-020", "PW-HDR-014"], "The application gets all of it.", admission=True,
    )
    script.start()
    script.receive(10, script.peer_hello(LONGEST), events=[{"admission": {"token": json_bytes(LONGEST)}}])
    script.command(20, "accept", out=[script.own_hello()], events=[script.established(json_bytes(LONGEST))])
    return script


def silence_begins_with_accept():
    script = Script(
        "silence-begins-with-accept", ["PW-HB-006", "PW-HS-020"],
        "The first silence begins when the server accepts, not when HELLO came.", admission=True,
    )
    script.start()
    script.receive(10, script.peer_hello(), events=[{"admission": {"token": None}}])
    script.command(510, "accept", out=[script.own_hello()], events=[script.established()])
    script.wait(609)
    script.wait(610, out=[by_side(PING, u64(1))])
    return script
