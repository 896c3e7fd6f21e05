//! What an application may ask of a connection beside messages: to be told of room and of what is with the transport, a PING now,
//! the peer's limits, and other numbers.

use pulsewire_protocol::{
    Class, CloseReason, Config, ConfigError, Connection, Event, Instant, Kind, Message, SendRefused,
};

use crate::pair::*;

fn writable(end: &End) -> Vec<Class> {
    let class = |event: &Event<'_>| if let Event::Writable { class } = event { Some(*class) } else { None };
    end.events.iter().filter_map(class).collect()
}

fn taken(end: &End) -> Vec<(Class, u64)> {
    let message = |event: &Event<'_>| match event {
        Event::Taken { class, ordinal } => Some((*class, ordinal.get())),
        _ => None,
    };
    end.events.iter().filter_map(message).collect()
}

/// Queues messages of 1,000 bytes until the class is full, and gives how many it took.
fn fill(end: &mut End, class: Class) -> usize {
    let send = |end: &mut End| end.connection.send(end.now, Message::new(class, payload(1_000)));
    let count = std::iter::from_fn(|| send(end).ok()).count();
    assert_eq!(send(end).unwrap_err().reason, SendRefused::Full);
    count
}

#[test]
fn who_found_a_class_full_is_told_when_half_of_it_is_free() {
    let mut config = config();
    config.limits.send_queue = 10_000;
    let mut server = End::server(config);
    let [first, second] = [Class(1), Class(2)];
    assert!(fill(&mut server, first) >= 9);
    server.connection.send(server.now, Message::new(second, payload(9_000))).unwrap();
    server.hand_out_up_to(3_000);
    server.poll_events();
    assert_eq!(writable(&server), [], "too much waits still");
    while server.hand_out_up_to(3_000) {}
    server.poll_events();
    assert_eq!(writable(&server), [first], "once, and only the class that was full");
    fill(&mut server, first);
    fill(&mut server, second);
    server.transmit();
    assert_eq!(writable(&server), [first, first, second]);
}

#[test]
fn a_watched_message_is_told_when_the_transport_took_it() {
    let mut server = End::server(config());
    let class = Class::BUSINESS;
    let [first, large, last] =
        [100, 200_000, 100].map(|size| server.connection.send(server.now, business(size)).unwrap());
    for ordinal in [last, first] {
        server.connection.notify_when_taken(class, ordinal);
    }
    server.hand_out();
    server.poll_events();
    assert_eq!(taken(&server), [], "handed out is not taken");
    server.connection.notify_when_taken(class, large);
    let count = server.handed.len();
    server.take(count - 1);
    assert_eq!(taken(&server), [(class, 1)], "all but the last byte of the others");
    server.take(1);
    assert_eq!(taken(&server)[1..], [(class, 3), (class, 2)]);
    // One that is with the transport already, and one that is yet to be sent.
    server.connection.notify_when_taken(class, first);
    server.connection.notify_when_taken(class, 4.try_into().unwrap());
    server.poll_events();
    assert_eq!(taken(&server)[3..], [(class, 1)]);
    server.connection.send(server.now, business(1)).unwrap();
    server.transmit();
    assert_eq!(taken(&server)[4..], [(class, 4)]);
}

fn pings(end: &End) -> Vec<Instant> {
    end.sent_of(Kind::PING).iter().map(|(when, _)| *when).collect()
}

/// A connection on which messages come all the time has a round trip too.
#[test]
fn a_ping_may_be_asked_for() {
    let mut server = End::server(config());
    assert!(server.connection.ping(server.now));
    server.transmit();
    server.now = server.now + ms(9);
    assert!(!server.connection.ping(server.now), "the floor of the peer is 10 ms");
    server.now = server.now + ms(21);
    server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
    assert_eq!(server.connection.rtt(), Some(ms(30)));
    assert!(server.connection.ping(server.now));
    server.transmit();
    assert_eq!(pings(&server), [at(0), at(30)]);
}

/// Section 8.5: one that waits when a silence asks for a PING is that PING; behind one that went out, the floor is kept (PW-HB-026).
#[test]
fn a_ping_that_was_asked_for_and_that_of_a_silence_get_along() {
    let mut server = End::server(config());
    let due = server.connection.poll_timeout().unwrap();
    assert!(server.connection.ping(server.now));
    server.now = due;
    server.pass_time();
    server.transmit();
    assert_eq!(pings(&server), [due]);

    let mut server = End::server(config());
    let due = server.connection.poll_timeout().unwrap();
    server.now = Instant::ZERO + (due - Instant::ZERO - ms(4));
    let asked = server.now;
    assert!(server.connection.ping(asked));
    server.run_until(due + ms(9));
    assert_eq!(pings(&server), [asked, asked + ms(10)]);
}

/// PW-HB-025, PW-HB-020, PW-HB-023: the limits hold for it as for any PING.
#[test]
fn a_ping_that_may_not_go_out_is_refused() {
    let mut server = End::server(config());
    for _ in 0..14 {
        assert!(server.connection.ping(server.now));
        server.transmit();
        server.now = server.now + ms(10);
    }
    assert!(!server.connection.ping(server.now), "14 are unanswered");
    server.receive(&numbered(Kind::PONG, 14, SERVER_KEY)).unwrap();
    server.receive(&busy(1_000, SERVER_KEY)).unwrap();
    assert!(!server.connection.ping(server.now), "the peer pauses");
    assert_eq!(server.connection.peer_pauses_until(), Some(server.now + ms(1_000)));
    server.receive(&busy(0, SERVER_KEY)).unwrap();
    assert_eq!(server.connection.peer_pauses_until(), None);
    server.connection.pause(server.now);
    assert!(!server.connection.ping(server.now), "this side pauses");
    server.connection.resume(server.now);
    assert!(server.connection.ping(server.now));
    server.connection.abort(server.now);
    assert!(!server.connection.ping(server.now));
    let fresh = &mut Connection::server(at(0), &valid(config()), seed(1));
    assert!(!fresh.ping(at(0)));
}

#[test]
fn the_peers_limits_are_known_after_the_handshake() {
    let fresh = Connection::client(at(0), &valid(config()), seed(1));
    assert_eq!(fresh.peer_limits(), None);
    let limits = End::server(config()).connection.peer_limits().unwrap();
    assert_eq!((limits.frame, limits.message, limits.ping_floor, limits.resync), (65_536, 16 << 20, ms(10), false));
}

fn changed(change: impl FnOnce(&mut Config)) -> pulsewire_protocol::ValidConfig {
    let mut config = config();
    change(&mut config);
    valid(config)
}

#[test]
fn timers_and_queues_change_while_the_connection_lasts() {
    let mut server = End::server(config());
    server.run_for(ms(500));
    let patient = changed(|config| {
        config.heartbeat.idle = ms(5_000);
        config.heartbeat.probes = 1;
        config.limits.send_queue = 2_000;
        config.limits.frame_sent = 512;
    });
    server.connection.reconfigure(server.now, &patient).unwrap();
    server.run_until(at(3_999));
    assert_eq!(pings(&server), []);
    server.connection.send(server.now, business(1_500)).unwrap();
    assert_eq!(server.connection.send(server.now, business(1_500)).unwrap_err().reason, SendRefused::Full);
    server.run_until(at(5_000));
    let frames: Vec<_> = server.sent.iter().filter(|(_, header, _)| header.kind == Kind::DATA).collect();
    assert!(frames.len() == 3 && frames.iter().all(|(_, header, _)| header.length <= 512));
    assert_eq!(pings(&server).len(), 1);
    server.run_until(at(6_000));
    assert_eq!(server.closed().reason, CloseReason::PEER_TIMEOUT, "after one probe");
}

#[test]
fn a_longer_queue_makes_room() {
    let mut server = End::server((*changed(|config| config.limits.send_queue = 10_000)).clone());
    fill(&mut server, Class(1));
    let long = changed(|config| config.limits.send_queue = 100_000);
    server.connection.reconfigure(server.now, &long).unwrap();
    server.poll_events();
    assert_eq!(writable(&server), [Class(1)]);
}

#[test]
fn what_the_peer_was_told_does_not_change() {
    let mut server = End::server(config());
    let refused = [
        ("limits.frame", changed(|config| config.limits.frame = 1_000)),
        ("limits.message", changed(|config| config.limits.message += 1)),
        ("heartbeat.ping_floor", changed(|config| config.heartbeat.ping_floor = ms(11))),
        ("damage", changed(|config| config.damage = Default::default())),
        ("token", changed(|config| config.token = Some(vec![1].into()))),
    ];
    for (name, config) in refused {
        assert_eq!(server.connection.reconfigure(server.now, &config), Err(ConfigError::Announced { name }));
    }
    let short = changed(|config| {
        config.heartbeat.interval = ms(10);
        config.heartbeat.idle = ms(10);
        config.heartbeat.detect_within = Some(ms(40));
    });
    let mut slow =
        End::greeted(config(), &pulsewire_protocol::Hello { ping_floor: ms(50), ..hello(PEER_KEY) }, SERVER_KEY);
    let error = slow.connection.reconfigure(slow.now, &short).unwrap_err();
    assert_eq!(error, ConfigError::DetectWithin { bound_ms: 200, limit_ms: 40 });
}

/// A fault needs no answer: it does not wait for the one to a CLOSE that was said before.
#[test]
fn a_fault_ends_a_connection_that_closes_already() {
    let fault = CloseReason::BAD_FRAGMENT;
    let mut closing = End::server(config());
    closing.connection.close(closing.now, CloseReason::NORMAL);
    closing.transmit();
    closing.connection.close(closing.now, fault);
    closing.transmit();
    assert_eq!((closing.closed().reason, closing.sent_kinds()), (fault, vec![Kind::CLOSE]));
    let mut waiting = End::server(config());
    waiting.connection.send(waiting.now, business(100)).unwrap();
    waiting.connection.close(waiting.now, CloseReason::NORMAL);
    waiting.connection.close(waiting.now, fault);
    waiting.transmit();
    let (_, said) = waiting.sent_of(Kind::CLOSE)[0];
    assert_eq!(close_fields(said).0, fault);
    assert_eq!(waiting.closed().unsent.len(), 1);
    let mut asked = End::server(config());
    asked.receive(&close(CloseReason::NORMAL, 0, 0, &[], SERVER_KEY)).unwrap();
    asked.connection.close(asked.now, fault);
    asked.poll_events();
    assert_eq!(asked.closed().reason, fault);
}
