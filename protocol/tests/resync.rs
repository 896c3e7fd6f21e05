//! Damaged streams: section 5 of the specification. The vectors hold many more; here are the numbers and the clock.

use std::time::Duration;

use pulsewire_protocol::{Class, CloseReason, Config, Damage, Event, Flags, Header, Kind, Limits, ProtocolError};

use crate::pair::*;

fn server_config() -> Config {
    let mut config = config();
    config.damage = Damage::Resynchronise;
    config.heartbeat.idle = Duration::from_secs(3_600);
    config
}

fn server() -> End {
    End::server(server_config())
}

fn good(class: u8) -> Vec<u8> {
    data(Flags::FIRST | Flags::CHECKSUM, class, b"good", SERVER_KEY)
}

fn damaged(size: usize) -> Vec<u8> {
    let mut packet = data(Flags::FIRST | Flags::CHECKSUM, 2, &vec![1; size], SERVER_KEY);
    packet[12] ^= 1;
    packet
}

/// The gaps: bytes skipped, and whether a message was lost.
fn gaps(end: &End) -> Vec<(u64, bool)> {
    let gap =
        |event: &Event<'_>| if let Event::Gap(gap) = event { Some((gap.skipped, gap.message_lost)) } else { None };
    end.events.iter().filter_map(gap).collect()
}

/// PW-FRM-005: any garbage, magic and pieces of headers among it, at any split.
#[test]
fn the_next_header_is_found_behind_any_garbage() {
    let mut bad_header = good(4)[..12].to_vec();
    bad_header[4] ^= 1;
    let with_key_0 = data(Flags::FIRST | Flags::CHECKSUM, 4, b"", 0);
    let garbage: [&[u8]; 8] = [
        b"x",
        b"\xF7",
        b"\xF7\x9A",
        b"\xF7\xF7\xF7\x9A\xF7",
        &bad_header,
        &[0xF7; 1_000],
        &[0xF7, 0x9A].repeat(500),
        &with_key_0,
    ];
    for bytes in garbage {
        for chunk in [1, 2, 5, 12, 13, usize::MAX] {
            let mut server = server();
            let stream = [good(1), bytes.to_vec(), good(2)].concat();
            stream.chunks(chunk).for_each(|chunk| server.receive(chunk).unwrap());
            assert_eq!(gaps(&server), [(bytes.len() as u64, false)]);
            assert_eq!(server.messages().len(), 2);
        }
    }
}

/// PW-FRM-001, PW-FRM-015: fewer than 12 bytes behind skipped ones may be a part of a header, whatever they are, and have its time.
#[test]
fn noise_at_the_end_stalls_at_the_same_time_however_it_is_cut() {
    for chunk in [1, 5, 12, 13, 20] {
        let mut server = server();
        [0x99; 20].chunks(chunk).for_each(|chunk| server.receive(chunk).unwrap());
        server.run_for(Duration::from_secs(20));
        assert!(server.closed.is_some(), "no end after pieces of {chunk}");
        let stalled_at = at(10_000) + Duration::from_micros(15_625);
        assert_eq!((server.closed_at(), server.closed().reason), (stalled_at, CloseReason::FRAME_STALL));
    }
}

/// PW-FRM-006: a packet inside a dropped one is not looked for.
#[test]
fn what_a_damaged_packet_contains_is_not_run() {
    for inner_size in [20, 5_000] {
        let inner = data(Flags::FIRST | Flags::CHECKSUM, 4, &vec![b'!'; inner_size], SERVER_KEY);
        let mut packet = data(Flags::FIRST | Flags::CHECKSUM, 4, &[&[0; 100], &inner[..]].concat(), SERVER_KEY);
        packet[20] ^= 1;
        let mut server = server();
        let size = packet.len() as u64;
        packet.extend(good(2));
        server.receive(&packet).unwrap();
        assert_eq!(gaps(&server), [(size, false)]);
        assert_eq!(server.messages().len(), 1);
    }
}

/// PW-FRM-009, PW-FRM-010.
#[test]
fn a_gap_discards_the_open_message_and_its_remaining_frames() {
    for lost in [b"garbage".to_vec(), damaged(10), damaged(5_000)] {
        let mut server = server();
        let frame = |flags, bytes| data(flags | Flags::CHECKSUM, 4, bytes, SERVER_KEY);
        let stream = [
            frame(Flags::FIRST | Flags::MORE, b"lost "),
            lost.clone(),
            frame(Flags::MORE, b"lost "),
            good(4),
            frame(Flags::NONE, b"lost"),
            frame(Flags::FIRST | Flags::MORE, b"whole "),
            frame(Flags::NONE, b"again"),
        ];
        server.receive(&stream.concat()).unwrap();
        assert_eq!(gaps(&server), [(lost.len() as u64, true)]);
        let texts: Vec<&[u8]> = server.messages().iter().map(|message| &*message.payload).collect();
        assert_eq!(texts, [&b"good"[..], b"whole again"]);
        // PW-DAT-007 applies again.
        let error = server.receive(&frame(Flags::NONE, b"?")).unwrap_err();
        assert_eq!(error.close_reason(), CloseReason::BAD_FRAGMENT);
    }
}

/// PW-FRM-011: with the smallest frame limit 65,536 bytes are allowed, one more is not; skipped and dropped ones together.
#[test]
fn the_budget_of_bytes_is_exact() {
    let dropped = damaged(500);
    for chunk in [1_000, usize::MAX] {
        let run = |skipped: usize| {
            let mut server =
                End::server(Config { limits: Limits { frame: 512, ..Limits::default() }, ..server_config() });
            server.receive(&dropped).unwrap();
            let stream = [vec![0x55; skipped - dropped.len()], good(4)].concat();
            (stream.chunks(chunk).try_for_each(|chunk| server.receive(chunk)), server)
        };
        let (result, server) = run(65_536);
        assert_eq!((result, server.messages().len()), (Ok(()), 1));
        let (result, server) = run(65_537);
        assert_eq!(result, Err(ProtocolError::ResyncBudget { bytes: 65_537, gaps: 2 }));
        assert_eq!((server.closed().reason, server.messages().len()), (CloseReason::RESYNC_BUDGET, 0));
    }
}

/// PW-FRM-011: 16 gaps are allowed, of either sort; a seventeenth in the same window is not, in the next it is.
#[test]
fn the_budget_of_gaps_is_exact() {
    let fill = |server: &mut End| {
        for _ in 0..8 {
            server.receive(&[b"?".to_vec(), good(4), damaged(10)].concat()).unwrap();
            server.run_for(ms(1_000));
        }
    };
    let mut early = server();
    fill(&mut early);
    early.run_until(pulsewire_protocol::Instant::from_nanos(at(60_000).as_nanos() - 1));
    assert_eq!(
        early.receive(&[b"?".to_vec(), good(4)].concat()),
        Err(ProtocolError::ResyncBudget { bytes: 8 + 8 * 26 + 1, gaps: 17 })
    );

    let mut late = server();
    fill(&mut late);
    late.run_until(at(60_000));
    fill(&mut late);
    assert_eq!(late.messages().len(), 16);
    late.receive(&[b"?".to_vec(), good(4)].concat()).unwrap_err();
}

/// PW-FRM-008, PW-HDR-017: before the rules of section 6.
#[test]
fn data_without_checksum_is_refused() {
    for flags in [Flags::FIRST, Flags::NONE] {
        assert_eq!(server().receive(&data(flags, 4, b"x", SERVER_KEY)[..12]), Err(ProtocolError::ChecksumRequired));
    }
}

/// PW-FRM-002, PW-FRM-016: without RESYNC the first bad header ends it, and nothing behind it is acted on.
#[test]
fn without_resync_the_first_bad_header_closes() {
    let mut server = End::server(config());
    server.receive(&[0; 11]).unwrap();
    assert_eq!(server.receive(&[&[0; 1], &good(4)[..]].concat()), Err(ProtocolError::BadHeader));
    assert!(server.events.is_empty());
}

/// PW-HDR-013, PW-FRM-001: a packet without a meaning is judged by its trailer too, also where it is not kept.
#[test]
fn a_damaged_packet_without_a_meaning_is_a_gap_however_it_is_cut() {
    let header = Header { kind: Kind(0xC0), flags: Flags::CHECKSUM, class: Class::default(), length: 3_000 };
    let right = packet(header, &[7; 3_000], SERVER_KEY);
    let size = right.len() as u64;
    for (damage, found) in [(0, vec![]), (1, vec![(size, false)])] {
        for cut in [0, 12, 13, 2_000, 3_010, 3_015] {
            let (mut server, mut packet) = (server(), right.clone());
            packet[2_500] ^= damage;
            server.receive(&packet[..cut]).unwrap();
            server.receive(&packet[cut..]).unwrap();
            assert_eq!(gaps(&server), found, "cut at {cut}");
        }
    }
}
