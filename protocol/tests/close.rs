//! Closing: section 9 of the specification.

use pulsewire_protocol::{
    CloseFrame, CloseReason, Connection, Event, Flags, Instant, Kind, Origin, ProtocolError, Retry, SendRefused,
};

use crate::pair::*;

/// PW-CLS-001, PW-CLS-003 to PW-CLS-005: both sides have messages on the way, and both counts are exact.
#[test]
fn an_orderly_close_loses_nothing_in_either_direction() {
    let mut pair = Pair::established(config(), config());
    for _ in 0..3 {
        pair.send(CLIENT, business(100_000));
        pair.send(SERVER, business(70_000));
        pair.send(SERVER, business(10));
    }
    pair.ends[CLIENT].connection.close(pair.now, CloseReason::GOING_AWAY);
    let refused = pair.ends[CLIENT].connection.send(pair.now, business(1)).unwrap_err();
    assert_eq!((refused.reason, refused.message), (SendRefused::Closed(CloseReason::GOING_AWAY), business(1)));
    pair.run_for(ms(10));
    assert_eq!(pair.ends[SERVER].events.last(), Some(&Event::Closing(Box::new(CloseReason::GOING_AWAY.into()))));

    let (client, server) = (pair.closed(CLIENT), pair.closed(SERVER));
    assert!(client.orderly && server.orderly && client.unsent.is_empty() && server.unsent.is_empty());
    assert_eq!((client.origin, server.origin), (Origin::Local, Origin::Peer));
    assert_eq!((client.reason, server.reason), (CloseReason::GOING_AWAY, CloseReason::GOING_AWAY));
    assert_eq!(server.retry, Retry::After(ms(1_000)));
    assert_eq!((client.received, client.acknowledged), (6, Some(3)));
    assert_eq!(server.received, 3);
    assert_eq!((pair.ends[CLIENT].messages().len(), pair.ends[SERVER].messages().len()), (6, 3));
}

/// PW-CLS-006: behind CLOSE and CLOSE_ACK nobody can probe, so silence is not judged; `close_timeout` ends the wait.
#[test]
fn no_silence_is_judged_behind_both_closes() {
    let mut config = config();
    config.timeouts.close = ms(60_000);
    let mut server = End::server(config);
    server.connection.close(server.now, CloseReason::NORMAL);
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds().last(), Some(&Kind::CLOSE_ACK));
    server.run_for(ms(100_000));
    assert_eq!((server.closed().reason, server.closed_at()), (CloseReason::CLOSE_TIMEOUT, at(60_000)));
    assert_eq!(server.sent_kinds().last(), Some(&Kind::CLOSE_ACK));
}

/// PW-CLS-004: `received` in CLOSE is what had come when it went out.
#[test]
fn close_counts_what_was_received_whole() {
    let mut server = End::server(config());
    let whole = data(Flags::FIRST, 4, b"one", SERVER_KEY);
    let begun = data(Flags::FIRST | Flags::MORE, 4, b"half of t", SERVER_KEY);
    server.receive(&[whole, begun].concat()).unwrap();
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    assert_eq!(close_fields(server.sent_of(Kind::CLOSE)[0].1), (CloseReason::NORMAL, 1));
    // PW-CLS-005: it goes on receiving, and counts.
    server.receive(&data(Flags::NONE, 4, b"wo", SERVER_KEY)).unwrap();
    server.receive(&numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)).unwrap();
    assert_eq!((server.closed().received, server.closed().acknowledged), (2, Some(0)));
}

/// PW-CLS-001, PW-CLS-003: whatever order the application called in, the wire's order is fixed.
#[test]
fn close_and_close_ack_go_out_behind_all_messages() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(70_000)).unwrap();
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    let refused = server.connection.send(server.now, business(5)).unwrap_err();
    assert_eq!(refused.reason, SendRefused::Closed(CloseReason::NORMAL));
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::DATA, Kind::DATA, Kind::CLOSE_ACK]);
}

/// PW-CLS-006.
#[test]
fn crossing_closes_are_both_answered() {
    let mut pair = Pair::established(config(), config());
    for end in [CLIENT, SERVER] {
        pair.send(end, business(5_000));
        pair.ends[end].connection.close(pair.now, CloseReason(40_000 + end as u16));
    }
    pair.run_for(ms(10));
    for end in [CLIENT, SERVER] {
        let closed = pair.closed(end);
        assert!(closed.orderly && closed.unsent.is_empty());
        assert_eq!((closed.origin, closed.reason), (Origin::Local, CloseReason(40_000 + end as u16)));
        assert_eq!((closed.received, closed.acknowledged), (1, Some(1)));
        let ending: Vec<Kind> = pair.ends[end].sent_kinds().into_iter().rev().take(2).collect();
        assert_eq!(ending, [Kind::CLOSE_ACK, Kind::CLOSE]);
    }
}

/// PW-CLS-006: also where the answer is owed and the answer to ours comes before it went out.
#[test]
fn an_owed_close_ack_goes_out_after_the_end() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    let stream = [close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY), numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)].concat();
    server.receive(&stream).unwrap();
    assert!(server.closed().orderly);
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE, Kind::CLOSE_ACK]);
}

/// PW-CLS-007, PW-CLS-013: at the deadline; a second CLOSE would be a fault of this side.
#[test]
fn an_unanswered_close_ends_at_the_deadline_without_a_second_close() {
    let mut patient = config();
    patient.heartbeat.idle = ms(60_000);
    let mut server = End::server(patient);
    server.run_for(ms(500));
    server.connection.close(server.now, CloseReason::NORMAL);
    server.run_for(ms(20_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(5_500), CloseReason::CLOSE_TIMEOUT));
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
}

/// PW-CLS-013: nor after any other fault.
#[test]
fn a_fault_behind_close_sends_no_second_close() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    server.receive(&numbered(Kind::PONG, 9, SERVER_KEY)).unwrap_err();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
    assert_eq!(server.closed().reason, CloseReason::BAD_PONG);
}

/// A fault while the CLOSE of an orderly end still waits: one CLOSE, with the fault.
#[test]
fn a_fault_before_close_went_out_replaces_it() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(10)).unwrap();
    server.connection.close(server.now, CloseReason::NORMAL);
    server.receive(&numbered(Kind::PONG, 9, SERVER_KEY)).unwrap_err();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
    assert_eq!(close_fields(server.sent_of(Kind::CLOSE)[0].1).0, CloseReason::BAD_PONG);
    assert_eq!(server.closed().unsent, [business(10)]);
}

/// PW-CLS-009: a fault is final, so no CLOSE_ACK goes with it.
#[test]
fn a_fault_while_a_close_ack_is_owed_sends_close_alone() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(10)).unwrap();
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.receive(&data(Flags::FIRST, 4, b"late", SERVER_KEY)).unwrap_err();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
}

/// PW-CLS-001: "then nothing more" holds for PING and PONG, and for faults.
#[test]
fn nothing_goes_out_behind_close_ack() {
    let mut server = End::server(config());
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.hand_out();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.stalled = true;
    server.run_for(ms(60_000));
    assert_eq!(server.closed().reason, CloseReason::WRITE_STALL, "no silence is judged that nobody can ask in");
    assert_eq!(server.sent_kinds(), [Kind::CLOSE_ACK]);
}

/// PW-CLS-001, PW-CLS-006: in crossing closes too.
#[test]
fn nothing_goes_out_behind_close_ack_when_closes_cross() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.transmit();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.run_for(ms(60_000));
    assert_eq!(server.sent_kinds(), [Kind::CLOSE, Kind::CLOSE_ACK]);
}

/// PW-CLS-002: PING and CLOSE are answered.
#[test]
fn a_side_that_sent_close_still_answers() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    server.receive(&numbered(Kind::PING, 3, SERVER_KEY)).unwrap();
    server.transmit();
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE, Kind::PONG, Kind::CLOSE_ACK]);
    assert!(server.closed.is_none(), "its own CLOSE is not answered yet");
}

/// The end is told when the transport took the last byte of CLOSE_ACK, not when it was handed out.
#[test]
fn close_ack_counts_when_the_transport_took_it() {
    let mut server = End::server(config());
    (0..7).for_each(|size| {
        server.connection.send(server.now, business(size)).unwrap();
    });
    server.transmit();
    server.receive(&close(CloseReason::NORMAL, 7, 0, b"", SERVER_KEY)).unwrap();
    server.hand_out();
    assert_eq!(server.handed.len(), 20);
    server.take(19);
    assert!(server.closed.is_none() && !server.connection.is_over());
    server.take(1);
    assert!(server.closed().orderly);
    assert_eq!(server.closed().acknowledged, Some(7));
}

/// PW-CLS-010: in each state, and before an own CLOSE went out.
#[test]
fn close_ack_without_close_is_fatal() {
    let prepare: [fn(&mut End); 3] = [
        |_| {},
        |end| end.connection.close(end.now, CloseReason::NORMAL),
        |end| end.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap(),
    ];
    for prepare in prepare {
        let mut server = End::server(config());
        prepare(&mut server);
        let error = server.receive(&numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)).unwrap_err();
        assert!(matches!(error, ProtocolError::UnexpectedPacket { kind: Kind::CLOSE_ACK, .. }));
    }
}

/// PW-CLS-013: with and without an own CLOSE.
#[test]
fn data_and_close_behind_close_are_fatal() {
    for own_close in [false, true] {
        for late in [data(Flags::FIRST, 4, b"", SERVER_KEY), close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)] {
            let mut server = End::server(config());
            if own_close {
                server.connection.close(server.now, CloseReason::NORMAL);
                server.transmit();
            }
            server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
            let error = server.receive(&late).unwrap_err();
            assert_eq!(error.close_reason(), CloseReason::UNEXPECTED_PACKET);
        }
    }
}

/// PW-CLS-009, PW-FRM-016: nothing behind the fault is acted on, nothing is answered.
#[test]
fn a_fault_of_the_peer_is_final() {
    for reason in [16, 28, 60, 255] {
        let mut server = End::server(config());
        server.connection.send(server.now, business(10)).unwrap();
        let bytes = [
            close(CloseReason(reason), 3, 9, &item(0x8010, b"so"), SERVER_KEY),
            data(Flags::FIRST, 4, b"ignored", SERVER_KEY),
        ];
        server.receive(&bytes.concat()).unwrap();
        let closed = server.closed();
        assert_eq!((closed.reason, closed.origin, closed.orderly), (CloseReason(reason), Origin::Peer, false));
        assert_eq!((closed.retry, closed.acknowledged, &*closed.detail), (Retry::After(ms(9)), Some(3), "so"));
        assert_eq!(closed.unsent, [business(10)]);
        assert!(server.events.is_empty());
        server.transmit();
        assert!(server.sent.is_empty());
    }
}

/// PW-CLS-009, PW-FRM-016: a fault found by this side.
#[test]
fn a_fault_of_this_side_is_final() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(10)).unwrap();
    let bytes = [numbered(Kind::PING, 1, SERVER_KEY), numbered(Kind::PING, 1, SERVER_KEY)].concat();
    let behind = data(Flags::FIRST, 4, b"ignored", SERVER_KEY);
    server.receive(&[bytes, behind.clone()].concat()).unwrap_err();
    server.receive(&behind).unwrap();
    server.transmit();
    server.run_for(ms(60_000));
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
    assert_eq!(server.closed().unsent, [business(10)]);
    assert!(server.events.is_empty());
}

/// PW-CLS-008: numbers that the registry does not list.
#[test]
fn unknown_reasons_are_kept() {
    for reason in [0, 5, 15, 300, 32_767, 32_768, 65_535] {
        let mut server = End::server(config());
        let unknown = [item(0x8099, b"??"), item(0x0077, b"")].concat();
        server.receive(&close(CloseReason(reason), 0, u32::MAX, &unknown, SERVER_KEY)).unwrap();
        let said = CloseFrame::from(CloseReason(reason)).with_retry(Retry::Never);
        assert_eq!(server.events, [Event::Closing(Box::new(said))]);
        server.transmit();
        let closed = server.closed();
        assert_eq!((closed.reason, closed.retry, closed.orderly), (CloseReason(reason), Retry::Never, true));
    }
}

/// PW-CLS-014: a malformed item hides what follows it, and nothing before it.
#[test]
fn a_malformed_item_of_close_is_passed_over_with_all_that_follows() {
    let limit = item(0x8011, &[&9u64.to_be_bytes()[..], &10u64.to_be_bytes()].concat());
    let text = item(0x8010, b"text");
    let cases = [
        ([&text[..], &limit].concat(), "text (limit 9, size 10)"),
        (limit.clone(), "(limit 9, size 10)"),
        ([&text[..], &item(0x8011, &[0; 15])].concat(), "text"),
        ([&item(0x8011, &[0; 17])[..], &text].concat(), ""),
        ([&item(0x8010, b"\xFF\xFE")[..], &limit].concat(), ""),
        ([&text[..], &limit[..10]].concat(), "text"),
        ([&limit[..], &[0x80]].concat(), "(limit 9, size 10)"),
    ];
    for (items, detail) in cases {
        for reason in [CloseReason::NORMAL, CloseReason::FRAME_TOO_LARGE] {
            let mut server = End::server(config());
            server.receive(&close(reason, 0, 0, &items, SERVER_KEY)).unwrap();
            server.transmit();
            assert_eq!(server.closed().detail, detail);
        }
        let mut client = End::new(Connection::client(Instant::ZERO, &valid(config()), seed(CLIENT_KEY)), SERVER_KEY);
        client.transmit();
        client.receive(&close(CloseReason::REFUSED, 0, 0, &items, 0)).unwrap();
        assert_eq!(client.closed().detail, detail);
    }
}
