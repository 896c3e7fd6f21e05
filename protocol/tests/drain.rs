//! Draining, and the counts of DRAIN, CLOSE and CLOSE_ACK: sections 9 and 9.1 of the specification.

use pulsewire_protocol::{CloseReason, Config, Connection, Event, Flags, Instant, Kind, ProtocolError, Transmit};

use crate::pair::*;

fn sent(count: usize) -> End {
    let mut server = End::server(config());
    (0..count).for_each(|_| {
        server.connection.send(server.now, business(5)).unwrap();
    });
    server.transmit();
    server.sent.clear();
    server
}

/// PW-CLS-016: once, ahead of messages that wait, with the count.
#[test]
fn drain_is_sent_once_ahead_of_messages() {
    let mut server = End::server(config());
    server.receive(&data(Flags::FIRST, 4, b"counted", SERVER_KEY)).unwrap();
    server.connection.send(server.now, business(200_000)).unwrap();
    assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
    server.connection.drain(server.now);
    server.connection.drain(server.now);
    server.transmit();
    server.connection.drain(server.now);
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::DRAIN, Kind::DATA, Kind::DATA, Kind::DATA]);
    assert_eq!(number(server.sent_of(Kind::DRAIN)[0].1), 1);
    // It still sends.
    server.connection.send(server.now, business(1)).unwrap();
}

/// PW-CLS-016: not before the handshake is complete, and not once this side, or the peer, closes.
#[test]
fn drain_does_nothing_outside_of_an_open_connection() {
    let mut early = End::new(Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY)), PEER_KEY);
    early.connection.drain(early.now);
    early.receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))).unwrap();
    early.transmit();
    assert_eq!(early.sent_kinds(), [Kind::HELLO_ACK]);

    let closing: [fn(&mut End); 3] = [
        |end| end.connection.close(end.now, CloseReason::NORMAL),
        |end| end.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap(),
        |end| end.connection.abort(end.now),
    ];
    for close in closing {
        let mut server = End::server(config());
        close(&mut server);
        server.connection.drain(server.now);
        server.transmit();
        assert!(!server.sent_kinds().contains(&Kind::DRAIN));
    }
    // Asked for before, it goes out before CLOSE.
    let mut server = End::server(config());
    server.connection.drain(server.now);
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::DRAIN, Kind::CLOSE]);
}

/// PW-CLS-017: told with the count; both sides go on; a second one is fatal.
#[test]
fn a_drain_is_told_and_changes_nothing_else() {
    let mut pair = Pair::established(config(), config());
    pair.send(CLIENT, business(7));
    pair.run_for(ms(10));
    pair.ends[SERVER].connection.drain(pair.now);
    pair.run_for(ms(10));
    assert_eq!(pair.ends[CLIENT].events.last(), Some(&Event::Draining { received: 1 }));
    pair.send(CLIENT, business(8));
    pair.send(SERVER, business(9));
    pair.run_for(ms(10));
    assert_eq!((pair.ends[CLIENT].messages().len(), pair.ends[SERVER].messages().len()), (1, 2));
    pair.ends[CLIENT].connection.close(pair.now, CloseReason::NORMAL);
    pair.run_for(ms(10));
    assert!(pair.closed(CLIENT).orderly && pair.closed(SERVER).orderly);

    let mut server = sent(0);
    server.receive(&numbered(Kind::DRAIN, 0, SERVER_KEY)).unwrap();
    let error = server.receive(&numbered(Kind::DRAIN, 0, SERVER_KEY)[..12]).unwrap_err();
    assert_eq!(error.close_reason(), CloseReason::UNEXPECTED_PACKET);
}

/// PW-CLS-019: exactly what was sent is right, one more is not; for each packet that carries a count.
#[test]
fn a_count_above_what_was_sent_is_fatal() {
    type Packet = fn(u64) -> Vec<u8>;
    let packets: [(Kind, Packet); 3] = [
        (Kind::DRAIN, |count| numbered(Kind::DRAIN, count, SERVER_KEY)),
        (Kind::CLOSE, |count| close(CloseReason::GOING_AWAY, count, 0, b"", SERVER_KEY)),
        (Kind::CLOSE_ACK, |count| numbered(Kind::CLOSE_ACK, count, SERVER_KEY)),
    ];
    for (kind, packet) in packets {
        let prepared = || {
            let mut server = sent(2);
            if kind == Kind::CLOSE_ACK {
                server.connection.close(server.now, CloseReason::NORMAL);
                server.transmit();
                server.sent.clear();
            }
            server
        };
        prepared().receive(&packet(2)).unwrap();
        let mut server = prepared();
        let error = server.receive(&packet(3)).unwrap_err();
        assert_eq!(error, ProtocolError::BadCount { kind, count: 3, sent: 2 });
        assert_eq!(server.closed().reason, CloseReason::BAD_COUNT);
        server.transmit();
        // Behind its own CLOSE it sends no other.
        let expected: &[Kind] = if kind == Kind::CLOSE_ACK { &[] } else { &[Kind::CLOSE] };
        assert_eq!(server.sent_kinds(), expected);
    }
    // The CLOSE of a fault may say what it likes.
    let mut server = sent(2);
    server.receive(&close(CloseReason::BAD_PACKET, 9, 0, b"", SERVER_KEY)).unwrap();
    assert_eq!((server.closed().reason, server.closed().acknowledged), (CloseReason::BAD_PACKET, Some(9)));
}

/// PW-CLS-019: a message counts when its last frame was handed out; one that waits, or was begun, does not.
#[test]
fn a_message_counts_with_its_last_frame() {
    let begun = |frames: usize| {
        let mut server = End::server(Config { ..config() });
        server.connection.send(server.now, business(100_000)).unwrap();
        for _ in 0..frames {
            assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
        }
        server.receive(&numbered(Kind::DRAIN, 1, SERVER_KEY))
    };
    assert!(begun(0).is_err() && begun(1).is_err());
    assert_eq!(begun(2), Ok(()));
}
