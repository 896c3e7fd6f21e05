//! The handshake: sections 4 and 7 of the specification.

use pulsewire_protocol::{
    Class, CloseReason, Connection, Disconnect, Event, Flags, Header, Hello, Instant, Kind, Message, Origin,
    ProtocolError, Retry, SendRefused,
};

use crate::pair::*;

fn fresh_server() -> End {
    End::new(Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY)), PEER_KEY)
}

/// A client that has sent HELLO.
fn waiting_client(config: pulsewire_protocol::Config) -> End {
    let mut client = End::new(Connection::client(Instant::ZERO, &valid(config), seed(CLIENT_KEY)), PEER_KEY);
    client.transmit();
    assert_eq!(client.sent_kinds(), [Kind::HELLO]);
    client.sent.clear();
    client
}

/// What the only packet that `end` sent says, and with which key.
fn only_close(end: &mut End, key: u32) -> (CloseReason, u64) {
    end.hand_out();
    let [(header, payload)] = &parse(&end.handed, key, false)[..] else { panic!("one packet: {:?}", end.sent_kinds()) };
    assert_eq!(header.kind, Kind::CLOSE);
    close_fields(payload)
}

fn established(end: &End) -> &pulsewire_protocol::Established {
    let [Event::Established(established), ..] = &end.events[..] else { panic!("not established: {:?}", end.events) };
    established
}

/// PW-HS-001, PW-HS-002, PW-KEY-001, PW-KEY-002.
#[test]
fn the_client_begins_and_the_server_answers_with_one_packet_each() {
    let mut server = fresh_server();
    assert_eq!(server.transmit(), b"");
    let mut client = End::new(Connection::client(Instant::ZERO, &valid(config()), seed(CLIENT_KEY)), SERVER_KEY);
    let hello = client.transmit();
    let (header, payload) = &parse(&hello, 0, true)[0];
    assert_eq!(header.kind, Kind::HELLO);
    let hello_fields = Hello::decode(Kind::HELLO, payload).unwrap();
    assert_eq!(
        (hello_fields.version_lowest, hello_fields.version_highest, hello_fields.sync_key.get()),
        (1, 1, CLIENT_KEY)
    );

    server.receive(&hello).unwrap();
    let answer = server.transmit();
    let (header, payload) = &parse(&answer, 0, true)[0];
    assert_eq!(header.kind, Kind::HELLO_ACK);
    let answer_fields = Hello::decode(Kind::HELLO_ACK, payload).unwrap();
    assert_eq!(answer_fields.sync_key.get(), SERVER_KEY);

    client.receive(&answer).unwrap();
    assert!(client.connection.is_open() && server.connection.is_open());
    assert_eq!(server.sent.len() + client.sent.len(), 2);
}

/// PW-KEY-001, PW-KEY-003: after the first packet, key 0 and a third key are invalid, the announced one is valid.
#[test]
fn only_the_announced_key_is_good_after_the_first_packet() {
    for key in [0, PEER_KEY] {
        let mut config = config();
        config.damage = pulsewire_protocol::Damage::Close;
        let mut server = End::server(config);
        assert_eq!(server.receive(&numbered(Kind::PING, 1, key)), Err(ProtocolError::BadHeader));
    }
    let mut server = End::server(config());
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::PONG]);
}

/// PW-HS-003: version 1 is chosen from any range that has it, and stands twice in the answer.
#[test]
fn the_server_chooses_the_highest_common_version() {
    for highest in [1, 2, 255] {
        let mut server = fresh_server();
        server.receive(&hello_packet(Kind::HELLO, &Hello { version_highest: highest, ..hello(PEER_KEY) })).unwrap();
        assert_eq!(established(&server).version, 1);
        server.transmit();
        let answer = Hello::decode(Kind::HELLO_ACK, &server.sent[0].2).unwrap();
        assert_eq!((answer.version_lowest, answer.version_highest), (1, 1));
    }
}

/// PW-HS-004, PW-HS-019: the refusal has key 0, which is what the client expects of the first packet.
#[test]
fn a_server_without_a_common_version_refuses_with_key_0() {
    let mut server = fresh_server();
    let newer = Hello { version_lowest: 2, version_highest: 9, ..hello(CLIENT_KEY) };
    let error = server.receive(&hello_packet(Kind::HELLO, &newer)).unwrap_err();
    assert_eq!(error, ProtocolError::UnsupportedVersion { lowest: 2, highest: 9 });
    assert_eq!(only_close(&mut server, 0).0, CloseReason::UNSUPPORTED_VERSION);

    let mut client = waiting_client(config());
    client.receive(&server.handed).unwrap();
    let closed = client.closed();
    assert_eq!(
        (closed.reason, closed.origin, closed.retry),
        (CloseReason::UNSUPPORTED_VERSION, Origin::Peer, Retry::Never)
    );
    assert!(!closed.detail.is_empty() && !closed.orderly);
}

/// PW-HS-019, PW-KEY-001: a fault right behind HELLO, before HELLO_ACK went out, is still told with key 0.
#[test]
fn a_fault_before_hello_ack_went_out_refuses_with_key_0() {
    let mut server = fresh_server();
    let fault = numbered(Kind::CLOSE_ACK, 0, SERVER_KEY);
    let stream = [hello_packet(Kind::HELLO, &hello(PEER_KEY)), fault].concat();
    server.receive(&stream).unwrap_err();
    assert_eq!(only_close(&mut server, 0).0, CloseReason::UNEXPECTED_PACKET);
}

/// PW-HS-019: what the application of the server refuses.
#[test]
fn a_refusal_by_the_application_reaches_the_client() {
    let mut pair = Pair::new(config(), config());
    pair.ends[SERVER].connection.close(pair.now, CloseReason::OVERLOADED);
    pair.run_for(ms(10));
    let closed = pair.closed(CLIENT);
    assert_eq!((closed.reason, closed.origin), (CloseReason::OVERLOADED, Origin::Peer));
    assert_eq!(closed.retry, Retry::After(ms(1_000)));
}

/// PW-HS-015: each kind of wrong answer; the client knows the server's key by now, and uses it.
#[test]
fn a_client_refuses_a_version_that_it_did_not_offer() {
    for (lowest, highest) in [(1, 2), (2, 2), (2, 3)] {
        let mut client = waiting_client(config());
        let answer = Hello { version_lowest: lowest, version_highest: highest, ..hello(PEER_KEY) };
        let error = client.receive(&hello_packet(Kind::HELLO_ACK, &answer)).unwrap_err();
        assert_eq!(error, ProtocolError::UnsupportedVersion { lowest, highest });
        assert_eq!(only_close(&mut client, PEER_KEY).0, CloseReason::UNSUPPORTED_VERSION);
    }
}

/// PW-HS-012: at the deadline, not before. The server tells with key 0, the client ends in silence (PW-HS-018).
#[test]
fn a_silent_peer_ends_the_handshake_exactly_at_the_deadline() {
    let mut server = fresh_server();
    assert_eq!(server.connection.poll_timeout(), Some(at(10_000)));
    server.connection.handle_timeout(Instant::from_nanos(at(10_000).as_nanos() - 1));
    assert!(!server.connection.is_over());
    server.run_until(at(20_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(10_000), CloseReason::HANDSHAKE_TIMEOUT));
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);

    let mut client = waiting_client(config());
    client.run_until(at(20_000));
    assert_eq!((client.closed_at(), client.closed().reason), (at(10_000), CloseReason::HANDSHAKE_TIMEOUT));
    assert!(client.sent.is_empty());
}

/// PW-FRM-015 begins after the first packet: that one has the time of the handshake.
#[test]
fn half_a_hello_has_the_time_of_the_handshake() {
    let mut config = config();
    config.timeouts.assembly_base = ms(100);
    let mut server = End::new(Connection::server(Instant::ZERO, &valid(config), seed(SERVER_KEY)), PEER_KEY);
    server.receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))[..20]).unwrap();
    server.run_until(at(20_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(10_000), CloseReason::HANDSHAKE_TIMEOUT));
}

/// PW-HS-012: a HELLO that trickles in is no reason to wait longer.
#[test]
fn a_trickled_hello_does_not_extend_the_handshake() {
    let mut server = fresh_server();
    for byte in &hello_packet(Kind::HELLO, &hello(PEER_KEY))[..40] {
        server.run_for(ms(240));
        server.receive(std::slice::from_ref(byte)).unwrap();
    }
    server.run_for(ms(2_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(10_000), CloseReason::HANDSHAKE_TIMEOUT));
}

/// PW-HS-018: whatever makes it give up.
#[test]
fn a_client_that_gives_up_before_hello_ack_says_nothing() {
    let giving_up: [fn(&mut End); 4] = [
        |client| client.connection.close(client.now, CloseReason::NORMAL),
        |client| client.connection.close(client.now, CloseReason::BAD_PACKET),
        |client| assert!(client.receive(b"HTTP/1.1 400 Bad Request").is_err()),
        |client| assert!(client.receive(&control(Kind::HELLO_ACK, &[0; 20], 0)).is_err()),
    ];
    for give_up in giving_up {
        let mut client = waiting_client(config());
        give_up(&mut client);
        assert_eq!(client.transmit(), b"");
        assert!(client.closed.is_some());
    }
}

/// PW-HS-013, for both kinds and both sides.
#[test]
fn a_second_greeting_is_fatal() {
    for kind in [Kind::HELLO, Kind::HELLO_ACK] {
        let mut payload = Vec::new();
        hello(PEER_KEY).encode(&mut payload);
        let mut server = End::server(config());
        let error = server.receive(&control(kind, &payload, SERVER_KEY)).unwrap_err();
        assert!(matches!(error, ProtocolError::UnexpectedPacket { .. }));
        let mut client = waiting_client(config());
        client.receive(&hello_packet(Kind::HELLO_ACK, &hello(PEER_KEY))).unwrap();
        let error = client.receive(&control(kind, &payload, CLIENT_KEY)).unwrap_err();
        assert!(matches!(error, ProtocolError::UnexpectedPacket { .. }));
    }
}

/// PW-FRM-004: every known kind and an ignorable one as the first packet.
#[test]
fn the_first_packet_is_a_greeting() {
    let sizes = [(0x03, 11), (0x04, 5), (0x05, 8), (0x06, 8), (0x07, 4), (0x08, 8), (0x0A, 8), (0xC0, 3)];
    for (kind, size) in sizes.into_iter().chain([(0x02, 20), (0x09, 14)]) {
        let mut server = fresh_server();
        let error = server.receive(&control(Kind(kind), &vec![0; size], 0)).unwrap_err();
        assert_eq!(error.close_reason(), CloseReason::UNEXPECTED_PACKET, "{kind:#x} to a server");
    }
    for (kind, size) in sizes.into_iter().chain([(0x01, 20)]) {
        let mut client = waiting_client(config());
        let error = client.receive(&control(Kind(kind), &vec![0; size], 0)).unwrap_err();
        assert_eq!(error.close_reason(), CloseReason::UNEXPECTED_PACKET, "{kind:#x} to a client");
    }
}

/// PW-FRM-003, PW-FRM-014, PW-FRM-001: at the twelfth byte, whatever the split.
#[test]
fn other_protocols_are_named() {
    let cases: [(&[u8], Option<&str>); 9] = [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 4000 7700\r\n", Some("the PROXY protocol")),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11", Some("the PROXY protocol")),
        (b"\r\n\r\n\0\r\nQUOTE\n", None),
        (b"GET / HTTP/1.1\r\n", Some("HTTP")),
        (b"PRI * HTTP/2.0\r\n", Some("HTTP")),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00", Some("TLS")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Some("SSH")),
        (b"EHLO mail.example\r\n", None),
        (&[0; 16], None),
    ];
    for (bytes, protocol) in cases {
        for size in 1..=bytes.len() {
            let mut server = fresh_server();
            let mut chunks = bytes.chunks(size);
            let error = loop {
                if let Err(error) = server.receive(chunks.next().expect("an error before the end")) {
                    break error;
                }
            };
            assert_eq!(error, ProtocolError::NotPulsewire { protocol });
            assert_eq!(server.closed().detail.contains("look like"), protocol.is_some());
            assert_eq!(only_close(&mut server, 0).0, CloseReason::NOT_PULSEWIRE);
        }
    }
}

/// PW-FRM-003: no resynchronising before the first packet.
#[test]
fn a_good_hello_behind_a_bad_byte_is_not_found() {
    let mut server = fresh_server();
    let stream = [b"x".to_vec(), hello_packet(Kind::HELLO, &hello(PEER_KEY))].concat();
    assert_eq!(server.receive(&stream), Err(ProtocolError::NotPulsewire { protocol: None }));
}

/// PW-DAT-009, PW-HS-010, PW-HS-011: the peer's limits bind this side; the smallest ones too.
#[test]
fn the_sender_keeps_to_the_limits_that_the_peer_announced() {
    let small = Hello { frame_limit: 512, message_limit: 1_300, ..hello(PEER_KEY) };
    let mut server = End::greeted(config(), &small, SERVER_KEY);
    let refused = server.connection.send(server.now, business(1_301)).unwrap_err();
    assert_eq!((refused.reason, refused.message), (SendRefused::TooLarge { limit: 1_300 }, business(1_301)));
    server.connection.send(server.now, business(1_300)).unwrap();
    server.transmit();
    let frames: Vec<(Flags, u32)> = server.sent.iter().map(|(_, header, _)| (header.flags, header.length)).collect();
    assert_eq!(frames, [(Flags::FIRST | Flags::MORE, 512), (Flags::MORE, 512), (Flags::NONE, 276)]);
    assert_eq!(server.sent.iter().flat_map(|(_, _, payload)| payload.clone()).collect::<Vec<u8>>(), *payload(1_300));
}

/// PW-HS-011: the defaults of items that are absent.
#[test]
fn absent_items_have_their_defaults() {
    let mut server = fresh_server();
    let payload = [item(1, &[1, 1]), item(2, &[0, 0, 0, 9])].concat();
    server.receive(&control(Kind::HELLO, &payload, 0)).unwrap();
    let established = established(&server);
    assert_eq!((established.frame_limit, established.message_limit), (65_536, 16_777_216));
    assert_eq!((established.idle, established.interval), (ms(1_000), ms(1_000)));
    assert_eq!(established.token, None);
}

/// TOKEN reaches the server's application, and means nothing in HELLO_ACK.
#[test]
fn the_token_reaches_the_server_only() {
    let mut with_token = config();
    with_token.token = Some(vec![7; 2_048].into());
    let pair = Pair::established(with_token, config());
    assert_eq!(established(&pair.ends[SERVER]).token.as_deref(), Some(&[7; 2_048][..]));
    assert_eq!(established(&pair.ends[CLIENT]).token, None);
    let mut client = waiting_client(config());
    let answer = Hello { token: Some(vec![1].into()), ..hello(PEER_KEY) };
    client.receive(&hello_packet(Kind::HELLO_ACK, &answer)).unwrap();
    assert_eq!(established(&client).token, None);
}

/// PW-HB-005: the effective values are told.
#[test]
fn the_peers_floor_raises_idle_and_interval() {
    let slow = Hello { ping_floor: ms(3_000), ..hello(PEER_KEY) };
    let mut server = fresh_server();
    server.receive(&hello_packet(Kind::HELLO, &slow)).unwrap();
    assert_eq!((established(&server).idle, established(&server).interval), (ms(3_000), ms(3_000)));
}

/// PW-HS-016: on both sides, at the limit and just above it.
#[test]
fn a_floor_that_makes_detection_too_slow_is_refused() {
    let mut strict = config();
    strict.heartbeat.detect_within = Some(ms(1_400));
    for (floor, bound) in [(100, None), (101, Some(1_303)), (133, Some(1_399)), (134, Some(1_402))] {
        let peer = Hello { ping_floor: ms(floor), ..hello(PEER_KEY) };
        let refused = bound.filter(|bound| *bound > 1_400);
        let mut server =
            End::new(Connection::server(Instant::ZERO, &valid(strict.clone()), seed(SERVER_KEY)), PEER_KEY);
        let result = server.receive(&hello_packet(Kind::HELLO, &peer));
        let mut client = waiting_client(strict.clone());
        assert_eq!(client.receive(&hello_packet(Kind::HELLO_ACK, &peer)), result);
        match refused {
            None => assert_eq!(result, Ok(())),
            Some(bound_ms) => {
                assert_eq!(result, Err(ProtocolError::IncompatibleTimers { bound_ms, limit_ms: 1_400 }));
                assert_eq!(only_close(&mut server, 0).0, CloseReason::INCOMPATIBLE_TIMERS);
                assert_eq!(only_close(&mut client, PEER_KEY).0, CloseReason::INCOMPATIBLE_TIMERS);
            }
        }
    }
}

/// PW-KEY-002, PW-HS-002, PW-HS-005 to PW-HS-010, PW-HS-017: a server's answer to each is CLOSE with key 0 and the reason.
/// (The vectors of the specification hold many more; here it is the connection that answers.)
#[test]
fn a_malformed_hello_is_refused_with_its_reason() {
    let (versions, key) = (item(1, &[1, 1]), item(2, &[0, 0, 0, 9]));
    let with = |more: &[u8]| [&versions[..], &key, more].concat();
    let cases = [
        (CloseReason::BAD_HELLO, [&versions[..], &item(2, &[0; 4])].concat()),
        (CloseReason::BAD_HELLO, [&key[..], &item(0x9000, &[0; 8])].concat()),
        (CloseReason::BAD_HELLO, [&item(1, &[0, 1])[..], &key].concat()),
        (CloseReason::BAD_HELLO, with(&key)),
        (CloseReason::BAD_HELLO, with(&[0])),
        (CloseReason::BAD_HELLO, with(&item(4, &[0; 4]))),
        (CloseReason::BAD_HELLO, with(&item(3, &[0, 0, 1, 255, 0, 1, 0, 0]))),
        (CloseReason::UNKNOWN_ITEM, with(&item(6, b""))),
    ];
    for (reason, payload) in cases {
        let mut server = fresh_server();
        server.receive(&control(Kind::HELLO, &payload, 0)).unwrap_err();
        assert_eq!(only_close(&mut server, 0).0, reason);
        assert_eq!(server.closed().origin, Origin::Local);
    }
    let mut server = fresh_server();
    server.receive(&control(Kind::HELLO, &with(&[item(0xFFFF, b"?"), item(5, &[255; 4])].concat()), 0)).unwrap();
    assert!(server.connection.is_open());
}

/// PW-FRM-013, PW-HDR-014: the size of a greeting is judged at its header.
#[test]
fn a_greeting_above_4096_bytes_is_refused_at_its_header() {
    let mut server = fresh_server();
    let header = Header { kind: Kind::HELLO, flags: Flags::NONE, class: Class::UNCLASSIFIED, length: 4_097 };
    let error = server.receive(&header.encode(0)).unwrap_err();
    assert_eq!(error, ProtocolError::BadLength { kind: Kind::HELLO, length: 4_097 });
}

/// PW-CLS-011, and `NotEstablished` before.
#[test]
fn the_stream_may_end_during_the_handshake() {
    let mut client = waiting_client(config());
    let refused = client.connection.send(client.now, Message::new(Class::SYSTEM, b"early")).unwrap_err();
    assert_eq!((refused.reason, &*refused.message.payload), (SendRefused::NotEstablished, &b"early"[..]));
    client.disconnect(Disconnect::EndOfStream);
    assert_eq!((client.closed().reason, client.closed().origin), (CloseReason::PEER_ENDED, Origin::Transport));
}

/// PW-FRM-001 over a whole handshake.
#[test]
fn a_handshake_byte_by_byte() {
    let mut pair = Pair::new(config(), config());
    pair.step = 1;
    pair.run_for(ms(10));
    assert!(pair.ends.iter().all(|end| end.connection.is_open()));
}
