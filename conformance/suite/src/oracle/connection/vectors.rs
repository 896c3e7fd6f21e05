//! The oracle reads the vectors of the specification as they say.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use pulsewire_spec::vectors::{self, Expectation, FramingEnd, FramingEvent, FramingVector, HelloPacket};

use super::phase::{Farewell, Phase, judge_in_phase};
use crate::codec::registry::{kind, reason};
use crate::codec::{Close, Header};
use crate::oracle::Behaviour;
use crate::oracle::framing::{Found, Framer};
use crate::oracle::messages::Assembler;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;

fn behaviour(profile: Profile) -> Arc<Behaviour> {
    let random = || Mutex::new(Random::from_seed(1));
    Arc::new(Behaviour { profile, bug: None, keys: random(), jitter: random() })
}

#[test]
fn headers() {
    for vector in vectors::header() {
        let profile = Profile { frame_limit: vector.frame_limit, resync: false, ..Profile::calm() };
        let mut framer = Framer::new(behaviour(profile));
        framer.first_packet_received(vector.key);
        let now = Instant::now();
        framer.push(vector.header.bytes(), now);
        let result = framer.next(&|_| Ok(()), now).map_err(|fault| fault.reason);
        match &vector.expect {
            Expectation::Close(expected) => assert_eq!(result.err(), Some(expected.value), "{}", vector.name),
            Expectation::Accepted(fields) => {
                let header = Header::decode(vector.header.bytes());
                let expected =
                    Header { kind: fields.kind, flags: fields.flags, class: fields.class, length: fields.length };
                assert!(result.is_ok(), "{}", vector.name);
                assert_eq!(header, expected, "{}", vector.name);
            }
        }
    }
}

#[test]
fn hellos() {
    let behaviour = behaviour(Profile::calm());
    for vector in vectors::hello() {
        let result = behaviour.read_greeting(vector.payload.bytes()).and_then(|hello| match vector.packet {
            HelloPacket::Hello => behaviour.choose_version(&hello).map(|_| hello),
            HelloPacket::HelloAck => behaviour.check_chosen_version(&hello).map(|()| hello),
        });
        match (&vector.expect, result) {
            (Expectation::Close(expected), Err(fault)) => assert_eq!(fault.reason, expected.value, "{}", vector.name),
            (Expectation::Accepted(values), Ok(hello)) => {
                assert_eq!(values.versions, [hello.lowest_version, hello.highest_version], "{}", vector.name);
                assert_eq!(values.sync_key, hello.sync_key, "{}", vector.name);
                assert_eq!(values.frame_limit, hello.frame_limit, "{}", vector.name);
                assert_eq!(values.message_limit, hello.message_limit, "{}", vector.name);
                assert_eq!(values.ping_floor, hello.ping_floor, "{}", vector.name);
                assert_eq!(values.resync, hello.resync, "{}", vector.name);
            }
            (expected, result) => panic!("{}: {result:?} instead of {expected:?}", vector.name),
        }
    }
}

#[test]
fn streams_in_one_piece_and_byte_by_byte() {
    for vector in vectors::framing() {
        // Gaps show in what is delivered; their sizes are no business of the oracle's application.
        let events: Vec<&FramingEvent> =
            vector.events.iter().filter(|event| !matches!(event, FramingEvent::Gap { .. })).collect();
        for piece in [vector.stream.bytes().len().max(1), 1] {
            let (seen, end) = receive(vector, piece);
            let same = seen.iter().zip(&events).all(|(seen, event)| is_same(seen, event));
            assert!(same && seen.len() == events.len(), "{} in pieces of {piece}: {seen:?}", vector.name);
            let expected = match vector.end {
                FramingEnd::Open | FramingEnd::PeerClosed => None,
                FramingEnd::Closed(reason) => Some(reason.value),
            };
            assert_eq!(end, expected, "{} in pieces of {piece}", vector.name);
        }
    }
}

#[derive(Debug)]
enum Seen {
    Message(crate::peer::Message),
    Ping(u64),
    Close(Close),
}

/// What the oracle notices in the stream, and the reason for which it closes.
fn receive(vector: &FramingVector, piece: usize) -> (Vec<Seen>, Option<u16>) {
    let FramingVector { resync, frame_limit, message_limit, .. } = *vector;
    let behaviour = behaviour(Profile { resync, frame_limit, message_limit, ..Profile::calm() });
    let mut framer = Framer::new(Arc::clone(&behaviour));
    framer.first_packet_received(vector.key);
    let mut assembler = Assembler::new(Arc::clone(&behaviour));
    let (mut seen, mut peer, now) = (Vec::new(), Farewell::default(), Instant::now());
    for bytes in vector.stream.bytes().chunks(piece) {
        framer.push(bytes, now);
        loop {
            let judge = |header: &Header| {
                judge_in_phase(&Phase::Open, Role::Server, peer, &behaviour, header.kind)?;
                if header.kind == kind::DATA { assembler.judge(header) } else { Ok(()) }
            };
            match framer.next(&judge, now) {
                Ok(None) => break,
                Ok(Some(Found::Header(header))) if header.kind == kind::DATA => drop(assembler.begin(&header)),
                Ok(Some(Found::Header(_))) => {}
                Ok(Some(Found::Skipped)) => drop(assembler.skipped()),
                Ok(Some(Found::Dropped(header))) => drop(assembler.dropped(&header)),
                Ok(Some(Found::Packet(packet))) => match packet.kind {
                    kind::DATA => seen.extend(assembler.receive(packet).map(Seen::Message)),
                    kind::PING => seen.push(Seen::Ping(packet.number())),
                    kind::PONG => return (seen, Some(reason::BAD_PONG)),
                    kind::CLOSE => {
                        peer.closed = true;
                        seen.extend(Close::parse(&packet.payload).map(Seen::Close));
                    }
                    _ => {}
                },
                Err(fault) => return (seen, Some(fault.reason)),
            }
        }
    }
    (seen, None)
}

fn is_same(seen: &Seen, event: &FramingEvent) -> bool {
    match (seen, event) {
        (Seen::Message(message), FramingEvent::Message { class, encrypted, payload }) => {
            message.class == *class && message.encrypted == *encrypted && message.payload == payload.bytes()
        }
        (Seen::Ping(number), FramingEvent::Ping(expected)) => number == expected,
        (Seen::Close(close), FramingEvent::Close { reason, received, retry_after, limit, .. }) => {
            close.reason == *reason
                && close.received == *received
                && close.retry_after == *retry_after
                && close.limit() == limit.map(|limit| (limit.limit, limit.size))
        }
        (Seen::Message(_) | Seen::Ping(_) | Seen::Close(_), _) => false,
    }
}
