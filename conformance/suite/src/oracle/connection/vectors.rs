//! The oracle reads the vectors of the specification as they say.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pulsewire_spec::vectors::{self, Expectation, FramingEnd, FramingEvent, FramingVector, HelloPacket};

use super::Connection;
use crate::codec::registry::kind;
use crate::codec::{Close, Header, Hello, Parser};
use crate::oracle::Behaviour;
use crate::oracle::framing::Framer;
use crate::oracle::heartbeat::Action;
use crate::oracle::link::Link;
use crate::oracle::table::Table;
use crate::peer::Message;
use crate::profile::Profile;
use crate::random::Random;
use crate::role::Role;
use crate::subject::{CloseFrame, Command, Happening, Reply};

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
        let due = Outcome::of(vector);
        for piece in [vector.stream.bytes().len().max(1), 1] {
            assert_eq!(receive(vector, piece), due, "{} in pieces of {piece}", vector.name);
        }
    }
}

/// What a stream makes the oracle do. Gaps show in what is refused, and BUSY in the heartbeat alone.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Message>,
    /// The ordinals and reasons of REJECT that it sends.
    refused: Vec<(u64, u16)>,
    /// The highest PING that it answers; how many answers go out depends on the pieces.
    pinged: Option<u64>,
    /// What the application is told.
    told: Vec<Happening>,
    /// The reason for which it closes.
    closes: Option<u16>,
}

impl Outcome {
    fn of(vector: &FramingVector) -> Self {
        let mut outcome = Self::default();
        for event in &vector.events {
            match event {
                FramingEvent::Message { class, encrypted, payload } => {
                    let (class, encrypted, payload) = (*class, *encrypted, payload.bytes().to_vec());
                    outcome.messages.push(Message { class, encrypted, payload });
                }
                FramingEvent::Refused { ordinal, reason } => outcome.refused.push((*ordinal, reason.value())),
                FramingEvent::Ping(number) => outcome.pinged = Some(*number),
                FramingEvent::Rejected { ordinal, reason } => {
                    outcome.told.push(Happening::Rejected { ordinal: *ordinal, reason: *reason });
                }
                FramingEvent::Drain { received } => outcome.told.push(Happening::Draining { received: *received }),
                FramingEvent::Close { reason, retry_after, text, .. } => {
                    let (reason, retry_after) = (*reason, Some(*retry_after));
                    let text = text.clone().unwrap_or_default();
                    outcome.told.push(Happening::Closing(CloseFrame { reason, retry_after, text }));
                }
                FramingEvent::Gap { .. } | FramingEvent::Pong(_) | FramingEvent::Busy(_) => {}
            }
        }
        outcome.closes = match vector.end {
            FramingEnd::Open | FramingEnd::PeerClosed | FramingEnd::PeerFailed => None,
            FramingEnd::Closed(reason) => Some(reason.value),
        };
        outcome
    }
}

/// A connection as the vector has it, and the other end of its stream.
fn established(vector: &FramingVector) -> (Connection, TcpStream) {
    let FramingVector { resync, frame_limit, message_limit, .. } = *vector;
    let behaviour = behaviour(Profile { resync, frame_limit, message_limit, probes: 100, ..Profile::calm() });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("it listens")).expect("a listener");
    let (stream, _) = listener.accept().expect("a client");
    let table = Arc::new(Table::new(Arc::clone(&behaviour)));
    let mut connection =
        Connection::new(Link::new(stream).expect("an open socket"), Role::Server, Arc::clone(&behaviour), table);
    connection.greeting.sync_key = vector.key;
    let hello = Hello { frame_limit: (1 << 24) - 1, message_limit: u32::MAX, ..behaviour.greeting() };
    let now = Instant::now();
    connection.open(&hello, now);
    for _ in 0..vector.messages_sent {
        connection.outgoing.push_message(Message::new(0, []));
    }
    connection.outgoing.flush(&mut connection.link);
    let heartbeat = connection.heartbeat.as_mut().expect("the connection is open");
    let mut later = now;
    let mut pings = 0;
    while pings < vector.pings_sent {
        later += Duration::from_secs(70);
        if let Action::Probe(number) = heartbeat.tick(later) {
            pings = number;
        }
    }
    (connection, peer)
}

fn receive(vector: &FramingVector, piece: usize) -> Outcome {
    let (mut connection, mut peer) = established(vector);
    let mut messages = Vec::new();
    for bytes in vector.stream.bytes().chunks(piece) {
        connection.receive(bytes, Instant::now());
        messages.extend(connection.outgoing.take_messages());
        connection.outgoing.flush(&mut connection.link);
    }
    let key = connection.outgoing.peer_key();
    let told = told(&connection);
    drop(connection);
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).expect("an open socket");
    let mut parser = Parser::new();
    parser.set_key(key);
    parser.push(&sent);
    let mut outcome = Outcome { messages, told, ..Outcome::default() };
    while let Some(packet) = parser.next_packet().expect("valid packets") {
        match packet.kind {
            kind::REJECT => outcome.refused.push(packet.rejected()),
            kind::PONG => outcome.pinged = Some(packet.number()),
            kind::CLOSE => outcome.closes = Close::parse(&packet.payload).map(|close| close.reason),
            _ => {}
        }
    }
    outcome
}

/// What the application was told, but for what it was told by a message or learns from the refusals.
fn told(connection: &Connection) -> Vec<Happening> {
    let Reply::Events(events) = connection.table.control(Command::Events) else {
        panic!("another reply came to Events");
    };
    events.into_iter().map(|event| event.what).filter(|what| *what != Happening::TooLarge).collect()
}
