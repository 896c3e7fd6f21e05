//! When the heartbeat probes, and when it gives up: sections 8.2 and 8.3 of the specification.

use std::time::Duration;

use proptest::prelude::*;
use pulsewire_protocol::{CloseReason, Config, Connection, Hello, Instant, Kind, Seed, Timeouts};

use crate::pair::*;

/// When PINGs were handed out.
fn pings(end: &End) -> Vec<Instant> {
    end.sent_of(Kind::PING).iter().map(|(when, _)| *when).collect()
}

fn with_extension(extension_max: u64) -> Config {
    let mut config = config();
    config.heartbeat.extension_max = Some(ms(extension_max));
    config
}

/// A server whose first PING waits to be taken, which is now.
fn probing(config: Config) -> End {
    let mut server = End::server(config);
    server.stalled = true;
    let first = server.connection.poll_timeout().expect("a heartbeat");
    server.run_until(first);
    assert_eq!(pings(&server), [first]);
    server
}

fn pong(end: &mut End, number: u64) {
    end.receive(&numbered(Kind::PONG, number, SERVER_KEY)).expect("a number that was sent");
}

/// PW-HB-014: hundreds of bounds, nothing to say. One pair of packets per `idle` is enough for both sides, unless their PINGs
/// cross: the jitter of the two sets them 13 ms apart here.
#[test]
fn an_idle_pair_of_healthy_peers_stays_connected() {
    for latency in [0, 1, 30, 90] {
        let mut pair = Pair::established(config(), config());
        pair.latency = ms(latency);
        pair.run_for(ms(1_300 * 300));
        assert!(pair.ends.iter().all(|end| end.connection.is_open()));
        let pings: usize = pair.ends.iter().map(|end| pings(end).len()).sum();
        let answers: usize = pair.ends.iter().map(|end| end.sent_of(Kind::PONG).len()).sum();
        let most = if latency < 13 { 488 } else { 976 };
        assert!((300..=most).contains(&pings), "{pings} in 390 s at {latency} ms");
        assert!(answers.abs_diff(pings) <= 1);
    }
}

proptest! {
    /// PW-HB-006, PW-HB-012, PW-HB-013: for any jitter.
    #[test]
    fn a_silent_peer_is_given_up_in_time(
        jitter: [u8; 8], idle in 10u64..100_000, interval in 10u64..50_000, probes in 1u32..=10,
    ) {
        let mut config = config();
        config.heartbeat.idle = ms(idle);
        config.heartbeat.interval = ms(interval);
        config.heartbeat.probes = probes;
        config.heartbeat.detect_within = Some(ms(7 * 86_400_000));
        let mut bytes = [9; 12];
        bytes[4..].copy_from_slice(&jitter);
        let connection = Connection::server(Instant::ZERO, &valid(config), Seed::from_bytes(bytes));
        let mut server = End::new(connection, PEER_KEY);
        server.receive(&hello_packet(Kind::HELLO, &hello(PEER_KEY))).unwrap();
        server.run_until(Instant::ZERO + Duration::from_secs(86_400));
        prop_assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
        prop_assert_eq!(pings(&server).len(), probes as usize);
        let silence = server.closed_at() - Instant::ZERO;
        // The peer's floor of 10 ms is the least that idle can be.
        let least = (ms(idle) * 4 / 5).max(ms(10)) + ms(interval) * probes;
        prop_assert!(silence >= least && silence <= ms(idle) + ms(interval) * probes, "{silence:?}");
    }

    /// PW-HB-011, PW-HB-013: whatever the transport takes and when, the end comes within the bound, `extension_max`, and what the
    /// bytes in front of each PING take at the least rate.
    #[test]
    fn a_silent_peer_is_given_up_in_time_however_the_transport_behaves(
        extension_max in 0u64..3_000,
        steps in prop::collection::vec((0u64..150, 0usize..40), 1..200),
        rtt in prop::option::of(0u64..90),
    ) {
        let mut server = End::server(with_extension(extension_max));
        let mut last_evidence = server.now;
        if let Some(rtt) = rtt {
            let first = server.connection.poll_timeout().unwrap();
            server.run_until(first);
            server.run_for(ms(rtt));
            pong(&mut server, 1);
            last_evidence = server.now;
        }
        server.connection.send(server.now, business(2_000)).unwrap();
        server.stalled = true;
        for (wait, count) in steps {
            server.run_for(ms(wait));
            server.take(count.min(server.handed.len()));
        }
        server.run_for(ms(20_000));
        prop_assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);
        let silence = server.closed_at() - last_evidence;
        // Three PINGs, and all that was handed out lay before each at most.
        let transfers = 3 * (2_000 + 12 + 3 * 20) * 1_000 / u64::from(Timeouts::default().assembly_rate) + 3;
        prop_assert!(silence >= ms(1_100) && silence <= ms(1_300 + extension_max + transfers), "{silence:?}");
    }
}

/// PW-HB-003, PW-HB-006: steady sending neither delays nor replaces a PING, nor keeps a dead peer alive.
#[test]
fn own_sending_changes_nothing() {
    let mut silent = End::server(config());
    silent.run_for(ms(5_000));
    let mut talking = End::server(config());
    while talking.closed.is_none() {
        talking.connection.send(talking.now, business(100)).unwrap();
        talking.run_for(ms(7));
    }
    assert_eq!(pings(&talking), pings(&silent));
    assert_eq!(talking.closed_at(), silent.closed_at());
    assert_eq!(talking.closed().reason, CloseReason::PEER_TIMEOUT);
}

/// PW-HB-006: the first probes of many silences are spread evenly over the last fifth of `idle`, and follow no pattern.
#[test]
fn the_jitter_is_even() {
    const SILENCES: u64 = 4_000;
    let mut server = End::server(config());
    // How often one share of the fifth, in eighths, follows another one.
    let mut followed = [[0u64; 8]; 8];
    let mut before = 0;
    for number in 1..=SILENCES {
        let heard = server.now;
        let first = server.connection.poll_timeout().expect("a heartbeat");
        server.run_until(first);
        pong(&mut server, number);
        let wait = first - heard;
        assert!(wait >= ms(800) && wait <= ms(1_000), "{wait:?}");
        let share = (((wait - ms(800)).as_nanos() * 8 / ms(200).as_nanos()) as usize).min(7);
        followed[before][share] += 1;
        before = share;
    }
    let expected = SILENCES / 64;
    let uneven = followed.as_flattened().iter().find(|count| !(expected / 2..=expected * 2).contains(*count));
    assert_eq!(uneven, None, "{followed:?}");
}

/// PW-HB-004, PW-HB-009: an answer to an earlier PING is an answer, and ends the silence.
#[test]
fn a_late_answer_is_an_answer() {
    let mut server = End::server(config());
    server.run_for(ms(1_250));
    assert_eq!(pings(&server).len(), 3);
    pong(&mut server, 1);
    let heard = server.now;
    server.run_for(ms(799));
    assert_eq!(pings(&server).len(), 3, "idle starts anew");
    server.run_for(ms(2_000));
    assert_eq!(pings(&server).len(), 6, "and the count of misses too");
    assert!(server.closed_at() - heard >= ms(1_100));
}

/// PW-HB-004: two of three unanswered, again and again, are never three.
#[test]
fn misses_that_are_not_consecutive_do_not_add_up() {
    let mut server = End::server(config());
    for round in 1..=100 {
        // The silence before the first one has jitter.
        while pings(&server).len() < round * 3 {
            server.run_for(ms(10));
        }
        pong(&mut server, round as u64 * 3);
    }
    assert!(server.connection.is_open());
}

/// PW-HB-010: the wait for the answer starts when the transport took all of the PING.
#[test]
fn the_wait_starts_when_the_transport_took_the_ping() {
    let mut server = probing(with_extension(1_000));
    let queued = server.now;
    server.run_for(ms(70));
    server.take(19);
    server.run_for(ms(20));
    server.take(1);
    let taken = server.now;
    assert_eq!(server.connection.poll_timeout(), Some(taken + ms(100)));
    assert_eq!(taken - queued, ms(90));
    server.stalled = false;
    server.run_for(ms(5_000));
    assert_eq!(server.closed_at(), taken + ms(300));
    assert!(server.closed().detail.contains("90 ms for slow writes"), "{}", server.closed().detail);
}

/// PW-HB-011: no byte taken within a wait is a miss; no second PING is queued behind the first.
#[test]
fn a_ping_that_the_transport_does_not_take_counts_as_unanswered() {
    let mut server = probing(with_extension(1_000));
    let queued = server.now;
    server.run_for(ms(5_000));
    assert_eq!((server.closed_at(), server.closed().reason), (queued + ms(300), CloseReason::PEER_TIMEOUT));
    assert_eq!(pings(&server).len(), 1);
}

/// PW-HB-011, PW-HB-013: progress starts the wait again, as far as `extension_max` goes, and what the bytes in front of the PING
/// take at the least rate; not a millisecond further.
#[test]
fn a_slow_write_extends_the_silence_up_to_the_maximum() {
    for extension_max in [0, 30, 100, 250, 1_000] {
        let mut config = with_extension(extension_max);
        config.timeouts.assembly_rate = 150_000;
        let mut server = End::server(config);
        server.stalled = true;
        // Lies before the PING, and trickles out.
        server.connection.send(server.now, business(60_000)).unwrap();
        server.hand_out();
        let queued = server.connection.poll_timeout().unwrap();
        server.run_until(queued);
        while server.closed.is_none() {
            server.run_for(ms(10));
            server.take(10);
        }
        assert_eq!(pings(&server), [queued]);
        let in_front = 60_000 + 12 + 20;
        assert_eq!(
            server.closed_at(),
            queued + ms(300 + extension_max) + Duration::from_nanos(in_front * 1_000_000 / 150)
        );
    }
}

/// PW-HB-016: more than `interval` late gives one more PING, once per silence.
#[test]
fn a_late_handle_timeout_gives_one_more_probe_once() {
    let late = |server: &mut End, by: Duration| {
        server.now = server.connection.poll_timeout().unwrap() + by;
        server.pass_time();
        server.transmit();
    };
    let mut server = End::server(config());
    late(&mut server, Duration::ZERO);
    late(&mut server, ms(101));
    assert_eq!(pings(&server).len(), 2, "the first miss is not counted");
    late(&mut server, ms(101));
    late(&mut server, ms(101));
    assert_eq!(pings(&server).len(), 4);
    assert!(server.closed.is_none());
    late(&mut server, ms(101));
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT);

    let mut server = End::server(config());
    for _ in 0..4 {
        assert!(server.closed.is_none());
        late(&mut server, ms(100));
    }
    assert_eq!((server.closed().reason, pings(&server).len()), (CloseReason::PEER_TIMEOUT, 3), "100 ms is not late");

    // The grace is spent per silence, not per connection.
    let mut server = End::server(config());
    for round in 0..10u64 {
        late(&mut server, Duration::ZERO);
        late(&mut server, ms(101));
        late(&mut server, Duration::ZERO);
        late(&mut server, Duration::ZERO);
        pong(&mut server, (round + 1) * 4);
    }
    assert!(server.connection.is_open());
}

/// PW-HB-016: a machine that slept for hours asks before it judges, wherever it fell asleep.
#[test]
fn a_suspended_machine_does_not_give_up_a_healthy_peer() {
    for awake in [500, 1_000, 1_150, 1_250] {
        let mut server = End::server(config());
        server.run_for(ms(awake));
        let before = pings(&server).len();
        server.now = server.now + Duration::from_secs(8 * 3_600);
        server.pass_time();
        server.transmit();
        assert!(server.closed.is_none());
        assert_eq!(pings(&server).len(), before + 1);
        pong(&mut server, before as u64 + 1);
        server.run_for(ms(799));
        assert!(server.connection.is_open());
    }
}

/// Section 8.3: `srtt + 4 * rttvar`, within `interval` to `4 * interval`, charged to `extension_max` from the first wait on.
#[test]
fn the_round_trip_raises_the_wait() {
    for (rtt, extension_max, waits) in [
        (10, 1_000, [100, 100, 100]),
        (80, 1_000, [240, 240, 240]),
        (80, 200, [240, 160, 100]),
        (80, 0, [100, 100, 100]),
    ] {
        let mut server = End::server(with_extension(extension_max));
        let first = server.connection.poll_timeout().unwrap();
        server.run_until(first);
        server.run_for(ms(rtt));
        pong(&mut server, 1);
        assert_eq!(server.connection.rtt(), Some(ms(rtt)));
        server.sent.clear();
        server.run_for(ms(5_000));
        let moments = [&pings(&server)[..], &[server.closed_at()]].concat();
        let got: Vec<Duration> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(got, waits.map(ms), "a round trip of {rtt} ms, at most {extension_max} ms more");
    }
}

/// A round trip longer than `interval` is measured too: the last PING's answer tells it.
#[test]
fn a_round_trip_above_the_interval_is_measured() {
    let mut pair = Pair::established(with_extension(10_000), with_extension(10_000));
    pair.latency = ms(130);
    pair.run_for(ms(60_000));
    assert!(pair.ends.iter().all(|end| end.connection.is_open()));
    assert!(pair.ends.iter().any(|end| end.connection.rtt().is_some_and(|rtt| rtt >= ms(259) && rtt <= ms(261))));
}

/// PW-HB-005: the peer's floor is the least that `idle`, jitter included, and `interval` can be.
#[test]
fn the_peers_floor_raises_both_waits() {
    let mut server = End::greeted(config(), &Hello { ping_floor: ms(990), ..hello(PEER_KEY) }, SERVER_KEY);
    server.run_for(ms(10_000));
    let first = pings(&server)[0];
    assert!(first >= at(990) && first <= at(1_000));
    assert_eq!(pings(&server), [first, first + ms(990), first + ms(1_980)]);
    assert_eq!(server.closed_at(), first + ms(2_970));

    let mut patient = config();
    patient.heartbeat.detect_within = Some(ms(240_000));
    let mut server = End::greeted(patient, &Hello { ping_floor: ms(60_000), ..hello(PEER_KEY) }, SERVER_KEY);
    server.run_for(ms(600_000));
    assert_eq!(pings(&server), [at(60_000), at(120_000), at(180_000)]);
    assert_eq!(server.closed_at(), at(240_000));
}

/// The end of time: nothing overflows, nothing loops.
#[test]
fn extreme_instants_and_durations_do_not_overflow() {
    let mut config = Config::default();
    config.heartbeat.idle = Duration::from_secs(86_400);
    config.heartbeat.interval = Duration::from_secs(3_600);
    config.heartbeat.probes = 10;
    config.heartbeat.extension_max = Some(Duration::from_secs(86_400));
    config.timeouts.assembly_base = Duration::from_secs(3_600);
    config.timeouts.assembly_rate = 1;
    for start in [Instant::ZERO, Instant::from_nanos(u64::MAX - 1_000_000_000), Instant::MAX] {
        let connection = Connection::server(start, &valid(config.clone()), seed(SERVER_KEY));
        let mut server = End::new(connection, PEER_KEY);
        server.now = start;
        server.receive(&hello_packet(Kind::HELLO, &Hello { ping_floor: ms(60_000), ..hello(PEER_KEY) })).unwrap();
        server.transmit();
        for round in 1..1_000u64 {
            let Some(deadline) = server.connection.poll_timeout() else { break };
            assert!(deadline >= server.now);
            server.now = server.now.max(deadline);
            server.connection.handle_timeout(server.now);
            server.poll_events();
            server.transmit();
            let number = u64::MAX - 1_000 + round;
            if round.is_multiple_of(20) && server.connection.is_open() {
                server.receive(&numbered(Kind::PING, number, SERVER_KEY)).unwrap();
            }
        }
    }
}

/// PW-HB-026, PW-HB-016: a PING that is held for the floor goes out, though this side looks only when its wait is over.
#[test]
fn a_ping_that_is_held_goes_out_when_its_wait_is_noticed_late() {
    let mut server = End::server(config());
    server.now = server.connection.poll_timeout().expect("a heartbeat");
    server.pass_time();
    // Handed out so late that the next one is due at once.
    server.now = server.now + ms(60_000);
    server.transmit();
    server.pass_time();
    server.transmit();
    assert_eq!(pings(&server), [server.now], "the second one keeps its distance");
    server.now = server.now + ms(60_000);
    server.pass_time();
    server.transmit();
    assert_eq!(pings(&server).len(), 2);
}

/// PW-HB-010, PW-TCP-005: where the transport tells what was acknowledged, it is asked soon after a PING went out, then ever more
/// seldom, and after each wait anew; and for its answer alone once it is acknowledged.
#[test]
fn the_acknowledgement_of_a_ping_is_asked_for_soon_and_then_more_seldom() {
    let mut server = End::server(with_extension(10_000));
    let greeting = server.connection.statistics().bytes_taken;
    server.connection.acknowledged(server.now, greeting);
    let queued = server.connection.poll_timeout().expect("a heartbeat");
    server.run_until(queued);
    assert_eq!(pings(&server), [queued]);
    let mut asked = Vec::new();
    while server.now < queued + ms(110) {
        server.now = server.connection.poll_timeout().expect("it waits");
        server.connection.acknowledged(server.now, greeting);
        server.connection.handle_timeout(server.now);
        asked.push((server.now - queued).as_micros());
    }
    // Sixteenths of `interval`, and those of the next wait.
    assert_eq!(asked, [6_250, 12_500, 25_000, 50_000, 100_000, 106_250, 112_500]);
    server.connection.acknowledged(server.now, greeting + 20);
    assert_eq!(server.connection.poll_timeout(), Some(server.now + ms(100)));
}
