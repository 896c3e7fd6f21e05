//! What the application learns about a silent peer: suspect, recovered, and the verdict (PW-HB-018, PW-HB-013).

use pulsewire_protocol::{CloseReason, Config, Event, Flags, Kind};

use crate::pair::*;

fn with_extension(extension_max: u64) -> Config {
    let mut config = config();
    config.heartbeat.extension_max = Some(ms(extension_max));
    config
}

/// PW-HB-018: once per silence, when the first probe stays unanswered for its wait; and once when evidence comes.
#[test]
fn a_peer_is_suspect_after_the_first_wait_and_recovers_with_evidence() {
    let mut server = End::server(config());
    let first = server.connection.poll_timeout().unwrap();
    let silence = first + ms(100) - at(0);
    server.run_until(first);
    server.events.clear();
    server.run_until(first + ms(100));
    let [Event::Suspect(suspect)] = server.events[..] else { panic!("{:?}", server.events) };
    assert_eq!((suspect.silent_for, suspect.unanswered), (silence, 1));
    server.events.clear();
    server.run_for(ms(150));
    assert!(server.events.is_empty(), "once is enough");
    server.receive(&data(Flags::FIRST, 4, b"here", SERVER_KEY)).unwrap();
    let Some(Event::Recovered(recovered)) = server.events.first() else { panic!("{:?}", server.events) };
    assert_eq!((recovered.silent_for, recovered.unanswered), (silence + ms(150), 2));
    // The next silence is another one.
    server.events.clear();
    server.run_for(ms(1_200));
    assert!(matches!(server.events[..], [Event::Suspect(_)]));
}

/// PW-HB-018: an answer in time is no news; nor is a silence without probes.
#[test]
fn a_peer_that_answers_is_never_suspect() {
    let mut pair = Pair::established(config(), config());
    pair.run_for(ms(60_000));
    for end in &pair.ends {
        assert!(end.events.iter().all(|event| matches!(event, Event::Established(_))), "{:?}", end.events);
    }
}

/// PW-HB-018, PW-HB-002: part of a payload is evidence, and BUSY is.
#[test]
fn any_evidence_recovers() {
    for bytes in [&data(Flags::FIRST, 4, b"begun", SERVER_KEY)[..14], &busy(1_000, SERVER_KEY), &busy(0, SERVER_KEY)] {
        let mut server = End::server(config());
        server.run_for(ms(1_150));
        assert!(matches!(server.events[..], [Event::Suspect(_)]));
        server.receive(bytes).unwrap();
        assert!(matches!(server.events[..], [Event::Suspect(_), Event::Recovered(_)]));
    }
    // What this side does is none: it pauses, and the peer is still suspect until it is heard of.
    let mut server = End::server(config());
    server.run_for(ms(1_150));
    server.connection.pause(server.now);
    server.run_for(ms(5_000));
    server.connection.resume(server.now);
    server.run_for(ms(10));
    assert!(matches!(server.events[..], [Event::Suspect(_)]));
    server.receive(&data(Flags::FIRST, 4, b"", SERVER_KEY)).unwrap();
    assert!(matches!(server.events[..], [Event::Suspect(_), Event::Recovered(_), Event::Message(_)]));
}

/// An application that polls late is told all of it, in order.
#[test]
fn news_that_nobody_fetched_waits() {
    let mut server = End::server(config());
    let mut now = server.connection.poll_timeout().unwrap();
    server.connection.handle_timeout(now);
    for _ in 0..2 {
        now = server.connection.poll_timeout().unwrap();
        server.connection.handle_timeout(now);
    }
    server.now = now;
    server.receive(&data(Flags::FIRST, 4, b"", SERVER_KEY)).unwrap();
    assert!(
        matches!(server.events[..], [Event::Suspect(_), Event::Recovered(_), Event::Message(_)]),
        "{:?}",
        server.events
    );
}

/// PW-HB-013: the verdict of a peer that vanished: every number, and the sentence.
#[test]
fn the_verdict_says_what_was_seen() {
    let mut server = End::server(config());
    server.run_for(ms(500));
    server.receive(&data(Flags::FIRST, 4, b"last", SERVER_KEY)).unwrap();
    server.connection.send(server.now, business(88)).unwrap();
    server.run_for(ms(10_000));
    let (silence, closed) = (server.closed_at() - at(500), server.closed());
    let verdict = closed.verdict.as_ref().expect("a verdict");
    assert_eq!((verdict.silent_for, verdict.last_byte_in), (silence, silence));
    assert_eq!((verdict.unanswered, verdict.bound), (3, ms(1_300)));
    assert_eq!((verdict.last_byte_out, verdict.unsent), (Some(ms(100)), 0), "the third PING");
    assert_eq!((verdict.for_round_trips, verdict.for_slow_writes, verdict.for_own_stalls), Default::default());
    assert_eq!(verdict.rtt, None);
    assert_eq!(closed.detail, verdict.to_string());
    let silent = silence.as_millis();
    assert_eq!(
        closed.detail,
        format!(
            "silent for {silent} ms; 3 probes unanswered; allowed 1300 ms; last byte in {silent} ms ago, out 100 ms ago; \
             0 bytes wait; round trip unknown"
        )
    );
}

/// PW-HB-010, PW-HB-011, PW-HB-016, section 8.3: each extension is told apart.
#[test]
fn the_verdict_itemises_the_extensions() {
    // A round trip of 80 ms makes each wait 140 ms longer.
    let mut server = End::server(with_extension(1_000));
    server.run_until(server.connection.poll_timeout().unwrap());
    server.run_for(ms(80));
    server.receive(&numbered(Kind::PONG, 1, SERVER_KEY)).unwrap();
    server.run_for(ms(10_000));
    let verdict = server.closed().verdict.as_ref().unwrap();
    assert_eq!((verdict.for_round_trips, verdict.rtt), (ms(420), Some(ms(80))));
    assert_eq!((verdict.for_slow_writes, verdict.for_own_stalls), (ms(0), ms(0)));

    // The transport takes the first PING after 70 ms; nothing after that, though a message waits.
    let mut server = End::server(with_extension(1_000));
    server.stalled = true;
    server.run_until(server.connection.poll_timeout().unwrap());
    server.run_for(ms(70));
    server.take(20);
    server.connection.send(server.now, business(88)).unwrap();
    server.run_for(ms(10_000));
    let verdict = server.closed().verdict.as_ref().unwrap();
    assert_eq!((verdict.for_slow_writes, verdict.for_round_trips), (ms(70), ms(0)));
    assert_eq!((verdict.unsent, verdict.last_byte_out), (120, Some(ms(300))));
    assert!(server.closed().detail.contains("1300 ms + 70 ms for slow writes"), "{}", server.closed().detail);

    // This side is 250 ms late, which gives one more wait.
    let mut server = End::server(with_extension(1_000));
    server.run_until(server.connection.poll_timeout().unwrap());
    server.now = server.connection.poll_timeout().unwrap() + ms(250);
    server.pass_time();
    server.run_for(ms(10_000));
    let verdict = server.closed().verdict.as_ref().unwrap();
    assert_eq!(verdict.for_own_stalls, ms(350));
}

/// Skipped bytes are no evidence, but the verdict tells that something came.
#[test]
fn the_verdict_tells_that_bytes_came_which_were_no_evidence() {
    let mut resynchronising = config();
    resynchronising.damage = pulsewire_protocol::Damage::Resynchronise;
    let mut server = End::server(resynchronising);
    server.run_for(ms(700));
    server.receive(&[0x55; 100]).unwrap();
    server.run_for(ms(10_000));
    let verdict = server.closed().verdict.as_ref().unwrap();
    assert_eq!(verdict.silent_for, server.closed_at() - at(0));
    assert_eq!(verdict.last_byte_in, server.closed_at() - at(700));
}

/// The beginning of a packet that waits in the driver's buffer came once, however often it is offered.
#[test]
fn bytes_that_wait_did_not_come_again() {
    let whole = data(Flags::FIRST, 4, &[7; 50], SERVER_KEY);
    for count in [1, 11, 12, 40] {
        let mut server = End::server(config());
        server.run_for(ms(100));
        let mut rest = &whole[..count];
        assert_eq!(server.connection.receive(server.now, &mut rest), Ok(None));
        assert_eq!(rest.len(), count);
        while !server.connection.is_over() {
            server.now = server.connection.poll_timeout().unwrap();
            assert_eq!(server.connection.receive(server.now, &mut &whole[..count]), Ok(None));
            server.pass_time();
        }
        if server.closed().reason == CloseReason::PEER_TIMEOUT {
            let verdict = server.closed().verdict.as_ref().unwrap();
            assert_eq!(verdict.last_byte_in, server.closed_at() - at(100), "{count} bytes");
        }
    }
}

/// Other ends have none.
#[test]
fn only_a_peer_timeout_has_a_verdict() {
    let mut server = End::server(config());
    server.connection.close(server.now, CloseReason::PEER_TIMEOUT);
    server.poll_events();
    assert_eq!(server.closed().verdict, None);
}
