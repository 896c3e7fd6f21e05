//! What counts as life, and the rules of PING and PONG: sections 8.1 and 8.3 of the specification.

use std::time::Duration;

use pulsewire_protocol::{Class, CloseReason, Damage, Flags, Header, Kind, Limits, ProtocolError, Transmit};

use crate::pair::*;

/// Whether the server heard of its peer just now: then it waits for `idle`, less the jitter, before it probes (PW-HB-006).
fn is_quiet(server: &End) -> bool {
    let idle = config().heartbeat.idle;
    let deadline = server.connection.poll_timeout().expect("a heartbeat");
    deadline >= server.now + idle * 4 / 5 && deadline <= server.now + idle
}

fn resynchronising() -> End {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    End::server(config)
}

/// PW-HB-001, PW-HB-001, PW-HDR-008: a whole packet of any kind, even one that means nothing.
#[test]
fn every_complete_packet_is_evidence() {
    let packets = [
        data(Flags::FIRST, 4, b"", SERVER_KEY),
        data(Flags::FIRST | Flags::MORE, 4, b"part", SERVER_KEY),
        data(Flags::FIRST | Flags::CHECKSUM, 4, b"message", SERVER_KEY),
        numbered(Kind::PING, 1, SERVER_KEY),
        control(Kind::BUSY, &[0; 4], SERVER_KEY),
        control(Kind::DRAIN, &[0; 8], SERVER_KEY),
        control(Kind(0x80), b"", SERVER_KEY),
        control(Kind(0xC0), &[0; 3_000], SERVER_KEY),
        close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY),
    ];
    for packet in packets {
        let mut server = End::server(config());
        server.run_for(ms(700));
        server.receive(&packet).unwrap();
        assert!(is_quiet(&server), "{packet:x?}");
        // Reserved and ignorable kinds do nothing else.
        assert!(server.sent.is_empty() && server.closed.is_none());
    }
    // PONG, also one that was answered before.
    let mut server = End::server(config());
    server.run_for(ms(400));
    for _ in 0..2 {
        server.run_for(ms(650));
        server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
        assert!(is_quiet(&server));
    }
}

/// PW-HB-003.
#[test]
fn what_proves_nothing_is_no_evidence() {
    let proves_nothing: [fn(&mut End); 4] = [
        |server| server.receive(&numbered(Kind::PING, 1, SERVER_KEY)[..11]).unwrap(),
        |server| server.receive(&busy(1_000, SERVER_KEY)[..15]).unwrap(),
        |server| server.receive(&[0x55; 100]).unwrap(),
        |server| {
            server.connection.send(server.now, business(100)).unwrap();
            server.transmit();
        },
    ];
    for act in proves_nothing {
        let mut server = resynchronising();
        let deadline = server.connection.poll_timeout();
        server.run_for(ms(700));
        act(&mut server);
        assert_eq!(server.connection.poll_timeout(), deadline);
        server.receive(b"").unwrap();
        assert_eq!(server.connection.poll_timeout(), deadline, "nor is looking again");
    }
}

/// PW-HB-001, PW-HB-002, PW-FRM-001: a packet that is dropped in the end proves as much as another, however it is cut.
#[test]
fn a_dropped_packet_is_evidence() {
    for size in [10, 5_000] {
        let mut damaged = data(Flags::FIRST | Flags::CHECKSUM, 4, &vec![7; size], SERVER_KEY);
        damaged[15] ^= 1;
        for cut in [0, 1, 11, 12, 13, size + 11] {
            let mut server = resynchronising();
            server.run_for(ms(700));
            server.receive(&damaged[..cut]).unwrap();
            server.receive(&damaged[cut..]).unwrap();
            assert!(is_quiet(&server), "{size} bytes, cut at {cut}");
        }
    }
}

/// PW-HB-001, PW-HB-002, PW-FRM-001: from the end of the header on; small, large, and into the lent memory.
#[test]
fn bytes_from_a_verified_header_on_are_evidence() {
    for size in [20, 2_047, 2_048, 60_000] {
        let packet = data(Flags::FIRST, 4, &vec![1; size], SERVER_KEY);
        for cuts in [&[13][..], &[12, 13], &[1, 13], &[5, 14, 15], &[13, 20]] {
            let mut server = End::server(config());
            let mut from = 0;
            for &cut in cuts {
                server.run_for(ms(400));
                let before = server.connection.poll_timeout();
                server.receive(&packet[from..cut]).unwrap();
                if cut >= 12 {
                    assert!(is_quiet(&server), "{size} bytes, {from} to {cut}");
                } else {
                    assert_eq!(server.connection.poll_timeout(), before, "{size} bytes, {from} to {cut}");
                }
                from = cut;
            }
        }
    }
    let mut server = End::server(config());
    server.receive(&data(Flags::FIRST, 4, &[1; 60_000], SERVER_KEY)[..12]).unwrap();
    server.run_for(ms(700));
    let (mut buffer, missing) = server.connection.direct_buffer().unwrap();
    assert_eq!(missing, 60_000);
    buffer.extend_from_slice(&[1; 10]);
    assert_eq!(server.connection.received_direct(server.now, buffer), Ok(None));
    assert!(is_quiet(&server));
    server.run_for(ms(700));
    let (buffer, _) = server.connection.direct_buffer().unwrap();
    assert_eq!(server.connection.received_direct(server.now, buffer), Ok(None));
    assert!(!is_quiet(&server), "nothing came");
}

/// PW-HB-002: a payload that takes many bounds, but not too long, is delivered.
#[test]
fn a_slow_payload_keeps_the_peer_alive() {
    let packet = data(Flags::FIRST, 4, &payload(60_000), SERVER_KEY);
    let mut server = End::server(config());
    for chunk in packet.chunks(600) {
        server.run_for(ms(650));
        server.receive(chunk).unwrap();
    }
    assert_eq!(server.messages(), [&business(60_000)]);
    assert!(server.sent.is_empty(), "no PING was needed");
}

/// PW-FRM-015, PW-HB-002, PW-HB-003: exactly when the time is up, counted from the first byte, and for part of a header too.
#[test]
fn a_trickle_ends_with_frame_stall() {
    for (length, allowed) in [(1_008, 11_000), (100_000, 10_000 + 97_671), (16, 10_031)] {
        let mut config = config();
        config.limits = Limits { frame: 200_000, ..config.limits };
        let mut server = End::server(config);
        let packet = data(Flags::FIRST, 4, &vec![1; length], SERVER_KEY);
        server.run_for(ms(500));
        let first_byte = server.now;
        // Part of a header is no evidence, so the header comes at once.
        server.receive(&packet[..12]).unwrap();
        let mut bytes = packet[12..].iter();
        while server.closed.is_none() {
            server.receive(&[*bytes.next().unwrap()]).unwrap();
            server.run_for(ms(700));
        }
        assert_eq!(server.closed().reason, CloseReason::FRAME_STALL);
        let took = server.closed_at() - first_byte;
        assert!(took >= ms(allowed) && took < ms(allowed + 1), "{took:?} for {length} bytes");
        assert_eq!(server.closed().detail, format!("a packet was not complete {allowed} ms after it began"));
    }
    let mut quiet = config();
    quiet.heartbeat.idle = ms(60_000);
    let mut server = End::server(quiet);
    server.receive(&[0xF7]).unwrap();
    server.run_for(ms(60_000));
    assert_eq!(
        (server.closed_at(), server.closed().reason),
        (at(10_000) + Duration::from_micros(15_625), CloseReason::FRAME_STALL)
    );
}

/// PW-FRM-015: each packet has its own time.
#[test]
fn the_time_for_a_packet_starts_anew_with_each() {
    let mut server = End::server(config());
    let packet = data(Flags::FIRST, 4, &[1; 50], SERVER_KEY);
    for _ in 0..20 {
        for half in packet.chunks(31) {
            server.receive(half).unwrap();
            server.run_for(ms(900));
        }
    }
    assert_eq!(server.messages().len(), 20);
}

/// PW-HB-017: 16 at once, one more per half of the floor, and never more than 16 saved up.
#[test]
fn the_bucket_of_pings_is_exact() {
    let mut server = End::server(config());
    let mut number = 0;
    let mut ping = |server: &mut End| {
        number += 1;
        server.receive(&numbered(Kind::PING, number, SERVER_KEY))
    };
    (0..16).for_each(|_| ping(&mut server).unwrap());
    for _ in 0..100 {
        server.run_for(ms(5));
        ping(&mut server).unwrap();
    }
    server.run_for(ms(500));
    (0..16).for_each(|_| ping(&mut server).unwrap());
    server.run_for(Duration::from_micros(4_999));
    assert_eq!(ping(&mut server), Err(ProtocolError::PingFlood));
    assert_eq!(server.closed().reason, CloseReason::PING_FLOOD);
}

/// PW-HB-017: the floor that counts is the one that was announced, in whole milliseconds.
#[test]
fn a_floor_with_a_fraction_is_metered_as_announced() {
    let mut config = config();
    config.heartbeat.ping_floor = Duration::from_micros(3_900);
    let mut server = End::server(config);
    for number in 1..=300 {
        if number > 16 {
            server.run_for(Duration::from_micros(1_500));
        }
        server.receive(&numbered(Kind::PING, number, SERVER_KEY)).unwrap();
    }
}

/// PW-HB-007, at both ends of the range.
#[test]
fn ping_numbers_increase() {
    for (first, second) in [(1, 0), (1, 1), (5, 5), (5, 4), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
        let mut server = End::server(config());
        server.receive(&numbered(Kind::PING, first, SERVER_KEY)).unwrap();
        let error = server.receive(&numbered(Kind::PING, second, SERVER_KEY)).unwrap_err();
        assert_eq!(error, ProtocolError::BadPing { number: second, last: first });
    }
    let mut server = End::server(config());
    for number in [1, 7, u64::MAX - 1, u64::MAX] {
        server.receive(&numbered(Kind::PING, number, SERVER_KEY)).unwrap();
        server.transmit();
    }
    let answers: Vec<u64> = server.sent_of(Kind::PONG).iter().map(|(_, payload)| number(payload)).collect();
    assert_eq!(answers, [1, 7, u64::MAX - 1, u64::MAX]);

    let error = End::server(config()).receive(&numbered(Kind::PING, 0, SERVER_KEY)).unwrap_err();
    assert_eq!(error, ProtocolError::BadPing { number: 0, last: 0 }, "the first is at least 1");
}

/// PW-HB-009: never sent are 0, what lies ahead, and what is queued but was not handed out.
#[test]
fn a_pong_for_a_ping_that_was_never_sent_is_fatal() {
    for number in [0, 1, u64::MAX] {
        let mut server = End::server(config());
        let error = server.receive(&numbered(Kind::PONG, number, SERVER_KEY)).unwrap_err();
        assert_eq!(error, ProtocolError::BadPong { number, last: 0 });
    }
    for number in [0, 2] {
        let mut server = End::server(config());
        server.run_for(ms(1_000));
        assert_eq!(server.sent_kinds(), [Kind::PING]);
        let error = server.receive(&numbered(Kind::PONG, number, SERVER_KEY)).unwrap_err();
        assert_eq!(error, ProtocolError::BadPong { number, last: 1 });
    }
    let mut server = End::server(config());
    server.now = server.connection.poll_timeout().unwrap();
    server.pass_time();
    let error = server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap_err();
    assert_eq!(error, ProtocolError::BadPong { number: 1, last: 0 });
}

/// PW-HB-008, PW-HB-015: one PONG, with the latest number, ahead of messages that wait.
#[test]
fn one_pong_waits_and_overtakes_messages() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(200_000)).unwrap();
    let mut batch = Transmit::new();
    assert!(server.connection.poll_transmit(server.now, 1, &mut batch));
    assert!((65_536..70_000).contains(&batch.len()), "one frame");
    for number in [3, 4, 9] {
        server.receive(&numbered(Kind::PING, number, SERVER_KEY)).unwrap();
    }
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::PONG, Kind::DATA, Kind::DATA, Kind::DATA]);
    assert_eq!(number(server.sent_of(Kind::PONG)[0].1), 9);
}

/// PW-HB-015: PING too; and a large message from the peer does not hold it back.
#[test]
fn a_ping_overtakes_messages() {
    let mut server = End::server(config());
    for _ in 0..3 {
        server.connection.send(server.now, business(100_000)).unwrap();
    }
    server.now = server.connection.poll_timeout().unwrap();
    server.pass_time();
    server.transmit();
    assert_eq!(server.sent_kinds()[..2], [Kind::PING, Kind::DATA]);
}

/// PW-DAT-010: between the frames of an open message.
#[test]
fn control_packets_are_acted_on_between_fragments() {
    let mut server = End::server(config());
    server.receive(&data(Flags::FIRST | Flags::MORE, 4, b"one ", SERVER_KEY)).unwrap();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::PONG]);
    server.receive(&data(Flags::NONE, 4, b"message", SERVER_KEY)).unwrap();
    assert_eq!(&*server.messages()[0].payload, b"one message");
}

/// PW-FRM-012, PW-HDR-015: judged at the header, and LIMIT tells.
#[test]
fn a_frame_above_the_limit_is_refused_at_its_header() {
    for kind in [Kind::DATA, Kind(0xC0)] {
        let mut server = End::server(config());
        let header = Header { kind, flags: Flags::NONE, class: Class::UNCLASSIFIED, length: 65_537 };
        let error = server.receive(&header.encode(SERVER_KEY)).unwrap_err();
        assert_eq!(error, ProtocolError::FrameTooLarge { limit: 65_536, size: 65_537 });
        assert_eq!(error.limit(), Some((65_536, 65_537)));
    }
}

/// PW-HB-003: a driver may offer what is held once more; only more of it proves anything.
#[test]
fn looking_at_a_part_again_is_no_evidence() {
    for size in [100, 5_000] {
        let mut server = End::server(config());
        let packet = data(Flags::FIRST, 4, &vec![7; size], SERVER_KEY);
        server.receive(&packet[..60]).unwrap();
        let deadline = server.connection.poll_timeout();
        for _ in 0..5 {
            server.run_for(ms(100));
            server.receive(b"").unwrap();
            assert_eq!(server.connection.poll_timeout(), deadline, "{size} bytes");
        }
        server.receive(&packet[60..61]).unwrap();
        assert_ne!(server.connection.poll_timeout(), deadline, "{size} bytes");
    }
}
