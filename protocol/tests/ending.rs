//! Ends that are not asked for: the transport's, the application's, faults, and what comes back unsent (section 9).

use std::time::Duration;

use proptest::prelude::*;
use pulsewire_protocol::{
    Class, CloseReason, Connection, Disconnect, Flags, Instant, Kind, Message, Origin, PreparedMessage, Retry,
    Shutdown, Transmit,
};

use crate::pair::*;

/// PW-CLS-011: each way in which a transport ends, in each state.
#[test]
fn the_end_of_the_transport_is_told_apart() {
    let ways = [
        (Disconnect::EndOfStream, CloseReason::PEER_ENDED, Origin::Transport),
        (Disconnect::Reset, CloseReason::RESET, Origin::Transport),
        (Disconnect::NetworkLost, CloseReason::NETWORK_LOST, Origin::Transport),
        (Disconnect::Aborted, CloseReason::ABORTED, Origin::Local),
    ];
    let prepare: [fn(&mut End); 3] = [
        |_| {},
        |end| end.connection.close(end.now, CloseReason::NORMAL),
        |end| end.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap(),
    ];
    for (way, reason, origin) in ways {
        for prepare in prepare {
            let mut server = End::server(config());
            server.connection.send(server.now, business(10)).unwrap();
            prepare(&mut server);
            server.disconnect(way);
            let closed = server.closed();
            assert_eq!((closed.reason, closed.origin, closed.orderly), (reason, origin, false));
            assert_eq!((&closed.unsent[..], closed.acknowledged), (&[business(10)][..], None));
            // Without a word to the peer, and once only.
            server.transmit();
            server.disconnect(Disconnect::Reset);
            server.connection.abort(server.now);
            server.run_for(ms(60_000));
            assert!(server.sent.is_empty());
        }
    }
}

/// What is said in short stays when `Closed` was given, and is the same.
#[test]
fn how_a_connection_ended_is_known_behind_its_last_event() {
    let end: [fn(&mut End); 4] = [
        |end| end.disconnect(Disconnect::Reset),
        |end| end.connection.abort(end.now),
        |end| end.connection.close(end.now, CloseReason::PING_FLOOD),
        |end| end.connection.overload(end.now, 1 << 20),
    ];
    for end in end {
        let mut server = End::server(config());
        assert_eq!(server.connection.ended(), None);
        for _ in 0..3 {
            server.connection.send(server.now, business(10)).unwrap();
        }
        end(&mut server);
        server.poll_events();
        let closed = server.closed();
        let ended = server.connection.ended().unwrap();
        assert_eq!((ended.reason, ended.origin, ended.orderly), (closed.reason, closed.origin, closed.orderly));
        assert_eq!((ended.acknowledged, ended.established), (closed.acknowledged, true));
        assert_eq!((ended.unsent_messages, ended.unsent_bytes), (closed.unsent.len() as u64, 30));
    }
    let mut unestablished = Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY));
    unestablished.abort(Instant::ZERO);
    assert!(!unestablished.ended().unwrap().established);
}

/// PW-CLS-020: CLOSE overtakes what waits, and says why.
#[test]
fn who_holds_most_is_told_overloaded_at_once() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(10)).unwrap();
    server.connection.overload(server.now, 1 << 20);
    server.poll_events();
    let closed = server.closed();
    assert_eq!((closed.reason, closed.origin, closed.orderly), (CloseReason::OVERLOADED, Origin::Local, false));
    assert_eq!(closed.unsent, [business(10)]);
    server.transmit();
    assert_eq!(server.sent.len(), 1);
    // Once only.
    server.connection.overload(server.now, 1 << 20);
    server.transmit();
    assert_eq!(server.sent.len(), 1);
}

/// A server that has sent two messages.
fn sent_two() -> End {
    let mut server = End::server(config());
    (0..2).for_each(|_| {
        server.connection.send(server.now, business(1)).unwrap();
    });
    server.transmit();
    server
}

/// PW-CLS-011: the stream ended *with* CLOSE, though CLOSE_ACK never got through. Its reason and count are known.
#[test]
fn a_stream_that_ends_behind_close_is_not_reported_as_ended_without() {
    let mut server = sent_two();
    server.connection.send(server.now, business(10)).unwrap();
    server.receive(&close(CloseReason::GOING_AWAY, 2, 77, b"", SERVER_KEY)).unwrap();
    server.disconnect(Disconnect::EndOfStream);
    let closed = server.closed();
    assert_eq!((closed.reason, closed.origin, closed.orderly), (CloseReason::GOING_AWAY, Origin::Peer, false));
    assert_eq!((closed.retry, closed.acknowledged), (Retry::After(ms(77)), Some(2)));
    assert_eq!(closed.unsent, [business(10)]);

    let mut server = sent_two();
    server.receive(&close(CloseReason::GOING_AWAY, 2, 77, b"", SERVER_KEY)).unwrap();
    server.disconnect(Disconnect::Reset);
    assert_eq!((server.closed().reason, server.closed().acknowledged), (CloseReason::RESET, Some(2)));
}

/// `abort` after `close` takes back the CLOSE that has not gone out.
#[test]
fn abort_is_silent() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.connection.abort(server.now);
    server.poll_events();
    assert_eq!(server.transmit(), b"");
    assert_eq!(server.closed().reason, CloseReason::ABORTED);
}

/// PW-VER-001: reasons that must not be on the wire become NORMAL. Faults of the application's choice close at once.
#[test]
fn the_application_chooses_the_reason() {
    let undefined = [0, 5, 15, 30, 37, 56, 255, 256, 259, 32_767].map(|chosen| (chosen, 1));
    for (chosen, sent) in undefined.into_iter().chain([(2, 2), (32_768, 32_768), (65_535, 65_535)]) {
        let mut server = End::server(config());
        server.connection.close(server.now, CloseReason(chosen));
        server.transmit();
        assert_eq!(close_fields(server.sent_of(Kind::CLOSE)[0].1).0, CloseReason(sent));
        assert!(server.closed.is_none());
    }
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::BAD_PACKET);
    server.poll_events();
    assert_eq!((server.closed().reason, server.closed().origin), (CloseReason::BAD_PACKET, Origin::Local));
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
}

/// PW-CLS-011: also behind the own CLOSE, once that was handed out.
#[test]
fn a_stream_that_ends_behind_an_unanswered_close_has_its_reason() {
    let mut server = sent_two();
    server.connection.close(server.now, CloseReason::GOING_AWAY);
    server.transmit();
    server.disconnect(Disconnect::EndOfStream);
    let closed = server.closed();
    assert_eq!((closed.reason, closed.origin, closed.orderly), (CloseReason::GOING_AWAY, Origin::Local, false));
    assert_eq!(closed.acknowledged, None);
}

/// PW-CLS-011: also where both sides asked to close; the own reason where both were told.
#[test]
fn a_stream_that_ends_between_crossing_closes_has_the_reason_of_one() {
    for (told, reason, origin) in
        [(true, CloseReason::NORMAL, Origin::Local), (false, CloseReason::GOING_AWAY, Origin::Peer)]
    {
        let mut server = sent_two();
        server.connection.close(server.now, CloseReason::NORMAL);
        if told {
            server.transmit();
        }
        server.receive(&close(CloseReason::GOING_AWAY, 1, 77, b"", SERVER_KEY)).unwrap();
        server.disconnect(Disconnect::EndOfStream);
        let closed = server.closed();
        assert_eq!((closed.reason, closed.origin, closed.orderly), (reason, origin, false));
        assert_eq!(closed.acknowledged, Some(1));
    }
}

/// PW-CLS-015: bytes wait and the transport takes none.
#[test]
fn a_stalled_transport_ends_with_write_stall() {
    let mut patient = config();
    patient.heartbeat.idle = ms(600_000);
    patient.timeouts.assembly_rate = 1;
    let mut server = End::server(patient);
    server.stalled = true;
    server.run_for(ms(60_000));
    assert!(server.closed.is_none(), "nothing waits");
    server.connection.send(server.now, business(100)).unwrap();
    server.run_for(ms(20_000));
    server.take(1);
    server.run_for(ms(29_999));
    assert!(server.closed.is_none(), "one byte was taken");
    server.run_for(ms(1));
    assert_eq!((server.closed().reason, server.closed().origin), (CloseReason::WRITE_STALL, Origin::Local));
}

/// PW-CLS-012, PW-CLS-015: CLOSE for WRITE_STALL waits behind what is stuck, for as long as `linger`, and goes out if that does.
#[test]
fn write_stall_is_told_if_the_peer_takes_bytes_after_all() {
    for takes in [false, true] {
        let mut server = trickling();
        server.connection.send(server.now, business(100)).unwrap();
        server.hand_out();
        server.run_for(ms(30_000));
        assert_eq!((server.closed().reason, server.connection.shutdown()), (CloseReason::WRITE_STALL, Shutdown::None));
        server.now = server.now + config().timeouts.linger;
        if takes {
            server.stalled = false;
            server.transmit();
            assert_eq!(server.sent_kinds(), [Kind::DATA, Kind::CLOSE]);
        }
        server.pass_time();
        assert_eq!(server.connection.shutdown(), if takes { Shutdown::HalfClose } else { Shutdown::Close });
    }
}

/// PW-CLS-012: what was handed out goes out although the peer has ended its side.
#[test]
fn the_end_of_the_stream_does_not_cut_off_what_was_handed_out() {
    let mut server = trickling();
    server.connection.send(server.now, business(100)).unwrap();
    server.hand_out();
    server.disconnect(Disconnect::EndOfStream);
    assert_eq!((server.closed().reason, server.connection.shutdown()), (CloseReason::PEER_ENDED, Shutdown::None));
    server.take(server.handed.len());
    assert_eq!(server.connection.shutdown(), Shutdown::Close);
}

/// PW-CLS-011: once the connection is over, the transport changes nothing of what is reported; before, it does.
#[test]
fn what_the_transport_says_behind_the_end_changes_nothing() {
    let failed = |end: &mut End| end.receive(&close(CloseReason::BAD_PACKET, 0, 0, b"", SERVER_KEY)).unwrap();
    let answered = |end: &mut End| {
        end.connection.close(end.now, CloseReason::GOING_AWAY);
        end.transmit();
        end.receive(&numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)).unwrap();
    };
    let answers = |end: &mut End| {
        end.receive(&close(CloseReason::GOING_AWAY, 0, 0, b"", SERVER_KEY)).unwrap();
        end.hand_out();
        end.take(19);
    };
    let reported = |prepare: fn(&mut End), way| {
        let mut server = End::server(config());
        prepare(&mut server);
        server.disconnect(way);
        assert_eq!(server.connection.shutdown(), Shutdown::Close);
        server.closed().reason
    };
    for (way, reason) in [(Disconnect::Reset, CloseReason::RESET), (Disconnect::NetworkLost, CloseReason::NETWORK_LOST)]
    {
        assert_eq!(reported(failed, way), CloseReason::BAD_PACKET);
        assert_eq!(reported(answered, way), CloseReason::GOING_AWAY);
        assert_eq!(reported(answers, way), reason, "not over before the last byte of CLOSE_ACK is taken");
    }
}

/// A server that probes nobody, and whose transport takes nothing by itself.
fn trickling() -> End {
    let mut patient = config();
    patient.heartbeat.idle = Duration::from_secs(86_400);
    let mut server = End::server(patient);
    server.stalled = true;
    server
}

/// PW-CLS-015, its second half: a byte now and then is not enough. 10,240 bytes have ten seconds on top.
#[test]
fn a_transport_that_trickles_ends_with_write_stall() {
    let mut server = trickling();
    server.connection.send(server.now, business(10_240 - 12)).unwrap();
    server.hand_out();
    while server.closed.is_none() {
        server.run_for(ms(100));
        server.take(1);
    }
    assert_eq!((server.closed_at(), server.closed().reason), (at(40_000), CloseReason::WRITE_STALL));
}

/// PW-CLS-015: what is given later has a time of its own, of which the earlier may be the shorter, or the later.
#[test]
fn each_byte_has_the_time_that_it_was_given() {
    // All but 100 bytes of much were taken when a little more is given: 1,124 bytes wait then.
    let mut server = trickling();
    server.connection.send(server.now, business(102_400 - 24)).unwrap();
    server.hand_out();
    server.run_for(ms(10_000));
    server.take(102_300);
    server.connection.send(server.now, business(1_024 - 12)).unwrap();
    server.hand_out();
    assert_eq!(server.connection.write_timeout(), Some(at(40_000)), "none was taken since");
    server.run_for(ms(29_000));
    server.take(1);
    let deadline = at(10_000) + ms(30_000) + Duration::from_nanos(1_124 * 1_000_000_000 / 1_024);
    assert_eq!(server.connection.write_timeout(), Some(deadline));
    // What was given first is taken; the rest keeps its deadline.
    server.take(500);
    assert_eq!(server.connection.write_timeout(), Some(deadline));
    server.take(server.handed.len());
    assert_eq!(server.connection.write_timeout(), None);
}

proptest! {
    /// PW-FRM-012, PW-DAT-008, and that a long TEXT is cut at a character: CLOSE is never longer than it may be.
    #[test]
    fn a_close_is_always_one_that_a_peer_accepts(fault in 0usize..4, noise: u32) {
        let mut server = End::server(config());
        let bytes = match fault {
            0 => data(Flags(noise as u8), 4, b"", SERVER_KEY),
            1 => control(Kind(noise as u8 & 0x7F | 0x10), b"12345678", SERVER_KEY),
            2 => numbered(Kind::PONG, noise.into(), SERVER_KEY),
            _ => data(Flags::FIRST, noise as u8, &vec![0; 65_537], SERVER_KEY),
        };
        let result = server.receive(&bytes);
        server.transmit();
        if let Err(error) = result {
            let (_, header, payload) = server.sent.last().unwrap();
            prop_assert_eq!(header.kind, Kind::CLOSE);
            prop_assert!((14..=512).contains(&header.length));
            prop_assert_eq!(close_fields(payload).0, error.close_reason());
            let limit = error.limit().map(|(limit, size)| [limit.to_be_bytes(), size.to_be_bytes()].concat());
            prop_assert_eq!(payload.ends_with(&limit.clone().unwrap_or_default()), true);
        }
    }
}

/// What was never handed out comes back, in order: small ones that were joined, and a large one that was begun.
#[test]
fn unsent_messages_come_back_in_closed() {
    for checksums in [false, true] {
        let peer = pulsewire_protocol::Hello { resync: checksums, ..hello(PEER_KEY) };
        let mut server = End::greeted(config(), &peer, SERVER_KEY);
        let messages: Vec<Message<'static>> = [200_000, 0, 1, 2_047, 2_048, 70_000, 3]
            .into_iter()
            .enumerate()
            .map(|(index, size)| Message {
                encrypted: index % 2 == 0,
                ..Message::new(Class(128 + index as u8), payload(size))
            })
            .collect();
        for message in &messages {
            server.connection.send(server.now, message.clone()).unwrap();
        }
        // One frame of the first goes out; it can't be delivered whole any more.
        assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
        server.disconnect(Disconnect::Reset);
        assert_eq!(server.closed().unsent, messages);
    }
}

/// PW-TIM-001, PW-CLS-012, PW-CLS-015: where one late look finds both limits of the last words up, both begin anew, and nothing is
/// due any more.
#[test]
fn both_limits_of_the_last_words_begin_anew_at_once() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(10)).unwrap();
    server.hand_out();
    server.disconnect(Disconnect::EndOfStream);
    let late = Instant::ZERO + ms(600_000);
    server.connection.handle_timeout(late);
    let next = server.connection.poll_timeout().expect("the last words have not gone");
    assert_eq!((next, server.connection.shutdown()), (late + config().timeouts.linger, Shutdown::None));
    server.connection.handle_timeout(next);
    assert_eq!((server.connection.poll_timeout(), server.connection.shutdown()), (None, Shutdown::Close));
}

/// PW-TIM-002: every command is told the time, whatever else it does, and from then on time does not go back.
#[test]
fn a_command_tells_the_time() {
    type Command = fn(&mut Connection, Instant);
    let commands: [Command; 9] = [
        |c, now| drop(c.send(now, business(1))),
        |c, now| _ = c.send_prepared(now, &PreparedMessage::new(business(1))),
        |c, now| c.accept(now),
        |c, now| c.refuse(now, CloseReason::REFUSED),
        |c, now| c.pause(now),
        |c, now| c.resume(now),
        |c, now| c.drain(now),
        |c, now| c.close(now, CloseReason::NORMAL),
        |c, now| c.close(now, CloseReason::BAD_PACKET),
    ];
    for command in commands {
        let mut server = End::server(config());
        command(&mut server.connection, at(400));
        server.connection.abort(at(100));
        server.now = at(400);
        server.poll_events();
        server.connection.disconnected(at(100), Disconnect::EndOfStream);
        assert!(server.connection.poll_timeout().is_none_or(|end| end >= at(400)), "{:?}", server.connection);
    }
    let mut server = End::server(config());
    server.connection.close(at(400), CloseReason::BAD_PACKET);
    assert_eq!(server.connection.poll_timeout(), Some(at(400) + config().timeouts.linger));
}

/// PW-CLS-012: nothing becomes of the transport before the connection is over, be there something to transmit or not.
#[test]
fn the_transport_stays_until_the_connection_is_over() {
    let mut server = End::server(config());
    assert_eq!(server.connection.shutdown(), Shutdown::None);
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    assert_eq!(server.connection.shutdown(), Shutdown::None, "the answer has to come");
    server.receive(&numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)).unwrap();
    assert_eq!(server.connection.shutdown(), Shutdown::HalfClose);
}
