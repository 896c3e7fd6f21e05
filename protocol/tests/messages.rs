//! Messages and fragments: section 6 of the specification, and what the interface promises about them.

use bytes::{Bytes, BytesMut};
use pulsewire_protocol::{
    Class, CloseReason, Config, Connection, Damage, Event, Flags, HEADER_SIZE, Header, Hello, Instant, Kind, Message,
    Payload, ProtocolError, SendRefused, Transmit,
};

use crate::pair::*;

/// Around every size at which something changes: copied or referenced, one frame or several.
const SIZES: [usize; 16] =
    [0, 1, 511, 512, 513, 2_047, 2_048, 2_049, 16_383, 16_384, 65_535, 65_536, 65_537, 131_071, 131_072, 1 << 20];

fn resynchronising() -> Config {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    config
}

/// PW-DAT-001, PW-DAT-002, PW-DAT-009, PW-DAT-011, PW-DAT-012, PW-FRM-007: all sizes, both ways, with and without checksums.
#[test]
fn messages_arrive_as_they_were_sent() {
    for (client, server) in
        [(config(), config()), (resynchronising(), config()), (resynchronising(), resynchronising())]
    {
        for step in [usize::MAX, 1_460, 7] {
            let mut pair = Pair::established(client.clone(), server.clone());
            pair.step = step;
            let sizes = if step < 100 { &SIZES[..9] } else { &SIZES[..] };
            let mut expected = Vec::new();
            for (index, &size) in sizes.iter().enumerate() {
                let class = [Class::UNCLASSIFIED, Class::BUSINESS, Class(128), Class(255)][index % 4];
                let message = Message { encrypted: index % 3 == 0, ..Message::new(class, payload(size)) };
                for end in [CLIENT, SERVER] {
                    pair.send(end, message.clone());
                }
                pair.run_for(ms(5));
                expected.push(message);
            }
            for end in [CLIENT, SERVER] {
                assert_eq!(pair.ends[end].messages(), expected.iter().collect::<Vec<_>>());
                assert_eq!(pair.ends[end].connection.messages_received(), sizes.len() as u64);
                assert_eq!(pair.ends[end].connection.messages_sent(), sizes.len() as u64);
                assert_eq!(pair.ends[end].connection.queued(), 0);
            }
        }
    }
}

/// A borrowed payload and an owned one are the same message; a small one that is received is lent, not copied.
#[test]
fn payloads_are_borrowed_or_owned() {
    for size in [10, 2_047, 2_048, 70_000] {
        let bytes: Bytes = payload(size).into_bytes();
        let mut sent = Vec::new();
        for payload in [Payload::Borrowed(&bytes), Payload::Owned(bytes.clone())] {
            let mut server = End::server(config());
            server.connection.send(server.now, Message::new(Class::ROOM, payload)).unwrap();
            sent.push(server.transmit());
        }
        assert_eq!(sent[0], sent[1]);
    }
    let mut server = End::server(config());
    let packet = data(Flags::FIRST, 3, b"lent", SERVER_KEY);
    let mut input = &packet[..];
    let Ok(Some(Event::Message(message))) = server.connection.receive(server.now, &mut input) else { panic!() };
    assert!(matches!(message.payload, Payload::Borrowed(bytes) if std::ptr::eq(bytes, &packet[12..])));
    // The event borrows the buffer, not the connection.
    server.connection.send(server.now, message).unwrap();
}

/// PW-DAT-002, PW-DAT-004, PW-DAT-009: as few frames as the limit allows, none empty, none above it.
#[test]
fn frames_are_cut_at_the_peers_limit() {
    for limit in [512usize, 2_048, 65_536] {
        for size in [limit - 1, limit, limit + 1, 2 * limit - 1, 2 * limit, 2 * limit + 1] {
            let peer = Hello { frame_limit: limit as u32, ..hello(PEER_KEY) };
            let mut server = End::greeted(config(), &peer, SERVER_KEY);
            server.connection.send(server.now, business(size)).unwrap();
            while server.hand_out_up_to(1 << 20) {}
            let lengths: Vec<u32> = server.sent.iter().map(|(_, header, _)| header.length).collect();
            assert_eq!(lengths.len(), size.div_ceil(limit));
            assert!(lengths.iter().all(|length| (1..=limit as u32).contains(length)));
            for (index, (_, header, _)) in server.sent.iter().enumerate() {
                assert_eq!(header.flags.contains(Flags::FIRST), index == 0);
                assert_eq!(header.flags.contains(Flags::MORE), index + 1 < lengths.len());
            }
            assert_eq!(server.connection.queued(), 0);
        }
    }
}

/// PW-DAT-006, PW-DAT-012: large fragments through the lent buffer, a whole message of another class between them.
#[test]
fn fragments_arrive_through_the_lent_buffer() {
    for checksum in [Flags::NONE, Flags::CHECKSUM] {
        let mut config = config();
        if checksum == Flags::CHECKSUM {
            config.damage = Damage::Resynchronise;
        }
        let whole = payload(150_000);
        let sealed = checksum | Flags::ENCRYPTED;
        let stream = [
            data(sealed | Flags::FIRST | Flags::MORE, 4, &whole[..60_000], SERVER_KEY),
            data(checksum | Flags::FIRST, 2, &payload(5_000), SERVER_KEY),
            data(sealed | Flags::MORE, 4, &whole[60_000..60_100], SERVER_KEY),
            control(Kind(0xC0), &[0; 4_000], SERVER_KEY),
            data(sealed | Flags::MORE, 4, &whole[60_100..120_000], SERVER_KEY),
            data(checksum | Flags::FIRST, 2, b"", SERVER_KEY),
            data(sealed, 4, &whole[120_000..], SERVER_KEY),
        ]
        .concat();
        for size in [1, 13, 1_000, 5_000, 100_000, stream.len()] {
            let mut server = End::server(config.clone());
            stream.chunks(size).for_each(|chunk| server.receive_direct(chunk).unwrap());
            let joined = Message { encrypted: true, ..Message::new(Class::BUSINESS, whole.clone()) };
            let expected =
                [Message::new(Class::COMMUNICATION, payload(5_000)), Message::new(Class::COMMUNICATION, b""), joined];
            assert_eq!(server.messages(), expected.iter().collect::<Vec<_>>());
        }
    }
}

/// PW-HDR-013: a wrong trailer behind the lent buffer.
#[test]
fn a_damaged_packet_in_the_lent_buffer_is_noticed() {
    let mut packet = data(Flags::FIRST | Flags::CHECKSUM, 4, &payload(50_000), SERVER_KEY);
    packet[30_000] ^= 0x10;
    let mut server = End::server(config());
    server.receive_direct(&packet[..100]).unwrap();
    assert_eq!(server.receive_direct(&packet[100..]), Err(ProtocolError::PayloadChecksum { length: 50_000 }));
    assert_eq!(server.closed().reason, CloseReason::PAYLOAD_CHECKSUM);
    assert!(server.connection.direct_buffer().is_none());
}

/// Each refusal gives the very message back and changes nothing (as PW-CK-003).
#[test]
fn a_refused_message_comes_back() {
    let refuse = |end: &mut End, message: Message<'static>, reason: SendRefused| {
        let before = (end.connection.queued(), end.connection.messages_sent());
        assert_eq!(end.connection.can_send(message.class, message.payload.len()), Err(reason));
        let refused = end.connection.send(end.now, message.clone()).unwrap_err();
        assert_eq!((refused.reason, refused.message), (reason, message));
        assert_eq!((end.connection.queued(), end.connection.messages_sent()), before);
    };
    let mut fresh = End::new(Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY)), PEER_KEY);
    refuse(&mut fresh, business(3), SendRefused::NotEstablished);

    let peer = Hello { message_limit: 70_000, ..hello(PEER_KEY) };
    let mut server = End::greeted(config(), &peer, SERVER_KEY);
    refuse(&mut server, business(70_001), SendRefused::TooLarge { limit: 70_000 });
    for class in [5, 127] {
        refuse(&mut server, Message::new(Class(class), b"x"), SendRefused::ReservedClass);
    }
    server.connection.send(server.now, business(70_000)).unwrap();
    server.connection.send(server.now, Message::new(Class(128), b"x")).unwrap();
    server.connection.close(server.now, CloseReason(40_000));
    refuse(&mut server, business(1), SendRefused::Closed(CloseReason(40_000)));
    server.connection.abort(server.now);
    refuse(&mut server, business(1), SendRefused::Closed(CloseReason::ABORTED));
}

/// `send_queue`: full at the very byte; a message of any size goes while nothing waits.
#[test]
fn the_send_queue_is_bounded() {
    let mut small = config();
    small.limits.send_queue = 1_000;
    let mut server = End::server(small);
    server.connection.send(server.now, business(500_000)).unwrap();
    let refused = server.connection.send(server.now, business(0)).unwrap_err();
    assert_eq!(refused.reason, SendRefused::Full);
    server.transmit();
    assert_eq!(server.connection.queued(), 0);

    server.connection.send(server.now, business(388)).unwrap();
    assert_eq!(server.connection.queued(), 400);
    assert_eq!(server.connection.can_send(Class::BUSINESS, 601), Err(SendRefused::Full));
    assert_eq!(server.connection.send(server.now, business(601)).unwrap_err().reason, SendRefused::Full);
    assert_eq!(server.connection.can_send(Class::BUSINESS, 600), Ok(()));
    server.connection.send(server.now, business(600)).unwrap();
    server.transmit();
    assert_eq!(server.connection.queued(), 0);
    // Empty messages are not free.
    let accepted = (0..1_000).take_while(|_| server.connection.send(server.now, business(0)).is_ok()).count();
    assert_eq!(accepted, 84);
}

/// Small messages are joined to batches, which must not make the queue longer than it may be.
#[test]
fn no_batch_is_larger_than_the_send_queue() {
    for (send_queue, accepted) in [(1_000, 9), (5_000, 44), (40_000, 357)] {
        let mut small = config();
        small.limits.send_queue = send_queue;
        let mut server = End::server(small);
        let sent = (0..1_000).take_while(|_| server.connection.send(server.now, business(100)).is_ok()).count();
        assert_eq!(sent, accepted, "{send_queue}");
        assert!(server.connection.queued() <= send_queue + HEADER_SIZE);
    }
}

/// PW-DAT-006: also where the packet is the first one of a read.
#[test]
fn a_whole_message_between_frames_is_of_another_class() {
    let begun = || {
        let mut server = End::server(config());
        server.receive(&data(Flags::FIRST | Flags::MORE, 4, b"begun, ", SERVER_KEY)).unwrap();
        server
    };
    let error = begun().receive(&data(Flags::FIRST, 4, b"the same class", SERVER_KEY)).unwrap_err();
    assert_eq!(error.close_reason(), CloseReason::BAD_FRAGMENT);
    let mut server = begun();
    server.receive(&data(Flags::FIRST, 2, b"another class", SERVER_KEY)).unwrap();
    server.receive(&data(Flags::NONE, 4, b"ended", SERVER_KEY)).unwrap();
    let between = Message::new(Class(2), &b"another class"[..]);
    assert_eq!(server.messages(), [&between, &Message::new(Class(4), &b"begun, ended"[..])]);
}

/// PW-FRM-013: the memory that is held follows what came, whatever the header says.
#[test]
fn a_hostile_length_holds_no_memory() {
    let mut large = config();
    large.limits.frame = 0xFF_FFFF;
    let header = Header { kind: Kind::DATA, flags: Flags::FIRST, class: Class::BUSINESS, length: 0xFF_FFFF };
    for step in [1usize, 1_000, 64 << 10] {
        let mut server = End::server(large.clone());
        server.receive(&header.encode(SERVER_KEY)).unwrap();
        let mut arrived = 0;
        while arrived < (step * 2_000).min(8 << 20) {
            let (mut buffer, missing) = server.connection.direct_buffer().unwrap();
            assert_eq!(missing, 0xFF_FFFF - arrived);
            assert!(buffer.is_empty() && buffer.capacity() > 0, "there is room");
            assert!(buffer.capacity() <= (8 << 10).max(8 * arrived + 64), "{} for {arrived}", buffer.capacity());
            let count = step.min(buffer.capacity());
            buffer.resize(count, 0);
            arrived += count;
            assert_eq!(server.connection.received_direct(server.now, buffer), Ok(None));
        }
    }
}

/// PW-FRM-013: fragments, the same, and a million one-byte frames cost what a million bytes cost.
#[test]
fn tiny_fragments_are_joined() {
    let mut server = End::server(config());
    let mut stream = data(Flags::FIRST | Flags::MORE, 4, b"a", SERVER_KEY);
    for _ in 0..200_000 {
        stream.extend(data(Flags::MORE, 4, b"b", SERVER_KEY));
    }
    stream.extend(data(Flags::NONE, 4, b"", SERVER_KEY));
    stream.chunks(60_000).for_each(|chunk| server.receive(chunk).unwrap());
    assert_eq!(server.messages()[0].payload.len(), 200_001);
}

/// PW-DAT-008: at the header that makes it so; the connection goes on.
#[test]
fn a_message_above_the_limit_is_refused_at_the_header_that_makes_it_so() {
    let mut small = config();
    small.limits.frame = 1_000;
    small.limits.message = 2_500;
    for (last, size) in [(500, None), (501, Some(2_501))] {
        let mut server = End::server(small.clone());
        server.receive(&data(Flags::FIRST | Flags::MORE, 4, &[0; 1_000], SERVER_KEY)).unwrap();
        server.receive(&data(Flags::MORE, 4, &[0; 1_000], SERVER_KEY)).unwrap();
        server.receive(&data(Flags::NONE, 4, &vec![0; last], SERVER_KEY)[..12]).unwrap();
        let refused = server.events.iter().map(|event| match event {
            Event::TooLarge(refused) => (refused.class, refused.limit, refused.size),
            other => panic!("{other:?}"),
        });
        assert_eq!(
            refused.collect::<Vec<_>>(),
            size.map(|size| (Class::BUSINESS, 2_500, size)).into_iter().collect::<Vec<_>>()
        );
    }
}

/// "Calls in another order, or too many of them, do no harm": whatever a driver does with the lent buffer.
#[test]
fn misuse_of_the_lent_buffer_does_not_panic() {
    let packet = data(Flags::FIRST | Flags::CHECKSUM, 4, &payload(5_000), SERVER_KEY);
    let misuse: [fn(&mut Connection); 7] = [
        |c| drop(c.direct_buffer()),
        |c| drop((c.direct_buffer(), c.direct_buffer())),
        |c| drop(c.received_direct(Instant::ZERO, BytesMut::new())),
        |c| drop(c.received_direct(Instant::ZERO, BytesMut::zeroed(9_000))),
        |c| {
            drop(c.direct_buffer());
            drop(c.received_direct(Instant::ZERO, BytesMut::zeroed(9_000)));
        },
        |c| {
            drop(c.direct_buffer());
            drop((
                c.received_direct(Instant::ZERO, BytesMut::zeroed(1)),
                c.received_direct(Instant::ZERO, BytesMut::zeroed(1)),
            ));
        },
        |c| {
            let lent = c.direct_buffer().unwrap().0;
            drop(c.receive(Instant::ZERO, &mut &[1; 3_000][..]));
            drop(c.received_direct(Instant::ZERO, lent));
        },
    ];
    for act in misuse {
        for begun in [12, 100, 4_000] {
            let mut server = End::server(config());
            server.receive(&packet[..begun]).unwrap();
            act(&mut server.connection);
            drop(server.connection.receive(Instant::ZERO, &mut &packet[begun..]));
            drop(server.connection.receive(Instant::ZERO, &mut &packet[..]));
            drop(server.connection.direct_buffer());
            server.connection.transmitted(Instant::ZERO, &mut Transmit::new(), 0);
            server.connection.abort(server.now);
        }
    }
}

/// Memory that was lent before other bytes came is not taken for what was lent since: that would put its bytes where they do not
/// belong.
#[test]
fn memory_that_was_lent_before_other_bytes_came_ends_the_connection() {
    let packet = data(Flags::FIRST, 4, &payload(5_000), SERVER_KEY);
    let strays: [fn(BytesMut) -> BytesMut; 2] = [|before| before, |_| BytesMut::new()];
    for stray in strays {
        let mut server = End::server(config());
        server.receive(&packet[..100]).unwrap();
        let (before, _) = server.connection.direct_buffer().unwrap();
        server.receive(&packet[100..200]).unwrap();
        let _lent = server.connection.direct_buffer().unwrap();
        let mut stray = stray(before);
        stray.extend_from_slice(&packet[200..300]);
        let told = server.connection.received_direct(server.now, stray);
        let Ok(Some(Event::Closed(closed))) = told else { panic!("{told:?}") };
        assert_eq!(closed.reason, CloseReason::ABORTED);
    }
    // Empty it says nothing, and what was lent can still come back.
    let mut server = End::server(config());
    server.receive(&packet[..200]).unwrap();
    let (mut lent, missing) = server.connection.direct_buffer().unwrap();
    assert_eq!(server.connection.received_direct(server.now, BytesMut::new()), Ok(None));
    let end = 200 + missing.min(lent.capacity());
    lent.extend_from_slice(&packet[200..end]);
    assert_eq!(server.connection.received_direct(server.now, lent), Ok(None));
    server.receive(&packet[end..]).unwrap();
    assert_eq!(server.messages()[0].payload, payload(5_000));
}

/// A driver may ask since when a message is open, and what is said of one that takes too long names its age.
#[test]
fn a_message_is_open_from_its_first_frame_to_its_last() {
    let mut server = End::server(config());
    server.run_for(ms(30));
    assert_eq!(server.connection.open_since(), None);
    server.receive(&data(Flags::FIRST | Flags::MORE, 4, b"one", SERVER_KEY)).unwrap();
    let began = server.now;
    server.run_for(ms(40));
    server.receive(&data(Flags::MORE, 4, b"two", SERVER_KEY)).unwrap();
    assert_eq!(server.connection.open_since(), Some(began));
    server.receive(&data(Flags::NONE, 4, b"three", SERVER_KEY)).unwrap();
    assert_eq!(server.connection.open_since(), None);
}

/// PW-FRM-013: nothing is kept of a packet without a meaning, however much of it has come.
#[test]
fn what_is_passed_over_is_not_kept() {
    let mut server = End::server(config());
    let before = server.connection.buffered();
    server.receive(&control(Kind(0xC0), &[7; 60_000], SERVER_KEY)[..50_000]).unwrap();
    assert_eq!(server.connection.buffered(), before);
}
