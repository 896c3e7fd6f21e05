//! Pausing: section 8.4 of the specification, at the side that pauses and at its peer.

use std::time::Duration;

use pulsewire_protocol::{CloseReason, Config, Connection, Flags, Instant, Kind};

use crate::pair::*;

fn pings(end: &End) -> Vec<Instant> {
    end.sent_of(Kind::PING).iter().map(|(when, _)| *when).collect()
}

/// When BUSY was handed out, and for how long.
fn pauses(end: &End) -> Vec<(Instant, u32)> {
    end.sent_of(Kind::BUSY).into_iter().map(|(when, payload)| (when, busy_field(payload))).collect()
}

fn with_busy_max(busy_max: u64) -> End {
    let mut config = config();
    config.heartbeat.busy_max = ms(busy_max);
    End::server(config)
}

fn receive_busy(end: &mut End, pause: u32) {
    end.receive(&busy(pause, SERVER_KEY)).unwrap();
}

/// PW-HB-019: at once, again before half has passed, and 0 at the end. `idle` is 1 s here.
#[test]
fn a_pause_is_announced_and_renewed() {
    let mut server = End::server(config());
    server.connection.send(server.now, business(100)).unwrap();
    server.connection.pause(server.now);
    server.connection.pause(server.now);
    assert!(server.connection.is_paused());
    server.run_for(ms(3_500));
    assert_eq!(pauses(&server), [0, 1_000, 2_000, 3_000].map(|when| (at(when), 2_000)));
    assert_eq!(server.sent_kinds()[..2], [Kind::BUSY, Kind::DATA], "ahead of messages");
    server.connection.resume(server.now);
    server.connection.resume(server.now);
    assert!(!server.connection.is_paused());
    server.run_for(ms(700));
    assert_eq!(pauses(&server)[4..], [(at(3_500), 0)]);
    assert_eq!(server.connection.statistics().pauses, 1);
}

/// PW-HB-027: the peer hears of it, and nothing begins anew. Who pauses or closes says nothing.
#[test]
fn a_peer_is_reassured_by_a_busy_of_0() {
    let mut server = End::server(config());
    server.run_for(ms(500));
    server.connection.reassure(server.now);
    server.run_for(ms(500));
    assert_eq!(pauses(&server), [(at(500), 0)]);
    assert_eq!(pings(&server).len(), 1, "its own silence goes on");
    assert_eq!(server.connection.statistics().pauses, 0);
    server.connection.pause(server.now);
    server.connection.reassure(server.now);
    server.run_for(ms(1));
    server.connection.close(server.now, CloseReason::NORMAL);
    server.connection.reassure(server.now);
    server.run_for(ms(1));
    assert_eq!(pauses(&server)[1..], [(at(1_000), 2_000), (at(1_001), 0)], "the second ends the pause");
}

/// Twice `idle`, and a minute at most.
#[test]
fn a_long_idle_announces_a_minute() {
    let mut patient = config();
    patient.heartbeat.idle = Duration::from_secs(600);
    let mut server = End::server(patient);
    server.connection.pause(server.now);
    server.run_for(ms(30_000));
    assert_eq!(pauses(&server), [(at(0), 60_000), (at(30_000), 60_000)]);
}

/// PW-HB-023: neither silence nor FRAME_STALL is judged, and both start anew.
#[test]
fn a_side_that_pauses_does_not_judge_its_peer() {
    let packet = data(Flags::FIRST, 4, &payload(1_000), SERVER_KEY);
    let mut server = End::server(config());
    server.receive(&packet[..500]).unwrap();
    server.connection.pause(server.now);
    server.run_for(ms(3_600_000));
    assert!(server.connection.is_open() && pings(&server).is_empty());
    server.connection.resume(server.now);
    let resumed = server.now;
    server.run_for(ms(799));
    assert!(pings(&server).is_empty(), "idle starts anew");
    server.receive(&packet[500..510]).unwrap();
    server.run_for(ms(700));
    server.receive(&packet[510..]).unwrap();
    assert_eq!(server.messages(), [&business(1_000)]);
    server.run_for(ms(5_000));
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
    assert!(server.closed_at() > resumed + ms(1_499));
}

/// PW-HB-023: a packet under way has all its time again, and no more.
#[test]
fn the_time_of_a_packet_starts_anew_after_a_pause() {
    let mut patient = config();
    patient.heartbeat.idle = ms(600_000);
    let mut server = End::server(patient);
    server.receive(&data(Flags::FIRST, 4, &payload(1_008), SERVER_KEY)[..500]).unwrap();
    server.run_for(ms(9_000));
    server.connection.pause(server.now);
    server.run_for(ms(100_000));
    server.connection.resume(server.now);
    server.run_for(ms(20_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(109_000 + 11_000), CloseReason::FRAME_STALL));
}

/// PW-HB-023: two sides that pause and have much to say do not wait for ever.
#[test]
fn a_write_stall_is_noticed_in_a_pause() {
    let mut server = End::server(config());
    server.stalled = true;
    server.connection.pause(server.now);
    server.run_for(ms(60_000));
    assert_eq!((server.closed_at(), server.closed().reason), (at(30_000), CloseReason::WRITE_STALL));
    assert!(!server.connection.is_paused());
}

/// PW-HB-024: not before the handshake is complete, nor behind CLOSE; a pause ends before CLOSE goes out.
#[test]
fn no_pause_before_the_handshake_nor_behind_close() {
    let mut early = End::new(Connection::server(Instant::ZERO, &valid(config()), seed(SERVER_KEY)), PEER_KEY);
    early.connection.pause(early.now);
    assert!(!early.connection.is_paused());
    early.receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))).unwrap();
    early.transmit();
    assert_eq!(early.sent_kinds(), [Kind::HELLO_ACK]);

    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::NORMAL);
    server.connection.pause(server.now);
    assert!(!server.connection.is_paused());
    server.transmit();
    assert_eq!(server.sent_kinds(), [Kind::CLOSE]);

    let mut server = End::server(config());
    server.connection.pause(server.now);
    server.transmit();
    server.connection.close(server.now, CloseReason::NORMAL);
    server.transmit();
    assert!(!server.connection.is_paused());
    assert_eq!(server.sent_kinds(), [Kind::BUSY, Kind::BUSY, Kind::CLOSE]);
    assert_eq!(pauses(&server)[1].1, 0);

    // While the peer closes, a side that is slow to send may pause; nothing goes behind CLOSE_ACK.
    let mut server = End::server(config());
    server.receive(&close(CloseReason::NORMAL, 0, 0, b"", SERVER_KEY)).unwrap();
    server.connection.pause(server.now);
    server.stalled = true;
    server.run_for(ms(5_000));
    assert_eq!(server.sent_kinds(), [Kind::BUSY, Kind::CLOSE_ACK]);
}

/// PW-HB-020, PW-HB-022: no PING and no verdict until the time is up; then a whole silence.
#[test]
fn a_peer_that_pauses_is_left_alone() {
    let mut server = End::server(config());
    server.run_for(ms(300));
    receive_busy(&mut server, 5_000);
    server.run_until(at(5_300));
    assert!(pings(&server).is_empty());
    server.run_for(ms(10_000));
    let first = pings(&server)[0];
    assert!(first >= at(5_300 + 800) && first <= at(5_300 + 1_000));
    assert_eq!((server.closed().reason, server.closed_at()), (CloseReason::PEER_TIMEOUT, first + ms(300)));
    assert_eq!(server.connection.statistics().peer_pauses, 1);
}

/// PW-HB-020: a later BUSY replaces the time, also with a shorter one; 0 ends it; other packets do not.
#[test]
fn a_pause_is_replaced_and_ended() {
    let mut server = End::server(config());
    receive_busy(&mut server, 5_000);
    server.run_for(ms(1_000));
    receive_busy(&mut server, 500);
    server.run_for(ms(1_299));
    assert!(pings(&server).is_empty());
    server.run_for(ms(201));
    assert!(!pings(&server).is_empty(), "idle after the shorter time");

    let mut server = End::server(config());
    receive_busy(&mut server, 50_000);
    server.run_for(ms(1_000));
    receive_busy(&mut server, 0);
    server.run_for(ms(799));
    assert!(pings(&server).is_empty());
    server.run_for(ms(202));
    assert!(!pings(&server).is_empty());

    let mut server = End::server(config());
    receive_busy(&mut server, 5_000);
    server.receive(&data(Flags::FIRST, 4, b"still talking", SERVER_KEY)).unwrap();
    server.receive(&numbered(Kind::PING, 1, SERVER_KEY)).unwrap();
    server.run_for(ms(5_799));
    assert_eq!((server.messages().len(), server.sent_kinds()), (1, vec![Kind::PONG]));
    assert!(server.connection.is_open());
}

/// PW-HB-020, PW-HB-022: probes before the pause are forgotten, and a PING that waits does not go out.
#[test]
fn a_pause_forgets_the_probes_before() {
    let mut server = End::server(config());
    server.run_for(ms(1_250));
    assert_eq!(pings(&server).len(), 3);
    receive_busy(&mut server, 1_000);
    server.run_for(ms(1_799));
    assert!(server.connection.is_open());
    assert_eq!(pings(&server).len(), 3);
    server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();

    let mut server = End::server(config());
    server.now = server.connection.poll_timeout().unwrap();
    server.pass_time();
    assert!(server.connection.has_transmit());
    receive_busy(&mut server, 1_000);
    server.transmit();
    assert!(server.sent.is_empty());
}

/// PW-HB-021: renewals do not carry a pause beyond `busy_max`; after that BUSY is no evidence until something else came.
#[test]
fn a_pause_lasts_for_busy_max_at_most() {
    let mut server = with_busy_max(3_000);
    let renew = |server: &mut End, until: u64| {
        while server.now < at(until) && server.closed.is_none() {
            receive_busy(server, 2_000);
            server.run_for(ms(100));
        }
    };
    renew(&mut server, 10_000);
    let first = pings(&server)[0];
    assert!(first >= at(3_800) && first <= at(4_000), "{first:?}");
    assert_eq!((server.closed().reason, server.closed_at()), (CloseReason::PEER_TIMEOUT, first + ms(300)));

    let ends: [(&str, Vec<u8>); 3] = [
        ("a packet", data(Flags::FIRST, 4, b"", SERVER_KEY)),
        ("an ignorable one", control(Kind(0xC0), b"", SERVER_KEY)),
        ("BUSY with 0", busy(0, SERVER_KEY)),
    ];
    for (name, packet) in ends {
        let mut server = with_busy_max(3_000);
        renew(&mut server, 3_500);
        server.receive(&packet).unwrap();
        receive_busy(&mut server, 2_000);
        server.run_for(ms(2_700));
        assert!(pings(&server).is_empty(), "{name} allows another pause");
    }
}

/// PW-HB-021: nor do pauses that run out one after the other last longer than `busy_max` in all.
#[test]
fn pauses_that_follow_each_other_last_for_busy_max_at_most() {
    let mut server = with_busy_max(3_000);
    while server.closed.is_none() && server.now < at(20_000) {
        receive_busy(&mut server, 500);
        server.run_for(ms(600));
    }
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
    assert!(server.closed_at() <= at(3_000 + 1_300), "{:?}", server.closed_at());

    let mut server = with_busy_max(3_000);
    for _ in 0..20 {
        receive_busy(&mut server, 500);
        server.run_for(ms(600));
        server.receive(&data(Flags::FIRST, 4, b"", SERVER_KEY)).unwrap();
    }
    assert!(server.closed.is_none(), "a message shows that the peer is there");
}

/// PW-HB-020: the answer to a PING that a pause came before measures the pause, not the round trip.
#[test]
fn a_pause_is_no_round_trip() {
    let mut server = with_busy_max(3_000);
    server.run_for(ms(1_000));
    assert_eq!(pings(&server).len(), 1);
    receive_busy(&mut server, 900);
    server.run_for(ms(800));
    receive_busy(&mut server, 0);
    server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
    assert_eq!(server.connection.rtt(), None);
}

/// PW-HB-021: nor are the bytes of such a BUSY, one at a time.
#[test]
fn a_busy_that_is_no_evidence_is_none_in_pieces_either() {
    let mut server = with_busy_max(1_000);
    while server.closed.is_none() && server.now < at(20_000) {
        for byte in busy(900, SERVER_KEY) {
            server.receive(&[byte]).unwrap();
            if server.now >= at(1_000) || server.now < at(10) {
                server.run_for(ms(10));
            }
        }
        server.run_for(ms(10));
    }
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
    assert!(server.closed_at() < at(3_000), "{:?}", server.closed_at());
}

/// PW-HB-021: nor are those that come together with its header.
#[test]
fn a_busy_that_is_no_evidence_is_none_where_a_part_of_it_comes_with_its_header() {
    let bytes = busy(900, SERVER_KEY);
    for (front, back) in (13..bytes.len()).map(|cut| bytes.split_at(cut)) {
        let mut server = with_busy_max(1_000);
        while server.closed.is_none() && server.now < at(20_000) {
            server.receive(front).unwrap();
            server.run_for(ms(10));
            server.receive(back).unwrap();
            server.run_for(ms(10));
        }
        assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
        assert!(server.closed_at() < at(3_000), "{:?}", server.closed_at());
    }
}

/// PW-HB-021 at the edges: no pause at all, and one that asks for exactly what it may.
#[test]
fn busy_max_at_its_edges() {
    let mut server = with_busy_max(0);
    server.run_for(ms(500));
    receive_busy(&mut server, 60_000);
    server.run_for(ms(5_000));
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
    assert!(server.closed_at() <= at(500 + 1_300));

    let mut server = with_busy_max(3_000);
    receive_busy(&mut server, 3_000);
    server.run_for(ms(3_799));
    assert!(pings(&server).is_empty());
    receive_busy(&mut server, 3_000);
    server.run_for(ms(5_000));
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT, "that was a whole pause");
}

/// The packets that end a pause of the peer come before this side has looked at its clock.
#[test]
fn a_pause_that_ended_unnoticed_has_ended() {
    let mut server = with_busy_max(1_000);
    receive_busy(&mut server, 5_000);
    server.now = at(1_500);
    receive_busy(&mut server, 5_000);
    server.run_for(ms(5_000));
    assert!(server.closed_at() <= at(1_000 + 1_300));
}

/// Both ends: a side that does not read for many bounds is not given up, and reads on where it stopped.
#[test]
fn a_side_that_pauses_is_not_given_up() {
    let patient = || {
        let mut config = config();
        config.heartbeat.busy_max = ms(600_000);
        config
    };
    let mut pair = Pair::established(patient(), patient());
    let now = pair.now;
    pair.ends[SERVER].connection.pause(now);
    pair.run_for(ms(100));
    for size in 0..10 {
        pair.send(CLIENT, business(size));
        pair.run_for(ms(10_000));
    }
    assert!(pair.ends.iter().all(|end| end.connection.is_open()));
    assert!(pair.ends[SERVER].messages().is_empty());
    let now = pair.now;
    pair.ends[SERVER].connection.resume(now);
    pair.run_for(ms(3_000));
    assert_eq!(pair.ends[SERVER].messages().len(), 10);
    assert!(pair.ends.iter().all(|end| end.connection.is_open()));
}

/// Section 10: at most `busy_max`, also where both sides pause.
#[test]
fn a_peer_that_pauses_too_long_is_given_up() {
    let short = || Config {
        heartbeat: pulsewire_protocol::HeartbeatConfig { busy_max: ms(5_000), ..config().heartbeat },
        ..config()
    };
    let mut pair = Pair::established(short(), short());
    let now = pair.now;
    pair.ends[SERVER].connection.pause(now);
    pair.run_for(ms(20_000));
    assert_eq!(pair.closed(CLIENT).reason, CloseReason::PEER_TIMEOUT);
    assert!(pair.ends[CLIENT].closed_at() <= now + ms(1 + 5_000 + 1_300));
}

/// Section 8.3: an answer that BUSY came before is no measurement, whatever that BUSY says.
#[test]
fn an_answer_behind_busy_of_0_is_not_measured() {
    let mut server = End::server(config());
    server.run_for(ms(1_000));
    assert_eq!(pings(&server).len(), 1);
    receive_busy(&mut server, 0);
    server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
    assert_eq!(server.connection.rtt(), None);
}

/// PW-HB-004, PW-HB-020: a PING that waits to be handed out is withdrawn, whether the peer is left alone from now on, or was heard of.
#[test]
fn a_ping_that_waits_is_withdrawn_where_the_peer_pauses_or_ends_its_pause() {
    let probes = |end: &mut End| {
        end.now = end.connection.poll_timeout().expect("a heartbeat");
        end.pass_time();
    };
    let asks = |end: &mut End| assert!(end.connection.ping(end.now));
    type Wait = fn(&mut End);
    let waits: [(Wait, u32); 3] = [(probes, 0), (probes, 1_000), (asks, 1_000)];
    for (wait, pause) in waits {
        let mut server = with_busy_max(60_000);
        wait(&mut server);
        receive_busy(&mut server, pause);
        server.transmit();
        assert_eq!(pings(&server), []);
    }
    // One that the application asked for is no probe, and the peer does not pause.
    let mut server = with_busy_max(60_000);
    asks(&mut server);
    receive_busy(&mut server, 0);
    server.transmit();
    assert_eq!(pings(&server).len(), 1);
}

/// PW-HB-023: what is read of it meanwhile tells how long the pause is.
#[test]
fn an_answer_that_is_read_in_a_pause_of_this_side_is_not_measured() {
    for pauses in [false, true] {
        let mut server = with_busy_max(60_000);
        assert!(server.connection.ping(server.now));
        server.run_for(ms(5));
        if pauses {
            server.connection.pause(server.now);
        }
        server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
        assert_eq!(server.connection.rtt(), (!pauses).then_some(ms(5)));
    }
}
