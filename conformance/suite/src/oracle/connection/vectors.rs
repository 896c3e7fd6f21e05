//! The oracle reads the vectors of the specification as they say.

use std::sync::Arc;
use std::time::Duration;

use pulsewire_spec::vectors::{self, Expectation, FramingEnd, FramingEvent, FramingVector, HelloPacket};

use super::Connection;
use super::phase::Phase;
use super::pipe::Pipe;
use crate::clock;
use crate::codec::registry::kind;
use crate::codec::{Header, Hello, Packet, encode_items};
use crate::oracle::Behaviour;
use crate::oracle::framing::{Found, Framer};
use crate::oracle::table::Table;
use crate::peer::Message;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::subject::{Command, Happening, Origin, Reply};

pub(super) fn behaviour(profile: Profile) -> Arc<Behaviour> {
    Arc::new(Behaviour::new(profile, None, 1, Random::from_seed(1), Random::from_seed(1)))
}

#[test]
fn headers() {
    for vector in vectors::header() {
        let profile = Profile { frame_limit: vector.frame_limit, resync: false, ..Profile::calm() };
        let mut framer = Framer::new(behaviour(profile));
        framer.first_packet_received(vector.key);
        let now = clock::now();
        framer.push(vector.header.bytes(), now);
        let next = |framer: &mut Framer| framer.next(&|_| Ok(()), now).map_err(|fault| fault.reason);
        let mut result = next(&mut framer);
        if matches!(result, Ok(Some(Found::Verified(_)))) {
            result = next(&mut framer);
        }
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
    for vector in vectors::framing().iter().chain(vectors::control()) {
        for piece in [vector.stream.bytes().len().max(1), 1] {
            let place = format!("{} in pieces of {piece}", vector.name);
            let (connection, sent) = receive(vector, piece);
            let messages = vector.events.iter().filter_map(|event| match event {
                FramingEvent::Message { class, encrypted, payload } => {
                    Some(message_word(*class, *encrypted, payload.bytes()))
                }
                _ => None,
            });
            assert_eq!(kept_words(&connection), messages.collect::<Vec<_>>(), "{place}: messages");
            assert_eq!(told(&connection), expected(vector), "{place}: events");
            let mut refused = refused(vector);
            if vector.end != FramingEnd::Open {
                // What still waits at the end is dropped.
                refused.truncate(sent.len());
            }
            assert_eq!(sent, refused, "{place}: REJECT");
        }
    }
}

/// A server that gets the stream, and class, ordinal and reason of each REJECT that it sends.
fn receive(vector: &FramingVector, piece: usize) -> (Connection, Vec<(u8, u64, u16)>) {
    let FramingVector { resync, frame_limit, message_limit, .. } = *vector;
    let quiet = Duration::from_secs(3_600);
    let profile = Profile { resync, frame_limit, message_limit, idle: quiet, interval: quiet, ..Profile::calm() };
    let behaviour = behaviour(Profile { probes: 10, ..profile });
    let (mut now, pipe) = (clock::now(), Pipe::default());
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let peer = Hello { sync_key: 7, frame_limit: 65_536, message_limit: 65_536, ..behaviour.greeting() };
    let greeting = Hello { sync_key: vector.key, ..peer.clone() };
    let link = Box::new(pipe.clone());
    let mut connection = Connection::new(link, Role::Server, greeting, behaviour, table, now);
    connection.kept = Some(Vec::new());
    connection.receive(&Packet::control(kind::HELLO, encode_items(&peer.to_items())).encode(0), now);
    for _ in 0..vector.messages_sent {
        connection.outgoing.push_message(Message { class: 2, encrypted: false, payload: vec![0] });
    }
    for _ in 0..vector.pings_sent {
        connection.send(now);
        now += quiet;
        connection.check_deadlines(now);
    }
    connection.send(now);
    pipe.with(|taken| taken.bytes.clear());
    for bytes in vector.stream.bytes().chunks(piece) {
        connection.receive(bytes, now);
        // CLOSE is not answered before all has come.
        if !matches!(connection.phase, Phase::Acknowledging { .. }) {
            connection.send(now);
        }
    }
    connection.send(now);
    connection.check_deadlines(now + quiet);
    let rejects = pipe.with(|taken| rejects(&taken.bytes));
    (connection, rejects)
}

fn rejects(mut stream: &[u8]) -> Vec<(u8, u64, u16)> {
    let mut found = Vec::new();
    while stream.len() >= Header::SIZE {
        let header = Header::decode(stream);
        let (raw, rest) = stream.split_at(header.packet_size());
        if header.kind == kind::REJECT {
            found.push(Packet::control(kind::REJECT, raw[Header::SIZE..].to_vec()).rejected());
        }
        stream = rest;
    }
    found
}

fn refused(vector: &FramingVector) -> Vec<(u8, u64, u16)> {
    let refusals = vector.events.iter().filter_map(|event| match event {
        FramingEvent::Refused { class, ordinal, reason } => Some((*class, *ordinal, reason.value())),
        _ => None,
    });
    refusals.collect()
}

/// What the application was told, beside messages, and the end of the connection.
fn told(connection: &Connection) -> Vec<String> {
    let Ok(Reply::Events(events)) = connection.table.control(Command::Events) else { panic!("events are not told") };
    events.iter().filter_map(|event| word(&event.what)).collect()
}

fn word(what: &Happening) -> Option<String> {
    Some(match what {
        Happening::Rejected { class, ordinal, reason } => rejected_word(*class, *ordinal, *reason),
        Happening::Draining { received } => format!("drain {received}"),
        Happening::Closed { frame, origin: Origin::Peer, .. } => said(frame.reason, frame.retry_after, &frame.text),
        Happening::Closed { frame, origin: Origin::Local, .. } => format!("close {}", frame.reason),
        // What is due to this side's own bounds, and what every CLOSE brings.
        Happening::Admission
        | Happening::TooLarge
        | Happening::Suspect
        | Happening::Recovered
        | Happening::Closing(_)
        | Happening::Closed { origin: Origin::Transport, .. } => return None,
    })
}

pub(super) fn rejected_word(class: u8, ordinal: u64, reason: u16) -> String {
    format!("rejected {class} {ordinal} {reason}")
}

fn said(reason: u16, retry_after: Option<u32>, text: &str) -> String {
    format!("closed by peer {reason} {retry_after:?} {text}")
}

fn expected(vector: &FramingVector) -> Vec<String> {
    let mut peer = None;
    let mut expected: Vec<String> = Vec::new();
    for event in &vector.events {
        match event {
            FramingEvent::Rejected { class, ordinal, reason } => {
                expected.push(rejected_word(*class, *ordinal, *reason));
            }
            FramingEvent::Drain { received } => expected.push(format!("drain {received}")),
            FramingEvent::Close { reason, retry_after, text, .. } => {
                peer = Some(said(*reason, Some(*retry_after), text.as_deref().unwrap_or_default()));
            }
            FramingEvent::Message { .. }
            | FramingEvent::Gap { .. }
            | FramingEvent::Refused { .. }
            | FramingEvent::Ping(_)
            | FramingEvent::Pong(_)
            | FramingEvent::Busy(_) => {}
        }
    }
    match vector.end {
        FramingEnd::Open => {}
        FramingEnd::PeerClosed | FramingEnd::PeerFailed => expected.extend(peer),
        FramingEnd::Closed(reason) => expected.push(format!("close {}", reason.value)),
    }
    expected
}

pub(super) fn kept_words(connection: &Connection) -> Vec<String> {
    let kept = connection.kept.iter().flatten();
    kept.map(|message| message_word(message.class, message.encrypted, &message.payload)).collect()
}

pub(super) fn message_word(class: u8, encrypted: bool, payload: &[u8]) -> String {
    format!("message {class} {encrypted} {} {:02x?}", payload.len(), &payload[..payload.len().min(16)])
}
