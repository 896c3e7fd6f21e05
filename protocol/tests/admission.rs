//! Admission: what a server's application decides before HELLO is answered (PW-HS-020 to PW-HS-022).

use pulsewire_protocol::{
    Admission, CloseFrame, CloseReason, Config, Connection, Event, Hello, Instant, Kind, Origin, ProtocolError, Retry,
    SendRefused,
};

use crate::pair::*;

fn asking() -> Config {
    Config { admission: Admission::Ask, ..config() }
}

/// A server that has told its application of a client.
fn judging() -> End {
    let mut server = End::new(Connection::server(Instant::ZERO, &valid(asking()), seed(SERVER_KEY)), PEER_KEY);
    let hello = Hello { token: Some("let me in".into()), version_highest: 7, resync: true, ..hello(PEER_KEY) };
    server.receive(&hello_packet(Kind::HELLO, &hello)).unwrap();
    server
}

/// PW-HS-020: the application learns what HELLO said, and nothing is answered until it decides.
#[test]
fn the_application_is_asked() {
    let mut server = judging();
    let [Event::Admission(request)] = &server.events[..] else { panic!("{:?}", server.events) };
    assert_eq!(request.token.as_deref(), Some(&b"let me in"[..]));
    assert_eq!((request.version_lowest, request.version_highest), (1, 7));
    assert_eq!((request.frame_limit, request.message_limit), (65_536, 16 << 20));
    assert!(request.resync && request.ping_floor == ms(10));
    assert!(!server.connection.is_open());
    assert_eq!(server.connection.send(server.now, business(1)).unwrap_err().reason, SendRefused::NotEstablished);
    server.run_for(ms(5_000));
    assert!(server.sent.is_empty() && server.closed.is_none());
}

/// PW-HS-020: accepted, the connection is as any other; the clocks of the heartbeat start then.
#[test]
fn an_accepted_client_is_greeted() {
    let mut server = judging();
    server.run_for(ms(5_000));
    server.connection.accept(server.now);
    server.poll_events();
    let [_, Event::Established(established)] = &server.events[..] else { panic!("{:?}", server.events) };
    assert_eq!((established.version, established.token.as_deref()), (1, Some(&b"let me in"[..])));
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::HELLO_ACK]);
    let idle = server.connection.poll_timeout().unwrap() - server.now;
    assert!(idle >= ms(800) && idle <= ms(1_000), "{idle:?}");
    server.connection.send(server.now, business(5)).unwrap();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::HELLO_ACK, Kind::PONG, Kind::DATA]);
}

/// PW-HS-020, PW-HS-022: the whole refusal reaches the client's application; both are over.
#[test]
fn a_refusal_reaches_the_clients_application() {
    for reason in [CloseReason::REFUSED, CloseReason::OVERLOADED, CloseReason(40_000)] {
        let mut pair = Pair::new(config(), asking());
        pair.run_for(ms(10));
        assert!(matches!(pair.ends[SERVER].events[..], [Event::Admission(_)]));
        let frame = CloseFrame::from(reason).with_retry(Retry::After(ms(4_711))).with_text("not on Sundays");
        pair.ends[SERVER].connection.refuse(pair.now, frame);
        pair.run_for(ms(10));
        let (client, server) = (pair.closed(CLIENT), pair.closed(SERVER));
        assert_eq!((client.reason, client.origin), (reason, Origin::Peer));
        assert_eq!((client.retry, &*client.detail), (Retry::After(ms(4_711)), "not on Sundays"));
        assert_eq!((server.reason, server.origin, &*server.detail), (reason, Origin::Local, "not on Sundays"));
        assert_eq!(pair.ends[SERVER].sent_kinds(), [Kind::CLOSE]);
    }
}

/// A reason that must not be on the wire, and `close` in place of `refuse`.
#[test]
fn other_ways_to_refuse() {
    let mut server = judging();
    server.connection.refuse(server.now, CloseReason::PEER_ENDED);
    server.poll_events();
    assert_eq!(server.closed().reason, CloseReason::REFUSED);
    let mut server = judging();
    server.connection.close(server.now, CloseReason::GOING_AWAY);
    server.hand_out();
    assert_eq!(close_fields(server.sent_of(Kind::CLOSE)[0].1).0, CloseReason::GOING_AWAY);
}

/// PW-HS-021: more bytes of the client, however few.
#[test]
fn a_client_that_does_not_wait_is_refused() {
    for more in [&b"x"[..], &numbered(Kind::PING, 1, SERVER_KEY), &hello_packet(Kind::HELLO, &hello(PEER_KEY))] {
        let mut server = judging();
        let error = server.receive(more).unwrap_err();
        assert_eq!(
            (error.clone(), error.close_reason()),
            (ProtocolError::SentBeforeAnswer, CloseReason::UNEXPECTED_PACKET)
        );
        server.transmit();
        assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
    }
}

/// PW-HS-012, PW-HS-020: the time of the handshake goes on while the application thinks.
#[test]
fn an_application_that_does_not_decide_is_timed_out() {
    let mut server = judging();
    server.run_for(ms(20_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(10_000), CloseReason::HANDSHAKE_TIMEOUT));
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
    // Too late.
    server.connection.accept(server.now);
    server.connection.refuse(server.now, CloseReason::REFUSED);
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
}

/// Without a client that waits, both commands do nothing; and a HELLO that is no good is never judged.
#[test]
fn there_is_nothing_to_admit_elsewhere() {
    let mut server = End::new(Connection::server(Instant::ZERO, &valid(asking()), seed(SERVER_KEY)), PEER_KEY);
    server.connection.accept(server.now);
    server.connection.refuse(server.now, CloseReason::REFUSED);
    server.transmit();
    assert!(server.sent.is_empty() && server.closed.is_none());
    let newer = Hello { version_lowest: 2, version_highest: 9, ..hello(PEER_KEY) };
    server.receive(&hello_packet(Kind::HELLO, &newer)).unwrap_err();
    assert!(server.events.is_empty());

    // A client is never asked, and a server without `Ask` neither.
    let mut pair = Pair::established(asking(), config());
    for end in &mut pair.ends {
        end.connection.accept(end.now);
        end.connection.refuse(end.now, CloseReason::REFUSED);
        assert!(end.connection.is_open());
    }
}
