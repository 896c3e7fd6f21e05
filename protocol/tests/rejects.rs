//! Refusing a message without closing: section 6.1 of the specification.

use proptest::prelude::*;
use pulsewire_protocol::{
    Class, CloseReason, Config, Damage, Event, Flags, Header, Kind, Message, ProtocolError, RejectReason, Transmit,
};

use crate::pair::*;

const BEGIN: Flags = Flags(Flags::FIRST.0 | Flags::MORE.0);

/// Frames of at most 1,000 bytes, messages of at most 2,500.
fn small(damage: Damage) -> Config {
    let mut config = config();
    config.limits.frame = 1_000;
    config.limits.message = 2_500;
    config.damage = damage;
    config
}

fn server() -> End {
    End::server(small(Damage::Close))
}

fn resynchronising() -> End {
    End::server(small(Damage::Resynchronise))
}

/// A frame with a checksum.
fn frame(flags: Flags, class: u8, payload: &[u8]) -> Vec<u8> {
    data(flags | Flags::CHECKSUM, class, payload, SERVER_KEY)
}

/// The same with a bit of the payload flipped.
fn damaged(flags: Flags, class: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = frame(flags, class, payload);
    packet[12] ^= 1;
    packet
}

fn damaged_ping() -> Vec<u8> {
    let header = Header { kind: Kind::PING, flags: Flags::CHECKSUM, class: Class::UNCLASSIFIED, length: 8 };
    let mut ping = packet(header, &1u64.to_be_bytes(), SERVER_KEY);
    ping[12] ^= 1;
    ping
}

/// Three frames, the last of which makes the message too large.
fn oversized(class: u8) -> Vec<u8> {
    [frame(BEGIN, class, &[1; 1_000]), frame(Flags::MORE, class, &[2; 1_000]), frame(Flags::NONE, class, &[3; 501])]
        .concat()
}

/// What was told to the peer: classes, ordinals and reasons.
fn rejects(end: &End) -> Vec<(u8, u64, u16)> {
    end.sent_of(Kind::REJECT).into_iter().map(|(_, payload)| reject_fields(payload)).collect()
}

/// PW-DAT-008, PW-REJ-001 to PW-REJ-003: one REJECT, with the number of the message; what comes before and after arrives.
#[test]
fn a_message_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let stream =
        [frame(Flags::FIRST, 4, b"one"), oversized(4), frame(Flags::FIRST, 4, b"three"), oversized(2)].concat();
    for chunk in [1, 700, usize::MAX] {
        for mut server in [server(), resynchronising()] {
            stream.chunks(chunk).for_each(|chunk| server.receive_direct(chunk).unwrap());
            server.transmit();
            assert_eq!(rejects(&server), [(4, 2, 1), (2, 1, 1)]);
            assert_eq!(
                server.messages(),
                [&Message::new(Class::BUSINESS, b"one"), &Message::new(Class::BUSINESS, b"three")]
            );
            assert_eq!(server.connection.messages_received(), 2);
            let refused = server.events.iter().filter_map(|event| match event {
                Event::TooLarge(refused) => {
                    Some((refused.ordinal.map_or(0, u64::from), refused.class, refused.limit, refused.size))
                }
                _ => None,
            });
            assert_eq!(
                refused.collect::<Vec<_>>(),
                [(2, Class::BUSINESS, 2_500, 2_501), (1, Class::COMMUNICATION, 2_500, 2_501)]
            );
            // CLOSE counts what was received whole.
            server.connection.close(server.now, CloseReason::NORMAL);
            server.transmit();
            assert_eq!(close_fields(server.sent_of(Kind::CLOSE)[0].1).1, 2);
        }
    }
}

/// PW-REJ-004: until its last frame it is open, and the rules of section 6 go for its frames; nothing else is refused.
#[test]
fn a_refused_message_stays_open_until_its_last_frame() {
    let refused = || {
        let mut server = server();
        server.receive(&oversized(4)[..2_032]).unwrap();
        server.receive(&frame(Flags::MORE, 4, &[3; 1_000])).unwrap();
        server.receive(&frame(Flags::MORE, 4, &[3; 1_000])).unwrap();
        server
    };
    let violations = [
        frame(Flags::FIRST, 4, b"whole message of its class"),
        frame(BEGIN, 2, b"another one begins"),
        frame(Flags::MORE, 2, b"class changes"),
        frame(Flags::MORE | Flags::ENCRYPTED, 4, b"ENCRYPTED changes"),
        frame(Flags::MORE, 4, b""),
    ];
    for violation in violations {
        assert_eq!(refused().receive(&violation).unwrap_err().close_reason(), CloseReason::BAD_FRAGMENT);
    }
    let mut server = refused();
    server.receive(&frame(Flags::FIRST, 2, b"another class")).unwrap();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.receive(&frame(Flags::NONE, 4, b"")).unwrap();
    server.receive(&frame(Flags::FIRST, 4, b"next")).unwrap();
    server.transmit();
    assert_eq!(rejects(&server), [(4, 1, 1)]);
    assert_eq!(server.messages().len(), 2);
    assert_eq!(server.sent_of(Kind::PONG).len(), 1);
}

/// PW-REJ-003, PW-REJ-004: damage ends a refused message without another REJECT, and what is left of it is passed over.
#[test]
fn damage_ends_a_refused_message_without_another_reject() {
    for damage in [damaged(Flags::MORE, 4, b"lost"), b"skipped".to_vec()] {
        let mut server = resynchronising();
        server.receive(&oversized(4)[..2_032]).unwrap();
        server.receive(&frame(Flags::MORE, 4, &[3; 1_000])).unwrap();
        server.receive(&[damage, frame(Flags::MORE, 4, b"rest"), frame(Flags::NONE, 4, b"end")].concat()).unwrap();
        server.receive(&frame(Flags::FIRST, 4, b"next")).unwrap();
        server.transmit();
        assert_eq!(rejects(&server), [(4, 1, 1)]);
        assert_eq!(server.messages().len(), 1);
        assert!(server.events.iter().any(|event| matches!(event, Event::Gap(gap) if !gap.message_lost)));
    }
}

/// PW-REJ-002, PW-REJ-003: each way in which damage destroys messages, and how they are numbered.
#[test]
fn damaged_messages_are_refused_with_their_numbers() {
    let good = || frame(Flags::FIRST, 4, b"good");
    type Case = (&'static str, Vec<Vec<u8>>, &'static [(u8, u64, u16)]);
    let cases: [Case; 9] = [
        (
            "its own packet",
            vec![good(), damaged(Flags::FIRST, 4, b"bad"), damaged(Flags::FIRST, 4, b"bad")],
            &[(4, 2, 2), (4, 3, 2)],
        ),
        ("its first packet", vec![damaged(BEGIN, 4, b"bad"), frame(Flags::NONE, 4, b"rest"), good()], &[(4, 1, 2)]),
        (
            "a later packet",
            vec![good(), frame(BEGIN, 4, b"a"), damaged(Flags::MORE, 4, b"b"), frame(Flags::NONE, 4, b"c")],
            &[(4, 2, 2)],
        ),
        ("skipped bytes", vec![frame(BEGIN, 4, b"a"), b"noise".to_vec(), frame(Flags::NONE, 4, b"c")], &[(4, 1, 2)]),
        ("two with one packet", vec![frame(BEGIN, 4, b"a"), damaged(Flags::FIRST, 2, b"b")], &[(4, 1, 2), (2, 1, 2)]),
        (
            "what began after skipped bytes",
            vec![b"noise".to_vec(), good(), damaged(Flags::FIRST, 4, b"b"), oversized(4)],
            &[(4, 0, 2), (4, 0, 1)],
        ),
        ("a continuation that is passed over", vec![b"noise".to_vec(), damaged(Flags::MORE, 4, b"b")], &[]),
        ("skipped bytes between messages", vec![good(), b"noise".to_vec(), good()], &[]),
        ("a control packet", vec![frame(BEGIN, 4, b"a"), damaged_ping(), frame(Flags::NONE, 4, b"c")], &[]),
    ];
    for (name, packets, expected) in cases {
        let stream = [packets.concat(), frame(Flags::FIRST, 3, b"last")].concat();
        for chunk in [1, usize::MAX] {
            let mut server = resynchronising();
            stream.chunks(chunk).for_each(|chunk| server.receive(chunk).unwrap());
            server.transmit();
            assert_eq!(rejects(&server), expected, "{name}");
        }
    }
}

/// PW-REJ-005: ahead of messages, in order; behind CLOSE too; not behind CLOSE_ACK.
#[test]
fn reject_overtakes_messages_and_follows_close() {
    let mut server = server();
    server.connection.send(server.now, business(200_000)).unwrap();
    assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
    server.receive(&[oversized(4), oversized(2)].concat()).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds()[..3], [Kind::REJECT, Kind::REJECT, Kind::DATA]);
    assert_eq!(rejects(&server), [(4, 1, 1), (2, 1, 1)]);
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    server.receive(&oversized(4)).unwrap();
    server.transmit();
    let kinds = server.sent_kinds();
    assert_eq!(kinds[kinds.len() - 2..], [Kind::CLOSE, Kind::REJECT]);

    let mut server = resynchronising();
    server.receive(&frame(BEGIN, 4, b"open")).unwrap();
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.hand_out();
    server.receive(&[b"noise".to_vec(), numbered(Kind::PING, 1, SERVER_KEY)].concat()).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE_ACK]);
}

/// PW-REJ-001, PW-CLS-006: what was refused is told before an owed CLOSE_ACK, also where the own CLOSE is answered first.
#[test]
fn a_refusal_is_told_before_an_owed_close_ack() {
    let mut server = server();
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    let ends = [close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY), numbered(Kind::CLOSE_ACK, 0, SERVER_KEY)];
    server.receive(&[oversized(4), ends.concat()].concat()).unwrap();
    assert!(server.closed().orderly);
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE, Kind::REJECT, Kind::CLOSE_ACK]);
}

/// PW-REJ-006: sixteen may wait; the seventeenth is the end.
#[test]
fn refusals_that_nobody_takes_are_bounded() {
    let mut server = server();
    for _ in 0..16 {
        server.receive(&oversized(4)).unwrap();
    }
    let mut relieved = self::server();
    for _ in 0..40 {
        relieved.receive(&oversized(4)).unwrap();
        relieved.transmit();
    }
    let error = server.receive(&oversized(4)).unwrap_err();
    assert_eq!(
        (error.clone(), error.close_reason()),
        (ProtocolError::TooManyRefused { waiting: 16 }, CloseReason::MESSAGE_TOO_LARGE)
    );
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);
}

/// PW-REJ-007: any reason, known or not, with a number or without; the connection goes on.
#[test]
fn a_reject_is_handed_to_the_application() {
    let mut server = server();
    (0..5).for_each(|size| {
        server.connection.send(server.now, business(size)).unwrap();
    });
    server.transmit();
    for (ordinal, reason) in [(1, 1), (3, 2), (0, 0), (4, 2), (5, 40_000)] {
        server.receive(&reject(ordinal, reason, SERVER_KEY)).unwrap();
        let Some(Event::Rejected(rejected)) = server.events.pop() else { panic!("not told") };
        assert_eq!((rejected.ordinal.map_or(0, u64::from), rejected.reason), (ordinal, RejectReason(reason)));
    }
    assert!(server.connection.is_open());
    assert_eq!(server.connection.statistics().messages_rejected, 5);
}

/// PW-REJ-008: begun counts, accepted does not; a joined batch and a large message alike.
#[test]
fn a_reject_of_a_message_that_was_never_begun_is_fatal() {
    let mut server = server();
    let error = server.receive(&reject(1, 1, SERVER_KEY)).unwrap_err();
    assert_eq!(error, ProtocolError::BadCount { kind: Kind::REJECT, count: 1, sent: 0 });
    assert_eq!(server.closed().reason, CloseReason::BAD_COUNT);

    let mut server = self::server();
    (0..3).for_each(|_| {
        server.connection.send(server.now, business(10)).unwrap();
    });
    server.connection.send(server.now, business(200_000)).unwrap();
    server.connection.send(server.now, business(10)).unwrap();
    server.receive(&reject(1, 1, SERVER_KEY)).unwrap_err();

    let mut server = self::server();
    (0..3).for_each(|_| {
        server.connection.send(server.now, business(10)).unwrap();
    });
    server.connection.send(server.now, business(200_000)).unwrap();
    server.connection.send(server.now, business(10)).unwrap();
    // The three, then the first frame of the fourth.
    for _ in 0..3 {
        assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
    }
    server.receive(&reject(3, 1, SERVER_KEY)).unwrap();
    assert!(server.connection.poll_transmit(server.now, 1, &mut Transmit::new()));
    server.receive(&reject(4, 1, SERVER_KEY)).unwrap();
    let error = server.receive(&reject(5, 1, SERVER_KEY)).unwrap_err();
    assert_eq!(error, ProtocolError::BadCount { kind: Kind::REJECT, count: 5, sent: 4 });
}

/// Two connections: the sender learns which of its messages the receiver did not take.
#[test]
fn the_sender_learns_which_message_was_lost() {
    let mut client = config();
    client.damage = Damage::Resynchronise;
    let mut pair = Pair::established(client, config());
    for size in [10, 3_000, 5_000, 20] {
        pair.send(SERVER, business(size));
    }
    let mut bytes = pair.ends[SERVER].transmit();
    let third = 12 + 10 + 4 + 12 + 3_000 + 4;
    bytes[third + 500] ^= 0x20;
    pair.ends[CLIENT].receive(&bytes).unwrap();
    pair.run_for(ms(10));
    let Some(Event::Rejected(rejected)) = pair.ends[SERVER].events.last() else { panic!("not told") };
    assert_eq!((rejected.ordinal.map(u64::from), rejected.reason), (Some(3), RejectReason::DAMAGED));
    assert_eq!(pair.ends[CLIENT].messages().len(), 3);
}

/// One frame of a generated stream, and what happens to it on the way.
#[derive(Debug, Clone)]
struct Piece {
    size: usize,
    fate: u8,
    between: bool,
}

/// The content of a message tells which one it is, and where in it a byte stands.
fn content(message: u32, size: usize) -> Vec<u8> {
    (0..size as u32).flat_map(|index| (message << 16 | index).to_be_bytes()).collect()
}

proptest! {
    /// PW-FRM-009, PW-REJ-001, PW-REJ-004: with frames damaged, dropped, cut short and messages too large, whatever is
    /// delivered is one message as it was sent, in order, and never after a later one.
    #[test]
    fn a_spliced_message_is_never_delivered(
        messages in prop::collection::vec(
            prop::collection::vec((1usize..200, 0u8..24, any::<bool>()).prop_map(|(size, fate, between)| Piece { size, fate, between }), 1..6),
            1..24,
        ),
        chunk in prop_oneof![1usize..40, Just(usize::MAX)],
    ) {
        let mut server = resynchronising();
        let (mut sent, mut stream) = (Vec::new(), Vec::new());
        for pieces in &messages {
            let number = sent.len() as u32;
            let whole = content(number, pieces.iter().map(|piece| piece.size).sum());
            sent.push(Message::new(Class::BUSINESS, whole.clone()));
            let mut from = 0;
            for (index, piece) in pieces.iter().enumerate() {
                let first = if index == 0 { Flags::FIRST } else { Flags::NONE };
                let more = if index + 1 < pieces.len() { Flags::MORE } else { Flags::NONE };
                let part = &whole[from..from + 4 * piece.size];
                from += 4 * piece.size;
                let mut packet = frame(first | more, 4, part);
                match piece.fate {
                    // A bit of the payload, a bit of the header, the end cut off, noise before.
                    0 => packet[15] ^= 4,
                    1 => packet[6] ^= 1,
                    2 => packet.truncate(packet.len() / 2),
                    3 => { packet.splice(..0, *b"\xF7\x9A noise"); }
                    _ => {}
                }
                stream.extend(packet);
                if piece.between && index + 1 < pieces.len() {
                    stream.extend(frame(Flags::FIRST, 2, b"between"));
                }
            }
        }
        let _ = stream.chunks(chunk).try_for_each(|chunk| server.receive_direct(chunk));
        let mut next = 0;
        for message in server.messages().into_iter().filter(|message| message.class == Class::BUSINESS) {
            let found = sent[next..].iter().position(|sent| sent == message);
            prop_assert!(found.is_some(), "spliced, or out of order: {} bytes", message.payload.len());
            prop_assert!(message.payload.len() <= 2_500);
            next += found.unwrap() + 1;
        }
    }
}

/// PW-HDR-017: the header of a refused message's frame is judged by section 3 as ever.
#[test]
fn a_frame_of_a_refused_message_keeps_to_the_frame_limit() {
    let mut server = server();
    server.receive(&oversized(4)[..2_032]).unwrap();
    server.receive(&frame(Flags::MORE, 4, &[3; 1_000])).unwrap();
    let header = Header { kind: Kind::DATA, flags: Flags::MORE, class: Class::BUSINESS, length: 1_001 };
    let error = server.receive(&header.encode(SERVER_KEY)).unwrap_err();
    assert_eq!(error, ProtocolError::FrameTooLarge { limit: 1_000, size: 1_001 });
}
