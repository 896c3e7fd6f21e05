//! The vectors of the specification, run through the core.

mod pair;

use pair::{config, handshaken_server, transmitted};
use proptest::prelude::*;
use pulsewire_protocol::{CloseReason, Connection, Damage, Event, Header, Hello, Instant, Kind};
use pulsewire_spec::vectors::{self, Expectation, FramingEnd, FramingEvent, FramingVector, HelloPacket};

#[test]
fn headers() {
    for vector in vectors::header() {
        let bytes = vector.header.bytes().try_into().expect("12 bytes");
        let result = match Header::verify(bytes, vector.key) {
            None => Err(CloseReason::BAD_HEADER),
            Some(header) => header.judge(vector.frame_limit).map(|()| header).map_err(|error| error.close_reason()),
        };
        match (&vector.expect, result) {
            (Expectation::Accepted(fields), Ok(header)) => {
                let got = (header.kind.0, header.flags.0, header.class.0, header.length);
                assert_eq!(got, (fields.kind, fields.flags, fields.class, fields.length), "{}", vector.name);
                assert_eq!(&header.encode(vector.key), bytes, "{}: encoding gives the same bytes", vector.name);
            }
            (Expectation::Close(reason), Err(got)) => assert_eq!(got.0, reason.value, "{}", vector.name),
            (expected, got) => panic!("{}: expected {expected:?}, got {got:?}", vector.name),
        }
    }
}

#[test]
fn hellos() {
    for vector in vectors::hello() {
        let kind = match vector.packet {
            HelloPacket::Hello => Kind::HELLO,
            HelloPacket::HelloAck => Kind::HELLO_ACK,
        };
        let result = Hello::decode(kind, vector.payload.bytes()).and_then(|hello| judge_versions(kind, hello));
        match (&vector.expect, result) {
            (Expectation::Accepted(values), Ok(hello)) => {
                assert_eq!([hello.version_lowest, hello.version_highest], values.versions, "{}", vector.name);
                assert_eq!(hello.sync_key.get(), values.sync_key, "{}", vector.name);
                assert_eq!(
                    (hello.frame_limit, hello.message_limit, hello.ping_floor.as_millis(), hello.resync),
                    (values.frame_limit, values.message_limit, u128::from(values.ping_floor), values.resync),
                    "{}",
                    vector.name
                );
                assert_eq!(hello.token.as_deref(), values.token.as_ref().map(|token| token.bytes()), "{}", vector.name);
                let mut payload = Vec::new();
                hello.encode(&mut payload);
                assert_eq!(Hello::decode(kind, &payload), Ok(hello), "{}: a round trip changes nothing", vector.name);
            }
            (Expectation::Close(reason), Err(got)) => assert_eq!(got.close_reason().0, reason.value, "{}", vector.name),
            (expected, got) => panic!("{}: expected {expected:?}, got {got:?}", vector.name),
        }
    }
}

/// The vectors are of a receiver that speaks version 1 alone; a connection judges that, not the codec.
fn judge_versions(kind: Kind, hello: Hello) -> Result<Hello, pulsewire_protocol::ProtocolError> {
    let Hello { version_lowest: lowest, version_highest: highest, .. } = hello;
    if lowest > 1 || (kind == Kind::HELLO_ACK && highest != 1) {
        return Err(pulsewire_protocol::ProtocolError::UnsupportedVersion { lowest, highest });
    }
    Ok(hello)
}

/// What a connection made of a stream, in the words of the vectors.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    events: Vec<String>,
    end: String,
}

fn run(vector: &FramingVector, cuts: &[usize]) -> Outcome {
    let mut config = config();
    config.damage = if vector.resync { Damage::Resynchronise } else { Damage::Close };
    config.limits.frame = vector.frame_limit;
    config.limits.message = vector.message_limit;
    let mut connection = handshaken_server(config, vector.key);
    let stream = vector.stream.bytes();
    let mut outcome = Outcome { events: Vec::new(), end: String::from("open") };
    let (mut held, mut fed) = (Vec::new(), 0);
    for &cut in cuts.iter().chain([&stream.len()]) {
        held.extend_from_slice(&stream[fed..cut]);
        fed = cut;
        feed(&mut connection, &mut held, &mut outcome);
    }
    outcome
}

fn feed(connection: &mut Connection, held: &mut Vec<u8>, outcome: &mut Outcome) {
    let mut input = &held[..];
    loop {
        match connection.receive(Instant::ZERO, &mut input) {
            Ok(Some(event)) => outcome.note(&event),
            Ok(None) => break,
            Err(error) => outcome.end = format!("{:?}", error.close_reason()),
        }
    }
    let left = input.len();
    held.drain(..held.len() - left);
    // A PING shows only in its answer; all numbers of a vector's PINGs that are answered together count.
    for (header, payload) in transmitted(connection) {
        if header.kind == Kind::PONG {
            outcome.events.push(format!("ping up to {}", u64::from_be_bytes(payload.try_into().expect("8 bytes"))));
        }
    }
    while let Some(Event::Closed(closed)) = connection.poll_event() {
        // An orderly one was noted when the peer asked for it.
        if closed.origin == pulsewire_protocol::Origin::Peer && !closed.orderly {
            outcome.events.push(format!("close {}", closed.reason.0));
            outcome.end = String::from("peer closed");
        }
    }
}

impl Outcome {
    fn note(&mut self, event: &Event<'_>) {
        self.events.push(match event {
            Event::Message(message) => note_message(message.class.0, message.encrypted, &message.payload),
            Event::Gap(gap) => format!("gap {} {}", gap.skipped, gap.message_lost),
            Event::Closing(reason) => {
                self.end = String::from("peer closed");
                format!("close {}", reason.0)
            }
            other => panic!("{other:?} in the middle of a connection"),
        });
    }

    /// Without PINGs, whose answers depend on how the bytes were cut.
    fn without_pings(mut self) -> Self {
        self.events.retain(|event| !event.starts_with("ping"));
        self
    }
}

fn note_message(class: u8, encrypted: bool, payload: &[u8]) -> String {
    let text: String = payload.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("message {class} {encrypted} {} {text}", payload.len())
}

fn expected(vector: &FramingVector) -> Outcome {
    let events = vector.events.iter().filter_map(|event| match event {
        FramingEvent::Message { class, encrypted, payload } => Some(note_message(*class, *encrypted, payload.bytes())),
        FramingEvent::Gap { skipped, message_lost } => Some(format!("gap {skipped} {message_lost}")),
        FramingEvent::Ping(_) => None,
        FramingEvent::Close { reason, .. } => Some(format!("close {reason}")),
    });
    let end = match &vector.end {
        FramingEnd::Open => String::from("open"),
        FramingEnd::PeerClosed => String::from("peer closed"),
        FramingEnd::Closed(reason) => format!("{:?}", CloseReason(reason.value)),
    };
    Outcome { events: events.collect(), end }
}

#[test]
fn streams_at_once() {
    for vector in vectors::framing() {
        let outcome = run(vector, &[]);
        let last_ping = vector.events.iter().rev().find_map(|event| match event {
            FramingEvent::Ping(number) => Some(format!("ping up to {number}")),
            _ => None,
        });
        if vector.end == FramingEnd::Open
            && let Some(answer) = last_ping
        {
            assert!(outcome.events.contains(&answer), "{}: {:?}", vector.name, outcome.events);
        }
        assert_eq!(outcome.without_pings(), expected(vector), "{}", vector.name);
    }
}

#[test]
fn streams_byte_by_byte() {
    for vector in vectors::framing().iter().filter(|vector| vector.stream.bytes().len() < 4_096) {
        let cuts: Vec<usize> = (0..vector.stream.bytes().len()).collect();
        assert_eq!(run(vector, &cuts).without_pings(), expected(vector), "{}", vector.name);
    }
}

proptest! {
    #[test]
    fn streams_cut_anywhere(
        index in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let vector = index.get(vectors::framing());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(vector.stream.bytes().len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(run(vector, &cuts).without_pings(), expected(vector), "{}", vector.name);
    }
}
